"""The outbox: the frames on their way to one peer, and the order in which they are sent.

A frame passes three queues, each of them only while it has to, all guarded by `Transport.lock`:

    write, offer ────────► corked ──► held ──► buffer ──► kernel
    write_part, control ─────────────────────► buffer ──► kernel

    queue    attribute            frames wait in it while                               it is emptied by
    corked   `_corked`            their thread handles the messages of one read         `flush`, or the next frame not corked
    held     `_buffer`, `hold`    another thread sends a fragmented message             `end_fragmented`
    buffer   `_buffer`, `add`     the kernel has no room                                `drain`, called by the writer thread

While the connection is open and all three are empty (`_is_clear`, and nothing in `_corked`), a frame goes straight to the kernel.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from typing import Final

from wschat.connection.background_threads import BackgroundThreads
from wschat.connection.cork import Cork, current
from wschat.connection.quota import Quota
from wschat.connection.send_buffer import WRITE_BYTES
from wschat.connection.state import OPEN
from wschat.connection.streams import AT_ONCE, Stream
from wschat.connection.transport import Transport, TransportClosed
from wschat.counters import Eviction
from wschat.errors import UsageError
from wschat.limits import Limits

# The frames that are corked: small ones, and no more of them than one write takes.
_CORKED_FRAME_BYTES: Final = 1024
_MAX_CORKED_FRAMES: Final[int] = WRITE_BYTES // _CORKED_FRAME_BYTES


class Outbox(Transport):
    """The frames on their way to one peer. Methods may be called from any thread; `begin_fragmented` and the `write` methods may wait."""

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
        super().__init__(stream, limits, background, encode_close=encode_close, on_evict=on_evict, quotas=quotas)
        # `_corked` is appended to without the lock, by the thread whose cork it is; everything else is guarded by the lock.
        self._corked: list[bytes] = []
        self._cork: Cork | None = None  # the cork that flushes them
        self._fragmenting_thread = 0  # the thread that sends a fragmented message

    def write(self, frame: bytes) -> None:
        """Send a data frame, after waiting for room. Raises TransportClosed."""
        cork = current.cork
        if cork is not None and self._is_clear and len(frame) < _CORKED_FRAME_BYTES and len(self._corked) < _MAX_CORKED_FRAMES:
            # Without the lock, which would cost half as much again. A thread that clears `_cork` looks at `_corked` after that.
            self._corked.append(frame)
            if self._cork is not cork:
                self._flush_at_uncork(cork)
            return
        with self.lock:
            if self._is_clear and not self._corked:
                send = self._send_now
                try:
                    sent = send(frame, AT_ONCE)
                except BaseException as error:
                    sent = self._on_send_error(error)
                self.bytes_sent += sent
                if sent < len(frame):
                    self._buffer_rest(frame, sent)
            else:
                self._wait_for_room()
                self._put(frame)

    def write_part(self, frame: bytes) -> None:
        """Send a frame of the fragmented message that `begin_fragmented` began, after waiting for room. Raises TransportClosed."""
        with self.lock:
            self._wait_for_room()
            self._send(frame)

    def write_made(self, make_frame: Callable[[], bytes]) -> None:
        """Send a data frame that is made with the lock held, in the order of sending. Waits for room. Raises TransportClosed."""
        with self.lock:
            self._wait_for_room()
            self._put(make_frame())

    def offer(self, frames: bytes, *, is_droppable: bool = True) -> None:
        """Send data frames without waiting. Without room, evict the peer, or drop its oldest droppable offers (`Limits.slow_peer`)."""
        with self.lock:
            try:
                # As in `write`, without a call in between: with a thousand members, two calls more are an eighth of a broadcast. To look at
                # `_corked` as well would be a twenty-fifth. A frame in it without a cork belongs to a `write` that has not returned, so
                # this one may be sent before it.
                if self._is_clear and self._cork is None:
                    send = self._send_now
                    try:
                        sent = send(frames, AT_ONCE)
                    except BaseException as error:
                        sent = self._on_send_error(error)
                    self.bytes_sent += sent
                    if sent < len(frames):
                        self._buffer_rest(frames, sent)
                elif self._is_full(len(frames)) and not self._make_room(len(frames)):
                    self._evict(Eviction.OUTBOX_FULL)
                elif self._buffer and not self._buffer.is_holding and self.state is OPEN:
                    self._write_corked()
                    self._buffer.add(frames, is_droppable=is_droppable)
                else:
                    self._put(frames)
            except TransportClosed:
                pass  # the thread that receives finds the end

    def begin_fragmented(self) -> None:
        """Begin a fragmented message, after the end of another one. Until `end_fragmented`, whole messages are held.

        Raises TransportClosed, and UsageError if the calling thread is sending another one.
        """
        with self.lock:
            while self._buffer.is_holding and self.state is OPEN:
                if self._fragmenting_thread == threading.get_ident():
                    raise UsageError("the parts of a message cannot send another message in parts")
                self._wait(None)
            self._write_corked()
            if self.state is not OPEN:
                raise TransportClosed
            self._buffer.is_holding = True
            self._fragmenting_thread = threading.get_ident()
            self._is_clear = False

    def end_fragmented(self) -> None:
        """End the fragmented message and send the messages that were held."""
        with self.lock:
            self._buffer.is_holding = False
            self._update_is_clear()
            with contextlib.suppress(TransportClosed):
                for frame in self._buffer.pop_held():
                    self._put(frame)
            self._notify()

    def control(self, frame: bytes) -> None:
        """Send a ping, between the fragments of a message if one is being sent. Does nothing after the end."""
        with self.lock:
            try:
                self._send(frame)
            except TransportClosed:
                pass  # the thread that receives finds the end

    def pong(self, frames: list[bytes]) -> None:
        """Send pongs. While the kernel has no room, only the newest is kept (RFC 6455, section 5.5.3). Does nothing after the end."""
        with self.lock, contextlib.suppress(TransportClosed):
            if not self._buffer:
                self._send(b"".join(frames))
            elif self.state is OPEN:
                self._buffer.set_pong(frames[-1])

    def close(self, code: int, reason: str) -> bool:
        """Send a close frame and accept nothing more. Return False, without sending one, if the connection is closing already."""
        with self.lock:
            if self.state is not OPEN:
                return False
            self._send_close((int(code), reason), after=self._take_corked())
            return True

    def flush(self) -> None:
        """Write the corked frames. Never waits."""
        with self.lock:
            try:
                self._write_corked()
            except TransportClosed:
                pass  # the thread that receives finds the end

    def _put(self, frame: bytes) -> None:
        """Send a message, or hold it while a fragmented one is being sent. Raises TransportClosed."""
        assert self.lock.locked()
        if self._buffer.is_holding and self.state is OPEN:
            self._buffer.hold([frame])
        else:
            self._send(frame)

    def _send(self, frame: bytes) -> None:
        """Send a frame behind those that are corked or buffered. Raises TransportClosed."""
        if self._is_clear and not self._corked:
            sent = self._try_to_send(frame)
            if sent < len(frame):
                self._buffer_rest(frame, sent)
            return
        if self.state is not OPEN:
            raise TransportClosed
        self._write(self._take_corked(frame))

    def _flush_at_uncork(self, cork: Cork) -> None:
        """Have this cork flush the outbox, or flush now if it cannot. Raises TransportClosed."""
        with self.lock:
            if self.state is not OPEN:
                raise TransportClosed
            if cork.add(self):
                self._cork = cork
            else:
                self._write_corked()

    def _write_corked(self) -> None:
        if data := self._take_corked():
            self._write(data)

    def _take_corked(self, *more: bytes) -> bytes:
        """Remove the corked frames and return them, and `more` after them, as far as they may be sent now."""
        assert self.lock.locked()
        self._cork = None  # first: a frame that is corked after this has the outbox added to its cork again
        frames = self._corked[:]
        del self._corked[: len(frames)]
        if self.state is not OPEN:
            frames = []
        elif self._buffer.is_holding:
            # They were corked at the very moment when another thread began a fragmented message.
            self._buffer.hold(frames)
            frames = []
        frames.extend(more)
        return frames[0] if len(frames) == 1 else b"".join(frames)
