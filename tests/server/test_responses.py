"""Plain HTTP over real sockets: bodies, keep-alive, pipelining, and misbehaving peers."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import wschat
from tests.concurrency import eventually
from tests.conftest import ServerFactory, echo, until_logged
from tests.protocol.wire import bytewise
from tests.server.wiring import PiecesSocket, http_connection
from tests.web.wiring import Http, chunked, plain
from wschat import Limits, RequestRefused
from wschat.errors import ConnectionClosed, HttpConnectionClosed
from wschat.server import http_connection as http_connection_module
from wschat.server.requests import Request
from wschat.server.responses import EventsResponse, Response, json_response
from wschat.server.timeouts import PeerTimeout

MAX_BYTES = 1000
LARGE = b"x" * 1_000_000
NOT_FOUND = RequestRefused(404, "There is nothing here.")


def parts() -> Iterator[bytes]:
    yield from (b"one,", b"", b"two,", b"x" * 100_000)


def endless() -> Iterator[bytes]:
    while True:
        yield b"x" * 100_000


def broken() -> Iterator[bytes]:
    yield b"the first half"
    raise ValueError("a page is missing")


def fail(request: Request) -> Response:
    raise ValueError("a bug in the handler")


TABLE: dict[str, Callable[[Request], Response | EventsResponse]] = {
    "/": lambda request: Response(200, b"hello"),
    "/echo": lambda request: Response(200, request.method.encode() + b" " + request.read_body(MAX_BYTES)),
    "/parts": lambda request: Response(200, parts()),
    "/name": lambda request: Response(200, headers={"X-Name": "é"}),
    "/json": lambda request: json_response(200, {"a": "é"}),
    "/nothing": lambda request: Response(204),
    "/same": lambda request: Response(304, headers={"ETag": '"x"'}),
    "/large": lambda request: Response(200, LARGE),
    "/endless": lambda request: Response(200, endless()),
    "/broken": lambda request: Response(200, broken()),
    "/fails": fail,
}


def handler(request: Request) -> Response | EventsResponse:
    if request.path not in TABLE:
        raise NOT_FOUND
    return TABLE[request.path](request)


@pytest.fixture
def server(serve: ServerFactory) -> wschat.WebSocketServer:
    return serve(echo, http=handler)


@pytest.fixture
def http(server: wschat.WebSocketServer) -> Iterator[Http]:
    with Http.to(server) as connection:
        yield connection


def test_many_requests_on_one_connection(http: Http) -> None:
    for _ in range(3):
        answer = http.get()
        assert (answer.status, answer.body) == (200, b"hello")
        assert "connection" not in answer.headers
        assert answer.headers["date"].endswith(" GMT")
    assert http.call(plain("POST", "/echo", b"body")).body == b"POST body"
    assert http.get("/parts").body == b"".join(parts())
    assert http.get("/elsewhere").code == "not-found"
    assert http.get().body == b"hello"


def test_connection_close_ends_the_connection(http: Http) -> None:
    answer = http.get(Connection="close")
    assert (answer.body, answer.headers["connection"]) == (b"hello", "close")
    assert http.is_over()


def test_a_json_response(http: Http) -> None:
    answer = http.get("/json")
    assert (answer.headers["content-type"], answer.body) == ("application/json; charset=utf-8", '{"a":"é"}\n'.encode())


@pytest.mark.parametrize("target", ["/", "/parts", "/json", "/nothing", "/same", "/elsewhere", "/fails", "/endless", "/broken"])
def test_head_is_get_without_a_body(http: Http, target: str) -> None:
    head = http.call(plain("HEAD", target))
    assert http.get().body == b"hello"  # would be misread if HEAD had a body
    if target not in ("/endless", "/broken"):
        get = http.get(target)
        assert (head.status, {**head.headers, "date": ""}) == (get.status, {**get.headers, "date": ""})


def test_responses_without_a_body_have_no_length(http: Http) -> None:
    for target, status in (("/nothing", 204), ("/same", 304)):
        answer = http.get(target)
        assert answer.status == status
        assert not answer.headers.keys() & {"content-length", "transfer-encoding"}  # RFC 9110, section 8.6
    assert http.get().body == b"hello"


def test_a_header_outside_ascii_is_sent_unchanged(http: Http) -> None:
    assert http.get("/name").headers["x-name"] == "é"


@pytest.mark.parametrize("target", ["/", "/parts"])
def test_http_1_0_gets_neither_chunks_nor_keep_alive(http: Http, target: str) -> None:
    http.send(plain("GET", target, version="HTTP/1.0", Connection="keep-alive") * 2)
    answer = http.answer()
    assert (answer.headers["connection"], answer.body) == ("close", b"hello" if target == "/" else b"".join(parts()))
    assert "transfer-encoding" not in answer.headers
    assert http.is_over()


# Bodies


@pytest.mark.parametrize("body", [b"", b"x", b"x" * MAX_BYTES])
def test_a_chunked_body_is_read(http: Http, body: bytes) -> None:
    halves = [half for half in (body[: len(body) // 2], body[len(body) // 2 :]) if half]
    assert http.call(plain("POST", "/echo", chunked(*halves), Transfer_Encoding="chunked")).body == b"POST " + body
    assert http.get().body == b"hello"


def test_expect_100_continue_gets_100(http: Http) -> None:
    http.send(plain("POST", "/echo", Content_Length="4", Expect="100-continue"))
    assert http.answer().status == 100
    http.send(b"body")
    assert http.answer().body == b"POST body"
    assert http.get().body == b"hello"


def test_expect_100_continue_for_a_body_above_the_limit_gets_413(http: Http) -> None:
    answer = http.call(plain("POST", "/echo", Content_Length="1001", Expect="100-continue"))
    assert (answer.status, answer.code, answer.headers["connection"]) == (413, "too-large", "close")
    assert http.is_over()


TOO_LARGE = [
    plain("POST", "/echo", b"x" * 300_000),
    plain("POST", "/echo", chunked(*[b"x" * 1000] * 300), Transfer_Encoding="chunked"),
    plain("POST", "/echo", Content_Length="9" * 19),
]


@pytest.mark.parametrize("data", TOO_LARGE, ids=["declared", "in chunks", "beyond measure"])
def test_a_body_above_the_limit_gets_413_whatever_follows(http: Http, data: bytes) -> None:
    http.send(data)
    answer = http.answer("POST")
    assert (answer.status, answer.code, answer.is_whole) == (413, "too-large", True)
    assert answer.headers["connection"] == "close"
    assert http.rest() == b""


def test_a_client_that_is_still_sending_its_body_is_not_reset(http: Http) -> None:
    """A reset would discard the response before the client has read it."""
    http.send(plain("POST", "/echo", Content_Length="500000") + b"x" * 10_000)
    assert http.answer("POST").status == 413
    for _ in range(100):
        http.send(b"x" * 1000)
    http.socket.shutdown(socket.SHUT_WR)
    assert http._input.read() == b""


def test_an_unread_body_ends_the_connection_unless_it_has_arrived(http: Http) -> None:
    assert http.call(plain("POST", "/", b"unread")).body == b"hello"
    answer = http.call(plain("POST", "/", Content_Length="10"))
    assert (answer.body, answer.headers["connection"]) == (b"hello", "close")
    http.send(plain("GET", "/")[:10])  # belongs to the body, not to another request
    assert http.is_over()


BAD_BODIES = [
    plain("POST", "/echo", b"zz\r\nbody\r\n0\r\n\r\n", Transfer_Encoding="chunked"),
    plain("POST", "/echo", b"-1\r\nbody\r\n0\r\n\r\n", Transfer_Encoding="chunked"),
    plain("POST", "/echo", b"4\r\nbodyxx0\r\n\r\n", Transfer_Encoding="chunked"),
    plain("POST", "/", b"zz\r\nbody\r\n0\r\n\r\n", Transfer_Encoding="chunked"),
]


@pytest.mark.parametrize("data", BAD_BODIES)
def test_an_invalid_body_gets_400_and_ends_the_connection(http: Http, data: bytes) -> None:
    http.send(data + plain())
    answer = http.answer("POST")
    assert answer.status == 400
    assert answer.headers["connection"] == "close"
    assert "bytearray" not in answer.json["text"]
    assert http.is_over()


def test_the_error_names_what_is_wrong_with_a_body(http: Http) -> None:
    http.send(BAD_BODIES[0])
    assert http.answer("POST").json["text"] == "The body of the request is not right: illegal chunk header."


BAD_HEADS = [
    plain("POST", "/echo", b"x", Content_Length="one"),
    plain("POST", "/echo", b"x", Content_Length="-1"),
    plain("POST", "/echo", b"x", Content_Length="9" * 5000),
    plain("POST", "/echo", b"x", Content_Length="1, 2"),
    plain("POST", "/echo", b"x", Transfer_Encoding="gzip"),
    plain("GET", "/ /"),
    plain("CONNECT", "example.com:443"),
    plain("GET", "/", X_Bad="\0"),
]


@pytest.mark.parametrize("data", BAD_HEADS)
def test_an_invalid_request_is_answered_and_ends_the_connection(http: Http, caplog: pytest.LogCaptureFixture, data: bytes) -> None:
    http.send(data + plain())
    assert http.answer("POST").status in (400, 501)
    assert http.is_over()
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_connect_gets_501(http: Http) -> None:
    answer = http.call(plain("CONNECT", "example.com:443"))
    assert (answer.status, answer.json) == (501, {"code": "not-implemented", "text": "This is not a proxy."})


def test_two_lengths_cannot_smuggle_a_request(http: Http) -> None:
    """RFC 9112, section 6.3: a request with both can be understood in two ways."""
    smuggled = plain("GET", "/hidden")
    http.send(plain("POST", "/echo", b"0\r\n\r\n" + smuggled, Content_Length=str(5 + len(smuggled)), Transfer_Encoding="chunked"))
    answer = http.answer("POST")
    assert (answer.status, answer.headers["connection"]) == (400, "close")
    assert http.is_over()


# Pipelining

PIPELINE: list[tuple[bytes, int, bytes]] = [
    (plain(), 200, b"hello"),
    (plain("POST", "/echo", b"first"), 200, b"POST first"),
    (plain("POST", "/echo", chunked(b"sec", b"ond"), Transfer_Encoding="chunked"), 200, b"POST second"),
    (plain("HEAD", "/"), 200, b""),
    (plain("PUT", "/echo", plain()), 200, b"PUT " + plain()),
    (plain("POST", "/", b"not read"), 200, b"hello"),
    (plain("GET", "/nothing"), 204, b""),
    (plain("POST", "/echo"), 200, b"POST "),
    (plain("GET", "/elsewhere"), 404, b'{"code":"not-found","text":"There is nothing here."}\n'),
]


def check_pipeline(http: Http, wanted: list[tuple[bytes, int, bytes]]) -> None:
    for data, status, body in wanted:
        answer = http.answer(data.split()[0].decode())
        assert (answer.status, answer.body) == (status, body)


def test_pipelined_requests_are_answered_in_order(http: Http) -> None:
    http.send(b"".join(data for data, _, _ in PIPELINE * 50))
    check_pipeline(http, PIPELINE * 50)


def test_a_line_end_after_a_body_is_skipped(http: Http) -> None:
    """RFC 9112, section 2.2: some old clients send one."""
    http.send(plain("POST", "/echo", b"body") + b"\r\n" + plain())
    assert (http.answer().body, http.answer().body) == (b"POST body", b"hello")


def no_delay(http: Http) -> Http:
    http.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return http


def test_requests_may_arrive_byte_by_byte(http: Http) -> None:
    wanted = [item for item in PIPELINE if b"not read" not in item[0]]  # an unread body is skipped only if it has arrived
    no_delay(http)
    for byte in bytewise(b"".join(data for data, _, _ in wanted)):
        http.send(byte)
    check_pipeline(http, wanted)


@given(st.lists(st.sampled_from([item for item in PIPELINE if b"not read" not in item[0]]), min_size=1, max_size=8), st.data())
@settings(deadline=None, max_examples=150)
def test_requests_are_the_same_wherever_they_are_split(wanted: list[tuple[bytes, int, bytes]], data: st.DataObject) -> None:
    """Without a network, so that each read ends where the test wants."""
    stream = b"".join(request for request, _, _ in wanted)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(stream) - 1), max_size=10)))
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    ours, theirs = socket.socketpair()
    with ours, Http(theirs) as http:
        ours.sendall(responses_to(pieces).sent)
        check_pipeline(http, wanted)


def responses_to(pieces: list[bytes]) -> PiecesSocket:
    """Answer all requests of a connection that receives these pieces. Return its socket."""
    with PiecesSocket(pieces) as sock:
        with pytest.raises((RequestRefused, HttpConnectionClosed)):
            http_connection(sock, http=handler, limits=Limits(send_timeout=7)).open_websocket()
        return sock


# Misbehaving peers


def until_no_connection_is_open(server: wschat.WebSocketServer) -> None:
    eventually(lambda: server.load().connections == {"websocket": 0, "events": 0, "http": 0})


@pytest.mark.parametrize(
    "data", [plain("POST", "/echo", Content_Length="10") + b"half", plain("POST", "/echo", b"a\r\nhalf", Transfer_Encoding="chunked")]
)
def test_a_disconnect_within_a_body_is_not_an_error(server: wschat.WebSocketServer, caplog: pytest.LogCaptureFixture, data: bytes) -> None:
    for leave in (Http.vanish, lambda http: http.__exit__()):
        http = Http.to(server)
        http.send(data)
        leave(http)
    until_no_connection_is_open(server)
    assert [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []


def test_a_disconnect_during_a_response_is_not_an_error(server: wschat.WebSocketServer, caplog: pytest.LogCaptureFixture) -> None:
    http = Http.to(server)
    http.send(plain("GET", "/endless"))
    http.head()
    http.vanish()
    until_no_connection_is_open(server)
    assert [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []


def test_a_client_that_takes_too_long_for_its_body_is_disconnected(serve: ServerFactory) -> None:
    server = serve(echo, http=handler, limits=Limits(opening_timeout=0.1))
    with Http.to(server) as http:
        http.send(plain("POST", "/echo", Content_Length="10") + b"half")
        http.rest()
        until_no_connection_is_open(server)


@pytest.mark.parametrize("data", [plain(), plain("POST", "/", b"body")], ids=["none", "some"])
def test_the_time_of_the_handler_does_not_count_towards_the_request(serve: ServerFactory, data: bytes) -> None:
    may_respond = threading.Event()

    def slow(request: Request) -> Response:
        if request.method == "POST":
            request.read_body(MAX_BYTES)
        may_respond.wait()
        return Response(200, b"in time")

    server = serve(echo, http=slow, limits=Limits(opening_timeout=0.1))
    with Http.to(server) as http, Http.to(server) as other:
        http.send(data)
        other.send(plain("POST", "/")[:-1])
        assert other.is_over()  # by now the first request would be late, too
        may_respond.set()
        assert http.answer().body == b"in time"


def test_an_idle_connection_is_closed_after_the_keep_alive_timeout(serve: ServerFactory) -> None:
    with Http.to(serve(echo, http=handler, limits=Limits(keep_alive_timeout=0.1))) as http:
        assert http.get().body == b"hello"
        assert http.is_over()


def test_a_client_that_does_not_read_a_response_is_disconnected(serve: ServerFactory) -> None:
    server = serve(echo, http=handler, limits=Limits(send_timeout=0.1))
    with Http.to(server) as http:
        http.send(plain("GET", "/endless"))
        http.head()
        until_no_connection_is_open(server)


def test_a_small_response_is_sent_with_one_write() -> None:
    for method in ("GET", "HEAD"):
        assert responses_to([plain(method)]).writes == 1


def test_the_parts_of_a_body_are_sent_as_they_are_produced(serve: ServerFactory) -> None:
    may_respond = threading.Event()

    def body() -> Iterator[bytes]:
        yield b"one\n"
        may_respond.wait()
        yield b"two\n"

    with Http.to(serve(echo, http=lambda request: Response(200, body()))) as http:
        http.send(plain())
        http.head()
        assert [http.line(), http.line()] == [b"4", b"one"]  # the size of the chunk and its data
        may_respond.set()
        assert [http.line() for _ in range(3)] == [b"", b"4", b"two"]


class RecordingTimeout(PeerTimeout):
    """Records the timeouts that are started, and checks that each is stopped before the next."""

    started: ClassVar[list[float]] = []
    is_stopped = True

    def start(self, timeout: float) -> None:
        assert self.is_stopped
        self.started.append(timeout)
        self.is_stopped = False

    def stop(self) -> None:
        self.is_stopped = True


def test_each_write_of_a_response_has_a_timeout_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that reads slowly gets everything: the time for the whole response is not limited."""
    monkeypatch.setattr(RecordingTimeout, "started", [])
    monkeypatch.setattr(http_connection_module, "PeerTimeout", RecordingTimeout)
    assert responses_to([plain("GET", "/large")]).sent.endswith(LARGE)
    limits = Limits()
    opening, *writes, keep_alive = RecordingTimeout.started
    assert (opening, keep_alive) == (limits.opening_timeout, limits.keep_alive_timeout)
    assert len(writes) > 10
    assert set(writes) == {7}


