"""Schemas: how the fields of a JSON object become an action."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, get_args, get_type_hints

from wschat.chat.action import AnyAction
from wschat.chat.fields import Check
from wschat.errors import Rejected

_SHOWN_CHARACTERS = 32  # of an unknown name


class BadField(Rejected):
    """A field of a request is wrong. From any thread."""

    def __init__(self, action_type: str, field: str, why: str) -> None:
        super().__init__("bad-field", f"{action_type}: {json.dumps(field[:_SHOWN_CHARACTERS])} {why}")
        self.field = field
        """The name of the field."""
        self.why = why
        """What is wrong with it: `must be a string`."""


class Schema:
    """The fields of one kind of action, with their checks. From any thread. Raises TypeError for a field without a check."""

    def __init__(self, kind: type[AnyAction]) -> None:
        self.kind = kind
        """The class of the action."""
        hints = get_type_hints(kind, include_extras=True)
        self.checks = {field.name: _check_in(kind, field.name, hints[field.name]) for field in dataclasses.fields(kind)}
        """The checks, by the names of the fields."""
        self._required = [field.name for field in dataclasses.fields(kind) if field.default is dataclasses.MISSING]
        self._normalize = {name: check.normalize for name, check in self.checks.items()}

    def make(self, fields: Mapping[str, object]) -> AnyAction:
        """Return the action with these fields; null is the same as no value. Raises BadField."""
        checks, kind = self._normalize, self.kind
        values = {}
        for name, value in fields.items():
            check = checks.get(name)
            if check is not None:
                if value is not None:
                    try:
                        values[name] = check(value)
                    except ValueError as error:
                        raise BadField(kind.type, name, str(error)) from None
            elif name != "type":
                raise BadField(kind.type, name, f"is unknown; the fields are {', '.join(map(json.dumps, checks))}")
        for name in self._required:
            if name not in values:
                raise BadField(kind.type, name, "is missing")
        return kind(**values)  # type: ignore[arg-type]  # the checks have seen to the types


def _check_in(kind: type[AnyAction], name: str, hint: Any) -> Check:
    """Return the check in a field's type, which may be `Annotated[...] | None`."""
    for part in (hint, *get_args(hint)):
        for extra in getattr(part, "__metadata__", ()):
            if isinstance(extra, Check):
                return extra
    raise TypeError(f"the field {name!r} of {kind.__qualname__} has no check: its type must be one of wschat.chat.fields")
