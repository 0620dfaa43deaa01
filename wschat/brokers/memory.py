"""The broker that keeps all in memory, until the process ends. A message is appended at once, so `append` never waits."""

from __future__ import annotations

import secrets
from bisect import bisect_left, bisect_right
from collections import deque
from itertools import islice
from operator import attrgetter

from wschat.brokers.base import Broker, Draft, Message, Publisher, Result, Retention, Subscriber
from wschat.brokers.callbacks import call_logged
from wschat.brokers.clock import UNSET, Clock
from wschat.brokers.idempotency import MAX_KEYS, KeyRecord
from wschat.brokers.paging import page_of
from wschat.brokers.presence import LocalPresence
from wschat.brokers.room_table import RoomEntry, RoomTable
from wschat.brokers.rules import LocalRules

_seq = attrgetter("seq")
_MAX_ROOMS_EXAMINED = 20  # each time a room is made or counted


class _Room(RoomEntry):
    """A room with its messages and its keys."""

    def __init__(self, last: int, max_messages: int | None) -> None:
        super().__init__(last)
        self.time = 0.0  # of the last message
        self.messages: deque[Message] = deque(maxlen=max_messages)
        self.keys: dict[str, KeyRecord] = {}

    def result_known(self, draft: Draft) -> Result | None:
        """Return the result of a draft whose key was used before; None if it has to be appended."""
        record = self.keys.get(draft.key) if draft.key is not None else None
        return record.result_for(draft) if record is not None else None

    def append(self, draft: Draft, time: float) -> Message:
        message = Message(draft.room, self.last + 1, draft.sender, draft.text, time, draft.kind)
        self.time = time
        self.messages.append(message)
        if draft.key is not None:
            self.keys[draft.key] = KeyRecord.of(message.seq, draft)
            if len(self.keys) > MAX_KEYS:
                del self.keys[next(iter(self.keys))]
        return message


class MemoryBroker(RoomTable[_Room], LocalPresence, LocalRules, Broker):
    """Keeps messages in memory as `retention` says, or none of them if `keeps_messages` is false: then it only numbers them."""

    def __init__(self, retention: Retention | None = None, *, keeps_messages: bool = True) -> None:
        super().__init__()
        self.epoch = secrets.token_hex(8)
        self.clock = Clock()
        self._retention = retention or Retention()
        self._max_messages = (self._retention.messages or None) if keeps_messages else 0

    def append(self, draft: Draft, publisher: Publisher) -> None:
        receivers: list[Subscriber] = []
        with self._rooms_lock:
            room = self._room(draft.room)
            result = room.result_known(draft)
            if result is None:
                message = room.append(draft, self.clock.time_after(room.time))
                result, is_new_room = message.seq, not room.has_log
                receivers = self._deliver({draft.room: [message]})
                self._move_to_end(draft.room)
                if is_new_room:
                    self._forget_quiet_rooms()
        self._flush(receivers)
        call_logged(publisher.on_appended, [(draft, result)])

    def read_since(self, room: str, seq: int, limit: int) -> list[Message]:
        with self._rooms_lock:
            messages = self._kept(room)
            return page_of(messages[bisect_right(messages, seq, key=_seq) :], limit)

    def read_before(self, room: str, seq: int | None, limit: int) -> list[Message]:
        with self._rooms_lock:
            messages = self._kept(room)
            end = len(messages) if seq is None else bisect_left(messages, seq, key=_seq)
            return page_of(reversed(messages[:end]), limit)[::-1]

    def count_rooms(self) -> int:
        with self._rooms_lock:
            self._forget_quiet_rooms()
        return super().count_rooms()

    def check(self) -> int:
        return 0

    def close(self) -> None:
        pass

    def _new_room(self) -> _Room:
        return _Room(self._floor, self._max_messages)

    def _move_to_end(self, name: str) -> None:
        """Keep the rooms that have been quiet for longest at the beginning of _rooms."""
        self._rooms[name] = self._rooms.pop(name)

    def _forget_quiet_rooms(self) -> None:
        """Examine a few of the rooms that have been quiet for longest, and forget those of which nothing has to be kept."""
        assert self._rooms_lock.locked()
        quiet_time = self._retention.quiet_time(self.clock.relied_on())
        for name, room in list(islice(self._rooms.items(), _MAX_ROOMS_EXAMINED)):
            if room.has_log and room.time >= quiet_time:
                return
            if not room.has_log or room.subscribers or room.time < UNSET:
                self._move_to_end(name)  # so that the next call examines others
            else:
                self._forget_room(name)

    def _kept(self, name: str) -> list[Message]:
        """Return the messages of a room that are young enough. Delete those at the beginning that are not."""
        assert self._rooms_lock.locked()
        room = self._rooms.get(name)
        if room is None:
            return []
        oldest_time = self._retention.oldest_time(self.clock.relied_on())
        while room.messages and UNSET <= room.messages[0].time < oldest_time:
            room.messages.popleft()
        return [message for message in room.messages if not UNSET <= message.time < oldest_time]
