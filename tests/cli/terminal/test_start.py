"""The screen for the options of the command."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import wschat
from tests.cli.terminal.wiring import CTRL_D, ENTER, Terminal, drive, open_terminal
from tests.conftest import ServerFactory, url_of
from tests.programs import free_port
from wschat.cli.client.exit_codes import CommandExit, ExitCode
from wschat.cli.client.options import ConnectOptions
from wschat.cli.terminal.start import run
from wschat.connection.connection import Connection


@pytest.fixture(autouse=True)
def state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    with open_terminal() as opened:
        yield opened


def test_a_server_without_a_chat_gets_the_debugger(serve: ServerFactory, terminal: Terminal, tmp_path: Path) -> None:
    def greet(ws: Connection) -> None:
        ws.send(f"{ws.headers['x-a']} {ws.subprotocol}")
        for message in ws:
            ws.send(message)

    server = serve(greet, subprotocols=["soap"])
    options = ConnectOptions(url=url_of(server), headers=["X-A: 1"], subprotocols=["soap"], verbose=True, timestamps=True)

    def user() -> None:
        terminal.wait_for("\u2190 1 soap", "sec-websocket-protocol: soap", url_of(server))
        terminal.press(f"hello{ENTER}")
        terminal.wait_for("\u2190 hello")
        terminal.press(CTRL_D)

    assert drive(terminal, lambda: run(options), user) == 0
    printed = terminal.written.rpartition("\x1b[?1049l")[2]
    assert "connected to" in printed
    assert "hello" in printed
    assert "closed 1000" in printed
    assert "+hello" in (tmp_path / "wschat/debugger-history").read_text()


@pytest.mark.parametrize("reconnects", [False, True])
def test_a_refusal_is_told(serve: ServerFactory, terminal: Terminal, reconnects: bool) -> None:
    def refuse(request: wschat.Request) -> None:
        raise wschat.RequestRefused(403, "Not today.")

    url = url_of(serve(lambda ws: None, check_request=refuse))
    with pytest.raises(CommandExit, match="Not today") as raised:
        run(ConnectOptions(url=url, subprotocols=["soap"], reconnect=reconnects))
    assert raised.value.code == ExitCode.NOT_CONNECTED


def test_no_screen_is_shown_without_a_server(terminal: Terminal) -> None:
    with pytest.raises(CommandExit) as raised:
        run(ConnectOptions(url=f"ws://127.0.0.1:{free_port()}", subprotocols=["soap"]))
    assert raised.value.code == ExitCode.NOT_CONNECTED
    assert terminal.written == ""
