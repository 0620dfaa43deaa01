"""Plain HTTP over real sockets: bodies, keep-alive, pipelining, and peers that do not play along."""

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
from tests.conftest import ServerFactory, echo, until_logged
from tests.connection.wiring import eventually
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
NO_SUCH = RequestRefused(404, "There is nothing here.")


def parts() -> Iterator[bytes]:
    yield from (b"one,", b"", b"two,", b"x" * 100_000)


def endless() -> Iterator[bytes]:
    while True:
        yield b"x" * 100_000


def broken() -> Iterator[bytes]:
    yield b"the first half"
    raise ValueError("a page is missing")


def fail(request: Request) -> Response:
    raise ValueError("nobody has thought of this")


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
        raise NO_SUCH
    return TABLE[request.path](request)


@pytest.fixture
def server(serve: ServerFactory) -> wschat.WebSocketServer:
    return serve(echo, http=handler)


@pytest.fixture
def http(server: wschat.WebSocketServer) -> Iterator[Http]:
    with Http.to(server) as connection:
        yield connection


def test_one_connection_is_enough_for_many_requests(http: Http) -> None:
    for _ in range(3):
        answer = http.get()
        assert (answer.status, answer.body) == (200, b"hello")
        assert "connection" not in answer.headers
        assert answer.headers["date"].endswith(" GMT")
    assert http.call(plain("POST", "/echo", b"body")).body == b"POST body"
    assert http.get("/parts").body == b"".join(parts())
    assert http.get("/elsewhere").code == "not-found"
    assert http.get().body == b"hello"


def test_who_wants_the_connection_closed_gets_that(http: Http) -> None:
    answer = http.get(Connection="close")
    assert (answer.body, answer.headers["connection"]) == (b"hello", "close")
    assert http.is_over()


def test_a_text_for_programs(http: Http) -> None:
    answer = http.get("/json")
    assert (answer.headers["content-type"], answer.body) == ("application/json; charset=utf-8", '{"a":"é"}\n'.encode())


@pytest.mark.parametrize("target", ["/", "/parts", "/json", "/nothing", "/same", "/elsewhere", "/fails", "/endless", "/broken"])
def test_head_is_get_without_a_body(http: Http, target: str) -> None:
    head = http.call(plain("HEAD", target))
    assert http.get().body == b"hello"  # which is read wrong if there was one
    if target not in ("/endless", "/broken"):
        get = http.get(target)
        assert (head.status, {**head.headers, "date": ""}) == (get.status, {**get.headers, "date": ""})


def test_answers_that_have_no_body_have_no_length_either(http: Http) -> None:
    for target, status in (("/nothing", 204), ("/same", 304)):
        answer = http.get(target)
        assert answer.status == status
        assert not answer.headers.keys() & {"content-length", "transfer-encoding"}  # RFC 9110, section 8.6
    assert http.get().body == b"hello"


def test_a_name_outside_ascii_in_a_header_is_sent_as_it_is(http: Http) -> None:
    assert http.get("/name").headers["x-name"] == "é"


@pytest.mark.parametrize("target", ["/", "/parts"])
def test_http_1_0_gets_neither_chunks_nor_another_answer(http: Http, target: str) -> None:
    http.send(plain("GET", target, version="HTTP/1.0", Connection="keep-alive") * 2)
    answer = http.answer()
    assert (answer.headers["connection"], answer.body) == ("close", b"hello" if target == "/" else b"".join(parts()))
    assert "transfer-encoding" not in answer.headers
    assert http.is_over()


# Bodies


