"""A real terminal: a program in a window of tmux."""

from __future__ import annotations

import os
import select
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import pytest

from tests.concurrency import TIMEOUT
from tests.documents import ROOT


class Window:
    """A window of tmux with a shell. Each output of the shell ends the wait for a change."""

    def __init__(self, socket: Path, output: int) -> None:
        self._socket = socket
        self._output = output

    def tmux(self, *arguments: str) -> str:
        """Run a command of tmux, and return what it prints."""
        done = subprocess.run(["tmux", "-S", str(self._socket), *arguments], capture_output=True, text=True, timeout=TIMEOUT, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def press(self, *keys: str) -> None:
        """Press keys, such as Enter, C-c or M-1; other texts are typed."""
        self.tmux("send-keys", *keys)

    def run(self, command: str) -> None:
        """Have the shell run a command."""
        self.press(command, "Enter")

    def resize(self, columns: int, rows: int) -> None:
        """Change the size of the window."""
        self.tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def value(self, name: str) -> str:
        """Return the value of a format of tmux for the window, such as `pane_title`."""
        return self.tmux("display-message", "-p", f"#{{{name}}}").strip()

    def rows(self) -> list[str]:
        """Return the text of each row, without trailing spaces."""
        return [row.rstrip() for row in self.tmux("capture-pane", "-p").split("\n")]

    def wait_for(self, *texts: str) -> list[str]:
        """Wait until all of the texts are on the screen, and return the rows."""
        return self.wait_until(lambda rows: all(text in "\n".join(rows) for text in texts), f"{texts} on the screen")

    def wait_until(self, is_so: Callable[[list[str]], bool], what: str) -> list[str]:
        """Wait until a condition on the rows is true, and return them."""
        until = monotonic() + TIMEOUT
        while not is_so(rows := self.rows()):
            assert select.select([self._output], [], [], max(0, until - monotonic()))[0], "\n".join([f"not {what}:", *rows])
            os.read(self._output, 1 << 20)
        return rows


@contextmanager
def open_window(folder: Path, columns: int = 80, rows: int = 24) -> Iterator[Window]:
    """Open a window with a shell whose command `wschat` is that of this checkout. Its files are in a folder."""
    if shutil.which("tmux") is None:
        pytest.skip("needs tmux (apt-get install tmux)")
    environment = {"XDG_STATE_HOME": str(folder), "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8", "PS1": "$ ", "HOME": str(folder)}
    (folder / "wschat").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m wschat.cli "$@"\n')
    (folder / "wschat").chmod(0o755)
    os.mkfifo(folder / "output")
    output = os.open(folder / "output", os.O_RDWR)  # also for writing, so that reads never reach the end
    window = Window(folder / "tmux", output)
    size = ("-x", str(columns), "-y", str(rows))
    variables = [argument for name, value in environment.items() for argument in ("-e", f"{name}={value}")]
    try:
        window.tmux("-f", "/dev/null", "-u", "new-session", "-d", *size, *variables, "-c", str(folder), "bash --norc --noprofile -i")
        window.tmux("pipe-pane", f"cat > {shlex.quote(str(folder / 'output'))}")
        window.run(f"PATH={shlex.quote(str(folder))}:$PATH; cd {shlex.quote(str(folder))}; clear; echo ready")
        window.wait_until(lambda rows: rows[0] == "ready", "ready")
        yield window
    finally:
        subprocess.run(["tmux", "-S", str(folder / "tmux"), "kill-server"], capture_output=True, timeout=TIMEOUT, check=False)
        os.close(output)
