"""`stop` and `shutdown` in handlers, signal handlers and checks: no thread waits for itself."""

from __future__ import annotations

import logging
import signal
import socket
import socketserver
import sys
import threading

import pytest

import wschat
from tests.concurrency import TIMEOUT, eventually
from tests.conftest import ServerFactory, echo, url_of
from tests.connection.wiring import end_of
from tests.programs import run_program

needs_signals = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no interval timers")


@needs_signals
@pytest.mark.parametrize("call", ["stop()", "stop(1)", "shutdown()", "request_shutdown()"])
def test_a_signal_handler_can_stop_the_server_that_its_thread_runs(call: str) -> None:
    """Clients get 1001 before `serve_forever` returns, or at the end of the `with` block."""
    source = f"""
    import signal, threading
    import wschat
    ended = []
    def talk(ws):
        try:
            ws.recv()
        except wschat.ConnectionClosed as closed:
            ended.append(closed.code)
    with wschat.serve(talk, port=0) as server:
        signal.signal(signal.SIGALRM, lambda *_: server.{call})
        clients = []
        def connect():
            clients.append(wschat.connect(f"ws://127.0.0.1:{{server.port}}"))
            signal.setitimer(signal.ITIMER_REAL, 0.1)
        threading.Thread(target=connect).start()
        server.serve_forever()
    try:
        clients[0].recv(timeout=20)
    except wschat.ConnectionClosed as closed:
        print(closed.code, closed.reason, ended)
    server.stop()
    """
    assert run_program(source) == "1001 the server is stopping [1001]\n"


def test_a_log_handler_can_stop_the_server(serve: ServerFactory, caplog: pytest.LogCaptureFixture) -> None:
    """As a signal handler does that interrupts one. The threads of the connections need its lock to log their end."""
    caplog.set_level(logging.INFO, "wschat.server")
    server = serve(echo)

    class Stopping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage() == "stop":
                server.stop()

    log = Stopping()
    logger = logging.getLogger("wschat.server")
    logger.addHandler(log)
    try:
        with wschat.connect(url_of(server)) as ws:
            logger.info("stop")
            assert end_of(ws) == (1001, "the server is stopping")
        eventually(lambda: server.socket.fileno() < 0)
        eventually(lambda: " closed after " in caplog.text)
        assert "still running" not in caplog.text
    finally:
        logger.removeHandler(log)
        server.stop()


@needs_signals
def test_an_exception_of_a_signal_handler_propagates_from_serve_forever() -> None:
    """It is not taken for an error of accepting a connection."""
    source = """
    import signal
    import wschat
    def on_alarm(signum, frame):
        raise ConnectionAbortedError("mine")
    signal.signal(signal.SIGALRM, on_alarm)
    with wschat.serve(print, port=0) as server:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        try:
            server.serve_forever()
        except ConnectionAbortedError as error:
            print(error)
    """
    assert run_program(source) == "mine\n"


@pytest.mark.parametrize("call", ["stop", "shutdown"])
def test_a_handler_can_stop_its_server_without_waiting_for_itself(
    call: str, serve: ServerFactory, caplog: pytest.LogCaptureFixture
) -> None:
    has_stopped = threading.Event()

    def talk(ws: wschat.Connection) -> None:
        ws.recv()
        getattr(server, call)()
        has_stopped.set()

    server = serve(talk, limits=wschat.Limits(close_timeout=TIMEOUT))
    with wschat.connect(url_of(server)) as ws, wschat.connect(url_of(server)) as other:
        threads = [threading.Thread(target=end_of, args=[each]) for each in (ws, other)]
        for thread in threads:
            thread.start()
        ws.send("stop")
        assert has_stopped.wait(TIMEOUT / 2)
        for thread in threads:
            thread.join()
    assert "still running" not in caplog.text


def test_handlers_that_stop_the_server_at_once_do_not_wait_for_each_other(serve: ServerFactory, caplog: pytest.LogCaptureFixture) -> None:
    all_connected = threading.Barrier(3)
    have_stopped = threading.Semaphore(0)

    def talk(ws: wschat.Connection) -> None:
        all_connected.wait(TIMEOUT)
        server.stop()
        have_stopped.release()

    server = serve(talk, limits=wschat.Limits(close_timeout=2 * TIMEOUT))
    clients = [wschat.connect(url_of(server)) for _ in range(2)]
    all_connected.wait(TIMEOUT)
    threads = [threading.Thread(target=end_of, args=[ws]) for ws in clients]
    for thread in threads:
        thread.start()
    for _ in clients:
        assert have_stopped.acquire(timeout=TIMEOUT)
    for thread in threads:
        thread.join()
    assert "still running" not in caplog.text


@needs_signals
def test_a_signal_handler_can_stop_the_server_in_the_middle_of_a_broadcast() -> None:
    """The interrupted thread holds the right to flush the hub, and possibly locks of a member."""
    source = """
    import signal, threading
    import wschat
    hub = wschat.Hub()
    def talk(ws):
        hub.join(ws)
        is_in.set()
        for _ in ws:
            pass
        hub.leave(ws)
    class Signalling:
        def __init__(self, encoding):
            self.encoding = encoding
        def offer(self, frames, *, is_droppable=True):
            signal.raise_signal(signal.SIGALRM)
    is_in = threading.Event()
    server = wschat.serve(talk, port=0, limits=wschat.Limits(close_timeout=60)).start()
    with wschat.connect(f"ws://127.0.0.1:{server.port}") as ws:
        assert is_in.wait(20)
        hub.join(Signalling(next(iter(hub)).encoding))
        signal.signal(signal.SIGALRM, lambda *_: server.stop())
        hub.broadcast("perhaps too late")
        for _ in ws:
            pass
        print(ws.closed.code)
    """
    assert run_program(source) == "1001\n"


def test_a_server_can_be_started_after_a_failed_start_and_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    server = wschat.serve(echo, port=0)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        with pytest.raises(OSError, match="can't start new thread"):
            server.start()
    server.start()
    with wschat.connect(url_of(server)) as ws:
        ws.send("x")
        assert ws.recv(TIMEOUT) == "x"
    server.stop()


def test_verify_request_can_stop_the_server() -> None:
    """`verify_request` is called by the accepting thread."""

    class Stopping(wschat.WebSocketServer):
        def verify_request(self, request: object, client_address: object) -> bool:
            self.stop()
            return False

    class Handler(wschat.WebSocketHandler):
        def handle(self) -> None:
            raise AssertionError

    server = Stopping(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    with socket.create_connection(("127.0.0.1", server.port)) as sock:
        sock.settimeout(TIMEOUT)
        assert sock.recv(1) == b""
    thread.join(TIMEOUT)
    assert not thread.is_alive()
    server.stop()


def test_a_connection_leaves_the_server_even_if_its_socket_cannot_be_shut_down(
    serve: ServerFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a step of the clean-up fails, the next is taken all the same."""
    server = serve(echo)
    failures: list[object] = []

    def fail(request: socket.socket) -> None:
        socketserver.TCPServer.shutdown_request(server, request)
        raise RuntimeError("mine")

    monkeypatch.setattr(sys, "unraisablehook", failures.append)  # where a thread reports it
    monkeypatch.setattr(server, "shutdown_request", fail)
    with wschat.connect(url_of(server)):
        pass
    eventually(lambda: failures)
    assert server.load().connections["websocket"] == 0
    server.stop()
