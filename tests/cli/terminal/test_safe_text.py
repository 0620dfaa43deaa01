"""Texts of peers, escaped for a screen."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prompt_toolkit.utils import get_cwidth

from wschat.cli.terminal.safe_text import displayable, one_row


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ~ text", "plain ~ text"),
        ("Grüße 日本 \N{GRINNING FACE}\nnext", "Grüße 日本 \N{GRINNING FACE}\nnext"),
        ("a\tb", "a   b"),
        ("a\r\nb\rc", "a\nb\\rc"),
        ("\x1b[2J\x1b]52;c;Zm9v\x07", "\\x1b[2J\\x1b]52;c;Zm9v\\x07"),
        ("\u009b2J\u0085\x7f\x00", "\\x9b2J\\x85\\x7f\\x00"),
        ("\u202eevil\u2066 \u200b\u2028\ufeff", "\\u202eevil\\u2066 \\u200b\\u2028\\ufeff"),
        ("\ud800", "\\ud800"),
        (
            "\N{MAN}\u200d\N{WOMAN} \u2764\ufe0f \N{WAVING HAND SIGN}\N{EMOJI MODIFIER FITZPATRICK TYPE-5}",
            "\N{MAN}\N{WOMAN} \u2764 \N{WAVING HAND SIGN}",
        ),
        ("\N{REGIONAL INDICATOR SYMBOL LETTER D}\N{REGIONAL INDICATOR SYMBOL LETTER E}", "DE"),
        ("soft\u00adhyphen", "softhyphen"),
        ("e" + 50 * "\u0301" + "x", "e" + 4 * "\u0301" + "x"),
        ("\u0301a\n\u0301b", "\u25cc\u0301a\n\u25cc\u0301b"),
    ],
)
def test_a_text_is_escaped(text: str, shown: str) -> None:
    assert displayable(text) == shown


def test_one_row_has_no_line_feed() -> None:
    assert one_row("a\nb") == "a\u23ceb"


@given(st.text(st.characters(exclude_categories=[]), max_size=40))
def test_every_character_has_a_cell_or_is_one_of_few_marks(text: str) -> None:
    marks = 4
    for character in displayable(text):
        if character == "\n":
            marks = 4
            continue
        assert unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}
        marks = marks + 1 if get_cwidth(character) == 0 else 0
        assert marks <= 4
