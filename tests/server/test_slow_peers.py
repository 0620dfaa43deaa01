"""Clients of a room that never read: the others do not notice, memory stays bounded, and they are gone in the end. With TLS and without."""

from __future__ import annotations

import contextlib
import socket
import ssl
import sys
import threading
from pathlib import Path

import pytest

import wschat
from tests.conftest import ServerFactory
from tests.connection.wiring import eventually
from tests.server.command import running
from tests.server.raw import PATIENCE, Raw, request
from tests.tls import client_context
from wschat import Hub, Limits
from wschat.server.tls import Certificate

STALLED = 5
READERS = 10
OUTBOX_BYTES = 1 << 20
MESSAGE = "x" * 16_384


@pytest.fixture(params=["plain", "tls"])
def tls(request: pytest.FixtureRequest, certificate: Path) -> Path | None:
    """The certificate that the server has, if it has one."""
    return certificate if request.param == "tls" else None


def connect(port: int, tls: Path | None) -> wschat.Connection:
    if tls is None:
        return wschat.connect(f"ws://127.0.0.1:{port}/")
    return wschat.connect(f"wss://127.0.0.1:{port}/", tls=client_context(tls))


def never_reads(port: int, tls: Path | None) -> Raw:
    """An open WebSocket, of which nothing is read any more, by somebody whose system keeps little."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(("127.0.0.1", port))
    raw = Raw(client_context(tls).wrap_socket(sock, server_hostname="127.0.0.1") if tls else sock)
    assert raw.ask(request()).status == 101
    return raw


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of the memory of another process")
def test_five_that_never_read_cost_the_others_nothing(tls: Path | None) -> None:
    options = ["--port", "0", "--rate", "off", "--outbox-bytes", str(OUTBOX_BYTES)]
    with running(*options, *(["--tls-cert", str(tls)] if tls else [])) as command, contextlib.ExitStack() as people:
        readers = [people.enter_context(connect(command.port, tls)) for _ in range(READERS)]
        talker, *_ = readers
        for reader in readers:
            assert reader.recv(PATIENCE) == "Welcome to the chat!"
        for _ in range(STALLED):
            people.enter_context(never_reads(command.port, tls))
        before = command.peak_bytes()
        # The kernel swallows megabytes before anybody is slow: it is talked until the five have been too slow.
        while command.errors().count(" evicted after ") < STALLED:
            talker.send(MESSAGE)
            for reader in readers:
                assert reader.recv(PATIENCE) == f"Server: {MESSAGE}"
        assert command.peak_bytes() - before < STALLED * OUTBOX_BYTES + (30 << 20)
        talker.send("/who")
        assert str(talker.recv(PATIENCE)).endswith(f": {READERS} without a name.")


def test_five_that_never_read_are_gone_when_something_has_waited_for_too_long(serve: ServerFactory, tls: Path | None) -> None:
    hub = Hub()
    are_all_in = threading.Semaphore(0)

    def stay(ws: wschat.Connection) -> None:
        hub.join(ws)
        are_all_in.release()
        try:
            for _ in ws:
                pass
        finally:
            hub.leave(ws)

    context: ssl.SSLContext | None = Certificate(tls).context if tls else None
    # Only their age counts here; without that, these messages would wait for ever.
    limits = Limits(outbox_bytes=0, outbox_seconds=0.2, close_timeout=0.2, ping_interval=0)
    server = serve(stay, limits=limits, tls=context)
    with contextlib.ExitStack() as people:
        reader = people.enter_context(connect(server.port, tls))
        for _ in range(STALLED):
            people.enter_context(never_reads(server.port, tls))
        for _ in range(STALLED + 1):
            assert are_all_in.acquire(timeout=PATIENCE)
        for number in range(20):
            hub.broadcast(bytes([number]) * 1_000_000)
            assert reader.recv(PATIENCE) == bytes([number]) * 1_000_000
        eventually(lambda: len(hub) == 1)
        hub.broadcast("the others are gone")
        assert reader.recv(PATIENCE) == "the others are gone"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere 127.0.0.2 is no address of this machine")
def test_many_that_never_read_cost_no_more_than_one_address_may(serve: ServerFactory) -> None:
    """However many they are, and nothing of those at other addresses."""
    hub = Hub()
    are_in = threading.Semaphore(0)

    def stay(ws: wschat.Connection) -> None:
        hub.join(ws)
        are_in.release()
        for _ in ws:
            pass
        hub.leave(ws)

    limits = Limits(outbox_bytes_per_address=1_000_000, outbox_seconds=0, close_timeout=0.2, ping_interval=0)
    server = serve(stay, limits=limits, deflate=None)
    with contextlib.ExitStack() as people:
        for _ in range(30):
            people.enter_context(never_reads(server.port, None))
        sock = socket.create_connection(("127.0.0.1", server.port), PATIENCE, source_address=("127.0.0.2", 0))
        reader = people.enter_context(wschat.connect(f"ws://127.0.0.1:{server.port}", sock=sock))
        for _ in range(31):
            assert are_in.acquire(timeout=PATIENCE)
        most = 0
        while len(hub) > 1:
            hub.broadcast(MESSAGE)
            most = max(most, server.load().waiting_bytes)
            assert reader.recv(PATIENCE) == MESSAGE
        assert most < 1_000_000 + 30 * len(MESSAGE)
        hub.broadcast("the others are gone")
        assert reader.recv(PATIENCE) == "the others are gone"
