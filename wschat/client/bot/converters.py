"""Converters: what a word of a command's call may be, made from the annotation of a parameter. Add a type to `_CONVERTERS`."""

from __future__ import annotations

import enum
import inspect
import math
import re
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin

from wschat.errors import UsageError

_SWITCHES = {**dict.fromkeys(("yes", "true", "on", "1"), True), **dict.fromkeys(("no", "false", "off", "0"), False)}


@dataclass(frozen=True)
class Converter:
    """Makes a value of a word."""

    convert: Callable[[str], object]
    """Return the value. Raises ValueError for a word that has none."""
    must_be: str
    """What the word must be, for people."""
    choices: tuple[str, ...] = ()
    """The words that can be given; empty if they cannot be listed."""


def _whole_number(word: str) -> int:
    if not re.fullmatch(r"[+-]?\d+", word):  # int() also takes underscores
        raise ValueError(word)
    return int(word)


def _number(word: str) -> float:
    number = float(word)
    if not math.isfinite(number) or "_" in word:
        raise ValueError(word)
    return number


def _one_of(values: Mapping[str, object], must_be: str = "") -> Converter:
    by_key = {word.casefold(): value for word, value in values.items()}

    def convert(word: str) -> object:
        try:
            return by_key[word.casefold()]
        except KeyError:
            raise ValueError(word) from None

    return Converter(convert, must_be or f"one of {', '.join(values)}", tuple(values))


_TEXT = Converter(str, "a text")
_CONVERTERS: dict[object, Converter] = {
    inspect.Parameter.empty: _TEXT,
    str: _TEXT,
    int: Converter(_whole_number, "a whole number"),
    float: Converter(_number, "a number"),
    bool: Converter(_one_of(_SWITCHES).convert, "yes or no", ("yes", "no")),
}


def is_text(annotation: object) -> bool:
    """Return True if any word is a value for a parameter with this annotation."""
    return _CONVERTERS.get(_without_none(annotation)) is _TEXT


def converter_for(annotation: object) -> Converter:
    """Return the converter for an annotation. Raises UsageError, with the types that can be served."""
    wanted: Any = _without_none(annotation)
    if get_origin(wanted) is Literal:
        return _one_of(_by_word(get_args(wanted)))
    if isinstance(wanted, type) and issubclass(wanted, enum.Enum):
        return _one_of({member.name: member for member in wanted})
    try:
        return _CONVERTERS[wanted]
    except (KeyError, TypeError):  # TypeError for an annotation that cannot be hashed
        raise UsageError(f"must be str, int, float, bool, a Literal or an Enum, not {annotation!r}") from None


def _by_word(values: Iterable[object]) -> dict[str, object]:
    """Return the values of a Literal by the words to type."""
    if any(isinstance(value, bool) or not isinstance(value, (str, int)) for value in values):
        raise UsageError("a Literal must have texts or whole numbers only")
    return {str(value): value for value in values}


def _without_none(annotation: object) -> object:
    """Return T for `T | None`: a word is never None, so only the default can be."""
    if get_origin(annotation) not in (Union, types.UnionType):
        return annotation
    others = [kind for kind in get_args(annotation) if kind is not type(None)]
    return others[0] if len(others) == 1 else annotation
