"""The calls of the HTTP API: JSON requests and responses, and a room's events and export as streams.

The chat decides what a caller may do; this module translates between HTTP and the chat.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Iterable, Sequence
from http import HTTPStatus
from typing import NamedTuple

from wschat.brokers.base import Message
from wschat.chat.http import Caller
from wschat.chat.messages import message_fields
from wschat.chat.parser import parse_object
from wschat.errors import Rejected
from wschat.events import Event, to_json
from wschat.server.requests import Request
from wschat.server.responses import EventsResponse, Response, json_response

# Query parameters that identify the caller; no call has parameters of these names.
_CREDENTIALS = frozenset({"name", "password", "token", "secret"})
_NUMBERS = frozenset({"since", "before", "limit"})


class Asked(NamedTuple):
    """A call: the caller, the HTTP request, and the room in the path."""

    caller: Caller
    request: Request
    room: str
    max_body_bytes: int


def rooms(asked: Asked) -> Response:
    """Return the rooms, a page at a time."""
    return _event_response(asked.caller.run("rooms", _parameters(asked.request, {"after", "limit"})))


def messages(asked: Asked) -> Response:
    """Return the last messages of a room, or those before or after a number."""
    parameters = _parameters(asked.request, {"before", "since", "limit"})
    return _event_response(asked.caller.run("history", {**parameters, "room": asked.room}))


def members(asked: Asked) -> Response:
    """Return the members of a room."""
    return _event_response(asked.caller.run("who", {**_parameters(asked.request, ()), "room": asked.room}))


def topic(asked: Asked) -> Response:
    """Return the topic of a room, an empty text if it has none."""
    return _event_response(asked.caller.run("topic", {**_parameters(asked.request, ()), "room": asked.room}))


def post(asked: Asked) -> Response:
    """Post a message. A second one with the same id is not posted."""
    _parameters(asked.request, ())
    fields = _fields_of(asked.request.read_body(asked.max_body_bytes))
    _refuse_unknown(fields, {"text", "name", "id"})
    header = asked.request.headers.get("idempotency-key")
    if header is not None:
        _apply_idempotency_key(fields, header)
    name = fields.pop("name", None)
    message, is_new = asked.caller.post({**fields, "room": asked.room}, name)
    fields = message_fields(message)
    return json_response(HTTPStatus.CREATED if is_new else HTTPStatus.OK, fields if message.time else {**fields, "time": None})


def events(asked: Asked) -> EventsResponse:
    """Stream a room's events, from now on or after an event."""
    since = _parameters(asked.request, {"since"}).get("since")
    # A browser that reconnects sends the header, which is newer than the parameter. It may be empty.
    last_event_id = asked.request.headers.get("last-event-id") or (None if since is None else str(since))
    position, start = asked.caller.start_of(asked.room, last_event_id)
    return EventsResponse(lambda stream: asked.caller.follow(asked.room, position, stream), start=start)


def events_later(seconds: float) -> EventsResponse:
    """Respond to a caller over the rate limit. EventSource does not reconnect after an error status, but it obeys `retry:`."""
    return EventsResponse(lambda stream: None, start=f"retry: {math.ceil(seconds * 1000)}\n\n")


def export(asked: Asked) -> Response:
    """Stream all messages of a room's log, one JSON object a line."""
    _parameters(asked.request, ())
    pages = asked.caller.export(asked.room)
    return Response(HTTPStatus.OK, map(_lines, pages), {"Content-Type": "application/x-ndjson; charset=utf-8"})


CALLS: dict[tuple[str, str], Callable[[Asked], Response | EventsResponse]] = {
    ("", "GET"): rooms,
    ("messages", "GET"): messages,
    ("messages", "POST"): post,
    ("members", "GET"): members,
    ("topic", "GET"): topic,
    ("events", "GET"): events,
    ("export", "GET"): export,
}
"""The calls, by the last part of the path (empty without a room) and the method."""


def _parameters(request: Request, known: Collection[str]) -> dict[str, object]:
    """Return the query parameters without the credentials. Raises Rejected for an unknown one."""
    parameters: dict[str, object] = {name: value for name, value in request.query.items() if name not in _CREDENTIALS}
    _refuse_unknown(parameters, known)
    for name in _NUMBERS & parameters.keys():
        text = str(parameters[name])
        # The chat refuses a text that is no number, or too long for one.
        parameters[name] = int(text) if text.isascii() and text.isdigit() and len(text) < 17 else text
    return parameters


def _apply_idempotency_key(fields: dict[str, object], header: str) -> None:
    """Use an Idempotency-Key as the id. Raises Rejected if it is empty, or not the id that is given."""
    try:
        header = header.encode("latin-1").decode()
    except UnicodeDecodeError:
        pass  # a key in another encoding is a key too
    key = header.strip().strip('"')  # a quoted string by the draft, but many clients omit the quotes
    if not key:
        raise Rejected("bad-request", "There is nothing in the Idempotency-Key.")
    given = fields.get("id")
    if given is not None and str(given) != key:
        raise Rejected("bad-request", "The id and the Idempotency-Key are not the same.")
    if given is None or type(given) is int:  # a later request may have the header only, which is a text
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
    """Return the fields of a reply as JSON."""
    assert event is not None
    return json_response(HTTPStatus.OK, {name: value for name, value in event.fields().items() if name != "id"})


def _lines(page: Sequence[Message]) -> bytes:
    return "".join(f"{to_json(message_fields(message))}\n" for message in page).encode()
