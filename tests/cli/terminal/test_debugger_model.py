"""The state that the debugger shows."""

from __future__ import annotations

from datetime import datetime

import pytest

from wschat.cli.terminal.debugger_model import DebuggerModel, Opened
from wschat.errors import ConnectionClosed

AT = datetime(2025, 3, 4, 12, 34, 56, 789_012)
OPENED = Opened("127.0.0.1:80", "soap", {"server": "test\x1b[2J"})


@pytest.fixture
def model() -> DebuggerModel:
    return DebuggerModel("ws://host/path", now=lambda: AT)


def lines(model: DebuggerModel) -> list[str]:
    return [line.text() for line in model.transcript.lines]


def test_a_connection_from_its_opening_to_its_end(model: DebuggerModel) -> None:
    assert model.state()[0][1] == " \u25cb connecting\u2026"
    model.opened(OPENED)
    assert model.state()[0][1] == " \u25cf connected"
    model.sent("hello")
    model.received("world\nagain", AT)
    model.received(b"\x00", AT)
    model.ponged(0.0123)
    model.closed(ConnectionClosed(4001, "go \x1b[2J"))
    assert lines(model) == [
        "\u25cf connected to 127.0.0.1:80, subprotocol soap",
        "\u2192 hello",
        "\u2190 world\nagain",
        "\u2190 binary, 1 byte\n0000  00                                       .",
        "\u25cf pong after 12 ms",
        "\u25cb closed 4001 go \\x1b[2J",
    ]
    assert model.counts() == "1 sent \u00b7 2 received"


def test_attempts_are_reported(model: DebuggerModel) -> None:
    model.retrying("connection refused", 3.4)
    assert lines(model) == ["\u25cb connection refused; trying again in 3 s"]
    assert model.state()[0][1] == " \u25cb reconnecting in 3 s"


def test_times_are_shown_on_request(model: DebuggerModel) -> None:
    model.timestamps = True
    model.sent("hello")
    assert lines(model) == ["12:34:56.789 \u2192 hello"]


def test_headers_are_shown_on_request(model: DebuggerModel) -> None:
    model.opened(OPENED)
    model.show_headers()
    assert lines(model)[1:] == ["  server: test\\x1b[2J"]
    model.verbose = True
    model.opened(OPENED)
    assert lines(model)[3:] == ["  server: test\\x1b[2J"]


def test_help_names_commands_and_keys(model: DebuggerModel) -> None:
    model.show_help()
    assert "  /close [CODE [REASON]]  close the connection, with 1000 by default" in lines(model)
    assert any("PageUp" in line for line in lines(model))


def test_the_title_is_the_url(model: DebuggerModel) -> None:
    model.opened(OPENED)
    assert model.title() == ([("", " ws://host/path")], [("class:dim nobold", "soap ")])
