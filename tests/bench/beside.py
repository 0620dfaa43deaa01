"""`beside`: the latency of requests to a Flask application, alone and beside open WebSockets, on wschat, gunicorn and Flask-SocketIO."""

from __future__ import annotations

import math
import selectors
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from statistics import median
from time import monotonic, perf_counter
from typing import NamedTuple

from tests.bench.report import Report
from tests.bench.wsgi import BODY, is_installed, serving
from tests.concurrency import eventually
from tests.server.raw import request

_SOCKETS = 100
_REQUESTS = 1000
_REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
_REQUIRED_TIMES_ALONE = 1.2
# A server without a free thread answers nothing: after this many seconds, neither an opening nor a request is waited for.
_GIVE_UP_SECONDS = 5.0
_PRELUDE = "from tests.bench.flask_app import app, sock; "


class Server(NamedTuple):
    """A server of the application."""

    module: str
    """The module that must be installed."""
    program: str
    """The program; `port` is the port to listen on."""
    target: str
    """The target of its WebSockets."""


SERVERS = {
    "wschat": Server("wschat", "import wschat; wschat.serve(sock.handler, port=port, wsgi=app).serve_forever()", "/ws"),
    "gunicorn gthread, 8 threads": Server(
        "gunicorn",
        "import sys; sys.argv[1:] = ['-k', 'gthread', '--threads', '8', '--keep-alive', '60', '-b', f'127.0.0.1:{port}', "
        "'--no-control-socket', 'tests.bench.flask_app:app']; from gunicorn.app.wsgiapp import run; run()",
        "/ws",
    ),
    "Flask-SocketIO, threading": Server(
        "flask_socketio",
        "from flask_socketio import SocketIO; from werkzeug.serving import WSGIRequestHandler as Handler; "
        "Handler.protocol_version = 'HTTP/1.1'; Handler.log_request = lambda *_: None; "
        "SocketIO(app, async_mode='threading').run(app, port=port, allow_unsafe_werkzeug=True)",
        "/socket.io/?EIO=4&transport=websocket",
    ),
}


def run(rounds: int) -> bool:
    """Measure the servers that are installed. Return True if there was no problem."""
    report = Report(f"beside: requests to an application of Flask beside {_SOCKETS} open WebSockets, {rounds} rounds of {_REQUESTS}")
    if is_installed("flask"):
        show_servers(report, rounds)
    else:
        report.problems.append("it needs Flask: pip install '.[dev]'")
    return report.show()


def show_servers(report: Report, rounds: int) -> None:
    """Measure the servers in turn, and add rows to the report."""
    present = {name: server for name, server in SERVERS.items() if is_installed(server.module)}
    for name in SERVERS.keys() - present:
        report.remarks.append(f"without {name}: pip install {SERVERS[name].module.replace('_', '-')}")
    alone: dict[str, list[float]] = {name: [] for name in present}
    beside: dict[str, list[float]] = {name: [] for name in present}
    opened: dict[str, int] = {}
    with ExitStack() as stack:
        ports = {name: stack.enter_context(serving(_PRELUDE + server.program)) for name, server in present.items()}
        for _ in range(rounds):
            for name, server in present.items():
                eventually(partial(is_answering, ports[name]))
                alone[name].append(latency_of(ports[name]))
                with holding(ports[name], server.target) as opened[name]:
                    beside[name].append(latency_of(ports[name]))
    for name in present:
        ratio = median(beside[name]) / median(alone[name])
        is_wschat = name == "wschat"
        report.add(f"{name}: a request alone", f"{median(alone[name]) * 1e6:,.0f} us")
        report.add(
            f"beside {opened[name]} of {_SOCKETS} WebSockets",
            f"{median(beside[name]) * 1e6:,.0f} us, {ratio:.2f} times" if ratio < math.inf else f"none within {_GIVE_UP_SECONDS:g} s",
            required=f"at most {_REQUIRED_TIMES_ALONE} times" if is_wschat else "",
            is_met=not is_wschat or ratio <= _REQUIRED_TIMES_ALONE,
        )


def is_answering(port: int) -> bool:
    """Return True if the server has a free thread again."""
    return latency_of(port, 1) < math.inf


@contextmanager
def holding(port: int, target: str) -> Iterator[int]:
    """Open WebSockets, as many as the server has threads for. Yield their number."""
    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        for _ in range(_SOCKETS):
            sock = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            sock.sendall(request(target=target))
            selector.register(sock, selectors.EVENT_READ)
        gives_up_at = monotonic() + _GIVE_UP_SECONDS
        while selector.get_map() and monotonic() < gives_up_at:
            for key, _ in selector.select(gives_up_at - monotonic()):
                assert isinstance(key.fileobj, socket.socket)
                assert b" 101 " in key.fileobj.recv(4096)
                selector.unregister(key.fileobj)
        yield _SOCKETS - len(selector.get_map())


def latency_of(port: int, requests: int = _REQUESTS) -> float:
    """Return the median of the time that a request takes; infinity if one is not answered.

    That includes the time to connect, if the server has closed the connection after the request before.
    """
    took = []
    with ExitStack() as connection:
        sock: socket.socket | None = None
        for _ in range(requests):
            began_at = perf_counter()
            try:
                if sock is None:
                    sock = connection.enter_context(socket.create_connection(("127.0.0.1", port), _GIVE_UP_SECONDS))
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.sendall(_REQUEST)
                response = _response(sock)
            except OSError:
                return math.inf
            took.append(perf_counter() - began_at)
            if b"\r\nConnection: close" in response:
                connection.close()
                sock = None
    return median(took)


def _response(sock: socket.socket) -> bytes:
    response = b""
    while not response.endswith(BODY):
        data = sock.recv(4096)
        if not data:
            raise ConnectionError
        response += data
    return response
