"""What the parts of the chat share: one of each."""

from __future__ import annotations

from dataclasses import dataclass

from wschat.brokers.base import Broker
from wschat.chat.access import Access
from wschat.chat.moderation import Moderation
from wschat.chat.new_rooms import NewRooms
from wschat.chat.rooms import Rooms
from wschat.chat.users import Users


@dataclass(frozen=True)
class State:
    """The state of a chat. Each part may be used from any thread."""

    access: Access
    """Who may connect, and by which name."""
    broker: Broker
    """The logs of the rooms."""
    moderation: Moderation
    """Mutes, bans and moderators."""
    new_rooms: NewRooms
    """Who may make a room."""
    users: Users
    """The names in use."""
    rooms: Rooms
    """The rooms that have members."""
