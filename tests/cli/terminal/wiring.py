"""A terminal without a process: keys are written to a pipe, and the output is parsed by pyte."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO, TypeVar, cast

import pyte
from prompt_toolkit.application import create_app_session
from prompt_toolkit.data_structures import Size
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output.vt100 import Vt100_Output

from tests.concurrency import TIMEOUT

T = TypeVar("T")
ENTER, TAB, CTRL_C, CTRL_D, PAGE_UP, PAGE_DOWN = "\r", "\t", "\x03", "\x04", "\x1b[5~", "\x1b[6~"


class Terminal:
    """The screen and the keyboard of a terminal. Any thread may wait for a text on the screen."""

    def __init__(self, keyboard: PipeInput, columns: int, rows: int) -> None:
        self._keyboard = keyboard
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.Stream(self._screen)
        self._changed = threading.Condition()
        self.written = ""
        """Everything that was written to the terminal."""

    def write(self, text: str) -> None:
        """Show the output of a program."""
        with self._changed:
            self.written += text
            self._stream.feed(text)
            self._changed.notify_all()

    def flush(self) -> None:
        """Do nothing, as there is no buffer."""

    def press(self, keys: str) -> None:
        """Type."""
        self._keyboard.send_text(keys)

    def close(self) -> None:
        """End the input, as when a terminal is closed."""
        self._keyboard.close()

    def rows(self) -> list[str]:
        """The text of each row, without trailing spaces."""
        return [row.rstrip() for row in self._screen.display]

    def wait_for(self, *texts: str) -> list[str]:
        """Wait until all of the texts are on the screen, and return the rows."""
        return self.wait_until(lambda rows: all(text in "\n".join(rows) for text in texts), f"{texts} on the screen")

    def wait_until(self, is_so: Callable[[list[str]], bool], what: str) -> list[str]:
        """Wait until a condition on the rows is true, and return them."""
        with self._changed:
            assert self._changed.wait_for(lambda: is_so(self.rows()), TIMEOUT), "\n".join([f"not {what}:", *self.rows()])
            return self.rows()


@contextmanager
def open_terminal(columns: int = 80, rows: int = 24) -> Iterator[Terminal]:
    """Open a terminal for the screens that are created and run in the block."""
    with create_pipe_input() as keyboard:
        terminal = Terminal(keyboard, columns, rows)
        output = Vt100_Output(cast(TextIO, terminal), lambda: Size(rows, columns), term="xterm-256color", enable_cpr=False)
        with create_app_session(keyboard, output):
            yield terminal


def drive(terminal: Terminal, run: Callable[[], T], user: Callable[[], None]) -> T:
    """Run a screen in this thread while `user` types in another one. Return the result of `run`. A failure closes the terminal."""
    failures: list[BaseException] = []

    def act() -> None:
        try:
            user()
        except BaseException as error:
            failures.append(error)
            terminal.close()

    thread = threading.Thread(target=act)
    thread.start()
    try:
        result = run()
    finally:
        thread.join()
        if failures:
            raise failures[0]
    return result
