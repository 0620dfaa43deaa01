"""HTTP on a connection that is not a WebSocket (yet): paths, origins, proxies, TLS, event streams, and stopping."""

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
from tests.concurrency import TIMEOUT, eventually
from tests.conftest import ServerFactory, echo, until_logged, url_of
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


class App:
    """An `HttpHandler` that records its requests. Its response to /slow waits for the test."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.streams: list[EventStream] = []
        self.may_respond = threading.Event()

    def __call__(self, request: Request) -> Response | EventsResponse:
        self.requests.append(request)
        if request.path == "/slow":
            self.may_respond.wait()
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
def app() -> App:
    return App()


@pytest.fixture
def connections() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


def has_no_connections(server: wschat.WebSocketServer) -> bool:
    return not any(server.load().connections.values())


# HTTP and WebSockets on one port


def check_websocket(http: Http) -> None:
    response = http.response()
    assert (response.status, response.headers["sec-websocket-accept"]) == (101, ACCEPT)
    http.send(frame(TEXT, b"hello", masked=True))
    assert http.frame() == (TEXT, b"hello")


def test_a_connection_can_become_a_websocket_after_other_requests(serve: ServerFactory, app: App) -> None:
    with Http.to(serve(echo, http=app)) as http:
        assert http.get().status == 200
        http.send(request())
        check_websocket(http)


def test_an_opening_request_and_a_message_can_follow_pipelined_requests(serve: ServerFactory, app: App) -> None:
    with Http.to(serve(echo, http=app)) as http:
        http.send(plain("POST", "/body", b"body") + plain() + request() + frame(TEXT, b"early", masked=True))
        assert http.answer().body == b"body"
        assert http.answer().status == 200
        assert http.response().status == 101
        assert http.frame() == (TEXT, b"early")


def test_an_upgrade_to_another_protocol_is_ignored(serve: ServerFactory, app: App) -> None:
    """RFC 9110, section 7.8. Java's client offers HTTP/2 with each request."""
    with Http.to(serve(echo, http=app)) as http:
        for _ in range(2):
            answer = http.get("/a", Upgrade="h2c", Connection="Upgrade, HTTP2-Settings", HTTP2_Settings="AAMAAABkAAQAoAAAAAIAAAAA")
            assert (answer.status, answer.json["path"]) == (200, "/a")
            assert "connection" not in answer.headers
        http.send(request())
        check_websocket(http)


def test_without_an_http_handler_plain_requests_get_426(serve: ServerFactory) -> None:
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
def test_an_invalid_opening_request_is_not_passed_to_the_application(serve: ServerFactory, app: App, data: bytes, status: int) -> None:
    with Http.to(serve(echo, http=app)) as http:
        assert http.call(data).status == status
        assert http.is_over()
    assert app.requests == []


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
def test_errors_are_json_that_browsers_do_not_sniff(serve: ServerFactory, data: bytes, status: int) -> None:
    with Http.to(serve(echo, http=lambda request: None, path_prefix="/chat")) as http:
        answer = http.call(data)
    assert (answer.status, answer.headers["x-content-type-options"]) == (status, "nosniff")
    assert answer.headers["content-type"] == "application/json; charset=utf-8"


def test_the_response_above_the_limit_is_not_sniffed_either(serve: ServerFactory, app: App) -> None:
    server = serve(echo, http=app, limits=Limits(max_connections=1))
    with Http.to(server) as http:
        http.send(plain("GET", "/events"))
        assert http.head()[0] == 200
        with Http.to(server) as other:
            answer = other.answer()
    assert (answer.status, answer.headers["x-content-type-options"]) == (503, "nosniff")


@pytest.mark.parametrize("version", ["HTTP/0.9", "HTTP/1.2", "HTTP/2.0", "HTTP/3.0"])
def test_an_unsupported_http_version_gets_505(serve: ServerFactory, app: App, version: str) -> None:
    with Http.to(serve(echo, http=app)) as http:
        answer = http.call(plain("GET", "/", version=version))
        assert (answer.status, answer.code, answer.headers["connection"]) == (505, "version-not-supported", "close")
        assert http.is_over()
    assert app.requests == []


