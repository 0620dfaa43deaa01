"""The log in memory: gone with the process. What is appended is there at once, so nobody ever waits for anything."""

from __future__ import annotations

import secrets
import threading
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Sequence
from itertools import islice
from operator import attrgetter

from wschat.brokers.base import (
    KEYS_KEPT,
    Author,
    Broker,
    Draft,
    Known,
    Message,
    Result,
    Retention,
    Rule,
    Subscriber,
    digest_of,
    hand_on,
    rejected_key,
    within_bounds,
)
from wschat.brokers.clock import UNSET, Clock
from wschat.brokers.presence import Presence
from wschat.brokers.sorted_names import SortedNames
from wschat.figures import tally

_seq = attrgetter("seq")
_ROOMS_AT_ONCE = 20  # are looked at when a room is made


class _Room:
    """The log of one room; under the broker's lock."""

    def __init__(self, retention: Retention, floor: int) -> None:
        self.last = floor
        self.is_spoken_in = False
        self.time = 0.0  # of the last message
        self.messages: deque[Message] = deque(maxlen=retention.messages or None)
        self.keys: dict[str, tuple[int, bytes]] = {}  # the number, and the digest of the text
        self.subscribers: list[Subscriber] = []

    def append(self, draft: Draft, now: float) -> Result:
        known = self.keys.get(draft.key) if draft.key is not None else None
        if known is not None:
            return Known(known[0]) if known[1] == digest_of(draft.text) else rejected_key()
        self.last += 1
        self.time = now
        tally.count_messages(1)
        message = Message(draft.room, self.last, draft.sender, draft.text, now)
        self.messages.append(message)
        if draft.key is not None:
            self.keys[draft.key] = (self.last, digest_of(draft.text))
            if len(self.keys) > KEYS_KEPT:
                del self.keys[next(iter(self.keys))]
        for subscriber in self.subscribers:
            hand_on(subscriber.take, [message])
        return self.last


class MemoryBroker(Presence, Broker):
    """Keeps what `retention` says in memory; with `keeps_messages` off it only counts."""

    def __init__(self, retention: Retention | None = None, *, keeps_messages: bool = True) -> None:
        super().__init__()
        self.epoch = secrets.token_hex(8)
        self.clock = Clock()
        self._retention = retention or Retention()
        self._keeps_messages = keeps_messages
        # Guards all below; the locks of subscribers and of the names are taken while it is held.
        self._log_guard = threading.Lock()
        self._rooms: dict[str, _Room] = {}
        self._floor = 0
        self._names = SortedNames()  # of the rooms that were spoken in
        self._rules: dict[tuple[str, str, str], Rule] = {}

    def append(self, draft: Draft, author: Author) -> None:
        with self._log_guard:
            room = self._room(draft.room)
            result = room.append(draft, self.clock.time_after(room.time))
            self._note_spoken(draft.room, room)
            if not self._keeps_messages:
                room.messages.clear()
            subscribers = tuple(room.subscribers)
        for subscriber in subscribers:
            hand_on(subscriber.flush)
        hand_on(author.settled, [(draft, result)])

    def read_since(self, room: str, seq: int, limit: int) -> list[Message]:
        with self._log_guard:
            messages = self._kept(room)
            return within_bounds(messages[bisect_right(messages, seq, key=_seq) :], limit)

    def read_before(self, room: str, seq: int | None, limit: int) -> list[Message]:
        with self._log_guard:
            messages = self._kept(room)
            end = len(messages) if seq is None else bisect_left(messages, seq, key=_seq)
            return within_bounds(reversed(messages[:end]), limit)[::-1]

    def subscribe(self, room: str, subscriber: Subscriber) -> int:
        with self._log_guard:
            self._room(room).subscribers.append(subscriber)
            return self._room(room).last

    def unsubscribe(self, room: str, subscriber: Subscriber) -> None:
        with self._log_guard:
            known = self._rooms[room]
            known.subscribers.remove(subscriber)
            if not known.is_spoken_in and not known.subscribers:
                del self._rooms[room]  # nothing was ever said there

    def last_number(self, room: str) -> int:
        with self._log_guard:
            known = self._rooms.get(room)
            return known.last if known is not None else self._floor

    def has_room(self, room: str) -> bool:
        with self._log_guard:
            known = self._rooms.get(room)
            return known is not None and known.is_spoken_in

    def count_rooms(self) -> int:
        with self._log_guard:
            self._forget_some()
        return len(self._names)

    def rooms(self, after: str | None, limit: int) -> list[tuple[str, int]]:
        names = self._names.after(after, limit)
        # One number after the other, each as it is just now: who appends does not wait for those who list.
        return [(name, known.last) for name in names if (known := self._rooms.get(name)) is not None]

    def rules(self) -> list[Rule]:
        with self._log_guard:
            return list(self._rules.values())

    def set_rules(self, rules: Sequence[Rule]) -> None:
        with self._log_guard:
            self._rules.update((rule[:3], rule) for rule in rules)

    def lift_rules(self, rules: Sequence[Rule]) -> None:
        with self._log_guard:
            for rule in rules:
                self._rules.pop(rule[:3], None)

    def check(self) -> int:
        return 0

    def close(self) -> None:
        pass

    # All below: with the lock held.

    def _room(self, name: str) -> _Room:
        if name not in self._rooms:
            self._rooms[name] = _Room(self._retention, self._floor)
        return self._rooms[name]

    def _note_spoken(self, name: str, room: _Room) -> None:
        self._rooms[name] = self._rooms.pop(name)  # those that have been quiet for the longest are first
        if not room.is_spoken_in:
            room.is_spoken_in = True
            self._names.add(name)
            self._forget_some()

    def _forget_some(self) -> None:
        """Forget rooms that have been quiet for long."""
        quiet_time = self._retention.quiet_time(self.clock.relied_on())
        for name, room in list(islice(self._rooms.items(), _ROOMS_AT_ONCE)):
            if room.is_spoken_in and room.time >= quiet_time:
                return
            if not room.is_spoken_in or room.subscribers or room.time < UNSET:
                self._rooms[name] = self._rooms.pop(name)  # to look at others the next time
            else:
                self._floor = max(self._floor, room.last)
                self._names.remove(name)
                del self._rooms[name]

    def _kept(self, name: str) -> list[Message]:
        room = self._rooms.get(name)
        if room is None:
            return []
        oldest = self._retention.oldest_time(self.clock.relied_on())
        while room.messages and UNSET <= room.messages[0].time < oldest:
            room.messages.popleft()
        return [message for message in room.messages if not UNSET <= message.time < oldest]
