"""What happens on a connection until it is a WebSocket, or never will be: HTTP before it, paths, origins, proxies, TLS, the end."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPSConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import wschat
from tests.conftest import ServerFactory, echo, until_logged, url_of
from tests.connection.wiring import PATIENCE, eventually
from tests.protocol.wire import TEXT, frame
from tests.server.raw import ACCEPT, request
from tests.tls import client_context
from tests.web.wiring import Answer, Events, Http, plain
from wschat import Limits, RequestRefused, UsageError
from wschat.connection.event_stream import EventStream
from wschat.counters import counters
from wschat.server.requests import Request
from wschat.server.responses import EventsResponse, Response, json_response
from wschat.server.tls import Certificate


class Stage:
    """An `HttpHandler` whose answers wait for the test, and which remembers who has asked for what."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.streams: list[EventStream] = []
        self.go_on = threading.Event()

    def __call__(self, request: Request) -> Response | EventsResponse:
        self.requests.append(request)
        if request.path == "/slow":
            self.go_on.wait()
        if request.path == "/events":
            return EventsResponse(self.follow, {"X-Own": "yes"})
        if request.path == "/body":
            return Response(200, request.read_body(1000))
        return json_response(200, {"path": request.path, "prefix": request.prefix, "query": request.query})

    def follow(self, stream: EventStream) -> None:
        self.streams.append(stream)
        stream.send("data: hello\n\n")
        stream.wait()


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture
def connections() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


def none_is_open(server: wschat.WebSocketServer) -> bool:
    return not any(server.load().connections.values())


# HTTP and WebSockets on one port


def check_websocket(http: Http) -> None:
    response = http.response()
    assert (response.status, response.headers["sec-websocket-accept"]) == (101, ACCEPT)
    http.send(frame(TEXT, b"hello", masked=True))
    assert http.frame() == (TEXT, b"hello")


def test_after_other_requests_a_connection_may_become_a_websocket(serve: ServerFactory, stage: Stage) -> None:
    with Http.to(serve(echo, http=stage)) as http:
        assert http.get().status == 200
        http.send(request())
        check_websocket(http)


def test_the_opening_and_the_first_message_may_come_with_the_requests_before_them(serve: ServerFactory, stage: Stage) -> None:
    with Http.to(serve(echo, http=stage)) as http:
        http.send(plain("POST", "/body", b"body") + plain() + request() + frame(TEXT, b"early", masked=True))
        assert http.answer().body == b"body"
        assert http.answer().status == 200
        assert http.response().status == 101
        assert http.frame() == (TEXT, b"early")


def test_another_upgrade_is_passed_over(serve: ServerFactory, stage: Stage) -> None:
    """RFC 9110, section 7.8. Java's client offers HTTP/2 with each request, and wants to go on."""
    with Http.to(serve(echo, http=stage)) as http:
        for _ in range(2):
            answer = http.get("/a", Upgrade="h2c", Connection="Upgrade, HTTP2-Settings", HTTP2_Settings="AAMAAABkAAQAoAAAAAIAAAAA")
            assert (answer.status, answer.json["path"]) == (200, "/a")
            assert "connection" not in answer.headers
        http.send(request())
        check_websocket(http)


def test_without_a_handler_for_http_there_is_none(serve: ServerFactory) -> None:
    with Http.to(serve(echo)) as http:
        assert http.get().status == 426


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (request("POST"), 405),
        (request(headers={"Sec-WebSocket-Version": "8"}), 426),
        (request(headers={"Sec-WebSocket-Key": None}), 400),
        (request(headers={"Origin": "https://evil.test"}), 403),
    ],
)
def test_a_bad_opening_is_no_plain_request(serve: ServerFactory, stage: Stage, data: bytes, status: int) -> None:
    with Http.to(serve(echo, http=stage)) as http:
        assert http.call(data).status == status
        assert http.is_over()
    assert stage.requests == []


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (plain("GET", "/chat/", Origin="https://evil.test"), 403),
        (plain("OPTIONS", "/chat/", Origin="https://evil.test", Access_Control_Request_Method="GET"), 403),
        (plain("GET", "/elsewhere"), 404),
        (plain("GET", "/ /"), 400),
        (plain(X_Long="x" * 17_000), 431),
        (plain("GET", "/chat/fails"), 500),
    ],
)
def test_errors_are_nothing_but_what_they_say_they_are_whoever_answers(serve: ServerFactory, data: bytes, status: int) -> None:
    with Http.to(serve(echo, http=lambda request: None, path_prefix="/chat")) as http:
        answer = http.call(data)
    assert (answer.status, answer.headers["x-content-type-options"]) == (status, "nosniff")
    assert answer.headers["content-type"] == "application/json; charset=utf-8"


