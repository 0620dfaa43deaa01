"""The example of a window with a room of a chat, on a screen in memory."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

import wschat
from tests.concurrency import TIMEOUT
from tests.examples.wiring import EXAMPLES
from tests.server.command import environment
from wschat.testing.live_server import LiveServer
from wschat.testing.servers import Servers

pytest.importorskip("tkinter", reason="needs Tkinter (on Debian: apt install python3-tk)")

# Runs the program, types each line of the standard input and Return into its field, and prints what its window shows.
# The end of the standard input closes the window.
USER = """
import os, sys, tkinter, tk_chat

class Window(tk_chat.ChatWindow):
    seen = ""

    def on_input(self, *_):
        typed = os.read(0, 4096).decode()
        if not typed:
            return self.destroy()
        for line in typed.splitlines():
            self.entry.insert("end", line)
            self.entry.event_generate("<Return>")

    def mainloop(self):
        # No window manager gives it the focus, which keys need.
        self.entry.bind("<Visibility>", lambda _: self.entry.focus_force())
        self.entry.bind("<FocusIn>", lambda _: self.tk.createfilehandler(sys.stdin, tkinter.READABLE, self.on_input))
        super().mainloop()

    def show_lines(self):
        super().show_lines()
        shown = self.log.get("1.0", "end-1c")
        print(shown.removeprefix(self.seen), end="", flush=True)
        self.seen = shown

tk_chat.ChatWindow = Window
tk_chat.main(*sys.argv[1:])
"""


@pytest.fixture(scope="module")
def display() -> Iterator[str]:
    """A screen in memory."""
    xvfb = shutil.which("Xvfb")
    if xvfb is None:
        pytest.skip("needs Xvfb (on Debian: apt install xvfb), which scripts/test installs as root")
    with subprocess.Popen([xvfb, "-displayfd", "1", "-nolisten", "tcp"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        yield f":{process.stdout.readline().decode().strip()}"
        process.terminate()


@pytest.fixture
def chat(wschat_server: Servers) -> LiveServer:
    return wschat_server.chat()


class Window:
    """A window of the program, and its user."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def line(self) -> str:
        """Wait for the next line that the window shows."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")

    def type(self, text: str) -> None:
        assert self.process.stdin is not None
        print(text, file=self.process.stdin, flush=True)

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()

    def end(self, end: Callable[[], None]) -> None:
        """Have it end, and check that it does so without an error."""
        end()
        assert self.process.wait(TIMEOUT) == 0
        assert self.process.stderr is not None
        assert self.process.stderr.read() == ""


@contextmanager
def open_window(display: str, *arguments: str) -> Iterator[Window]:
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", USER, *arguments]
    with subprocess.Popen(
        command, cwd=EXAMPLES, env=environment({"DISPLAY": display}), stdin=pipe, stdout=pipe, stderr=pipe, text=True
    ) as process:
        try:
            yield Window(process)
        finally:
            process.kill()


def test_the_window_shows_what_is_said_and_says_what_is_typed(display: str, chat: LiveServer) -> None:
    with open_window(display, f"{chat.url}/?name=alice", "tea") as window:
        assert window.line() == "In this room: alice"
        with wschat.connect(f"{chat.url}/rooms/tea?name=bob") as bob:
            assert bob.recv(TIMEOUT) == "Welcome to the chat!"
            bob.send("Is anyone here?")
            assert window.line() == "bob: Is anyone here?"
            assert bob.recv(TIMEOUT) == "bob: Is anyone here?"
            window.type("  ")
            window.type("I am, née {alice} [exit]!")
            assert window.line() == "alice: I am, née {alice} [exit]!"
            assert bob.recv(TIMEOUT) == "alice: I am, née {alice} [exit]!"
            window.end(window.close)


def test_after_ctrl_c_the_program_can_be_run_again_by_the_same_name(display: str, chat: LiveServer) -> None:
    for _ in range(2):
        with open_window(display, f"{chat.url}/?name=alice", "tea") as window:
            assert window.line() == "In this room: alice"
            window.end(lambda: window.process.send_signal(signal.SIGINT))


def test_a_lost_connection_is_shown(display: str, chat: LiveServer) -> None:
    with open_window(display, f"{chat.url}/?name=alice", "tea") as window:
        assert window.line() == "In this room: alice"
        chat.faults.cut()
        assert window.line() == "No connection: 1006 connection lost"
        assert window.line() == "In this room: alice"


def test_the_end_of_the_chat_is_shown(display: str, chat: LiveServer) -> None:
    with open_window(display, f"{chat.url}/?name=two+words", "tea") as window:
        assert window.line().startswith("No connection: ")
        assert window.line().startswith("The chat has ended: ")
        window.type("Hello?")
        assert window.line().startswith("Not sent: Hello? (")
        window.end(window.close)


def test_a_wrong_command_line() -> None:
    done = subprocess.run([sys.executable, str(EXAMPLES / "tk_chat.py")], env=os.environ, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "Usage: python tk_chat.py URL ROOM\n")
