"""Costs: how much work a request is. To charge for another one, add it to the table.

The unit is a message that is read, or an event that goes to one member: some microseconds. What is said costs by its length only,
so that a short message costs nearly nothing, however many hear it: messages share their writes, and their rate is bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from wschat.chat import requests
from wschat.chat.events import Event, RoomList
from wschat.chat.requests import DEFAULT_MESSAGES, MAX_MESSAGES
from wschat.chat.rooms import Rooms
from wschat.chat.sessions import Session
from wschat.chat.state import State

_REQUEST = 10.0
_CHARACTER = 0.01  # that is parsed
_NAME = 0.1  # in a list
_ROOM_LOOKED_AT = 0.25
_SAID_CHARACTER = 1 / 4096  # for each who hears it
_RENAME = 0.5  # a member who is in many rooms with somebody is told of all of them at once


def cost_of_request(state: State, session: Session, request: requests.Request, answer: Event | None) -> float:
    """What a request has cost that was carried out; `answer` is that of its handler."""
    cost = _COSTS.get(type(request))
    return cost(state, session, request, answer) if cost is not None else 0.0


def cost_of_text(text: str) -> float:
    """What a request costs before it is known what it asks for."""
    return _REQUEST + _CHARACTER * len(text)


def cost_of_telling(rooms: Rooms, names: Iterable[str]) -> float:
    """What it costs to tell all in these rooms that something happened to somebody."""
    found = map(rooms.find, tuple(names))
    return float(sum(room.audience for room in found if room is not None))


def cost_of_saying(rooms: Rooms, name: str, text: str) -> float:
    """What it costs to have all in a room hear a text."""
    room = rooms.find(name)
    return 0.0 if room is None else _SAID_CHARACTER * len(text) * room.hearers


def _join(state: State, session: Session, request: requests.Join, _: Event | None) -> float:
    room = state.rooms.find(request.room)
    if room is None:  # left in the meantime
        return 0.0
    past = DEFAULT_MESSAGES if request.since is None else min(MAX_MESSAGES, max(0, room.last - request.since))
    return room.audience * (1 + _NAME) + (0 if session.dialect.one_room else min(past, room.last))


def _rooms(state: State, session: Session, _: requests.Rooms, answer: RoomList) -> float:
    # Who may not be in all rooms has each of them looked at, to find those where they may be.
    looked_at = 0 if session.identity.may_be_anywhere else state.broker.count_rooms()
    return len(answer.rooms) + _ROOM_LOOKED_AT * looked_at


def _one_room(state: State, _: Session, request: Any, __: Event | None) -> float:
    return cost_of_telling(state.rooms, [request.room])


def _all_rooms(state: State, session: Session, _: Any, __: Event | None) -> float:
    return _RENAME * cost_of_telling(state.rooms, session.rooms)


_COSTS: dict[type[requests.Request], Callable[[State, Session, Any, Any], float]] = {
    requests.Join: _join,
    requests.Leave: _one_room,
    requests.Typing: _one_room,
    requests.Say: lambda state, _, request, __: cost_of_saying(state.rooms, request.room, request.text),
    requests.Nick: _all_rooms,
    requests.History: lambda _, __, ___, answer: len(answer.messages),
    requests.Who: lambda _, __, ___, answer: len(answer.members) * _NAME,
    requests.Rooms: _rooms,
}