# Replacements for some bytes of valid requests.
NOISE = st.one_of(
    st.binary(max_size=5),
    st.sampled_from(
        [b"\r\n", b"\n\n", b"\0", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Expect: 100-continue\r\n", b"0\r\n\r\n"]
    ),
    st.sampled_from(
        [b"Upgrade: h2c\r\n", b"Upgrade: websocket\r\n", b"Connection: close\r\n", b"HTTP/1.0", b"HEAD", b"CONNECT", b"\xff" * 300]
    ),
)


@given(
    st.lists(st.sampled_from([data for data, _, _ in PIPELINE]), min_size=1, max_size=4).map(b"".join),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 5), NOISE), max_size=4),
)
@settings(deadline=None, max_examples=200)
def test_any_input_is_answered_or_refused_and_raises_nothing_else(data: bytes, noise: list[tuple[float, int, bytes]]) -> None:
    for place, length, put in noise:
        start = int(place * len(data))
        data = data[:start] + put + data[start + length :]
    with PiecesSocket([data]) as sock, contextlib.suppress(RequestRefused, HttpConnectionClosed):
        http_connection(sock, http=handler).open_websocket()


# Handlers that fail


def test_a_handler_that_fails_gets_500_and_is_logged_once(http: Http, caplog: pytest.LogCaptureFixture) -> None:
    answer = http.get("/fails?token=secret")
    assert (answer.status, answer.json["code"]) == (500, "failed")
    assert "bug" not in answer.json["text"]
    assert http.get().body == b"hello"
    [record] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert record.getMessage() == "the answer to GET /fails failed"
    assert record.exc_info
    assert "secret" not in caplog.text


