"""Rooms: who is in one, and what is said there."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from wschat.chat.names import Names
from wschat.connection.connection import Connection
from wschat.hub import Hub


class Member:
    """Somebody in a room; `name` is None for those who have not given one."""

    __slots__ = ("connection", "name")

    def __init__(self, connection: Connection, name: str | None) -> None:
        self.connection = connection
        self.name = name


class Room:
    """A room. From any thread."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.hub = Hub()
        self._guard = threading.Lock()  # guards the members; the hub's locks are taken while it is held
        self._members: dict[Connection, Member] = {}

    def enter(self, member: Member) -> None:
        """Let somebody in: from now on they get what is said."""
        with self._guard:
            self._members[member.connection] = member
            self.hub.join(member.connection)

    def leave(self, member: Member) -> bool:
        """Let somebody out; whether the room is empty then."""
        with self._guard:
            self._members.pop(member.connection, None)
            self.hub.leave(member.connection)
            return not self._members

    def members(self) -> list[Member]:
        """Everybody in it."""
        with self._guard:
            return list(self._members.values())


class Rooms:
    """The rooms with somebody in them, and the names in use. From any thread."""

    def __init__(self) -> None:
        self.names = Names()
        self._guard = threading.Lock()  # guards the rooms; a room's lock is taken while it is held
        self._rooms: dict[str, Room] = {}

    @contextmanager
    def visit(self, name: str, member: Member) -> Iterator[Room]:
        """Be in a room, which is there as long as anybody is."""
        key = name.casefold()
        with self._guard:
            if key not in self._rooms:
                self._rooms[key] = Room(name)
            room = self._rooms[key]
            room.enter(member)
        try:
            yield room
        finally:
            with self._guard:
                if room.leave(member):
                    del self._rooms[key]
