"""The server: where it listens, what a handler gets, what its failures do, and how it stops."""

from __future__ import annotations

import _thread
import contextlib
import errno
import logging
import os
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from time import monotonic
from typing import Any

import pytest

import wschat
from tests.conftest import ServerFactory, check_echo, echo, url_of
from tests.protocol.wire import CLOSE, TEXT, frame
from tests.server.raw import PATIENCE, Raw, request
from wschat import CloseCode, Connection, ConnectionClosed, Limits, RequestRefused, UsageError, WebSocketHandler, WebSocketServer

needs_unix_sockets = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="this system has no Unix sockets")


def end_of(ws: Connection) -> tuple[int, str]:
    """How a connection ends on which nothing more comes."""
    with pytest.raises(ConnectionClosed) as closed:
        ws.recv(PATIENCE)
    return closed.value.code, closed.value.reason


# Where it listens


def test_port_0_is_any_free_port(serve: ServerFactory) -> None:
    first, second = serve(echo), serve(echo)
    assert first.port != second.port
    assert first.server_address == ("127.0.0.1", first.port)
    check_echo(first)
    check_echo(second)


@pytest.mark.skipif(not socket.has_ipv6, reason="this Python has no IPv6")
def test_ipv6(serve: ServerFactory) -> None:
    try:
        server = serve(echo, "::1")
    except OSError as error:
        pytest.skip(f"this system has no IPv6: {error}")
    with wschat.connect(f"ws://[::1]:{server.port}/") as ws:
        ws.send("six")
        assert ws.recv(PATIENCE) == "six"


def test_a_listening_socket_handed_in(serve: ServerFactory) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    server = serve(echo, listener=listener)
    assert server.port == listener.getsockname()[1]
    check_echo(server)
    server.stop()
    assert listener.fileno() < 0, "the server closes what it was given"


def test_a_port_that_is_taken_is_an_os_error(serve: ServerFactory) -> None:
    server = serve(echo)
    with pytest.raises(OSError, match="in use") as error:
        serve(echo, port=server.port)
    assert error.value.errno == errno.EADDRINUSE
    check_echo(server)


@pytest.fixture
def unix_path() -> Iterator[str]:
    """A free path that is short enough for a socket."""
    with tempfile.TemporaryDirectory() as folder:
        yield f"{folder}/s"


def check_unix_echo(path: str) -> None:
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(path)
    with wschat.connect("ws://localhost/", sock=sock) as ws:
        ws.send("through a file")
        assert ws.recv(PATIENCE) == "through a file"


@needs_unix_sockets
def test_a_unix_socket_is_there_while_the_server_is(serve: ServerFactory, unix_path: str) -> None:
    server = serve(echo, unix_path=unix_path)
    check_unix_echo(unix_path)
    server.stop()
    assert not os.path.exists(unix_path)


@needs_unix_sockets
def test_a_stale_unix_socket_is_replaced(serve: ServerFactory, unix_path: str) -> None:
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(unix_path)
    assert os.path.exists(unix_path)
    serve(echo, unix_path=unix_path)
    check_unix_echo(unix_path)


@needs_unix_sockets
def test_a_unix_socket_in_use_stays_whose_it_is(serve: ServerFactory, unix_path: str) -> None:
    serve(echo, unix_path=unix_path)
    with pytest.raises(OSError, match="in use"):
        serve(echo, unix_path=unix_path)
    check_unix_echo(unix_path)


@needs_unix_sockets
def test_a_file_that_is_no_socket_is_not_replaced(serve: ServerFactory, unix_path: str) -> None:
    Path(unix_path).write_text("precious")
    with pytest.raises(OSError, match="in use"):
        serve(echo, unix_path=unix_path)
    assert Path(unix_path).read_text() == "precious"


@needs_unix_sockets
def test_a_unix_socket_handed_in(serve: ServerFactory, unix_path: str) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(unix_path)
    listener.listen()
    serve(echo, listener=listener)
    check_unix_echo(unix_path)


