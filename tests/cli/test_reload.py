"""`wschat serve --reload`."""

from __future__ import annotations

import shutil
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.concurrency import TIMEOUT
from tests.server.command import running
from wschat.cli.reload import folders_of, run_reloading
from wschat.errors import UsageError

APP = """
def page(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%s"]
"""


def test_the_server_restarts_after_a_file_has_changed(tmp_path: Path) -> None:
    """Even if its size and its time are those of before: by these Python tells whether what it has compiled is up to date."""
    pytest.importorskip("watchfiles", reason="needs watchfiles: pip install 'wschat[reload]'")
    path = tmp_path / "mine.py"
    path.write_text(APP % "before")
    with running("--port", "0", "--wsgi", "mine:page", "--reload", cwd=tmp_path) as command:
        assert fetch(command.port) == "before"
        changed = tmp_path / "mine.changed"
        changed.write_text(APP % "after!")
        shutil.copystat(path, changed)
        changed.replace(path)
        assert command.process.stdout is not None
        line = command.process.stdout.readline()  # the line of the second start
        assert fetch(int(line.rstrip("/\n").rpartition(":")[2])) == "after!"


def fetch(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=TIMEOUT) as response:
        body: bytes = response.read()
        return body.decode()


def test_the_folder_of_a_file_elsewhere_is_watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, below, elsewhere = tmp_path / "here", tmp_path / "here" / "below", tmp_path / "elsewhere"
    below.mkdir(parents=True)
    monkeypatch.chdir(here)
    assert folders_of(("chat", "mine:app")) == [str(here)]
    assert folders_of(("below/mine.py:app", f"{elsewhere}/mine.py:app")) == [str(here), str(elsewhere)]


def test_the_error_without_watchfiles_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    with pytest.raises(UsageError, match=r"wschat\[reload\]"):
        run_reloading("chat")