def test_the_preface_of_http_2_gets_505(serve: ServerFactory, app: App) -> None:
    """RFC 9113, section 3.4: the first bytes of a client that expects HTTP/2."""
    with Http.to(serve(echo, http=app)) as http:
        answer = http.call(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert (answer.status, answer.json["text"]) == (505, "HTTP/1.1 and HTTP/1.0 are spoken here.")
        assert http.is_over()


@pytest.mark.parametrize(("data", "status"), [(plain(X_Long="x" * 17_000), 431), (b"what?\r\n\r\n", 400), (b"\x16\x03\x01", 400)])
def test_an_invalid_request_after_a_valid_one_is_refused(serve: ServerFactory, app: App, data: bytes, status: int) -> None:
    with Http.to(serve(echo, http=app)) as http:
        assert http.get().status == 200
        assert http.call(data).status == status
        assert http.is_over()


def test_a_plain_request_is_logged_without_its_query(serve: ServerFactory, app: App, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with Http.to(serve(echo, http=app)) as http:
        http.get("/a?token=secret")
        record = until_logged(caplog, "GET /a: 200")
    assert record.levelno == logging.DEBUG
    assert "secret" not in caplog.text


# Path prefixes


@pytest.mark.parametrize(
    ("target", "path"),
    [("/chat/", "/"), ("/chat/a/b?x=1", "/a/b"), ("/chat", ""), ("/chat?x=1", ""), ("/chat/chat/a", "/chat/a")],
)
def test_the_application_gets_the_path_below_the_prefix(serve: ServerFactory, app: App, target: str, path: str) -> None:
    with Http.to(serve(echo, http=app, path_prefix="/chat")) as http:
        assert http.get(target).json == {"path": path, "prefix": "/chat", "query": {"x": "1"} if "?" in target else {}}


@pytest.mark.parametrize("target", ["/", "/a", "/chatter", "/cha", "/a/chat/", "//chat/", "/Chat/"])
def test_paths_outside_the_prefix_get_404(serve: ServerFactory, app: App, target: str) -> None:
    with Http.to(serve(echo, http=app, path_prefix="/chat")) as http:
        answer = http.get(target)
        assert (answer.status, answer.code) == (404, "not-found")
        assert "/chat/" in answer.json["text"]
        assert http.call(request(target=target)).status == 404


def test_a_websocket_below_a_prefix(serve: ServerFactory) -> None:
    server = serve(lambda ws: ws.send(ws.path), path_prefix="/a/b")
    with wschat.connect(url_of(server, "/a/b/rooms/tea?name=x")) as ws:
        assert ws.recv(TIMEOUT) == "/rooms/tea?name=x"


@pytest.mark.parametrize("prefix", ["chat", "/", "/chat/", "/a//b", "/a b", "/é", "?"])
def test_an_invalid_prefix_raises_usage_error(prefix: str) -> None:
    with pytest.raises(UsageError, match="path prefix"):
        wschat.serve(echo, port=0, path_prefix=prefix)


# Pages of other origins

PAGE = "https://page.example"


@pytest.mark.parametrize(
    ("origins", "origin", "status", "allowed", "with_credentials"),
    [
        ((), PAGE, 403, "*", None),
        ((PAGE,), PAGE, 200, PAGE, "true"),
        (("*",), PAGE, 200, PAGE, None),
        ((PAGE,), "https://other.example", 403, "*", None),
        (("*", PAGE), PAGE, 200, PAGE, "true"),
        ((), "http://localhost:3000", 200, "http://localhost:3000", None),
        ((), "null", 403, "*", None),
        (("*",), "https://\xe9.example", 200, "https://\xe9.example", None),
    ],
)
def test_which_pages_may_read_a_response(
    serve: ServerFactory,
    app: App,
    origins: tuple[str, ...],
    origin: str,
    status: int,
    allowed: str,
    with_credentials: str | None,
) -> None:
    """Any page may read that it is refused."""
    with Http.to(serve(echo, http=app, origins=origins)) as http:
        answer = http.get(Origin=origin)
        assert answer.status == status
        assert answer.headers["access-control-allow-origin"] == allowed
        assert answer.headers.get("access-control-allow-credentials") == with_credentials
        assert http.get("/", Origin=origin).status == status  # a refusal does not end the connection
    assert len(app.requests) == (2 if status == 200 else 0)


def test_pages_may_read_errors_and_their_retry_after(serve: ServerFactory) -> None:
    def refuse(request: Request) -> Response:
        raise RequestRefused(429, "Too fast.", {"Retry-After": "3"})

    with Http.to(serve(echo, http=refuse, origins=[PAGE])) as http:
        answer = http.get(Origin=PAGE)
        assert (answer.status, answer.headers["access-control-allow-origin"]) == (429, PAGE)
        assert "Retry-After" in answer.headers["access-control-expose-headers"]


def test_vary_names_the_origin_besides_what_the_response_names(serve: ServerFactory) -> None:
    """So that a cache does not give a response to pages of other origins."""
    server = serve(echo, http=lambda request: Response(200, b"x", {"Vary": "Accept-Encoding"}), origins=[PAGE])
    with Http.to(server) as http:
        assert set(http.get(Origin=PAGE).headers["vary"].split(", ")) == {"Origin", "Accept-Encoding"}
        assert http.get().headers["vary"] == "Accept-Encoding"


def test_a_preflight_request_is_answered(serve: ServerFactory, app: App) -> None:
    ask = {"Access_Control_Request_Method": "POST", "Access_Control_Request_Headers": "content-type,idempotency-key"}
    with Http.to(serve(echo, http=app, origins=[PAGE])) as http:
        answer = http.call(plain("OPTIONS", "/body", b"", Origin=PAGE, **ask))
        assert answer.status == 204
        assert answer.headers["access-control-allow-origin"] == PAGE
        assert "POST" in answer.headers["access-control-allow-methods"]
        names = {name.strip().lower() for name in answer.headers["access-control-allow-headers"].split(",")}
        assert names >= {"authorization", "content-type", "idempotency-key", "last-event-id"}
        assert int(answer.headers["access-control-max-age"]) > 0
        refused = http.call(plain("OPTIONS", "/body", b"", Origin="https://evil.test", **ask))
        assert refused.status == 403
        assert "access-control-allow-methods" not in refused.headers
    assert app.requests == []


def test_options_without_an_origin_is_passed_to_the_application(serve: ServerFactory, app: App) -> None:
    with Http.to(serve(echo, http=app)) as http:
        http.call(plain("OPTIONS", "/a"))
    assert [seen.method for seen in app.requests] == ["OPTIONS"]


def test_a_page_of_an_allowed_origin_may_follow_events(serve: ServerFactory, app: App) -> None:
    with Http.to(serve(echo, http=app, origins=[PAGE])) as http:
        http.send(plain("GET", "/events", Origin=PAGE))
        events = Events(http)
        assert events.headers["access-control-allow-origin"] == PAGE
        assert events.next().data == "hello"


# Client addresses


def test_a_trusted_proxy_reports_the_client_of_each_request(serve: ServerFactory, app: App) -> None:
    server = serve(echo, http=app, trusted_proxies=["127.0.0.1"])
    with Http.to(server) as http:
        for address in ("203.0.113.1", "203.0.113.2", "2001:db8::1"):
            http.get(X_Forwarded_For=address)
        http.get()
    assert [seen.remote_address[0] for seen in app.requests] == ["203.0.113.1", "203.0.113.2", "2001:db8::1", "127.0.0.1"]  # type: ignore[index]


def test_the_headers_of_an_untrusted_proxy_are_ignored(serve: ServerFactory, app: App) -> None:
    with Http.to(serve(echo, http=app)) as http:
        http.get(X_Forwarded_For="203.0.113.1", Forwarded="for=203.0.113.1")
        assert app.requests[0].remote_address == http.socket.getsockname()


def test_a_proxy_gets_503_for_a_client_above_the_limit_and_can_go_on_for_others(serve: ServerFactory, app: App) -> None:
    server = serve(echo, http=app, limits=Limits(max_connections_per_address=1), trusted_proxies=["127.0.0.1"])
    with Http.to(server) as one, Http.to(server) as two:
        one.send(plain("GET", "/events", X_Forwarded_For="203.0.113.1"))
        assert one.head()[0] == 200
        answer = two.get(X_Forwarded_For="203.0.113.1")
        assert (answer.status, answer.code, answer.headers["retry-after"]) == (503, "unavailable", "10")
        assert two.get(X_Forwarded_For="203.0.113.2").status == 200


def test_over_a_unix_socket(serve: ServerFactory, app: App, tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    server = serve(echo, http=app, unix_path=path)
    client = socket.socket(socket.AF_UNIX)
    client.connect(path)
    with Http(client) as http:
        assert http.get("/a").json["path"] == "/a"
        http.send(plain("GET", "/events"))
        assert Events(http).next().data == "hello"
        assert server.load().connections["events"] == 1


# TLS


@pytest.fixture
def tls_server(serve: ServerFactory, app: App, certificate: Path) -> wschat.WebSocketServer:
    return serve(echo, http=app, tls=Certificate(str(certificate)).context)


def tls_client(server: wschat.WebSocketServer, certificate: Path) -> Http:
    sock = socket.create_connection(("127.0.0.1", server.port), TIMEOUT)
    return Http(client_context(certificate).wrap_socket(sock, server_hostname="127.0.0.1", suppress_ragged_eofs=False))


def test_responses_over_tls(tls_server: wschat.WebSocketServer, certificate: Path) -> None:
    connection = HTTPSConnection("127.0.0.1", tls_server.port, timeout=TIMEOUT, context=client_context(certificate))
    with contextlib.closing(connection):
        for size in (10, 1000):
            connection.request("POST", "/body", b"x" * size)
            assert connection.getresponse().read() == b"x" * size
        connection.request("GET", "/a")
        assert connection.getresponse().status == 200


def test_events_over_tls_end_with_close_notify(tls_server: wschat.WebSocketServer, app: App, certificate: Path) -> None:
    with tls_client(tls_server, certificate) as http:
        http.send(plain("GET", "/events"))
        events = Events(http)
        assert events.next().data == "hello"
        app.streams[0].send("data: over\n\n")
        assert events.next().data == "over"
        app.streams[0].begin_close()
        assert list(events) == []  # without close_notify, this raises an error


def test_a_client_that_reads_nothing_over_tls_is_disconnected(serve: ServerFactory, certificate: Path) -> None:
    context = Certificate(str(certificate)).context
    server = serve(echo, http=lambda request: Response(200, b"x" * 50_000_000), tls=context, limits=Limits(send_timeout=0.1))
    with tls_client(server, certificate) as http:
        http.send(plain())
        assert http.head()[0] == 200
        eventually(lambda: has_no_connections(server))


def test_a_websocket_over_tls_after_a_request(tls_server: wschat.WebSocketServer, certificate: Path) -> None:
    with tls_client(tls_server, certificate) as http:
        assert http.get().status == 200
        http.send(request())
        check_websocket(http)


# Events


def test_an_event_stream_is_a_response_without_a_length(serve: ServerFactory, app: App) -> None:
    server = serve(echo, http=app)
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
        [stream] = app.streams
        assert (stream.path, stream.remote_address) == ("/events?a=b", http.socket.getsockname())
    eventually(lambda: has_no_connections(server))
    assert stream.closed is not None


def test_head_of_an_event_stream_gets_the_headers_only(serve: ServerFactory, app: App) -> None:
    with Http.to(serve(echo, http=app)) as http:
        http.send(plain("HEAD", "/events"))
        status, headers = http.head()
        assert (status, headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
        assert http.is_over()
    assert app.streams == []


def test_a_client_that_follows_events_does_not_time_out(serve: ServerFactory, app: App) -> None:
    server = serve(echo, http=app, limits=Limits(opening_timeout=0.05, keep_alive_timeout=0.05))
    with Http.to(server) as http, Http.to(server) as silent:
        http.send(plain("GET", "/events"))
        events = Events(http)
        assert events.next().data == "hello"
        assert silent.is_over()
        app.streams[0].send("data: still here\n\n")
        assert events.next().data == "still here"


def test_an_event_stream_that_fails_ends_and_is_logged_once(serve: ServerFactory, caplog: pytest.LogCaptureFixture) -> None:
    def follow(stream: EventStream) -> None:
        stream.send("data: hello\n\n")
        raise ValueError("a bug in the handler")

    server = serve(echo, http=lambda request: EventsResponse(follow))
    with Http.to(server) as http:
        http.send(plain())
        assert [event.data for event in Events(http)] == ["hello"]
    eventually(lambda: has_no_connections(server))
    assert len([record for record in caplog.records if record.levelname == "ERROR"]) == 1


def test_events_count_as_connections_of_an_address(serve: ServerFactory, app: App) -> None:
    server = serve(echo, http=app, limits=Limits(max_connections_per_address=1))
    with Http.to(server) as http, Http.to(server) as other:
        http.send(plain("GET", "/events"))
        assert Events(http).next().data == "hello"
        assert other.get().status == 503


# Stopping


def stop_in_background(server: wschat.WebSocketServer, stack: contextlib.ExitStack) -> None:
    """Begin to stop the server, and wait for it after the test."""
    pool = ThreadPoolExecutor(1)
    stack.callback(pool.shutdown)
    stack.callback(pool.submit(server.stop, TIMEOUT).result)
    eventually(lambda: server._connections.is_closing)


def test_idle_clients_and_event_streams_do_not_delay_a_stop(
    serve: ServerFactory, app: App, connections: contextlib.ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    server = serve(echo, http=app)
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
    eventually(lambda: has_no_connections(server))
    assert app.streams[0].closed is not None
    assert app.streams[0].closed.code == wschat.CloseCode.GOING_AWAY
    until_logged(caplog, "1001 the server is stopping")


def test_a_request_in_progress_is_answered_during_a_stop(serve: ServerFactory, app: App, connections: contextlib.ExitStack) -> None:
    server = serve(echo, http=app)
    http = connections.enter_context(Http.to(server))
    http.send(plain("GET", "/slow"))
    eventually(lambda: app.requests)
    stop_in_background(server, connections)
    app.may_respond.set()
    answer = http.answer()
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    assert http.is_over()


def test_an_incomplete_request_gets_503_during_a_stop(serve: ServerFactory, app: App, connections: contextlib.ExitStack) -> None:
    server = serve(echo, http=app)
    http = connections.enter_context(Http.to(server))
    http.send(plain("POST", "/body", Content_Length="10") + b"half")
    eventually(lambda: app.requests)
    stop_in_background(server, connections)
    answer: Answer = http.answer()
    assert (answer.status, answer.code) == (503, "unavailable")
    assert http.is_over()


def test_events_that_begin_during_a_stop_end_at_once(serve: ServerFactory, app: App, connections: contextlib.ExitStack) -> None:
    def begin(request: Request) -> EventsResponse:
        app.requests.append(request)
        app.may_respond.wait()
        return EventsResponse(EventStream.wait)

    server = serve(echo, http=begin)
    http = connections.enter_context(Http.to(server))
    http.send(plain())
    eventually(lambda: app.requests)
    stop_in_background(server, connections)
    app.may_respond.set()
    assert list(Events(http)) == []


def test_pages_and_websockets_share_port_and_path(serve: ServerFactory, app: App) -> None:
    server = serve(echo, http=app)
    with wschat.connect(url_of(server, "/a")) as ws, Http.to(server) as http:
        ws.send("x")
        assert ws.recv(TIMEOUT) == "x"
        assert http.get(urlsplit(url_of(server, "/a")).path).status == 200


def test_a_client_that_stays_after_the_last_response_is_disconnected(serve: ServerFactory) -> None:
    server = serve(echo, http=lambda request: Response(200, b"hello"), limits=Limits(opening_timeout=0.2))
    with Http.to(server) as http:
        assert http.get(Connection="close").status == 200
        eventually(lambda: server.load().connections["http"] == 0)


def test_a_refusal_by_the_application_is_counted(serve: ServerFactory) -> None:
    def refuse(request: Request) -> Response:
        raise RequestRefused(404, "There is nothing here.")

    before = counters.read().refusals
    with Http.to(serve(echo, http=refuse)) as http:
        assert http.get().status == 404
    assert counters.read().refusals - before == {404: 1}


@pytest.mark.parametrize("answer", [None, "hello", Response(200, ["hello"]), Response(200, b"x", {"X-Y": "a\r\nb: c"})])  # type: ignore[list-item]
def test_an_invalid_response_of_the_application_gets_500(serve: ServerFactory, caplog: pytest.LogCaptureFixture, answer: object) -> None:
    with Http.to(serve(echo, http=lambda request: answer)) as http:
        assert http.get().status == 500
    until_logged(caplog, "the answer to GET /")


def test_a_refusal_in_the_middle_of_a_body_does_not_begin_another_response(serve: ServerFactory, caplog: pytest.LogCaptureFixture) -> None:
    def body() -> Iterator[bytes]:
        yield b"one"
        raise RequestRefused(503, "Not now.")

    with Http.to(serve(echo, http=lambda request: Response(200, body()))) as http:
        answer = http.get()
    assert (answer.status, answer.body, answer.is_whole) == (200, b"one", False)
    until_logged(caplog, "broke off")


def test_a_refusal_at_the_beginning_of_a_body_is_sent(serve: ServerFactory) -> None:
    def body() -> Iterator[bytes]:
        raise RequestRefused(503, "Not now.")
        yield

    with Http.to(serve(echo, http=lambda request: Response(200, body()))) as http:
        assert http.get().status == 503
