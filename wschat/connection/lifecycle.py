"""How an open WebSocket is kept alive and closed (RFC 6455, sections 5.5 and 7).

Besides the closing handshake: keep-alive pings, calls from signal handlers and `__del__`, interpreter exit.
"""

from __future__ import annotations

import _thread
import sys
from collections.abc import Callable, Sequence

from wschat.connection.base_connection import BaseConnection
from wschat.connection.cork import uncork
from wschat.connection.incoming import LARGE_READ, EndOfStream, Incoming
from wschat.connection.pings import Pings
from wschat.connection.quota import Quota
from wschat.connection.receiver import Receiver
from wschat.connection.reentrance import is_reentrant
from wschat.connection.state import CLOSED
from wschat.connection.streams import Stream
from wschat.limits import Limits
from wschat.protocol.deflate import Inflater
from wschat.protocol.encoding import Encoding
from wschat.protocol.frames import CloseCode, check_close
from wschat.protocol.messages import Close


class Lifecycle(BaseConnection):
    """A WebSocket from its opening to its end, without its messages: `Connection` adds them."""

    def __init__(
        self,
        stream: Stream,
        *,
        encoding: Encoding,
        inflater: Inflater | None,
        limits: Limits,
        path: str,
        remote_address: object,
        quotas: Sequence[Quota] = (),
    ) -> None:
        super().__init__(stream, limits=limits, path=path, remote_address=remote_address, encode_close=encoding.close_frame, quotas=quotas)
        self.encoding = encoding
        """How messages are encoded for this peer."""
        self.before_close_reply: Callable[[Close], None] | None = None
        """Called once with the peer's close frame before that is answered, by the thread that receives, to send what is left. May wait."""
        self._pings = Pings(limits)
        incoming = Incoming(limits, encoding, inflater, self._pings, self._outbox.pong)
        self._receiver = Receiver(stream, incoming, self._outbox, self._background.writer, self._on_end)
        self._messages = incoming.messages
        self._ping_timer = self._background.timers.call_later(self._pings.period, self._keep_alive) if limits.ping_interval else None

    def close(self, code: int = CloseCode.NORMAL, reason: str = "") -> None:
        """Close the connection with a code and a reason of at most 123 bytes, and wait for its end (RFC 6455, section 7).

        That takes one round trip, and `Limits.close_timeout` at most. Messages not received yet are dropped. May be called from any
        thread; does nothing once the connection is closed, and in a forked child of the process that opened it. Does not wait if a
        signal handler or a `__del__` calls it that has interrupted a call of this package: another thread closes the connection then.
        """
        self._close(code, reason, None)

    def begin_close(self, code: int = CloseCode.NORMAL, reason: str = "", *, timeout: float | None = None) -> None:
        """Send a close frame and return; the thread that receives finds the end. From any thread; never waits.

        The connection is aborted after `timeout` seconds at the latest, by default `Limits.close_timeout`.
        """
        self._begin_close(code, reason, timeout)

    # Closing

    def _close(self, code: int, reason: str, timeout: float | None) -> None:
        """Close the connection and wait for its end, if the calling thread may wait."""
        if self._begin_close(code, reason, timeout):
            if self._background.is_caller():
                self._close_in_thread(code, reason, timeout)  # all connections need the background threads
            else:
                self._read_until(self._messages.clear, None)  # `clear` returns None, so this reads until the connection is closed

    def _close_in_thread(self, code: int, reason: str, timeout: float | None) -> None:
        """Close the connection from a new thread."""
        try:
            _thread.start_new_thread(self._close, (code, reason, timeout))
        except RuntimeError:  # no thread can be started: send the close frame; the thread that receives finds the end
            self._background.timers.call_later(0, lambda: self._send_close(code, reason, timeout))

    def _begin_close(self, code: int, reason: str, timeout: float | None) -> bool:
        """Send a close frame, or have another thread close the connection. Return True if the caller may wait for the end."""
        check_close(code, reason)
        if sys.is_finalizing():
            # The background threads never run again, and any lock may be held by a thread that does not either.
            if self._outbox.state is not CLOSED:
                self._outbox.abandon(code, reason)
            return False
        if self._is_inherited:
            return False  # the connection goes on in the parent; this process has closed its descriptor
        if self._receiver.reader_lock.is_held_by_caller() or is_reentrant():
            # The interrupted call may hold the locks that are needed here.
            self._close_in_thread(code, reason, timeout)
            return False
        uncork()  # a broadcast of this thread may be held back
        self._send_close(code, reason, timeout)
        return True

    def _send_close(self, code: int, reason: str, timeout: float | None = None) -> None:
        """Send a close frame, unless one was sent, and limit the time until the end. Never waits."""
        if self._outbox.close(code, reason):
            self._limit_close(timeout)

    # The end of the stream

    def _on_end(self, end: EndOfStream, until: float | None) -> bool:
        """Answer the end of the stream, read up to it, and release everything. Return False if it is later than `until`.

        For the thread that reads, which calls it again after False.
        """
        if isinstance(end, Close) and self.before_close_reply is not None:
            before_close_reply, self.before_close_reply = self.before_close_reply, None
            before_close_reply(end)
        self._answer_end(end)
        if not isinstance(end, EOFError) and not self._receiver.read_to_end(until):
            return False
        self._release(self._ping_timer)
        return True

    def _answer_end(self, end: EndOfStream) -> None:
        """Reply to the peer's close frame, or close because of its violation or of the lost connection. Never waits."""
        if isinstance(end, EOFError):
            self._outbox.abort()
            return
        self._send_close(end.code, end.reason)
        if isinstance(end, Close):
            self._outbox.set_peer_close_status(end.code, end.reason)
        if not self.encoding.masks:
            # The server ends the TCP connection, so that TIME_WAIT is on its side (RFC 6455, section 7.1.1).
            self._outbox.half_close()

    # Reading

    def _read_until(self, is_done: Callable[[], object], until: float | None, read: Callable[[float | None], bool] | None = None) -> bool:
        """Call `ReaderLock.read_until`, in the process that has opened the connection."""
        self._check_process()
        return self._receiver.reader_lock.read_until(is_done, until, read)

    def _leave_to_parent(self) -> None:
        super()._leave_to_parent()
        self._messages.clear()

    # Keeping alive

    def _keep_alive(self) -> None:
        """Send a ping if one is due, close if the peer is gone, and schedule the next call. For the timers thread."""
        if self._outbox.state is CLOSED:
            return
        # For handlers that only send: pings must be answered, and the end noticed, although no thread receives.
        self._receiver.read_available(self._limits.max_message_bytes or LARGE_READ, self._answer_end)
        # Messages that no thread receives may hide the pong; that says nothing against the peer.
        if self._pings.is_peer_gone() and not self._messages:
            self._send_close(CloseCode.INTERNAL_ERROR, "ping timeout")
            return
        ping = self._pings.due_keepalive()
        if ping is not None:
            self._outbox.control(self.encoding.ping_frame(ping.number))
        self._ping_timer = self._background.timers.call_later(self._pings.period, self._keep_alive)
