"""Rooms: who is in one, and how messages reach them.

A room subscribes to its log: what is appended goes to its hubs, one for each dialect. A session that joins receives the past and
then what is new, with nothing missing and nothing twice, because a room decides under one lock where the past ends.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from contextlib import ExitStack

from wschat.brokers.base import Broker
from wschat.brokers.sorted_names import SortedNames
from wschat.chat.dialects.base import Dialect
from wschat.chat.past import Resume
from wschat.chat.room import Room
from wschat.chat.sessions import Session
from wschat.errors import Rejected
from wschat.events import MemberEvent
from wschat.hub import Member, flush_together

# How many rooms one connection may be in: each of them costs memory.
_MAX_ROOMS = 100


class Rooms:
    """The rooms that have members or followers. From any thread."""

    def __init__(self, dialects: Collection[Dialect], broker: Broker, is_moderator: Callable[[Session, str], bool]) -> None:
        self._dialects = dialects
        self._broker = broker
        self._is_moderator = is_moderator
        # Guards the two below, `sessions`, `unnamed` and `unannounced` of each room, and the `rooms` of sessions. Taken before the locks
        # of the broker and of rooms.
        self._rooms_lock = threading.Lock()
        self._rooms: dict[str, Room] = {}
        self._names = SortedNames()

    def find(self, name: str) -> Room | None:
        """Return the room, None if no session is in it."""
        return self._rooms.get(name)

    def names(self, after: str | None, limit: int) -> list[str]:
        """Return the first rooms with sessions whose names come after this one, or of all, in order."""
        return self._names.after(after, limit)

    def count_members(self, name: str) -> int:
        """Return the number of members of a room: each user counts once, and so does each session without a name."""
        return self._broker.count_members(name) + self.count_unnamed(name)

    def count_unnamed(self, name: str) -> int:
        """Return the number of members of a room without a name."""
        with self._rooms_lock:
            room = self._rooms.get(name)
            return room.unnamed if room else 0

    def join(self, name: str, session: Session, resume: Resume | None = None, *, greeting: str | None = None) -> None:
        """Add a session to a room, and send it the past that `resume` asks for, or else a greeting.

        May wait for the broker. Raises HistoryUnavailable, and Rejected for too many rooms.
        """
        self._join(name, session, lambda room: room.admit(session, resume, greeting))

    def follow(self, name: str, session: Session, since: int) -> None:
        """Add a session to a room, and send it all messages after a number: see `Room.admit_after`."""
        self._join(name, session, lambda room: room.admit_after(session, since))

    def _join(self, name: str, session: Session, admit: Callable[[Room], None]) -> None:
        was_in = name in session.rooms
        room = self._register(name, session)
        try:
            room.open()
            admit(room)
        except BaseException:
            if not was_in:
                self.leave(name, session)
            raise
        is_moderator = self._is_moderator(session, name)
        with self._rooms_lock:
            if session in room.sessions:
                # Only now, because what is said to a new member must reach it as a new message, not as part of the past.
                self._announce_new(room, session.member, exclude=[session.connection], is_moderator=is_moderator)
            else:
                room.expel(session)  # a moderator has removed it meanwhile
        room.flush()

    def _announce_new(self, room: Room, member: str | None, exclude: Collection[Member] = (), *, is_moderator: bool = False) -> None:
        """Add the event of a member who joins, unless that was done. `flush` must follow."""
        assert self._rooms_lock.locked()
        if member in room.unannounced:
            room.unannounced.remove(member)
            room.add(MemberEvent(room.name, member, "join", moderator=is_moderator or None), exclude)

    def leave(self, name: str, session: Session, event: str = "leave") -> bool:
        """Remove a session from a room. Return False if it was not there. `event` is the member event that tells the others."""
        with self._rooms_lock, ExitStack() as steps:  # an error in one step does not keep the others from being done; last one first
            room = self._rooms.get(name)
            if room is None or session not in room.sessions:
                return False
            member = room.sessions.pop(session)
            room.unnamed -= _is_unnamed(session, member)
            session.rooms.pop(name, None)
            steps.callback(self._drop_if_empty, room)
            steps.callback(room.expel, session)
            is_last = member is not None and self._broker.remove_member(name, member)
            if is_last:
                self._announce_new(room, member)  # others who joined meanwhile have it among the members
        if member is not None and is_last:
            room.announce(MemberEvent(name, member, event))
        return True

    def leave_all(self, session: Session) -> None:
        """Remove a session from all rooms. An error in one does not keep it in another."""
        with ExitStack() as steps:
            for name in tuple(session.rooms):
                steps.callback(self.leave, name, session)

    def rename(self, session: Session, name: str) -> None:
        """Make a session a member of its rooms by another name, or by its first one."""
        events: list[tuple[Room, MemberEvent]] = []
        try:
            with self._rooms_lock:
                for room in [self._rooms[room_name] for room_name in session.rooms]:
                    old = room.sessions[session]
                    self._announce_new(room, old)
                    room.unnamed -= _is_unnamed(session, old)
                    self._broker.add_member(room.name, name)
                    room.sessions[session] = name
                    event = MemberEvent(room.name, name, "join") if old is None else MemberEvent(room.name, old, "rename", name)
                    events.append((room, event))
                    if old is not None:
                        self._broker.remove_member(room.name, old)
        finally:  # also for the rooms before one with an error
            for room, event in events:
                room.add(event)
            flush_together([hub for room, _ in events for hub in room.hubs])

    def sessions_in(self, name: str) -> list[Session]:
        """Return all sessions in a room."""
        with self._rooms_lock:
            room = self._rooms.get(name)
            return list(room.sessions) if room else []

    def _moderators_in(self, name: str) -> list[str]:
        moderators = [session for session in self.sessions_in(name) if self._is_moderator(session, name)]
        return sorted({session.member for session in moderators if session.member})

    def _register(self, name: str, session: Session) -> Room:
        """Add a session to a room's list. Return the room."""
        with self._rooms_lock:
            if name not in session.rooms and len(session.rooms) >= _MAX_ROOMS:
                raise Rejected("too-many-rooms", f"One connection may be in at most {_MAX_ROOMS} rooms.")
            if name not in self._rooms:
                self._rooms[name] = Room(name, self._dialects, self._broker, lambda: self._moderators_in(name))
                self._names.add(name)
            room = self._rooms[name]
            if session in room.sessions:
                return room
            try:
                if session.member is not None and self._broker.add_member(name, session.member):
                    room.unannounced.add(session.member)
            except BaseException:
                self._drop_if_empty(room)
                raise
            room.sessions[session] = session.member
            room.unnamed += _is_unnamed(session, session.member)
            session.rooms[name] = room
            return room

    def _drop_if_empty(self, room: Room) -> None:
        assert self._rooms_lock.locked()
        if not room.sessions:
            del self._rooms[room.name]
            self._names.remove(room.name)
            room.close()


def _is_unnamed(session: Session, member: str | None) -> bool:
    """Return True if a session that is in a room by the name `member` counts as a member without a name."""
    return member is None and session.dialect.is_seen