@pytest.mark.parametrize("error", [ConnectionClosed(1000, "bye"), ConnectionResetError("reset")])
def test_an_error_of_another_connection_is_an_error_of_the_handler(
    serve: ServerFactory, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    """A handler may use a WebSocket client of its own, whose end is not the end of this connection."""

    def forward(request: Request) -> Response:
        raise error

    with Http.to(serve(echo, http=forward)) as http:
        for _ in range(2):
            assert http.get().status == 500
    assert len([record for record in caplog.records if record.levelname == "ERROR"]) == 2


def test_a_response_that_breaks_off_has_no_last_chunk(http: Http, caplog: pytest.LogCaptureFixture) -> None:
    answer = http.get("/broken")
    assert (answer.status, answer.body, answer.is_whole) == (200, b"the first half", False)
    until_logged(caplog, "the answer to GET /broken broke off")
    assert len([record for record in caplog.records if record.levelname == "ERROR"]) == 1


def test_a_response_without_chunks_that_breaks_off_ends_with_a_reset(http: Http) -> None:
    http.send(plain("GET", "/broken", version="HTTP/1.0"))
    assert http.head()[0] == 200
    with pytest.raises(ConnectionResetError):
        http._input.read()


def test_an_error_is_a_code_and_a_sentence(serve: ServerFactory) -> None:
    def refuse(request: Request) -> Response:
        raise RequestRefused(int(request.path[1:]), "Not for you.", {"Retry-After": "7"})

    with Http.to(serve(echo, http=refuse)) as http:
        for status in (400, 401, 403, 404, 405, 413, 418, 429, 501, 503, 505):
            answer = http.get(f"/{status}")
            assert (answer.status, answer.json["text"], answer.headers["retry-after"]) == (status, "Not for you.", "7")
            assert json.loads(answer.body)["code"]
