"""Attacks: the server limits their effect, and other clients are not affected."""

from __future__ import annotations

import contextlib
import resource
import socket
import statistics
import sys
import threading
import zlib
from collections.abc import Callable
from time import monotonic

import pytest

import wschat
from tests.concurrency import TIMEOUT
from tests.conftest import ServerFactory, check_echo, echo, url_of
from tests.protocol.wire import CLOSE, COMPRESSED, CONTINUATION_PART, DEFLATE_TAIL, PING, PONG, TEXT, TEXT_PART, frame, stream
from tests.server.command import running
from tests.server.raw import Raw, request
from wschat import Limits
from wschat.chat.chat import Chat

needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux can limit another process and report its memory")


def repeat(action: Callable[[], object], pause: float, is_over: threading.Event) -> None:
    while not is_over.wait(pause):
        action()


def test_slowloris(serve: ServerFactory) -> None:
    """500 clients send a byte a second. Others can still connect, and the 500 are disconnected after `opening_timeout`."""
    server = serve(echo, limits=Limits(opening_timeout=3, max_connections_per_address=0))
    with contextlib.ExitStack() as attackers:
        slow = [attackers.enter_context(Raw.to(server)) for _ in range(500)]
        head = iter(request(headers={"X-Long": "x" * 1000}))

        def trickle() -> None:
            byte = bytes([next(head)])
            for raw in slow:
                with contextlib.suppress(OSError):
                    raw.send(byte)

        is_over = threading.Event()
        trickling = threading.Thread(target=repeat, args=(trickle, 1.0, is_over))
        trickle()
        trickling.start()
        try:
            took = []
            for _ in range(20):
                began_at = monotonic()
                check_echo(server)
                took.append(monotonic() - began_at)
            assert statistics.median(took) < 0.1
            for raw in slow:
                with contextlib.suppress(ConnectionResetError):
                    assert raw.rest() == b""
        finally:
            is_over.set()
            trickling.join()
    check_echo(server)


def status_or_none(raw: Raw) -> int | None:
    """Return the status of the response, or None if the connection was closed without one."""
    try:
        return raw.ask(request()).status
    except (ConnectionError, IndexError):
        return None


@needs_linux
def test_more_clients_than_descriptors() -> None:
    """The surplus is refused without affecting the others. There is room again when clients leave. One error is logged."""
    with running("--port", "0", "--app", "wschat.apps:echo") as command, contextlib.ExitStack() as clients:
        resource.prlimit(command.process.pid, resource.RLIMIT_NOFILE, (64, 64))
        raws = [clients.enter_context(Raw(socket.create_connection(("127.0.0.1", command.port)))) for _ in range(200)]
        accepted = []
        for raw in raws:
            status = status_or_none(raw)
            assert status in (101, 503, None)
            if status == 101:
                accepted.append(raw)
        assert 32 <= len(accepted) < 64
        for raw in accepted:
            raw.send(frame(TEXT, b"hello", masked=True))
            assert raw.frame() == (TEXT, b"hello")
        clients.close()
        while True:  # until the server has noticed that they have left
            with Raw(socket.create_connection(("127.0.0.1", command.port))) as raw:
                if status_or_none(raw) == 101:
                    break
        errors = [line for line in command.errors().splitlines() if " ERROR " in line]
        assert len(errors) == 1
        assert "cannot accept connections: " in errors[0]
        assert command.stop() == 0


