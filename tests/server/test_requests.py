"""Request heads over real sockets: parsing, limits, and refusals."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import h11
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import wschat
from tests.concurrency import TIMEOUT, eventually
from tests.conftest import ServerFactory, echo
from tests.protocol.wire import TEXT, bytewise, frame
from tests.server.raw import ACCEPT, Raw, request
from tests.server.wiring import http_connection
from wschat import Limits, Request, RequestRefused, UsageError
from wschat.errors import HttpConnectionClosed
from wschat.server.requests import check_path_prefix, parse_opening, parse_plain, parse_simple


@pytest.fixture
def server(serve: ServerFactory) -> wschat.WebSocketServer:
    def check(request: Request) -> None:
        if request.path == "/gone":
            raise RequestRefused(404, "There is nothing here.")

    return serve(echo, check_request=check)


REFUSED = [
    ("no upgrade", request(headers={"Upgrade": None}), 426),
    ("another upgrade", request(headers={"Upgrade": "h2c"}), 426),
    ("a plain page", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 426),
    ("no Connection", request(headers={"Connection": None}), 400),
    ("Connection without upgrade", request(headers={"Connection": "keep-alive"}), 400),
    ("no version", request(headers={"Sec-WebSocket-Version": None}), 426),
    ("an old version", request(headers={"Sec-WebSocket-Version": "8"}), 426),
    ("no key", request(headers={"Sec-WebSocket-Key": None}), 400),
    ("a short key", request(headers={"Sec-WebSocket-Key": "c2hvcnQ="}), 400),
    ("a long key", request(headers={"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZSE="}), 400),
    ("a key that is not base64", request(headers={"Sec-WebSocket-Key": "?" * 24}), 400),
    ("a key with a letter of another script", request(headers={"Sec-WebSocket-Key": "é" * 24}), 400),
    ("two keys", request().replace(b"\r\n\r\n", b"\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"), 400),
    ("no host", request(headers={"Host": None}), 400),
    ("two hosts", request().replace(b"\r\n\r\n", b"\r\nHost: other.test\r\n\r\n"), 400),
    ("a subprotocol that is not a token", request(headers={"Sec-WebSocket-Protocol": "é"}), 400),
    ("a body", request(headers={"Content-Length": "5"}) + b"hello", 400),
    ("a body in chunks", request(headers={"Transfer-Encoding": "chunked"}) + b"5\r\nhello\r\n0\r\n\r\n", 400),
    ("a body that is a frame", request(headers={"Content-Length": "11"}) + frame(TEXT, b"hello", masked=True), 400),
    ("POST", request("POST"), 405),
    ("POST with a body", request("POST", headers={"Content-Length": "5"}) + b"hello", 405),
    ("HEAD", request("HEAD"), 405),
    ("CONNECT", request("CONNECT"), 405),
    ("HTTP/1.0", request(version="HTTP/1.0"), 400),
    ("HTTP/1.0 without a host", request(version="HTTP/1.0", headers={"Host": None}), 400),
    ("HTTP/2", request(version="HTTP/2.0"), 505),
    ("no HTTP", b"hello?\r\n\r\n", 400),
    ("the beginning of a number", b"1", 400),
    ("the beginning of TLS", b"\x16\x03\x01\x02\x00\x01", 400),
    ("a header without a colon", b"GET / HTTP/1.1\r\nHost: a\r\nrubbish\r\n\r\n", 400),
    ("a blank in the target", b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("a path that is refused", request(target="/gone?really"), 404),
    ("a page of another origin", request(headers={"Origin": "https://evil.test"}), 403),
    ("a head that is too long", request(headers={"X-Long": "x" * 17 * 1024}), 431),
    ("too many headers", request(headers={f"X-{i}": "x" for i in range(100)}), 431),
]


@pytest.mark.parametrize(("data", "status"), [(data, status) for _, data, status in REFUSED], ids=[name for name, _, _ in REFUSED])
def test_a_refused_request_gets_a_status_and_a_sentence(
    server: wschat.WebSocketServer, caplog: pytest.LogCaptureFixture, data: bytes, status: int
) -> None:
    with Raw.to(server) as raw:
        raw.send(data)
        raw.socket.shutdown(socket.SHUT_WR)
        answer = raw.rest().decode()
    head, _, body = answer.partition("\r\n\r\n")
    lines = head.lower().split("\r\n")
    assert lines[0].startswith(f"http/1.1 {status} ")
    assert ("connection: upgrade, close" if status == 426 else "connection: close") in lines
    assert ("upgrade: websocket" in lines) == (status == 426)
    assert "content-type: text/plain; charset=utf-8" in lines
    assert "x-content-type-options: nosniff" in lines
    assert ("sec-websocket-version: 13" in lines) == (status == 426)
    assert ("allow: get" in lines) == (status == 405)
    if data.startswith(b"HEAD"):
        assert body == ""
    else:
        assert body.endswith(".\n")
        assert body[0].isupper()
        assert body.count("\n") == 1
        assert f"content-length: {len(body.encode())}" in lines
    server.stop()
    assert [record for record in caplog.records if record.levelname != "INFO"] == []


def test_a_refusal_does_not_wait_for_the_body(server: wschat.WebSocketServer) -> None:
    with Raw.to(server) as raw:
        assert raw.ask(request("POST", headers={"Content-Length": "100000"})).status == 405
        assert raw.rest() == b""


@pytest.mark.parametrize(
    "data",
    [
        request(),
        request(headers={"Upgrade": "WebSocket", "Connection": "keep-alive, UPGRADE"}),
        request(headers={"Upgrade": "h2c, websocket"}),
        request().replace(b"Sec-WebSocket-Key", b"SEC-WEBSOCKET-KEY"),
        request(headers={f"X-{i}": "x" for i in range(95)}),
        request(headers={"X-Long": "x" * 15 * 1024}),
        request(headers={"X-Letters": "é"}),
        request(headers={"Content-Length": "0"}),
        request(target="http://localhost/"),
        request(target="WS://localhost"),
    ],
)
def test_valid_opening_requests_are_accepted(server: wschat.WebSocketServer, data: bytes) -> None:
    with Raw.to(server) as raw:
        response = raw.ask(data)
        assert (response.status, response.headers["sec-websocket-accept"]) == (101, ACCEPT)
        raw.send(frame(TEXT, b"hello", masked=True))
        assert raw.frame() == (TEXT, b"hello")


def test_a_head_may_arrive_byte_by_byte(server: wschat.WebSocketServer) -> None:
    with Raw.to(server) as raw:
        raw.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in bytewise(request()):
            raw.send(byte)
        assert raw.response().status == 101


@pytest.mark.parametrize(("limits", "head"), [(Limits(max_head_bytes=0), 60_000), (Limits(max_head_bytes=100_000), 60_000)])
def test_a_longer_head_may_be_allowed(serve: ServerFactory, limits: Limits, head: int) -> None:
    with Raw.to(serve(echo, limits=limits)) as raw:
        assert raw.ask(request(headers={"X-Long": "x" * head})).status == 101


def test_more_headers_may_be_allowed(serve: ServerFactory) -> None:
    with Raw.to(serve(echo, limits=Limits(max_headers=0))) as raw:
        assert raw.ask(request(headers={f"X-{i}": "x" for i in range(300)})).status == 101


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_a_request_head_is_parsed(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    theirs.sendall(b"GET /a%20b?x=1&y=%C3%A9&x=2 HTTP/1.1\r\nHost: h\r\nX-Two: a\r\nx-two: b\r\n\r\nrest")
    connection = http_connection(ours)
    read = parse_opening(connection.read_head())
    assert read == Request("GET", "/a%20b?x=1&y=%C3%A9&x=2", {"host": "h", "x-two": "a, b"})
    assert (read.path, read.query) == ("/a%20b", {"x": "2", "y": "é"})
    theirs.sendall(plain("/next"))
    assert connection.read_head() == b"rest" + plain("/next")


@pytest.mark.parametrize("data", [b"", b"GET", request()[:-1]])
def test_a_disconnect_within_the_head_raises_http_connection_closed(pair: tuple[socket.socket, socket.socket], data: bytes) -> None:
    ours, theirs = pair
    theirs.sendall(data)
    theirs.close()
    with pytest.raises(HttpConnectionClosed):
        http_connection(ours).read_head()


def test_the_refusal_of_a_client_that_has_left_is_dropped(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    theirs.sendall(request("POST"))
    theirs.close()
    with pytest.raises(RequestRefused):
        http_connection(ours).open_websocket()


@pytest.mark.parametrize("status", [401, 429, 499, 503])
def test_a_check_can_refuse_with_any_status(serve: ServerFactory, status: int) -> None:
    def check(request: Request) -> None:
        raise RequestRefused(status, "Not now.", {"Retry-After": "5"})

    with Raw.to(serve(echo, check_request=check)) as raw:
        response = raw.ask(request())
    assert (response.status, response.headers["retry-after"], response.body) == (status, "5", "Not now.\n")


# Several requests on one connection


def plain(target: str) -> bytes:
    return f"GET {target} HTTP/1.1\r\nHost: h\r\n\r\n".encode()


def test_heads_are_read_one_after_the_other(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    connection = http_connection(ours)
    theirs.sendall(plain("/1") + plain("/2"))
    assert connection.read_head() == plain("/1")
    assert connection.read_head() == plain("/2")
    theirs.sendall(plain("/3"))
    assert connection.read_head() == plain("/3")
    theirs.sendall(plain("/4")[:10])
    theirs.close()
    with pytest.raises(HttpConnectionClosed):
        connection.read_head()


def test_line_ends_between_requests_are_skipped(pair: tuple[socket.socket, socket.socket]) -> None:
    """RFC 9112, section 2.2: some programs send one after a body."""
    ours, theirs = pair
    connection = http_connection(ours)
    theirs.sendall(plain("/1") + b"\r\n" + plain("/2"))
    assert [connection.read_head(), connection.read_head()] == [plain("/1"), plain("/2")]


def test_line_ends_between_requests_may_arrive_alone(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    connection = http_connection(ours)
    theirs.sendall(b"\r\n")
    with ThreadPoolExecutor(1) as pool:
        head = pool.submit(connection.read_head)
        eventually(lambda: not select.select([ours], [], [], 0)[0])  # the line end has been read
        theirs.sendall(plain("/1"))
        assert head.result(TIMEOUT) == plain("/1")


def test_the_limits_apply_to_each_head(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    connection = http_connection(ours, limits=Limits(max_head_bytes=100, max_headers=2))
    theirs.sendall(plain("/" + "x" * 50) * 3 + plain("/" + "x" * 200))
    for _ in range(3):
        assert connection.read_head() == plain("/" + "x" * 50)
    with pytest.raises(RequestRefused) as refused:
        connection.read_head()
    assert refused.value.status == 431


@pytest.mark.parametrize(
    ("prefix", "target", "below"),
    [
        ("", "/a", "/a"),
        ("/chat", "/chat", ""),
        ("/chat", "/chat/", "/"),
        ("/chat", "/chat?x=/", "?x=/"),
        ("/chat", "/chat/a?x=1", "/a?x=1"),
        ("/a/b", "/a/b/a/b", "/a/b"),
        ("/chat", "/chats", None),
        ("/chat", "/", None),
        ("/chat", "/a/chat", None),
        ("/chat", "/CHAT/", None),
    ],
)
def test_the_target_below_a_prefix(prefix: str, target: str, below: str | None) -> None:
    request = Request("GET", target, {})
    if below is None:
        with pytest.raises(RequestRefused) as refused:
            request.below(prefix)
        assert refused.value.status == 404
    else:
        assert request.below(prefix) == Request("GET", below, {}, prefix)


@pytest.mark.parametrize("prefix", ["", "/chat", "/a/b-c/d.e_f~g", "/%20"])
def test_valid_prefixes_are_accepted(prefix: str) -> None:
    check_path_prefix(prefix)


@pytest.mark.parametrize("prefix", ["/", "chat", "/chat/", "//", "/a//b", "/a?b", "/a b", "/é", "/a\n"])
def test_invalid_prefixes_raise_usage_error(prefix: str) -> None:
    with pytest.raises(UsageError, match="/chat"):
        check_path_prefix(prefix)


def test_a_target_may_be_a_url(pair: tuple[socket.socket, socket.socket]) -> None:
    """RFC 9112, section 3.2.2: servers must accept the absolute form."""
    assert parse_opening(plain("http://h/a?x=1")).path == "/a"


# Simple heads, which are parsed without h11

_FIELDS = st.sampled_from(
    [
        b"Host: a", b"host:b:80", b"HOST:\t[::1]\t ", b"Host: a b", b"Host:", b"Accept: */*", b"accept:x", b"X-Empty:", b"X:  ", b"X: a:b",
        b"X-\xe9: y", b"X: \xe9\x85\xa0", b"X: a\tb", b"X: a\x00b", b"X: a\x0bb", b"X: \x7f", b"X: a\rb", b"X : y", b" X: y", b"X_Y: z",
        b"Content-Length: 0", b"Transfer-Encoding: chunked", b"Expect: 100-continue", b"Connection: close", b"no colon", b"", b": x",
        b"!#$%&'*+-.^_`|~: x", b"X\x80: y",
    ]
)  # fmt: skip
_LINES = st.builds(
    lambda method, target, version: b" ".join([method, target, version]),
    st.sampled_from([b"GET", b"HEAD", b"get", b"POST", b"CONNECT", b"GET ", b"G\x00T", b""]),
    st.sampled_from([b"/", b"/a?b=%20", b"//a", b"/#a", b"*", b"a", b"http://a/", b"/\xe9", b"/\x00", b"/a b", b"/\x7f", b'/!"$~', b"/\t"]),
    st.sampled_from([b"HTTP/1.1", b"HTTP/1.0", b"HTTP/1.2", b"HTTP/2.0", b"http/1.1", b"HTTP/1.1 ", b"HTTP/11"]),
)
_USUAL_LINES = st.sampled_from([b"GET / HTTP/1.1", b"HEAD /a?b HTTP/1.1"])
_ENDS = st.sampled_from([b"\r\n", b"\n", b"\r\n ", b"\r"])


def head_of(line: bytes, fields: list[bytes], end: bytes) -> bytes:
    """Return a head in which one line may end otherwise than the others."""
    lines = [line, b"Host: a", *fields]
    return end.join([b"\r\n".join(lines[:-1]), lines[-1]]) + b"\r\n\r\n"


_HEADS = st.builds(head_of, _USUAL_LINES | _LINES, st.lists(_FIELDS, max_size=4), _ENDS) | st.builds(
    lambda line, fields: b"\r\n".join([line, *fields, b"", b""]), _LINES, st.lists(_FIELDS, max_size=4)
)


@given(_HEADS)
@example(b"GET / HTTP/1.1\r\nHost: a\r\nX: \t b c \t\r\n\r\n")
def test_a_simple_head_is_parsed_as_h11_does(head: bytes) -> None:
    request = parse_simple(head)
    if request is not None:
        http = h11.Connection(h11.SERVER)
        http.receive_data(head)
        assert request == parse_plain(http)
        assert isinstance(http.next_event(), h11.EndOfMessage)
        assert http.trailing_data == (b"", False)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_head_of_a_browser_is_simple(method: str) -> None:
    fields = {"Host": "a.example", "User-Agent": "Mozilla/5.0 (X11)", "Accept": "text/html,*/*;q=0.8", "Cookie": 'a="b"; c=d'}
    head = "".join([f"{method} /a/b?c=%20 HTTP/1.1\r\n", *(f"{name}: {value}\r\n" for name, value in fields.items()), "\r\n"])
    assert parse_simple(head.encode()) == Request(method, "/a/b?c=%20", {name.lower(): value for name, value in fields.items()})


@pytest.mark.parametrize(
    "head", [plain("/")[:-2], plain("/") + b"x", plain("/") * 2, b"GET / HTTP/1.1\r\n\r\n", plain("/").replace(b"GET", b"POST")]
)
def test_other_heads_are_left_to_h11(head: bytes) -> None:
    assert parse_simple(head) is None