def test_so_is_that_there_are_too_many(serve: ServerFactory, stage: Stage) -> None:
    server = serve(echo, http=stage, limits=Limits(max_connections=1))
    with Http.to(server) as http:
        http.send(plain("GET", "/events"))
        assert http.head()[0] == 200
        with Http.to(server) as other:
            answer = other.answer()
    assert (answer.status, answer.headers["x-content-type-options"]) == (503, "nosniff")


@pytest.mark.parametrize("version", ["HTTP/0.9", "HTTP/1.2", "HTTP/2.0", "HTTP/3.0"])
def test_another_version_of_http_is_not_taken_for_one_that_is_known(serve: ServerFactory, stage: Stage, version: str) -> None:
    with Http.to(serve(echo, http=stage)) as http:
        answer = http.call(plain("GET", "/", version=version))
        assert (answer.status, answer.code, answer.headers["connection"]) == (505, "version-not-supported", "close")
        assert http.is_over()
    assert stage.requests == []


def test_who_begins_with_http_2_is_told_what_is_spoken_here(serve: ServerFactory, stage: Stage) -> None:
    """RFC 9113, section 3.4: what clients begin with that take it for granted."""
    with Http.to(serve(echo, http=stage)) as http:
        answer = http.call(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert (answer.status, answer.json["text"]) == (505, "HTTP/1.1 and HTTP/1.0 are spoken here.")
        assert http.is_over()


@pytest.mark.parametrize(("data", "status"), [(plain(X_Long="x" * 17_000), 431), (b"what?\r\n\r\n", 400), (b"\x16\x03\x01", 400)])
def test_what_is_no_request_is_refused_also_after_one(serve: ServerFactory, stage: Stage, data: bytes, status: int) -> None:
    with Http.to(serve(echo, http=stage)) as http:
        assert http.get().status == 200
        assert http.call(data).status == status
        assert http.is_over()


def test_a_plain_request_is_logged_without_its_query(serve: ServerFactory, stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with Http.to(serve(echo, http=stage)) as http:
        http.get("/a?token=secret")
        record = until_logged(caplog, "GET /a: 200")
    assert record.levelno == logging.DEBUG
    assert "secret" not in caplog.text


# Path prefixes


@pytest.mark.parametrize(
    ("target", "path"),
    [("/chat/", "/"), ("/chat/a/b?x=1", "/a/b"), ("/chat", ""), ("/chat?x=1", ""), ("/chat/chat/a", "/chat/a")],
)
def test_a_server_below_a_prefix_sees_the_rest(serve: ServerFactory, stage: Stage, target: str, path: str) -> None:
    with Http.to(serve(echo, http=stage, path_prefix="/chat")) as http:
        assert http.get(target).json == {"path": path, "prefix": "/chat", "query": {"x": "1"} if "?" in target else {}}


@pytest.mark.parametrize("target", ["/", "/a", "/chatter", "/cha", "/a/chat/", "//chat/", "/Chat/"])
def test_outside_its_prefix_there_is_nothing(serve: ServerFactory, stage: Stage, target: str) -> None:
    with Http.to(serve(echo, http=stage, path_prefix="/chat")) as http:
        answer = http.get(target)
        assert (answer.status, answer.code) == (404, "not-found")
        assert "/chat/" in answer.json["text"]
        assert http.call(request(target=target)).status == 404


def test_a_websocket_below_a_prefix(serve: ServerFactory) -> None:
    server = serve(lambda ws: ws.send(ws.path), path_prefix="/a/b")
    with wschat.connect(url_of(server, "/a/b/rooms/tea?name=x")) as ws:
        assert ws.recv(PATIENCE) == "/rooms/tea?name=x"


@pytest.mark.parametrize("prefix", ["chat", "/", "/chat/", "/a//b", "/a b", "/é", "?"])
def test_what_is_no_prefix_is_said_early(prefix: str) -> None:
    with pytest.raises(UsageError, match="path prefix"):
        wschat.serve(echo, port=0, path_prefix=prefix)


# Pages of other origins

PAGE = "https://page.example"


@pytest.mark.parametrize(
    ("origins", "origin", "status", "allowed", "with_credentials"),
    [
        ((), PAGE, 403, None, None),
        ((PAGE,), PAGE, 200, PAGE, "true"),
        (("*",), PAGE, 200, PAGE, None),
        ((PAGE,), "https://other.example", 403, None, None),
        (("*", PAGE), PAGE, 200, PAGE, "true"),
        ((), "http://localhost:3000", 200, "http://localhost:3000", None),
        ((), "null", 403, None, None),
        (("*",), "https://\xe9.example", 200, "https://\xe9.example", None),
    ],
)
def test_which_pages_may_read_an_answer(
    serve: ServerFactory,
    stage: Stage,
    origins: tuple[str, ...],
    origin: str,
    status: int,
    allowed: str | None,
    with_credentials: str | None,
) -> None:
    with Http.to(serve(echo, http=stage, origins=origins)) as http:
        answer = http.get(Origin=origin)
        assert answer.status == status
        assert answer.headers.get("access-control-allow-origin") == allowed
        assert answer.headers.get("access-control-allow-credentials") == with_credentials
        assert http.get("/", Origin=origin).status == status  # nobody is sent away for asking
    assert len(stage.requests) == (2 if status == 200 else 0)


def test_pages_may_read_errors_too_and_what_they_say_about_time(serve: ServerFactory) -> None:
    def refuse(request: Request) -> Response:
        raise RequestRefused(429, "Too fast.", {"Retry-After": "3"})

    with Http.to(serve(echo, http=refuse, origins=[PAGE])) as http:
        answer = http.get(Origin=PAGE)
        assert (answer.status, answer.headers["access-control-allow-origin"]) == (429, PAGE)
        assert "Retry-After" in answer.headers["access-control-expose-headers"]


def test_what_is_kept_of_an_answer_is_not_for_other_pages(serve: ServerFactory) -> None:
    """Caches are told that it depends on who asks, besides what the answer itself depends on."""
    server = serve(echo, http=lambda request: Response(200, b"x", {"Vary": "Accept-Encoding"}), origins=[PAGE])
    with Http.to(server) as http:
        assert set(http.get(Origin=PAGE).headers["vary"].split(", ")) == {"Origin", "Accept-Encoding"}
        assert http.get().headers["vary"] == "Accept-Encoding"


def test_a_browser_that_asks_first_is_told_what_it_may_do(serve: ServerFactory, stage: Stage) -> None:
    ask = {"Access_Control_Request_Method": "POST", "Access_Control_Request_Headers": "content-type,idempotency-key"}
    with Http.to(serve(echo, http=stage, origins=[PAGE])) as http:
        answer = http.call(plain("OPTIONS", "/body", b"", Origin=PAGE, **ask))
        assert answer.status == 204
        assert answer.headers["access-control-allow-origin"] == PAGE
        assert "POST" in answer.headers["access-control-allow-methods"]
        names = {name.strip().lower() for name in answer.headers["access-control-allow-headers"].split(",")}
        assert names >= {"authorization", "content-type", "idempotency-key", "last-event-id"}
        assert int(answer.headers["access-control-max-age"]) > 0
        refused = http.call(plain("OPTIONS", "/body", b"", Origin="https://evil.test", **ask))
        assert refused.status == 403
        assert "access-control-allow-origin" not in refused.headers
    assert stage.requests == []


def test_options_of_nobody_in_particular_are_a_request_like_others(serve: ServerFactory, stage: Stage) -> None:
    with Http.to(serve(echo, http=stage)) as http:
        http.call(plain("OPTIONS", "/a"))
    assert [seen.method for seen in stage.requests] == ["OPTIONS"]


def test_a_page_may_follow_events(serve: ServerFactory, stage: Stage) -> None:
    with Http.to(serve(echo, http=stage, origins=[PAGE])) as http:
        http.send(plain("GET", "/events", Origin=PAGE))
        events = Events(http)
        assert events.headers["access-control-allow-origin"] == PAGE
        assert events.next().data == "hello"


# Where somebody is


def test_a_trusted_proxy_says_for_whom_it_asks_with_each_request(serve: ServerFactory, stage: Stage) -> None:
    server = serve(echo, http=stage, trusted_proxies=["127.0.0.1"])
    with Http.to(server) as http:
        for address in ("203.0.113.1", "203.0.113.2", "2001:db8::1"):
            http.get(X_Forwarded_For=address)
        http.get()
    assert [seen.remote_address[0] for seen in stage.requests] == ["203.0.113.1", "203.0.113.2", "2001:db8::1", "127.0.0.1"]  # type: ignore[index]


def test_nobody_else_does(serve: ServerFactory, stage: Stage) -> None:
    with Http.to(serve(echo, http=stage)) as http:
        http.get(X_Forwarded_For="203.0.113.1", Forwarded="for=203.0.113.1")
        assert stage.requests[0].remote_address == http.socket.getsockname()


def test_a_proxy_is_told_that_there_are_too_many_and_may_go_on_for_others(serve: ServerFactory, stage: Stage) -> None:
    server = serve(echo, http=stage, limits=Limits(max_connections_per_address=1), trusted_proxies=["127.0.0.1"])
    with Http.to(server) as one, Http.to(server) as two:
        one.send(plain("GET", "/events", X_Forwarded_For="203.0.113.1"))
        assert one.head()[0] == 200
        answer = two.get(X_Forwarded_For="203.0.113.1")
        assert (answer.status, answer.code, answer.headers["retry-after"]) == (503, "unavailable", "10")
        assert two.get(X_Forwarded_For="203.0.113.2").status == 200


def test_over_a_unix_socket(serve: ServerFactory, stage: Stage, tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    server = serve(echo, http=stage, unix_path=path)
    client = socket.socket(socket.AF_UNIX)
    client.connect(path)
    with Http(client) as http:
        assert http.get("/a").json["path"] == "/a"
        http.send(plain("GET", "/events"))
        assert Events(http).next().data == "hello"
        assert server.load().connections["events"] == 1


# TLS


@pytest.fixture
def tls_server(serve: ServerFactory, stage: Stage, certificate: Path) -> wschat.WebSocketServer:
    return serve(echo, http=stage, tls=Certificate(str(certificate)).context)


def tls_client(server: wschat.WebSocketServer, certificate: Path) -> Http:
    sock = socket.create_connection(("127.0.0.1", server.port), PATIENCE)
    return Http(client_context(certificate).wrap_socket(sock, server_hostname="127.0.0.1", suppress_ragged_eofs=False))


def test_answers_over_tls(tls_server: wschat.WebSocketServer, certificate: Path) -> None:
    connection = HTTPSConnection("127.0.0.1", tls_server.port, timeout=PATIENCE, context=client_context(certificate))
    with contextlib.closing(connection):
        for size in (10, 1000):
            connection.request("POST", "/body", b"x" * size)
            assert connection.getresponse().read() == b"x" * size
        connection.request("GET", "/a")
        assert connection.getresponse().status == 200


def test_events_over_tls_end_as_tls_does(tls_server: wschat.WebSocketServer, stage: Stage, certificate: Path) -> None:
    with tls_client(tls_server, certificate) as http:
        http.send(plain("GET", "/events"))
        events = Events(http)
        assert events.next().data == "hello"
        stage.streams[0].send("data: over\n\n")
        assert events.next().data == "over"
        stage.streams[0].begin_close()
        assert list(events) == []  # and not an error for an end that anybody could have made


def test_who_reads_nothing_over_tls_is_cut(serve: ServerFactory, certificate: Path) -> None:
    context = Certificate(str(certificate)).context
    server = serve(echo, http=lambda request: Response(200, b"x" * 50_000_000), tls=context, limits=Limits(send_timeout=0.1))
    with tls_client(server, certificate) as http:
        http.send(plain())
        assert http.head()[0] == 200
        eventually(lambda: none_is_open(server))


def test_a_websocket_over_tls_after_a_request(tls_server: wschat.WebSocketServer, certificate: Path) -> None:
    with tls_client(tls_server, certificate) as http:
        assert http.get().status == 200
        http.send(request())
        check_websocket(http)


# Events


def test_events_are_an_answer_without_end(serve: ServerFactory, stage: Stage) -> None:
    server = serve(echo, http=stage)
    with Http.to(server) as http:
        http.send(plain("GET", "/events?a=b"))
        events = Events(http)
        assert events.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert events.headers["cache-control"] == "no-store"
        assert events.headers["x-accel-buffering"] == "no"
        assert events.headers["x-own"] == "yes"
        assert not events.headers.keys() & {"content-length", "transfer-encoding"}
        assert events.next().data == "hello"
        assert server.load().connections == {"websocket": 0, "events": 1, "http": 0}
        [stream] = stage.streams
        assert (stream.path, stream.remote_address) == ("/events?a=b", http.socket.getsockname())
    eventually(lambda: none_is_open(server))
    assert stream.closed is not None


def test_the_head_of_events_is_that_of_any_answer(serve: ServerFactory, stage: Stage) -> None:
    with Http.to(serve(echo, http=stage)) as http:
        http.send(plain("HEAD", "/events"))
        status, headers = http.head()
        assert (status, headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
        assert http.is_over()
    assert stage.streams == []


def test_who_follows_is_not_cut_for_asking_nothing(serve: ServerFactory, stage: Stage) -> None:
    server = serve(echo, http=stage, limits=Limits(opening_timeout=0.05, keep_alive_timeout=0.05))
    with Http.to(server) as http, Http.to(server) as silent:
        http.send(plain("GET", "/events"))
        events = Events(http)
        assert events.next().data == "hello"
        assert silent.is_over()
        stage.streams[0].send("data: still here\n\n")
        assert events.next().data == "still here"


def test_events_that_fail_end_and_are_logged_once(serve: ServerFactory, caplog: pytest.LogCaptureFixture) -> None:
    def follow(stream: EventStream) -> None:
        stream.send("data: hello\n\n")
        raise ValueError("nobody has thought of this")

    server = serve(echo, http=lambda request: EventsResponse(follow))
    with Http.to(server) as http:
        http.send(plain())
        assert [event.data for event in Events(http)] == ["hello"]
    eventually(lambda: none_is_open(server))
    assert len([record for record in caplog.records if record.levelname == "ERROR"]) == 1


def test_events_count_as_connections_of_an_address(serve: ServerFactory, stage: Stage) -> None:
    server = serve(echo, http=stage, limits=Limits(max_connections_per_address=1))
    with Http.to(server) as http, Http.to(server) as other:
        http.send(plain("GET", "/events"))
        assert Events(http).next().data == "hello"
        assert other.get().status == 503


# The end


def stop_in_background(server: wschat.WebSocketServer, stack: contextlib.ExitStack) -> None:
    """Begin to stop it, and wait for the end with the test."""
    pool = ThreadPoolExecutor(1)
    stack.callback(pool.shutdown)
    stack.callback(pool.submit(server.stop, PATIENCE).result)
    eventually(lambda: server._connections.is_closing)


def test_who_is_idle_or_follows_does_not_hold_up_the_end(
    serve: ServerFactory, stage: Stage, connections: contextlib.ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    server = serve(echo, http=stage)
    idle, follower, silent = (connections.enter_context(Http.to(server)) for _ in range(3))
    assert idle.get().status == 200
    follower.send(plain("GET", "/events"))
    events = Events(follower)
    assert events.next().data == "hello"
    stop_in_background(server, connections)
    assert idle.is_over()
    assert list(events) == []
    assert silent.answer().status == 503
    for http in (follower, silent):
        http.__exit__()
    eventually(lambda: none_is_open(server))
    assert stage.streams[0].closed is not None
    assert stage.streams[0].closed.code == wschat.CloseCode.GOING_AWAY
    until_logged(caplog, "1001 the server is stopping")


def test_a_request_that_is_being_answered_is_answered(serve: ServerFactory, stage: Stage, connections: contextlib.ExitStack) -> None:
    server = serve(echo, http=stage)
    http = connections.enter_context(Http.to(server))
    http.send(plain("GET", "/slow"))
    eventually(lambda: stage.requests)
    stop_in_background(server, connections)
    stage.go_on.set()
    assert http.answer().status == 200
    assert http.is_over()


def test_a_request_that_is_not_whole_is_told_that_it_is_too_late(
    serve: ServerFactory, stage: Stage, connections: contextlib.ExitStack
) -> None:
    server = serve(echo, http=stage)
    http = connections.enter_context(Http.to(server))
    http.send(plain("POST", "/body", Content_Length="10") + b"half")
    eventually(lambda: stage.requests)
    stop_in_background(server, connections)
    answer: Answer = http.answer()
    assert (answer.status, answer.code) == (503, "unavailable")
    assert http.is_over()


def test_events_that_begin_as_the_server_ends_are_over_at_once(
    serve: ServerFactory, stage: Stage, connections: contextlib.ExitStack
) -> None:
    def begin(request: Request) -> EventsResponse:
        stage.requests.append(request)
        stage.go_on.wait()
        return EventsResponse(EventStream.wait)

    server = serve(echo, http=begin)
    http = connections.enter_context(Http.to(server))
    http.send(plain())
    eventually(lambda: stage.requests)
    stop_in_background(server, connections)
    stage.go_on.set()
    assert list(Events(http)) == []


def test_the_url_of_a_page_is_that_of_its_websocket(serve: ServerFactory, stage: Stage) -> None:
    """One port, one path, for both."""
    server = serve(echo, http=stage)
    with wschat.connect(url_of(server, "/a")) as ws, Http.to(server) as http:
        ws.send("x")
        assert ws.recv(PATIENCE) == "x"
        assert http.get(urlsplit(url_of(server, "/a")).path).status == 200


def test_who_does_not_leave_after_the_last_answer_is_cut(serve: ServerFactory) -> None:
    server = serve(echo, http=lambda request: Response(200, b"hello"), limits=Limits(opening_timeout=0.2))
    with Http.to(server) as http:
        assert http.get(Connection="close").status == 200
        eventually(lambda: server.load().connections["http"] == 0)


def test_what_is_refused_is_counted_whatever_was_asked_for(serve: ServerFactory) -> None:
    def refuse(request: Request) -> Response:
        raise RequestRefused(404, "There is nothing here.")

    before = counters.read().refusals
    with Http.to(serve(echo, http=refuse)) as http:
        assert http.get().status == 404
    assert counters.read().refusals - before == {404: 1}


@pytest.mark.parametrize("answer", [None, "hello", Response(200, ["hello"]), Response(200, b"x", {"X-Y": "a\r\nb: c"})])  # type: ignore[list-item]
def test_an_answer_that_is_none_is_an_error_of_the_server(serve: ServerFactory, caplog: pytest.LogCaptureFixture, answer: object) -> None:
    with Http.to(serve(echo, http=lambda request: answer)) as http:
        assert http.get().status == 500
    until_logged(caplog, "the answer to GET /")


def test_a_body_that_refuses_in_the_middle_does_not_begin_another_answer(serve: ServerFactory, caplog: pytest.LogCaptureFixture) -> None:
    def body() -> Iterator[bytes]:
        yield b"one"
        raise RequestRefused(503, "Not now.")

    with Http.to(serve(echo, http=lambda request: Response(200, body()))) as http:
        answer = http.get()
    assert (answer.status, answer.body, answer.is_whole) == (200, b"one", False)
    until_logged(caplog, "broke off")


def test_a_body_that_refuses_at_once_is_refused(serve: ServerFactory) -> None:
    def body() -> Iterator[bytes]:
        raise RequestRefused(503, "Not now.")
        yield

    with Http.to(serve(echo, http=lambda request: Response(200, body()))) as http:
        assert http.get().status == 503
