"""The broker that keeps the log and the rules in Redis or Valkey.

A message takes two ways. It is appended by the thread of `Appender`, and its number is known; then the thread of `Reader` gets it back,
with the messages of other nodes, and delivers all of them in order. Only after that, its publisher is told the number.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from redis.exceptions import RedisError

from wschat.brokers.base import Broker, Draft, Listener, Message, Publisher, Retention, Rule, Subscriber
from wschat.brokers.paging import page_of
from wschat.brokers.redis.announcer import Announcer
from wschat.brokers.redis.appender import Appender
from wschat.brokers.redis.clock import RedisClock
from wschat.brokers.redis.epoch import Epoch
from wschat.brokers.redis.following import NO_EVENT, FollowedRooms, RoomState
from wschat.brokers.redis.members import Members
from wschat.brokers.redis.reader import Reader
from wschat.brokers.redis.relay import RelayStream
from wschat.brokers.redis.room_log import TOPIC_FIELDS, message_of, read_messages, time_as_text, topic_of
from wschat.brokers.redis.rules import read_rules
from wschat.brokers.redis.server import CHECK_SECONDS, Server, unavailable
from wschat.brokers.write_queue import WriteQueue
from wschat.errors import UsageError
from wschat.forks import ForkAware

logger = logging.getLogger("wschat.brokers")

_Value = TypeVar("_Value")


class RedisBroker(ForkAware, Broker):
    """Keeps the log and the rules in Redis, by a URL. Raises UsageError if the server cannot be used, and HistoryUnavailable.

    Any number of processes, which are called nodes, may open the same log. A quiet room is forgotten if it has no members with a name,
    and no subscriber on the node that looks; its numbers go on above all others.
    """

    def __init__(self, url: str, retention: Retention | None = None) -> None:
        super().__init__()
        self._retention = retention or Retention()
        self._unreadable = 0
        with contextlib.ExitStack() as opened:
            self._server = opened.enter_context(contextlib.closing(Server(url)))
            self._keys = self._server.keys
            self.clock: RedisClock = RedisClock(self._ask(self._read_time))
            node = secrets.token_hex(8)
            self._members = Members(node)
            self._followed = FollowedRooms(self._load_with_members, self._has_message, self._members)
            self._relay = self._ask(lambda: RelayStream(self._server.client, self._keys, node))
            self._epoch = self._ask(lambda: Epoch(self._server, self._followed, self._set_epoch))
            try:
                self._announcer = opened.enter_context(contextlib.closing(Announcer(self._server, node, self._members)))
                self._reader = opened.enter_context(
                    contextlib.closing(Reader(self._server, node, self._followed, self._epoch, self._relay))
                )
                self._appender = Appender(self._server, node, self._retention, self._followed, self.clock, self._epoch, self._reader)
            except OSError as error:
                raise UsageError(f"cannot keep a history in {self._server.url}: {error.strerror}") from None
            opened.pop_all()
        self._watch_forks()

    def check(self) -> int:
        self._appender.queue.run_check(lambda: self._server.client.set(self._keys.check, 1, ex=CHECK_SECONDS))
        return self._unreadable

    def close(self) -> None:
        if self._is_inherited or sys.is_finalizing():
            return  # the threads do not run any more; acknowledged messages are in Redis
        self._appender.close()
        self._reader.close()
        self._announcer.close()
        self._server.close()

    def _leave_to_parent(self) -> None:
        super()._leave_to_parent()
        self._appender.queue = WriteQueue()  # whose lock no other thread has
        self._appender.queue.close()

    # The log

    def append(self, draft: Draft, publisher: Publisher) -> None:
        self._appender.queue.put(draft, publisher)

    def read_since(self, room: str, seq: int, limit: int) -> list[Message]:
        return self._read(room, seq + 1, None, limit, is_backward=False)

    def read_before(self, room: str, seq: int | None, limit: int) -> list[Message]:
        return self._read(room, 1, None if seq is None else seq - 1, limit, is_backward=True)[::-1]

    def _read(self, room: str, first: int, last: int | None, limit: int, *, is_backward: bool) -> list[Message]:
        top = self.last_seq(room)  # not beyond the last delivered message
        first, last = max(first, self._retention.oldest_seq(top)), top if last is None else min(last, top)
        if first > last or limit < 1:
            return []
        oldest_time = self._retention.oldest_time(self.clock.relied_on())
        execute, key = self._server.client.execute_command, self._keys.of_room(room).log
        found = read_messages(execute, key, room, first, last, oldest_time, is_backward=is_backward)
        return self._ask(lambda: page_of(self._readable(found), limit))

    def _readable(self, found: Any) -> Any:
        for message in found:
            if message is not None:
                yield message
            else:
                self._unreadable += 1

    def last_seq(self, room: str) -> int:
        return self._state(room).last

    def topic(self, room: str) -> Message | None:
        return self._state(room).topic

    def has_room(self, room: str) -> bool:
        has_log = self._followed.has_log(room)
        return self._state(room).exists if has_log is None else has_log

    def count_rooms(self) -> int:
        return self._ask(lambda: int(self._server.client.zcard(self._keys.rooms)))

    def rooms(self, after: str | None, limit: int) -> list[tuple[str, int]]:
        found: list[tuple[str, int]] = []
        while len(found) < limit:
            names = self._ask(partial(self._server.room_names, self._server.client, after, limit - len(found)))
            if not names:
                break
            found += [(name, last) for name, last in zip(names, self._last_numbers(names), strict=True) if last is not None]
            after = names[-1]
        return found

    def _last_numbers(self, names: Sequence[str]) -> list[int | None]:
        """Return the last number of each room; None if it does not exist."""
        with self._server.client.pipeline(transaction=False) as pipeline:
            for name in names:
                pipeline.hget(self._keys.of_room(name).room, "last")
            return [None if last is None else int(last) for last in self._ask(pipeline.execute)]

    # Subscriptions

    def subscribe(self, room: str, subscriber: Subscriber) -> int:
        last, is_new = self._ask(lambda: self._followed.subscribe(room, subscriber))
        if is_new:
            try:
                self._reader.wake()
            except RedisError as error:  # the reader looks again by itself, a few seconds later
                logger.warning("%s does not answer: %s", self._server.url, error)
        return last

    def unsubscribe(self, room: str, subscriber: Subscriber) -> None:
        self._followed.unsubscribe(room, subscriber)

    # Presence

    def add_member(self, room: str, member: str) -> bool:
        return self._members.add_member(room, member)

    def remove_member(self, room: str, member: str) -> bool:
        return self._members.remove_member(room, member)

    def count_members(self, room: str) -> int:
        return self._members.count_members(room)

    def members(self, room: str) -> list[str]:
        return self._members.members(room)

    # Rules

    def rules(self) -> list[Rule]:
        return self._ask(lambda: read_rules(self._server.client, self._keys.rules))

    def set_rules(self, rules: Sequence[Rule]) -> None:
        self._ask(lambda: self._relay.change_rules(rules, []))

    def delete_rules(self, rules: Sequence[Rule]) -> None:
        self._ask(lambda: self._relay.change_rules([], rules))

    # Relay

    def listen(self, listener: Listener) -> None:
        self._relay.listen(listener)

    def tell(self, text: str) -> None:
        self._ask(lambda: self._relay.tell(text))

    # Asking Redis

    def _state(self, room: str) -> RoomState:
        """Return the state of a room: of one that is followed, as far as it was delivered, without asking."""
        return self._followed.state(room) or self._ask(lambda: self._load(room))

    def _load(self, room: str) -> RoomState:
        """Return the state of a room, which is one after the forgotten ones if it does not exist. Raises RedisError."""
        with self._server.client.pipeline(transaction=False) as pipeline:
            pipeline.hmget(self._keys.of_room(room).room, "last", "time", *TOPIC_FIELDS)
            pipeline.get(self._keys.floor)
            (last, time, *topic), floor = pipeline.execute()
        exists = last is not None
        last_time = float(time) if exists and time is not None else None
        return RoomState(int(last if exists else floor or 0), topic_of(room, topic), exists, last_time=last_time)

    def _load_with_members(self, room: str) -> RoomState:
        state, keys = self._load(room), self._keys.of_room(room)
        with self._server.client.pipeline() as pipeline:
            pipeline.hkeys(keys.members)
            pipeline.xrevrange(keys.events, count=1)
            fields, newest = pipeline.execute()
        members = [(node, name) for node, _, name in (field.decode().partition(" ") for field in fields)]
        return state._replace(members=members, last_event=newest[0][0] if newest else NO_EVENT)

    def _has_message(self, room: str, seq: int, time: float) -> bool:
        """Return True if the message of a number has this time, or is not kept. Raises RedisError."""
        entries: Any = self._server.client.xrange(self._keys.of_room(room).log, f"{seq}-0", f"{seq}-0")
        message = message_of(room, entries[0]) if entries else None
        return message is None or time_as_text(message.time) == time_as_text(time)

    def _read_time(self) -> float:
        seconds, microseconds = self._server.client.time()
        return float(seconds + microseconds / 1e6)

    def _set_epoch(self, value: str) -> None:
        self.epoch = value

    def _ask(self, question: Callable[[], _Value]) -> _Value:
        """Call a function that asks Redis. Raises HistoryUnavailable."""
        with unavailable(self._server.url):
            return question()
