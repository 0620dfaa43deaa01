"""Reading the events that the chat sends: from a JSON object to its record in `wschat.events`. Takes nothing on trust."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from functools import cache
from types import NoneType, UnionType
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

from wschat.events import JSON_NAMES, OF_CLIENTS, Event, OtherEvent

# The types of the values that `json` makes for the types of fields.
_JSON_TYPES: Mapping[type, Any] = {float: (int, float), Sequence: list, Mapping: dict, str: str, int: int, bool: bool, NoneType: NoneType}


def parse_event(text: str | bytes) -> Event:
    """Return the event in a JSON object, without fields that its record does not have. From any thread.

    An event of an unknown type becomes an `OtherEvent`. Raises ValueError if the text is not an event.
    """
    data = json.loads(text)
    if not isinstance(data, dict) or not isinstance(data.get("type"), str):
        raise ValueError('an event must be a JSON object with a "type"')
    return event_from(data)


def event_from(data: Mapping[str, object], default_type: str = "") -> Event:
    """Return the event with the fields of a JSON object, of the default type if it names none. As `parse_event`."""
    type_name = str(data.get("type", default_type))
    if type_name not in _records():
        return OtherEvent(data)
    kind, fields_of_kind = _records()[type_name]
    values = {}
    for field in fields_of_kind:
        value = data.get(field.json_name)
        if isinstance(value, field.types):
            values[field.name] = value
        elif value is not None or not field.has_default:
            raise ValueError(f'{kind.type}: "{field.json_name}" is missing or has a wrong type')
    return kind(**values)


class _Field(NamedTuple):
    name: str
    json_name: str
    types: tuple[type, ...]
    has_default: bool


@cache
def _records() -> dict[str, tuple[type[Event], list[_Field]]]:
    """Return the records by their types, each with its fields."""
    return {kind.type: (kind, _fields_of(kind)) for kind in Event.__subclasses__() if kind not in OF_CLIENTS}


def _fields_of(kind: type[Event]) -> list[_Field]:
    hints = get_type_hints(kind)
    return [
        _Field(field.name, JSON_NAMES.get(field.name, field.name), _types_in(hints[field.name]), field.default is not MISSING)
        for field in fields(kind)
    ]


def _types_in(hint: Any) -> tuple[type, ...]:
    """Return the types of the JSON values for a field's type, which may be a union."""
    parts = get_args(hint) if get_origin(hint) is UnionType else (hint,)
    return tuple(_JSON_TYPES[get_origin(part) or part] for part in parts)
