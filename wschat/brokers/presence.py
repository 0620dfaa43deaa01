"""Presence, for brokers that serve one process."""

from __future__ import annotations

import threading
from collections import defaultdict

from wschat.brokers.base import Presence


class LocalPresence(Presence):
    """Keeps the members in memory, and how often each has entered."""

    def __init__(self) -> None:
        super().__init__()
        self._members_lock = threading.Lock()  # guards _members; no other lock is acquired while it is held
        self._members: defaultdict[str, dict[str, int]] = defaultdict(dict)

    def add_member(self, room: str, member: str) -> bool:
        with self._members_lock:
            members = self._members[room]
            members[member] = members.get(member, 0) + 1
            return members[member] == 1

    def remove_member(self, room: str, member: str) -> bool:
        with self._members_lock:
            members = self._members.get(room, {})
            if members[member] > 1:
                members[member] -= 1
                return False
            del members[member]
            if not members:
                del self._members[room]
            return True

    def count_members(self, room: str) -> int:
        with self._members_lock:
            return len(self._members.get(room, ()))

    def members(self, room: str) -> list[str]:
        with self._members_lock:
            return list(self._members.get(room, ()))
