"""The requests of a client: waiting to be sent, waiting for a reply, and sent again after a lost connection.

Any thread that waits for a reply also sends what is waiting (`pump`), so that no thread is needed for requests that the rate delays.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Mapping
from time import monotonic

from wschat.client.chat.rate_limiter import RateLimiter
from wschat.client.chat.room_log import RoomLog
from wschat.connection.connection import Connection
from wschat.errors import ConnectionClosed, OutcomeUnknown, Rejected, UsageError
from wschat.events import Error, Event, Id, OtherEvent, to_json
from wschat.protocol.frames import CloseCode
from wschat.v1 import MAX_ID_LENGTH, MAX_NUMBER, ME_PREFIX

# Requests that have the same effect if they are done twice, or that the server recognises by their id.
_REPEATABLE = frozenset({"say", "join", "leave", "typing", "who", "rooms", "history", "help", "commands", "ping"})
_SECONDS_IF_TOO_FAST = 1.0
_SECONDS_IF_UNAVAILABLE = 2.0


class PendingRequest:
    """One request, until its outcome is known. The lock of the client guards what changes."""

    def __init__(self, lock: threading.RLock, action: str, fields: Mapping[str, object], request_id: Id | None = None) -> None:
        """Raises UsageError if the request cannot be written as JSON."""
        self.type = action
        """The type of the request."""
        self.fields = fields
        """Its fields, without type and id."""
        self.id = os.urandom(16).hex() if request_id is None else request_id
        """Its id."""
        self.text = _text_of(action, fields, self.id)
        """The request as it is sent."""
        self.log: RoomLog | None = None
        """The log that a page is fetched for."""
        self.reply: Event | None = None
        """The reply, None before."""
        self.error: Exception | None = None
        """Why there will be no reply, None before."""
        self.is_in_flight = False
        """True while it is sent on the open connection, and has no reply."""
        self.is_uncertain = False
        """True if it was sent on a connection that was lost before the reply."""
        self.changed = threading.Condition(lock)
        """Notified when the outcome is known, and when the request may be sent again."""

    @property
    def is_done(self) -> bool:
        """True if the outcome is known."""
        return self.reply is not None or self.error is not None

    @property
    def is_repeatable(self) -> bool:
        """True if it may be sent again although it may have been carried out."""
        return self.type in _REPEATABLE and not is_command(self)

    def unknown(self, why: str) -> OutcomeUnknown:
        """Return the error for a request that was sent and has no reply."""
        return OutcomeUnknown(f"{why}; {self.type} may have been carried out or not (id {self.id!r})", self.id)


class Requests:
    """The requests of one client. Methods may be called from any thread, and take the lock; only `perform` and `pump` may wait."""

    def __init__(self, lock: threading.RLock, max_pending: int) -> None:
        self._lock = lock
        self._max_pending = max_pending
        self._has_room = threading.Condition(lock)
        self._pending: dict[Id, PendingRequest] = {}  # of callers
        self._urgent: deque[PendingRequest] = deque()  # of the client itself; sent first, and never again
        self._waiting: deque[PendingRequest] = deque()
        self._sent: dict[Id, PendingRequest] = {}
        self._connection: Connection | None = None
        self._limiter = RateLimiter({}, 0.0)
        self.is_open = False
        """True if callers' requests are sent: the client has its name and its rooms."""
        self.ended: Exception | None = None
        """Why no request can be sent any more."""

    def perform(self, request: PendingRequest, timeout: float | None) -> Event:
        """Send a request, and return its reply.

        Raises TimeoutError if it was not sent in time, OutcomeUnknown, Rejected, and the error that has ended the client.
        """
        until = None if timeout is None else monotonic() + timeout
        try:
            self._admit(request, until, timeout)
            while True:
                delay = self.pump()
                with self._lock:
                    if request.is_done:
                        return _outcome(request)
                    if until is not None and monotonic() >= until:
                        raise self._late(request, timeout)
                    wait_until(request.changed, until, delay)
        finally:
            with self._lock:
                self._discard(request)

    def add_urgent(self, request: PendingRequest) -> None:
        """Send a request of the client itself with the next `pump`. It is dropped if the connection is lost."""
        with self._lock:
            self._urgent.append(request)

    def pump(self) -> float | None:
        """Send what may be sent now. Return the seconds until more may be sent, None if nothing is waiting for the rate."""
        while True:
            with self._lock:
                connection, queue = self._connection, self._urgent or (self._waiting if self.is_open else None)
                if connection is None or not queue:
                    return None
                delay = self._limiter.acquire(monotonic())
                if delay:
                    return delay
                request = queue.popleft()
                request.is_in_flight = True
                self._sent[request.id] = request
            try:
                connection.send(request.text)
            except ConnectionClosed:
                return None  # the thread that receives finds the end
            except BaseException:  # of a signal handler, perhaps before the request was sent, which may be that of another thread
                self._take_back(request)
                raise

    def begin(self, connection: Connection, limits: Mapping[str, object]) -> None:
        """Send urgent requests on a new connection."""
        with self._lock:
            self._connection = connection
            self._limiter = RateLimiter(limits, monotonic())

    def open(self) -> None:
        """Send the requests of callers, too."""
        with self._lock:
            self.is_open = True

    def lose(self, closed: ConnectionClosed | None) -> None:
        """Take back what was sent on a connection that has ended."""
        with self._lock:
            sent = [request for request in self._sent.values() if request.id in self._pending]
            self._connection = None
            self.is_open = False
            self._sent.clear()
            self._urgent.clear()
            if sent and closed is not None and closed.code == CloseCode.TOO_BIG:
                longest = max(sent, key=lambda request: len(request.text))
                sent.remove(longest)
                _fail(longest, Rejected("too-big", f"The request is too long for the server: {closed.reason}".removesuffix(": ")))
            for request in reversed(sent):
                self._send_again(request, "the connection was lost before the reply")

    def find(self, event: Event) -> PendingRequest | None:
        """Return the request that an event is the reply to, or None."""
        with self._lock:
            request_id = id_of(event)
            return None if request_id is None else self._sent.get(request_id)

    def complete(self, request: PendingRequest, reply: Event) -> None:
        """Note the reply to a request. One that was refused for its rate is sent again later."""
        with self._lock:
            if self._sent.pop(request.id, None) is not request:
                return  # its caller waits no more
            request.is_in_flight = False
            if isinstance(reply, Error) and reply.code == "too-fast":
                self._limiter.block(monotonic(), _SECONDS_IF_TOO_FAST if reply.seconds is None else reply.seconds)
                (self._waiting if request.id in self._pending else self._urgent).appendleft(request)
            else:
                request.reply = reply
            request.changed.notify_all()

    def pause(self) -> None:
        """Send nothing for a moment, because the server cannot read its history."""
        with self._lock:
            self._limiter.block(monotonic(), _SECONDS_IF_UNAVAILABLE)

    def end(self, error: Exception) -> None:
        """Fail all requests, also those to come."""
        with self._lock:
            self.ended = error
            for request in self._pending.values():
                if not request.is_done:
                    is_unknown = request.is_in_flight or request.is_uncertain
                    _fail(request, request.unknown(f"the client has ended: {error}") if is_unknown else error)
            self._has_room.notify_all()

    def _admit(self, request: PendingRequest, until: float | None, timeout: float | None) -> None:
        """Wait until fewer than the most requests are pending, and add this one."""
        with self._lock:
            while self.ended is None and len(self._pending) >= self._max_pending:
                if not wait_until(self._has_room, until):
                    raise TimeoutError(f"{len(self._pending)} requests are waiting already, and none was done within {timeout} s")
            if self.ended is not None:
                raise self.ended.with_traceback(None)
            if request.id in self._pending:
                raise UsageError(f"a request with the id {request.id!r} is waiting for its reply: use another id")
            self._pending[request.id] = request
            self._waiting.append(request)

    def _take_back(self, request: PendingRequest) -> None:
        """Take back a request whose sending was interrupted, unless the connection was lost meanwhile."""
        with self._lock:
            if self._sent.pop(request.id, None) is not request:
                return
            if request.id in self._pending:
                self._send_again(request, "the sending was interrupted")
            else:
                self._urgent.appendleft(request)

    def _send_again(self, request: PendingRequest, why: str) -> None:
        """Send a caller's request first of all, if it may be done twice; otherwise its outcome is unknown."""
        request.is_in_flight = False
        request.is_uncertain = True
        if request.is_repeatable:
            self._waiting.appendleft(request)
            request.changed.notify_all()
        else:
            _fail(request, request.unknown(why))

    def _late(self, request: PendingRequest, timeout: float | None) -> Exception:
        if request.is_in_flight or request.is_uncertain:
            return request.unknown(f"no reply within {timeout} s")
        return TimeoutError(f"{request.type} could not be sent within {timeout} s, and is not sent any more")

    def _discard(self, request: PendingRequest) -> None:
        """Forget a request whose caller does not wait any more, if it was admitted."""
        if self._pending.get(request.id) is request:
            del self._pending[request.id]
        if self._sent.get(request.id) is request:
            del self._sent[request.id]
        elif request in self._waiting:
            self._waiting.remove(request)
        self._has_room.notify()


