"""Clients that never read: others are not delayed, memory stays bounded, and they are evicted. With and without TLS."""

from __future__ import annotations

import contextlib
import socket
import ssl
import sys
import threading
from pathlib import Path

import pytest

import wschat
from tests.concurrency import TIMEOUT, eventually
from tests.conftest import ServerFactory
from tests.server.command import running
from tests.server.raw import Raw, request
from tests.tls import client_context
from wschat import Hub, Limits
from wschat.server.tls import Certificate

STALLED = 5
READERS = 10
OUTBOX_BYTES = 1 << 20
MESSAGE = "x" * 16_384


@pytest.fixture(params=["plain", "tls"])
def tls(request: pytest.FixtureRequest, certificate: Path) -> Path | None:
    """The server's certificate, or None without TLS."""
    return certificate if request.param == "tls" else None


def connect(port: int, tls: Path | None) -> wschat.Connection:
    if tls is None:
        return wschat.connect(f"ws://127.0.0.1:{port}/")
    return wschat.connect(f"wss://127.0.0.1:{port}/", tls=client_context(tls))


def connect_without_reading(port: int, tls: Path | None) -> Raw:
    """Open a WebSocket with a small receive buffer, from which nothing more is read."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(("127.0.0.1", port))
    raw = Raw(client_context(tls).wrap_socket(sock, server_hostname="127.0.0.1") if tls else sock)
    assert raw.ask(request()).status == 101
    return raw


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux reports the memory of another process")
def test_clients_that_never_read_do_not_delay_the_others(tls: Path | None) -> None:
    options = ["--port", "0", "--rate", "off", "--outbox-bytes", str(OUTBOX_BYTES)]
    with running(*options, *(["--tls-cert", str(tls)] if tls else [])) as command, contextlib.ExitStack() as clients:
        readers = [clients.enter_context(connect(command.port, tls)) for _ in range(READERS)]
        talker, *_ = readers
        for reader in readers:
            assert reader.recv(TIMEOUT) == "Welcome to the chat!"
        for _ in range(STALLED):
            clients.enter_context(connect_without_reading(command.port, tls))
        before = command.peak_bytes()
        # The kernel buffers megabytes before a client is too slow, so send until all five have been evicted.
        while command.errors().count(" evicted after ") < STALLED:
            talker.send(MESSAGE)
            for reader in readers:
                assert reader.recv(TIMEOUT) == f"Server: {MESSAGE}"
        assert command.peak_bytes() - before < STALLED * OUTBOX_BYTES + (30 << 20)
        talker.send("/who")
        assert str(talker.recv(TIMEOUT)).endswith(f": {READERS} without a name.")


def test_clients_that_never_read_are_evicted_when_their_messages_are_too_old(serve: ServerFactory, tls: Path | None) -> None:
    hub = Hub()
    joined = threading.Semaphore(0)

    def stay(ws: wschat.Connection) -> None:
        hub.join(ws)
        joined.release()
        try:
            for _ in ws:
                pass
        finally:
            hub.leave(ws)

    context: ssl.SSLContext | None = Certificate(tls).context if tls else None
    # Only the age of messages is limited.
    limits = Limits(outbox_bytes=0, outbox_seconds=0.2, close_timeout=0.2, ping_interval=0)
    server = serve(stay, limits=limits, tls=context)
    with contextlib.ExitStack() as clients:
        reader = clients.enter_context(connect(server.port, tls))
        for _ in range(STALLED):
            clients.enter_context(connect_without_reading(server.port, tls))
        for _ in range(STALLED + 1):
            assert joined.acquire(timeout=TIMEOUT)
        for number in range(20):
            hub.broadcast(bytes([number]) * 1_000_000)
            assert reader.recv(TIMEOUT) == bytes([number]) * 1_000_000
        eventually(lambda: len(hub) == 1)
        hub.broadcast("the others are gone")
        assert reader.recv(TIMEOUT) == "the others are gone"


@pytest.mark.skipif(sys.platform != "linux", reason="on other systems 127.0.0.2 is not a local address")
def test_clients_that_never_read_share_the_limit_of_their_address(serve: ServerFactory) -> None:
    """The limit holds for any number of clients. Other addresses are not affected."""
    hub = Hub()
    joined = threading.Semaphore(0)

    def stay(ws: wschat.Connection) -> None:
        hub.join(ws)
        joined.release()
        for _ in ws:
            pass
        hub.leave(ws)

    limits = Limits(outbox_bytes_per_address=1_000_000, outbox_seconds=0, close_timeout=0.2, ping_interval=0)
    server = serve(stay, limits=limits, deflate=None)
    with contextlib.ExitStack() as clients:
        for _ in range(30):
            clients.enter_context(connect_without_reading(server.port, None))
        sock = socket.create_connection(("127.0.0.1", server.port), TIMEOUT, source_address=("127.0.0.2", 0))
        reader = clients.enter_context(wschat.connect(f"ws://127.0.0.1:{server.port}", sock=sock))
        for _ in range(31):
            assert joined.acquire(timeout=TIMEOUT)
        most = 0
        while len(hub) > 1:
            hub.broadcast(MESSAGE)
            most = max(most, server.load().waiting_bytes)
            assert reader.recv(TIMEOUT) == MESSAGE
        assert most < 1_000_000 + 30 * len(MESSAGE)
        hub.broadcast("the others are gone")
        assert reader.recv(TIMEOUT) == "the others are gone"
