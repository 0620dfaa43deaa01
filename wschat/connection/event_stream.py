"""One open stream of server-sent events, a server's side: everything goes one way, and the peer can only listen or leave.

To hubs and servers it is as a `Connection`: what is offered never waits, and a peer that does not keep up is evicted. How it was
opened is not known here, nor what is said on it (WHATWG HTML, section 9.2, says how an event is written).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from wschat.connection.background_threads import acquire_background_threads, release_background_threads
from wschat.connection.outbox import Outbox, OutboxClosed
from wschat.connection.quota import Quota
from wschat.connection.streams import Stream
from wschat.connection.timers import Timer
from wschat.errors import ConnectionClosed
from wschat.limits import Limits
from wschat.protocol.frames import CloseCode

COMMENT_INTERVAL = 15.0
"""Seconds between two comments, which keep proxies from taking the stream for dead."""

_COMMENT = b":\n\n"
_READ_BYTES = 472  # as small as a connection's: a thread that waits holds a buffer of this size


class Utf8(NamedTuple):
    """The encoding of an event stream: texts go out as they are."""

    def encoder(self) -> Callable[[object], bytes]:
        """What makes bytes of a text."""
        return lambda text: str(text).encode()


class EventStream:
    """An open stream. Any thread may send and close; `wait` and `release` are for the one whose connection it is.

    `path` is the target of the request, query included, and `remote_address` the peer's.
    """

    encoding = Utf8()

    def __init__(
        self,
        stream: Stream,
        *,
        limits: Limits,
        path: str,
        remote_address: object,
        comment_interval: float = COMMENT_INTERVAL,
        quotas: Sequence[Quota] = (),
    ) -> None:
        self.path = path
        self.remote_address = remote_address
        self._stream = stream
        self._limits = limits
        self._comment_interval = comment_interval
        self._background = acquire_background_threads()
        limits = replace(limits, slow_peer="evict")
        self._outbox = Outbox(stream, limits, self._background, self._on_too_slow, quotas)
        self.offer = self._outbox.offer
        self._end: tuple[int, str] | None = None  # by the codes of a WebSocket, from the first thing that ended it
        self.was_evicted = False
        """Whether the peer was cut off for being too slow."""
        self.bytes_received = 0
        """Nothing ever comes."""
        self._abort_at: Timer | None = None
        self._next_comment: Timer | None = None
        self._plan_comment()

    @property
    def bytes_sent(self) -> int:
        """What was written to the peer, without TLS."""
        return self._outbox.bytes_sent

    @property
    def waiting_bytes(self) -> int:
        """What waits for the peer to take it."""
        return self._outbox.waiting_bytes

    @property
    def closed(self) -> ConnectionClosed | None:
        """How the stream ended; None before."""
        return None if self._end is None else ConnectionClosed(*self._end)

    def send(self, text: str) -> None:
        """Send a text, and wait until the kernel has taken it: what then waits for too long does so by the peer's own fault.

        Raises ConnectionClosed.
        """
        try:
            self._outbox.write(text.encode())
        except OutboxClosed:
            raise self.closed or ConnectionClosed(CloseCode.ABNORMAL, "connection lost") from None
        self._outbox.wait_until_taken()

    def wait(self) -> None:
        """Wait until the stream is over, whichever side ends it. For its own thread."""
        try:
            while self._stream.recv(_READ_BYTES):
                pass  # there is nothing to be said on it
        except OSError:  # the network is gone, and not the listener
            self._end = self._end or (CloseCode.ABNORMAL, "connection lost")

    def release(self) -> None:
        """Give everything back. For its own thread, as the last thing."""
        self._end = self._end or (CloseCode.ABNORMAL, "connection lost")
        self._outbox.release()
        for timer in (self._abort_at, self._next_comment):
            if timer is not None:
                timer.cancel()
        release_background_threads(self._background)

    def begin_close(self, code: int = CloseCode.NORMAL, reason: str = "", *, timeout: float | None = None) -> None:
        """End the stream after what was sent, and return: whoever waits finds the end. From any thread; never waits.

        The socket is closed after `timeout` seconds at the latest (`Limits.close_timeout`, if that is not given).
        """
        self._end = self._end or (int(code), reason)
        if self._outbox.close(lambda: _COMMENT):  # the last thing has to be something, or it would never be gone
            self._limit_close(timeout)
            self._outbox.end_stream()

    def _on_too_slow(self) -> bytes:
        """The outbox evicts the peer; called with its lock held."""
        self.was_evicted = True
        self._end = self._end or (CloseCode.POLICY_VIOLATION, "too slow")
        self._limit_close(None)
        # As soon as the lock is free: a peer that reads again is to find the end, and to come back.
        self._background.timers.call_later(0, self._outbox.end_stream)
        return _COMMENT

    def _limit_close(self, timeout: float | None) -> None:
        if timeout is None:
            timeout = self._limits.close_timeout or None
        if timeout is not None:
            self._abort_at = self._background.timers.call_later(timeout, self._outbox.abort)

    def _plan_comment(self) -> None:
        self._next_comment = self._background.timers.call_later(self._comment_interval, self._comment)

    def _comment(self) -> None:
        """For the timers' thread, again and again."""
        if self._end is None:
            self._outbox.control(_COMMENT)
            self._plan_comment()
