"""What a broker is: the log of every room, from which everything else is read.

A message that is appended gets the next number of its room and is made durable, together with whatever else waits; then
those who subscribe to the room get it, and only then does whoever appended it learn its number. So nothing is delivered
that would not be there after a crash, and nothing is acknowledged before it is durable.

Rooms are known by names that compare as they are written; which names there may be is not decided here.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple, Protocol

from wschat.brokers.clock import Clock
from wschat.errors import HistoryUnavailable, Rejected, UsageError

MAX_TEXT_READ = 128 * 1024
"""How many characters of text one read brings at most, unless it is a single message: what is asked for in a few bytes must
neither take much time nor be more than a client can take."""

KEYS_KEPT = 100_000
"""For how many messages of a room it is remembered which keys they had, so that none is said twice."""

logger = logging.getLogger("wschat.brokers")


class Message(NamedTuple):
    """One entry of a room's log. `seq` counts from 1 without holes. `time` is in seconds since 1970, and never before the last one's."""

    room: str
    seq: int
    sender: str
    text: str
    time: float


class Draft(NamedTuple):
    """What is to be appended. Its texts can be encoded as UTF-8.

    `key` makes it happen once: a room that has a message with this key answers with that one's number, and nothing is
    appended; if that one has another text, this one is rejected rather than lost.

    `tag` is whatever its author wants to know it by; it is not kept.
    """

    room: str
    sender: str
    text: str
    key: str | None = None
    tag: object = None


class Known(int):
    """The number of a message that was there already, by the key of the draft."""


Result = int | HistoryUnavailable | Rejected
"""The number of a message, or why it was not appended."""

Outcome = tuple[Draft, Result]
"""What became of a draft."""


def rejected_key() -> Rejected:
    """What a draft gets whose key belongs to a message with another text."""
    return Rejected("id-used", "Something else has been said with this id.")


def digest_of(text: str) -> bytes:
    """What is kept of a text to tell it from others when the text itself is not kept any more."""
    return blake2b(text.encode(), digest_size=8).digest()


def within_bounds(messages: Iterable[Message], limit: int) -> list[Message]:
    """The first of these, as far as one read goes."""
    read: list[Message] = []
    size = 0
    for message in messages:
        size += len(message.text)
        if len(read) >= limit or (read and size > MAX_TEXT_READ):
            break
        read.append(message)
    return read


def hand_on(call: Callable[..., None], *arguments: object) -> None:
    """Tell a subscriber or an author something. What fails there must not keep it from the others."""
    try:
        call(*arguments)
    except Exception:
        logger.exception("%r failed", call)


class Author(Protocol):
    """Who appends, and is told what became of it."""

    def settled(self, outcomes: list[Outcome]) -> None:
        """These are durable and have been handed on, or never will be. Called from any thread; must neither wait nor append."""


class Subscriber(Protocol):
    """Who gets what is appended to a room."""

    def take(self, messages: Sequence[Message]) -> None:
        """The next messages of the room, durable, in order. Called with the broker's lock held: must neither wait nor write."""

    def flush(self) -> None:
        """Send on what was taken. Called without a lock; must neither wait nor append."""


@dataclass(frozen=True)
class Retention:
    """How much of each room's log is kept: so many messages, and none older than so many days; 0 lifts either."""

    messages: int = 10_000
    days: float = 30.0

    def __post_init__(self) -> None:
        if not (self.messages >= 0 and self.days >= 0):
            raise UsageError(f"what is kept is 0 (all) or more, not {self.messages} messages and {self.days} days")

    def oldest_time(self, now: float | None) -> float:
        """What is from before that is not kept; nothing if it is not known what time it is."""
        return now - self.days * 86_400 if self.days and now is not None else 0.0

    def quiet_time(self, now: float | None) -> float:
        """Return since when a room has to be silent to be forgotten: until then one may say something again, which is said once."""
        return now - max(self.days, 1.0) * 86_400 if self.days and now is not None else 0.0

    def oldest_seq(self, last: int) -> int:
        """The first number that may still be there in a room whose last one is given."""
        return max(1, last - self.messages + 1) if self.messages else 1


