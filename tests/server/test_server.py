"""The server: listening, handlers, failures, and stopping."""

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
from tests.concurrency import TIMEOUT
from tests.conftest import ServerFactory, check_echo, echo, url_of
from tests.connection.wiring import end_of
from tests.protocol.wire import CLOSE, TEXT, frame
from tests.server.raw import Raw, request
from wschat import CloseCode, Connection, Limits, RequestRefused, UsageError, WebSocketHandler, WebSocketServer

needs_unix_sockets = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="this system has no Unix sockets")


# Listening


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
        assert ws.recv(TIMEOUT) == "six"


def test_a_given_listening_socket_is_used_and_closed(serve: ServerFactory) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    server = serve(echo, listener=listener)
    assert server.port == listener.getsockname()[1]
    check_echo(server)
    server.stop()
    assert listener.fileno() < 0, "the server closes the given socket"


def test_a_port_in_use_raises_os_error(serve: ServerFactory) -> None:
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
        assert ws.recv(TIMEOUT) == "through a file"


@needs_unix_sockets
def test_the_file_of_a_unix_socket_exists_while_the_server_runs(serve: ServerFactory, unix_path: str) -> None:
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
def test_a_unix_socket_in_use_is_not_replaced(serve: ServerFactory, unix_path: str) -> None:
    serve(echo, unix_path=unix_path)
    with pytest.raises(OSError, match="in use"):
        serve(echo, unix_path=unix_path)
    check_unix_echo(unix_path)


@needs_unix_sockets
def test_a_file_that_is_not_a_socket_is_not_replaced(serve: ServerFactory, unix_path: str) -> None:
    Path(unix_path).write_text("precious")
    with pytest.raises(OSError, match="in use"):
        serve(echo, unix_path=unix_path)
    assert Path(unix_path).read_text() == "precious"


@needs_unix_sockets
def test_a_given_unix_socket_is_used(serve: ServerFactory, unix_path: str) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(unix_path)
    listener.listen()
    serve(echo, listener=listener)
    check_unix_echo(unix_path)


@needs_unix_sockets
@pytest.mark.skipif(not os.path.exists("/proc/net/unix"), reason="only Linux has abstract Unix sockets")
def test_an_abstract_unix_socket_is_used(serve: ServerFactory) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"\0wschat-test-{os.getpid()}")
    listener.listen()
    server = serve(echo, listener=listener)
    check_unix_echo(listener.getsockname())
    server.stop()


# Handlers


def test_a_handler_knows_the_request(serve: ServerFactory) -> None:
    seen: SimpleQueue[tuple[Any, ...]] = SimpleQueue()

    def look(ws: Connection) -> None:
        seen.put((ws.path, ws.headers["x-custom"], ws.headers["host"], ws.subprotocol, ws.remote_address))

    server = serve(look, subprotocols=["new", "old"])
    url = url_of(server, "/rooms/a?name=b")
    with wschat.connect(url, headers={"X-Custom": "12"}, subprotocols=["odd", "old", "new"]) as ws:
        assert ws.subprotocol == "old"
        address = ws._receiver._stream._socket.getsockname()  # type: ignore[attr-defined]
        assert seen.get(timeout=TIMEOUT) == ("/rooms/a?name=b", "12", f"127.0.0.1:{server.port}", "old", address)


@pytest.mark.parametrize(
    ("supported", "offered", "chosen"),
    [
        ((), (), None),
        ((), ("chat",), None),
        (("chat",), (), None),
        (("chat",), ("other",), None),
        (("chat",), ("other", "chat"), "chat"),
        (("a", "b"), ("b", "a"), "b"),
    ],
)
def test_the_first_supported_subprotocol_of_the_client_is_chosen(
    serve: ServerFactory, supported: tuple[str, ...], offered: tuple[str, ...], chosen: str | None
) -> None:
    with wschat.connect(url_of(serve(echo, subprotocols=supported)), subprotocols=offered) as ws:
        assert ws.subprotocol == chosen


