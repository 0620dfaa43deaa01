"""Sessions and persons: a session is one connection; a person has a name, on one session or, if the name is proven, on several."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from hmac import compare_digest
from typing import Protocol

from wschat.brokers.base import Broker, Draft, Message, Outcome, Result
from wschat.chat.addresses import address_of
from wschat.chat.events import Event
from wschat.chat.guest_secrets import make_secret
from wschat.chat.names import key_of
from wschat.chat.requests import Request
from wschat.connection.background_threads import acquire_background_threads, release_background_threads
from wschat.connection.cork import uncork
from wschat.errors import Rejected
from wschat.hub import Member
from wschat.protocol.frames import CloseCode


@dataclass(frozen=True)
class Identity:
    """What is known of somebody from the opening request: by a token, by a password, or just by what they say."""

    name: str | None = None
    is_proven: bool = False
    """Whether the name is theirs: they keep it, and may be there several times."""
    is_moderator: bool = False
    """Of all rooms they may be in."""
    rooms: tuple[str, ...] = ("*",)
    """Glob patterns of the rooms they may be in."""
    expires_at: float | None = None
    """When all this ends, in seconds since 1970."""
    secret: str | None = None
    """What a guest knows whom an earlier connection was given it."""

    @property
    def has_expired(self) -> bool:
        """Whether all this has ended."""
        return self.expires_at is not None and self.expires_at <= time.time()

    @property
    def may_be_anywhere(self) -> bool:
        """Return True if they may be in all rooms."""
        return "*" in self.rooms

    def may_be_in(self, room: str) -> bool:
        """Whether they have any business in this room."""
        return self.may_be_anywhere or any(fnmatchcase(room, pattern) for pattern in self.rooms)

    def moderates(self, room: str) -> bool:
        """Whether they are a moderator of this room."""
        return self.is_moderator and self.may_be_in(room)

    def check_room(self, room: str) -> None:
        """Raise Rejected if they have none."""
        if not self.may_be_in(room):
            raise Rejected("forbidden", f"You have no access to {room}.")


class Dialect(ABC):
    """How a client and the chat talk: what is said on the wire, and how it is understood."""

    one_room: bool
    """Whether a client is in one room at a time: to join another is to leave this one."""

    needs_name: bool
    """Whether only those who have a name may be in rooms and talk."""

    hears_of_members: bool = True
    """Whether a client is told who comes and goes."""

    is_seen: bool = True
    """Whether a client is one of those who are in a room, and not only somebody who listens."""

    @abstractmethod
    def greeting(self, session: Session) -> str:
        """The first text that a client gets."""

    @abstractmethod
    def parse(self, session: Session, text: str) -> Request:
        """What a client asks for. Raises Rejected."""

    def answer(self, session: Session, request: Request, answer: Event | None) -> str | None:
        """The answer to a request that was carried out; None as `answer` is one that has nothing to say. May be silence."""
        return None

    def rejection(self, session: Session, request_text: str, error: Rejected, *, is_news: bool) -> str | None:
        """The answer to a request that was not; may be silence where it is no news, and nobody waits for it."""
        return None

    def settled(self, draft: Draft, result: Result) -> str | None:
        """What became of a message; may be silence."""
        return None

    @abstractmethod
    def event(self, event: Event) -> str | None:
        """Something that happened; may be silence."""

    @abstractmethod
    def message(self, message: Message) -> str:
        """A new message in a room."""


class Place(Protocol):
    """A room, as far as a session knows it."""

    def answer(self, session: Session, text: str) -> None:
        """Have somebody in the room get this after what was said before. `flush` has to follow."""

    def flush(self) -> None:
        """Send it, now or soon; never waits."""


class Person:
    """Whoever has a name. `sessions`, `name` and `key` change under the lock of `People`."""

    __slots__ = ("identity", "key", "moderates", "name", "sessions")

    def __init__(self, name: str, identity: Identity) -> None:
        self.name = name
        self.key = key_of(name)
        self.identity = identity
        self.sessions: list[Session] = []
        self.moderates: set[str] = set()
        """The rooms that a guest was made a moderator of, which is forgotten when the guest leaves."""

    def moderates_by_identity(self, room: str) -> bool:
        """Whether they came in as a moderator of this room, on any of their connections."""
        return any(session.identity.moderates(room) for session in tuple(self.sessions))


class Peer(Member, Protocol):
    """A connection, as far as a session knows it. Its methods are those of `Connection`."""

    @property
    def remote_address(self) -> object:
        """Where it comes from."""

    def send(self, text: str, /) -> None:
        """Send a text; waits for room."""

    def begin_close(self, code: int, reason: str) -> None:
        """End it, and return at once."""


class Session:
    """One connection. `rooms` changes in its own thread, and in that of a moderator who has it leave."""

    __slots__ = (
        "_encode",
        "_said",
        "_settled",
        "_waiting",
        "connection",
        "dialect",
        "has_brought_secret",
        "identity",
        "person",
        "rooms",
        "secret",
        "told",
    )

    def __init__(self, connection: Peer, dialect: Dialect, identity: Identity) -> None:
        self.connection = connection
        self.dialect = dialect
        self.identity = identity
        self.person: Person | None = None
        self.secret = identity.secret or (make_secret() if dialect.needs_name and not identity.is_proven else None)
        """By which a guest is known again, None for a name that is proven. This and the next one change under the lock of `People`."""
        self.has_brought_secret = identity.secret is not None
        self.rooms: dict[str, Place] = {}
        self.told: set[tuple[str, str]] = set()
        """What need not be said twice: the codes of errors, and the rooms that they are about, since something could be said."""
        self._encode = connection.encoding.encoder()
        self._said = 0  # how many messages were given to the broker, which counts in this session's own thread
        self._settled = 0  # how many of them are settled, which counts in the broker's
        self._waiting: threading.Event | None = None

    @property
    def name(self) -> str | None:
        """The name, if there is one."""
        return self.person.name if self.person else None

    @property
    def member(self) -> str | None:
        """The name that a room is shown, if there is one."""
        return self.name if self.dialect.is_seen else None

    @property
    def address(self) -> str | None:
        """Where the connection comes from, in canonical form; None for a local socket."""
        return address_of(self.connection.remote_address)

    @property
    def room(self) -> str | None:
        """The room of those who are in one at a time."""
        return next(iter(tuple(self.rooms)), None)  # a copy: a moderator may take it away just now

    def is_same_guest(self, secret: str | None) -> bool:
        """Return True if this is the secret of the session."""
        return self.secret is not None and secret is not None and compare_digest(self.secret, secret)

    def notify(self, event: Event) -> None:
        """Tell about something that happened. From any thread; never waits."""
        text = self.dialect.event(event)
        if text is not None:
            self.offer(text)

    def offer(self, text: str) -> None:
        """Send a text. From any thread; never waits."""
        self.connection.offer(self._encode(text), is_droppable=False)

    def say(self, broker: Broker, draft: Draft) -> None:
        """Give a message to the broker. For the session's own thread; waits as `Broker.append` does. Raises HistoryUnavailable."""
        broker.append(draft, self)
        self._said += 1

    def wait_until_settled(self) -> None:
        """Wait until all that was said is on its way, or is not going to be: what is done next comes after it. For its own thread."""
        while self._settled < self._said:
            # There to be found before the next look, so that no change after that goes unnoticed.
            self._waiting = threading.Event()
            if self._settled < self._said:
                self._waiting.wait()
        uncork()  # which has put off what a broker without a thread of its own has handed on

    def settled(self, outcomes: list[Outcome]) -> None:
        """For the broker: what became of messages."""
        try:
            self._tell(outcomes)
        finally:
            self._settled += len(outcomes)
            if self._waiting is not None:
                self._waiting.set()

    def _tell(self, outcomes: list[Outcome]) -> None:
        answered: set[Place] = set()
        for draft, result in outcomes:
            text = self.dialect.settled(draft, result)
            room = self.rooms.get(draft.room)
            if text is not None and room is not None:
                room.answer(self, text)
                answered.add(room)
            elif text is not None:
                self.offer(text)
        for room in answered:
            room.flush()


@contextmanager
def expiring(session: Session) -> Iterator[None]:
    """Have a session end when what it came in by is no longer good."""
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
