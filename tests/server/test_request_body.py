"""The body of a request as a stream, over a socket pair."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from time import monotonic

import h11
import pytest

from tests.concurrency import TIMEOUT
from wschat.connection.timers import Timers
from wschat.errors import HttpConnectionClosed, RequestRefused
from wschat.server.request_body import RequestBody
from wschat.server.timeouts import PeerTimeout


class Upload:
    """A request whose head has been read, and the socket of its client."""

    def __init__(self, timers: Timers, head: bytes, timeout: float) -> None:
        self.client, self.server = socket.socketpair()
        self.client.settimeout(TIMEOUT)
        http = h11.Connection(h11.SERVER)
        http.receive_data(head + b"\r\n\r\n")
        http.next_event()
        self.peer_timeout = PeerTimeout(timers, lambda: self.server.shutdown(socket.SHUT_RDWR))
        self.body = RequestBody(http, self.server, self.peer_timeout, timeout)

    def close(self) -> None:
        self.peer_timeout.close()
        self.client.close()
        self.server.close()


@pytest.fixture
def timers() -> Iterator[Timers]:
    timers = Timers()
    timers.start()
    yield timers
    timers.stop()


OpenUpload = Callable[..., Upload]


@pytest.fixture
def open_upload(timers: Timers) -> Iterator[OpenUpload]:
    """Opens requests with these headers."""
    with ExitStack() as uploads:

        def start(*headers: str, timeout: float = TIMEOUT) -> Upload:
            return uploads.enter_context(closing(Upload(timers, "\r\n".join(["POST / HTTP/1.1", "Host: a", *headers]).encode(), timeout)))

        yield start


def test_a_read_returns_the_bytes_that_have_arrived(open_upload: OpenUpload) -> None:
    upload = open_upload("Content-Length: 6")
    upload.client.sendall(b"abc")
    assert upload.body.read(100) == b"abc"
    assert not upload.body.is_received
    upload.client.sendall(b"def")
    assert upload.body.read(2) == b"de"
    assert upload.body.read(100) == b"f"
    assert upload.body.is_received
    assert upload.body.read(100) == b""


def test_kept_bytes_are_read_first(open_upload: OpenUpload) -> None:
    upload = open_upload("Content-Length: 3")
    upload.client.sendall(b"abc")
    assert upload.body.read(1) == b"a"
    upload.body.keep_received()
    assert upload.body.is_received
    assert upload.body.readall() == b"bc"


def test_the_next_request_is_not_a_part_of_the_body(open_upload: OpenUpload) -> None:
    upload = open_upload("Transfer-Encoding: chunked")
    upload.client.sendall(b"1\r\na\r\n0\r\n\r\nGET / HTTP/1.1\r\n")
    assert upload.body.readall() == b"a"


def test_a_client_that_does_not_read_the_100_continue_is_given_up(open_upload: OpenUpload) -> None:
    upload = open_upload("Content-Length: 3", "Expect: 100-continue", timeout=0.1)
    upload.server.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            upload.server.send(bytes(4096))
    upload.server.settimeout(TIMEOUT)
    began_at = monotonic()
    with pytest.raises(HttpConnectionClosed):
        upload.body.read(1)
    assert monotonic() - began_at < TIMEOUT / 2


def test_100_continue_is_sent_once(open_upload: OpenUpload) -> None:
    upload = open_upload("Content-Length: 2", "Expect: 100-continue")
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(upload.body.readall)
        assert upload.client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        upload.client.sendall(b"a")
        upload.client.sendall(b"b")
        assert reading.result(TIMEOUT) == b"ab"
    upload.client.setblocking(False)
    with pytest.raises(BlockingIOError):
        upload.client.recv(1)


def test_a_client_that_disconnects_ends_the_connection(open_upload: OpenUpload) -> None:
    upload = open_upload("Content-Length: 2")
    upload.client.sendall(b"a")
    upload.client.shutdown(socket.SHUT_WR)
    assert upload.body.read(1) == b"a"
    with pytest.raises(HttpConnectionClosed):
        upload.body.read(1)


def test_an_invalid_chunk_is_refused(open_upload: OpenUpload) -> None:
    upload = open_upload("Transfer-Encoding: chunked")
    upload.client.sendall(b"xyz\r\n")
    with pytest.raises(RequestRefused) as refusal:
        upload.body.read(1)
    assert refusal.value.status == 400


def test_a_client_that_sends_single_bytes_slowly_times_out(open_upload: OpenUpload) -> None:
    """The timeout is for 16 KiB, so that a client cannot hold a thread by a byte before each timeout."""
    upload = open_upload("Content-Length: 1000", timeout=0.5)
    began_at = monotonic()
    stop = threading.Event()

    def dribble() -> None:
        with contextlib.suppress(OSError):
            while not stop.wait(0.05):
                upload.client.sendall(b"x")

    with ThreadPoolExecutor(1) as pool:
        pool.submit(dribble)
        with pytest.raises(HttpConnectionClosed):
            upload.body.readall()
        stop.set()
    assert monotonic() - began_at >= 0.4


def test_the_time_between_reads_does_not_count(open_upload: OpenUpload) -> None:
    upload = open_upload("Content-Length: 2", timeout=0.2)
    upload.client.sendall(b"a")
    assert upload.body.read(1) == b"a"
    threading.Event().wait(0.4)
    upload.client.sendall(b"b")
    assert upload.body.read(1) == b"b"


def test_each_part_of_a_long_body_has_the_timeout(open_upload: OpenUpload) -> None:
    upload = open_upload("Content-Length: 200000", timeout=0.5)
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(upload.body.readall)
        for _ in range(10):
            threading.Event().wait(0.1)  # a second for all
            upload.client.sendall(bytes(20_000))
        assert reading.result(TIMEOUT) == bytes(200_000)
