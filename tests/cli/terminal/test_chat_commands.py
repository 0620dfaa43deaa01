"""The parsing of lines in the chat."""

from __future__ import annotations

import pytest

from wschat.cli.terminal.chat_commands import (
    AskServer,
    Clear,
    GoToRoom,
    JoinRoom,
    LeaveRoom,
    LoadOlder,
    ParsedLine,
    Quit,
    Say,
    ShowHelp,
    TakeName,
    WhisperTo,
    parse_line,
)
from wschat.errors import UsageError


@pytest.mark.parametrize(
    ("line", "parsed"),
    [
        ("hello", Say("hello")),
        ("//slash", Say("/slash")),
        ("/me waves", Say("/me waves")),
        ("/join  Tea ", JoinRoom("Tea")),
        ("/leave", LeaveRoom("")),
        ("/leave tea", LeaveRoom("tea")),
        ("/room 2", GoToRoom("2")),
        ("/nick bob", TakeName("bob")),
        ("/msg bob some  text", WhisperTo("bob", "some  text")),
        ("/history", LoadOlder()),
        ("/help", ShowHelp()),
        ("/clear", Clear()),
        ("/quit", Quit()),
        ("/kick bob", AskServer("/kick bob")),
        ("/topic", AskServer("/topic")),
    ],
)
def test_a_line_is_a_text_or_a_command(line: str, parsed: ParsedLine) -> None:
    assert parse_line(line) == parsed


@pytest.mark.parametrize("line", ["/join", "/room ", "/nick", "/msg bob"])
def test_missing_words_are_an_error_with_the_usage(line: str) -> None:
    with pytest.raises(UsageError, match=r"^usage: /"):
        parse_line(line)
