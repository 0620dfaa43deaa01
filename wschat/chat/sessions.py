"""Sessions and users: a session is one connection; a user has a name, in one session or, if the name is proven, in several."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from hmac import compare_digest
from typing import Protocol

from wschat.brokers.base import Broker, Draft, Outcome
from wschat.chat.addresses import address_of
from wschat.chat.dialects.base import Dialect
from wschat.chat.guest_secrets import make_secret
from wschat.connection.background_threads import acquire_background_threads, release_background_threads
from wschat.connection.cork import uncork
from wschat.errors import Rejected
from wschat.events import Event
from wschat.hub import Member
from wschat.names import key_of
from wschat.protocol.frames import CloseCode


@dataclass(frozen=True)
class Identity:
    """Who a client is, found in its opening request: by a token, by a password, or by the name that it gives."""

    name: str | None = None
    """The name, None for none."""
    is_proven: bool = False
    """True if the client has proven the name. It cannot change the name, and may use it on several connections."""
    is_moderator: bool = False
    """True for a moderator of all rooms in `rooms`."""
    rooms: tuple[str, ...] = ("*",)
    """Glob patterns of the rooms that the client may enter."""
    expires_at: float | None = None
    """When the identity expires, in seconds since 1970; None for never."""
    secret: str | None = None
    """The secret that a guest was given by an earlier connection."""

    @property
    def has_expired(self) -> bool:
        """Return True if the identity has expired."""
        return self.expires_at is not None and self.expires_at <= time.time()

    @property
    def may_enter_all(self) -> bool:
        """Return True if the client may enter all rooms."""
        return "*" in self.rooms

    def may_enter(self, room: str) -> bool:
        """Return True if the client may enter this room."""
        return self.may_enter_all or any(fnmatchcase(room, pattern) for pattern in self.rooms)

    def moderates(self, room: str) -> bool:
        """Return True if the client is a moderator of this room."""
        return self.is_moderator and self.may_enter(room)

    def check_room(self, room: str) -> None:
        """Raise Rejected if the client may not enter this room."""
        if not self.may_enter(room):
            raise Rejected("forbidden", f"You have no access to {room}.")


class ReplyQueue(Protocol):
    """A room, as a session uses it: a reply must not overtake the messages before it."""

    def queue_replies(self, session: Session, *texts: str) -> None:
        """Send texts to one session, after what was said before. `flush` must follow."""

    def flush(self) -> None:
        """Send what is queued, now or soon. Never waits."""


class User:
    """The owner of a name. `Users` guards `sessions`, `name` and `key`."""

    __slots__ = ("identity", "key", "moderates", "name", "sessions")

    def __init__(self, name: str, identity: Identity) -> None:
        self.name = name
        self.key = key_of(name)
        self.identity = identity
        self.sessions: list[Session] = []
        self.moderates: set[str] = set()
        """The rooms in which a guest was made a moderator, until the guest leaves."""

    def moderates_by_identity(self, room: str) -> bool:
        """Return True if one of the user's sessions has an identity that moderates this room."""
        return any(session.identity.moderates(room) for session in tuple(self.sessions))


class Peer(Member, Protocol):
    """A connection, as a session uses it. The methods are those of `Connection`."""

    @property
    def remote_address(self) -> object:
        """The address of the other side."""

    def send(self, text: str, /) -> None:
        """Send a text. Waits while the outbox is full."""

    def begin_close(self, code: int, reason: str) -> None:
        """Start the closing handshake, and return at once."""


class Session:
    """One connection to the chat. `rooms` is changed by the session's own thread, and by that of a moderator who removes it."""

    __slots__ = (
        "_appended",
        "_encode",
        "_settled",
        "_waiting",
        "connection",
        "dialect",
        "has_brought_secret",
        "identity",
        "rooms",
        "secret",
        "told",
        "user",
    )

    def __init__(self, connection: Peer, dialect: Dialect, identity: Identity) -> None:
        self.connection = connection
        self.dialect = dialect
        self.identity = identity
        self.user: User | None = None
        self.secret = identity.secret or (make_secret() if dialect.needs_name and not identity.is_proven else None)
        """Identifies a guest; None for a proven name. Guarded, as the next one, by `Users`."""
        self.has_brought_secret = identity.secret is not None
        self.rooms: dict[str, ReplyQueue] = {}
        self.told: set[tuple[str, str]] = set()
        """Errors that need no repeating, as their code and room, until the session can do again what failed."""
        self._encode = connection.encoding.encoder()
        self._appended = 0  # messages given to the broker; counted in the session's own thread
        self._settled = 0  # messages of which the outcome is known; counted in the broker's thread
        self._waiting: threading.Event | None = None

    @property
    def name(self) -> str | None:
        """The user's name, if there is one."""
        return self.user.name if self.user else None

    @property
    def member(self) -> str | None:
        """The name by which the session is a member of rooms, if it is one."""
        return self.name if self.dialect.is_seen else None

    @property
    def address(self) -> str | None:
        """The canonical address of the connection, None for a local socket."""
        return address_of(self.connection.remote_address)

    @property
    def room(self) -> str | None:
        """The room of a session that is in one at a time."""
        return next(iter(tuple(self.rooms)), None)  # a copy: a moderator may remove it meanwhile

    def is_same_guest(self, secret: str | None) -> bool:
        """Return True if this is the secret of the session. Takes the same time for every secret of the same length."""
        return self.secret is not None and secret is not None and compare_digest(self.secret, secret)

    def notify(self, event: Event) -> None:
        """Send an event. From any thread; never waits."""
        text = self.dialect.event(event)
        if text is not None:
            self.offer(text)

    def offer(self, text: str) -> None:
        """Send a text. From any thread; never waits."""
        self.connection.offer(self._encode(text), is_droppable=False)

    def say(self, broker: Broker, draft: Draft) -> None:
        """Append a message. For the session's own thread; waits as `Broker.append` does. Raises HistoryUnavailable."""
        broker.append(draft, self)
        self._appended += 1

    def wait_until_settled(self) -> None:
        """Wait until the outcome of all messages is known and they are on their way. For the session's own thread."""
        while self._settled < self._appended:
            # Set before the second look, so that an outcome after it is not missed.
            self._waiting = threading.Event()
            if self._settled < self._appended:
                self._waiting.wait()
        uncork()  # a broker without a thread delivers in this one, whose cork holds the messages back

    def on_appended(self, outcomes: list[Outcome]) -> None:
        """Take the outcomes of messages from the broker."""
        try:
            self._send_outcomes(outcomes)
        finally:
            self._settled += len(outcomes)
            if self._waiting is not None:
                self._waiting.set()

    def _send_outcomes(self, outcomes: list[Outcome]) -> None:
        replies: dict[ReplyQueue, list[str]] = {}
        for draft, result in outcomes:
            text = self.dialect.outcome(draft, result)
            room = self.rooms.get(draft.room)
            if text is not None and room is not None:
                replies.setdefault(room, []).append(text)
            elif text is not None:
                self.offer(text)
        for room, texts in replies.items():
            room.queue_replies(self, *texts)
        for room in replies:
            room.flush()


@contextmanager
def expiring(session: Session) -> Iterator[None]:
    """Close the session's connection when its identity expires."""
    if session.identity.expires_at is None:
        yield
        return
    background = acquire_background_threads()
    try:
        left = max(0.0, session.identity.expires_at - time.time())
        timer = background.timers.call_later(
            left, lambda: session.connection.begin_close(CloseCode.POLICY_VIOLATION, "the token has expired")
        )
        try:
            yield
        finally:
            timer.cancel()
    finally:
        release_background_threads(background)
