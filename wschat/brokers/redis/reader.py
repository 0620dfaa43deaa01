"""The one thread of a node that reads new messages: it waits in Redis for all rooms that have subscribers here."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Any

from redis.exceptions import ConnectionError as NotConnected
from redis.exceptions import RedisError

from wschat.brokers.redis.epoch import Epoch
from wschat.brokers.redis.following import NO_EVENT, FollowedRooms
from wschat.brokers.redis.relay import RelayStream
from wschat.brokers.redis.room_log import Execute, member_event_of, message_of, seq_of
from wschat.brokers.redis.server import BLOCK_SECONDS, Server
from wschat.daemons import start_daemon

logger = logging.getLogger("wschat.brokers")

# The most entries of each stream in one read.
_MAX_ENTRIES = 250
# Seconds between two attempts while Redis cannot be reached.
_PAUSE = 0.2
# While Redis cannot be read, publishers wait this many seconds for the delivery of what they have appended.
_REPORT_TIMEOUT = 10.0
# `close` waits at most this many seconds for messages whose publishers wait for their results.
_CLOSE_TIMEOUT = 5.0
# A wake-up stream is deleted after this many seconds without one. A node that is gone leaves nothing behind.
_WAKE_UP_SECONDS = 60


class Reader:
    """Reads the rooms that `followed` has, and delivers what it reads. Raises OSError if no thread can be started."""

    def __init__(self, server: Server, node: str, followed: FollowedRooms, epoch: Epoch, relay: RelayStream) -> None:
        self._server = server
        self._epoch = epoch
        self._check_at = 0.0  # when to look for another epoch, by `monotonic`
        self._followed = followed
        self._wake_key = server.keys.wake_up(node).encode()
        self._relay = relay
        self._ids_of_node = {self._wake_key: NO_EVENT, relay.key: relay.begins_after}  # the last ids of streams that are no room's
        self._changes = -1
        self._losses = 0
        self._ids: dict[bytes, bytes] = {}  # the last id of each stream, by key
        self._streams: dict[bytes, Callable[[list[Any], bytes], None]] = {}  # what takes the entries, by key
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
        try:
            failing_since: float | None = None
            while not self._may_end():
                try:
                    if failing_since is not None:  # it may be another server now, or have lost messages
                        self._epoch.check_rooms()
                        logger.warning("%s can be read again", self._server.url)
                        failing_since = None
                    self._read()
                except Exception as error:  # of Redis, or of an entry that another program has written: the thread has to go on
                    if failing_since is None:
                        logger.error("%s cannot be read: %r", self._server.url, error)
                        failing_since = monotonic()
                    else:
                        if monotonic() - failing_since > _REPORT_TIMEOUT:
                            self._followed.abandon_reports()
                        self._pause()
        finally:
            self._followed.abandon_reports()

    def _pause(self) -> None:
        """Wait before the next attempt: until `close` at most, and while that waits, all the same."""
        is_closing = self._is_closing.is_set()
        (threading.Event() if is_closing else self._is_closing).wait(_PAUSE)

    def _may_end(self) -> bool:
        give_up_at = self._give_up_at
        return give_up_at is not None and (monotonic() >= give_up_at or not self._followed.has_reports())

    def _read(self) -> None:
        """Wait for messages, and deliver them."""
        if monotonic() >= self._check_at:
            self._epoch.check()
            self._check_at = monotonic() + BLOCK_SECONDS
        self._update_streams()
        block = int(BLOCK_SECONDS * 1000) if self._give_up_at is None else 100
        positions = self._ids_of_node | self._ids
        connections = self._server.reader_connections.count
        found: Any = self._execute("XREAD", "COUNT", _MAX_ENTRIES, "BLOCK", block, "STREAMS", *positions, *positions.values())
        if connections not in (0, self._server.reader_connections.count):
            raise NotConnected("the connection was lost")  # which redis-py has made anew, perhaps to another server
        for key, entries in found or ():
            if key in self._ids_of_node:
                self._ids_of_node[key] = entries[-1][0]
                if key == self._relay.key and self._relay.take(entries):
                    self._epoch.check()  # before anything of the new log is delivered
            else:
                before, self._ids[key] = self._ids[key], entries[-1][0]
                self._streams[key](entries, before)

    def _update_streams(self) -> None:
        """Follow the rooms that have subscribers now."""
        self._changes, self._losses, positions = self._followed.positions(self._changes)
        if positions is None:
            return
        self._ids, self._streams = {}, {}
        for room, position in positions.items():
            keys = self._server.keys.of_room(room)
            log, events = keys.log.encode(), keys.events.encode()
            self._ids |= {log: b"%d-0" % position.last, events: position.last_event}
            self._streams |= {log: partial(self._take_messages, room), events: partial(self._take_events, room)}

    def _take_messages(self, room: str, entries: list[Any], before: bytes) -> None:
        messages = [message for entry in entries if (message := message_of(room, entry)) is not None]
        self._followed.deliver(room, seq_of(entries[-1][0]), messages, self._losses)

    def _take_events(self, room: str, entries: list[Any], before: bytes) -> None:
        """Take changes of a room's members. `before` is the id of the last change that was taken."""
        changes = [member_event_of(entry) for entry in entries]
        events = [change.event for change in changes if change is not None]
        if len(events) == len(entries) and changes[0] is not None and changes[0].before == before:
            self._followed.deliver_members(room, events, entries[-1][0], self._losses)
        elif not self._followed.refresh([room]):  # changes are missing, or cannot be read
            self._epoch.check_rooms()
