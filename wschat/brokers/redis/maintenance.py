"""Forgetting rooms of which nothing is kept any more, by one node at a time. In steps, between two batches of messages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from wschat.brokers.base import Retention
from wschat.brokers.redis.clock import RedisClock
from wschat.brokers.redis.following import FollowedRooms
from wschat.brokers.redis.scripts import FORGET, RAISE_FLOOR
from wschat.brokers.redis.server import Server

INTERVAL = 3600.0
"""Seconds between two rounds."""
_MAX_ROOMS = 200  # of one step
# A node that has begun a round does all rounds, until it has missed one.
_TURN_SECONDS = 2 * int(INTERVAL)


class Maintenance:
    """The maintenance of one node. Only for the thread of its appender."""

    def __init__(self, server: Server, node: str, retention: Retention, followed: FollowedRooms, clock: RedisClock) -> None:
        self._server = server
        self._node = node
        self._retention = retention
        self._followed = followed
        self._clock = clock
        self._raise_floor = server.appender_client.register_script(RAISE_FLOOR)
        self._forget = server.appender_client.register_script(FORGET)

    def steps(self) -> Iterator[float]:
        """Yield the seconds to wait before the next step, each time. Raises RedisError, and must be called anew then."""
        while True:
            yield INTERVAL
            after: str | None = None
            while self._is_my_turn() and (names := self._server.room_names(self._server.appender_client, after, _MAX_ROOMS)):
                self._forget_quiet(names)
                after = names[-1]
                yield 0.0

    def _is_my_turn(self) -> bool:
        key = self._server.keys.maintenance
        self._server.appender_client.set(key, self._node, nx=True, ex=_TURN_SECONDS)
        owner: Any = self._server.appender_client.get(key)
        if owner is None or owner.decode() != self._node:
            return False
        self._server.appender_client.expire(key, _TURN_SECONDS)
        return True

    def _forget_quiet(self, names: Sequence[str]) -> None:
        quiet_time = self._retention.quiet_time(self._clock.relied_on())
        with self._server.appender_client.pipeline(transaction=False) as pipeline:
            for name in names:
                pipeline.hmget(self._server.keys.of_room(name).room, "last", "time")
            found = pipeline.execute()
        for name, (last, time) in zip(names, found, strict=True):
            if last is None:
                self._remove_name(name)
            elif float(time) < quiet_time and self._followed.state(name) is None:
                self._forget_room(name, int(last))

    def _forget_room(self, name: str, last: int) -> None:
        keys = self._server.keys
        # First, so that a room of this name that is made at once has higher numbers.
        self._raise_floor(keys=[keys.floor], args=[last])
        room = keys.of_room(name)
        if self._forget(keys=[room.members, room.room, room.log, room.keys, room.key_order], args=[last]):
            self._remove_name(name)

    def _remove_name(self, name: str) -> None:
        """Remove a name from the list of rooms. Who makes the room again adds it before and after."""
        client, keys = self._server.appender_client, self._server.keys
        client.zrem(keys.rooms, name)
        if client.exists(keys.of_room(name).room):
            client.zadd(keys.rooms, {name: 0})
