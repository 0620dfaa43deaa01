"""The one thread of a node that appends: it takes all messages that are queued, and sends those of a room as one batch.

A batch whose reply was lost is sent again with its id, and Redis answers with the results of the first time: see `scripts`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import count
from time import monotonic
from typing import Any

from redis import exceptions
from redis.exceptions import NoScriptError, RedisError

from wschat.brokers.base import Duplicate, Result, Retention
from wschat.brokers.callbacks import report_results
from wschat.brokers.idempotency import MAX_KEYS, KeyRecord, id_used
from wschat.brokers.redis.clock import RedisClock
from wschat.brokers.redis.epoch import Epoch
from wschat.brokers.redis.following import FollowedRooms, RoomState
from wschat.brokers.redis.maintenance import Maintenance
from wschat.brokers.redis.reader import Reader
from wschat.brokers.redis.room_log import time_as_text
from wschat.brokers.redis.scripts import APPEND, BEHIND, sha_of
from wschat.brokers.redis.server import Server
from wschat.brokers.write_queue import PendingAppend, WriteQueue
from wschat.counters import counters
from wschat.daemons import start_daemon
from wschat.errors import HistoryUnavailable

logger = logging.getLogger("wschat.brokers")

_SECONDS_PER_DAY = 86_400
# While Redis cannot be reached, a batch is sent again for this many seconds, with pauses: that is longer than one command may take.
_RETRY_SECONDS = 12.0
_PAUSE = 0.1

# What may pass: the connection was lost, Redis has just started, or has become a replica.
_TEMPORARY = (exceptions.ConnectionError, exceptions.TimeoutError, exceptions.BusyLoadingError, exceptions.ReadOnlyError)

_Rooms = dict[str, list[PendingAppend]]


class Appender:
    """Appends what is put into its queue. Raises OSError if no thread can be started."""

    def __init__(
        self, server: Server, node: str, retention: Retention, followed: FollowedRooms, clock: RedisClock, epoch: Epoch, reader: Reader
    ) -> None:
        self._server = server
        self._epoch = epoch
        self._reader = reader
        self._losses = 0  # before the batch was sent
        self._node = node
        self._limits = (retention.messages, int(retention.days * _SECONDS_PER_DAY), MAX_KEYS)
        self._followed = followed
        self._clock = clock
        self._batch_ids = count(1)
        self._has_failed = False
        self._is_closing = threading.Event()
        self._maintenance = Maintenance(server, node, retention, followed, clock)
        self.queue = WriteQueue()
        """The queue, to put messages and tasks in."""
        self._thread = start_daemon(self._run, "wschat-redis-appender")

    def close(self) -> None:
        """Append what is queued, and end the thread. Waits."""
        self.queue.close()
        self._is_closing.set()
        self._thread.join()

    def _run(self) -> None:
        steps = self._maintenance.steps()
        next_step_at = monotonic() + next(steps)
        while (work := self.queue.get(next_step_at)) is not None:
            for task in work.tasks:
                try:
                    task.run()
                except Exception as error:  # the thread has to go on
                    logger.error("%s cannot be written: %s", self._server.url, error)
            if work.batch:
                self._append_or_fail(work.batch)
            if monotonic() >= next_step_at:
                try:
                    next_step_at = monotonic() + next(steps)
                except Exception as error:  # the thread has to go on
                    logger.error("quiet rooms in %s cannot be forgotten: %s", self._server.url, error)
                    steps = self._maintenance.steps()
                    next_step_at = monotonic() + next(steps)

    def _append_or_fail(self, batch: Sequence[PendingAppend]) -> None:
        rooms: _Rooms = {}
        for pending in batch:
            rooms.setdefault(pending.draft.room, []).append(pending)
        try:
            self._append(rooms)
        except Exception as error:  # of a text that cannot be sent, say: the publishers wait for a result, and the thread has to go on
            self._fail(rooms, RedisError(repr(error)))

    def _append(self, rooms: _Rooms) -> None:
        """Append the batches of rooms, again and again while Redis cannot be reached. Remove from `rooms` those that have a result."""
        batch_id, give_up_at, pause = next(self._batch_ids), monotonic() + _RETRY_SECONDS, 0.0
        while rooms:
            failed = self._try_append(rooms, batch_id)
            if not failed:
                return
            if monotonic() >= give_up_at or self._is_closing.is_set():
                self._fail(rooms, failed)
                return
            self._is_closing.wait(pause)
            pause = _PAUSE  # not at first: only a connection may have been lost

    def _try_append(self, rooms: _Rooms, batch_id: int) -> RedisError | None:
        """Append the batches of rooms, and remove from `rooms` those that have a result.

        Return the error of those that may be sent again; None if there are none.
        """
        replies = self._send(rooms, batch_id, {})
        missing = [room for room, reply in replies.items() if reply is None]
        if missing:
            replies |= self._make_rooms({room: rooms[room] for room in missing}, batch_id)
        if any(_is_behind(reply) for reply in replies.values()):
            try:
                self._epoch.check_rooms()
                self._reader.wake()  # which waits for numbers that are given again
            except RedisError as error:
                return error
        temporary: RedisError | None = None
        for room, reply in replies.items():
            if isinstance(reply, _TEMPORARY) or _is_behind(reply):
                temporary = reply
            elif isinstance(reply, RedisError):
                self._fail({room: rooms.pop(room)}, reply)
            else:
                self._succeed(room, rooms.pop(room), reply)
        return temporary

    def _make_rooms(self, rooms: _Rooms, batch_id: int) -> Mapping[str, Any]:
        """Append the first messages of rooms. Their numbers begin after those of all forgotten rooms."""
        client, key = self._server.appender_client, self._server.keys
        names: Any = dict.fromkeys(rooms, 0)
        try:
            client.zadd(key.rooms, names)
            floor: Any = client.get(key.floor)
            replies = self._send(rooms, batch_id, dict.fromkeys(rooms, int(floor or 0)))
            client.zadd(key.rooms, names)  # again, if they were forgotten meanwhile
            return replies
        except RedisError as error:
            return dict.fromkeys(rooms, error)

    def _send(self, rooms: _Rooms, batch_id: int, floors: Mapping[str, int]) -> dict[str, Any]:
        """Send the batches of rooms. Return a reply or a RedisError for each."""
        try:
            return self._execute(rooms, batch_id, floors)
        except RedisError as error:
            return dict.fromkeys(rooms, error)

    def _execute(self, rooms: _Rooms, batch_id: int, floors: Mapping[str, int]) -> dict[str, Any]:
        self._losses, epoch, names = self._followed.losses, self._epoch.value, self._server.keys
        with self._server.appender_client.pipeline(transaction=False) as pipeline:
            for room, pending in rooms.items():
                keys = (*names.of_room(room)[:4], names.batch(room, self._node), names.epoch)
                known = (batch_id, floors.get(room, ""), epoch, *_last_of(self._followed.state(room)))
                arguments = [*known, *self._limits, *_arguments_of(pending)]
                pipeline.evalsha(sha_of(APPEND), len(keys), *keys, *arguments)
            replies = dict(zip(rooms, pipeline.execute(raise_on_error=False), strict=True))
        if any(isinstance(reply, NoScriptError) for reply in replies.values()):
            self._server.appender_client.script_load(APPEND)
            again = {room: rooms[room] for room, reply in replies.items() if isinstance(reply, NoScriptError)}
            replies |= self._execute(again, batch_id, floors)
        return replies

    def _succeed(self, room: str, pending: Sequence[PendingAppend], reply: Sequence[Any]) -> None:
        if self._has_failed:
            logger.warning("messages are kept in %s again", self._server.url)
        self._has_failed = False
        time, *numbers = reply
        self._clock.set(float(time))
        counters.count_messages(sum(number > 0 for number in numbers))
        self._followed.report_after(room, max(map(abs, numbers)), partial(_report_numbers, pending, numbers), self._losses)

    def _fail(self, rooms: _Rooms, error: RedisError) -> None:
        if not self._has_failed:  # not for each message of an outage
            logger.error("messages cannot be kept in %s: %s", self._server.url, error)
        self._has_failed = True
        unavailable = HistoryUnavailable(f"the history cannot be written: {error}")
        self._followed.report([partial(_report_all, pending, unavailable) for pending in rooms.values()], is_delivered=False)


def _arguments_of(pending: Sequence[PendingAppend]) -> list[str | bytes]:
    arguments: list[str | bytes] = []
    for draft, _ in pending:
        key, digest = ("", b"") if draft.key is None else (f"k{draft.key}", KeyRecord.of(0, draft).digest)
        arguments += [key, digest, draft.sender, draft.text, draft.kind]
    return arguments


def _is_behind(reply: object) -> bool:
    return isinstance(reply, RedisError) and str(reply).startswith(BEHIND)


def _last_of(room: RoomState | None) -> tuple[int, str]:
    """Return the number and the time of the last message that was delivered, as the script takes them."""
    if room is None:
        return 0, ""
    return room.last, "" if room.last_time is None else time_as_text(room.last_time)


def _report_numbers(pending: Sequence[PendingAppend], numbers: Sequence[int], is_delivered: bool) -> None:
    """Report the numbers of messages to their publishers, or that it is not known if they are in the log."""
    unknown = HistoryUnavailable("the history cannot be read, and may have lost the message")
    _report(pending, [_result_of(number) if is_delivered else unknown for number in numbers])


def _report_all(pending: Sequence[PendingAppend], result: Result, _is_delivered: bool) -> None:
    """Report one result for all messages."""
    _report(pending, [result] * len(pending))


def _result_of(number: int) -> Result:
    return number if number > 0 else Duplicate(-number) if number else id_used()


def _report(pending: Sequence[PendingAppend], results: Sequence[Result]) -> None:
    report_results((each.publisher, each.draft, result) for each, result in zip(pending, results, strict=True))
