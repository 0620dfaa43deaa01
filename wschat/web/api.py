"""The calls of the API: JSON in and out, and one room's events and export as streams.

A call gets the visit of whoever asks, the call itself, and the room that its path names. What may be asked for and what is
answered is the chat's business; how it is put in HTTP is here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from http import HTTPStatus

from wschat.brokers.base import Message
from wschat.chat.events import Event, message_fields, to_json
from wschat.chat.visits import Visit
from wschat.errors import Rejected
from wschat.server.answers import Call, EventsResponse, Response, json_response

# By which those who ask say who they are, and which say nothing about what they ask for.
_CREDENTIALS = frozenset({"name", "password", "token"})
_NUMBERS = frozenset({"since", "before", "limit"})


def rooms(visit: Visit, call: Call, _: str, __: int) -> Response:
    """The rooms that there are."""
    return _event_response(visit.ask("rooms", _parameters(call)))


def messages(visit: Visit, call: Call, room: str, _: int) -> Response:
    """What was said last, before a number, or after one."""
    return _event_response(visit.ask("history", {**_parameters(call), "room": room}))


def members(visit: Visit, call: Call, room: str, _: int) -> Response:
    """Who is in a room."""
    return _event_response(visit.ask("who", {**_parameters(call), "room": room}))


def post(visit: Visit, call: Call, room: str, max_bytes: int) -> Response:
    """Say something, once for each id."""
    fields = _fields_of(call.read_body(max_bytes))
    _refuse_unknown(fields.keys() - {"text", "name", "id"})
    header = call.request.headers.get("idempotency-key")
    if header is not None:
        key = header.strip('"')  # by its draft it is a quoted string; many leave that out
        if fields.get("id") is None:
            fields["id"] = key
        elif fields["id"] != key:
            raise Rejected("bad-request", "The id and the Idempotency-Key are not the same.")
    name = fields.pop("name", None)
    message, is_new = visit.post({**fields, "room": room}, name)
    fields = message_fields(message)
    return json_response(HTTPStatus.CREATED if is_new else HTTPStatus.OK, fields if message.time else {**fields, "time": None})


def events(visit: Visit, call: Call, room: str, _: int) -> EventsResponse:
    """Everything that is said in a room from now on, or after an event."""
    parameters = _parameters(call)
    since = parameters.pop("since", None)
    _refuse_unknown(parameters)
    # The header is what a browser that comes back knows better than the address it came by; it may be there and empty.
    last_event_id = call.request.headers.get("last-event-id") or (None if since is None else str(since))
    visit.check_follow(room, last_event_id)
    return EventsResponse(lambda stream: visit.follow(room, stream, last_event_id))


def export(visit: Visit, call: Call, room: str, _: int) -> Response:
    """All that is kept of a room, a line for each message."""
    _refuse_unknown(_parameters(call))
    pages = visit.export(room)
    return Response(HTTPStatus.OK, map(_lines, pages), {"Content-Type": "application/x-ndjson; charset=utf-8"})


CALLS: dict[tuple[str, str], Callable[[Visit, Call, str, int], Response | EventsResponse]] = {
    ("", "GET"): rooms,
    ("messages", "GET"): messages,
    ("messages", "POST"): post,
    ("members", "GET"): members,
    ("events", "GET"): events,
    ("export", "GET"): export,
}
"""The calls, by what follows the name of the room (nothing where there is none), and by the method."""


def _parameters(call: Call) -> dict[str, object]:
    """What is asked for, without who asks."""
    parameters: dict[str, object] = {name: value for name, value in call.request.query.items() if name not in _CREDENTIALS}
    for name in _NUMBERS & parameters.keys():
        text = str(parameters[name])
        # What is no number, or has more digits than one has, is left for the check to refuse.
        parameters[name] = int(text) if text.isascii() and text.isdigit() and len(text) < 17 else text
    return parameters


def _refuse_unknown(names: Iterable[str]) -> None:
    for name in names:
        raise Rejected("bad-field", f"There is no field {name[:32]!r} here.")


def _fields_of(body: bytes) -> dict[str, object]:
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise Rejected(
            "bad-request", 'The body is one JSON object: {"text": "...", "name": "...", "id": "..."}, of which only the text has to be.'
        )
    return fields


def _event_response(event: Event | None) -> Response:
    """The fields of an event, which says by its type what was asked for."""
    assert event is not None
    return json_response(HTTPStatus.OK, {name: value for name, value in vars(event).items() if name != "id"})


def _lines(page: Sequence[Message]) -> bytes:
    return "".join(f"{to_json(message_fields(message))}\n" for message in page).encode()
