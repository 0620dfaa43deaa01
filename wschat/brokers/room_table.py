"""What is known of each room without asking a disk, for brokers that have it all in one process."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Generic, TypeVar

from wschat.brokers.base import Subscriber
from wschat.brokers.sorted_names import SortedNames


class KnownRoom:
    """The last number of a room, and who is to get what is appended. Under the lock of the broker."""

    def __init__(self, last: int, *, is_spoken_in: bool = False) -> None:
        self.last = last
        self.is_spoken_in = is_spoken_in
        """Something was ever appended to it; else it is known only as long as it has subscribers."""
        self.subscribers: list[Subscriber] = []


Room = TypeVar("Room", bound=KnownRoom)


class RoomTable(ABC, Generic[Room]):
    """The part of a broker that knows the rooms. From any thread."""

    def __init__(self) -> None:
        # Guards all below; the locks of subscribers and of the names are taken while it is held.
        self._log_guard = threading.Lock()
        self._rooms: dict[str, Room] = {}
        self._floor = 0  # the number after which those of a new room begin
        self._names = SortedNames()  # of the rooms that were spoken in

    def know(self, rooms: Iterable[tuple[str, Room]], floor: int) -> None:
        """Begin with these rooms, which were all spoken in. For the constructor of a broker."""
        self._rooms.update(rooms)
        self._floor = floor
        self._names = SortedNames(self._rooms)

    def subscribe(self, room: str, subscriber: Subscriber) -> int:
        """See `Broker.subscribe`."""
        with self._log_guard:
            known = self._room(room)
            known.subscribers.append(subscriber)
            return known.last

    def unsubscribe(self, room: str, subscriber: Subscriber) -> None:
        """See `Broker.unsubscribe`."""
        with self._log_guard:
            known = self._rooms[room]
            known.subscribers.remove(subscriber)
            if not known.is_spoken_in and not known.subscribers:
                del self._rooms[room]

    def last_number(self, room: str) -> int:
        """See `Broker.last_number`."""
        with self._log_guard:
            known = self._rooms.get(room)
            return known.last if known is not None else self._floor

    def has_room(self, room: str) -> bool:
        """See `Broker.has_room`."""
        with self._log_guard:
            known = self._rooms.get(room)
            return known is not None and known.is_spoken_in

    def count_rooms(self) -> int:
        """See `Broker.count_rooms`."""
        return len(self._names)

    def rooms(self, after: str | None, limit: int) -> list[tuple[str, int]]:
        """See `Broker.rooms`."""
        names = self._names.after(after, limit)
        # One number after the other, each as it is just now: who appends does not wait for those who list.
        return [(name, known.last) for name in names if (known := self._rooms.get(name)) is not None]

    # All below: with the lock held.

    @abstractmethod
    def _new_room(self) -> Room:
        """Make a room that nothing is known of yet."""

    def _room(self, name: str) -> Room:
        """Return a room, which is made if it is not known."""
        known = self._rooms.get(name)
        if known is None:
            known = self._rooms[name] = self._new_room()
        return known

    def _note_spoken(self, name: str, room: Room) -> bool:
        """Something has been appended to this room. Return True if it is the first time."""
        if room.is_spoken_in:
            return False
        room.is_spoken_in = True
        self._names.add(name)
        return True
