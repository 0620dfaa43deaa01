"""Wrapping styled text into rows."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wschat.cli.terminal.rows import Row, clip, width_of, wrap


def texts(rows: list[Row]) -> list[str]:
    return ["".join(text for _, text in row) for row in rows]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("", [""]),
        ("short", ["short"]),
        ("exactly twenty cells", ["exactly twenty cells"]),
        ("a row that must be broken at a space", ["a row that must be ", "broken at a space"]),
        ("exactly twenty cells and more", ["exactly twenty cells", "and more"]),
        ("x" * 45, ["x" * 20, "x" * 20, "x" * 5]),
        ("word " + "x" * 30, ["word " + "x" * 15, "x" * 15]),
        ("one\n\ntwo\n", ["one", "", "two", ""]),
        ("日本語" * 4, ["日本語" * 3 + "日", "本語"]),
    ],
)
def test_a_text_is_wrapped(text: str, rows: list[str]) -> None:
    assert texts(wrap([("", text)], 20)) == rows


def test_further_rows_are_indented() -> None:
    assert texts(wrap([("bold", "bob "), ("", "said a lot of words today\nand more")], 24, 4)) == [
        "bob said a lot of words ",
        "    today",
        "    and more",
    ]


def test_a_narrow_screen_has_no_indent() -> None:
    assert texts(wrap([("", "12345678 90123456789")], 12, 4)) == ["12345678 ", "90123456789"]


def test_styles_stay_with_their_text() -> None:
    assert wrap([("red", "ab"), ("blue", "cd ef")], 4) == [[("red", "ab"), ("blue", "cd")], [("blue", "ef")]]


@example("\u0301 a\u65e5", 2, 0)
@given(st.text(st.sampled_from("ab \n\u65e5e\u0301"), max_size=60), st.integers(2, 30), st.integers(0, 10))
def test_no_row_is_wider_than_the_screen_and_only_spaces_are_lost(text: str, width: int, indent: int) -> None:
    rows = wrap([("", text)], width, indent)
    assert all(width_of(row) <= width for row in rows)
    assert "".join(texts(rows)).replace(" ", "") == text.replace(" ", "").replace("\n", "")


@pytest.mark.parametrize(("text", "clipped"), [("abcd", "abcd"), ("abcdef", "abc\u2026"), ("日本語", "日\u2026"), ("a日本語", "a日\u2026")])
def test_a_too_wide_row_is_clipped(text: str, clipped: str) -> None:
    row = clip([("", text)], 4)
    assert "".join(text for _, text in row) == clipped
    assert width_of(row) <= 4
