"""Requests: what people may ask the chat for, as typed records, and how JSON becomes one. To add one, write its record.

A field is checked by the function that `_CHECKS` has for its name; one with a default may be left out.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from wschat.chat.addresses import canonical_address
from wschat.chat.events import Id
from wschat.chat.guest_secrets import SECRET_RULE, is_secret
from wschat.chat.names import RULE, key_of, normalize_name
from wschat.errors import Rejected

MAX_MESSAGES = 1000
"""The most that one answer brings."""
DEFAULT_MESSAGES = 100
MAX_ROOMS = 1000
"""The most rooms that are listed at once."""
_MAX_ID_LENGTH = 128
_SHOWN_CHARACTERS = 32  # of what is not known
_MAX_SECONDS = 100 * 366 * 86_400
_MAX_STRUCTURE = 5000  # more than the digits of any number that Python reads
# It matches whatever comes after a quote, or the time that it takes would grow with the square of the length.
_STRINGS = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)', re.DOTALL)
_MAX_NUMBER = (1 << 53) - 1  # what JavaScript can count to


@dataclass(frozen=True)
class Request:
    """What somebody asks for. `id` is what the answer is to be called by; without one there is no `ack`."""

    type: ClassVar[str]
    id: Id | None = dataclasses.field(default=None, kw_only=True)


@dataclass(frozen=True)
class Join(Request):
    """Be in a room, and get what was said after `since` (in that epoch, if it is given), or the last messages."""

    type = "join"
    room: str
    since: int | None = None
    epoch: str | None = None


@dataclass(frozen=True)
class Leave(Request):
    """Be in a room no more."""

    type = "leave"
    room: str


@dataclass(frozen=True)
class Say(Request):
    """Say something in a room. With an id it is said once, however often it is asked for. `/` begins a command."""

    type = "say"
    room: str
    text: str


@dataclass(frozen=True)
class Whisper(Request):
    """Say something to one person only."""

    type = "whisper"
    to: str
    text: str


@dataclass(frozen=True)
class Nick(Request):
    """Take a name, by a secret that an earlier connection was given, and `replace` the one that has it by the same secret."""

    type = "nick"
    name: str
    secret: str | None = None
    replace: bool = False


@dataclass(frozen=True)
class Typing(Request):
    """Let the room know that one is typing."""

    type = "typing"
    room: str


@dataclass(frozen=True)
class Who(Request):
    """Ask who is in a room."""

    type = "who"
    room: str


@dataclass(frozen=True)
class Rooms(Request):
    """Ask which rooms there are: the first of them after a name, or of all."""

    type = "rooms"
    after: str | None = None
    limit: int | None = None


@dataclass(frozen=True)
class History(Request):
    """Read what was said in a room: before a number, or after one, or at last."""

    type = "history"
    room: str
    before: int | None = None
    since: int | None = None
    limit: int = DEFAULT_MESSAGES


@dataclass(frozen=True)
class Kick(Request):
    """Have somebody leave a room."""

    type = "kick"
    room: str
    name: str


@dataclass(frozen=True)
class Mute(Request):
    """Have somebody, or an address, say nothing in a room, for so many seconds (0: not any more) or for good."""

    type = "mute"
    room: str
    name: str
    seconds: float | None = None


@dataclass(frozen=True)
class Ban(Request):
    """Have somebody, or an address, stay out of a room, for so many seconds (0: not any more) or for good."""

    type = "ban"
    room: str
    name: str
    seconds: float | None = None


@dataclass(frozen=True)
class Unban(Request):
    """Let somebody, or an address, into a room again."""

    type = "unban"
    room: str
    name: str


@dataclass(frozen=True)
class Op(Request):
    """Make somebody a moderator of a room."""

    type = "op"
    room: str
    name: str


@dataclass(frozen=True)
class Help(Request):
    """Ask which commands there are."""

    type = "help"


KINDS: tuple[type[Request], ...] = (Join, Leave, Say, Whisper, Nick, Typing, Who, Rooms, History, Kick, Mute, Ban, Unban, Op, Help)
"""All kinds of requests that there are."""


class BadField(Rejected):
    """A field of a request is wrong; `why` says what is, without naming it."""

    def __init__(self, request_type: str, field: str, why: str) -> None:
        super().__init__("bad-field", f"The field {field!r} of {request_type!r}: {why}")
        self.why = why


def parse_request(text: str) -> Request:
    """The request that a JSON text makes. Raises Rejected."""
    return make_request(parse_object(text))


def parse_object(text: str) -> dict[str, Any]:
    """The fields of a JSON object. Raises Rejected, also for one with far more in it than texts: to make objects of that takes long."""
    if len(text) > _MAX_STRUCTURE and len(_STRINGS.sub("", text)) > _MAX_STRUCTURE:
        raise Rejected("bad-request", f"A request is one JSON object, with at most {_MAX_STRUCTURE} characters that are not in a text.")
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):  # ValueError is also what Python says of numbers with thousands of digits
        fields = None
    if not isinstance(fields, dict):
        raise Rejected("bad-request", "A request is one JSON object.")
    return fields


def make_request(fields: Mapping[str, object]) -> Request:
    """The request that these fields make. Raises Rejected."""
    kind = fields.get("type")
    known = _RECORDS.get(kind) if isinstance(kind, str) else None
    if known is None:
        raise Rejected("bad-request", f"A request has a 'type': {', '.join(_RECORDS)}.")
    return known.make(fields)


def id_of(text: str) -> Id | None:
    """The id of a request that may be wrong in every other way."""
    try:
        return _id(parse_object(text).get("id"))
    except (Rejected, ValueError):
        return None


# What the fields may be. Each check returns the value to go on with, or raises ValueError with a sentence that says why not.


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("It is a text.")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("It has half a character (a lone surrogate) in it.") from None
    return value


def _spoken(value: object) -> str:
    text = _text(value)
    if not text.strip():
        raise ValueError("There has to be something in it.")
    return text


def _name(value: object) -> str:
    name = normalize_name(_text(value))
    if name is None:
        raise ValueError(f"A name has {RULE}.")
    return name


def _room(value: object) -> str:
    name = normalize_name(_text(value))
    if name is None:
        raise ValueError(f"The name of a room has {RULE}.")
    return key_of(name)


def _person_or_address(value: object) -> str:
    return canonical_address(_text(value)) or _name(value)


def _number(value: object) -> int:
    if type(value) is not int or not 0 <= value <= _MAX_NUMBER:
        raise ValueError("It is a whole number from 0 on.")
    return value


def _limit(value: object) -> int:
    if type(value) is not int or not 1 <= value <= MAX_MESSAGES:
        raise ValueError(f"It is a whole number from 1 to {MAX_MESSAGES}.")
    return value


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= _MAX_SECONDS:
        raise ValueError("It is a number of seconds from 0 on.")
    return value


def _secret(value: object) -> str:
    if not isinstance(value, str) or not is_secret(value):
        raise ValueError(f"It is the 'secret' of a 'welcome': {SECRET_RULE}.")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("It is true or false.")
    return value


def _id(value: object) -> Id | None:
    if isinstance(value, str) and len(value) <= _MAX_ID_LENGTH:
        return _text(value)
    if value is None or (type(value) is int and abs(value) <= _MAX_NUMBER):
        return value
    raise ValueError(f"It is a text of at most {_MAX_ID_LENGTH} characters, or a whole number.")


_CHECKS: dict[str, Callable[[object], object]] = {
    "id": _id,
    "room": _room,
    "since": _number,
    "before": _number,
    "after": _room,
    "epoch": _text,
    "text": _spoken,
    "to": _name,
    "name": _name,
    "limit": _limit,
    "seconds": _seconds,
    "secret": _secret,
    "replace": _flag,
}
_CHECKS_OF_TYPE: dict[tuple[type[Request], str], Callable[[object], object]] = {
    (Ban, "name"): _person_or_address,
    (Mute, "name"): _person_or_address,
    (Unban, "name"): _person_or_address,
}


class _Record:
    """A kind of request, and the checks of its fields."""

    def __init__(self, kind: type[Request]) -> None:
        self._kind = kind
        self._checks = {field.name: _CHECKS_OF_TYPE.get((kind, field.name), _CHECKS[field.name]) for field in dataclasses.fields(kind)}
        self._required = [field.name for field in dataclasses.fields(kind) if field.default is dataclasses.MISSING]

    def make(self, fields: Mapping[str, object]) -> Request:
        checks, kind = self._checks, self._kind
        values = {}
        for name, value in fields.items():
            check = checks.get(name)
            if check is not None:
                if value is not None:  # null is as good as nothing
                    try:
                        values[name] = check(value)
                    except ValueError as error:
                        raise BadField(kind.type, name, str(error)) from None
            elif name != "type":
                raise BadField(kind.type, name[:_SHOWN_CHARACTERS], f"There is no such field, but {', '.join(map(repr, checks))}.")
        for name in self._required:
            if name not in values:
                raise BadField(kind.type, name, "It is missing.")
        return kind(**values)  # type: ignore[arg-type]  # the checks see to that


_RECORDS = {kind.type: _Record(kind) for kind in KINDS}
