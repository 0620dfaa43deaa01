"""A broker in forty lines, with only what every broker must implement. Its log is a list of messages for each room."""

from __future__ import annotations

import secrets
from collections import defaultdict

from wschat.brokers.base import Broker, Draft, Message, Publisher, Result, Subscriber
from wschat.brokers.callbacks import call_logged
from wschat.brokers.clock import Clock
from wschat.brokers.idempotency import KeyRecord
from wschat.brokers.paging import page_of
from wschat.brokers.presence import LocalPresence
from wschat.brokers.room_table import RoomEntry, RoomTable
from wschat.brokers.rules import LocalRules


class ToyBroker(RoomTable[RoomEntry], LocalPresence, LocalRules, Broker):
    def __init__(self) -> None:
        super().__init__()
        self.clock, self.epoch = Clock(), secrets.token_hex(8)
        self._logs: defaultdict[str, list[Message]] = defaultdict(list)  # guarded by _rooms_lock, as the next
        self._keys: dict[tuple[str, str | None], KeyRecord] = {}

    def append(self, draft: Draft, publisher: Publisher) -> None:
        receivers: list[Subscriber] = []
        with self._rooms_lock:
            record = self._keys.get((draft.room, draft.key))
            if record is not None:
                result: Result = record.result_for(draft)
            else:
                log = self._logs[draft.room]
                time = self.clock.time_after(log[-1].time if log else 0.0)
                log.append(Message(draft.room, result := len(log) + 1, draft.sender, draft.text, time, draft.kind))
                if draft.key is not None:
                    self._keys[draft.room, draft.key] = KeyRecord.of(result, draft)
                receivers = self._deliver({draft.room: log[-1:]})
        self._flush(receivers)
        call_logged(publisher.on_appended, [(draft, result)])

    def read_since(self, room: str, seq: int, limit: int) -> list[Message]:
        with self._rooms_lock:
            return page_of([message for message in self._logs[room] if message.seq > seq], limit)

    def read_before(self, room: str, seq: int | None, limit: int) -> list[Message]:
        with self._rooms_lock:
            return page_of([message for message in reversed(self._logs[room]) if seq is None or message.seq < seq], limit)[::-1]

    def check(self) -> int:
        return 0

    def close(self) -> None:
        pass

    def _new_room(self) -> RoomEntry:
        return RoomEntry(0)
