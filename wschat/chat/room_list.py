"""The list of rooms, a page at a time. The time it takes depends on the size of the page, not on the number of rooms."""

from __future__ import annotations

from wschat.chat.fields import MAX_ROOMS
from wschat.chat.sessions import Session
from wschat.chat.state import State
from wschat.events import Id, RoomList


def list_rooms(state: State, session: Session, after: str | None, limit: int | None, request_id: Id | None = None) -> RoomList:
    """Return the rooms that a session may enter and that have members or messages: those after a name, or the first ones."""
    listing = _Listing(state, session)
    is_page = after is not None or limit is not None
    names, more = listing.page(after, limit or MAX_ROOMS) if is_page else listing.overview()
    return RoomList([listing.entry(name) for name in names], more if is_page else more or None, request_id)


class _Listing:
    """The rooms found for one request."""

    def __init__(self, state: State, session: Session) -> None:
        self._state = state
        self._may_enter = session.identity.may_enter
        self._lasts: dict[str, int] = {}  # the last numbers of the rooms that have messages
        self._occupied: set[str] = set()

    def entry(self, name: str) -> dict[str, object]:
        """Return what the list says about a room."""
        return {"room": name, "members": self._count_members(name), "last": self._lasts.get(name, 0)}

    def overview(self) -> tuple[list[str], bool]:
        """Return rooms in order, and True if there are more. If there are too many, those with members come before the others."""
        occupied = [name for name in self._state.rooms.names(None, MAX_ROOMS) if self._may_enter(name)]
        names, more = self.page(None, MAX_ROOMS)
        if not more:
            return names, False
        self._occupied.update(occupied)
        for name in occupied:
            if self._state.broker.has_room(name):
                self._lasts[name] = self._state.broker.last_seq(name)
        shown = [name for name in occupied if self._is_listed(name)]
        others = sorted({*names} - {*shown})
        return sorted([*shown, *others][:MAX_ROOMS]), True

    def page(self, after: str | None, limit: int) -> tuple[list[str], bool]:
        """Return at most `limit` rooms after a name, in order, and True if there are more."""
        found: list[str] = []
        while len(found) <= limit:
            names = self._names_after(after, limit + 1)
            if not names:
                return found, False
            found += filter(self._is_listed, names)
            after = names[-1]
        return found[:limit], True

    def _names_after(self, after: str | None, limit: int) -> list[str]:
        """Return the next rooms, with members or with messages. No other room comes between them."""
        with_messages = self._state.broker.rooms(after, limit)
        self._lasts.update(with_messages)
        occupied = self._state.rooms.names(after, limit)
        self._occupied.update(occupied)
        return sorted({*occupied, *(name for name, _ in with_messages)})[:limit]

    def _is_listed(self, name: str) -> bool:
        # A room without messages that is only followed over HTTP has no members.
        return self._may_enter(name) and (name in self._lasts or self._count_members(name) > 0)

    def _count_members(self, name: str) -> int:
        return self._state.rooms.count_members(name) if name in self._occupied else 0
