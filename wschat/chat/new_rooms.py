"""How many rooms may be made. A room is made by its first message."""

from __future__ import annotations

import threading

from wschat.brokers.base import Broker
from wschat.chat.addresses import network_of
from wschat.chat.rates import Allowances, Rate
from wschat.chat.sessions import Session
from wschat.errors import Rejected

# The number of allowed rooms from which on those that were made meanwhile are dropped.
_FEW_ROOMS = 100


class NewRooms:
    """Who may make rooms. From any thread.

    `most` is how many rooms there may be in all, 0 for no limit; `rate` is how many may be made from one network, None for no limit.
    """

    def __init__(self, broker: Broker, most: int = 0, rate: Rate | None = None) -> None:
        self._broker = broker
        self._most = most
        self._rate = rate
        self._allowances = Allowances(rate) if rate else None
        self._allowed_lock = threading.Lock()  # guards the one below; taken before the locks of the broker and of the allowances
        self._allowed: set[str] = set()  # rooms whose first message may not have been appended yet

    def check(self, session: Session, room: str) -> None:
        """Raise Rejected for a message in a room that does not exist and may not be made."""
        if self._broker.has_room(room):
            return
        with self._allowed_lock:
            if room in self._allowed:
                return
            if len(self._allowed) >= _FEW_ROOMS:
                self._drop_made()
            if self._most and self._count() >= self._most:
                self._drop_made()
                if self._count() >= self._most:
                    raise Rejected("too-many-rooms", f"There are {self._most} rooms, and no more can be made.")
            if not session.identity.moderates(room):
                self._count_new_room(session)
            self._allowed.add(room)

    def _count_new_room(self, session: Session) -> None:
        seconds = self._allowances.try_acquire(network_of(session.address)) if self._allowances is not None else None
        if seconds is not None:
            raise Rejected("too-many-rooms", f"Too many new rooms from one address: at most {self._rate}.", seconds)

    def _count(self) -> int:
        assert self._allowed_lock.locked()
        return self._broker.count_rooms() + len(self._allowed)

    def _drop_made(self) -> None:
        assert self._allowed_lock.locked()
        self._allowed = {room for room in self._allowed if not self._broker.has_room(room)}
