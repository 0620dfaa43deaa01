"""A program with a file that is called like a library of ours is told which."""

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
def test_a_module_of_the_programs_own_is_named(tmp_path: Path, name: str, project: str) -> None:
    (tmp_path / f"{name}.py").write_text("raise SystemExit('this has been run')\n")
    (tmp_path / "program.py").write_text("import wschat\n")
    done = run(tmp_path, "program.py")
    assert done.returncode == 1
    assert f"ImportError: {tmp_path / name}.py hides {project}, which wschat needs: rename it" in done.stderr


def test_a_program_that_is_called_like_a_library_is_named(tmp_path: Path) -> None:
    (tmp_path / "websocket.py").write_text("import wschat\nwschat.connect('ws://127.0.0.1:1/')\n")
    assert f"ImportError: {tmp_path}/websocket.py hides websocket-client" in run(tmp_path, "websocket.py").stderr


def test_a_package_of_the_programs_own_is_named(tmp_path: Path) -> None:
    (tmp_path / "websocket").mkdir()
    (tmp_path / "websocket/__init__.py").touch()
    (tmp_path / "program.py").write_text("from wschat import connect\n")
    done = run(tmp_path, "program.py")
    assert "ImportError: cannot import name" in done.stderr
    assert f"{tmp_path}/websocket/__init__.py" in done.stderr


@pytest.mark.parametrize("command", ["wschat.client", "wschat.server"])
def test_a_module_in_the_way_of_a_command_is_named(tmp_path: Path, command: str) -> None:
    (tmp_path / "click.py").touch()
    assert f"{tmp_path}/click.py hides click" in run(tmp_path, "-m", command, "--help").stderr


def test_a_program_may_have_modules_that_only_commands_need(tmp_path: Path) -> None:
    (tmp_path / "click.py").touch()
    (tmp_path / "program.py").write_text("import click, wschat\nprint('fine')\n")
    assert run(tmp_path, "program.py").stdout == "fine\n"
