"""The one thread of a node that reads new messages: it waits in Redis for all rooms that have subscribers here."""

from __future__ import annotations

import contextlib
import logging
import threading
from time import monotonic
from typing import Any

from redis.exceptions import RedisError

from wschat.brokers.redis.following import FollowedRooms
from wschat.brokers.redis.room_log import Execute, message_of, seq_of
from wschat.brokers.redis.server import BLOCK_SECONDS, Server
from wschat.daemons import start_daemon

logger = logging.getLogger("wschat.brokers")

# The most messages of each room in one read.
_MAX_MESSAGES = 250
# Seconds between two attempts while Redis cannot be reached.
_PAUSE = 0.2
# `close` waits at most this many seconds for messages whose publishers wait for their results.
_CLOSE_TIMEOUT = 5.0
# A wake-up stream is deleted after this many seconds without one. A node that is gone leaves nothing behind.
_WAKE_UP_SECONDS = 60


class Reader:
    """Reads the rooms that `followed` has, and delivers what it reads. Raises OSError if no thread can be started."""

    def __init__(self, server: Server, node: str, followed: FollowedRooms) -> None:
        self._server = server
        self._followed = followed
        self._wake_key = server.keys.wake_up(node)
        self._woken_by = b"0-0"  # the id of the last wake-up
        self._changes = -1
        self._positions: dict[bytes, int] = {}  # the last delivered number, by key
        self._rooms: dict[bytes, str] = {}  # the rooms of these keys
        self._give_up_at: float | None = None  # set by `close`
        self._is_closing = threading.Event()
        self._execute: Execute = server.reader_client.execute_command
        self._thread = start_daemon(self._run, "wschat-redis-reader")

    def wake(self) -> None:
        """Have the reader look at the rooms to follow. Raises RedisError."""
        with self._server.client.pipeline(transaction=False) as pipeline:
            pipeline.xadd(self._wake_key, {"": ""}, maxlen=1, approximate=False)
            pipeline.expire(self._wake_key, _WAKE_UP_SECONDS)
            pipeline.execute()

    def close(self) -> None:
        """Deliver what publishers wait for, if Redis can be reached, and end the thread. Waits."""
        self._give_up_at = monotonic() + _CLOSE_TIMEOUT
        self._is_closing.set()
        with contextlib.suppress(RedisError):  # then the thread's own call fails, too
            self.wake()
        self._thread.join()

    def _run(self) -> None:
        has_failed = False
        while not self._may_end():
            try:
                self._read()
                if has_failed:
                    logger.warning("%s can be read again", self._server.url)
                has_failed = False
            except RedisError as error:
                if not has_failed:
                    logger.error("%s cannot be read: %s", self._server.url, error)
                has_failed = True
                self._pause()

    def _pause(self) -> None:
        """Wait before the next attempt: until `close` at most, and while that waits, all the same."""
        is_closing = self._is_closing.is_set()
        (threading.Event() if is_closing else self._is_closing).wait(_PAUSE)

    def _may_end(self) -> bool:
        give_up_at = self._give_up_at
        return give_up_at is not None and (monotonic() >= give_up_at or not self._followed.has_reports())

    def _read(self) -> None:
        """Wait for messages, and deliver them."""
        self._update_positions()
        keys = [self._wake_key, *self._positions]
        ids = [self._woken_by, *(f"{last}-0" for last in self._positions.values())]
        block = int(BLOCK_SECONDS * 1000) if self._give_up_at is None else 100
        found: Any = self._execute("XREAD", "COUNT", _MAX_MESSAGES, "BLOCK", block, "STREAMS", *keys, *ids)
        for key, entries in found or ():
            room = self._rooms.get(key)
            if room is None:
                self._woken_by = entries[-1][0]
            else:
                messages = [message for entry in entries if (message := message_of(room, entry)) is not None]
                self._positions[key] = self._followed.deliver(room, seq_of(entries[-1][0]), messages)

    def _update_positions(self) -> None:
        changes, positions = self._followed.positions(self._changes)
        if positions is not None:
            keys = {name: self._server.keys.of_room(name).log.encode() for name in positions}
            self._rooms = {key: name for name, key in keys.items()}
            self._positions = {keys[name]: last for name, last in positions.items()}
            self._changes = changes
