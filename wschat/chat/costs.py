"""Costs: how much work a request is.

The unit is one message read, or one event delivered to one member: some microseconds. A message that is said costs by its length
only, so that a short one costs next to nothing however many members hear it: messages share their writes, and `Rate` bounds them.
"""

from __future__ import annotations

from collections.abc import Iterable

from wschat.chat.rooms import Rooms

NAME_LISTED = 0.1
"""One name in a list."""

_REQUEST = 10.0
_CHARACTER_PARSED = 0.01
_CHARACTER_SAID = 1 / 4096  # for each connection that hears it


def cost_of_text(text: str) -> float:
    """Return the cost of parsing a request."""
    return _REQUEST + _CHARACTER_PARSED * len(text)


def cost_of_announcing(rooms: Rooms, names: Iterable[str]) -> float:
    """Return the cost of delivering one event to all members of these rooms."""
    found = map(rooms.find, tuple(names))
    return float(sum(room.audience for room in found if room is not None))


def cost_of_saying(rooms: Rooms, name: str, text: str) -> float:
    """Return the cost of delivering a text to everyone in a room."""
    room = rooms.find(name)
    return 0.0 if room is None else _CHARACTER_SAID * len(text) * room.hearers
