"""List the rooms."""

from __future__ import annotations

from dataclasses import dataclass

from wschat.chat.action import Action, Command
from wschat.chat.fields import Limit, RoomName
from wschat.chat.room_list import list_rooms
from wschat.chat.sessions import Session
from wschat.chat.state import State
from wschat.events import RoomList

# A session that may not enter all rooms has each of them looked at, to find those that it may enter.
_ROOM_LOOKED_AT = 0.25


@dataclass(frozen=True)
class ListRooms(Action[RoomList]):
    """List the rooms: the first ones whose names come after `after`, or of all."""

    type = "rooms"
    commands = (Command("/rooms", "list the rooms"),)
    needs_name = False
    needs_moderator = False

    after: RoomName | None = None
    limit: Limit | None = None

    def run(self, state: State, session: Session) -> RoomList:
        """Return the rooms that the session may enter."""
        return list_rooms(state, session, self.after, self.limit, self.id)

    def plain_reply(self, reply: RoomList) -> str:
        """List the names, with the number of members."""
        shown = [f"{room['room']} ({room['members']})" for room in reply.rooms]
        return f"Rooms: {', '.join(shown) or 'none'}{', and more' if reply.more else ''}."

    def cost(self, state: State, session: Session, reply: RoomList) -> float:
        """Count the rooms, and those looked at."""
        looked_at = 0 if session.identity.may_enter_all else state.broker.count_rooms()
        return len(reply.rooms) + _ROOM_LOOKED_AT * looked_at