@needs_unix_sockets
@pytest.mark.skipif(not os.path.exists("/proc/net/unix"), reason="only Linux has Unix sockets without a file")
def test_a_unix_socket_without_a_file(serve: ServerFactory) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"\0wschat-test-{os.getpid()}")
    listener.listen()
    server = serve(echo, listener=listener)
    check_unix_echo(listener.getsockname())
    server.stop()


# What a handler gets


def test_a_handler_knows_the_request(serve: ServerFactory) -> None:
    seen: SimpleQueue[tuple[Any, ...]] = SimpleQueue()

    def look(ws: Connection) -> None:
        seen.put((ws.path, ws.headers["x-seat"], ws.headers["host"], ws.subprotocol, ws.remote_address))

    server = serve(look, subprotocols=["new", "old"])
    url = url_of(server, "/rooms/a?name=b")
    with wschat.connect(url, headers={"X-Seat": "12"}, subprotocols=["odd", "old", "new"]) as ws:
        assert ws.subprotocol == "old"
        address = ws._receiver._stream._socket.getsockname()  # type: ignore[attr-defined]
        assert seen.get(timeout=PATIENCE) == ("/rooms/a?name=b", "12", f"127.0.0.1:{server.port}", "old", address)


@pytest.mark.parametrize(
    ("spoken", "offered", "chosen"),
    [
        ((), (), None),
        ((), ("chat",), None),
        (("chat",), (), None),
        (("chat",), ("other",), None),
        (("chat",), ("other", "chat"), "chat"),
        (("a", "b"), ("b", "a"), "b"),
    ],
)
def test_the_first_subprotocol_of_the_client_that_is_spoken_is_chosen(
    serve: ServerFactory, spoken: tuple[str, ...], offered: tuple[str, ...], chosen: str | None
) -> None:
    with wschat.connect(url_of(serve(echo, subprotocols=spoken)), subprotocols=offered) as ws:
        assert ws.subprotocol == chosen


def test_the_connection_is_closed_when_the_handler_returns(serve: ServerFactory) -> None:
    with wschat.connect(url_of(serve(lambda ws: ws.send("that is all")))) as ws:
        assert ws.recv(PATIENCE) == "that is all"
        assert end_of(ws) == (CloseCode.NORMAL, "")


class Doorman(WebSocketHandler):
    def check_request(self, request: wschat.Request) -> None:
        if request.query.get("ticket") != "yes":
            raise RequestRefused(403, "A ticket is needed.", {"X-Tickets": "at the gate"})

    def handle(self) -> None:
        assert isinstance(self.server, WebSocketServer)
        for message in self.ws:
            self.ws.send(f"{self.client_address[0]} said {message!r}")


def test_a_handler_class(serve: ServerFactory) -> None:
    server = serve(Doorman)
    with wschat.connect(url_of(server, "/?ticket=yes")) as ws:
        ws.send("hello")
        assert ws.recv(PATIENCE) == "127.0.0.1 said 'hello'"
    with pytest.raises(wschat.OpeningFailed) as refused:
        wschat.connect(url_of(server))
    assert (refused.value.status, refused.value.body) == (403, b"A ticket is needed.\n")
    assert refused.value.headers["x-tickets"] == "at the gate"