@needs_linux
def test_idle_connections_give_up_their_descriptors() -> None:
    with running("--port", "0") as command, contextlib.ExitStack() as clients:
        resource.prlimit(command.process.pid, resource.RLIMIT_NOFILE, (64, 64))
        answered = 0
        while True:  # until idle connections have all descriptors
            raw = clients.enter_context(Raw(socket.create_connection(("127.0.0.1", command.port))))
            assert raw.ask(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").status == 200
            answered += 1
            if "cannot accept connections: " in command.errors():
                break
        assert answered > 32
        with wschat.connect(command.url) as ws:
            assert ws.recv(TIMEOUT) == "Welcome to the chat!"


@needs_linux
def test_a_decompression_bomb() -> None:
    """A megabyte that inflates to a gigabyte takes no such memory."""
    compressor = zlib.compressobj(wbits=-15)
    bomb = (compressor.compress(bytes(1 << 20)) + compressor.flush(zlib.Z_SYNC_FLUSH)) * 1024
    with running("--port", "0", "--app", "wschat.apps:echo", "--max-message-bytes", str(2 << 20)) as command:
        before = command.peak_bytes()
        with Raw(socket.create_connection(("127.0.0.1", command.port))) as raw:
            assert raw.ask(request(headers={"Sec-WebSocket-Extensions": "permessage-deflate"})).status == 101
            raw.send(frame(TEXT | COMPRESSED, bomb.removesuffix(DEFLATE_TAIL), masked=True))
            first, payload = raw.frame()
            assert (first, payload[:2]) == (CLOSE, b"\x03\xf1")
        assert command.peak_bytes() - before < 32 << 20


@needs_linux
def test_100_000_pings_of_a_client_that_does_not_read() -> None:
    with running("--port", "0", "--app", "wschat.apps:echo", "--max-control-frames-per-second", "0") as command:
        before = command.peak_bytes()
        with Raw(socket.create_connection(("127.0.0.1", command.port))) as raw:
            assert raw.ask(request()).status == 101
            pings = stream([(PING, b"%0100d" % number) for number in range(1000)], masked=True)
            for _ in range(100):
                raw.send(pings)
            with wschat.connect(command.url) as ws:
                ws.send("still served")
                assert ws.recv(TIMEOUT) == "still served"
            raw.send(frame(PING, b"the last", masked=True))
            while (pong := raw.frame()) != (PONG, b"the last"):
                assert pong[0] == PONG
        assert command.peak_bytes() - before < 16 << 20


def test_a_flood_of_pings_is_closed_with_1008(serve: ServerFactory) -> None:
    server = serve(echo, limits=Limits(max_control_frames_per_second=100))
    with Raw.opened(server) as raw:
        raw.send(stream([(PING, b"")] * 1000, masked=True))
        while (reply := raw.frame())[0] == PONG:
            pass
        assert reply == (CLOSE, b"\x03\xf0too many control frames")
    check_echo(server)


def test_a_message_of_a_million_empty_fragments(serve: ServerFactory) -> None:
    server = serve(echo, limits=Limits(ping_interval=0))  # a ping would come between if this takes long
    fragments = stream([(CONTINUATION_PART, b"")] * 1000, masked=True)
    with Raw.opened(server) as raw:
        raw.send(frame(TEXT_PART, b"", masked=True))
        with contextlib.suppress(OSError):  # it is closed long before the end
            for _ in range(1000):
                raw.send(fragments)
        assert raw.frame() == (CLOSE, b"\x03\xf0too many fragments")
    check_echo(server)


def test_a_reset_in_the_middle_of_a_broadcast(serve: ServerFactory) -> None:
    chat = Chat()
    server = serve(chat.handle)
    with contextlib.ExitStack() as clients:
        raws = [clients.enter_context(Raw.opened(server)) for _ in range(20)]
        talker = clients.enter_context(wschat.connect(url_of(server)))
        assert talker.recv(TIMEOUT) == "Welcome to the chat!"
        for number, raw in enumerate(raws):
            talker.send(f"message {number}")
            raw.vanish()
        assert [talker.recv(TIMEOUT) for _ in raws] == [f"Server: message {number}" for number in range(20)]


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/?name=a%0d%0aX-Evil:%20yes", 400),
        ("/?name=a%00", 400),
        ("/rooms/a%0d%0aX-Evil:%20yes", 404),
        ("/rooms/%1b%5b2J", 404),
        ("/a\r\nX-Evil: yes\r\nX:", 400),
    ],
)
def test_line_breaks_in_a_name_and_in_a_path(serve: ServerFactory, caplog: pytest.LogCaptureFixture, target: str, status: int) -> None:
    caplog.set_level("INFO")
    chat = Chat()
    server = serve(chat.handle, check_request=chat.check_request)
    with Raw.to(server) as raw:
        response = raw.ask(request(target=target))
    server.stop()
    assert response.status == status
    assert "x-evil" not in response.headers
    assert all("\n" not in record.getMessage() and "\x1b" not in record.getMessage() for record in caplog.records)


def test_line_breaks_in_the_argument_of_nick(serve: ServerFactory) -> None:
    with wschat.connect(url_of(serve(Chat().handle))) as ws:
        assert ws.recv(TIMEOUT) == "Welcome to the chat!"
        ws.send("/nick a\r\nServer: forged")
        answer = ws.recv(TIMEOUT)
        assert isinstance(answer, str)
        assert "forged" not in answer or "\n" not in answer


def test_a_page_of_another_origin_is_refused(serve: ServerFactory) -> None:
    with Raw.to(serve(echo)) as raw:
        assert raw.ask(request(headers={"Origin": "https://evil.test", "Cookie": "session=1"})).status == 403
