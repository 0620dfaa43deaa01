"""`wschat backup`, beside a server that runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.cli.test_say import say
from tests.server.command import running
from wschat.cli.backup import main


def backup(*arguments: str, history: str | None = None) -> Result:
    ours: dict[str, str | None] = dict.fromkeys(name for name in os.environ if name.startswith("WSCHAT_"))
    return CliRunner().invoke(main, arguments, env={**ours, "WSCHAT_HISTORY": history})


def test_a_history_is_copied_while_its_server_runs_and_served_afterwards(tmp_path: Path) -> None:
    history, copy = str(tmp_path / "history"), str(tmp_path / "copy")
    with running("--port", "0", "--history", history) as server:
        assert [say(server.url, "tea", text, "--id", text).stdout for text in ("one", "two")] == ["1\n", "2\n"]
        result = backup(copy, "--history", f"sqlite:{history}")
        assert (result.exit_code, result.stdout) == (0, f"{copy}: 2 messages\n"), result.output
    with running("--port", "0", "--history", copy) as server:
        assert say(server.url, "tea", "one", "--id", "one").stdout == "1\n"
        assert say(server.url, "tea", "three").stdout == "3\n"


@pytest.mark.parametrize("history", ["memory", "off", "redis://127.0.0.1", "module:Broker"])
def test_only_a_file_can_be_copied(history: str, tmp_path: Path) -> None:
    result = backup(str(tmp_path / "copy"), history=history)
    assert (result.exit_code, f"only a history in a file can be copied, not {history}" in result.stderr) == (2, True)


def test_an_error_is_one_line(tmp_path: Path) -> None:
    result = backup(str(tmp_path / "copy"), "--history", str(tmp_path / "missing"))
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == f"Error: there is no history in {tmp_path}/missing"