def test_a_handler_class_goes_with_the_conventions_of_socketserver() -> None:
    with WebSocketServer(("127.0.0.1", 0), Doorman, limits=Limits(close_timeout=0.3)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        with wschat.connect(url_of(server, "/?ticket=yes")) as ws:
            server.shutdown()
            assert end_of(ws)[0] == CloseCode.GOING_AWAY
        thread.join(PATIENCE)
        server.server_close()
    assert not thread.is_alive()


def test_what_a_check_finds_out_reaches_the_handler(serve: ServerFactory) -> None:
    def check(request: wschat.Request) -> None:
        request.identity = request.query["name"]

    with wschat.connect(url_of(serve(lambda ws: ws.send(f"hello {ws.identity}"), check_request=check), "/?name=ann")) as ws:
        assert ws.recv(PATIENCE) == "hello ann"


def test_a_function_may_have_its_requests_checked(serve: ServerFactory) -> None:
    def check(request: wschat.Request) -> None:
        if request.path != "/here":
            raise RequestRefused(404, "Nothing is there.")

    server = serve(echo, check_request=check)
    with wschat.connect(url_of(server, "/here?and=now")) as ws:
        ws.send("x")
        assert ws.recv(PATIENCE) == "x"
    with pytest.raises(wschat.OpeningFailed) as refused:
        wschat.connect(url_of(server, "/there"))
    assert refused.value.status == 404


def test_a_check_may_ask_where_somebody_is(serve: ServerFactory) -> None:
    asked: list[object] = []
    server = serve(echo, check_request=lambda request: asked.append(request.remote_address))
    with Raw.opened(server) as raw:
        assert asked == [raw.socket.getsockname()]


class NoHandler:
    pass


@pytest.mark.parametrize("handler", [None, 3, "tests.conftest:echo", NoHandler, NoHandler()])
def test_what_is_no_handler_is_told_so(handler: Any) -> None:
    with pytest.raises(UsageError, match="handler"):
        wschat.serve(handler, port=0)


def test_a_handler_class_is_not_given_another_check() -> None:
    with pytest.raises(UsageError, match="check_request"):
        wschat.serve(Doorman, port=0, check_request=lambda request: None)


def test_frames_that_come_with_the_request_are_not_lost(serve: ServerFactory) -> None:
    with Raw.to(serve(echo)) as raw:
        raw.send(request() + frame(TEXT, b"first", masked=True) + frame(TEXT, b"second", masked=True)[:5])
        assert raw.response().status == 101
        assert raw.frame() == (TEXT, b"first")
        raw.send(frame(TEXT, b"second", masked=True)[5:])
        assert raw.frame() == (TEXT, b"second")


def test_200_clients_at_once(serve: ServerFactory) -> None:
    server = serve(echo)
    with contextlib.ExitStack() as clients:
        all_of_them = [clients.enter_context(Raw.opened(server)) for _ in range(200)]
        for number, raw in enumerate(all_of_them):
            raw.send(frame(TEXT, b"I am %d" % number, masked=True))
        assert [raw.frame() for raw in all_of_them] == [(TEXT, b"I am %d" % number) for number in range(200)]


def test_those_whom_verify_request_does_not_want_are_not_let_in() -> None:
    class Picky(WebSocketServer):
        def verify_request(self, request: object, client_address: object) -> bool:
            return False

    with Picky(("127.0.0.1", 0), Doorman) as server:
        server.start()
        with Raw.to(server) as raw:
            assert raw.rest() == b""


# What its failures do


def fail_on_demand(ws: Connection) -> None:
    for message in ws:
        if message == "fail":
            raise LookupError("as was asked for")
        ws.send(message)


def test_a_handler_that_fails_closes_1011_and_harms_nobody_else(serve: ServerFactory, caplog: pytest.LogCaptureFixture) -> None:
    server = serve(fail_on_demand)
    with wschat.connect(url_of(server)) as other, wschat.connect(url_of(server)) as ws:
        ws.send("fail")
        assert end_of(ws)[0] == CloseCode.INTERNAL_ERROR
        other.send("and I?")
        assert other.recv(PATIENCE) == "and I?"
    server.stop()
    [record] = caplog.records
    assert (record.name, record.levelname) == ("wschat.server", "ERROR")
    assert "127.0.0.1" in record.getMessage()
    assert "LookupError: as was asked for" in caplog.text


def recv_for_ever(ws: Connection) -> None:
    while True:
        ws.send(ws.recv())


def close_and_go_on(ws: Connection) -> None:
    ws.recv()
    ws.close()
    ws.send("this cannot be sent")


@pytest.mark.parametrize("handler", [recv_for_ever, close_and_go_on])
@pytest.mark.parametrize("vanishes", [False, True])
def test_the_end_of_a_connection_is_no_failure_of_its_handler(
    serve: ServerFactory, caplog: pytest.LogCaptureFixture, handler: Any, vanishes: bool
) -> None:
    server = serve(handler)
    with Raw.opened(server) as raw:
        raw.send(frame(TEXT, b"x", masked=True))
        raw.frame()
        if vanishes:
            raw.vanish()
    server.stop()
    assert caplog.records == []


def test_a_check_that_fails_is_logged_and_harms_nobody(serve: ServerFactory, caplog: pytest.LogCaptureFixture) -> None:
    def check(request: wschat.Request) -> None:
        if request.path == "/bad":
            raise LookupError("a bug in the check")

    server = serve(echo, check_request=check)
    with Raw.to(server) as raw:
        assert raw.ask(request(target="/bad")).status == 500
    check_echo(server)
    server.stop()
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_a_connection_for_which_there_is_no_thread_is_ended(
    serve: ServerFactory, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_thread(*_: object) -> int:
        raise RuntimeError("can't start new thread")

    server = serve(echo)
    with monkeypatch.context() as fd_reserve:
        fd_reserve.setattr(_thread, "start_new_thread", no_thread)
        for _ in range(3):
            with Raw.to(server) as raw:
                assert raw.ask(request()).status == 503
    errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert errors == ["cannot accept connections: can't start new thread"]
    check_echo(server)


# How it stops


def test_shutdown_closes_everyone_with_1001_and_waits_for_the_handlers(serve: ServerFactory) -> None:
    has_ended = []

    def handler(ws: Connection) -> None:
        for message in ws:
            ws.send(message)
        has_ended.append(ws)

    server = serve(handler)
    with contextlib.ExitStack() as clients:
        all_of_them = [clients.enter_context(wschat.connect(url_of(server))) for _ in range(5)]
        for ws in all_of_them:  # so that each is in its handler
            ws.send("x")
            ws.recv(PATIENCE)
        endings: SimpleQueue[tuple[int, str]] = SimpleQueue()
        readers = [threading.Thread(target=lambda ws=ws: endings.put(end_of(ws))) for ws in all_of_them]
        for reader in readers:
            reader.start()
        server.shutdown()
        assert len(has_ended) == 5
        for reader in readers:
            reader.join(PATIENCE)
        assert [endings.get(timeout=PATIENCE) for _ in readers] == [(CloseCode.GOING_AWAY, "the server is stopping")] * 5


def test_nobody_is_let_in_once_the_server_has_stopped(serve: ServerFactory) -> None:
    server = serve(echo)
    url = url_of(server)
    server.stop()
    with pytest.raises(OSError, match="refused"):
        wschat.connect(url)


def test_stop_ends_those_who_are_still_opening(serve: ServerFactory) -> None:
    server = serve(echo)
    with Raw.to(server) as silent, Raw.to(server) as half, Raw.to(server) as refused:
        half.send(request()[:40])
        assert refused.ask(request("POST")).status == 405
        check_echo(server)  # they are accepted in order, so that the others have been before this one
        server.stop()
        assert silent.response().status == half.response().status == 503
        assert refused.rest() == b""


def flood(ws: Connection) -> None:
    """Send more than a kernel takes."""
    for number in range(40):
        ws.send(b"%02d" % number + b"x" * 200_000)


def test_what_waits_for_a_slow_client_is_still_sent(serve: ServerFactory) -> None:
    has_sent = threading.Event()

    def handler(ws: Connection) -> None:
        flood(ws)
        has_sent.set()
        list(ws)

    server = serve(handler, limits=Limits(outbox_bytes=0, close_timeout=0.1))
    with Raw.opened(server) as raw, ThreadPoolExecutor(1) as pool:
        assert raw.frame()[1].startswith(b"00")
        assert has_sent.wait(PATIENCE)
        stopping = pool.submit(server.stop, PATIENCE)
        seen = [raw.frame() for _ in range(40)]
        assert [payload[:2] for _, payload in seen[:-1]] == [b"%02d" % number for number in range(1, 40)]
        assert seen[-1] == (CLOSE, b"\x03\xe9the server is stopping")
        raw.send(frame(CLOSE, b"\x03\xe9", masked=True))
        raw.socket.shutdown(socket.SHUT_WR)
        stopping.result()


@pytest.mark.parametrize("drain", [0, 0.1])
def test_draining_takes_no_longer_than_it_may(serve: ServerFactory, drain: float) -> None:
    def handler(ws: Connection) -> None:
        flood(ws)
        list(ws)

    server = serve(handler, limits=Limits(outbox_bytes=0, close_timeout=PATIENCE))
    with Raw.opened(server) as raw:
        assert raw.frame()[1].startswith(b"00")
        began_at = monotonic()
        server.stop(drain)
        assert monotonic() - began_at < PATIENCE


def test_stop_does_not_wait_for_clients_that_do_not_answer(serve: ServerFactory) -> None:
    server = serve(echo, limits=Limits(close_timeout=0.3))
    with Raw.opened(server) as raw:
        raw.send(frame(TEXT, b"x", masked=True))
        raw.frame()
        server.stop()
        assert raw.close_code() == CloseCode.GOING_AWAY
        assert raw.rest() == b""


def test_stop_does_not_hang_on_a_handler_that_never_returns(serve: ServerFactory, caplog: pytest.LogCaptureFixture) -> None:
    is_released = threading.Event()

    def stuck(ws: Connection) -> None:
        ws.send("here I stay")
        is_released.wait(PATIENCE * 3)

    server = serve(stuck, limits=Limits(close_timeout=0.3))
    try:
        with Raw.opened(server) as raw:
            raw.frame()
            server.stop()
            assert raw.close_code() == CloseCode.GOING_AWAY
        assert not is_released.is_set()
        assert "1 handlers are still running" in caplog.text
    finally:
        is_released.set()


def test_stop_may_be_called_again(serve: ServerFactory) -> None:
    server = serve(echo)
    server.stop()
    server.stop()


def test_a_server_that_was_never_started_can_be_stopped() -> None:
    with wschat.serve(echo, port=0) as server:
        assert server.port > 0
    with pytest.raises(OSError, match="refused"):
        wschat.connect(url_of(server))
    server.stop()


def test_request_shutdown_has_serve_forever_return() -> None:
    with wschat.serve(echo, port=0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        with wschat.connect(url_of(server)) as ws:
            server.request_shutdown()
            thread.join(PATIENCE)
            assert not thread.is_alive()
            ws.send("not closed yet")
            assert ws.recv(PATIENCE) == "not closed yet"


def test_a_shutdown_requested_beforehand_counts() -> None:
    with wschat.serve(echo, port=0) as server:
        server.request_shutdown()
        server.serve_forever()


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers that signal")
def test_request_shutdown_is_for_signal_handlers() -> None:
    with wschat.serve(echo, port=0) as server:
        before = signal.signal(signal.SIGALRM, lambda *_: server.request_shutdown())
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            server.serve_forever()
        finally:
            signal.signal(signal.SIGALRM, before)


def test_refusals_are_no_errors_in_the_log(serve: ServerFactory, caplog: pytest.LogCaptureFixture) -> None:
    server = serve(echo)
    caplog.set_level(logging.INFO)
    with Raw.to(server) as raw:
        raw.ask(request("POST"))
    server.stop()
    assert [(record.levelname, "405" in record.getMessage()) for record in caplog.records] == [("INFO", True)]