class Rule(NamedTuple):
    """Something that moderators decided and that outlives a restart: who (`subject`) is what (`kind`) in which room.

    `until` is a time in seconds since 1970, 0 for good; `by` says who decided so. What kinds there are is the chat's business.
    """

    room: str
    kind: str
    subject: str
    until: float
    by: str


class Broker(ABC):
    """The log of every room. Methods may be called from any thread.

    A room of which nothing has been kept for a day is forgotten when nobody subscribes to it. If something is said there again, its
    numbers go on above those of all rooms that were forgotten, so that a number never means two messages.
    """

    clock: Clock
    """By which the age of what is kept is judged."""

    epoch: str
    """Changes only if the log was lost: a number of another epoch means nothing in this one."""

    @abstractmethod
    def append(self, draft: Draft, author: Author) -> None:
        """Have this appended, and its author told. Waits only while far too much is waiting already. Raises HistoryUnavailable.

        What one thread appends to a room gets its numbers in that order.
        """

    @abstractmethod
    def read_since(self, room: str, seq: int, limit: int) -> list[Message]:
        """The first messages after this number, in order: so many at most, and no more than `MAX_TEXT_READ`, but one at least.

        Nothing is among them that was not handed on to the subscribers yet. A message that cannot be read is passed over: its
        number is missing. May read from a disk. Raises HistoryUnavailable.
        """

    @abstractmethod
    def read_before(self, room: str, seq: int | None, limit: int) -> list[Message]:
        """The last messages before this number (or of all), in order; otherwise as `read_since`."""

    @abstractmethod
    def subscribe(self, room: str, subscriber: Subscriber) -> int:
        """Have the subscriber get what is appended after the number that is returned, which is the room's last."""

    @abstractmethod
    def unsubscribe(self, room: str, subscriber: Subscriber) -> None:
        """The end of that. Something may still be on its way."""

    @abstractmethod
    def last_number(self, room: str) -> int:
        """Return the number of the last message of a room.

        0 if nothing was ever said there; after rooms were forgotten, the highest number that any of them had.
        """

    @abstractmethod
    def has_room(self, room: str) -> bool:
        """Return True if something was said in a room, and it is not forgotten."""

    @abstractmethod
    def count_rooms(self) -> int:
        """Return how many rooms there are in the sense of `has_room`."""

    @abstractmethod
    def rooms(self, after: str | None, limit: int) -> list[tuple[str, int]]:
        """Return the first of these rooms whose names come after this one, or of all, in order, and their last numbers.

        So many at most; it takes time for these only.
        """

    @abstractmethod
    def enter(self, room: str, member: str) -> bool:
        """Note that a member is in a room, perhaps once more; whether it was not there before."""

    @abstractmethod
    def leave(self, room: str, member: str) -> bool:
        """Undo one `enter`; whether it is not there any more."""

    @abstractmethod
    def count_members(self, room: str) -> int:
        """Return how many members are in a room."""

    @abstractmethod
    def members(self, room: str) -> list[str]:
        """Who is in a room, whoever came first first."""

    @abstractmethod
    def rules(self) -> list[Rule]:
        """All rules that were set and not lifted and can be read, also those whose time is over. Raises HistoryUnavailable."""

    @abstractmethod
    def set_rules(self, rules: Sequence[Rule]) -> None:
        """Set these, all or none, each in the place of another of its room, kind and subject.

        Durable on return, for which it may wait. Raises HistoryUnavailable.
        """

    @abstractmethod
    def lift_rules(self, rules: Sequence[Rule]) -> None:
        """Lift those of these rooms, kinds and subjects, all or none. As durable as `set_rules`."""

    @abstractmethod
    def check(self) -> int:
        """Return how many messages were found that cannot be read. Raises HistoryUnavailable if nothing can be made durable just now.

        May wait for a disk. What it found may be a second old: those who ask at the same time share it.
        """

    @abstractmethod
    def close(self) -> None:
        """Append what still waits, and let go of everything. Waits. Nothing may be called after that."""
