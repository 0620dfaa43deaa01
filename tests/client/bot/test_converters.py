"""The conversion of the words of a command to the types of parameters."""

from __future__ import annotations

import enum
from typing import Any, Literal, Optional, Union

import pytest

from wschat.client.bot.converters import converter_for, is_text
from wschat.errors import UsageError


class Colour(enum.Enum):
    RED = 1
    GREEN = 2


@pytest.mark.parametrize(
    ("annotation", "word", "value"),
    [
        (str, "a", "a"),
        (int, "-3", -3),
        (float, "2.5", 2.5),
        (bool, "Yes", True),
        (bool, "off", False),
        (Literal["left", "right"], "LEFT", "left"),
        (Literal[1, 2], "2", 2),
        (Colour, "red", Colour.RED),
        (int | None, "3", 3),
        (Optional[float], "3", 3.0),  # noqa: UP045
    ],
)
def test_a_word_becomes_a_value_of_the_type(annotation: object, word: str, value: object) -> None:
    converted = converter_for(annotation).convert(word)
    assert converted == value
    assert type(converted) is type(value)


@pytest.mark.parametrize(
    ("annotation", "word", "must_be"),
    [
        (int, "2.5", "a whole number"),
        (int, "1_000", "a whole number"),
        (int, "9" * 10_000, "a whole number"),
        (float, "nan", "a number"),
        (float, "1_0", "a number"),
        (float, "x", "a number"),
        (bool, "maybe", "yes or no"),
        (Literal["left", "right"], "up", "one of left, right"),
        (Colour, "blue", "one of RED, GREEN"),
    ],
)
def test_a_word_of_another_type_is_an_error(annotation: object, word: str, must_be: str) -> None:
    converter = converter_for(annotation)
    assert converter.must_be == must_be
    with pytest.raises(ValueError, match=r"."):
        converter.convert(word)


@pytest.mark.parametrize("annotation", [bytes, list[int], dict, Any, Union[int, str], Literal[b"x"], Literal[True], [], "int"])  # noqa: UP007
def test_an_unsupported_type_is_an_error(annotation: object) -> None:
    with pytest.raises(UsageError, match=r"must be str, int, float, bool, a Literal or an Enum|texts or whole numbers only"):
        converter_for(annotation)


def test_texts_are_known() -> None:
    assert is_text(str)
    assert is_text(str | None)
    assert not is_text(int)
    assert not is_text(Literal["a"])
