"""How many rooms people may make. A room is made by what is said in it first; one that nothing was said in is nothing."""

from __future__ import annotations

import threading

from wschat.brokers.base import Broker
from wschat.chat.addresses import place_of
from wschat.chat.rates import Allowances, Rate
from wschat.chat.sessions import Session
from wschat.errors import Rejected

# So many rooms may have been allowed before it is worth looking which of them have been made.
_FEW_ROOMS = 100


class NewRooms:
    """Who may make rooms. From any thread.

    `most` is how many rooms there may be in all, 0 for no limit; `rate` is what may be made from one address, None for no limit.
    """

    def __init__(self, broker: Broker, most: int = 0, rate: Rate | None = None) -> None:
        self._broker = broker
        self._most = most
        self._rate = rate
        self._allowances = Allowances(rate) if rate else None
        self._guard = threading.Lock()  # guards the one below; the locks of the broker and of the allowances are taken while it is held
        self._allowed: set[str] = set()  # nothing may have been said in them yet: that takes a while

    def check(self, session: Session, room: str) -> None:
        """Raise Rejected if something is to be said in a room that is not there, and may not be made."""
        if self._broker.has_room(room):
            return
        with self._guard:
            if room in self._allowed:
                return
            if len(self._allowed) >= _FEW_ROOMS:
                self._forget_made()
            if self._most and self._broker.count_rooms() + len(self._allowed) >= self._most:
                self._forget_made()
                if self._broker.count_rooms() + len(self._allowed) >= self._most:
                    raise Rejected("too-many-rooms", f"There are {self._most} rooms, and no more can be made.")
            if not session.identity.moderates(room):
                self._take_allowance(session)
            self._allowed.add(room)

    def _take_allowance(self, session: Session) -> None:
        seconds = self._allowances.take(place_of(session.address)) if self._allowances is not None else None
        if seconds is not None:
            raise Rejected("too-many-rooms", f"Too many new rooms from one address: at most {self._rate}.", seconds)

    def _forget_made(self) -> None:
        self._allowed = {room for room in self._allowed if not self._broker.has_room(room)}
