"""The lines of the chat."""

from __future__ import annotations

from datetime import date, datetime

import pytest

from wschat.cli.terminal.chat_lines import (
    ChatLines,
    day_line,
    error_line,
    help_line,
    info_line,
    local_time,
    topic_line,
)
from wschat.cli.terminal.styles import NameColours

LINES = ChatLines(lambda: "alice")
AT = datetime(2025, 3, 4, 12, 34, 56).timestamp()


def test_a_message_has_its_time_and_its_name() -> None:
    line = LINES.message(7, "bob", "Hello!\nand more", AT)
    assert line.text() == " 12:34        bob  Hello!\nand more"
    assert line.seq == 7
    assert (NameColours().of("bob"), "       bob") in line.head


def test_a_long_name_is_not_cut() -> None:
    assert LINES.message(1, "x" * 32, "Hello!", AT).text() == f" 12:34 {'x' * 32}  Hello!"


def test_a_message_may_describe_its_author() -> None:
    line = LINES.message(1, "bob", "/me waves\x1b[2J", AT)
    assert line.text() == " 12:34          *  bob waves\\x1b[2J"
    assert line.body[0] == (NameColours().of("bob"), "bob")


@pytest.mark.parametrize(
    ("text", "mentions"),
    [
        ("alice: hi", ["alice"]),
        ("hi @Alice, ALICE", ["@Alice", "ALICE"]),
        ("malice alices alice_2", []),
        ("alice", ["alice"]),
        ("", []),
    ],
)
def test_the_users_own_name_stands_out(text: str, mentions: list[str]) -> None:
    line = LINES.message(1, "bob", text, AT)
    assert [part for style, part in line.body if style == "class:mention"] == mentions
    assert "".join(part for _, part in line.body) == text
    assert LINES.is_mentioned(text) == bool(mentions)
    assert not ChatLines(lambda: None).is_mentioned(text)


@pytest.mark.parametrize("time", [float("nan"), 1e300, -1e300, float("inf"), None])
def test_an_impossible_time_is_none(time: float) -> None:
    assert local_time(time) is None
    assert LINES.message(1, "bob", "hi", time).text().startswith(" --:-- ")


def test_other_lines() -> None:
    assert LINES.whisper("bob", "alice", "psst", AT).text() == " 12:34          \u2709  bob \u2192 alice: psst"
    assert topic_line(3, "bob", "Tea\nhere", AT).text() == " 12:34          \u00b7  bob set the topic: Tea\u23cehere"
    assert topic_line(3, None, "", AT).text() == " 12:34          \u00b7  the server cleared the topic"
    assert info_line("bob joined", "\u2192", AT).text() == " 12:34          \u2192  bob joined"
    assert error_line("no").text()[6:] == "          !  no"
    assert LINES.waiting("/me waves").text() == "            alice  waves \u2026"
    assert day_line(date(2025, 3, 4)).text() == "\u2500\u2500 Tuesday, 4 March 2025 \u2500\u2500"
    assert help_line("/who\x07", "list", 8).text() == "  /who\\x07  list"
