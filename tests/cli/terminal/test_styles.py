"""The colours of the screen."""

from __future__ import annotations

import pytest

from wschat.cli.terminal.styles import NAME_COLOURS, name_style


def luminance(colour: str) -> float:
    """Return the relative luminance (WCAG 2.2)."""
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("colour", NAME_COLOURS)
def test_names_are_readable_on_black_and_on_white(colour: str) -> None:
    assert (luminance(colour) + 0.05) / 0.05 >= 3
    assert 1.05 / (luminance(colour) + 0.05) >= 3


def test_a_name_keeps_its_colour() -> None:
    assert name_style("alice") == name_style("Alice") == "#00875f"
    assert len({name_style(f"user{number}") for number in range(100)}) == len(NAME_COLOURS)
