"""`ChatClient`: a client of the chat that keeps its name, its rooms and its place in their logs over lost connections.

The parts are in modules of their own: `requests` (what is asked, and repeated), `inbox` and `room_log` (what was received), and
`conversation` (one connection).
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from wschat.client.chat.conversation import Conversation, Identity
from wschat.client.chat.inbox import Inbox
from wschat.client.chat.requests import PendingRequest, Requests
from wschat.client.chat.room_log import entries_in
from wschat.client.connect import ConnectOptions
from wschat.client.reconnect import STABLE_AFTER, Attempt, reconnect
from wschat.client.tunnel import basic
from wschat.connection.connection import Connection
from wschat.connection.reentrance import is_reentrant
from wschat.daemons import join_daemon, start_daemon
from wschat.errors import ConnectionClosed, PeerError, UsageError
from wschat.events import Ack, Event, HistoryEvent, Id, Joined, Members, RoomList
from wschat.forks import ForkAware
from wschat.protocol.frames import CloseCode
from wschat.v1 import ME_PREFIX, REPLACED, SUBPROTOCOL

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

E = TypeVar("E", bound=Event)
R = TypeVar("R")

MAX_PENDING = 100
"""The requests that may wait for their replies by default."""
MAX_EVENTS = 1000
"""The events that may wait for the caller by default."""

_TIMEOUT = 10.0
_MAX_PAGE = 1000


class RoomSummary(NamedTuple):
    """A room in a list of rooms."""

    room: str
    """The name."""
    members: int
    """The number of members."""
    last: int
    """The number of the last message."""


class ChatClient(ForkAware):
    """A client of the chat, with a name, in any number of rooms.

    ::

        with wschat.ChatClient("ws://127.0.0.1:8080", name="alice", rooms=["tea"]) as client:
            client.say("tea", "Hello!")
            for event in client:
                if isinstance(event, wschat.events.MessageEvent):
                    print(event.sender, event.text)

    One thread of its own connects, receives, and connects again when the connection is lost, as `reconnect` does. It takes the name again,
    joins the rooms again, fetches what was missed, and repeats what has no reply. So each message of a room is delivered once and in
    order, and a text that was said is in the log once.

    All methods may be called from any thread. Those with a `timeout`, in seconds, wait for the connection and for the reply; None waits for
    ever. They raise TimeoutError if the request could not be sent in time; OutcomeUnknown if it was sent, and the time or the client
    ended before the reply; Rejected with what the server says; and the error that has ended the client.
    """

    def __init__(
        self,
        url: str | Callable[[], str],
        *,
        name: str | None = None,
        rooms: Iterable[str] = (),
        token: str | Callable[[], str | None] | None = None,
        password: str | None = None,
        secret: str | None = None,
        headers: Mapping[str, str] | None = None,
        max_pending: int = MAX_PENDING,
        max_events: int = MAX_EVENTS,
        max_pause: float = 60.0,
        stable_after: float = STABLE_AFTER,
        on_attempt: Callable[[Attempt], object] | None = None,
        **options: Unpack[ConnectOptions],
    ) -> None:
        """Nothing is connected before `start`, or before the `with` block is entered.

        `name` is the name to take, None for one that a token or the URL gives. `rooms` are joined first. `password` is that of a moderator
        of this name. `secret`, 22 to 128 letters, digits, `-` or `_`, proves that a guest is the one who had the name before, because a
        name is reserved for five minutes when its guest leaves; by default, the server gives one. At most `max_pending` requests wait for
        their replies; another one waits for one of them, up to its timeout. At most `max_events` events wait for the caller, 2 or more.
        The other arguments are those of `reconnect`; `on_attempt` is called by the client's thread.

        Raises UsageError if an argument is invalid.
        """
        if isinstance(rooms, str):
            raise UsageError(f"rooms must be a list of names, not the string {rooms!r}")
        if max_pending < 1 or max_events < 2:
            raise UsageError(f"max_pending must be at least 1, and max_events at least 2, not {max_pending} and {max_events}")
        if "subprotocols" in options:
            raise UsageError(f"the subprotocol of a ChatClient is {SUBPROTOCOL}: do not give subprotocols")
        options["subprotocols"] = [SUBPROTOCOL]
        # Guards everything that its parts share, and `_thread`, `_callbacks` and `_is_stopped`. Reentrant, because a signal handler may
        # call `stop` whatever its own thread is doing.
        self._lock = threading.RLock()
        self._requests = Requests(self._lock, max_pending)
        self._inbox = Inbox(self._lock, max_events)
        self._identity = Identity(name, list(rooms), secret)
        self._callbacks: list[tuple[type[Event], Callable[[Event], object]]] = []
        self._thread: threading.Thread | None = None
        self._connection: Connection | None = None
        self._reconnect = reconnect(
            url,
            headers=_with_password(headers, name, password),
            token=token,
            max_pause=max_pause,
            stable_after=stable_after,
            on_attempt=on_attempt,
            **options,
        )
        self._watch_forks()

    def _leave_to_parent(self) -> None:
        if self._thread is None:
            self._watch_forks()  # a client that was not started can be used in the child
        else:
            super()._leave_to_parent()

    # Running

    def start(self) -> Self:
        """Start to connect, and return the client. Does not wait. Raises UsageError if it was started before."""
        with self._lock:
            if self._thread is not None:
                raise UsageError("the client was started before: make a new one")
            self._thread = start_daemon(self._run, "wschat-client")
        return self

    def stop(self) -> None:
        """End the client without waiting for its thread. May be called from any thread and any signal handler; never waits."""
        if self._is_inherited or sys.is_finalizing():
            return  # the thread belongs to the parent, or never runs again
        self._end(ConnectionClosed(CloseCode.NORMAL, "the client was closed"))
        self._reconnect.stop()

    def close(self) -> None:
        """End the client, and wait for its thread, `Limits.close_timeout` seconds at most.

        Requests without a reply raise OutcomeUnknown. Iterations end once they have yielded what was received before. May be called more
        than once. Does not wait if a signal handler calls it that has interrupted a call of this client: call `stop` from signal handlers.
        """
        self.stop()
        if self._thread is not None and not self._is_inherited and not is_reentrant():
            join_daemon(self._thread)

    def __enter__(self) -> Self:
        return self if self._thread is not None else self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    @property
    def name(self) -> str | None:
        """The client's name; None before the server has given one."""
        return self._identity.name

    @property
    def connected(self) -> bool:
        """True while there is a connection, on which the client has its name and its rooms."""
        return self._requests.is_open

    @property
    def closed(self) -> Exception | None:
        """The error that has ended the client, or a ConnectionClosed with 1000 after `close`; None before."""
        return self._requests.ended

    @property
    def latency(self) -> float | None:
        """The seconds from the last keep-alive ping of the connection to its pong; None without one."""
        connection = self._connection
        return None if connection is None else connection.latency

    # Requests

    def join(self, room: str, *, since: int | None = None, epoch: str | None = None, timeout: float | None = _TIMEOUT) -> Joined:
        """Join a room and return its `joined` event, with its last messages.

        From now on, the messages of the room are delivered as events. With `since`, the number of a message, and the `epoch` of the log in
        which it has this number, so are all messages after that one.
        """
        return self._perform(Joined, "join", {"room": room, "since": since, "epoch": epoch}, timeout)

    def leave(self, room: str, *, timeout: float | None = _TIMEOUT) -> None:
        """Leave a room."""
        self._perform(Ack, "leave", {"room": room}, timeout)

    def say(self, room: str, text: str, *, id: Id | None = None, timeout: float | None = _TIMEOUT) -> int:  # noqa: A002  # the name of the field
        """Say a text in a room, and return its number in the log, once the server has made it durable.

        The text is said as it is, also if it begins with a slash, but for `/me `. It is said once, however often the connection is lost. If
        that takes longer than the timeout, OutcomeUnknown has the `id` with which to say the same text again; it is still said only once.
        """
        escaped = f"/{text}" if text.startswith("/") and not text.startswith(ME_PREFIX) else text
        ack = self._perform(Ack, "say", {"room": room, "text": escaped}, timeout, id)
        if ack.seq is None:
            raise PeerError("the server has acknowledged a text without a number")
        return ack.seq

    def whisper(self, name: str, text: str, *, timeout: float | None = _TIMEOUT) -> None:
        """Send a text to one user only. It is not kept. Raises OutcomeUnknown if the connection is lost before the reply."""
        self._perform(Ack, "whisper", {"to": name, "text": text}, timeout)

    def history(
        self, room: str, *, before: int | None = None, since: int | None = None, limit: int = 100, timeout: float | None = _TIMEOUT
    ) -> list[Event]:
        """Return entries of a room's log in order, MessageEvents nearly always: the last ones, those before a number, or those after one.

        At most `limit` are returned, which may take several requests; the timeout is for all of them.
        """
        if since is not None and before is not None:
            raise UsageError("give either since= or before=, not both")
        until = None if timeout is None else monotonic() + timeout
        found: list[tuple[int, Event]] = []
        while len(found) < limit:
            fields = {"room": room, "before": before, "since": since, "limit": min(_MAX_PAGE, limit - len(found))}
            page = self._perform(HistoryEvent, "history", fields, None if until is None else max(0.0, until - monotonic()))
            with _peer_errors():
                entries = entries_in(page.messages)
            if since is None:
                found, before = [*entries, *found], entries[0][0] if entries else before
            else:
                found, since = [*found, *entries], entries[-1][0] if entries else since
            if not page.more or not entries:
                break
        return [entry for _, entry in found]

    def members(self, room: str, *, timeout: float | None = _TIMEOUT) -> list[str]:
        """Return the names of a room's members, in order of arrival."""
        return list(map(str, self._perform(Members, "who", {"room": room}, timeout).members))

    def rooms(self, *, timeout: float | None = _TIMEOUT) -> list[RoomSummary]:
        """Return the rooms that have members or messages. The timeout is for each 1,000 of them."""
        found: list[RoomSummary] = []
        while True:
            fields = {"after": found[-1].room if found else None, "limit": _MAX_PAGE}
            page = self._perform(RoomList, "rooms", fields, timeout)
            with _peer_errors():
                found += [RoomSummary(*(room[name] for name in RoomSummary._fields)) for room in page.rooms]  # type: ignore[arg-type]
            if not page.more or not page.rooms:
                return found

    def run(self, action: str, /, *, timeout: float | None = _TIMEOUT, **fields: object) -> Event:
        """Send any request, such as `run("mute", room="tea", name="bob", seconds=60)`, and return its reply."""
        return self._perform(Event, action, fields, timeout)

    # Events

    def recv(self, timeout: float | None = None) -> Event:
        """Wait for an event and return it. Each event goes to one of the callers of `recv` and the iterations.

        Raises TimeoutError if none comes within `timeout` seconds, and the error that has ended the client.
        """
        self._check_usable()
        until = None if timeout is None else monotonic() + timeout
        while True:
            for page in self._inbox.missing_pages():
                self._requests.add_urgent(page)
            delay = self._requests.pump()
            try:
                event = self._inbox.take(until, delay)
            except TimeoutError:
                raise TimeoutError(f"no event within {timeout} s") from None
            if event is not None:
                return event

    def __iter__(self) -> Iterator[Event]:
        """Call the callbacks for each event, and yield it, until the client is closed. Raises the error that has ended it otherwise."""
        while True:
            try:
                event = self.recv()
            except ConnectionClosed as closed:
                if closed.code == CloseCode.NORMAL:
                    return
                raise
            for kind, callback in self._callbacks:
                if isinstance(event, kind):
                    callback(event)
            yield event

    def on(self, kind: type[E]) -> Callable[[Callable[[E], R]], Callable[[E], R]]:
        """Return a decorator for a function to be called with each event of a type: `@client.on(MessageEvent)`.

        The functions are called by the thread that iterates over the client, or that calls `dispatch`, in the order in which they were
        given, and may call any method of the client. What they raise ends the iteration.
        """

        def register(callback: Callable[[E], R]) -> Callable[[E], R]:
            with self._lock:
                self._callbacks = [*self._callbacks, (kind, callback)]  # type: ignore[list-item]  # called with this kind only
            return callback

        return register

    def dispatch(self) -> None:
        """Call the callbacks for each event until the client is closed. Raises the error that has ended it otherwise."""
        for _ in self:
            pass

    # Parts

    def _perform(self, kind: type[E], action: str, fields: Mapping[str, object], timeout: float | None, request_id: Id | None = None) -> E:
        self._check_usable()
        reply = self._requests.perform(PendingRequest(self._lock, action, fields, request_id), timeout)
        if not isinstance(reply, kind):
            raise PeerError(f"the server has answered {reply.type} to {action}")
        return reply

    def _check_usable(self) -> None:
        if self._is_inherited:
            raise UsageError("a ChatClient cannot be used in a forked child: make one there")
        if self._thread is None:
            raise UsageError("the client was not started: use it in a with block, or call start()")

    def _run(self) -> None:
        try:
            for ws in self._reconnect:
                self._connection = ws
                try:
                    Conversation(ws, self._lock, self._identity, self._requests, self._inbox).run()
                except ConnectionClosed as closed:
                    if closed.code == REPLACED:
                        raise
                except (ValueError, RecursionError, TimeoutError) as error:
                    ws.close(CloseCode.PROTOCOL_ERROR, str(error)[:40])
                finally:
                    self._connection = None
                    self._requests.lose(ws.closed)
                    self._inbox.lose_connection()
        except Exception as error:
            self._end(error)
        finally:  # also after an error that is not an Exception, such as SystemExit of a hook: callers must not wait for ever
            self._end(ConnectionClosed(CloseCode.NORMAL, "the client was closed"))

    def _end(self, error: Exception) -> None:
        """End the client with an error, unless it has ended already."""
        with self._lock:
            if self._requests.ended is None:
                self._requests.end(error)
                self._inbox.end(error)


def _with_password(headers: Mapping[str, str] | None, name: str | None, password: str | None) -> Mapping[str, str] | None:
    if password is None:
        return headers
    if name is None:
        raise UsageError("a password needs the name that it belongs to")
    return {**(headers or {}), "Authorization": basic((name, password))}


@contextmanager
def _peer_errors() -> Iterator[None]:
    """Turn errors of reading a reply into PeerError."""
    try:
        yield
    except (KeyError, TypeError, ValueError) as error:
        raise PeerError(f"a reply of the server is wrong: {error!r}") from None
