"""Opening a WebSocket inside Werkzeug's server, with the checks and limits of `serve`."""

from __future__ import annotations

import logging
import os
import socket
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

import wschat
from tests.concurrency import TIMEOUT, eventually
from tests.conftest import until_logged
from tests.protocol.wire import CLOSE
from tests.server.raw import Raw, request
from tests.wsgi.wiring import OpenServer, check_echo, echo_app
from wschat.wsgi import WebSocketApp, accept, closing_response
from wschat.wsgi.open_connections import connections_for


def url_of(server: Any, path: str = "/") -> str:
    return f"ws://127.0.0.1:{server.port}{path}"


def refused(server: Any, **options: Any) -> tuple[int | None, str]:
    """Return the status and the body with which a server refuses a connection."""
    with pytest.raises(wschat.OpeningFailed) as failed:
        wschat.connect(url_of(server), **options)
    return failed.value.status, failed.value.body.decode()


def app_of(handler: Callable[[wschat.Connection], None], **options: Any) -> WebSocketApp:
    return WebSocketApp(handler, **options)


def test_a_websocket_inside_werkzeug(werkzeug: OpenServer) -> None:
    check_echo(url_of(werkzeug(echo_app())))


def test_the_websocket_of_a_request_is_opened_once(werkzeug: OpenServer) -> None:
    errors: list[wschat.UsageError] = []

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        with accept(environ) as ws:
            with pytest.raises(wschat.UsageError, match="open already") as error:
                accept(environ)
            errors.append(error.value)
            ws.send("the first one")
        return closing_response(start_response)

    with wschat.connect(url_of(werkzeug(app))) as ws:
        assert ws.recv(TIMEOUT) == "the first one"
    assert len(errors) == 1


def test_what_a_connection_knows_of_its_request(werkzeug: OpenServer) -> None:
    seen: list[wschat.Connection] = []

    def note(request: wschat.Request) -> None:
        request.identity = f"{request.scheme} {request.path} {request.query}"

    server = werkzeug(app_of(seen.append, check_request=note))
    with wschat.connect(url_of(server, "/a%20b/%C3%A4?x=1&x=2"), headers={"X-Colour": "red"}) as ws, pytest.raises(wschat.ConnectionClosed):
        ws.recv(TIMEOUT)
    (connection,) = seen
    assert connection.path == "/a%20b/%C3%A4?x=1&x=2"
    assert connection.headers["x-colour"] == "red"
    assert connection.headers["host"] == f"127.0.0.1:{server.port}"
    assert isinstance(connection.remote_address, tuple)
    assert connection.remote_address[0] == "127.0.0.1"
    assert connection.identity == "http /a%20b/%C3%A4 {'x': '2'}"


def test_subprotocols_and_compression_are_agreed_on(werkzeug: OpenServer) -> None:
    server = werkzeug(echo_app(subprotocols=["a", "b"]))
    with wschat.connect(url_of(server), subprotocols=["b", "c"]) as ws:
        assert ws.subprotocol == "b"
        ws.send("x" * 10_000)
        assert ws.recv(TIMEOUT) == "x" * 10_000
        assert ws.bytes_received < 1000


def test_an_application_that_calls_accept(werkzeug: OpenServer) -> None:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        with accept(environ) as ws:
            ws.send(ws.recv())
        return closing_response(start_response)

    with wschat.connect(url_of(werkzeug(app))) as ws:
        ws.send("Hello!")
        assert ws.recv(TIMEOUT) == "Hello!"


def test_a_broadcast_reaches_connections_of_both_servers(werkzeug: OpenServer, serve: Callable[..., wschat.WebSocketServer]) -> None:
    hub = wschat.Hub()

    def join(ws: wschat.Connection) -> None:
        hub.join(ws)
        for message in ws:
            hub.broadcast(message)
        hub.leave(ws)

    own = serve(join)
    with wschat.connect(url_of(werkzeug(app_of(join)))) as inside, wschat.connect(url_of(own)) as outside:
        eventually(lambda: len(hub) == 2)
        inside.send("to all")
        assert (inside.recv(TIMEOUT), outside.recv(TIMEOUT)) == ("to all", "to all")