@pytest.mark.parametrize("body", [b"", b"x", b"x" * MAX_BYTES])
def test_a_body_in_chunks_is_a_body(http: Http, body: bytes) -> None:
    halves = [half for half in (body[: len(body) // 2], body[len(body) // 2 :]) if half]
    assert http.call(plain("POST", "/echo", chunked(*halves), Transfer_Encoding="chunked")).body == b"POST " + body
    assert http.get().body == b"hello"


def test_who_asks_whether_to_go_on_is_told_so(http: Http) -> None:
    http.send(plain("POST", "/echo", Content_Length="4", Expect="100-continue"))
    assert http.answer().status == 100
    http.send(b"body")
    assert http.answer().body == b"POST body"
    assert http.get().body == b"hello"


def test_who_asks_whether_to_go_on_with_too_much_is_told_not_to(http: Http) -> None:
    answer = http.call(plain("POST", "/echo", Content_Length="1001", Expect="100-continue"))
    assert (answer.status, answer.code, answer.headers["connection"]) == (413, "too-large", "close")
    assert http.is_over()


TOO_LARGE = [
    plain("POST", "/echo", b"x" * 300_000),
    plain("POST", "/echo", chunked(*[b"x" * 1000] * 300), Transfer_Encoding="chunked"),
    plain("POST", "/echo", Content_Length="9" * 19),
]


@pytest.mark.parametrize("data", TOO_LARGE, ids=["declared", "in chunks", "beyond measure"])
def test_a_body_that_is_too_large_is_answered_whatever_comes_after_it(http: Http, data: bytes) -> None:
    http.send(data)
    answer = http.answer("POST")
    assert (answer.status, answer.code, answer.is_whole) == (413, "too-large", True)
    assert answer.headers["connection"] == "close"
    assert http.rest() == b""


def test_who_is_still_sending_what_is_too_large_is_not_reset(http: Http) -> None:
    """A reset could come before the answer has been read, and have it lost."""
    http.send(plain("POST", "/echo", Content_Length="500000") + b"x" * 10_000)
    assert http.answer("POST").status == 413
    for _ in range(100):
        http.send(b"x" * 1000)
    http.socket.shutdown(socket.SHUT_WR)
    assert http._input.read() == b""


def test_a_body_that_nobody_wants_ends_the_connection_unless_it_is_here(http: Http) -> None:
    assert http.call(plain("POST", "/", b"unread")).body == b"hello"
    answer = http.call(plain("POST", "/", Content_Length="10"))
    assert (answer.body, answer.headers["connection"]) == (b"hello", "close")
    http.send(plain("GET", "/")[:10])  # which is the body, and not another request
    assert http.is_over()


BAD_BODIES = [
    plain("POST", "/echo", b"zz\r\nbody\r\n0\r\n\r\n", Transfer_Encoding="chunked"),
    plain("POST", "/echo", b"-1\r\nbody\r\n0\r\n\r\n", Transfer_Encoding="chunked"),
    plain("POST", "/echo", b"4\r\nbodyxx0\r\n\r\n", Transfer_Encoding="chunked"),
    plain("POST", "/", b"zz\r\nbody\r\n0\r\n\r\n", Transfer_Encoding="chunked"),
]


@pytest.mark.parametrize("data", BAD_BODIES)
def test_a_body_that_is_none_is_a_bad_request_and_the_last_one(http: Http, data: bytes) -> None:
    http.send(data + plain())
    answer = http.answer("POST")
    assert answer.status == 400
    assert answer.headers["connection"] == "close"
    assert "bytearray" not in answer.json["text"]
    assert http.is_over()


def test_it_is_said_what_is_wrong_with_a_body(http: Http) -> None:
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
def test_a_request_that_is_none_is_answered_and_the_last_one(http: Http, caplog: pytest.LogCaptureFixture, data: bytes) -> None:
    http.send(data + plain())
    assert http.answer("POST").status in (400, 501)
    assert http.is_over()
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_there_is_no_way_through_to_other_servers(http: Http) -> None:
    answer = http.call(plain("CONNECT", "example.com:443"))
    assert (answer.status, answer.json) == (501, {"code": "not-implemented", "text": "This is not a proxy."})


def test_two_lengths_are_no_way_to_hide_a_request(http: Http) -> None:
    """RFC 9112, section 6.3: who has both would be understood in two ways."""
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
    (plain("POST", "/", b"nobody reads this"), 200, b"hello"),
    (plain("GET", "/nothing"), 204, b""),
    (plain("POST", "/echo"), 200, b"POST "),
    (plain("GET", "/elsewhere"), 404, b'{"code":"not-found","text":"There is nothing here."}\n'),
]


def check_pipeline(http: Http, wanted: list[tuple[bytes, int, bytes]]) -> None:
    for data, status, body in wanted:
        answer = http.answer(data.split()[0].decode())
        assert (answer.status, answer.body) == (status, body)


def test_requests_that_come_at_once_are_answered_in_order(http: Http) -> None:
    http.send(b"".join(data for data, _, _ in PIPELINE * 50))
    check_pipeline(http, PIPELINE * 50)


def test_a_line_end_after_a_body_is_nobodys_request(http: Http) -> None:
    """RFC 9112, section 2.2: old programs send one that belongs to nothing."""
    http.send(plain("POST", "/echo", b"body") + b"\r\n" + plain())
    assert (http.answer().body, http.answer().body) == (b"POST body", b"hello")


def no_delay(http: Http) -> Http:
    http.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return http


def test_requests_may_come_byte_by_byte(http: Http) -> None:
    wanted = [item for item in PIPELINE if b"nobody reads this" not in item[0]]  # such a body has to be here to be passed over
    no_delay(http)
    for byte in bytewise(b"".join(data for data, _, _ in wanted)):
        http.send(byte)
    check_pipeline(http, wanted)


@given(st.lists(st.sampled_from([item for item in PIPELINE if b"nobody reads this" not in item[0]]), min_size=1, max_size=8), st.data())
@settings(deadline=None, max_examples=150)
def test_requests_are_the_same_wherever_they_are_split(wanted: list[tuple[bytes, int, bytes]], data: st.DataObject) -> None:
    """What one read brings may end anywhere; without a network, so that it does."""
    stream = b"".join(request for request, _, _ in wanted)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(stream) - 1), max_size=10)))
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    ours, theirs = socket.socketpair()
    with ours, Http(theirs) as http:
        ours.sendall(responses_to(pieces).sent)
        check_pipeline(http, wanted)


