"""The screen, with a view made for the tests."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from prompt_toolkit.history import InMemoryHistory

from tests.cli.terminal.wiring import CTRL_C, CTRL_D, ENTER, PAGE_DOWN, PAGE_UP, TAB, Terminal, drive, open_terminal
from wschat.cli.terminal.call_queue import CallQueue
from wschat.cli.terminal.completion import CommandCompleter
from wschat.cli.terminal.rows import Row
from wschat.cli.terminal.screen import Screen, print_rows
from wschat.cli.terminal.transcript import Line, Transcript


class Toy:
    """Shows what is typed."""

    def __init__(self) -> None:
        self.transcript = Transcript()
        self.completer = CommandCompleter(lambda: {"join": ("/join ROOM", "go to a room"), "who": ("/who", "list the members")})
        self.calls = CallQueue()
        self.screen = Screen(self, self.calls, InMemoryHistory())
        self.keys: list[str] = []
        self.tops = 0
        self.is_broken = False
        self.line = ""

    def title(self) -> tuple[Row, Row]:
        return [("bold", "title")], []

    def status(self) -> tuple[Row, Row]:
        if self.is_broken:
            raise LookupError("raised by the view")
        return [("", "left")], [("", "right")]

    def prompt(self) -> Row:
        return [("", "> ")]

    def accept(self, text: str) -> bool:
        if text == "wrong":
            return True
        if text == "raise":
            raise LookupError("raised by the view")
        self.transcript.append(Line([("", text)]))
        return False

    def typed(self, text: str) -> None:
        self.line = text

    def reached_top(self) -> None:
        self.tops += 1

    def key(self, name: str) -> None:
        self.keys.append(name)
        self.transcript.append(Line([("", f"key {name}")]))

    def add_lines(self, count: int) -> None:
        for number in range(count):
            self.transcript.append(Line([("", f"line {number}.")]))


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    with open_terminal(40, 12) as opened:
        yield opened


@pytest.fixture
def toy(terminal: Terminal) -> Toy:
    return Toy()


def use(toy: Toy, terminal: Terminal, user: Callable[[], None], on_start: Callable[[], None] = lambda: None) -> int:
    return drive(terminal, lambda: toy.screen.run(on_start), user)


def test_the_positions_of_title_lines_status_and_prompt(toy: Toy, terminal: Terminal) -> None:
    def user() -> None:
        terminal.press(f"hello{ENTER}typ")
        rows = terminal.wait_for("> typ", "hello")
        assert toy.line == "typ"
        assert rows == ["title", *[""] * 8, "hello", "left" + " " * 31 + "right", "> typ"]
        terminal.press(f"{CTRL_C}{CTRL_C}")

    assert use(toy, terminal, user) == 0


def test_a_line_that_is_not_accepted_stays_in_the_prompt(toy: Toy, terminal: Terminal) -> None:
    def user() -> None:
        terminal.press(f"wrong{ENTER}er{ENTER}")
        terminal.wait_for("wronger")
        terminal.press(CTRL_D)

    assert use(toy, terminal, user) == 0
    assert [line.text() for line in toy.transcript.lines] == ["wronger"]


def test_alt_enter_begins_a_new_line_and_a_paste_is_one_message(toy: Toy, terminal: Terminal) -> None:
    def user() -> None:
        terminal.press(f"one\x1b{ENTER}two{ENTER}\x1b[200~three\nfour\x1b[201~{ENTER}")
        terminal.wait_for("four")
        terminal.press(CTRL_D)

    use(toy, terminal, user)
    assert [line.text() for line in toy.transcript.lines] == ["one\ntwo", "three\nfour"]


def test_earlier_lines_can_be_recalled(toy: Toy, terminal: Terminal) -> None:
    def user() -> None:
        terminal.press(f"first{ENTER}second{ENTER}")
        terminal.wait_for("second")
        terminal.press("\x1b[A\x1b[A")
        terminal.wait_for("> first")
        terminal.press(f"{CTRL_C}{CTRL_D}")

    use(toy, terminal, user)


def test_commands_are_offered_and_completed(toy: Toy, terminal: Terminal) -> None:
    def user() -> None:
        terminal.press("/")
        terminal.wait_for("/join ROOM", "go to a room", "/who")
        terminal.press(f"jo{TAB}")
        terminal.wait_for("> /join")
        terminal.press(f"tea{ENTER}")
        terminal.wait_until(lambda rows: rows[-3] == "/join tea", "said")
        terminal.press(CTRL_D)

    use(toy, terminal, user)


def test_scrolling(toy: Toy, terminal: Terminal) -> None:
    toy.add_lines(30)

    def user() -> None:
        terminal.wait_for("line 29.")
        terminal.press(PAGE_UP)
        terminal.wait_for("line 13.")
        terminal.press(PAGE_DOWN)
        terminal.wait_for("line 29.")
        terminal.press("\x1b[1;5H")
        terminal.wait_for("line 0.")
        assert toy.tops == 1
        terminal.press("\x1b[1;5F")
        terminal.wait_for("line 29.")
        terminal.press("\x1b[1;5A")
        terminal.wait_for("line 20.")
        terminal.press(f"new{ENTER}")
        terminal.wait_for("new")
        terminal.press(CTRL_D)

    use(toy, terminal, user)


def test_keys_of_the_view(toy: Toy, terminal: Terminal) -> None:
    def user() -> None:
        terminal.press("\x1b2\x1ba\x1b[1;3D\x1b[1;3C")
        terminal.wait_for("key next")
        terminal.press(CTRL_D)

    use(toy, terminal, user)
    assert toy.keys == ["2", "unread", "previous", "next"]


def test_calls_of_other_threads_are_drawn_and_may_end_the_screen(toy: Toy, terminal: Terminal) -> None:
    def work() -> None:
        for number in range(5000):
            toy.calls.put(partial(toy.transcript.append, Line([("", f"line {number}.")])))
        toy.calls.put(partial(toy.screen.end, 4))
        toy.calls.put(partial(toy.screen.end, 5))

    thread = threading.Thread(target=work)
    assert use(toy, terminal, lambda: None, thread.start) == 4
    thread.join()
    assert toy.transcript.lines[-1].text() == "line 4999."


@pytest.mark.parametrize("cause", ["view", "call", "drawing"])
def test_an_exception_ends_the_screen_and_is_raised(toy: Toy, terminal: Terminal, cause: str) -> None:
    def fail() -> None:
        raise LookupError("raised by the view")

    def user() -> None:
        if cause == "view":
            terminal.press(f"raise{ENTER}")
        elif cause == "drawing":
            toy.calls.put(lambda: setattr(toy, "is_broken", True))
        else:
            toy.calls.put(fail)

    with pytest.raises(LookupError, match="raised by the view"):
        use(toy, terminal, user)
    assert "\x1b[?1049l" in terminal.written  # the terminal is back at its normal screen


def test_a_closed_terminal_ends_the_screen(toy: Toy, terminal: Terminal) -> None:
    def user() -> None:
        terminal.wait_for("title")
        terminal.close()

    assert use(toy, terminal, user) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_signals_end_the_screen(toy: Toy, terminal: Terminal, number: int) -> None:
    def user() -> None:
        terminal.wait_for("title")
        os.kill(os.getpid(), number)

    assert use(toy, terminal, user) == (0 if number == signal.SIGINT else 128 + number)
    assert "\x1b[?1049l" in terminal.written


def test_rows_are_printed_after_the_screen(terminal: Terminal) -> None:
    print_rows([[("bold", "one"), ("", " row")], []])
    assert terminal.rows()[0] == "one row"
    print_rows([])
