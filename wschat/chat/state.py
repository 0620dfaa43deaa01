"""What the parts of the chat share: one of each."""

from __future__ import annotations

from dataclasses import dataclass

from wschat.brokers.base import Broker
from wschat.chat.access import Access
from wschat.chat.moderation import Moderation
from wschat.chat.new_rooms import NewRooms
from wschat.chat.people import People
from wschat.chat.rooms import Rooms


@dataclass(frozen=True)
class State:
    """The state of a chat. Each part says from which threads it may be used: from any."""

    access: Access
    broker: Broker
    moderation: Moderation
    new_rooms: NewRooms
    people: People
    rooms: Rooms
