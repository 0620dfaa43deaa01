"""The colours of the screen."""

from __future__ import annotations

import pytest

from wschat.cli.terminal.styles import NAME_COLOURS, NameColours


def luminance(colour: str) -> float:
    """Return the relative luminance (WCAG 2.2)."""
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("colour", NAME_COLOURS)
def test_names_are_readable_on_black_and_on_white(colour: str) -> None:
    assert (luminance(colour) + 0.05) / 0.05 >= 3
    assert 1.05 / (luminance(colour) + 0.05) >= 3


def test_a_name_has_the_same_colour_in_each_run() -> None:
    assert NameColours().of("alice") == NameColours().of("Alice") == "#00875f"


def test_names_have_different_colours_while_there_are_any() -> None:
    colours = NameColours()
    names = [f"user{number}" for number in range(len(NAME_COLOURS))]
    assert {colours.of(name) for name in names} == set(NAME_COLOURS)
    assert [colours.of(name) for name in names] == [colours.of(name) for name in names]
    assert colours.of("one more") == NameColours().of("one more")
