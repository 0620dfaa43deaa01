"""What one peer has still to be sent: a bounded queue in front of its socket, and the thread that empties full ones.

A write goes straight to the socket. What the kernel does not take is the backlog, which the writer thread sends on when
there is room; it is bounded in bytes and in age, so that one slow peer costs neither memory nor anybody's time.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable
from itertools import islice
from time import monotonic

from wschat.connection.keepalive import Deadlines
from wschat.connection.streams import AT_ONCE, Stream
from wschat.connection.turns import Turn, current
from wschat.connection.writer import Writer
from wschat.errors import UsageError
from wschat.limits import Limits

# As much as one write takes: beyond this, joining costs more than the system calls it saves.
_WRITE_BYTES = 64 * 1024
# What a turn puts off: as many small frames as one write takes.
_PUT_OFF_BYTES = 1024
_PUT_OFF_FRAMES = _WRITE_BYTES // _PUT_OFF_BYTES


class OutboxClosed(Exception):
    """Nothing can be written any more: the close frame is on its way, or the peer is gone."""


class Outbox:
    """The frames on their way to one peer. Every method may be called from any thread; only `write` and `open_message` wait.

    `lock` guards everything here and the order of the bytes in the stream, and is never held while waiting. Locks are
    taken in this order: a hub's, an outbox's, a turn's, the writer's or the deadlines' own.
    """

    def __init__(self, stream: Stream, limits: Limits, writer: Writer, deadlines: Deadlines, on_evict: Callable[[], bytes]) -> None:
        self.lock = threading.Lock()
        self._stream = stream
        self._limits = limits
        self._writer = writer
        self._deadlines = deadlines
        self._on_evict = on_evict  # called with the lock held when the peer is too slow; returns the close frame to send
        self._is_clear = True  # not closed, no backlog, no fragmented message: what is written can go straight to the kernel
        self._put_off: list[bytes] = []  # held back until a turn ends; empty while there is a backlog
        self._turn: Turn | None = None  # the one that is going to flush them
        self._backlog: deque[tuple[float, bytes | memoryview]] = deque()  # what the kernel did not take, and since when
        self._waiting_bytes = 0  # in the backlog, and held
        self._pong: bytes | None = None  # the newest pong that the backlog keeps back
        self._is_in_message = False  # somebody is sending a fragmented one
        self._sender = 0  # the thread that does
        self._held: list[bytes] = []  # the messages that have to wait for the end of that one
        self._changed: threading.Condition | None = None  # made by the first thread that has to wait
        self._is_closed = False
        self._ends_stream = False
        self._begun_bytes = 0  # of the backlog: what the kernel was asked to take and did not; TLS has to be given it again
        self._is_watched = False  # by the writer
        self._is_aging = False  # with a deadline for its oldest part

    def write(self, frame: bytes) -> None:
        """Send a data frame, waiting for room in the backlog if there is none. Raises OutboxClosed."""
        turn = current.turn
        with self.lock:
            # First what it nearly always comes to, without a call more than the kernel's.
            if self._is_clear:
                if turn is None:
                    if not self._put_off:
                        try:
                            sent = self._stream.send(frame, AT_ONCE)
                        except OSError as error:
                            sent = self._sent_nothing(error)
                        if sent < len(frame):
                            self._begin_backlog(frame, sent)
                        return
                elif turn is self._turn and len(frame) < _PUT_OFF_BYTES and len(self._put_off) < _PUT_OFF_FRAMES and not turn.has_ended:
                    self._put_off.append(frame)
                    return
            self._wait_for_room()
            self._put(frame, turn)

    def write_part(self, frame: bytes) -> None:
        """Send a frame of the fragmented message that was begun with `open_message`, as `write` does."""
        with self.lock:
            self._wait_for_room()
            self._send(frame, None)

    def write_made(self, make_frame: Callable[[], bytes]) -> None:
        """Send a data frame that must be made in the order in which frames are sent, as `write` does."""
        turn = current.turn
        with self.lock:
            self._wait_for_room()
            self._put(make_frame(), turn)

    def offer(self, frames: bytes) -> None:
        """Send data frames without ever waiting: a peer that has no room for them is evicted."""
        with self.lock:
            try:
                if self._is_clear and not self._put_off:
                    self._write(frames)
                elif self._has_no_room(len(frames)):
                    self._evict()
                else:
                    self._put(frames, None)
            except OutboxClosed:
                pass  # its own thread is finding out just now

    def open_message(self) -> None:
        """Begin a fragmented message: until `close_message`, other messages wait behind it. Raises OutboxClosed."""
        with self.lock:
            while self._is_in_message and not self._is_closed:
                if self._sender == threading.get_ident():
                    raise UsageError("the parts of a message cannot send another message in parts")
                self._wait(None)
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
            held, self._held = self._held, []
            with contextlib.suppress(OutboxClosed):
                for frame in held:
                    self._waiting_bytes -= len(frame)
                    self._put(frame, None)
            self._notify()

    def control(self, frame: bytes) -> None:
        """Send a ping as soon as can be, between the fragments of a message if need be."""
        with self.lock:
            self._put_control(frame)

    def pong(self, frames: list[bytes]) -> None:
        """Send pongs; while the peer does not read, only the newest is kept (RFC 6455, section 5.5.3)."""
        with self.lock:
            if not self._backlog:
                self._put_control(b"".join(frames))
            elif not self._is_closed:
                self._pong = frames[-1]

    def close(self, close_frame: bytes) -> bool:
        """Send a close frame, after which nothing is accepted; False if there was one before."""
        with self.lock:
            if self._is_closed:
                return False
            self._put_control(close_frame)
            self._shut()
            return True

    def end_stream(self) -> None:
        """Half-close the stream once everything has been written."""
        with self.lock:
            self._ends_stream = True
            if not self._backlog:
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

    def flush(self) -> None:
        """Write what has been put off. Never waits."""
        with self.lock:
            try:
                self._write_put_off()
            except OutboxClosed:
                pass  # whose outbox it is finds out when it reads

    def fileno(self) -> int:
        """The descriptor to select on, -1 once released."""
        return self._stream.fileno()

    def drain(self) -> bool:
        """Write as much of the backlog as can be written; whether some is left. For the writer thread."""
        with self.lock:
            try:
                while self._backlog and self._write_backlog():
                    pass
            except OutboxClosed:
                return False
            if self._backlog:
                return True
            self._is_watched = False
            self._see_if_clear()
            if self._ends_stream:
                self._stream.half_close()
            return False

    # All below: with the lock held.

    def _see_if_clear(self) -> None:
        self._is_clear = not (self._is_closed or self._backlog or self._is_in_message)

    def _has_no_room(self, size: int) -> bool:
        limit = self._limits.outbox_bytes
        return bool(limit and self._waiting_bytes) and self._waiting_bytes + size > limit and not self._is_closed

    def _put(self, frame: bytes, turn: Turn | None) -> None:
        """Send a message: when it can be, but after somebody's fragmented one."""
        if self._is_in_message and not self._is_closed:
            self._held.append(frame)
            self._waiting_bytes += len(frame)
        else:
            self._send(frame, turn)

    def _send(self, frame: bytes, turn: Turn | None) -> None:
        """Send a data frame: now, at the end of the turn, or behind the backlog."""
        if self._is_closed:
            raise OutboxClosed
        if self._backlog:
            self._add_to_backlog(frame)
        else:
            self._put_off.append(frame)
            if turn is not None and len(frame) < _PUT_OFF_BYTES and len(self._put_off) < _PUT_OFF_FRAMES and turn.put_off(self):
                self._turn = turn
            else:
                self._write_put_off()

    def _put_control(self, frame: bytes) -> None:
        """Send a control frame, which waits for nothing but the backlog."""
        with contextlib.suppress(OutboxClosed):
            if not self._is_closed:
                self._put_off.append(frame)
                self._write_put_off()

    def _write_put_off(self) -> None:
        frames = self._put_off
        if frames:
            data = frames[0] if len(frames) == 1 else b"".join(frames)
            frames.clear()
            self._turn = None
            self._write(data)

    def _write(self, data: bytes) -> None:
        if self._backlog:
            self._add_to_backlog(data)
            return
        try:
            sent = self._stream.send(data, AT_ONCE)
        except OSError as error:
            sent = self._sent_nothing(error)
        if sent < len(data):
            self._begin_backlog(data, sent)

    def _sent_nothing(self, error: OSError) -> int:
        """Why a write failed: the kernel has no room (0 bytes were sent), or there is no peer any more."""
        if isinstance(error, BlockingIOError):
            return 0
        self._lose()
        raise OutboxClosed from None

    def _begin_backlog(self, data: bytes, sent: int) -> None:
        self._is_clear = False
        self._begun_bytes = len(data) - sent
        self._add_to_backlog(memoryview(data)[sent:])
        if not self._is_watched:
            self._is_watched = True
            self._writer.watch(self)
        if self._limits.outbox_seconds and not self._is_aging:
            self._is_aging = True
            self._deadlines.after(self._limits.outbox_seconds, self._check_age)

    def _add_to_backlog(self, data: bytes | memoryview) -> None:
        self._backlog.append((monotonic(), data))
        self._waiting_bytes += len(data)

    def _write_backlog(self) -> bool:
        """One write of the backlog's oldest; whether the kernel took all of it."""
        backlog = self._backlog
        if self._pong is not None and not self._begun_bytes:
            # Before everything that the kernel has not been asked to take yet.
            pong, self._pong = self._pong, None
            backlog.appendleft((monotonic(), pong))
            self._waiting_bytes += len(pong)
        data: bytes | memoryview = backlog[0][1]
        room = _WRITE_BYTES if self._pong is None else self._begun_bytes  # after which it is the pong's turn
        if len(backlog) > 1 and len(data) < room:
            # Joined for this call only: what stays is still shared with the other peers.
            data = b"".join(chunk for _, chunk in islice(backlog, _count_up_to(room, backlog)))
        try:
            sent = self._stream.send(data, AT_ONCE)
        except OSError as error:
            sent = self._sent_nothing(error)
        self._waiting_bytes -= sent
        self._notify()
        took_all = sent == len(data)
        self._begun_bytes = len(data) - sent
        while sent:
            since, chunk = backlog.popleft()
            if sent < len(chunk):
                backlog.appendleft((since, memoryview(chunk)[sent:]))
                break
            sent -= len(chunk)
        if not backlog and self._pong is not None:
            pong, self._pong = self._pong, None
            self._write(pong)
        return took_all

    def _wait_for_room(self) -> None:
        limits = self._limits
        if not limits.outbox_bytes or self._waiting_bytes < limits.outbox_bytes:
            return
        give_up_at = monotonic() + limits.send_timeout if limits.send_timeout else None
        while self._waiting_bytes >= limits.outbox_bytes and not self._is_closed:
            if not self._wait(give_up_at):
                self._evict()

    def _wait(self, until: float | None) -> bool:
        """Let go of the lock until something changes; False when it is later than `until`."""
        remaining = None if until is None else until - monotonic()
        if remaining is not None and remaining <= 0:
            return False
        if self._changed is None:
            self._changed = threading.Condition(self.lock)
        self._changed.wait(remaining)
        return True

    def _notify(self) -> None:
        if self._changed is not None:
            self._changed.notify_all()

    def _check_age(self) -> None:
        """For the deadlines' thread, which holds no lock: the oldest of the backlog may have waited too long by now."""
        with self.lock:
            self._is_aging = False
            if not self._backlog or self._is_closed:
                return
            remaining = self._backlog[0][0] + self._limits.outbox_seconds - monotonic()
            if remaining <= 0:
                self._evict()
            else:
                self._is_aging = True
                self._deadlines.after(remaining, self._check_age)

    def _evict(self) -> None:
        """Drop what the peer is too slow to take, but for what it may have been sent a part of, and say goodbye."""
        begun = []
        size = 0
        while self._backlog and size < self._begun_bytes:
            begun.append(self._backlog.popleft())
            size += len(begun[-1][1])
        self._drop_all()
        self._backlog.extend(begun)
        self._waiting_bytes = size
        self._put_control(self._on_evict())
        self._shut()

    def _lose(self) -> None:
        self._drop_all()
        self._shut()
        self._stream.abort()

    def _shut(self) -> None:
        self._is_closed = True
        self._pong = None
        self._is_clear = False
        self._notify()

    def _drop_all(self) -> None:
        self._put_off.clear()
        self._backlog.clear()
        self._held.clear()
        self._waiting_bytes = 0
        self._pong = None


def _count_up_to(max_bytes: int, backlog: deque[tuple[float, bytes | memoryview]]) -> int:
    """How many of the oldest chunks one write takes."""
    size = 0
    for count, (_, chunk) in enumerate(backlog):
        size += len(chunk)
        if size > max_bytes:
            return max(count, 1)
    return len(backlog)