def test_the_connection_is_closed_when_the_handler_returns(serve: ServerFactory) -> None:
    with wschat.connect(url_of(serve(lambda ws: ws.send("that is all")))) as ws:
        assert ws.recv(TIMEOUT) == "that is all"
        assert end_of(ws) == (CloseCode.NORMAL, "")


class CheckingHandler(WebSocketHandler):
    def check_request(self, request: wschat.Request) -> None:
        if request.query.get("token") != "yes":
            raise RequestRefused(403, "A token is needed.", {"X-Hint": "token=yes"})

    def handle(self) -> None:
        assert isinstance(self.server, WebSocketServer)
        for message in self.ws:
            self.ws.send(f"{self.client_address[0]} said {message!r}")


def test_a_handler_class(serve: ServerFactory) -> None:
    server = serve(CheckingHandler)
    with wschat.connect(url_of(server, "/?token=yes")) as ws:
        ws.send("hello")
        assert ws.recv(TIMEOUT) == "127.0.0.1 said 'hello'"
    with pytest.raises(wschat.OpeningFailed) as refused:
        wschat.connect(url_of(server))
    assert (refused.value.status, refused.value.body) == (403, b"A token is needed.\n")
    assert refused.value.headers["x-hint"] == "token=yes"


def test_a_handler_class_follows_the_conventions_of_socketserver() -> None:
    with WebSocketServer(("127.0.0.1", 0), CheckingHandler, limits=Limits(close_timeout=0.3)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        with wschat.connect(url_of(server, "/?token=yes")) as ws:
            server.shutdown()
            assert end_of(ws)[0] == CloseCode.GOING_AWAY
        thread.join(TIMEOUT)
        server.server_close()
    assert not thread.is_alive()


def test_the_identity_that_a_check_sets_reaches_the_handler(serve: ServerFactory) -> None:
    def check(request: wschat.Request) -> None:
        request.identity = request.query["name"]

    with wschat.connect(url_of(serve(lambda ws: ws.send(f"hello {ws.identity}"), check_request=check), "/?name=ann")) as ws:
        assert ws.recv(TIMEOUT) == "hello ann"


def test_a_check_for_a_handler_function(serve: ServerFactory) -> None:
    def check(request: wschat.Request) -> None:
        if request.path != "/here":
            raise RequestRefused(404, "Nothing is there.")

    server = serve(echo, check_request=check)
    with wschat.connect(url_of(server, "/here?and=now")) as ws:
        ws.send("x")
        assert ws.recv(TIMEOUT) == "x"
    with pytest.raises(wschat.OpeningFailed) as refused:
        wschat.connect(url_of(server, "/there"))
    assert refused.value.status == 404


def test_a_check_gets_the_address_of_the_client(serve: ServerFactory) -> None:
    addresses: list[object] = []
    server = serve(echo, check_request=lambda request: addresses.append(request.remote_address))
    with Raw.opened(server) as raw:
        assert addresses == [raw.socket.getsockname()]


class NoHandler:
    pass


@pytest.mark.parametrize("handler", [None, 3, "tests.conftest:echo", NoHandler, NoHandler()])
def test_an_invalid_handler_raises_usage_error(handler: Any) -> None:
    with pytest.raises(UsageError, match="handler"):
        wschat.serve(handler, port=0)


def test_a_handler_class_cannot_get_another_check() -> None:
    with pytest.raises(UsageError, match="check_request"):
        wschat.serve(CheckingHandler, port=0, check_request=lambda request: None)


def test_frames_sent_with_the_opening_request_are_not_lost(serve: ServerFactory) -> None:
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


def test_any_thread_may_start_the_server_broadcast_and_stop_the_server() -> None:
    hub = wschat.Hub()

    def watch(ws: Connection) -> None:
        hub.join(ws)
        ws.send("ready")
        for _ in ws:
            pass

    with ThreadPoolExecutor(1) as starter, ThreadPoolExecutor(2) as workers:
        server = starter.submit(lambda: wschat.serve(watch, port=0).start()).result(TIMEOUT)
        with wschat.connect(url_of(server)) as ws:
            assert ws.recv(TIMEOUT) == "ready"
            for number in range(3):
                workers.submit(hub.broadcast, f"worker {number}").result(TIMEOUT)
            timer = threading.Timer(0, hub.broadcast, ["timer"])
            timer.start()
            timer.join()
            assert [ws.recv(TIMEOUT) for _ in range(4)] == ["worker 0", "worker 1", "worker 2", "timer"]
            stopping = workers.submit(server.stop)
            with pytest.raises(wschat.ConnectionClosed) as closed:
                ws.recv(TIMEOUT)
            assert closed.value.code == CloseCode.GOING_AWAY
            stopping.result(TIMEOUT)


def test_verify_request_can_refuse_a_connection() -> None:
    class Picky(WebSocketServer):
        def verify_request(self, request: object, client_address: object) -> bool:
            return False

    with Picky(("127.0.0.1", 0), CheckingHandler) as server:
        server.start()
        with Raw.to(server) as raw:
            assert raw.rest() == b""


# Failures


def fail_on_demand(ws: Connection) -> None:
    for message in ws:
        if message == "fail":
            raise LookupError("as was asked for")
        ws.send(message)


def test_a_handler_that_fails_closes_its_connection_with_1011_and_no_other(serve: ServerFactory, caplog: pytest.LogCaptureFixture) -> None:
    server = serve(fail_on_demand)
    with wschat.connect(url_of(server)) as other, wschat.connect(url_of(server)) as ws:
        ws.send("fail")
        assert end_of(ws)[0] == CloseCode.INTERNAL_ERROR
        other.send("still served?")
        assert other.recv(TIMEOUT) == "still served?"
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
def test_the_end_of_a_connection_is_not_logged_as_a_failure_of_its_handler(
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


def test_a_check_that_fails_gets_500_and_is_logged(serve: ServerFactory, caplog: pytest.LogCaptureFixture) -> None:
    def check(request: wschat.Request) -> None:
        if request.path == "/bad":
            raise LookupError("a bug in the check")

    server = serve(echo, check_request=check)
    with Raw.to(server) as raw:
        assert raw.ask(request(target="/bad")).status == 500
    check_echo(server)
    server.stop()
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_a_connection_for_which_no_thread_can_be_started_gets_503(
    serve: ServerFactory, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_thread(*_: object) -> int:
        raise RuntimeError("can't start new thread")

    server = serve(echo)
    with monkeypatch.context() as patch:
        patch.setattr(_thread, "start_new_thread", no_thread)
        for _ in range(3):
            with Raw.to(server) as raw:
                assert raw.ask(request()).status == 503
    errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert errors == ["cannot accept connections: can't start new thread"]
    check_echo(server)


# Stopping


def test_shutdown_closes_all_connections_with_1001_and_waits_for_the_handlers(serve: ServerFactory) -> None:
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
            ws.recv(TIMEOUT)
        endings: SimpleQueue[tuple[int, str]] = SimpleQueue()
        readers = [threading.Thread(target=lambda ws=ws: endings.put(end_of(ws))) for ws in all_of_them]
        for reader in readers:
            reader.start()
        server.shutdown()
        assert len(has_ended) == 5
        for reader in readers:
            reader.join(TIMEOUT)
        assert [endings.get(timeout=TIMEOUT) for _ in readers] == [(CloseCode.GOING_AWAY, "the server is stopping")] * 5


def test_connecting_to_a_stopped_server_is_refused(serve: ServerFactory) -> None:
    server = serve(echo)
    url = url_of(server)
    server.stop()
    with pytest.raises(OSError, match="refused"):
        wschat.connect(url)


def test_stop_ends_connections_during_the_opening_handshake(serve: ServerFactory) -> None:
    server = serve(echo)
    with Raw.to(server) as silent, Raw.to(server) as half, Raw.to(server) as refused:
        half.send(request()[:40])
        assert refused.ask(request("POST")).status == 405
        check_echo(server)  # connections are accepted in order, so the others have been accepted
        server.stop()
        assert silent.response().status == half.response().status == 503
        assert refused.rest() == b""


def flood(ws: Connection) -> None:
    """Send more than the kernel buffers."""
    for number in range(40):
        ws.send(b"%02d" % number + b"x" * 200_000)


def test_stop_sends_the_buffered_messages_of_a_slow_client(serve: ServerFactory) -> None:
    has_sent = threading.Event()

    def handler(ws: Connection) -> None:
        flood(ws)
        has_sent.set()
        list(ws)

    server = serve(handler, limits=Limits(outbox_bytes=0, close_timeout=0.1))
    with Raw.opened(server) as raw, ThreadPoolExecutor(1) as pool:
        assert raw.frame()[1].startswith(b"00")
        assert has_sent.wait(TIMEOUT)
        stopping = pool.submit(server.stop, TIMEOUT)
        seen = [raw.frame() for _ in range(40)]
        assert [payload[:2] for _, payload in seen[:-1]] == [b"%02d" % number for number in range(1, 40)]
        assert seen[-1] == (CLOSE, b"\x03\xe9the server is stopping")
        raw.send(frame(CLOSE, b"\x03\xe9", masked=True))
        raw.socket.shutdown(socket.SHUT_WR)
        stopping.result()


@pytest.mark.parametrize("drain", [0, 0.1])
def test_draining_is_limited_in_time(serve: ServerFactory, drain: float) -> None:
    def handler(ws: Connection) -> None:
        flood(ws)
        list(ws)

    server = serve(handler, limits=Limits(outbox_bytes=0, close_timeout=TIMEOUT))
    with Raw.opened(server) as raw:
        assert raw.frame()[1].startswith(b"00")
        began_at = monotonic()
        server.stop(drain)
        assert monotonic() - began_at < TIMEOUT


def test_stop_does_not_wait_for_clients_that_do_not_reply(serve: ServerFactory) -> None:
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
        ws.send("running")
        is_released.wait(TIMEOUT * 3)

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


def test_stop_can_be_called_twice(serve: ServerFactory) -> None:
    server = serve(echo)
    server.stop()
    server.stop()


def test_a_server_that_was_never_started_can_be_stopped() -> None:
    with wschat.serve(echo, port=0) as server:
        assert server.port > 0
    with pytest.raises(OSError, match="refused"):
        wschat.connect(url_of(server))
    server.stop()


def test_request_shutdown_makes_serve_forever_return() -> None:
    with wschat.serve(echo, port=0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        with wschat.connect(url_of(server)) as ws:
            server.request_shutdown()
            thread.join(TIMEOUT)
            assert not thread.is_alive()
            ws.send("not closed yet")
            assert ws.recv(TIMEOUT) == "not closed yet"


def test_a_shutdown_requested_before_serve_forever_takes_effect() -> None:
    with wschat.serve(echo, port=0) as server:
        server.request_shutdown()
        server.serve_forever()


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no interval timers")
def test_request_shutdown_can_be_called_by_a_signal_handler() -> None:
    with wschat.serve(echo, port=0) as server:
        before = signal.signal(signal.SIGALRM, lambda *_: server.request_shutdown())
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            server.serve_forever()
        finally:
            signal.signal(signal.SIGALRM, before)


def test_refusals_are_logged_as_info(serve: ServerFactory, caplog: pytest.LogCaptureFixture) -> None:
    server = serve(echo)
    caplog.set_level(logging.INFO)
    with Raw.to(server) as raw:
        raw.ask(request("POST"))
    server.stop()
    assert [(record.levelname, "405" in record.getMessage()) for record in caplog.records] == [("INFO", True)]
