"""Request heads over real sockets: parsing, limits, and refusals."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

import wschat
from tests.concurrency import TIMEOUT, eventually
from tests.conftest import ServerFactory, echo
from tests.protocol.wire import TEXT, bytewise, frame
from tests.server.raw import ACCEPT, Raw, request
from tests.server.wiring import http_connection
from wschat import Limits, Request, RequestRefused, UsageError
from wschat.errors import HttpConnectionClosed
from wschat.server.requests import check_path_prefix, parse_opening


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