def is_command(request: PendingRequest) -> bool:
    """Return True for a `say` with a text that the server takes for a command."""
    text = request.fields.get("text")
    return request.type == "say" and isinstance(text, str) and text.startswith("/") and not text.startswith(("//", ME_PREFIX))


def id_of(event: Event) -> Id | None:
    """Return the id of the request that an event replies to, None if it replies to none."""
    found = event.data.get("id") if isinstance(event, OtherEvent) else getattr(event, "id", None)
    return found if isinstance(found, (str, int)) else None


def wait_until(condition: threading.Condition, until: float | None, delay: float | None = None) -> bool:
    """Wait for a condition, until a time or for some seconds at most. Return False at once if it is later than `until`."""
    remaining = None if until is None else until - monotonic()
    if remaining is not None and remaining <= 0:
        return False
    condition.wait(min((seconds for seconds in (remaining, delay) if seconds is not None), default=None))
    return True


def _fail(request: PendingRequest, error: Exception) -> None:
    request.error = error
    request.changed.notify_all()


def _outcome(request: PendingRequest) -> Event:
    """Return the reply, or raise the error."""
    if request.error is not None:
        raise request.error.with_traceback(None)
    reply = request.reply
    assert reply is not None
    if not isinstance(reply, Error):
        return reply
    rejected = Rejected(reply.code, reply.text, reply.seconds)
    if request.is_uncertain and request.type == "say":
        raise request.unknown(
            f"it was sent, the connection was lost, and it was rejected when it was sent again ({reply.code})"
        ) from rejected
    raise rejected


def _text_of(action: str, fields: Mapping[str, object], request_id: Id) -> str:
    if isinstance(request_id, bool) or (len(request_id) > MAX_ID_LENGTH if isinstance(request_id, str) else abs(request_id) > MAX_NUMBER):
        raise UsageError(f"an id must be a string of at most {MAX_ID_LENGTH} characters, or a whole number, not {request_id!r}")
    try:
        text = to_json({"type": action, **{name: value for name, value in fields.items() if value is not None}, "id": request_id})
        text.encode()
    except (TypeError, ValueError) as error:
        raise UsageError(f"{action}: a field cannot be sent: {error}") from None
    return text
