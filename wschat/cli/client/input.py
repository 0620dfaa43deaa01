"""Standard input of `wschat connect`, whose lines are sent."""

from __future__ import annotations

import os
import selectors
import socket
import sys
import threading
from collections import deque
from collections.abc import Callable

from wschat.errors import ConnectionClosed

_READ_BYTES = 65536


class Lines:
    """The lines of standard input. For one thread at a time."""

    def __init__(self) -> None:
        self._lines: deque[bytes] = deque()
        self._parts: list[bytes] = []  # of a line whose end was not read yet
        self._has_ended = False

    @property
    def are_all_sent(self) -> bool:
        """True once the input has ended and its last line was dropped."""
        return self._has_ended and not self._lines

    @property
    def unsent(self) -> int:
        """The number of lines that were read and not dropped."""
        return len(self._lines)

    def first(self, stopped: socket.socket) -> bytes | None:
        """Wait for a line and return it, without its end. It stays the first until it is dropped.

        Returns None at the end of the input, and once `stopped` is readable.
        """
        while not self._lines and not self._has_ended:
            if (chunk := self._read(stopped)) is None:
                return None
            self._add(chunk)
        return self._lines[0] if self._lines else None

    def drop_first(self) -> None:
        """Remove the first line, which was sent."""
        self._lines.popleft()

    def _add(self, chunk: bytes) -> None:
        """Add the next bytes of the input, b"" for its end."""
        first, *others = chunk.split(b"\n")
        self._parts.append(first)
        for part in others:
            self._lines.append(b"".join(self._parts))
            self._parts = [part]
        if not chunk:
            self._has_ended = True
            if rest := b"".join(self._parts):
                self._lines.append(rest)

    def _read(self, stopped: socket.socket) -> bytes | None:
        """Return the next bytes of the input, b"" at its end, and None once `stopped` is readable."""
        with selectors.SelectSelector() as selector:
            selector.register(stopped, selectors.EVENT_READ)
            selector.register(sys.stdin.fileno(), selectors.EVENT_READ)
            if any(key.fileobj is stopped for key, _ in selector.select()):
                return None
            try:
                return os.read(sys.stdin.fileno(), _READ_BYTES)
            except OSError:  # the terminal is gone
                return b""


class LineSender:
    """Sends lines in a thread that ends with the block. `at_end` is called by the thread after the last line."""

    def __init__(self, lines: Lines, send: Callable[[bytes], None], at_end: Callable[[], None]) -> None:
        self._lines = lines
        self._send = send
        self._at_end = at_end
        self._stop, self._stopped = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="wschat-input")

    def __enter__(self) -> LineSender:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.finish(None)
        self._stopped.close()

    def finish(self, timeout: float | None) -> None:
        """Read no more lines, and wait until the one that is being sent is sent, for at most `timeout` seconds."""
        self._stop.close()
        self._thread.join(timeout)

    def _run(self) -> None:
        try:
            while (line := self._lines.first(self._stopped)) is not None:
                self._send(line)
                self._lines.drop_first()
            if self._lines.are_all_sent:
                self._at_end()
        except ConnectionClosed:
            pass  # the thread that receives finds it, too
