"""The log in memory: gone with the process. What is appended is there at once, so nobody ever waits for anything."""

from __future__ import annotations

import secrets
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
    digest_of,
    hand_on,
    rejected_key,
    within_bounds,
)
from wschat.brokers.clock import UNSET, Clock
from wschat.brokers.presence import Presence
from wschat.brokers.room_table import KnownRoom, RoomTable
from wschat.counters import counters

_seq = attrgetter("seq")
_ROOMS_AT_ONCE = 20  # are looked at when a room is made


class _Room(KnownRoom):
    """The log of one room; under the broker's lock."""

    def __init__(self, retention: Retention, floor: int) -> None:
        super().__init__(floor)
        self.time = 0.0  # of the last message
        self.messages: deque[Message] = deque(maxlen=retention.messages or None)
        self.keys: dict[str, tuple[int, bytes]] = {}  # the number, and the digest of the text

    def append(self, draft: Draft, now: float) -> Result:
        known = self.keys.get(draft.key) if draft.key is not None else None
        if known is not None:
            return Known(known[0]) if known[1] == digest_of(draft.text) else rejected_key()
        self.last += 1
        self.time = now
        counters.count_messages(1)
        message = Message(draft.room, self.last, draft.sender, draft.text, now)
        self.messages.append(message)
        if draft.key is not None:
            self.keys[draft.key] = (self.last, digest_of(draft.text))
            if len(self.keys) > KEYS_KEPT:
                del self.keys[next(iter(self.keys))]
        for subscriber in self.subscribers:
            hand_on(subscriber.take, [message])
        return self.last


class MemoryBroker(RoomTable[_Room], Presence, Broker):
    """Keeps what `retention` says in memory; with `keeps_messages` off it only counts."""

    def __init__(self, retention: Retention | None = None, *, keeps_messages: bool = True) -> None:
        RoomTable.__init__(self)
        Presence.__init__(self)
        self.epoch = secrets.token_hex(8)
        self.clock = Clock()
        self._retention = retention or Retention()
        self._keeps_messages = keeps_messages
        self._rules: dict[tuple[str, str, str], Rule] = {}  # guarded by the lock of the rooms

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

    def count_rooms(self) -> int:
        with self._log_guard:
            self._forget_some()
        return super().count_rooms()

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

    def _new_room(self) -> _Room:
        return _Room(self._retention, self._floor)

    def _note_spoken(self, name: str, room: _Room) -> bool:
        self._rooms[name] = self._rooms.pop(name)  # those that have been quiet for the longest are first
        is_new = super()._note_spoken(name, room)
        if is_new:
            self._forget_some()
        return is_new

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
