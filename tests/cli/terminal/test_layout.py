"""The arrangement of the screen."""

from __future__ import annotations

import pytest

from wschat.cli.terminal.layout import bottom_aligned, status_row


def test_rows_are_at_the_bottom() -> None:
    assert bottom_aligned([[("", "a")]], 3) == [[], [], [("", "a")]]


@pytest.mark.parametrize(("width", "row"), [(14, "left     right"), (9, "leftright"), (8, "le\u2026right"), (5, "right"), (4, "rig\u2026")])
def test_the_status_is_at_both_ends(width: int, row: str) -> None:
    assert "".join(text for _, text in status_row([("", "left")], [("", "right")], width)) == row
