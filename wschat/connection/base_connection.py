"""The base of WebSockets and event streams: a stream with an outbox, the background threads, and a limit on closing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import getrandbits

from wschat.connection.background_threads import acquire_background_threads, release_background_threads
from wschat.connection.outbox import Outbox
from wschat.connection.quota import Quota
from wschat.connection.state import LOST, OPEN
from wschat.connection.streams import Stream
from wschat.connection.timers import Timer
from wschat.errors import ConnectionClosed, UsageError
from wschat.forks import ForkAware
from wschat.limits import Limits

_ID_BITS = 48


class BaseConnection(ForkAware):
    """An open connection that can be sent to. A hub can have it as a member, and a server can close it."""

    def __init__(
        self,
        stream: Stream,
        *,
        limits: Limits,
        path: str,
        remote_address: object,
        encode_close: Callable[[int, str], bytes],
        quotas: Sequence[Quota] = (),
    ) -> None:
        """Raises OSError if the background threads cannot be started."""
        self.path = path
        """The target of the request, query included."""
        self.remote_address = remote_address
        """The address of the peer, as `socket` has it."""
        self._id = getrandbits(_ID_BITS)  # as a number it takes half the memory
        self.was_evicted = False
        """True if the peer was too slow, so that the connection was closed (1008)."""
        self._limits = limits
        self._background = acquire_background_threads()
        self._outbox = Outbox(stream, limits, self._background, encode_close=encode_close, on_evict=self._on_evict, quotas=quotas)
        self.offer = self._outbox.offer
        """Send bytes in this connection's `encoding` without waiting, as a hub does."""
        self._abort_timer: Timer | None = None
        self._watch_forks()

    @property
    def id(self) -> str:
        """Twelve random hexadecimal digits, by which the entries of a log that concern this connection can be found."""
        return f"{self._id:0{_ID_BITS // 4}x}"

    @property
    def bytes_sent(self) -> int:
        """Bytes written to the peer, frames and their headers included, without TLS."""
        return self._outbox.bytes_sent

    @property
    def waiting_bytes(self) -> int:
        """Bytes that the kernel has not taken yet because the peer is slow."""
        return self._outbox.waiting_bytes

    @property
    def closed(self) -> ConnectionClosed | None:
        """The close code and reason; None while the connection is open."""
        status = self._outbox.close_status
        return None if status is None else ConnectionClosed(*status)

    @property
    def _is_open(self) -> bool:
        return self._outbox.state is OPEN

    def _closed_error(self) -> ConnectionClosed | UsageError:
        """Return the error of a call after the end."""
        return self._inherited_error() if self._is_inherited else self.closed or ConnectionClosed(*LOST)

    def _on_evict(self) -> None:
        """Note that the peer is being evicted. Called with the outbox's lock held."""
        assert self._outbox.lock.locked()
        self.was_evicted = True
        self._limit_close(None)

    def _limit_close(self, timeout: float | None) -> None:
        """Abort the connection after `timeout` seconds, by default `Limits.close_timeout`."""
        if timeout is None:
            timeout = self._limits.close_timeout or None
        if timeout is not None:
            self._abort_timer = self._background.timers.call_later(timeout, self._outbox.abort)

    def _release(self, *timers: Timer | None) -> None:
        """Close the socket, cancel these timers, and release the background threads. For the thread that reads, as its last call."""
        if self._is_inherited:
            return
        self._outbox.release()
        for timer in (self._abort_timer, *timers):
            if timer is not None:
                timer.cancel()
        release_background_threads(self._background)

    def _leave_to_parent(self) -> None:
        super()._leave_to_parent()
        self._outbox.leave_to_parent()
