"""The rooms that have subscribers in this process: how far each was delivered, and which results wait for that."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import NamedTuple

from wschat.brokers.base import TOPIC, Message, Subscriber
from wschat.brokers.callbacks import call_logged
from wschat.brokers.redis.members import MemberEvent, Members, UnionChange

NO_EVENT = b"0-0"
"""An id before those of all entries of a stream."""

Report = Callable[[bool], None]
"""Tells publishers their results: True that their messages were delivered, False that this is not known."""


class RoomState(NamedTuple):
    """What Redis says about a room."""

    last: int
    """The number of the last message."""
    topic: Message | None
    """The entry that set the topic; None for no topic."""
    exists: bool
    """True if the room has a log."""
    members: Sequence[tuple[str, str]] = ()
    """The nodes and names of the members."""
    last_event: bytes = NO_EVENT
    """The id of the last change of the members."""
    last_time: float | None = None
    """The time of the last message; None if it is not known."""


class Position(NamedTuple):
    """How far a room was delivered."""

    last: int
    """The number of the last message."""
    last_time: float | None
    """The time of the last message, which tells it from another one of this number; None if it is not known."""
    last_event: bytes
    """The id of the last change of the members."""


class Positions(NamedTuple):
    """How far all rooms were delivered."""

    changes: int
    """The number of times that a room was added, removed or begun anew."""
    losses: int
    """The number of times that Redis had lost messages."""
    rooms: dict[str, Position] | None
    """The position in each room; None if there was no change since the one that was known."""


class _FollowedRoom:
    """A room with subscribers, guarded by the lock of `FollowedRooms`."""

    def __init__(self, state: RoomState) -> None:
        self.last = state.last
        self.last_time = state.last_time
        self.last_event = state.last_event
        self.exists = state.exists
        self.topic = state.topic
        self.subscribers: list[Subscriber] = []
        self.reports: deque[tuple[int, Report]] = deque()  # each with the number that must have been delivered


class FollowedRooms:
    """All rooms with subscribers in this process. Its methods may be called from any thread."""

    def __init__(self, load: Callable[[str], RoomState], has_message: Callable[[str, int, float], bool], members: Members) -> None:
        """`load` asks Redis for the state of a room, with its members.

        `has_message` asks if the message of a number has this time, or is not kept. Both may wait, and are called without a lock.
        """
        self._load = load
        self._has_message = has_message
        self._members = members
        # Held while publishers are told, so that they are told one after the other and in order, whichever threads have the results.
        # Taken before _followed_lock and the locks of publishers.
        self._reporting_lock = threading.Lock()
        # Guards the three below, with the entries of _rooms. The locks of subscribers and of _members are acquired while it is held.
        self._followed_lock = threading.Lock()
        self._rooms: dict[str, _FollowedRoom] = {}
        self._changes = self._losses = 0

    def subscribe(self, room: str, subscriber: Subscriber) -> tuple[int, bool]:
        """Add a subscriber. Return the last number of the room, and True if the room was not followed before."""
        with self._followed_lock:
            known = self._rooms.get(room)
            if known is not None:
                known.subscribers.append(subscriber)
                return known.last, False
        while True:
            losses = self.losses
            state = self._load(room)
            with self._followed_lock:
                if losses == self._losses:  # else it may be the state before the loss
                    return self._add(room, subscriber, state)

    def _add(self, room: str, subscriber: Subscriber, state: RoomState) -> tuple[int, bool]:
        assert self._followed_lock.locked()
        entry = self._rooms.get(room)
        is_new = entry is None
        if entry is None:
            entry = self._rooms[room] = _FollowedRoom(state)
            self._changes += 1
            self._members.replace(room, state.members)
        entry.subscribers.append(subscriber)
        return entry.last, is_new

    def unsubscribe(self, room: str, subscriber: Subscriber) -> None:
        """Remove a subscriber. With the last one, the room is followed no longer."""
        with self._reporting_lock:
            reports: list[Report] = []
            with self._followed_lock:
                entry = self._rooms[room]
                entry.subscribers.remove(subscriber)
                if not entry.subscribers:
                    del self._rooms[room]
                    self._changes += 1
                    self._members.forget_others(room)
                    reports = [report for _, report in entry.reports]
            _call(reports, is_delivered=True)

    @property
    def losses(self) -> int:
        """The number of times that Redis had lost messages."""
        return self._losses

    def state(self, room: str) -> RoomState | None:
        """Return the state of a room as far as it was delivered, without its members; None if the room is not followed."""
        with self._followed_lock:
            entry = self._rooms.get(room)
            return None if entry is None else RoomState(entry.last, entry.topic, entry.exists, last_time=entry.last_time)

    def has_log(self, room: str) -> bool | None:
        """Return True if a message of the room was delivered or was there before, None if the room is not followed."""
        entry = self._rooms.get(room)  # without the lock, which is held during deliveries: each message that is said asks this
        return None if entry is None else entry.exists

    def positions(self, known_changes: int) -> Positions:
        """Return the position in each room, if there was a change since."""
        with self._followed_lock:
            if self._changes == known_changes:
                return Positions(known_changes, self._losses, None)
            rooms = {name: Position(entry.last, entry.last_time, entry.last_event) for name, entry in self._rooms.items()}
            return Positions(self._changes, self._losses, rooms)

    def deliver_members(self, room: str, events: Sequence[MemberEvent], last_event: bytes, losses: int) -> None:
        """Note changes of the members on other nodes, up to an id, and tell the subscribers. `losses` as for `deliver`."""
        self._tell(room, last_event, losses, lambda: self._members.apply(room, events))

    def refresh(self, rooms: Collection[str] | None = None) -> bool:
        """Read the members of rooms anew, or of all, because changes may have been missed, and tell the subscribers. Waits for Redis.

        Return False if a message of one of the rooms was delivered that Redis does not have any more: see `begin_anew`.
        """
        _, losses, positions = self.positions(-1)
        for room, position in (positions or {}).items():
            if rooms is None or room in rooms:
                state = self._load(room)
                is_known = position.last_time is None or self._has_message(room, position.last, position.last_time)
                if state.last < position.last or not is_known:
                    return False
                self._tell(room, state.last_event, losses, partial(self._members.replace, room, state.members))
        with self._followed_lock:
            self._changes += 1  # the positions among the changes of members are others
        return True

    def _tell(self, room: str, last_event: bytes, losses: int, update: Callable[[], UnionChange]) -> None:
        with self._followed_lock:
            entry = self._rooms.get(room)
            if entry is None or losses != self._losses:
                return
            entry.last_event = last_event
            change = update()
            receivers = list(entry.subscribers) if change.joined or change.left else []
            for subscriber in receivers:
                call_logged(subscriber.on_members, *change)
        for subscriber in receivers:
            call_logged(subscriber.flush)

    def deliver(self, room: str, last: int, messages: Sequence[Message], losses: int) -> None:
        """Give the next messages to the subscribers of a room, and then results to their publishers.

        `last` is the number of the last entry that was read, whether or not it could be understood; `losses` is that of `positions` before
        it was read. If Redis has lost messages since then, these may be among them, and are not delivered.
        """
        with self._followed_lock:
            entry = self._rooms.get(room)
            if entry is None or losses != self._losses:
                return
            new = [message for message in messages if message.seq > entry.last]
            if last > entry.last:
                entry.last, entry.last_time = last, messages[-1].time if messages and messages[-1].seq == last else None
            entry.exists = True
            for message in new:
                if message.kind == TOPIC:
                    entry.topic = message if message.text else None
            receivers = list(entry.subscribers) if new else []
            for subscriber in receivers:
                call_logged(subscriber.on_messages, new)
        for subscriber in receivers:
            call_logged(subscriber.flush)
        self._report_delivered(room)

    def report_after(self, room: str, seq: int, report: Report, losses: int) -> None:
        """Call `report` once the message of this number was delivered, or at once if the room is not followed. Numbers must increase.

        `losses` is that of before the message was sent. If Redis has lost messages since then, this may be one of them.
        """
        with self._followed_lock:
            is_certain, entry = losses == self._losses, self._rooms.get(room)
            if is_certain and entry is not None:
                entry.reports.append((seq, report))
        if is_certain and entry is not None:
            self._report_delivered(room)
        else:
            self.report([report], is_delivered=is_certain)

    def report(self, reports: Sequence[Report], *, is_delivered: bool) -> None:
        """Call reports that wait for no delivery."""
        with self._reporting_lock:
            _call(reports, is_delivered=is_delivered)

    def abandon_reports(self) -> None:
        """Report that the results that wait for a delivery are not known. For a reader that cannot read."""
        with self._reporting_lock:
            with self._followed_lock:
                reports = [report for entry in self._rooms.values() for _, report in entry.reports]
                for entry in self._rooms.values():
                    entry.reports.clear()
            _call(reports, is_delivered=False)

    def _report_delivered(self, room: str) -> None:
        with self._reporting_lock:
            reports: list[Report] = []
            with self._followed_lock:
                entry = self._rooms.get(room)
                while entry is not None and entry.reports and entry.reports[0][0] <= entry.last:
                    reports.append(entry.reports.popleft()[1])
            _call(reports, is_delivered=True)

    def begin_anew(self) -> None:
        """Continue where Redis is now, since it has lost messages, and tell the subscribers. Waits for Redis."""
        with self._followed_lock:
            self._losses += 1  # what was read before is not delivered any more
            rooms = list(self._rooms)
        for room in rooms:
            self._begin_room_anew(room, self._load(room))

    def _begin_room_anew(self, room: str, state: RoomState) -> None:
        with self._reporting_lock:
            with self._followed_lock:
                entry = self._rooms.get(room)
                if entry is None:
                    return
                self._changes += 1
                self._losses += 1  # what was read from the old position is not delivered either
                entry.last, entry.last_time, entry.last_event = state.last, state.last_time, state.last_event
                entry.topic, entry.exists = state.topic, state.exists
                self._members.replace(room, state.members)
                reports, receivers = [report for _, report in entry.reports], list(entry.subscribers)
                entry.reports.clear()
                for subscriber in receivers:
                    call_logged(subscriber.on_lost, state.last, state.topic)
            _call(reports, is_delivered=False)
        for subscriber in receivers:
            call_logged(subscriber.flush)

    def has_reports(self) -> bool:
        """Return True if results wait for a delivery."""
        with self._followed_lock:
            return any(entry.reports for entry in self._rooms.values())


def _call(reports: Sequence[Report], *, is_delivered: bool) -> None:
    for report in reports:
        report(is_delivered)
