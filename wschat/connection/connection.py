"""One open WebSocket, of a server or of a client: send, receive, ping, close.

How it was opened is not known here, nor what is said on it. Whichever thread needs input reads (see `reader_lock`).
"""

from __future__ import annotations

import _thread
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from time import monotonic
from types import TracebackType

from wschat.connection.background_threads import acquire_background_threads, release_background_threads
from wschat.connection.cork import Cork, current, uncork
from wschat.connection.fragments import send_fragments
from wschat.connection.incoming import LARGE_READ, Incoming, Verdict
from wschat.connection.outbox import Outbox, OutboxClosed
from wschat.connection.pings import Pings
from wschat.connection.quota import Quota
from wschat.connection.reader_lock import ReaderLock
from wschat.connection.reentrance import is_reentrant
from wschat.connection.streams import Stream, recv_until, was_interrupted
from wschat.connection.timers import Timer
from wschat.errors import ConnectionClosed
from wschat.limits import Limits
from wschat.protocol.deflate import Deflate, Deflater
from wschat.protocol.encoding import MIN_BYTES_TO_DEFLATE, Encoding, payload_of
from wschat.protocol.frames import CloseCode, Opcode, check_close, encode_close
from wschat.protocol.messages import Close

_MESSAGE_TYPES = (str, bytes, bytearray, memoryview)
_LOST = (CloseCode.ABNORMAL, "connection lost")


