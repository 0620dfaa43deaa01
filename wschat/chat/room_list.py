"""The list of rooms, a page at a time: it takes time for the page only, however many rooms there are."""

from __future__ import annotations

from wschat.chat.events import RoomList
from wschat.chat.requests import MAX_ROOMS, Rooms
from wschat.chat.sessions import Session
from wschat.chat.state import State


def list_rooms(state: State, session: Session, request: Rooms) -> RoomList:
    """Return the rooms that somebody may be in: those with people in them, and those where something was said."""
    listing = _Listing(state, session)
    is_page = request.after is not None or request.limit is not None
    names, more = listing.page(request.after, request.limit or MAX_ROOMS) if is_page else listing.first()
    return RoomList([listing.entry(name) for name in names], more if is_page else more or None, request.id)


class _Listing:
    """What is found for one request."""

    def __init__(self, state: State, session: Session) -> None:
        self._state = state
        self._may_be_in = session.identity.may_be_in
        self._lasts: dict[str, int] = {}  # of the rooms where something was said
        self._inhabited: set[str] = set()

    def entry(self, name: str) -> dict[str, object]:
        """Return what is told about a room."""
        return {"room": name, "members": self._count_people(name), "last": self._lasts.get(name, 0)}

    def first(self) -> tuple[list[str], bool]:
        """Return rooms in order, and if there are more of them; where these are too many, it is those with people in them first."""
        inhabited = [name for name in self._state.rooms.names(None, MAX_ROOMS) if self._may_be_in(name)]
        names, more = self.page(None, MAX_ROOMS)
        if not more:
            return names, False
        self._inhabited.update(inhabited)
        for name in inhabited:
            if self._state.broker.has_room(name):
                self._lasts[name] = self._state.broker.last_number(name)
        shown = [name for name in inhabited if self._is_shown(name)]
        others = sorted({*names} - {*shown})
        return sorted([*shown, *others][:MAX_ROOMS]), True

    def page(self, after: str | None, limit: int) -> tuple[list[str], bool]:
        """Return so many rooms after a name at most, in order, and if there are more of them."""
        found: list[str] = []
        while len(found) <= limit:
            names = self._next(after, limit + 1)
            if not names:
                return found, False
            found += filter(self._is_shown, names)
            after = names[-1]
        return found[:limit], True

    def _next(self, after: str | None, limit: int) -> list[str]:
        """Return the next rooms of both kinds; there are others only after them."""
        spoken_in = self._state.broker.rooms(after, limit)
        self._lasts.update(spoken_in)
        inhabited = self._state.rooms.names(after, limit)
        self._inhabited.update(inhabited)
        return sorted({*inhabited, *(name for name, _ in spoken_in)})[:limit]

    def _is_shown(self, name: str) -> bool:
        # Not those that somebody only follows, and where nothing was said yet.
        return self._may_be_in(name) and (name in self._lasts or self._count_people(name) > 0)

    def _count_people(self, name: str) -> int:
        return self._state.rooms.count_people(name) if name in self._inhabited else 0
