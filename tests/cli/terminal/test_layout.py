"""The arrangement of the screen."""

from __future__ import annotations

import pytest

from wschat.cli.terminal.layout import bottom_aligned, status_row
from wschat.cli.terminal.rows import Row, width_of
from wschat.cli.terminal.styles import STRONG


def test_rows_are_at_the_bottom() -> None:
    assert bottom_aligned([[("", "a")]], 3) == [[], [], [("", "a")]]


@pytest.mark.parametrize(("width", "row"), [(14, "left     right"), (10, "left right"), (9, "left rig\u2026"), (5, "l\u2026 r\u2026")])
def test_the_status_is_at_both_ends(width: int, row: str) -> None:
    assert "".join(text for _, text in status_row([("", "left")], [("", "right")], width)) == row


def tabs(current: int) -> Row:
    return [(STRONG if number == current else "", f" {number} room{number} ") for number in range(1, 30)]


@pytest.mark.parametrize(
    ("current", "row"),
    [
        (1, " 1 room1  2 room2  3 room3  4\u2026 \u25cf 9 ms "),
        (3, " 1 room1  2 room2  3 room3  4\u2026 \u25cf 9 ms "),
        (4, "\u2026  2 room2  3 room3  4 room4 \u2026 \u25cf 9 ms "),
        (29, "\u2026room27  28 room28  29 room29  \u25cf 9 ms "),
    ],
)
def test_the_room_in_front_is_shown_among_very_many(current: int, row: str) -> None:
    shown = "".join(text for _, text in status_row(tabs(current), [("", "\u25cf 9 ms ")], 38))
    assert shown == row
    assert f" {current} room{current} " in shown


def test_the_room_in_front_and_the_connection_are_shown_beside_a_long_list_of_typing_members() -> None:
    typing = ", ".join(["a name that is quite long"] * 3)
    row = status_row(tabs(20), [("italic", f"{typing} are typing\u2026"), ("class:dim", " \u00b7 "), ("", "\u25cf 9 ms"), ("", " ")], 44)
    assert "".join(text for _, text in row) == "\u2026 20 room20 \u2026 \u2026te long are typing\u2026 \u00b7 \u25cf 9 ms "


def test_a_row_is_as_wide_as_the_screen_at_every_width() -> None:
    for width in range(1, 80):
        for current in (1, 2, 15, 29):
            assert width_of(status_row(tabs(current), [("", "\u65e5\u672c is typing"), ("", " ")], width)) == width
