"""A terminal without a process: keys go in through a pipe, and what is drawn is parsed by pyte. Tests do not belong here."""

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

from tests.connection.wiring import PATIENCE

T = TypeVar("T")
ENTER, TAB, CTRL_C, CTRL_D, PAGE_UP, PAGE_DOWN = "\r", "\t", "\x03", "\x04", "\x1b[5~", "\x1b[6~"


class Terminal:
    """The screen of a terminal, and its keyboard. Any thread may wait for what is shown."""

    def __init__(self, keyboard: PipeInput, columns: int, rows: int) -> None:
        self._keyboard = keyboard
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.Stream(self._screen)
        self._changed = threading.Condition()
        self.written = ""
        """All that was written to the terminal."""

    def write(self, text: str) -> None:
        """Show what a program writes."""
        with self._changed:
            self.written += text
            self._stream.feed(text)
            self._changed.notify_all()

    def flush(self) -> None:
        """Nothing is held back."""

    def press(self, keys: str) -> None:
        """Type."""
        self._keyboard.send_text(keys)

    def close(self) -> None:
        """End the input, as a terminal does that is closed."""
        self._keyboard.close()

    def rows(self) -> list[str]:
        """What each row shows, without spaces at its end."""
        return [row.rstrip() for row in self._screen.display]

    def wait_for(self, *texts: str) -> list[str]:
        """Wait until each text is on the screen, and return the rows."""
        return self.wait_until(lambda rows: all(text in "\n".join(rows) for text in texts), f"{texts} on the screen")

    def wait_until(self, is_so: Callable[[list[str]], bool], what: str) -> list[str]:
        """Wait until the rows are as they must be, and return them."""
        with self._changed:
            assert self._changed.wait_for(lambda: is_so(self.rows()), PATIENCE), "\n".join([f"not {what}:", *self.rows()])
            return self.rows()


@contextmanager
def open_terminal(columns: int = 80, rows: int = 24) -> Iterator[Terminal]:
    """A terminal for the screens that are made and run in the block."""
    with create_pipe_input() as keyboard:
        terminal = Terminal(keyboard, columns, rows)
        output = Vt100_Output(cast(TextIO, terminal), lambda: Size(rows, columns), term="xterm-256color", enable_cpr=False)
        with create_app_session(keyboard, output):
            yield terminal


def drive(terminal: Terminal, run: Callable[[], T], user: Callable[[], None]) -> T:
    """Run a screen in this thread while `user` types in another one, and return what it returns. A failure closes the terminal."""
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
