"""What one peer has still to be sent: a bounded queue in front of its socket, and the thread that empties full ones.

A write goes straight to the socket. What the kernel does not take is buffered, bounded in bytes and in age; the writer thread sends it.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from time import monotonic

from wschat.connection.background_threads import BackgroundThreads
from wschat.connection.cork import Cork, current
from wschat.connection.quota import Quota
from wschat.connection.send_buffer import WRITE_BYTES, SendBuffer
from wschat.connection.streams import AT_ONCE, Stream, was_interrupted
from wschat.counters import Eviction, counters
from wschat.errors import UsageError
from wschat.limits import Limits

# What a turn puts off: as many small frames as one write takes.
_PUT_OFF_BYTES = 1024
_PUT_OFF_FRAMES = WRITE_BYTES // _PUT_OFF_BYTES


class OutboxClosed(Exception):
    """Nothing can be written any more: the close frame is on its way, or the peer is gone."""


class Outbox:
    """The frames on their way to one peer. Every method may be called from any thread; only `open_message` and the writes wait.

    `lock` guards everything here and the order of the bytes in the stream, and is never held while waiting. Locks are
    taken in this order: a hub's, an outbox's, the writer's or the timers' own.
    """

    def __init__(
        self, stream: Stream, limits: Limits, background: BackgroundThreads, on_evict: Callable[[], bytes], quotas: Sequence[Quota] = ()
    ) -> None:
        self.lock = threading.Lock()
        self._stream = stream
        self._send_now, self.fileno = stream.send, stream.fileno
        self._limits = limits
        self._writer, self._timers = background.writer, background.timers
        self._on_evict = on_evict  # called with the lock held when the peer is too slow; returns the close frame to send
        self._is_clear = True  # not closed, no backlog, no fragmented message: what is written can go straight to the kernel
        self._put_off: list[bytes] = []  # held back until a turn ends; the turn's thread appends to it without the lock
        self._cork: Cork | None = None  # the one that is going to flush them
        self._buffer = SendBuffer(stream.record_bytes, quotas)
        self._is_in_message = False  # somebody is sending a fragmented one
        self._sender = 0  # the thread that does
        self._changed: threading.Condition | None = None  # made by the first thread that has to wait
        self.bytes_sent = 0
        self._is_closed = self._ends_stream = False
        self._is_watched = self._is_aging = False  # by the writer; by a timer for its oldest part

    def write(self, frame: bytes) -> None:
        """Send a data frame, waiting for room in the backlog if there is none. Raises OutboxClosed."""
        cork = current.cork
        if cork is not None and self._is_clear and len(frame) < _PUT_OFF_BYTES and len(self._put_off) < _PUT_OFF_FRAMES:
            # The lock would cost half as much again. Whoever takes `_cork` away looks here only after that.
            self._put_off.append(frame)
            if self._cork is not cork:
                self._defer_until_uncorked(cork)
            return
        with self.lock:
            if self._is_clear and not self._put_off:
                send = self._send_now
                try:
                    sent = send(frame, AT_ONCE)
                except BaseException as error:
                    sent = self._sent_nothing(error)
                self.bytes_sent += sent
                if sent < len(frame):
                    self._begin_backlog(frame, sent)
            else:
                self._wait_for_room()
                self._put(frame)

    def write_part(self, frame: bytes) -> None:
        """Send a frame of the fragmented message that was begun with `open_message`, as `write` does."""
        with self.lock:
            self._wait_for_room()
            self._send(frame)

    def write_made(self, make_frame: Callable[[], bytes]) -> None:
        """Send a data frame that must be made in the order in which frames are sent, as `write` does."""
        with self.lock:
            self._wait_for_room()
            self._put(make_frame())

    def offer(self, frames: bytes, *, is_droppable: bool = True) -> None:
        """Send data frames without ever waiting: a peer that has no room for them is evicted, or loses what it was offered before.

        What is not droppable is not lost that way later on.
        """
        with self.lock:
            try:
                if self._is_clear and not self._put_off:
                    # As in `write`: with a thousand members, two calls more are an eighth of a broadcast.
                    send = self._send_now
                    try:
                        sent = send(frames, AT_ONCE)
                    except BaseException as error:
                        sent = self._sent_nothing(error)
                    self.bytes_sent += sent
                    if sent < len(frames):
                        self._begin_backlog(frames, sent)
                elif self._has_no_room(len(frames)) and not self._make_room(len(frames)):
                    self._evict(Eviction.OUTBOX_FULL)
                elif self._buffer and not self._is_in_message and not self._is_closed:
                    self._write_put_off()
                    self._buffer.add(frames, is_droppable=is_droppable)
                else:
                    self._put(frames)
            except OutboxClosed:
                pass  # its own thread is finding out just now

    def open_message(self) -> None:
        """Begin a fragmented message: until `close_message`, other messages wait behind it. Raises OutboxClosed."""
        with self.lock:
            while self._is_in_message and not self._is_closed:
                if self._sender == threading.get_ident():
                    raise UsageError("the parts of a message cannot send another message in parts")
                self._wait(None)
            self._write_put_off()
            if self._is_closed:
                raise OutboxClosed
            self._is_in_message = True
            self._sender = threading.get_ident()
            self._is_clear = False

    def close_message(self) -> None:
        """End the fragmented message and let those through that had to wait."""
        with self.lock:
            self._is_in_message = False
            self._see_if_clear()
            with contextlib.suppress(OutboxClosed):
                for frame in self._buffer.take_held():
                    self._put(frame)
            self._notify()

    def control(self, frame: bytes) -> None:
        """Send a ping as soon as can be, between the fragments of a message if need be."""
        with self.lock:
            self._put_control(frame)

    def pong(self, frames: list[bytes]) -> None:
        """Send pongs; while the peer does not read, only the newest is kept (RFC 6455, section 5.5.3)."""
        with self.lock:
            if not self._buffer:
                self._put_control(b"".join(frames))
            elif not self._is_closed:
                self._buffer.keep_pong(frames[-1])

    def close(self, make_close_frame: Callable[[], bytes]) -> bool:
        """Send a close frame, made with the lock held, after which nothing is accepted. Return False if there was one before."""
        with self.lock:
            if self._is_closed:
                return False
            self._put_control(make_close_frame())
            self._shut()
            return True

    def abandon(self, close_frame: bytes) -> None:
        """While the interpreter is finalizing, when no lock may be waited for: send a close frame if that can be, and give up."""
        if self.lock.acquire(blocking=False):
            with contextlib.suppress(OSError):
                if self._is_clear:
                    self._send_now(close_frame, AT_ONCE)
            self._is_closed, self._is_clear = True, False
            self.lock.release()
        self._stream.abort()
        self._stream.close()

    def end_stream(self) -> None:
        """Half-close the stream once everything has been written."""
        with self.lock:
            self._ends_stream = True
            if not self._buffer:
                self._stream.half_close()

    def abort(self) -> None:
        """Let nobody wait for this peer any longer; its reader finds the end of the stream."""
        with self.lock:
            self._lose()

    def release(self) -> None:
        """Give the socket back. Only for the thread that reads from the stream, as the last thing it does there."""
        with self.lock:
            self._lose()
            if self._is_watched:
                self._writer.forget(self._stream.fileno())
            self._stream.close()

    def renew(self) -> None:
        """In a forked child: what a thread of the parent had locked is nobody's here."""
        self.lock, self._changed = threading.Lock(), None

    def flush(self) -> None:
        """Write what has been put off. Never waits."""
        with self.lock:
            try:
                self._write_put_off()
            except OutboxClosed:
                pass  # whose outbox it is finds out when it reads

    @property
    def waiting_bytes(self) -> int:
        """What the kernel has not taken yet, as of some moment just now."""
        return self._buffer.size

    def wait_until_taken(self) -> None:
        """Wait until the kernel has taken everything, or nothing can be sent any more."""
        with self.lock:
            while self._buffer and not self._is_closed:
                self._wait(None)

    def drain(self) -> bool:
        """Write as much of the backlog as can be written; whether some is left. For the writer thread."""
        with self.lock:
            try:
                while self._buffer and self._write_backlog():
                    pass
            except OutboxClosed:
                return False
            if self._buffer:
                return True
            self._is_watched = False
            self._see_if_clear()
            if self._ends_stream:
                self._stream.half_close()
            return False

    # All below: with the lock held.

    def _see_if_clear(self) -> None:
        self._is_clear = not (self._is_closed or self._buffer or self._is_in_message)

    def _has_no_room(self, size: int) -> bool:
        waiting = self._buffer.size
        if not waiting or self._is_closed:
            return False
        limit = self._limits.outbox_bytes
        return bool(limit and waiting + size > limit) or not self._buffer.has_room(size)

    def _make_room(self, size: int) -> bool:
        """Drop what was offered earlier, if that is what a slow peer gets; whether there is room then."""
        if self._limits.slow_peer == "drop-oldest":
            self._buffer.drop_oldest(lambda _: self._has_no_room(size))
        return not self._has_no_room(size)

    def _put(self, frame: bytes) -> None:
        """Send a message: when it can be, but after somebody's fragmented one."""
        if self._is_in_message and not self._is_closed:
            self._buffer.hold([frame])
        else:
            self._send(frame)

    def _send(self, frame: bytes) -> None:
        """Send a data frame: now, with what was put off, or behind the backlog."""
        if self._is_closed:
            raise OutboxClosed
        self._write_put_off(frame)

    def _put_control(self, frame: bytes) -> None:
        """Send a control frame, which waits for nothing but the backlog."""
        with contextlib.suppress(OutboxClosed):
            self._send(frame)

    def _defer_until_uncorked(self, cork: Cork) -> None:
        """Have what is put off written when this turn ends, or write it now if that cannot be."""
        with self.lock:
            if self._is_closed:
                raise OutboxClosed
            if cork.defer(self):
                self._cork = cork
            else:
                self._write_put_off()

    def _write_put_off(self, *more: bytes) -> None:
        """Write what was put off, and one frame more."""
        self._cork = None  # first: what is put off after this gets a turn of its own
        frames = self._put_off[:]
        del self._put_off[: len(frames)]
        if self._is_in_message or self._is_closed:
            # They were put off in the very moment in which another thread began a message, or closed.
            self._buffer.hold(frames)
            frames = []
        frames.extend(more)
        if frames:
            self._write(frames[0] if len(frames) == 1 else b"".join(frames))

    def _write(self, data: bytes) -> None:
        if self._buffer:
            self._buffer.add(data)
            return
        sent = self._try_to_send(data)
        if sent < len(data):
            self._begin_backlog(data, sent)

    def _try_to_send(self, data: bytes | memoryview) -> int:
        """How many bytes the kernel takes now. Raises OutboxClosed."""
        try:
            sent = self._send_now(data, AT_ONCE)
        except BaseException as error:
            sent = self._sent_nothing(error)
        self.bytes_sent += sent
        return sent

    def _sent_nothing(self, error: BaseException) -> int:
        """Why a write failed: the kernel has no room (0 bytes were sent), or the peer is gone. For the frame that has called `send`.

        Raises OutboxClosed, and again what a signal handler has raised.
        """
        if not isinstance(error, OSError) or was_interrupted(error):
            self._lose()  # nobody knows how much was sent, and a message must not be torn
            raise error
        if isinstance(error, BlockingIOError):
            return 0
        self._lose()
        raise OutboxClosed from None

    def _begin_backlog(self, data: bytes, sent: int) -> None:
        self._is_clear = False
        self._buffer.begin(data, sent)
        if not self._is_watched:
            self._is_watched = True
            self._writer.watch(self)
        if self._limits.outbox_seconds and not self._is_aging:
            self._is_aging = True
            self._timers.call_later(self._limits.outbox_seconds, self._check_age)

    def _write_backlog(self) -> bool:
        """One write of the backlog's oldest; whether the kernel took all of it."""
        data = self._buffer.next_write()
        sent = self._try_to_send(data)
        self._buffer.took(sent, len(data))
        self._notify()
        return sent == len(data)

    def _wait_for_room(self) -> None:
        if not self._has_no_room(1):
            return
        if not self._buffer.has_room(1):
            self._evict(Eviction.OUTBOX_FULL)  # others have to make room in a quota, so that nothing can be waited for here
        give_up_at = monotonic() + self._limits.send_timeout if self._limits.send_timeout else None
        while self._has_no_room(1):
            if not self._wait(give_up_at):
                self._evict(Eviction.SEND_TIMEOUT)

    def _wait(self, until: float | None) -> bool:
        """Let go of the lock until something changes; False when it is later than `until`."""
        if (remaining := None if until is None else until - monotonic()) is not None and remaining <= 0:
            return False
        if self._changed is None:
            self._changed = threading.Condition(self.lock)
        self._changed.wait(remaining)
        return True

    def _notify(self) -> None:
        if self._changed is not None:
            self._changed.notify_all()

    def _check_age(self) -> None:
        """For the timers' thread, which holds no lock: the oldest of the backlog may have waited too long by now."""
        with self.lock:
            self._is_aging = False
            if not self._buffer or self._is_closed:
                return
            now = monotonic()
            remaining = self._buffer.since + self._limits.outbox_seconds - now
            if remaining <= 0:
                if self._limits.slow_peer == "evict":
                    self._evict(Eviction.TOO_OLD)
                    return
                self._buffer.drop_oldest(lambda since: since + self._limits.outbox_seconds <= now)
                remaining = self._limits.outbox_seconds
            self._is_aging = True
            self._timers.call_later(remaining, self._check_age)

    def _evict(self, reason: Eviction) -> None:
        """Drop what the peer is too slow to take, but for what it may have been sent a part of, and say goodbye."""
        counters.count_eviction(reason)
        self._put_off.clear()
        self._buffer.drop()
        self._put_control(self._on_evict())
        self._shut()

    def _lose(self) -> None:
        self._put_off.clear()
        self._buffer.clear()
        self._shut()
        self._stream.abort()

    def _shut(self) -> None:
        self._is_closed, self._is_clear = True, False
        self._buffer.keep_pong(None)
        self._notify()
