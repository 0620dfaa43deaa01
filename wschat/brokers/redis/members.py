"""The members of rooms: those of this node, and of the rooms that are followed here, those of other nodes."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from wschat.brokers.base import Presence


class MemberEvent(NamedTuple):
    """A change of a room's members, as Redis has it."""

    node: str
    """The node whose member it is."""
    sign: str
    """`+` for a member that has entered, `-` for one that has left."""
    name: str
    """The name of the member."""


class MemberChange(NamedTuple):
    """A change of a room's members on this node, for Redis."""

    room: str
    """The name of the room."""
    sign: str
    """`+` for a member that has entered, `-` for one that has left."""
    name: str
    """The name of the member."""


class UnionChange(NamedTuple):
    """What has changed for those who see the members of all nodes."""

    joined: Sequence[str]
    """The members who were on no node before."""
    left: Sequence[str]
    """The members who are on no node now."""


class _Room:
    def __init__(self) -> None:
        self.own: dict[str, int] = {}  # how often each member is in the room
        self.others: dict[str, set[str]] = {}  # the other nodes on which each member is

    def has(self, name: str) -> bool:
        return name in self.own or name in self.others

    @property
    def names(self) -> list[str]:
        return [*self.own, *(name for name in self.others if name not in self.own)]


class Members(Presence):
    """The members that this node knows. Its methods never wait."""

    def __init__(self, node: str) -> None:
        super().__init__()
        self._node = node
        self._members_lock = threading.Lock()  # guards all below; no other lock is acquired while it is held
        self._members: dict[str, _Room] = {}
        self._changes: list[MemberChange] = []
        self.has_changes = threading.Event()
        """Set when there is something for `take_changes`."""

    def add_member(self, room: str, member: str) -> bool:
        with self._members_lock:
            entry = self._room(room)
            is_new = not entry.has(member)
            entry.own[member] = entry.own.get(member, 0) + 1
            if entry.own[member] == 1:
                self._note(room, "+", member)
            return is_new

    def remove_member(self, room: str, member: str) -> bool:
        with self._members_lock:
            entry = self._members[room]
            entry.own[member] -= 1
            if entry.own[member]:
                return False
            del entry.own[member]
            self._note(room, "-", member)
            self._drop_if_empty(room)
            return not entry.has(member)

    def count_members(self, room: str) -> int:
        return len(self.members(room))

    def members(self, room: str) -> list[str]:
        with self._members_lock:
            entry = self._members.get(room)
            return entry.names if entry is not None else []

    def take_changes(self) -> list[MemberChange]:
        """Return the changes on this node since the last call, in order."""
        with self._members_lock:
            self.has_changes.clear()
            changes, self._changes = self._changes, []
            return changes

    def own(self) -> dict[str, list[str]]:
        """Return the members of this node, by room."""
        with self._members_lock:
            return {name: list(room.own) for name, room in self._members.items() if room.own}

    def apply(self, room: str, events: Iterable[MemberEvent]) -> UnionChange:
        """Note changes on other nodes. Those of this node were noted before."""
        with self._members_lock:
            entry = self._room(room)
            before: dict[str, bool] = {}  # of the members that change: was the member on any node?
            for event in events:
                if event.node == self._node:
                    continue
                before.setdefault(event.name, entry.has(event.name))
                nodes = entry.others.setdefault(event.name, set())
                (nodes.add if event.sign == "+" else nodes.discard)(event.node)
                if not nodes:
                    del entry.others[event.name]
            return self._changes_of(room, before)

    def replace(self, room: str, present: Iterable[tuple[str, str]]) -> UnionChange:
        """Note the nodes and names of all members. Those of this node were noted before."""
        with self._members_lock:
            entry = self._room(room)
            before = dict.fromkeys(entry.names, True)
            entry.others = {}
            for node, name in present:
                if node != self._node:
                    entry.others.setdefault(name, set()).add(node)
                    before.setdefault(name, False)
            return self._changes_of(room, before)

    def forget_others(self, room: str) -> None:
        """Forget the members of other nodes in a room that is not followed any more."""
        with self._members_lock:
            entry = self._members.get(room)
            if entry is not None:
                entry.others = {}
                self._drop_if_empty(room)

    def _changes_of(self, room: str, before: Mapping[str, bool]) -> UnionChange:
        assert self._members_lock.locked()
        entry = self._members[room]
        self._drop_if_empty(room)
        joined = [name for name, was_in in before.items() if entry.has(name) and not was_in]
        return UnionChange(joined, [name for name, was_in in before.items() if was_in and not entry.has(name)])

    def _note(self, room: str, sign: str, name: str) -> None:
        assert self._members_lock.locked()
        self._changes.append(MemberChange(room, sign, name))
        self.has_changes.set()

    def _room(self, name: str) -> _Room:
        assert self._members_lock.locked()
        return self._members.setdefault(name, _Room())

    def _drop_if_empty(self, name: str) -> None:
        assert self._members_lock.locked()
        entry = self._members[name]
        if not entry.own and not entry.others:
            del self._members[name]
