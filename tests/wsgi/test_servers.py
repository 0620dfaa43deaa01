"""Servers in which a WebSocket cannot be opened: the error says why, and names those that work."""

from __future__ import annotations

import socket
import threading
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest

import wschat
from tests.concurrency import TIMEOUT
from wschat.wsgi import accept
from wschat.wsgi.servers import socket_of

SUITABLE = "use wschat.serve(handler, wsgi=app), Werkzeug with threaded=True, or gunicorn with --worker-class gthread --threads N"


class QuietHandler(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


class GreenSocket(socket.socket):
    """A stand-in for the sockets of gevent, which is not installed."""

    __module__ = "gevent._socket3"


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({"SERVER_SOFTWARE": "waitress"}, "waitress"),
        ({"SERVER_SOFTWARE": "Cheroot/11.1"}, "Cheroot/11.1"),
        ({"SERVER_SOFTWARE": "granian"}, "granian"),
        ({"uwsgi.version": b"2.0"}, "uWSGI"),
        ({"mod_wsgi.version": (5, 0), "SERVER_SOFTWARE": "Apache/2.4"}, "mod_wsgi"),
        ({}, "this server"),
    ],
)
def test_a_server_without_a_socket_is_named(environ: dict[str, Any], name: str) -> None:
    with pytest.raises(wschat.UsageError) as error:
        socket_of({"wsgi.multithread": True, **environ})
    assert str(error.value) == f"{name} hands no socket to an application, and a WebSocket needs one: {SUITABLE}"


@pytest.mark.parametrize("key", ["gunicorn.socket", "werkzeug.socket"])
def test_a_server_without_threads_is_refused(key: str) -> None:
    with socket.socket() as sock, pytest.raises(wschat.UsageError) as error:
        socket_of({"SERVER_SOFTWARE": "gunicorn/27.0.1", key: sock, "wsgi.multithread": False})
    assert str(error.value) == (
        f"gunicorn/27.0.1 serves one request at a time here, and would serve no other while a WebSocket is open: {SUITABLE}"
    )


def test_a_server_with_greenlets_is_refused() -> None:
    with GreenSocket() as sock, pytest.raises(wschat.UsageError, match=r"gunicorn/27.0.1 runs with gevent, and wschat needs threads: use"):
        socket_of({"SERVER_SOFTWARE": "gunicorn/27.0.1", "gunicorn.socket": sock, "wsgi.multithread": True})


@pytest.mark.parametrize("key", ["gunicorn.socket", "werkzeug.socket"])
def test_the_socket_of_a_server_with_threads(key: str) -> None:
    with socket.socket() as sock:
        assert socket_of({key: sock, "wsgi.multithread": True}) is sock


def test_a_websocket_inside_wsgiref_is_an_error_of_the_program() -> None:
    errors = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        try:
            accept(environ)
        except wschat.UsageError as error:
            errors.append(str(error))
        start_response("500 Internal Server Error", [("Content-Length", "0")])
        return []

    with make_server("127.0.0.1", 0, app, handler_class=QuietHandler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        with pytest.raises(wschat.OpeningFailed):
            wschat.connect(f"ws://127.0.0.1:{server.server_port}/")
        thread.join(TIMEOUT)
    assert errors[0].startswith("WSGIServer/")
    assert errors[0].endswith(SUITABLE)