class Connection:
    """An open WebSocket. `connect` makes one, and a server makes one for each call of its handler.

    One thread at a time receives; any thread may send, ping and close, at any time, and no message is torn. Iterating gives
    the messages until the connection is over, however it ended. As a context manager it closes itself.

    `path` is the target of the opening request, query included; `headers` are those of the other side's opening, with names
    in lower case; `subprotocol` is what was agreed on, or None; `remote_address` is the peer's; `identity` is what a server's
    `check_request` has left in `Request.identity`. `offer` is how a hub sends: bytes in this connection's `encoding`, without
    ever waiting; a peer that has no room for them is evicted (1008).
    """

    def __init__(
        self,
        stream: Stream,
        *,
        is_client: bool,
        limits: Limits,
        path: str,
        headers: Mapping[str, str],
        remote_address: object,
        subprotocol: str | None = None,
        deflate: Deflate | None = None,
        already_read: bytes = b"",
        quotas: Sequence[Quota] = (),
    ) -> None:
        self.path = path
        self.headers = headers
        self.remote_address = remote_address
        self.identity: object = None
        self.subprotocol = subprotocol
        self._stream = stream
        self._is_client = is_client
        self._limits = limits
        self._deflater = deflate.deflater(is_client=is_client) if deflate and deflate.keeps_context(is_client=is_client) else None
        # A compressor with a context is of use to this connection only: what is shared goes uncompressed then.
        shared_bits = deflate.window_bits(is_client=is_client) if deflate and not self._deflater else 0
        self.encoding = Encoding(is_client, shared_bits)
        self._encode = self.encoding.encoder()
        self._background = acquire_background_threads()
        self._forks = self._background.forks
        self._outbox = Outbox(stream, limits, self._background, self._on_too_slow, quotas)
        self.offer = self._outbox.offer
        self._pings = Pings(limits)
        inflater = deflate.inflater(is_client=is_client) if deflate else None
        self._incoming = Incoming(limits, self.encoding, inflater, self._pings, self._outbox.pong)
        self._inbox = self._incoming.messages
        self._end: tuple[int, str] | None = None  # close code and reason, from the first thing that ended the connection
        self._is_over = False  # the socket has been given back
        self.before_goodbye: Callable[[], None] | None = None
        """Called once, by the thread that receives, before a close of the peer is answered: for what is still to be sent. May wait."""
        self.was_evicted = False
        """Whether the peer was closed (1008) for being too slow."""
        self._abort_at: Timer | None = None
        self._next_ping = self._background.timers.call_later(self._pings.period, self._keep_alive) if limits.ping_interval else None
        self._reader_lock = ReaderLock()
        self._cork: Cork | None = None  # made when a read brings several messages for the first time
        if already_read:
            self._incoming.take(already_read)

    @property
    def latency(self) -> float | None:
        """The seconds from the last answered ping to its pong; None before the first."""
        return self._pings.latency

    @property
    def bytes_received(self) -> int:
        """What was read from the peer, with frames and their heads, without TLS."""
        return self._incoming.bytes_received

    @property
    def bytes_sent(self) -> int:
        """What was written to the peer, with frames and their heads, without TLS."""
        return self._outbox.bytes_sent

    @property
    def waiting_bytes(self) -> int:
        """What waits for the peer to take it."""
        return self._outbox.waiting_bytes

    @property
    def closed(self) -> ConnectionClosed | None:
        """How the connection ended, from the first thing that ended it on; None before."""
        return None if self._end is None else ConnectionClosed(*self._end)

    def send(self, message: str | bytes | bytearray | memoryview | Iterable[str] | Iterable[bytes]) -> None:
        """Send a message: text for str, binary for bytes. An iterable is sent as one message, a fragment for each item.

        Waits while too much is waiting for this peer (`Limits.outbox_bytes`), for `Limits.send_timeout` at most, after which
        the peer is dropped. From any thread. Raises ConnectionClosed once the connection is over or closing.
        """
        try:
            if type(message) is not str and not isinstance(message, _MESSAGE_TYPES):
                send_fragments(self._outbox, message, masks=self._is_client, give_up=self._say_goodbye)
            elif self._deflater is None:
                self._outbox.write(self._encode(message))
            else:
                self._send_in_context(self._deflater, *payload_of(message))
        except OutboxClosed:
            raise ConnectionClosed(*(self._end or _LOST)) from None

    def recv(self, timeout: float | None = None) -> str | bytes:
        """Wait for a message: str for text, bytes for binary.

        Raises TimeoutError if there is none within `timeout` seconds (the connection is none the worse for it), and
        ConnectionClosed once the connection is over and all that came before has been received. For one thread at a time.
        """
        inbox = self._inbox
        until = None if timeout is None else monotonic() + timeout
        while True:
            # Tried, not asked for: a thread that closes the connection may empty the inbox at any time.
            try:
                return inbox.popleft()
            except IndexError:
                if self._is_over:
                    raise ConnectionClosed(*(self._end or _LOST)) from None
            if not self._read_until(inbox.__len__, until):
                raise TimeoutError(f"no message within {timeout} s")

    def __iter__(self) -> Iterator[str | bytes]:
        inbox, reader_lock = self._inbox, self._reader_lock
        self._settle_in_child()
        while inbox or not self._is_over:
            while inbox:
                try:
                    message = inbox.popleft()
                except IndexError:
                    break
                yield message
            else:
                # Nearly always nobody else reads, so that this is all of `_read_until`.
                if reader_lock.lock.acquire(False):
                    try:
                        self._read(None)
                    finally:
                        reader_lock.lock.release()
                        if reader_lock.waiters:
                            reader_lock.notify()
                else:
                    self._read_until(inbox.__len__, None)

    def ping(self, timeout: float | None = None) -> float:
        """Ping the peer and wait for its pong; how many seconds it took (RFC 6455, section 5.5.2).

        Raises TimeoutError if there is no pong within `timeout` seconds, and ConnectionClosed. From any thread.
        """
        ping = self._pings.new()
        self._outbox.control(self.encoding.frame(Opcode.PING, ping.payload))
        try:
            if not self._read_until(lambda: ping.took is not None, None if timeout is None else monotonic() + timeout):
                raise TimeoutError(f"no pong within {timeout} s")
        finally:
            self._pings.forget(ping)
        if ping.took is None:
            raise ConnectionClosed(*(self._end or _LOST))
        return ping.took

    def close(self, code: int = CloseCode.NORMAL, reason: str = "") -> None:
        """Close the connection with a code and a reason of at most 123 bytes, and wait until it is over (RFC 6455, section 7).

        That takes one round trip, and `Limits.close_timeout` at most. Messages that were not received yet are dropped. From
        any thread; does nothing when the connection is over. A signal handler or a `__del__` that has interrupted a call of this
        package does not wait: another thread closes the connection.
        """
        self._close(code, reason, None)

    def begin_close(self, code: int = CloseCode.NORMAL, reason: str = "", *, timeout: float | None = None) -> None:
        """Send the close frame and return: whoever receives finds the end. From any thread; never waits.

        The socket is closed after `timeout` seconds at the latest (`Limits.close_timeout`, if that is not given).
        """
        self._start_close(code, reason, timeout)

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        # A generator that is not asked for more ends with GeneratorExit, which is no failure.
        has_failed = kind is not None and not issubclass(kind, GeneratorExit)
        self.close(CloseCode.INTERNAL_ERROR if has_failed else CloseCode.NORMAL)

    def __repr__(self) -> str:
        path = self.path.partition("?")[0]  # a query may hold a token
        return f"<Connection {self.remote_address} {path} {'open' if self._end is None else f'closed {self._end[0]}'}>"

    # Sending

    def _send_in_context(self, deflater: Deflater, opcode: Opcode, payload: bytes) -> None:
        # The compressor refers to what it has sent before, so it has to see the messages in their order.
        if len(payload) < MIN_BYTES_TO_DEFLATE:
            self._outbox.write(self.encoding.frame(opcode, payload))
        else:
            self._outbox.write_made(lambda: self.encoding.compressed_frame(opcode, payload, deflater))

    # Receiving

    def _read_until(self, is_done: Callable[[], object], until: float | None) -> bool:
        """Read until something is done or the connection is over; False if it gets too late."""
        self._settle_in_child()
        return self._reader_lock.read_until(lambda: is_done() or self._is_over, self._read, until)

    def _read(self, until: float | None) -> bool:
        """One read from the stream, or what follows from its end; False if it gets too late. Only for the thread that reads."""
        if current.cork is not None:
            uncork()
        if self._is_over:
            return True
        if self._incoming.verdict is not None:
            return self._end_after(self._incoming.verdict, until)
        if (data := self._receive(self._incoming.read_size, until)) is None:
            return False
        self._incoming.take(data)
        if len(self._inbox) > 1:
            if self._cork is None:
                self._cork = Cork(self._background.writer, self._inbox)
            self._cork.begin()
        return True

    def _receive(self, max_bytes: int, until: float | None) -> bytes | None:
        """Wait for bytes; b"" at the end of the stream, None if it gets too late."""
        try:
            # Without a limit it is the kernel's call alone: this is the way of every message to a handler.
            return self._stream.recv(max_bytes) if until is None else recv_until(self._stream, max_bytes, until)
        except OSError as error:
            if was_interrupted(error):
                raise
            return b""

    def _end_after(self, verdict: Verdict, until: float | None) -> bool:
        """Do what follows from what the stream ends with, and read up to its end; False if it gets too late."""
        if isinstance(verdict, Close) and self.before_goodbye is not None:
            before_goodbye, self.before_goodbye = self.before_goodbye, None
            before_goodbye()
        self._answer_verdict(verdict)
        data: bytes | None = b"" if isinstance(verdict, EOFError) else b"more"
        while data:
            data = self._receive(LARGE_READ, until)
        if data is None:
            return False
        self._finish()
        return True

    # Ending

    def _answer_verdict(self, verdict: Verdict) -> None:
        """Do what the end of the stream demands: answer the close, name the violation, or take note. Never waits."""
        if isinstance(verdict, EOFError):
            self._outbox.abort()  # first: no close frame is made any more that could tell of this end
            self._end = self._end or _LOST
        else:
            self._say_goodbye(verdict.code, verdict.reason)
            if isinstance(verdict, Close) and self._end is not None and self._end[0] != verdict.code != CloseCode.NO_STATUS:
                self._end = (verdict.code, verdict.reason)  # the peer's counts (section 7.1.5), also as an answer to ours
            if not self._is_client:
                # The server ends the TCP connection, so that it is the one that keeps its port busy (section 7.1.1).
                self._outbox.end_stream()

    def _close(self, code: int, reason: str, timeout: float | None) -> None:
        if self._start_close(code, reason, timeout):
            if self._background.is_caller():
                self._close_in_thread(code, reason, timeout)  # the shared threads have to be there for all
            else:
                self._read_until(self._inbox.clear, None)  # which says None, so that it is done only when all is over

    def _close_in_thread(self, code: int, reason: str, timeout: float | None) -> None:
        try:
            _thread.start_new_thread(self._close, (code, reason, timeout))
        except RuntimeError:  # no thread is left: the close begins all the same, and the thread that receives finds its end
            self._background.timers.call_later(0, lambda: self._say_goodbye(code, reason, timeout))

    def _start_close(self, code: int, reason: str, timeout: float | None) -> bool:
        """Close, and return True if the caller may wait for the end."""
        check_close(code, reason)
        if sys.is_finalizing():
            self._abandon(code, reason)
            return False
        self._settle_in_child()
        if self._reader_lock.is_held_by_caller() or is_reentrant():
            # The locks that this takes may be held by the call that was interrupted.
            self._close_in_thread(code, reason, timeout)
            return False
        uncork()  # a broadcast of this thread may still be on its way to this peer
        self._say_goodbye(code, reason, timeout)
        return True

    def _say_goodbye(self, code: int, reason: str, timeout: float | None = None) -> None:
        def make_close_frame() -> bytes:
            self._end = self._end or (int(code), reason)  # with the frame, so that it tells the code that is on the wire
            return self.encoding.frame(Opcode.CLOSE, encode_close(*self._end))

        if self._outbox.close(make_close_frame):
            self._limit_close(timeout)

    def _abandon(self, code: int, reason: str) -> None:
        """End the connection while the interpreter is finalizing: the shared threads never run again, and no lock is safe."""
        if not self._is_over:
            self._end = self._end or (int(code), reason)
            self._is_over = True
            self._outbox.abandon(self.encoding.frame(Opcode.CLOSE, encode_close(code, reason)))

    def _on_too_slow(self) -> bytes:
        """The outbox evicts the peer; called with its lock held."""
        self.was_evicted = True
        self._end = self._end or (CloseCode.POLICY_VIOLATION, "too slow")
        self._limit_close(None)
        return self.encoding.frame(Opcode.CLOSE, encode_close(*self._end))

    def _limit_close(self, timeout: float | None) -> None:
        if timeout is None:
            timeout = self._limits.close_timeout or None
        if timeout is not None:
            self._abort_at = self._background.timers.call_later(timeout, self._outbox.abort)

    def _finish(self) -> None:
        """Give everything back. Only for the thread that reads, as the last thing it does."""
        self._end = self._end or _LOST
        self._outbox.release()
        for timer in (self._abort_at, self._next_ping):
            if timer is not None:
                timer.cancel()
        self._is_over = True
        release_background_threads(self._background)

    def _settle_in_child(self) -> None:
        """In a forked child that goes on with a connection of its parent's: have threads of its own look after it."""
        if self._background.forks != self._forks:
            self._forks = self._background.forks
            self._background.start()
            self._outbox.renew()
            self._reader_lock.renew()
            if self._limits.ping_interval:
                self._next_ping = self._background.timers.call_later(self._pings.period, self._keep_alive)

    def _keep_alive(self) -> None:
        """For the timers' thread, again and again: send pings, and see whether the peer is still there."""
        if self._is_over:
            return
        self._read_meanwhile()
        # A backlog of messages that nobody receives hides the pong; it says nothing against the peer.
        if self._pings.is_peer_gone() and not self._inbox:
            self._say_goodbye(CloseCode.INTERNAL_ERROR, "ping timeout")
            return
        ping = self._pings.due()
        if ping is not None:
            self._outbox.control(self.encoding.frame(Opcode.PING, ping.payload))
        self._next_ping = self._background.timers.call_later(self._pings.period, self._keep_alive)

    def _read_meanwhile(self) -> None:
        """Read what is there, if nobody else does: a handler that only sends has to answer pings and to notice the end, too."""
        if not self._reader_lock.lock.acquire(blocking=False):
            return
        try:
            incoming = self._incoming
            if incoming.verdict is None and sum(map(len, self._inbox.copy())) < (self._limits.max_message_bytes or LARGE_READ):
                try:
                    data = self._stream.recv_now(LARGE_READ)
                except OSError:
                    data = b""
                if data is not None:
                    incoming.take(data)
            if incoming.verdict is not None and not self._inbox:
                self._answer_verdict(incoming.verdict)
        finally:
            self._reader_lock.lock.release()
            self._reader_lock.notify()
