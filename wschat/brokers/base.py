"""The contracts of a broker, and the records that pass through it.

A broker is a `MessageLog`, with `Subscriptions` to it, `Presence`, a `RuleStore` and a `Relay`. A message that is appended gets the next
number of its room and is made durable, together with all others that are waiting. Then the room's subscribers get it, and only then its
publisher is told its number. So nothing is delivered or acknowledged that a crash could take.

Room names are compared as they are written; which names are valid is not decided here. All methods may be called from any thread.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from wschat.brokers.clock import Clock
from wschat.errors import HistoryUnavailable, Rejected, UsageError

TOPIC = "topic"
"""The kind of an entry that sets the topic of its room, or ends it if its text is empty."""

_SECONDS_PER_DAY = 86_400


class Message(NamedTuple):
    """An entry of a room's log."""

    room: str
    """The name of the room."""
    seq: int
    """The number of the message in its room: 1, 2, 3, ..."""
    sender: str
    """The name of the sender."""
    text: str
    """The text as it was sent."""
    time: float
    """Seconds since 1970, never less than those of the message before."""
    kind: str = ""
    """What the entry is: empty for a text that was said, or `TOPIC`."""


class Draft(NamedTuple):
    """A message to be appended. Its strings can be encoded as UTF-8."""

    room: str
    """The name of the room, which is made if the broker does not know it."""
    sender: str
    """The name of the sender."""
    text: str
    """The text, of any length."""
    key: str | None = None
    """An idempotency key: a second draft of the room with this key is not appended.

    With the same text and kind, it results in the number of the first one; with another text or kind, in Rejected.
    """
    tag: object = None
    """Anything by which its publisher recognises the draft. It is not stored."""
    kind: str = ""
    """What the entry will be, as in `Message`."""


class Duplicate(int):
    """The number of a message that was appended before, by an earlier draft with the same key."""


Result = int | HistoryUnavailable | Rejected
"""The number of a message, or why it was not appended."""

Outcome = tuple[Draft, Result]
"""A draft and its result."""


@dataclass(frozen=True)
class Retention:
    """How much of each room's log is kept. Raises UsageError for negative values."""

    messages: int = 10_000
    """The most messages of a room; 0 for no limit."""
    days: float = 30.0
    """The greatest age of a message in days; 0 for no limit."""

    def __post_init__(self) -> None:
        if not (self.messages >= 0 and self.days >= 0):
            raise UsageError(f"messages and days to keep must be 0 (no limit) or more, not {self.messages} and {self.days}")

    def oldest_time(self, now: float | None) -> float:
        """Return the time before which messages are not kept; 0.0 if all are, or if the time is not known."""
        return now - self.days * _SECONDS_PER_DAY if self.days and now is not None else 0.0

    def quiet_time(self, now: float | None) -> float:
        """Return the time before which a room's last message must be for the room to be forgotten; 0.0 if none is.

        It is a day ago at least, because until then a client may send a message again, with its key.
        """
        return now - max(self.days, 1.0) * _SECONDS_PER_DAY if self.days and now is not None else 0.0

    def oldest_seq(self, last: int) -> int:
        """Return the lowest number that is kept in a room whose highest number is given."""
        return max(1, last - self.messages + 1) if self.messages else 1


class Rule(NamedTuple):
    """A moderator's decision, which outlives a restart. The chat gives the kinds their meaning.

    Room, kind and subject identify a rule.
    """

    room: str
    """The room in which it holds."""
    kind: str
    """What was decided, as "ban" or "mute"."""
    subject: str
    """Whom it is about: a name, or an address."""
    until: float
    """When it ends, in seconds since 1970; 0 for never."""
    by: str
    """The name of the moderator."""


class Publisher(Protocol):
    """The caller of `MessageLog.append`, to which results are reported."""

    def on_appended(self, outcomes: list[Outcome]) -> None:
        """Called once per draft, alone or with others, after the subscribers were called. From any thread; must not wait or append."""


class Subscriber(Protocol):
    """A receiver of the messages of a room."""

    def on_messages(self, messages: Sequence[Message]) -> None:
        """Called with the next messages of the room: durable, and in order. A lock of the broker is held: must not wait or append."""

    def on_members(self, joined: Sequence[str], left: Sequence[str]) -> None:
        """Called when members of other processes have entered or left the room. A lock of the broker is held: must not wait or append."""

    def on_lost(self, last: int, topic: Message | None) -> None:
        """Called when the log has lost messages, and has another `epoch`: these are its last number and its topic now.

        Otherwise like `on_messages`.
        """

    def flush(self) -> None:
        """Called after one of the others, to send what it got. No lock is held; must not wait or append."""


