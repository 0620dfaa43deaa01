"""WebSockets in gunicorn's workers with threads, and their end with that of the worker."""

from __future__ import annotations

import re
import signal
import socket
import threading
import urllib.request
from pathlib import Path
from time import monotonic

import pytest

import wschat
from tests.concurrency import TIMEOUT, eventually
from tests.protocol.wire import CLOSE
from tests.server.raw import Raw, request
from tests.tls import client_context
from tests.wsgi.conftest import needs_gunicorn
from tests.wsgi.wiring import Program, check_echo, running_gunicorn
from wschat.wsgi.borrowed import borrow_stream
from wschat.wsgi.gunicorn import watch

pytestmark = pytest.mark.usefixtures("installed")

SOCKETS = 50
# What gunicorn logs of an error.
ERRORS = re.compile(r"Traceback|ERROR|Socket error|Error (?:handling|processing)")


@pytest.fixture(scope="module")
def installed() -> None:
    needs_gunicorn()


def closed_by_server(ws: wschat.Connection) -> tuple[int, str]:
    """Wait until the server closes a connection, and return the code and the reason."""
    with ws, pytest.raises(wschat.ConnectionClosed) as closed:
        ws.recv(TIMEOUT)
    return closed.value.code, closed.value.reason


def test_a_websocket_inside_gunicorn(gunicorn: Program) -> None:
    check_echo(gunicorn.url())


def test_nothing_follows_the_close_frame(gunicorn: Program) -> None:
    with Raw.to(gunicorn) as raw:  # type: ignore[arg-type]  # has a port
        assert raw.ask(request(target="/once")).status == 101
        raw.send(b"\x81\x81\0\0\0\0x")
        assert raw.frame() == (0x81, b"x")
        assert raw.frame() == (CLOSE, (1000).to_bytes(2, "big"))
        raw.send(bytes([CLOSE, 0x82, 0, 0, 0, 0]) + (1000).to_bytes(2, "big"))
        assert raw.rest() == b""


def test_gunicorn_waits_for_no_client_that_keeps_its_end_open() -> None:
    """Its accept thread closes each socket, and reads it until the client closes its end if only the output has ended."""
    from gunicorn.util import close_graceful

    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()):
        ours, _ = listener.accept()
        borrow_stream(ours).close()
        close_graceful(ours, timeout=5 * TIMEOUT)  # the test would time out
        assert ours.fileno() == -1


def test_the_access_log_has_the_status_that_was_sent(gunicorn: Program) -> None:
    check_echo(gunicorn.url("/echo"))
    eventually(lambda: '"GET /echo HTTP/1.1" 101 ' in gunicorn.log())
    assert not ERRORS.search(gunicorn.log())


def test_a_reload_closes_every_websocket(tmp_path: Path) -> None:
    with running_gunicorn("flask_echo:app", tmp_path, threads=SOCKETS + 4) as program:
        clients = [wschat.connect(program.url()) for _ in range(SOCKETS)]
        ends: list[tuple[int, str]] = []
        threads = [threading.Thread(target=lambda ws=ws: ends.append(closed_by_server(ws))) for ws in clients]
        for thread in threads:
            thread.start()
        began = monotonic()
        program.reload()
        for thread in threads:
            thread.join(TIMEOUT)
        eventually(lambda: "Worker exiting" in program.log())
        assert monotonic() - began < 10  # one second on an idle machine; gunicorn would wait for 30
        check_echo(program.url())  # by the new worker
    assert ends == [(1001, "the server is stopping")] * SOCKETS
    assert not ERRORS.search(program.log())


def test_a_worker_that_has_served_its_requests_closes_its_websockets(tmp_path: Path) -> None:
    with running_gunicorn("flask_echo:app", tmp_path, "--max-requests", "2") as program:
        ws = wschat.connect(program.url())
        with urllib.request.urlopen(f"http://127.0.0.1:{program.port}/", timeout=TIMEOUT) as page:
            assert page.read() == b"This is a page."
        assert closed_by_server(ws) == (1001, "the server is stopping")
    assert not ERRORS.search(program.log())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_closes_every_websocket(tmp_path: Path, number: signal.Signals) -> None:
    with running_gunicorn("flask_echo:app", tmp_path, threads=2) as program:
        ws = wschat.connect(program.url())
        # gunicorn hangs if SIGINT interrupts the start of a thread. For the last request, both have been started.
        wschat.connect(program.url()).close()
        urllib.request.urlopen(f"http://127.0.0.1:{program.port}/", timeout=TIMEOUT).close()
        program.process.send_signal(number)
        assert closed_by_server(ws)[0] in (1001, 1006)  # SIGINT gives a worker a tenth of a second
        program.process.wait(5)
    assert not ERRORS.search(program.log())


def test_a_websocket_over_the_tls_of_gunicorn(tmp_path: Path, certificate: Path) -> None:
    with running_gunicorn("flask_echo:app", tmp_path, "--certfile", str(certificate), "--keyfile", str(certificate)) as program:
        check_echo(f"wss://localhost:{program.port}/echo", tls=client_context(certificate))
        with wschat.connect(f"wss://localhost:{program.port}/once", tls=client_context(certificate)) as ws:
            ws.send("x")
            assert ws.recv(TIMEOUT) == "x"
            assert closed_by_server(ws) == (1000, "")
        eventually(lambda: program.log().count('HTTP/1.1" 101 ') == 2)
    assert not ERRORS.search(program.log())


def test_a_sync_worker_is_refused_and_the_error_names_the_option(tmp_path: Path) -> None:
    with running_gunicorn("flask_echo:app", tmp_path, threads=1) as program:
        with pytest.raises(wschat.OpeningFailed) as failed:
            wschat.connect(program.url())
        assert failed.value.status == 500
        eventually(lambda: "--worker-class gthread --threads N" in program.log())


class Worker:
    """A stand-in for gunicorn's worker."""

    def __init__(self, *, alive: bool) -> None:
        self.alive = alive


def test_a_worker_is_watched_once() -> None:
    worker = Worker(alive=True)
    watch(worker)
    cls = type(worker)
    watch(worker)
    assert type(worker) is cls
    assert worker.alive
    assert cls.__name__ == "Worker"
    assert isinstance(worker, Worker)


def test_workers_that_are_forked_after_the_application_was_loaded(tmp_path: Path) -> None:
    """What the master has used (a hub, the chat, the threads that connections share) each worker has anew."""
    with running_gunicorn("preloaded:app", tmp_path, "--preload") as program:
        for workers in (1, 2):
            eventually(lambda: program.log().count("Booting worker") == workers)  # noqa: B023
            # Until then, the earlier worker may accept a connection, and closes it with 1001.
            eventually(lambda: program.log().count("Worker exiting") == workers - 1)  # noqa: B023
            with wschat.connect(program.url(), deflate=None) as ws:
                ws.send("x" * 1_000_000)
                assert len(ws.recv(TIMEOUT)) == 1_000_000
            with wschat.connect(program.url("/chat/"), subprotocols=["wschat.v1"]) as ws:
                assert '"welcome"' in str(ws.recv(TIMEOUT))
            if workers == 1:
                program.reload()
        assert not ERRORS.search(program.log())
