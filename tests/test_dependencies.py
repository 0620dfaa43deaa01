"""If a file of a program hides a library that wschat needs, the error names the file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, text=True, timeout=30)


@pytest.mark.parametrize(
    ("name", "project"),
    [("websocket", "websocket-client"), ("simple_websocket", "simple-websocket"), ("h11", "h11"), ("wsproto", "wsproto")],
)
def test_the_error_names_a_module_of_the_program(tmp_path: Path, name: str, project: str) -> None:
    (tmp_path / f"{name}.py").write_text("raise SystemExit('this has been run')\n")
    (tmp_path / "program.py").write_text("import wschat\n")
    done = run(tmp_path, "program.py")
    assert done.returncode == 1
    assert f"ImportError: {tmp_path / name}.py hides {project}, which wschat needs: rename it" in done.stderr


def test_the_error_names_the_program_itself(tmp_path: Path) -> None:
    (tmp_path / "websocket.py").write_text("import wschat\nwschat.connect('ws://127.0.0.1:1/')\n")
    assert f"ImportError: {tmp_path}/websocket.py hides websocket-client" in run(tmp_path, "websocket.py").stderr


def test_the_error_names_a_package_of_the_program(tmp_path: Path) -> None:
    (tmp_path / "websocket").mkdir()
    (tmp_path / "websocket/__init__.py").touch()
    (tmp_path / "program.py").write_text("from wschat import connect\n")
    done = run(tmp_path, "program.py")
    assert "ImportError: cannot import name" in done.stderr
    assert f"{tmp_path}/websocket/__init__.py" in done.stderr


@pytest.mark.parametrize("command", ["wschat.client", "wschat.server"])
def test_the_error_of_a_command_names_the_module(tmp_path: Path, command: str) -> None:
    (tmp_path / "click.py").touch()
    assert f"{tmp_path}/click.py hides click" in run(tmp_path, "-m", command, "--help").stderr


def test_a_program_may_hide_modules_that_only_commands_need(tmp_path: Path) -> None:
    (tmp_path / "click.py").touch()
    (tmp_path / "program.py").write_text("import click, wschat\nprint('fine')\n")
    assert run(tmp_path, "program.py").stdout == "fine\n"
