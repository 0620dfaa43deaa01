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
        if field.takes(value):
            values[field.name] = value
        elif value is not None or not field.has_default:
            raise ValueError(f'{kind.type}: "{field.json_name}" is missing or has a wrong type')
    return kind(**values)


class _Field(NamedTuple):
    name: str
    json_name: str
    types: tuple[type, ...]
    element_types: tuple[type, ...]  # of those of a list
    has_default: bool

    def takes(self, value: object) -> bool:
        """Return True if a value has the type of the field, and so have its elements."""
        return isinstance(value, self.types) and (
            not isinstance(value, list) or all(isinstance(element, self.element_types) for element in value)
        )


@cache
def _records() -> dict[str, tuple[type[Event], list[_Field]]]:
    """Return the records by their types, each with its fields."""
    return {kind.type: (kind, _fields_of(kind)) for kind in Event.__subclasses__() if kind not in OF_CLIENTS}


def _fields_of(kind: type[Event]) -> list[_Field]:
    hints = get_type_hints(kind)
    made = []
    for field in fields(kind):
        parts = _parts_of(hints[field.name])
        elements = [_json_type(get_args(part)[0]) for part in parts if get_origin(part) is Sequence]
        types = tuple(map(_json_type, parts))
        made.append(_Field(field.name, JSON_NAMES.get(field.name, field.name), types, tuple(elements), field.default is not MISSING))
    return made


def _parts_of(hint: Any) -> Sequence[Any]:
    return get_args(hint) if get_origin(hint) is UnionType else (hint,)


def _json_type(hint: Any) -> Any:
    """Return the type or the types of the JSON values for a type that is not a union."""
    return _JSON_TYPES[get_origin(hint) or hint]
