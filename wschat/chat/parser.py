"""The parser: a JSON object or a typed line in, an action out."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from wschat.chat.action import AnyAction, Command
from wschat.chat.actions import ACTIONS
from wschat.chat.fields import check_id
from wschat.chat.schema import BadField, Schema
from wschat.errors import Rejected
from wschat.events import Id

NO_ROOM = "You are not in a room. Type /join ROOM to enter one."
"""The error for a line that is about a room, typed outside of one."""

_SHOWN_CHARACTERS = 40  # of an unknown command
_MAX_STRUCTURE = 5000  # more than the digits of any number that Python parses
# It matches whatever comes after a quote, or its time would grow with the square of the length.
_STRINGS = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)', re.DOTALL)

_decode = json.JSONDecoder().decode  # `json.loads` looks at its other arguments first


def parse_action(text: str) -> AnyAction:
    """Return the action that a JSON text asks for. Raises Rejected."""
    return make_action(parse_object(text))


def parse_object(text: str) -> dict[str, Any]:
    """Return the fields of a JSON object.

    Raises Rejected, also for an object with more than 5,000 characters outside of its strings: making objects of them takes long.
    """
    if len(text) > _MAX_STRUCTURE and len(_STRINGS.sub("", text)) > _MAX_STRUCTURE:
        raise Rejected("bad-request", f"A request must be one JSON object with at most {_MAX_STRUCTURE} characters outside of strings.")
    try:
        fields = _decode(text)
    except (ValueError, RecursionError):  # ValueError also for a number of thousands of digits
        fields = None
    if not isinstance(fields, dict):
        raise Rejected("bad-request", "A request must be one JSON object.")
    return fields


def make_action(fields: Mapping[str, object]) -> AnyAction:
    """Return the action with this `type` and these fields. Raises Rejected."""
    kind = fields.get("type")
    schema = ACTIONS.schemas.get(kind) if isinstance(kind, str) else None
    if schema is None:
        raise Rejected("bad-request", f'"type" must be one of {", ".join(ACTIONS.schemas)}.')
    return schema.make(fields)


def id_in(text: str) -> Id | None:
    """Return the id in a JSON text that may be wrong in every other way."""
    try:
        return check_id(parse_object(text).get("id"))
    except (Rejected, ValueError):
        return None


def parse_command(line: str, room: str | None, action_id: Id | None = None) -> AnyAction:
    """Return the action that a line like `/nick alice`, typed in this room, asks for. Raises Rejected, with the command's usage."""
    name, _, rest = line[1:].partition(next(filter(str.isspace, line), " "))
    entry = ACTIONS.commands.get(name.lower())
    if entry is None:
        shown = name[:_SHOWN_CHARACTERS]
        raise Rejected("bad-command", f"Unknown command /{shown}. Type /help for a list, or start with // to send it as text.")
    command, schema = entry
    fields = _fields_of(command, schema, rest.strip())
    if "room" in schema.checks and "room" not in fields:
        if room is None:
            raise Rejected("bad-command", NO_ROOM)
        fields["room"] = room
    try:
        return schema.make({**fields, "id": action_id})
    except BadField as error:
        placeholder = command.placeholders[command.fields.index(error.field)].strip("[]")
        raise Rejected("bad-command", f"{placeholder} {error.why}. Usage: {command.usage}") from None


def _fields_of(command: Command, schema: Schema, line: str) -> dict[str, object]:
    """Return the fields that are the words of a line. Raises Rejected for too few words or too many."""
    most = len(command.fields)
    words = line.split(maxsplit=most - 1) if most else line.split()
    if not command.required <= len(words) <= most:
        raise Rejected("bad-command", f"Usage: {command.usage}")
    if words:
        words[-1] = command.prefix + words[-1]
    converted = {name: schema.checks[name].from_word(word) for name, word in zip(command.fields, words, strict=False)}
    return {**command.defaults, **converted}
