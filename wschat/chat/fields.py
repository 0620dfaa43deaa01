"""The types of an action's fields, each with the check that a value from outside must pass.

A field is declared as `room: RoomName`, where `RoomName` is `Annotated[str, Check(...)]`. A check returns the value in its
normal form, or raises ValueError with what the value must be: `must be a string`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from wschat.chat.addresses import canonical_address
from wschat.chat.guest_secrets import SECRET_RULE, is_secret
from wschat.events import Id
from wschat.names import RULE, key_of, normalize_name
from wschat.v1 import MAX_ID_LENGTH, MAX_NUMBER

MAX_MESSAGES = 1000
"""The most messages in one reply."""
DEFAULT_MESSAGES = 100
"""The number of messages in a reply if the client gives no limit."""
MAX_ROOMS = 1000
"""The most rooms in one reply."""
MAX_LINE = 500
"""The most characters of a `Line`."""

_MAX_SECONDS = 100 * 366 * 86_400


def _as_is(word: str) -> object:
    return word


@dataclass(frozen=True)
class Check:
    """How a field's value is checked. Put into the field's type by `Annotated`."""

    normalize: Callable[[object], object]
    """Return the value in its normal form. Raises ValueError."""
    from_word: Callable[[str], object] = _as_is
    """Convert a word of a command to a value to be checked. A word that cannot be converted is returned as it is."""


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a string")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("must not contain half a character (a lone surrogate)") from None
    return value


def _text(value: object) -> str:
    text = _string(value)
    if not text.strip():
        raise ValueError("must not be blank")
    return text


def _line(value: object) -> str:
    line = " ".join(_string(value).split())
    if len(line) > MAX_LINE:
        raise ValueError(f"must have at most {MAX_LINE} characters")
    if any(unicodedata.category(character) == "Cc" for character in line):
        raise ValueError("must not contain control characters")
    return line


def _line_from(word: str) -> str:
    return "" if word == "-" else word


def _name(value: object) -> str:
    name = normalize_name(_string(value))
    if name is None:
        raise ValueError(f"must be {RULE}")
    return name


def _room(value: object) -> str:
    return key_of(_name(value))


def _name_or_address(value: object) -> str:
    text = _string(value)
    name = canonical_address(text) or normalize_name(text)
    if name is None:
        raise ValueError(f"must be a name ({RULE}) or an IP address")
    return name


def _number(value: object) -> int:
    if type(value) is not int or not 0 <= value <= MAX_NUMBER:
        raise ValueError("must be a whole number, 0 or greater")
    return value


def _limit(value: object) -> int:
    if type(value) is not int or not 1 <= value <= MAX_MESSAGES:
        raise ValueError(f"must be a whole number from 1 to {MAX_MESSAGES}")
    return value


def _limit_from(word: str) -> int | str:
    # int() refuses a string of thousands of digits; no limit has ten.
    return int(word) if word.isascii() and word.isdigit() and len(word) < 10 else word


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= _MAX_SECONDS:
        raise ValueError("must be a number of seconds, 0 or greater")
    return value


def _seconds_from(word: str) -> float | str:
    try:
        return float(word)
    except ValueError:
        return word


def _secret(value: object) -> str:
    if not isinstance(value, str) or not is_secret(value):
        raise ValueError(f'must be the "secret" of a "welcome": {SECRET_RULE}')
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def check_id(value: object) -> Id | None:
    """Return the id of a client's request, None if it has none. Raises ValueError."""
    if isinstance(value, str) and len(value) <= MAX_ID_LENGTH:
        return _string(value)
    if value is None or (type(value) is int and abs(value) <= MAX_NUMBER):
        return value
    raise ValueError(f"must be a string of at most {MAX_ID_LENGTH} characters, or a whole number")


ActionId = Annotated[Id | None, Check(check_id)]
"""The id that the reply repeats, None for no `ack`."""
String = Annotated[str, Check(_string)]
"""Any string."""
Text = Annotated[str, Check(_text)]
"""A string that is not blank."""
Line = Annotated[str, Check(_line, _line_from)]
"""A string of at most `MAX_LINE` characters, with single spaces for all white space. It may be empty: in a command, `-` means that."""
Name = Annotated[str, Check(_name)]
"""A user's name, in its normal form."""
RoomName = Annotated[str, Check(_room)]
"""A room's name, as the key by which rooms are known."""
NameOrAddress = Annotated[str, Check(_name_or_address)]
"""A user's name, or an IP address in canonical form."""
Number = Annotated[int, Check(_number)]
"""The number of a message, or 0."""
Limit = Annotated[int, Check(_limit, _limit_from)]
"""A number of entries, from 1 to `MAX_MESSAGES`."""
Seconds = Annotated[float, Check(_seconds, _seconds_from)]
"""A duration."""
Secret = Annotated[str, Check(_secret)]
"""The secret of a guest."""
Flag = Annotated[bool, Check(_flag)]
"""True or false."""
