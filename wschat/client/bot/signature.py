"""The arguments of a command, made from the signature of its function."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from inspect import Parameter
from typing import Any

from wschat.callables import check_runs_when_called, name_of
from wschat.client.bot.converters import Converter, converter_for, is_text
from wschat.client.bot.words import Words
from wschat.errors import PeerError, UsageError

_POSITIONAL = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
_INFERRED = (bool, int, float)


class WrongCall(PeerError):
    """A call of a command whose words do not fit its signature. Its text says why."""


@dataclass(frozen=True)
class Argument:
    """One argument of a command."""

    name: str
    """The name of the parameter."""
    converter: Converter
    """Makes the value of a word."""
    default: object = Parameter.empty
    """The value without a word; `Parameter.empty` if a word is needed."""
    takes_rest: bool = False
    """True if it takes everything that is left of the text as one value."""
    is_variadic: bool = False
    """True for `*words`, which takes all words that are left."""
    is_keyword: bool = False
    """True if the function takes it as a keyword."""

    @property
    def usage(self) -> str:
        """The argument as a usage shows it: `DICE`, `[DICE]` or `[WORDS...]`."""
        shown = "|".join(self.converter.choices) or self.name.strip("_").upper()
        if self.is_variadic:
            return f"[{shown}...]"
        return shown if self.default is Parameter.empty else f"[{shown}]"

    def values(self, words: Words) -> list[object]:
        """Take the words for this argument and return their values. Raises WrongCall."""
        if self.is_variadic:
            return [self._value(word) for word in iter(words.take, None)]
        word = words.take_rest() if self.takes_rest else words.take()
        if word is not None:
            return [self._value(word)]
        if self.default is Parameter.empty:
            raise WrongCall(f"{self.name} is missing")
        return [self.default]

    def _value(self, word: str) -> object:
        try:
            return self.converter.convert(word)
        except ValueError:
            raise WrongCall(f"{self.name} must be {self.converter.must_be}, not {word[:40]!r}") from None


class Signature:
    """The arguments of a command. Raises UsageError for a function whose signature cannot be served.

    The first parameter takes the message. Each other one takes a word, converted to the type of its annotation: str, int, float, bool, a
    Literal or an Enum; without an annotation, to that of its default. The last one, if it is a str, and a keyword-only one take the rest
    of the text. `*words` takes all words that are left.
    """

    def __init__(self, function: Callable[..., object]) -> None:
        check_runs_when_called(function, "a command")
        try:
            first, *others = inspect.signature(function).parameters.values()
        except ValueError:
            raise UsageError(f"a command {name_of(function)} must take the message as its first argument") from None
        if first.kind not in _POSITIONAL:
            raise UsageError(f"a command {name_of(function)} must take the message as its first argument, not as {first}")
        self._check_kinds(function, others)
        self.arguments = [self._argument(function, parameter, parameter is others[-1]) for parameter in others]
        """The arguments, in order."""

    @property
    def usage(self) -> str:
        """The arguments as a usage shows them, each after a space."""
        return "".join(f" {argument.usage}" for argument in self.arguments)

    def bind(self, text: str) -> tuple[list[object], dict[str, object]]:
        """Return the positional and the keyword arguments for the text of a call. Raises WrongCall."""
        words = Words(text)
        positional: list[object] = []
        keywords: dict[str, object] = {}
        for argument in self.arguments:
            values = argument.values(words)
            if argument.is_keyword:
                keywords[argument.name] = values[0]
            else:
                positional += values
        if (extra := words.take()) is not None:
            raise WrongCall(f"{extra[:40]!r} is one word too many")
        return positional, keywords

    @staticmethod
    def _check_kinds(function: Callable[..., object], parameters: list[Parameter]) -> None:
        takers = [p for p in parameters if p.kind not in _POSITIONAL]
        if len(takers) > 1 or any(p.kind is Parameter.VAR_KEYWORD for p in takers):
            raise UsageError(
                f"a command {name_of(function)} may have either *words or one keyword-only parameter, which take what is left of the "
                f"text, not {', '.join(map(str, takers))}"
            )

    @staticmethod
    def _argument(function: Callable[..., object], parameter: Parameter, is_last: bool) -> Argument:
        annotation = _annotation(function, parameter)
        try:
            converter = converter_for(annotation)
        except UsageError as error:
            raise UsageError(f"a command {name_of(function)}: {parameter.name} {error}") from None
        is_keyword, is_variadic = parameter.kind is Parameter.KEYWORD_ONLY, parameter.kind is Parameter.VAR_POSITIONAL
        takes_rest = is_keyword or (is_last and not is_variadic and is_text(annotation))
        return Argument(parameter.name, converter, parameter.default, takes_rest, is_variadic, is_keyword)


def _annotation(function: Callable[..., object], parameter: Parameter) -> object:
    """Return the annotation of a parameter, evaluated if it is a text, or else the type of its default. Raises UsageError."""
    annotation: object = parameter.annotation
    if annotation is Parameter.empty and isinstance(parameter.default, _INFERRED):
        return type(parameter.default)
    if not isinstance(annotation, str):
        return annotation
    target: Any = inspect.unwrap(function)
    while isinstance(target, functools.partial):
        target = inspect.unwrap(target.func)
    names = getattr(target if hasattr(target, "__globals__") else type(target).__call__, "__globals__", {})
    try:
        return eval(annotation, names)
    except Exception as error:
        raise UsageError(
            f"a command {name_of(function)}: the annotation {annotation!r} of {parameter.name} has no value: {error}"
        ) from None
