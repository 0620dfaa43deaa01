"""The server's side of one stream of server-sent events (WHATWG HTML, section 9.2).

To hubs and servers it is like a `Connection`: an offer never waits, and a peer that does not keep up is evicted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from wschat.connection.base_connection import BaseConnection
from wschat.connection.quota import Quota
from wschat.connection.streams import Stream
from wschat.connection.timers import Timer
from wschat.connection.transport import TransportClosed
from wschat.limits import Limits
from wschat.protocol.frames import CloseCode

COMMENT_INTERVAL = 15.0
"""Seconds between two comments, which keep proxies from closing an idle stream."""

_COMMENT = b":\n\n"
_READ_BYTES = 472  # as small as a WebSocket's: a thread that waits holds a buffer of this size


class Utf8(NamedTuple):
    """The encoding of an event stream: texts are sent as they are."""

    def encoder(self) -> Callable[[object], bytes]:
        """Return a function that encodes a text."""
        return lambda text: str(text).encode()


class EventStream(BaseConnection):
    """An open event stream. Any thread may send and close; `wait` and `release` are for the thread that owns it.

    `closed` has the close codes of WebSockets.
    """

    encoding = Utf8()
    """How a hub encodes messages to this stream."""

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
        super().__init__(
            stream,
            limits=replace(limits, slow_peer="evict"),  # a client could not know that events were dropped
            path=path,
            remote_address=remote_address,
            encode_close=lambda code, reason: _COMMENT,  # something to send last, after which the stream is half-closed
            quotas=quotas,
        )
        self._stream = stream
        self._comment_interval = comment_interval
        self.bytes_received = 0
        """Always 0: what a client sends is ignored."""
        self._comment_timer: Timer | None = None
        self._schedule_comment()

    def send(self, text: str) -> None:
        """Send a text and wait until the kernel has taken it. Raises ConnectionClosed.

        So what is sent later waits for too long only if the peer itself is slow.
        """
        try:
            self._outbox.write(text.encode())
        except TransportClosed:
            raise self._closed_error() from None
        self._outbox.wait_until_sent()

    def wait(self) -> None:
        """Wait until the stream has ended, on either side. For the thread that owns it."""
        try:
            while self._stream.recv(_READ_BYTES):
                pass  # what a client sends is ignored
        except OSError:  # the connection was lost; a client that leaves ends the stream
            self._outbox.abort()

    def release(self) -> None:
        """Close the socket and release all resources. For the thread that owns the stream, as its last call."""
        self._release(self._comment_timer)

    def begin_close(self, code: int = CloseCode.NORMAL, reason: str = "", *, timeout: float | None = None) -> None:
        """End the stream after what was sent, and return; `wait` returns at the end. From any thread; never waits.

        The connection is aborted after `timeout` seconds at the latest, by default `Limits.close_timeout`.
        """
        if self._outbox.close(code, reason):
            self._limit_close(timeout)
            self._outbox.half_close()
        else:
            self._outbox.set_close_status(code, reason)

    def _on_evict(self) -> None:
        super()._on_evict()
        # As soon as the lock is free: a peer that reads again finds the end, and can reconnect.
        self._background.timers.call_later(0, self._outbox.half_close)

    def _schedule_comment(self) -> None:
        self._comment_timer = self._background.timers.call_later(self._comment_interval, self._send_comment)

    def _send_comment(self) -> None:
        """Send a comment and schedule the next one, while the stream is open. For the timers thread."""
        if self._is_open:
            self._outbox.control(_COMMENT)
            self._schedule_comment()
