"""Completion by the tab key; the other keys are pressed in test_screen.py."""

from __future__ import annotations

import pytest
from prompt_toolkit.buffer import Buffer

from wschat.cli.terminal.completion import CommandCompleter
from wschat.cli.terminal.keys import complete

COMMANDS = {name: (f"/{name}", "help") for name in ("close", "clear", "help")}


@pytest.mark.parametrize(("typed", "completed"), [("/h", "/help"), ("/c", "/cl"), ("/x", "/x"), ("close", "close"), ("/help a", "/help a")])
def test_a_tab_completes_what_is_certain(typed: str, completed: str) -> None:
    buffer = Buffer(completer=CommandCompleter(lambda: COMMANDS))
    buffer.insert_text(typed)
    complete(buffer)
    assert buffer.text == completed
