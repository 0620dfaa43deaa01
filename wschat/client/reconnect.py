"""`reconnect`: a new connection each time one has ended, with growing pauses. The steps are in `backoff` and `retry`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

from wschat.client.backoff import Backoff
from wschat.client.connect import ConnectOptions, Opening
from wschat.client.retry import is_final, retry_after
from wschat.client.uri import parse_uri
from wschat.connection.connection import Connection
from wschat.connection.streams import was_interrupted
from wschat.errors import UsageError
from wschat.forks import ForkAware
from wschat.protocol.frames import CloseCode

if TYPE_CHECKING:
    from typing_extensions import Unpack

STABLE_AFTER = 10.0
"""The seconds after which a connection is stable by default."""


@dataclass(frozen=True)
class Attempt:
    """What became of one attempt to connect: told when it has failed or succeeded, and when its connection has ended."""

    number: int
    """The number of the attempt: 1 for the first one, and for the first one after a stable connection."""
    url: str
    """The URL, without its query and credentials."""
    error: Exception | None
    """Why it failed, or how the connection ended; None if the connection is open now."""
    pause: float | None
    """The seconds until the next attempt; None if the connection is open now, or the error is final."""


def reconnect(
    url: str | Callable[[], str],
    *,
    headers: Mapping[str, str] | Callable[[], Mapping[str, str] | None] | None = None,
    token: str | Callable[[], str | None] | None = None,
    max_pause: float = 60.0,
    stable_after: float = STABLE_AFTER,
    on_attempt: Callable[[Attempt], object] | None = None,
    **options: Unpack[ConnectOptions],
) -> Reconnect:
    """Return an iterable of connections to one URL: a new one each time the one before has ended. Thread-safe.

    ::

        for ws in wschat.reconnect("wss://example.com/feed"):
            for message in ws:
                print(message)

    The body of the loop has the connection for itself. It is closed when the body ends, and a new one is opened after a pause. After each
    failure the pauses grow, randomly, up to `max_pause` seconds. A connection counts as a failure as well, whatever ended it, unless
    the body had it for `stable_after` seconds; after that the pauses begin anew. An exception in the body ends the loop, as `break` does.

    `url`, `headers` and `token` may be functions, called before each attempt. `token` is sent as `Authorization: Bearer TOKEN`.
    `options` are those of `connect`. `on_attempt` is called with each `Attempt`. What these functions raise ends the loop and passes
    through, and so does an error that another attempt would not change: UsageError, `ssl.SSLCertVerificationError`, and OpeningFailed with
    a status of 4xx other than 408, 425 and 429. Any other OSError or OpeningFailed is tried again. A `Retry-After` header is obeyed up to
    10 minutes.

    Raises UsageError if an argument is invalid.
    """
    return Reconnect(url, headers, token, Backoff(max_pause), stable_after, on_attempt, options)


class Reconnect(ForkAware):
    """Connections to one URL, one after the other; `reconnect` returns it. One thread at a time may iterate over it."""

    def __init__(
        self,
        url: str | Callable[[], str],
        headers: Mapping[str, str] | Callable[[], Mapping[str, str] | None] | None,
        token: str | Callable[[], str | None] | None,
        backoff: Backoff,
        stable_after: float,
        on_attempt: Callable[[Attempt], object] | None,
        options: ConnectOptions,
    ) -> None:
        self._url = url
        self._headers = headers
        self._token = token
        self._backoff = backoff
        self._stable_after = stable_after
        self._on_attempt = on_attempt
        self._options = options
        # Held until `stop`: pauses wait for it. Not an Event, whose lock a signal handler may have interrupted its own thread in holding,
        # and not a SimpleQueue, whose `get` waits for ever if a short timeout is over before it begins to wait.
        self._running = threading.Lock()
        self._running.acquire()
        self._make_lock()
        self._is_stopped = False
        self._interrupt: Callable[[], object] | None = None
        self._is_iterated = False
        if not stable_after >= 0:
            raise UsageError(f"stable_after must be 0 seconds or more, not {stable_after!r}")
        if not any(map(callable, (url, headers, token))):
            self._opening()
        elif isinstance(url, str):
            parse_uri(url)
        self._watch_forks()

    def _make_lock(self) -> None:
        # Guards `_is_stopped`, `_interrupt` and `_is_iterated`. Reentrant, because a signal handler may stop what its own thread is doing.
        self._stop_lock = threading.RLock()

    def _leave_to_parent(self) -> None:
        self._make_lock()
        if self._is_iterated:
            super()._leave_to_parent()
        else:
            self._watch_forks()  # nothing is open: the child may iterate as well

    def stop(self) -> None:
        """End the iteration, and close its connection with 1000. May be called from any thread and any signal handler; never waits.

        A pause or an attempt ends at once. If a connection is open, the thread that receives on it finds its end.
        """
        with self._stop_lock:
            if self._is_stopped:
                return
            self._is_stopped = True
            interrupt = self._interrupt
        self._running.release()
        if interrupt is not None:
            interrupt()

    def __iter__(self) -> Iterator[Connection]:
        """Open connections and yield them. Waits, and raises, as described at `reconnect`. Raises UsageError in a second iteration."""
        with self._stop_lock:
            if self._is_iterated:
                raise UsageError("the connections are being iterated over already")
            self._is_iterated = True
        try:
            while not self._is_stopped:
                yield from self._attempt()
        finally:
            self._is_iterated = False

    def _attempt(self) -> Iterator[Connection]:
        """Open one connection, yield it if that succeeds, and pause after its end."""
        opening = self._opening()
        tell = partial(self._tell, self._backoff.failures + 1, opening.uri.without_query)
        try:
            connection = self._open(opening)
        except Exception as error:
            if was_interrupted(error):
                raise
            if self._is_stopped:
                return
            pause = None if is_final(error) else self._backoff.next_pause() + retry_after(error)
            tell(error, pause)
            if pause is None:
                raise
        else:
            with connection:
                tell(None, None)
                yield from self._use(connection)
            if self._is_stopped:
                return
            pause = self._backoff.next_pause()
            tell(connection.closed, pause)
        self._wait(pause)

    def _opening(self) -> Opening:
        """Return an opening with the current URL, headers and token."""
        url = self._url() if callable(self._url) else self._url
        headers = dict((self._headers() if callable(self._headers) else self._headers) or {})
        token = self._token() if callable(self._token) else self._token
        if token is not None:
            if any(name.lower() == "authorization" for name in headers):
                raise UsageError("give either token= or an Authorization header, not both")
            headers["Authorization"] = f"Bearer {token}"
        return Opening(url, headers=headers, **self._options)

    def _open(self, opening: Opening) -> Connection:
        """Run an opening, which `stop` cancels."""
        self._let_stop(opening.cancel)
        try:
            return opening.run()
        finally:
            self._let_stop(None)

    def _use(self, connection: Connection) -> Iterator[Connection]:
        """Yield a connection, which `stop` closes, and note if it was stable."""
        opened_at = monotonic()
        try:
            self._let_stop(lambda: connection.begin_close(CloseCode.NORMAL))
            if not self._is_stopped:
                yield connection
                self._check_process()
        finally:
            self._let_stop(None)
        if monotonic() - opened_at >= self._stable_after:
            self._backoff.reset()

    def _let_stop(self, interrupt: Callable[[], object] | None) -> None:
        """Set what `stop` interrupts; interrupt it now if `stop` was called."""
        with self._stop_lock:
            self._interrupt = interrupt
            is_stopped = self._is_stopped
        if is_stopped and interrupt is not None:
            interrupt()

    def _tell(self, number: int, url: str, error: Exception | None, pause: float | None) -> None:
        if self._on_attempt is not None:
            self._on_attempt(Attempt(number, url, error, pause))

    def _wait(self, seconds: float) -> None:
        if self._running.acquire(timeout=min(seconds, threading.TIMEOUT_MAX)):
            self._running.release()
