"""Who is in which room, for brokers whose rooms have all their members in one process."""

from __future__ import annotations

import threading
from collections import defaultdict


class Presence:
    """The part of a broker that knows the members: each is counted as often as it entered. From any thread."""

    def __init__(self) -> None:
        self._presence_guard = threading.Lock()  # guards the one below; nothing else is locked while it is held
        self._members: defaultdict[str, dict[str, int]] = defaultdict(dict)

    def enter(self, room: str, member: str) -> bool:
        """One more; whether it was the first time."""
        with self._presence_guard:
            members = self._members[room]
            members[member] = members.get(member, 0) + 1
            return members[member] == 1

    def leave(self, room: str, member: str) -> bool:
        """One less; whether it was the last."""
        with self._presence_guard:
            members = self._members.get(room, {})
            if members[member] > 1:
                members[member] -= 1
                return False
            del members[member]
            if not members:
                del self._members[room]
            return True

    def count_members(self, room: str) -> int:
        """How many they are."""
        with self._presence_guard:
            return len(self._members.get(room, ()))

    def members(self, room: str) -> list[str]:
        """Whoever came first first."""
        with self._presence_guard:
            return list(self._members.get(room, ()))
