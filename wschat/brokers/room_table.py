"""The rooms and their subscribers, for brokers that serve one process: all of it is in memory."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Generic, TypeVar

from wschat.brokers.base import TOPIC, Message, MessageLog, Subscriber, Subscriptions
from wschat.brokers.callbacks import call_logged
from wschat.brokers.sorted_names import SortedNames
from wschat.counters import counters


class RoomEntry:
    """A room in a `RoomTable`, guarded by the lock of the table."""

    def __init__(self, last: int, *, has_log: bool = False, topic: Message | None = None) -> None:
        self.last = last
        """The number of the last message."""
        self.topic = topic
        """The entry that set the topic; None for no topic."""
        self.has_log = has_log
        """True if a message was ever appended. If not, the entry is removed with its last subscriber."""
        self.subscribers: list[Subscriber] = []


Room = TypeVar("Room", bound=RoomEntry)


class RoomTable(MessageLog, Subscriptions, Generic[Room]):
    """The last number, the topic and the subscribers of each room, and the rooms sorted by name. Leaves the messages to the broker."""

    def __init__(self) -> None:
        super().__init__()
        # Guards _rooms with their entries, and _floor. The locks of subscribers and of _names are acquired while it is held.
        self._rooms_lock = threading.Lock()
        self._rooms: dict[str, Room] = {}
        self._floor = 0  # the highest number of any forgotten room: numbers of a new room begin after it
        self._names = SortedNames()  # of the rooms with a log

    def _load_rooms(self, rooms: Iterable[tuple[str, Room]], floor: int) -> None:
        """Start with these rooms, all of which have a log. For the constructor of a broker."""
        self._rooms.update(rooms)
        self._floor = floor
        self._names = SortedNames(self._rooms)

    def subscribe(self, room: str, subscriber: Subscriber) -> int:
        with self._rooms_lock:
            entry = self._room(room)
            entry.subscribers.append(subscriber)
            return entry.last

    def unsubscribe(self, room: str, subscriber: Subscriber) -> None:
        with self._rooms_lock:
            entry = self._rooms[room]
            entry.subscribers.remove(subscriber)
            if not entry.has_log and not entry.subscribers:
                del self._rooms[room]

    def last_seq(self, room: str) -> int:
        with self._rooms_lock:
            entry = self._rooms.get(room)
            return entry.last if entry is not None else self._floor

    def topic(self, room: str) -> Message | None:
        with self._rooms_lock:
            entry = self._rooms.get(room)
            return entry.topic if entry is not None else None

    def has_room(self, room: str) -> bool:
        with self._rooms_lock:
            entry = self._rooms.get(room)
            return entry is not None and entry.has_log

    def count_rooms(self) -> int:
        return len(self._names)

    def rooms(self, after: str | None, limit: int) -> list[tuple[str, int]]:
        names = self._names.after(after, limit)
        # Without the lock, so that a long list does not delay those who append: each number is that of its moment.
        return [(name, entry.last) for name in names if (entry := self._rooms.get(name)) is not None]

    @abstractmethod
    def _new_room(self) -> Room:
        """Return the entry of a room that is not known yet. Called with _rooms_lock held."""

    def _room(self, name: str) -> Room:
        """Return the entry of a room, a new one if it is not known."""
        assert self._rooms_lock.locked()
        entry = self._rooms.get(name)
        if entry is None:
            entry = self._rooms[name] = self._new_room()
        return entry

    def _deliver(self, messages_of: Mapping[str, Sequence[Message]]) -> list[Subscriber]:
        """Give the next messages of some rooms to their subscribers. Return these, for `_flush`."""
        assert self._rooms_lock.locked()
        receivers: list[Subscriber] = []
        for name, messages in messages_of.items():
            entry = self._room(name)
            entry.last = messages[-1].seq
            for message in messages:
                if message.kind == TOPIC:
                    entry.topic = message if message.text else None
            if not entry.has_log:
                entry.has_log = True
                self._names.add(name)
            for subscriber in entry.subscribers:
                call_logged(subscriber.on_messages, messages)
            receivers += entry.subscribers
        counters.count_messages(sum(map(len, messages_of.values())))
        return receivers

    def _flush(self, receivers: Iterable[Subscriber]) -> None:
        """Let subscribers send what they got."""
        for subscriber in receivers:
            call_logged(subscriber.flush)

    def _forget_room(self, name: str) -> None:
        """Remove a room that has a log. Numbers of new rooms begin after its last one."""
        assert self._rooms_lock.locked()
        self._floor = max(self._floor, self._rooms.pop(name).last)
        self._names.remove(name)
