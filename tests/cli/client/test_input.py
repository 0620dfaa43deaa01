"""Lines of standard input, in any division into writes."""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Iterator
from typing import IO
from unittest.mock import patch

import pytest

from tests.cli.client.command import run
from tests.concurrency import TIMEOUT
from tests.conftest import ServerFactory, echo, url_of
from wschat.cli.client.input import Lines, LineSender
from wschat.connection.state import LOST
from wschat.errors import ConnectionClosed
from wschat.limits import Limits


@pytest.fixture
def keyboard() -> Iterator[IO[bytes]]:
    """The writing end of a pipe that is standard input."""
    reading, writing = os.pipe()
    with os.fdopen(reading) as stdin, os.fdopen(writing, "wb", buffering=0) as keyboard, patch.object(sys, "stdin", stdin):
        yield keyboard


@pytest.mark.parametrize(
    ("writes", "lines"),
    [
        ([b"a\nb\n"], [b"a", b"b"]),
        ([b"a", b"b", b"\nc", b"\n\nd"], [b"ab", b"c", b"", b"d"]),
        ([b"\n"], [b""]),
        ([], []),
    ],
)
def test_lines_are_read_from_any_division_into_writes(keyboard: IO[bytes], writes: list[bytes], lines: list[bytes]) -> None:
    for write in writes:
        keyboard.write(write)
    keyboard.close()
    sent: list[bytes] = []
    ended = threading.Event()
    reader = Lines()
    with LineSender(reader, sent.append, ended.set):
        assert ended.wait(TIMEOUT)
    assert (sent, reader.are_all_sent, reader.unsent) == (lines, True, 0)


def test_a_line_that_could_not_be_sent_is_the_first_line_of_the_next_sender(keyboard: IO[bytes]) -> None:
    keyboard.write(b"a\nb\n")
    keyboard.close()
    lines, lost, ended = Lines(), threading.Event(), threading.Event()

    def lose(line: bytes) -> None:
        lost.set()
        raise ConnectionClosed(*LOST)

    with LineSender(lines, lose, ended.set):
        assert lost.wait(TIMEOUT)
    assert (lines.unsent, lines.are_all_sent, ended.is_set()) == (2, False, False)
    sent: list[bytes] = []
    with LineSender(lines, sent.append, ended.set):
        assert ended.wait(TIMEOUT)
    assert sent == [b"a", b"b"]


def test_a_sender_that_waits_for_a_line_can_be_stopped(keyboard: IO[bytes]) -> None:
    lines = Lines()
    with LineSender(lines, lambda line: None, lambda: None):
        pass
    keyboard.write(b"later\n")
    one, other = socket.socketpair()
    with one, other:
        assert lines.first(one) == b"later"


def test_a_long_line(serve: ServerFactory) -> None:
    url = url_of(serve(echo, limits=Limits(max_message_bytes=0)))
    done = run(url, "--count", "1", given="x" * 5_000_000)
    assert (done.code, len(done.out)) == (0, 5_000_001)