def responses_to(pieces: list[bytes]) -> PiecesSocket:
    """Receive these pieces on a connection, answer all requests, and return its socket."""
    with PiecesSocket(pieces) as sock:
        with pytest.raises((RequestRefused, HttpConnectionClosed)):
            http_connection(sock, http=handler, limits=Limits(send_timeout=7)).open_websocket()
        return sock


# Peers that do not play along


def until_nobody_is_there(server: wschat.WebSocketServer) -> None:
    eventually(lambda: server.load().connections == {"websocket": 0, "events": 0, "http": 0})


@pytest.mark.parametrize(
    "data", [plain("POST", "/echo", Content_Length="10") + b"half", plain("POST", "/echo", b"a\r\nhalf", Transfer_Encoding="chunked")]
)
def test_who_vanishes_in_the_middle_of_a_body_is_forgotten(
    server: wschat.WebSocketServer, caplog: pytest.LogCaptureFixture, data: bytes
) -> None:
    for leave in (Http.vanish, lambda http: http.__exit__()):
        http = Http.to(server)
        http.send(data)
        leave(http)
    until_nobody_is_there(server)
    assert [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []


def test_who_leaves_during_an_answer_is_forgotten(server: wschat.WebSocketServer, caplog: pytest.LogCaptureFixture) -> None:
    http = Http.to(server)
    http.send(plain("GET", "/endless"))
    http.head()
    http.vanish()
    until_nobody_is_there(server)
    assert [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []


def test_who_takes_too_long_for_a_body_is_cut(serve: ServerFactory) -> None:
    server = serve(echo, http=handler, limits=Limits(opening_timeout=0.1))
    with Http.to(server) as http:
        http.send(plain("POST", "/echo", Content_Length="10") + b"half")
        http.rest()
        until_nobody_is_there(server)


@pytest.mark.parametrize("data", [plain(), plain("POST", "/", b"body")], ids=["none", "some"])
def test_a_body_that_is_here_is_in_time_however_long_the_answer_takes(serve: ServerFactory, data: bytes) -> None:
    go_on = threading.Event()

    def slow(request: Request) -> Response:
        if request.method == "POST":
            request.read_body(MAX_BYTES)
        go_on.wait()
        return Response(200, b"in time")

    server = serve(echo, http=slow, limits=Limits(opening_timeout=0.1))
    with Http.to(server) as http, Http.to(server) as other:
        http.send(data)
        other.send(plain("POST", "/")[:-1])
        assert other.is_over()  # at a time at which the first one would be late, too
        go_on.set()
        assert http.answer().body == b"in time"


def test_who_asks_for_nothing_more_is_cut_in_the_end(serve: ServerFactory) -> None:
    with Http.to(serve(echo, http=handler, limits=Limits(keep_alive_timeout=0.1))) as http:
        assert http.get().body == b"hello"
        assert http.is_over()


def test_who_reads_nothing_of_an_answer_is_cut(serve: ServerFactory) -> None:
    server = serve(echo, http=handler, limits=Limits(send_timeout=0.1))
    with Http.to(server) as http:
        http.send(plain("GET", "/endless"))
        http.head()
        until_nobody_is_there(server)


def test_a_small_answer_leaves_in_one_piece() -> None:
    for method in ("GET", "HEAD"):
        assert responses_to([plain(method)]).writes == 1


def test_what_comes_slowly_is_sent_as_it_comes(serve: ServerFactory) -> None:
    go_on = threading.Event()

    def body() -> Iterator[bytes]:
        yield b"one\n"
        go_on.wait()
        yield b"two\n"

    with Http.to(serve(echo, http=lambda request: Response(200, body()))) as http:
        http.send(plain())
        http.head()
        assert [http.line(), http.line()] == [b"4", b"one"]  # the chunk and what is in it
        go_on.set()
        assert [http.line() for _ in range(3)] == [b"", b"4", b"two"]


class RecordingTimeout(PeerTimeout):
    """Records the timeouts that are started, none of them before the last one has been stopped."""

    started: ClassVar[list[float]] = []
    is_stopped = True

    def start(self, timeout: float) -> None:
        assert self.is_stopped
        self.started.append(timeout)
        self.is_stopped = False

    def stop(self) -> None:
        self.is_stopped = True


def test_each_write_of_a_response_has_a_timeout_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that reads slowly gets all: the time of the whole response is not limited."""
    monkeypatch.setattr(RecordingTimeout, "started", [])
    monkeypatch.setattr(http_connection_module, "PeerTimeout", RecordingTimeout)
    assert responses_to([plain("GET", "/large")]).sent.endswith(LARGE)
    limits = Limits()
    opening, *writes, keep_alive = RecordingTimeout.started
    assert (opening, keep_alive) == (limits.opening_timeout, limits.keep_alive_timeout)
    assert len(writes) > 10
    assert set(writes) == {7}


# What is put in the place of some bytes of requests that are right.
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
def test_whatever_comes_is_answered_or_refused_and_never_a_surprise(data: bytes, noise: list[tuple[float, int, bytes]]) -> None:
    for place, length, put in noise:
        start = int(place * len(data))
        data = data[:start] + put + data[start + length :]
    with PiecesSocket([data]) as sock, contextlib.suppress(RequestRefused, HttpConnectionClosed):
        http_connection(sock, http=handler).open_websocket()


# Handlers that fail


def test_a_handler_that_fails_is_answered_for_and_logged_once(http: Http, caplog: pytest.LogCaptureFixture) -> None:
    answer = http.get("/fails?token=secret")
    assert (answer.status, answer.json["code"]) == (500, "failed")
    assert "thought" not in answer.json["text"]
    assert http.get().body == b"hello"
    [record] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert record.getMessage() == "the answer to GET /fails failed"
    assert record.exc_info
    assert "secret" not in caplog.text


@pytest.mark.parametrize("error", [ConnectionClosed(1000, "bye"), ConnectionResetError("reset")])
def test_an_error_of_another_connection_is_an_error_of_the_handler(
    serve: ServerFactory, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    """A handler may use a WebSocket client of its own: its end is not the end of this connection."""

    def forward(request: Request) -> Response:
        raise error

    with Http.to(serve(echo, http=forward)) as http:
        for _ in range(2):
            assert http.get().status == 500
    assert len([record for record in caplog.records if record.levelname == "ERROR"]) == 2


def test_an_answer_that_breaks_off_does_not_look_whole(http: Http, caplog: pytest.LogCaptureFixture) -> None:
    answer = http.get("/broken")
    assert (answer.status, answer.body, answer.is_whole) == (200, b"the first half", False)
    until_logged(caplog, "the answer to GET /broken broke off")
    assert len([record for record in caplog.records if record.levelname == "ERROR"]) == 1


def test_an_answer_that_breaks_off_does_not_look_whole_without_chunks_either(http: Http) -> None:
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
