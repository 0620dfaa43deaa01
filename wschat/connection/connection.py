"""One open WebSocket, of a server or of a client: its messages and its pings.

How it was opened is the concern of `server` and `client`; how it is kept alive and closed, of `lifecycle`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from time import monotonic
from types import MappingProxyType, TracebackType

from wschat.connection.fragments import send_fragments
from wschat.connection.lifecycle import Lifecycle
from wschat.connection.quota import Quota
from wschat.connection.state import CLOSED
from wschat.connection.streams import Stream
from wschat.connection.transport import TransportClosed
from wschat.limits import Limits
from wschat.protocol.deflate import Deflate, Deflater
from wschat.protocol.encoding import MIN_BYTES_TO_DEFLATE, Encoding, payload_of
from wschat.protocol.frames import CloseCode, Opcode
from wschat.protocol.request_target import cookies_of, query_of

_NO_PARAMS: Mapping[str, str | int] = MappingProxyType({})
_MESSAGE_TYPES = (str, bytes, bytearray, memoryview)


class Connection(Lifecycle):
    """An open WebSocket. `connect` returns one, and a server makes one for each call of its handler.

    One thread at a time may receive. Any thread may send, ping and close at any time; messages are never torn or interleaved.
    Iterating yields messages until the connection is closed, for whatever reason. As a context manager, it closes itself. A process that
    was forked after the connection was opened cannot use it: methods other than `close` and `begin_close` raise UsageError there.
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
        keeps_context = deflate is not None and deflate.keeps_context(is_client=is_client)
        # A compressor with context is of use to this connection only, so messages shared with others are not compressed then.
        shared_bits = deflate.window_bits(is_client=is_client) if deflate and not keeps_context else 0
        super().__init__(
            stream,
            encoding=Encoding(is_client, shared_bits),
            inflater=deflate.inflater(is_client=is_client) if deflate else None,
            limits=limits,
            path=path,
            remote_address=remote_address,
            quotas=quotas,
        )
        self.headers = headers
        """The headers of the peer's opening handshake, with names in lower case."""
        self.identity: object = None
        """`Request.identity`, as a server's `check_request` has set it."""
        self.path_params: Mapping[str, str | int] = _NO_PARAMS
        """What the placeholders of the path's pattern have found, by name, on a server with routes."""
        self.scheme = "http"
        """`http`, or `https` if the opening request came over TLS, as `Request.scheme`; on a server only."""
        self.subprotocol = subprotocol
        """The subprotocol agreed on, or None."""
        self._deflater = deflate.deflater(is_client=is_client) if deflate and keeps_context else None
        self._encode = self.encoding.encoder()
        if already_read:
            self._receiver.incoming.feed(already_read)

    @property
    def query(self) -> dict[str, str]:
        """The parameters of the query in `path`. Of a repeated parameter, the last value counts."""
        return query_of(self.path)

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies of the client's opening request, by name; on a server only."""
        return cookies_of(self.headers)

    @property
    def latency(self) -> float | None:
        """The seconds from the last answered ping to its pong; None before the first."""
        return self._pings.latency

    @property
    def bytes_received(self) -> int:
        """Bytes read from the peer, frames and their headers included, without TLS."""
        return self._receiver.incoming.bytes_received

    def send(self, message: str | bytes | bytearray | memoryview | Iterable[str] | Iterable[bytes]) -> None:
        """Send a message: text for str, binary for bytes. An iterable is sent as one message, with a fragment for each item.

        Waits while too much is waiting for this peer (`Limits.outbox_bytes`), at most `Limits.send_timeout` seconds, after which
        the peer is evicted. May be called from any thread. Raises ConnectionClosed once the connection is closing or closed.
        """
        try:
            if type(message) is not str and not isinstance(message, _MESSAGE_TYPES):
                send_fragments(self._outbox, message, masks=self.encoding.masks, send_close=self._send_close)
            elif self._deflater is None:
                encode = self._encode  # CPython 3.11 looks attributes up faster than methods that are not found in the class
                self._outbox.write(encode(message))
            else:
                self._send_compressed(self._deflater, *payload_of(message))
        except TransportClosed:
            raise self._closed_error() from None

    def recv(self, timeout: float | None = None) -> str | bytes:
        """Wait for a message and return it: str for text, bytes for binary.

        Raises TimeoutError if none comes within `timeout` seconds, after which the connection can still be used, and ConnectionClosed
        once the connection is closed and all messages have been received. For one thread at a time.
        """
        messages = self._messages
        until = None if timeout is None else monotonic() + timeout
        while True:
            # Without a look before: a thread that closes the connection may empty the deque at any time.
            try:
                return messages.popleft()
            except IndexError:
                if self._outbox.state is CLOSED:
                    raise self._closed_error() from None
            if not self._read_until(messages.__len__, until):
                raise TimeoutError(f"no message within {timeout} s")

    def __iter__(self) -> Iterator[str | bytes]:
        messages, outbox, receiver = self._messages, self._outbox, self._receiver
        reader_lock = receiver.reader_lock
        while messages or outbox.state is not CLOSED:
            while messages:
                try:
                    message = messages.popleft()
                except IndexError:
                    break
                yield message
            else:
                # Nearly always no other thread reads, so that this is all of `_read_until`.
                if reader_lock.lock.acquire(False):
                    try:
                        receiver.read(None)
                    finally:
                        reader_lock.lock.release()
                        if reader_lock.waiters:
                            reader_lock.notify_waiters()
                else:
                    self._read_until(messages.__len__, None)
        self._check_process()

    def ping(self, timeout: float | None = None) -> float:
        """Send a ping, wait for its pong, and return the seconds between them (RFC 6455, section 5.5.2).

        Raises TimeoutError if no pong comes within `timeout` seconds, and ConnectionClosed. May be called from any thread.
        """
        ping = self._pings.create()
        self._outbox.control(self.encoding.ping_frame(ping.number))
        until = None if timeout is None else monotonic() + timeout
        try:
            if not self._read_until(ping.has_pong, until, self._receiver.read_soon):
                raise TimeoutError(f"no pong within {timeout} s")
        finally:
            self._pings.discard(ping)
        if ping.latency is None:
            raise self._closed_error()
        return ping.latency

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        # A generator that is closed ends with GeneratorExit, which is not a failure.
        has_failed = kind is not None and not issubclass(kind, GeneratorExit)
        self.close(CloseCode.INTERNAL_ERROR if has_failed else CloseCode.NORMAL)

    def __repr__(self) -> str:
        path = self.path.partition("?")[0]  # a query may hold a token
        state = "inherited" if self._is_inherited else "open" if (closed := self.closed) is None else f"closed {closed.code}"
        return f"<Connection {self.remote_address} {path} {state}>"

    def _send_compressed(self, deflater: Deflater, opcode: Opcode, payload: bytes) -> None:
        """Send a message compressed with context, which requires that messages are compressed in the order in which they are sent."""
        if len(payload) < MIN_BYTES_TO_DEFLATE:
            self._outbox.write(self.encoding.frame(opcode, payload))
        else:
            self._outbox.write_made(lambda: self.encoding.compressed_frame(opcode, payload, deflater))
