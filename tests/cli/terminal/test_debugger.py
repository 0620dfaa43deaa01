"""The debugger, with real connections and a terminal without a process."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prompt_toolkit.history import InMemoryHistory

import wschat
from tests.cli.terminal.wiring import CTRL_D, ENTER, Terminal, drive, open_terminal
from tests.conftest import ServerFactory, url_of
from tests.programs import free_port
from wschat.cli.client.recording import Recording
from wschat.cli.terminal.debugger import Debugger
from wschat.cli.terminal.debugger_model import DebuggerModel
from wschat.client.reconnect import reconnect
from wschat.connection.connection import Connection
from wschat.errors import OpeningFailed


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    with open_terminal() as opened:
        yield opened


def read_all(ws: Connection) -> None:
    list(ws)


def debug(url: str, terminal: Terminal, user: Callable[[], None], record: Path | None = None) -> tuple[int, list[str]]:
    """Debug a connection, and return the exit code and the lines that were shown."""
    model = DebuggerModel("ws://place")
    with Recording(None if record is None else str(record)) as recording:
        debugger = Debugger(model, [wschat.connect(url)], InMemoryHistory(), recording)
        code = drive(terminal, debugger.run, user)
    return code, [line.text() for line in model.transcript.lines]


def test_messages_are_sent_and_received(echo_url: str, terminal: Terminal, tmp_path: Path) -> None:
    def user() -> None:
        terminal.wait_for("connected to 127.0.0.1")
        terminal.press(f"hello{ENTER}")
        terminal.wait_for("\u2190 hello", "1 sent \u00b7 1 received")
        terminal.press(f"//slash{ENTER}/hex 00 ff{ENTER}/ping{ENTER}")
        terminal.wait_for("\u2190 /slash", "pong after", "3 sent \u00b7 3 received", "\u25cf connected")
        terminal.press(CTRL_D)

    code, lines = debug(echo_url, terminal, user, tmp_path / "record")
    assert code == 0
    assert lines[-1] == "\u25cb closed 1000"
    recorded = [json.loads(line) for line in (tmp_path / "record").read_text().splitlines()]
    assert [entry.get("direction", entry["type"]) for entry in recorded][:3] == ["open", "sent", "received"]
    assert recorded[-1]["type"] == "close"


@pytest.mark.parametrize(("code", "status"), [(1000, 0), (1001, 0), (4001, 4), (1011, 4)])
def test_the_end_of_the_connection_ends_the_program(serve: ServerFactory, terminal: Terminal, code: int, status: int) -> None:
    def until_bye(ws: Connection) -> None:
        assert ws.recv() == "bye"
        ws.close(code, "reason")

    def user() -> None:
        terminal.wait_for("connected to")
        terminal.press(f"bye{ENTER}")

    ended, lines = debug(url_of(serve(until_bye)), terminal, user)
    assert ended == status
    assert lines[-1] == f"\u25cb closed {code} reason"


def test_closing_with_a_code(serve: ServerFactory, terminal: Terminal) -> None:
    closed: list[object] = []

    def until_closed(ws: Connection) -> None:
        list(ws)
        closed.append(str(ws.closed))

    def user() -> None:
        terminal.wait_for("connected to")
        terminal.press(f"/close 4321 so long{ENTER}")

    server = serve(until_closed)
    code, _ = debug(url_of(server), terminal, user)
    server.stop()
    assert code == 0
    assert closed == ["4321 so long"]


def test_commands_of_the_screen(echo_url: str, terminal: Terminal) -> None:
    def user() -> None:
        terminal.wait_for("connected to")
        terminal.press(f"/headers{ENTER}")
        terminal.wait_for("sec-websocket-accept: ")
        terminal.press(f"/clear{ENTER}")
        terminal.wait_until(lambda rows: not any("accept" in row for row in rows), "empty")
        terminal.press(f"/help{ENTER}/close now{ENTER}")
        terminal.wait_for("/hex BYTES", "the code must be a number", "\u203a /close now")
        terminal.press(f"\x15/quit{ENTER}")

    assert debug(echo_url, terminal, user)[0] == 0


def test_hostile_messages_do_not_reach_the_terminal(serve: ServerFactory, terminal: Terminal) -> None:
    def hostile(ws: Connection) -> None:
        ws.send("\x1b[2J\x1b]0;owned\x07\x9b2J\u202e")
        ws.send(json.dumps({"\x1b]0;owned\x07": "\x1b[31m"}))
        ws.send(b"\x1b]0;owned\x07")
        list(ws)

    def user() -> None:
        terminal.wait_for("\\x1b[2J\\x1b]0;owned\\x07\\x9b2J\\u202e", "3 received")
        terminal.press(CTRL_D)

    debug(url_of(serve(hostile)), terminal, user)
    assert "]0;owned\x07" not in terminal.written
    assert "\x9b" not in terminal.written
    assert "\u202e" not in terminal.written


def test_the_debugger_reconnects(serve: ServerFactory, terminal: Terminal) -> None:
    port = free_port()
    server = serve(lambda ws: ws.send("first"), port=port)
    model = DebuggerModel("ws://place")
    connections = reconnect(url_of(server), on_attempt=lambda attempt: debugger.attempted(attempt))
    with Recording(None) as recording:
        debugger = Debugger(model, connections, InMemoryHistory(), recording)

    def user() -> None:
        terminal.wait_for("\u2190 first", "closed 1000", "\u25cb reconnecting in ")
        terminal.press(f"too early{ENTER}")
        terminal.wait_for("not connected: nothing was sent", "\u203a too early")
        server.stop()
        terminal.wait_for("trying again")
        serve(read_all, port=port)
        terminal.wait_until(lambda rows: rows[-2].startswith(" \u25cf connected"), "connected")
        terminal.press(f"{ENTER}")
        terminal.wait_for("\u2192 too early")
        terminal.press(CTRL_D)

    assert drive(terminal, debugger.run, user) == 0


def test_the_user_can_leave_while_there_is_no_server(terminal: Terminal) -> None:
    connections = reconnect(f"ws://127.0.0.1:{free_port()}", on_attempt=lambda attempt: debugger.attempted(attempt))
    with Recording(None) as recording:
        debugger = Debugger(DebuggerModel("ws://place"), connections, InMemoryHistory(), recording)

    def user() -> None:
        terminal.wait_for("trying again")
        terminal.press(CTRL_D)

    assert drive(terminal, debugger.run, user) == 0


def test_a_final_error_is_raised(serve: ServerFactory, terminal: Terminal) -> None:
    def refuse(request: wschat.Request) -> None:
        raise wschat.RequestRefused(403, "no")

    connections = reconnect(url_of(serve(read_all, check_request=refuse)), on_attempt=lambda attempt: debugger.attempted(attempt))
    with Recording(None) as recording:
        debugger = Debugger(DebuggerModel("ws://place"), connections, InMemoryHistory(), recording)
    with pytest.raises(OpeningFailed):
        drive(terminal, debugger.run, lambda: None)


def test_what_was_sent_just_before_the_end_arrives(serve: ServerFactory, terminal: Terminal) -> None:
    received: list[str | bytes] = []
    server = serve(lambda ws: received.extend(ws))

    def user() -> None:
        terminal.wait_for("\u25cf connected")
        terminal.press(f"one{ENTER}two{ENTER}{CTRL_D}")

    debug(url_of(server), terminal, user)
    server.stop()
    assert received == ["one", "two"]
