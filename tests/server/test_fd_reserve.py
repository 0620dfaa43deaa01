"""Refusing a connection with the spare descriptor. Running out of descriptors, and recovering, is in `test_attacks`."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.concurrency import TIMEOUT
from tests.server.raw import Raw, request
from wschat.errors import RequestRefused
from wschat.server.fd_reserve import FdReserve
from wschat.server.refusals import encode_refusal

BUSY = encode_refusal(RequestRefused(503, "No."))


@pytest.fixture
def fd_reserve() -> Iterator[FdReserve]:
    with closing(FdReserve()) as fd_reserve:
        yield fd_reserve


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield listener


def descriptors() -> int:
    return len(os.listdir("/dev/fd"))


def test_a_connection_is_refused_and_the_spare_descriptor_is_opened_again(fd_reserve: FdReserve, listener: socket.socket) -> None:
    before = descriptors()
    for _ in range(3):
        with socket.create_connection(listener.getsockname(), TIMEOUT) as sock, Raw(sock) as raw:
            raw.send(request())
            assert fd_reserve.refuse_one(listener, lambda head: BUSY)
            assert raw.response().status == 503
            assert raw.rest() == b""
    assert descriptors() == before


def test_refuse_one_does_not_wait_for_a_connection(fd_reserve: FdReserve, listener: socket.socket) -> None:
    assert not fd_reserve.refuse_one(listener, lambda head: BUSY)


def test_a_client_that_has_already_disconnected_is_skipped(fd_reserve: FdReserve, listener: socket.socket) -> None:
    Raw(socket.create_connection(listener.getsockname(), TIMEOUT)).vanish()
    fd_reserve.refuse_one(listener, lambda head: BUSY)
    assert not fd_reserve.refuse_one(listener, lambda head: BUSY)


@pytest.mark.parametrize(
    ("number", "is_exhaustion"),
    [(errno.EMFILE, True), (errno.ENFILE, True), (errno.ENOMEM, True), (errno.EAGAIN, False), (errno.ECONNABORTED, False)],
)
def test_which_errors_mean_exhaustion(number: int, is_exhaustion: bool) -> None:
    assert FdReserve.is_exhaustion(OSError(number, "no")) == is_exhaustion


def test_exhaustion_is_logged_once_in_ten_seconds(fd_reserve: FdReserve, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        fd_reserve.log_exhaustion(OSError(errno.EMFILE, "Too many open files"))
    (record,) = caplog.records
    assert record.getMessage() == "cannot accept connections: [Errno 24] Too many open files"
