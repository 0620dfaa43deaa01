"""The sending half of a connection: its lock, its state, and the bytes that the kernel did not take.

Bytes go straight to the kernel. What the kernel does not take is buffered, bounded in bytes and in age, and sent by the writer
thread. Which bytes may be sent when is decided in `outbox`.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from time import monotonic

from wschat.connection.background_threads import BackgroundThreads
from wschat.connection.quota import Quota
from wschat.connection.send_buffer import SendBuffer
from wschat.connection.state import CLOSED, CLOSING, LEFT_TO_PARENT, LOST, OPEN, CloseStatus, State
from wschat.connection.streams import AT_ONCE, Stream, was_interrupted
from wschat.counters import Eviction, counters
from wschat.limits import Limits
from wschat.protocol.frames import CloseCode

TOO_SLOW: CloseStatus = (CloseCode.POLICY_VIOLATION, "too slow")
"""The close status of a peer that was evicted."""


class TransportClosed(Exception):
    """Nothing more can be sent: a close frame was sent, or the peer is gone."""


class Transport:
    """The way of bytes to one peer. Public methods may be called from any thread; only `wait_until_sent` waits.

    Locks are taken in this order: a hub's `_flush_lock`, a transport's `lock`, then the lock of a stream, of the writer, or of a quota.
    """

    def __init__(
        self,
        stream: Stream,
        limits: Limits,
        background: BackgroundThreads,
        *,
        encode_close: Callable[[int, str], bytes],
        on_evict: Callable[[], None],
        quotas: Sequence[Quota] = (),
    ) -> None:
        """`encode_close` makes a close frame; `on_evict` is called when the peer is evicted. Both are called with the lock held."""
        # Guards every attribute below, the sending side of the stream, and thereby the order of its bytes. `state`, `close_status`,
        # `bytes_sent` and the size of the buffer are also read without it. Never held while waiting.
        self.lock = threading.Lock()
        # First what each frame needs: side by side in memory, it takes less time to reach in a broadcast to a thousand members.
        self._send_now = stream.send
        self._is_clear = True  # open, nothing in the buffer, no fragmented message: a frame may go straight to the kernel
        self.bytes_sent = 0
        """Bytes that the kernel has taken."""
        self._stream = stream
        self.fileno = stream.fileno
        self._limits = limits
        self._writer, self._timers = background.writer, background.timers
        self._encode_close = encode_close
        self._on_evict = on_evict
        self.state: State = OPEN
        self.close_status: CloseStatus | None = None
        """The code and reason of the close; None while the connection is open, and after a failed write until the stream has ended."""
        self._buffer = SendBuffer(stream.record_bytes, quotas)
        self._half_closes = False  # half-close the stream once the buffer is empty
        self._is_watched = False  # the writer drains the buffer
        self._has_age_timer = False  # a timer looks at the age of the oldest chunk
        self._changed: threading.Condition | None = None  # made by the first thread that waits for room

    # State

    def _advance(self, state: State, status: CloseStatus | None) -> None:
        """Move to a later state, or stay in this one. The close status that was set first stays."""
        assert self.lock.locked()
        self.state = max(self.state, state)
        self.close_status = self.close_status or status
        self._is_clear = False
        self._buffer.set_pong(None)
        self._notify()

    def set_close_status(self, code: int, reason: str) -> None:
        """Set the close status of a connection that was lost, if it has none."""
        with self.lock:
            self.close_status = self.close_status or (int(code), reason)

    def set_peer_close_status(self, code: int, reason: str) -> None:
        """Take over the close status of the peer's close frame, also as the reply to ours (RFC 6455, section 7.1.5)."""
        with self.lock:
            if self.close_status is not None and self.close_status[0] != code != CloseCode.NO_STATUS:
                self.close_status = (code, reason)

    def abort(self) -> None:
        """End the connection without a close frame. The thread that reads finds the end of the stream."""
        with self.lock:
            self._lose(LOST)

    def half_close(self) -> None:
        """Half-close the stream once everything has been sent."""
        with self.lock:
            self._half_closes = True
            if not self._buffer:
                self._stream.half_close()

    def release(self) -> None:
        """Close the socket. For the thread that reads, as its last call."""
        with self.lock:
            self._lose(LOST)
            if self._is_watched:
                self._writer.unwatch(self._stream.fileno())
            self._stream.close()
            self._advance(CLOSED, LOST)

    def abandon(self, code: int, reason: str) -> None:
        """Close the socket while the interpreter is finalizing, after a close frame if that can be sent at once. Waits for no lock."""
        is_owned = self.lock.acquire(blocking=False)  # if not, the owner is a thread that never runs again
        if is_owned and self._is_clear:
            with contextlib.suppress(OSError):
                self._send_now(self._encode_close(code, reason), AT_ONCE)
        self._advance(CLOSED, (code, reason))
        if is_owned:
            self.lock.release()
        self._stream.abort()
        self._stream.close()

    def leave_to_parent(self) -> None:
        """Close the descriptor of a forked child and accept nothing more. Another thread may have held the lock, or that of a quota."""
        self.lock, self._changed = threading.Lock(), None
        self._buffer, self._is_watched = SendBuffer(0), False
        self._stream.leave_to_parent()
        with self.lock:
            self._advance(CLOSED, LEFT_TO_PARENT)

    def _send_close(self, status: CloseStatus, *, after: bytes = b"") -> None:
        """Send the frames `after`, then a close frame, and accept nothing more."""
        close_frame = self._encode_close(*status)
        self._advance(CLOSING, status)  # first, so that a write that fails does not change the close status
        with contextlib.suppress(TransportClosed):
            self._write(after + close_frame)

    def _evict(self, reason: Eviction) -> None:
        """Drop what the peer is too slow to take, except a frame of which a part was sent, and close."""
        assert self.lock.locked()
        counters.count_eviction(reason)
        self._buffer.discard_uncommitted()
        self._on_evict()
        self._send_close(TOO_SLOW)

    def _lose(self, status: CloseStatus | None = None) -> None:
        """Give up a connection that is broken or has ended."""
        self._buffer.clear()
        self._advance(CLOSING, status)
        self._stream.abort()

    def _update_is_clear(self) -> None:
        assert self.lock.locked()
        self._is_clear = self.state is OPEN and not self._buffer and not self._buffer.is_holding

    # Writing

    @property
    def waiting_bytes(self) -> int:
        """Bytes that the kernel has not taken yet, a moment ago."""
        return self._buffer.size

    def wait_until_sent(self) -> None:
        """Wait until the kernel has taken everything, or nothing more can be sent."""
        with self.lock:
            while self._buffer and self.state is OPEN:
                self._wait(None)

    def drain(self) -> bool:
        """Write as much of the buffer as the kernel takes. Return True if some is left. For the writer thread."""
        with self.lock:
            try:
                while self._buffer and self._write_buffer():
                    pass
            except TransportClosed:
                return False
            if self._buffer:
                return True
            self._is_watched = False
            self._update_is_clear()
            if self._half_closes:
                self._stream.half_close()
            return False

    def _write(self, data: bytes) -> None:
        """Send bytes, behind the buffer if anything is in it. Raises TransportClosed if the peer is gone."""
        assert self.lock.locked()
        if self._buffer:
            self._buffer.add(data)
            return
        sent = self._try_to_send(data)
        if sent < len(data):
            self._buffer_rest(data, sent)

    def _try_to_send(self, data: bytes | memoryview) -> int:
        """Return how many bytes the kernel takes now. Raises TransportClosed if the peer is gone."""
        try:
            sent = self._send_now(data, AT_ONCE)
        except BaseException as error:
            sent = self._on_send_error(error)
        self.bytes_sent += sent
        return sent

    def _on_send_error(self, error: BaseException) -> int:
        """Return 0, the bytes sent, if the kernel has no room. Raises TransportClosed if the peer is gone.

        Raises `error` if a signal handler raised it. To be called from the frame that called `send` (see `was_interrupted`).
        """
        if not isinstance(error, OSError) or was_interrupted(error):
            self._lose()  # how much was sent is unknown, and a frame must not be torn
            raise error
        if isinstance(error, BlockingIOError):
            return 0
        self._lose()
        raise TransportClosed from None

    def _buffer_rest(self, data: bytes, sent: int) -> None:
        """Begin to buffer: keep what the kernel did not take, have the writer drain it, and bound its age."""
        assert self.lock.locked()
        self._is_clear = False
        self._buffer.add_rest(data, sent)
        if not self._is_watched:
            self._is_watched = True
            self._writer.watch(self)
        if self._limits.outbox_seconds and not self._has_age_timer:
            self._has_age_timer = True
            self._timers.call_later(self._limits.outbox_seconds, self._check_age)

    def _write_buffer(self) -> bool:
        """Write once from the front of the buffer. Return True if the kernel took all of it."""
        data = self._buffer.next_write()
        sent = self._try_to_send(data)
        self._buffer.consume(sent, len(data))
        self._notify()
        return sent == len(data)

    # Bounds

    def _is_full(self, size: int) -> bool:
        """Return True if the peer is too far behind for `size` bytes more. An empty buffer takes any size."""
        waiting = self._buffer.size
        if not waiting or self.state is not OPEN:
            return False
        max_bytes = self._limits.outbox_bytes
        return bool(max_bytes and waiting + size > max_bytes) or not self._buffer.has_room(size)

    def _make_room(self, size: int) -> bool:
        """Drop the oldest offers if the limits say so. Return True if there is room then."""
        if self._limits.slow_peer == "drop-oldest":
            self._buffer.drop_oldest_while(lambda _: self._is_full(size))
        return not self._is_full(size)

    def _wait_for_room(self) -> None:
        """Wait until there is room for one byte more; evict the peer if there is none in time."""
        assert self.lock.locked()
        if not self._is_full(1):
            return
        if not self._buffer.has_room(1):
            self._evict(Eviction.OUTBOX_FULL)  # a quota is full: only other connections could make room
        give_up_at = monotonic() + self._limits.send_timeout if self._limits.send_timeout else None
        while self._is_full(1):
            if not self._wait(give_up_at):
                self._evict(Eviction.SEND_TIMEOUT)

    def _wait(self, until: float | None) -> bool:
        """Release the lock until something changes. Return False if it is later than `until`."""
        assert self.lock.locked()
        if (remaining := None if until is None else until - monotonic()) is not None and remaining <= 0:
            return False
        if self._changed is None:
            self._changed = threading.Condition(self.lock)
        self._changed.wait(remaining)
        return True

    def _notify(self) -> None:
        """Wake the threads that wait for room or for the end of a fragmented message."""
        assert self.lock.locked()
        if self._changed is not None:
            self._changed.notify_all()

    def _check_age(self) -> None:
        """Evict the peer, or drop offers, if the oldest chunk has waited too long. For the timers thread, which holds no lock."""
        with self.lock:
            self._has_age_timer = False
            if not self._buffer or self.state is not OPEN:
                return
            now = monotonic()
            max_age = self._limits.outbox_seconds
            remaining = self._buffer.oldest_since + max_age - now
            if remaining <= 0:
                if self._limits.slow_peer == "evict":
                    self._evict(Eviction.TOO_OLD)
                    return
                self._buffer.drop_oldest_while(lambda since: since + max_age <= now)
                remaining = max_age
            self._has_age_timer = True
            self._timers.call_later(remaining, self._check_age)