def test_nothing_follows_the_close_frame(werkzeug: OpenServer, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    server = werkzeug(app_of(lambda ws: None))
    with Raw.to(server) as raw:
        assert raw.ask(request()).status == 101
        assert raw.frame() == (CLOSE, (1000).to_bytes(2, "big"))
        raw.send(bytes([CLOSE, 0x82, 0, 0, 0, 0]) + (1000).to_bytes(2, "big"))
        assert raw.rest() == b""
    assert '"GET / HTTP/1.1" 101' in until_logged(caplog, "101").getMessage().replace("\x1b[1m", "").replace("\x1b[0m", "")
    assert "Traceback" not in caplog.text + capfd.readouterr().err


def test_nothing_follows_the_end_of_a_client_that_vanishes(werkzeug: OpenServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with Raw.to(werkzeug(echo_app())) as raw:
        assert raw.ask(request()).status == 101
        raw.vanish()
    assert "1006" in until_logged(caplog, "closed after").getMessage()
    until_logged(caplog, "101")
    assert "Traceback" not in caplog.text


def test_a_handler_that_fails_closes_with_1011_and_is_logged_by_the_server(werkzeug: OpenServer, caplog: pytest.LogCaptureFixture) -> None:
    def fail(ws: wschat.Connection) -> None:
        raise LookupError("no such thing")

    with Raw.to(werkzeug(app_of(fail))) as raw:
        assert raw.ask(request()).status == 101
        assert raw.close_code() == 1011
        raw.send(bytes([CLOSE, 0x82, 0, 0, 0, 0]) + (1011).to_bytes(2, "big"))
        assert raw.rest() == b""
    assert "no such thing" in until_logged(caplog, "Error on request").getMessage()


def test_openings_and_ends_are_logged(werkzeug: OpenServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "wschat.server")
    check_echo(url_of(werkzeug(echo_app()), "/x?token=secret"))
    assert "opened /x" in until_logged(caplog, "opened").getMessage()
    assert "1000" in until_logged(caplog, "closed after").getMessage()
    assert "secret" not in "".join(record.getMessage() for record in caplog.records if record.name == "wschat.server")


def test_a_path_below_a_prefix(werkzeug: OpenServer) -> None:
    from werkzeug.middleware.dispatcher import DispatcherMiddleware

    seen: list[str] = []

    def check(request: wschat.Request) -> None:
        seen.append(f"{request.prefix} {request.target}")

    app = app_of(lambda ws: ws.send(ws.path), check_request=check)
    server = werkzeug(DispatcherMiddleware(echo_app(), {"/be low": app}))
    with wschat.connect(url_of(server, "/be%20low/here?x=1")) as ws:
        assert ws.recv(TIMEOUT) == "/here?x=1"
    assert seen == ["/be%20low /here?x=1"]


def test_a_header_of_a_middleware_may_be_any_text(werkzeug: OpenServer) -> None:
    app = echo_app()
    server = werkzeug(lambda environ, start_response: app({**environ, "HTTP_X_USER": "Łukasz"}, start_response))
    check_echo(url_of(server))


def test_many_connections_leave_nothing_behind(werkzeug: OpenServer) -> None:
    limits = wschat.Limits(close_timeout=4.25)
    server = werkzeug(echo_app(limits=limits))
    check_echo(url_of(server))
    before = len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0
    for _ in range(30):
        check_echo(url_of(server))
    eventually(lambda: len(connections_for(limits)) == 0)
    if sys.platform == "linux":
        eventually(lambda: len(os.listdir("/proc/self/fd")) <= before)


# Refusals


def test_pages_of_other_origins_are_refused(werkzeug: OpenServer) -> None:
    server = werkzeug(echo_app())
    status, body = refused(server, origin="https://evil.example")
    assert status == 403
    assert "https://evil.example" in body
    check_echo(url_of(server), origin=f"http://127.0.0.1:{server.port}")


def test_listed_origins_may_connect(werkzeug: OpenServer) -> None:
    check_echo(url_of(werkzeug(echo_app(origins=["https://app.example"]))), origin="https://app.example")


def test_a_request_may_be_refused(werkzeug: OpenServer) -> None:
    def check(request: wschat.Request) -> None:
        raise wschat.RequestRefused(401, "Who are you?", {"WWW-Authenticate": "Basic"})

    assert refused(werkzeug(echo_app(check_request=check))) == (401, "Who are you?\n")


def test_a_check_that_returns_a_value_refuses_the_request(werkzeug: OpenServer) -> None:
    status, _ = refused(werkzeug(echo_app(check_request=lambda request: True)))
    assert status == 500


@pytest.mark.parametrize(("method", "status"), [("GET", 426), ("POST", 405)])
def test_a_request_for_no_websocket_is_refused(werkzeug: OpenServer, method: str, status: int) -> None:
    url = f"http://127.0.0.1:{werkzeug(echo_app()).port}/"
    with pytest.raises(urllib.error.HTTPError) as failed:
        urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=TIMEOUT)
    assert failed.value.code == status
    failed.value.close()


def test_http_2_is_refused_without_touching_its_socket() -> None:
    environ = {"REQUEST_METHOD": "GET", "SERVER_PROTOCOL": "HTTP/2", "gunicorn.socket": socket.socket, "wsgi.multithread": True}
    with pytest.raises(wschat.RequestRefused, match=r"opened with HTTP/1.1, not with HTTP/2"):
        accept(environ)


# Limits


def test_connections_above_a_limit_are_refused(werkzeug: OpenServer) -> None:
    limits = wschat.Limits(max_connections=1, close_timeout=4.5)
    server = werkzeug(echo_app(limits=limits))
    with wschat.connect(url_of(server)):
        assert refused(server)[0] == 503
    eventually(lambda: len(connections_for(limits)) == 0)
    check_echo(url_of(server))


def test_connections_from_one_address_are_limited(werkzeug: OpenServer) -> None:
    server = werkzeug(echo_app(limits=wschat.Limits(max_connections_per_address=2)))
    with wschat.connect(url_of(server)), wschat.connect(url_of(server)):
        assert refused(server)[0] == 503


def test_a_message_above_the_limit_closes_the_connection(werkzeug: OpenServer) -> None:
    server = werkzeug(echo_app(limits=wschat.Limits(max_message_bytes=10)))
    with wschat.connect(url_of(server)) as ws:
        ws.send("x" * 11)
        with pytest.raises(wschat.ConnectionClosed) as closed:
            ws.recv(TIMEOUT)
    assert closed.value.code == 1009


def test_a_peer_that_answers_no_ping_is_closed(werkzeug: OpenServer) -> None:
    server = werkzeug(echo_app(limits=wschat.Limits(ping_interval=0.05, ping_timeout=0.05, close_timeout=0.1)))
    with Raw.to(server) as raw:
        assert raw.ask(request()).status == 101
        assert raw.frame()[0] == 0x89
        while (frame := raw.frame())[0] == 0x89:
            pass
    assert (frame[0], int.from_bytes(frame[1][:2], "big")) == (CLOSE, 1011)


def test_the_background_threads_end_with_the_last_connection(werkzeug: OpenServer) -> None:
    check_echo(url_of(werkzeug(echo_app())))
    eventually(lambda: not {thread.name for thread in threading.enumerate()} & {"wschat-writer", "wschat-timers"})
