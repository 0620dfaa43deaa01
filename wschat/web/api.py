"""The calls of the API: JSON in and out, and one room's events and export as streams.

What may be asked for and what is answered is the chat's business; how it is put in HTTP is here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Iterable, Sequence
from http import HTTPStatus
from typing import NamedTuple

from wschat.brokers.base import Message
from wschat.chat.events import Event, message_fields, to_json
from wschat.chat.http import Caller
from wschat.chat.parser import parse_object
from wschat.errors import Rejected
from wschat.server.requests import Request
from wschat.server.responses import EventsResponse, Response, json_response

# By which those who ask say who they are, and which say nothing about what they ask for.
_CREDENTIALS = frozenset({"name", "password", "token", "secret"})
_NUMBERS = frozenset({"since", "before", "limit"})


class Asked(NamedTuple):
    """A call of the API: the caller, and the room that the path names."""

    caller: Caller
    request: Request
    room: str
    max_body_bytes: int


def rooms(asked: Asked) -> Response:
    """The rooms that there are, a page at a time."""
    return _event_response(asked.caller.run("rooms", _parameters(asked.request, {"after", "limit"})))


def messages(asked: Asked) -> Response:
    """What was said last, before a number, or after one."""
    parameters = _parameters(asked.request, {"before", "since", "limit"})
    return _event_response(asked.caller.run("history", {**parameters, "room": asked.room}))


def members(asked: Asked) -> Response:
    """Who is in a room."""
    return _event_response(asked.caller.run("who", {**_parameters(asked.request, ()), "room": asked.room}))


def post(asked: Asked) -> Response:
    """Say something, once for each id."""
    _parameters(asked.request, ())
    fields = _fields_of(asked.request.read_body(asked.max_body_bytes))
    _refuse_unknown(fields, {"text", "name", "id"})
    header = asked.request.headers.get("idempotency-key")
    if header is not None:
        _take_key(fields, header)
    name = fields.pop("name", None)
    message, is_new = asked.caller.post({**fields, "room": asked.room}, name)
    fields = message_fields(message)
    return json_response(HTTPStatus.CREATED if is_new else HTTPStatus.OK, fields if message.time else {**fields, "time": None})


def events(asked: Asked) -> EventsResponse:
    """Everything that is said in a room from now on, or after an event."""
    since = _parameters(asked.request, {"since"}).get("since")
    # The header is what a browser that comes back knows better than the address it came by; it may be there and empty.
    last_event_id = asked.request.headers.get("last-event-id") or (None if since is None else str(since))
    asked.caller.check_follow(asked.room, last_event_id)
    return EventsResponse(lambda stream: asked.caller.follow(asked.room, stream, last_event_id))


def events_later(seconds: float) -> EventsResponse:
    """What is answered to who follows rooms too often: a browser that were refused would never come again, and by this it does."""
    return EventsResponse(lambda stream: stream.send(f"retry: {math.ceil(seconds * 1000)}\n\n"))


def export(asked: Asked) -> Response:
    """All that is kept of a room, a line for each message."""
    _parameters(asked.request, ())
    pages = asked.caller.export(asked.room)
    return Response(HTTPStatus.OK, map(_lines, pages), {"Content-Type": "application/x-ndjson; charset=utf-8"})


CALLS: dict[tuple[str, str], Callable[[Asked], Response | EventsResponse]] = {
    ("", "GET"): rooms,
    ("messages", "GET"): messages,
    ("messages", "POST"): post,
    ("members", "GET"): members,
    ("events", "GET"): events,
    ("export", "GET"): export,
}
"""The calls, by what follows the name of the room (nothing where there is none), and by the method."""


def _parameters(request: Request, known: Collection[str]) -> dict[str, object]:
    """What is asked for, without who asks. Raises Rejected for what is not known."""
    parameters: dict[str, object] = {name: value for name, value in request.query.items() if name not in _CREDENTIALS}
    _refuse_unknown(parameters, known)
    for name in _NUMBERS & parameters.keys():
        text = str(parameters[name])
        # What is no number, or has more digits than one has, is left for the check to refuse.
        parameters[name] = int(text) if text.isascii() and text.isdigit() and len(text) < 17 else text
    return parameters


def _take_key(fields: dict[str, object], header: str) -> None:
    """Have what an Idempotency-Key says be the id."""
    try:
        header = header.encode("latin-1").decode()
    except UnicodeDecodeError:
        pass  # it is not UTF-8, and as good a key as any other
    key = header.strip().strip('"')  # by its draft it is a quoted string; many leave that out
    if not key:
        raise Rejected("bad-request", "There is nothing in the Idempotency-Key.")
    given = fields.get("id")
    if given is not None and str(given) != key:
        raise Rejected("bad-request", "The id and the Idempotency-Key are not the same.")
    if given is None or type(given) is int:  # the next time there may be only the header, which is a text
        fields["id"] = key


def _refuse_unknown(names: Iterable[str], known: Collection[str]) -> None:
    for name in names:
        if name not in known:
            raise Rejected("bad-field", f"There is no field {name[:32]!r} here.")


def _fields_of(body: bytes) -> dict[str, object]:
    try:
        return parse_object(body.decode(json.detect_encoding(body)))
    except (Rejected, ValueError):
        raise Rejected(
            "bad-request", 'The body is one JSON object: {"text": "...", "name": "...", "id": "..."}, of which only the text has to be.'
        ) from None


def _event_response(event: Event | None) -> Response:
    """The fields of an event, which says by its type what was asked for."""
    assert event is not None
    return json_response(HTTPStatus.OK, {name: value for name, value in event.fields().items() if name != "id"})


def _lines(page: Sequence[Message]) -> bytes:
    return "".join(f"{to_json(message_fields(message))}\n" for message in page).encode()
