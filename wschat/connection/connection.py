"""One open WebSocket, of a server or of a client: send, receive, ping, close.

How it was opened is not known here, nor what is said on it. Whichever thread needs input reads (see `seat`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from time import monotonic
from types import TracebackType

from wschat.connection.crew import join_crew, leave_crew
from wschat.connection.keepalive import Deadline
from wschat.connection.outbox import Outbox, OutboxClosed
from wschat.connection.pings import Pings
from wschat.connection.seat import Seat
from wschat.connection.streams import Stream, recv_until
from wschat.connection.turns import Turn, current, end_turn
from wschat.errors import ConnectionClosed, ProtocolViolation, UsageError
from wschat.limits import Limits
from wschat.protocol.deflate import Deflate, Deflater
from wschat.protocol.encoding import MIN_BYTES_TO_DEFLATE, Encoding, encode_fragments, payload_of
from wschat.protocol.frames import CloseCode, Opcode, encode_close, is_sendable_close_code
from wschat.protocol.messages import Close, MessageReader, Ping, Pong

# What a read asks for: little while little comes, because a thread that waits holds a buffer of this size. Python's own
# allocator makes objects of up to 512 bytes, this one included, in half the time.
_SMALL_READ = 472
_LARGE_READ = 64 * 1024
_READ_GROWTH = 16
_MESSAGE_TYPES = (str, bytes, bytearray, memoryview)


class Connection:
    """An open WebSocket. `connect` makes one, and a server makes one for each call of its handler.

    One thread at a time receives; any thread may send, ping and close, at any time, and no message is torn. Iterating gives
    the messages until the connection is over, however it ended. As a context manager it closes itself.

    `path` is the target of the opening request, query included; `headers` are those of the other side's opening, with names
    in lower case; `subprotocol` is what was agreed on, or None; `remote_address` is the peer's. `offer` is how a hub sends: bytes
    in this connection's `encoding`, without ever waiting; a peer that has no room for them is evicted (1008).
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
    ) -> None:
        self.path = path
        self.headers = headers
        self.remote_address = remote_address
        self.subprotocol = subprotocol
        self._stream = stream
        self._is_client = is_client
        self._limits = limits
        self._deflater = deflate.deflater(is_client=is_client) if deflate and deflate.keeps_context(is_client=is_client) else None
        # A compressor with a context is of use to this connection only: what is shared goes uncompressed then.
        shared_bits = deflate.window_bits(is_client=is_client) if deflate and not self._deflater else 0
        self.encoding = Encoding(is_client, shared_bits)
        self._encode = self.encoding.encoder()
        self._reader = MessageReader(
            masked=not is_client,
            max_bytes=limits.max_message_bytes,
            max_fragments=limits.max_fragments,
            inflater=deflate.inflater(is_client=is_client) if deflate else None,
        )
        self._inbox = self._reader.messages
        self._crew = join_crew()
        self._outbox = Outbox(stream, limits, self._crew.writer, self._crew.deadlines, self._on_too_slow)
        self.offer = self._outbox.offer
        # What the stream ends with. It counts once the messages before it have been taken.
        self._verdict: Close | ProtocolViolation | EOFError | None = None
        self._end: tuple[int, str] | None = None  # close code and reason, from the first thing that ended the connection
        self._is_over = False  # the socket has been given back
        self.before_goodbye: Callable[[], None] | None = None
        """Called once, by the thread that receives, before a close of the peer is answered: for what is still to be sent. May wait."""
        self.was_evicted = False
        """Whether the peer was closed (1008) for being too slow."""
        self.bytes_received = 0
        """What was read from the peer, with frames and their heads, without TLS."""
        self._abort_at: Deadline | None = None
        self._next_ping: Deadline | None = None
        self._seat = Seat()
        self._read_size = _SMALL_READ
        self._turn: Turn | None = None  # made when a read brings several messages for the first time
        self._pings = Pings(limits)
        if already_read:
            self._take(already_read)
        if limits.ping_interval:
            self._next_ping = self._crew.deadlines.after(self._pings.period, self._keep_alive)

    @property
    def latency(self) -> float | None:
        """The seconds from the last answered ping to its pong; None before the first."""
        return self._pings.latency

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
        return None if self._end is None else self._closed()

    def send(self, message: str | bytes | bytearray | memoryview | Iterable[str] | Iterable[bytes]) -> None:
        """Send a message: text for str, binary for bytes. An iterable is sent as one message, a fragment for each item.

        Waits while too much is waiting for this peer (`Limits.outbox_bytes`), for `Limits.send_timeout` at most, after which
        the peer is dropped. From any thread. Raises ConnectionClosed once the connection is over or closing.
        """
        try:
            if type(message) is not str and not isinstance(message, _MESSAGE_TYPES):
                self._send_fragments(message)
            elif self._deflater is None:
                self._outbox.write(self._encode(message))
            else:
                self._send_in_context(self._deflater, *payload_of(message))
        except OutboxClosed:
            raise self._closed() from None

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
                    raise self._closed() from None
            if not self._read_until(inbox.__len__, until):
                raise TimeoutError(f"no message within {timeout} s")

    def __iter__(self) -> Iterator[str | bytes]:
        inbox, seat = self._inbox, self._seat
        while inbox or not self._is_over:
            while inbox:
                try:
                    message = inbox.popleft()
                except IndexError:
                    break
                yield message
            else:
                # Nearly always nobody else reads, so that this is all of `_read_until`.
                if seat.lock.acquire(False):
                    try:
                        self._read(None)
                    finally:
                        seat.lock.release()
                        if seat.waiters:
                            seat.tell()
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
            raise self._closed()
        return ping.took

    def close(self, code: int = CloseCode.NORMAL, reason: str = "") -> None:
        """Close the connection with a code and a reason of at most 123 bytes, and wait until it is over (RFC 6455, section 7).

        That takes one round trip, and `Limits.close_timeout` at most. Messages that were not received yet are dropped. From
        any thread; does nothing when the connection is over.
        """
        self.begin_close(code, reason)

        def is_over() -> bool:
            self._inbox.clear()
            return self._is_over

        self._read_until(is_over, None)

    def begin_close(self, code: int = CloseCode.NORMAL, reason: str = "", *, timeout: float | None = None) -> None:
        """Send the close frame and return: whoever receives finds the end. From any thread; never waits.

        The socket is closed after `timeout` seconds at the latest (`Limits.close_timeout`, if that is not given).
        """
        if not is_sendable_close_code(code):
            raise UsageError(f"{code} is not a close code that may be sent")
        if len(reason.encode()) > 123:
            raise UsageError("the reason for a close has at most 123 bytes")
        end_turn()  # a broadcast of this thread may still be on its way to this peer
        self._say_goodbye(code, reason, timeout)

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close(CloseCode.NORMAL if kind is None else CloseCode.INTERNAL_ERROR)

    def __repr__(self) -> str:
        return f"<Connection {self.remote_address} {self.path} {'open' if self._end is None else f'closed {self._end[0]}'}>"

    # Sending

    def _send_in_context(self, deflater: Deflater, opcode: Opcode, payload: bytes) -> None:
        """Send with a compressor that refers to what it has sent before, which has to see the messages in their order."""
        if len(payload) < MIN_BYTES_TO_DEFLATE:
            self._outbox.write(self.encoding.frame(opcode, payload))
        else:
            self._outbox.write_made(lambda: self.encoding.compressed_frame(opcode, payload, deflater))

    def _send_fragments(self, parts: object) -> None:
        if isinstance(parts, Mapping) or not isinstance(parts, Iterable):
            raise UsageError(f"a message is str, bytes, or an iterable of either, not {type(parts).__name__}")
        frames = encode_fragments(parts, masks=self._is_client)
        first = next(frames, None)
        if first is None:
            return
        self._outbox.open_message()
        try:
            self._outbox.write_part(first)
            for frame in frames:
                self._outbox.write_part(frame)
        except OutboxClosed:
            raise
        except BaseException:
            # The peer has half a message, which nothing but the end of the connection can take back.
            self._say_goodbye(CloseCode.INTERNAL_ERROR, "a message could not be finished")
            raise
        finally:
            self._outbox.close_message()

    # Receiving

    def _read_until(self, is_done: Callable[[], object], until: float | None) -> bool:
        """Read until something is done or the connection is over; False if it gets too late."""
        return self._seat.read_until(lambda: is_done() or self._is_over, self._read, until)

    def _read(self, until: float | None) -> bool:
        """One read from the stream, or what follows from its end; False if it gets too late. Only for the thread that reads."""
        if current.turn is not None:
            end_turn()
        if self._is_over:
            return True
        if self._verdict is None:
            try:
                # Without a limit it is the kernel's call alone: this is the way of every message to a handler.
                data = self._stream.recv(self._read_size) if until is None else recv_until(self._stream, self._read_size, until)
            except OSError:
                data = b""
            if data is None:
                return False
            self._take(data)
            if len(self._inbox) > 1:
                if self._turn is None:
                    self._turn = Turn(self._crew.writer, self._inbox)
                self._turn.begin()
            return True
        if isinstance(self._verdict, Close) and self.before_goodbye is not None:
            before_goodbye, self.before_goodbye = self.before_goodbye, None
            before_goodbye()
        self._answer_verdict()
        while not isinstance(self._verdict, EOFError):
            data = recv_until(self._stream, _LARGE_READ, until)
            if data is None:
                return False
            if not data:
                break
        self._finish()
        return True

    def _take(self, data: bytes) -> None:
        """Make messages of what was read, and answer pings."""
        if not data:
            self._verdict = EOFError()
            return
        self.bytes_received += len(data)
        self._pings.has_heard = True
        if len(data) == self._read_size:
            self._read_size = min(self._read_size * _READ_GROWTH, _LARGE_READ)
        elif len(data) * _READ_GROWTH < self._read_size:
            self._read_size = _SMALL_READ
        try:
            self._reader.feed(data)
        except ProtocolViolation as violation:
            self._verdict = violation
        control = self._reader.control
        if control:
            pongs = [self.encoding.frame(Opcode.PONG, frame.payload) for frame in control if isinstance(frame, Ping)]
            if pongs:
                self._outbox.pong(pongs)
            for frame in control:
                if isinstance(frame, Pong):
                    self._pings.answer(frame.payload)
                elif isinstance(frame, Close):
                    self._verdict = frame
            control.clear()

    # Ending

    def _answer_verdict(self) -> None:
        """Do what the end of the stream demands: answer the close, name the violation, or take note. Never waits."""
        verdict = self._verdict
        if isinstance(verdict, EOFError):
            self._end = self._end or (CloseCode.ABNORMAL, "connection lost")
            self._outbox.abort()
        elif verdict is not None:
            self._say_goodbye(verdict.code, verdict.reason)
            if isinstance(verdict, Close) and self._end is not None and self._end[0] != verdict.code != CloseCode.NO_STATUS:
                self._end = (verdict.code, verdict.reason)  # the peer's counts (section 7.1.5), also as an answer to ours
            if not self._is_client:
                # The server ends the TCP connection, so that it is the one that keeps its port busy (section 7.1.1).
                self._outbox.end_stream()

    def _say_goodbye(self, code: int, reason: str, timeout: float | None = None) -> None:
        if self._end is None:
            self._end = (int(code), reason)
        if self._outbox.close(self.encoding.frame(Opcode.CLOSE, encode_close(code, reason))):
            self._limit_close(timeout)

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
            self._abort_at = self._crew.deadlines.after(timeout, self._outbox.abort)

    def _finish(self) -> None:
        """Give everything back. Only for the thread that reads, as the last thing it does."""
        self._end = self._end or (CloseCode.ABNORMAL, "connection lost")
        self._outbox.release()
        for deadline in (self._abort_at, self._next_ping):
            if deadline is not None:
                deadline.cancel()
        self._is_over = True
        leave_crew(self._crew)

    def _closed(self) -> ConnectionClosed:
        return ConnectionClosed(*(self._end or (CloseCode.ABNORMAL, "connection lost")))

    # Keeping alive

    def _keep_alive(self) -> None:
        """For the deadlines' thread, again and again: send pings, and see whether the peer is still there."""
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
        self._next_ping = self._crew.deadlines.after(self._pings.period, self._keep_alive)

    def _read_meanwhile(self) -> None:
        """Read what is there, if nobody else does: a handler that only sends has to answer pings and to notice the end, too."""
        if not self._seat.lock.acquire(blocking=False):
            return
        try:
            if self._verdict is None and sum(map(len, self._inbox.copy())) < (self._limits.max_message_bytes or _LARGE_READ):
                data = self._stream.recv_now(_LARGE_READ)
                if data is not None:
                    self._take(data)
            if self._verdict is not None and not self._inbox:
                self._answer_verdict()
        finally:
            self._seat.lock.release()
            self._seat.tell()