class MessageLog(ABC):
    """The messages of all rooms.

    A room is forgotten once none of its messages has been kept for a day, and it has no subscriber. If it is made again, its numbers
    go on above those of all forgotten rooms, so that a number never means two messages.
    """

    clock: Clock
    """The clock by which the age of messages is judged."""

    epoch: str
    """An identifier of this log, of letters and digits. It changes only if messages were lost: then their numbers are given again.

    If that happens while the broker is open, `Subscriber.on_lost` follows.
    """

    @abstractmethod
    def append(self, draft: Draft, publisher: Publisher) -> None:
        """Append a message, and report the result to the publisher.

        Messages that a thread appends to a room are numbered in that order. Waits only while the queue is full. Raises
        HistoryUnavailable.
        """

    @abstractmethod
    def read_since(self, room: str, seq: int, limit: int) -> list[Message]:
        """Return the first messages after a number, in order: `limit` at most, cut to one page (see `paging`).

        Returns only messages that the subscribers have got. Leaves out messages that cannot be read. May read from a disk. Raises
        HistoryUnavailable.
        """

    @abstractmethod
    def read_before(self, room: str, seq: int | None, limit: int) -> list[Message]:
        """Return the last messages before a number, or the last of all for None, in order. Otherwise like `read_since`."""

    @abstractmethod
    def last_seq(self, room: str) -> int:
        """Return the number of the last message of a room, kept or not.

        For an unknown room, it is the highest number of any forgotten room, or 0. May wait for a network, if the room has no subscriber
        here, as the next methods do. Raises HistoryUnavailable.
        """

    @abstractmethod
    def topic(self, room: str) -> Message | None:
        """Return the last entry of a room whose kind is `TOPIC`; None if there is none, or if its text is empty.

        Returns only an entry that the subscribers have got, and keeps it as long as the room, however old it is. Waits and raises as
        `last_seq`.
        """

    @abstractmethod
    def has_room(self, room: str) -> bool:
        """Return True if a message was appended to the room and the room is not forgotten. May wait. Raises HistoryUnavailable."""

    @abstractmethod
    def count_rooms(self) -> int:
        """Return the number of rooms for which `has_room` is true. May wait. Raises HistoryUnavailable."""

    @abstractmethod
    def rooms(self, after: str | None, limit: int) -> list[tuple[str, int]]:
        """Return names and last numbers of rooms for which `has_room` is true, sorted by name: `limit` at most.

        Starts with the first name that sorts after `after`, or the first of all for None. Takes time for the returned rooms only,
        and may wait. Raises HistoryUnavailable.
        """


class Subscriptions(ABC):
    """The subscribers of all rooms."""

    @abstractmethod
    def subscribe(self, room: str, subscriber: Subscriber) -> int:
        """Deliver all messages of a room to a subscriber from now on. Return the room's last number: the first message is the next one.

        May wait for a network. Raises HistoryUnavailable.
        """

    @abstractmethod
    def unsubscribe(self, room: str, subscriber: Subscriber) -> None:
        """Stop delivering messages of a room to a subscriber. Never waits. A delivery by another thread may still be in progress."""


class Presence(ABC):
    """The members of all rooms. A member may be in a room more than once, as with several connections. No method waits.

    Of a broker for several processes, the members in other processes are known of rooms that have a subscriber here, a moment later.
    """

    @abstractmethod
    def add_member(self, room: str, member: str) -> bool:
        """Add a member to a room once more. Return True if it was not in the room, in no process."""

    @abstractmethod
    def remove_member(self, room: str, member: str) -> bool:
        """Undo one `add_member`. Return True if the member is no longer in the room, in no process."""

    @abstractmethod
    def count_members(self, room: str) -> int:
        """Return the number of different members in a room."""

    @abstractmethod
    def members(self, room: str) -> list[str]:
        """Return the members of a room, in order of arrival."""


class RuleStore(ABC):
    """The rules of all rooms. Raises HistoryUnavailable."""

    @abstractmethod
    def rules(self) -> list[Rule]:
        """Return all stored rules that can be read, expired ones included."""

    @abstractmethod
    def set_rules(self, rules: Sequence[Rule]) -> None:
        """Store rules, all or none, replacing those of the same room, kind and subject. Durable on return; may wait for a disk."""

    @abstractmethod
    def delete_rules(self, rules: Sequence[Rule]) -> None:
        """Delete the rules of these rooms, kinds and subjects, all or none. Durable on return; may wait for a disk."""


class Listener(Protocol):
    """A receiver of what other processes of the chat tell. Called by a thread of the broker: must not wait."""

    def on_rules(self, changed: Sequence[Rule], deleted: Sequence[Rule]) -> None:
        """Called when another process has set or deleted rules."""

    def on_told(self, text: str) -> None:
        """Called with what another process has told."""


class Relay:
    """What the processes of a chat tell each other. Of a broker for one process, there is nobody to tell."""

    def listen(self, listener: Listener) -> None:
        """Call a listener from now on. For one listener."""

    def tell(self, text: str) -> None:
        """Tell all other processes of this moment. May wait for a network. Raises HistoryUnavailable."""


class Broker(MessageLog, Subscriptions, Presence, RuleStore, Relay):
    """All that the chat keeps, and how its processes know of each other."""

    @abstractmethod
    def check(self) -> int:
        """Return how many messages were found unreadable. Raises HistoryUnavailable if nothing can be made durable at present.

        May wait for a disk. The result may be a second old: concurrent callers share it.
        """

    @abstractmethod
    def close(self) -> None:
        """Append what is queued, then release all resources. Waits. No method may be called after it."""
