"""The screen: a title, the messages, a status line and a prompt, drawn by prompt_toolkit in the thread that runs it.

Whatever other threads have for the screen goes through its `CallQueue`, so nothing here or in the views needs a lock. The whole screen is
the program's own while it runs (the alternate screen of the terminal): output cannot come between the prompt and the messages. At the end
the terminal is as it was before, with the last messages printed.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from typing import Any, Protocol

from prompt_toolkit.application import Application, run_in_terminal
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import Completer
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.history import History
from prompt_toolkit.shortcuts import print_formatted_text

from wschat.cli.terminal.call_queue import CallQueue
from wschat.cli.terminal.keys import KeyActions, key_bindings
from wschat.cli.terminal.layout import Parts, make_layout
from wschat.cli.terminal.rows import Row
from wschat.cli.terminal.styles import STYLE
from wschat.cli.terminal.transcript import Transcript

MIN_SECONDS_BETWEEN_DRAWINGS = 0.05
REFRESH_SECONDS = 1.0  # for what changes with time, such as the seconds until the next attempt
_ENDING_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


class View(Protocol):
    """What a screen shows, and what it does with what the user types. Called by the thread of the screen only."""

    @property
    def transcript(self) -> Transcript:
        """The messages to show."""

    @property
    def completer(self) -> Completer:
        """Completes what the user types."""

    def title(self) -> tuple[Row, Row]:
        """Return the left and the right part of the first row."""

    def status(self) -> tuple[Row, Row]:
        """Return the left and the right part of the status line."""

    def prompt(self) -> Row:
        """Return what stands before the line that the user types."""

    def accept(self, text: str) -> bool:
        """Do what the user has typed. Return True if the text must stay in the prompt."""

    def typed(self, text: str) -> None:
        """The user has changed the line, which is this text now."""

    def reached_top(self) -> None:
        """The user has scrolled up to the oldest line."""

    def key(self, name: str) -> None:
        """The user has pressed a key from `keys.VIEW_KEYS`."""


class Screen:
    """A screen with one view. `run` may be called once."""

    def __init__(self, view: View, calls: CallQueue, history: History) -> None:
        self._view = view
        self._calls = calls
        self.buffer = Buffer(
            completer=view.completer,
            complete_while_typing=Condition(self._is_command_name),
            history=history,
            accept_handler=self._accept,
            multiline=False,
            on_text_changed=lambda buffer: view.typed(buffer.text),
        )
        parts = Parts(view.title, view.status, view.prompt, lambda width, height: view.transcript.view(width, height))
        self._app: Application[int] = Application(
            layout=make_layout(parts, self.buffer),
            style=STYLE,
            key_bindings=key_bindings(self.buffer, KeyActions(self.end, self._suspend, self._scroll, view.key)),
            full_screen=True,
            min_redraw_interval=MIN_SECONDS_BETWEEN_DRAWINGS,
            refresh_interval=REFRESH_SECONDS,
            terminal_size_polling_interval=None,
        )
        self._app.ttimeoutlen = 0.1  # after which an escape is a key by itself
        self._app.timeoutlen = 0.3
        self._signal: int | None = None

    def run(self, on_start: Callable[[], None]) -> int:
        """Show the screen until `end` is called or the terminal is closed, and return the exit code. Must run in the main thread.

        `on_start` is called once the screen takes calls. An exception that a call or the view raises ends the screen and is raised here.
        """
        try:
            code = asyncio.run(self._run(on_start))
        except EOFError:  # the terminal is closed
            code = 0
        return code if self._signal is None else 128 + self._signal

    def end(self, code: int = 0) -> None:
        """End the screen with an exit code. For its own thread; a second call does nothing."""
        if self._app.future is not None and not self._app.future.done():
            self._app.exit(result=code)

    async def _run(self, on_start: Callable[[], None]) -> int:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._on_exception)
        for number in _ENDING_SIGNALS:
            loop.add_signal_handler(number, self._on_signal, number)
        loop.add_signal_handler(signal.SIGTSTP, self._suspend)

        def start() -> None:
            self._calls.open(lambda: _call_soon(loop, self._make_calls))
            on_start()

        return await self._app.run_async(pre_run=start, set_exception_handler=False)

    def _make_calls(self) -> None:
        self._calls.run_all()
        self._app.invalidate()

    def _on_exception(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception") or RuntimeError(context["message"])
        if self._app.future is not None and not self._app.future.done():
            self._app.exit(exception=error)

    def _on_signal(self, number: int) -> None:
        self._signal = number
        self.end()

    def _suspend(self) -> None:
        """Restore the terminal, stop the process group as the key Ctrl-Z does elsewhere, and draw the screen again once it continues."""
        loop = asyncio.get_running_loop()

        def stop() -> None:
            loop.remove_signal_handler(signal.SIGTSTP)  # so that it stops the process
            try:
                os.kill(0, signal.SIGTSTP)
            finally:
                loop.add_signal_handler(signal.SIGTSTP, self._suspend)

        run_in_terminal(stop)

    def _accept(self, buffer: Buffer) -> bool:
        self._view.transcript.to_bottom()
        return self._view.accept(buffer.text) if buffer.text.strip() else False

    def _scroll(self, scroll: Callable[[Transcript], None]) -> None:
        transcript = self._view.transcript
        scroll(transcript)
        if transcript.is_scrolled and transcript.is_at_top:
            self._view.reached_top()

    def _is_command_name(self) -> bool:
        text = self.buffer.text
        return text.startswith("/") and " " not in text


def print_rows(rows: list[Row]) -> None:
    """Print rows on the normal screen of the terminal. Must not be called while a screen runs."""
    fragments = [fragment for row in rows for fragment in (*row, ("", "\n"))]
    if fragments:
        print_formatted_text(FormattedText(fragments), style=STYLE, end="")


def _call_soon(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    try:
        loop.call_soon_threadsafe(call)
    except RuntimeError:
        pass  # the loop has ended, and so has the screen
