"""The parsing of lines in the debugger."""

from __future__ import annotations

import pytest

from tests.documents import CONNECT, code_in
from wschat.cli.terminal.debugger_commands import COMMANDS, CloseConnection, ParsedLine, Ping, Quit, SendMessage, ShowHeaders, parse_line
from wschat.errors import UsageError


@pytest.mark.parametrize(
    ("line", "parsed"),
    [
        ("hello", SendMessage("hello")),
        (" /ping", SendMessage(" /ping")),
        ("//ping", SendMessage("/ping")),
        ("/ping", Ping()),
        ("/close", CloseConnection(1000, "")),
        ("/close 4001", CloseConnection(4001, "")),
        ("/close 1001 going  away ", CloseConnection(1001, "going  away")),
        ("/hex 00 ff7f", SendMessage(b"\x00\xff\x7f")),
        ("/headers", ShowHeaders()),
        ("/quit", Quit()),
    ],
)
def test_a_line_is_a_message_or_a_command(line: str, parsed: ParsedLine) -> None:
    assert parse_line(line) == parsed


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("/foo bar", "no command is called /foo (see /help); to send it as a message, type //foo bar"),
        ("/close now", "/close: the code must be a number such as 1000 or 4000, not 'now'"),
        ("/close 1006", "1006 is not a close code that may be sent"),
        ("/close 1000 " + "x" * 124, "the reason of a close must have at most 123 bytes, not 124"),
        ("/hex 0g", "/hex: the bytes must be hexadecimal digits such as 00 ff, not '0g'"),
    ],
)
def test_an_invalid_line_is_an_error(line: str, error: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_line(line)
    assert str(raised.value) == error


def test_the_table_of_commands_is_complete() -> None:
    shown = {code for row in CONNECT.table("command") for code in code_in(row[0])}
    assert shown == {command.usage for command in COMMANDS.values()} | {"//TEXT"}
