"""The chat in plain text: what a client gets that asks for no subprotocol, such as the JavaScript tutorial's.

It is greeted, and each text it sends reaches everyone in the room, itself included, as `Server: TEXT`, or as `NAME: TEXT`
once it has a name.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from urllib.parse import unquote

from wschat.chat.commands import Context, run_command
from wschat.chat.names import RULE, normalize_name
from wschat.chat.rates import Allowance, Rate
from wschat.chat.rooms import Member, Room, Rooms
from wschat.connection.connection import Connection
from wschat.errors import RequestRefused
from wschat.protocol.frames import CloseCode
from wschat.server.requests import Request

GREETING = "Welcome to the chat!"
NAMELESS = "Server"
LOBBY = "lobby"

_SHOWN_CHARACTERS = 40
_ROOM_PATH = re.compile(r"/rooms/([^/]+)")


class PlainChat:
    """The chat. `handle` and `check_request` are for a server. `rate` is what one connection may send, None for no limit."""

    def __init__(self, rate: Rate | None = None) -> None:
        self._rooms = Rooms()
        self._rate = rate

    def check_request(self, request: Request) -> None:
        """Refuse paths where there is no room (404) and names that are none (400)."""
        _destination(request)

    def handle(self, ws: Connection) -> None:
        """The stay of one client."""
        room_name, name = _destination(Request("GET", ws.path, {}))
        if name is not None and not self._rooms.names.take(name):
            ws.close(CloseCode.POLICY_VIOLATION, f"the name {name} is taken")
            return
        member = Member(ws, name)
        try:
            ws.send(GREETING)
            with self._rooms.visit(room_name, member) as room:
                self._talk(member, room)
        finally:
            if member.name is not None:
                self._rooms.names.give_up(member.name)

    def _talk(self, member: Member, room: Room) -> None:
        context = Context(member, room, self._rooms.names)
        allowance = Allowance(self._rate) if self._rate else None
        for text in member.connection:
            if allowance is not None and not allowance.take():
                if allowance.is_abused:
                    member.connection.close(CloseCode.POLICY_VIOLATION, "too many messages")
                    return
                member.connection.send(f"Too fast: at most {self._rate}. This was not sent: {_beginning_of(text)}")
            elif isinstance(text, bytes):
                member.connection.send("This chat takes text, not binary messages.")
            elif text.startswith("/") and not text.startswith("//"):
                member.connection.send(run_command(context, text))
            else:
                room.hub.broadcast(f"{member.name or NAMELESS}: {text.removeprefix('/')}")


def _beginning_of(message: str | bytes) -> str:
    """Enough of it to know it again."""
    if isinstance(message, bytes):
        return f"{len(message)} bytes"
    return message if len(message) <= _SHOWN_CHARACTERS else f"{message[:_SHOWN_CHARACTERS]}..."


def _destination(request: Request) -> tuple[str, str | None]:
    """The room and the name that a request asks for."""
    if request.path == "/":
        room: str | None = LOBBY
    else:
        match = _ROOM_PATH.fullmatch(request.path)
        room = normalize_name(unquote(match[1])) if match else None
    if room is None:
        raise RequestRefused(HTTPStatus.NOT_FOUND, f"There is no such room: / is the lobby, /rooms/NAME any other; NAME has {RULE}.")
    name = request.query.get("name")
    if name is not None and normalize_name(name) is None:
        raise RequestRefused(HTTPStatus.BAD_REQUEST, f"A name has {RULE}.")
    return room, None if name is None else normalize_name(name)
