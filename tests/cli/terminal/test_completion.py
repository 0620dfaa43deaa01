"""Completion of commands, names and rooms."""

from __future__ import annotations

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import to_plain_text

from wschat.cli.terminal.completion import ChatCompleter, CommandCompleter

COMMANDS = {"join": ("/join ROOM", "go to a room"), "who": ("/who", "list the members"), "x": ("/x\x1b[2J", "hostile\x1b[2J")}


@pytest.mark.parametrize(
    ("text", "completed"), [("/", ["join ", "who", "x"]), ("/W", ["who"]), ("/join ", []), ("who", []), ("", []), (" /", [])]
)
def test_commands_are_completed_at_the_beginning(text: str, completed: list[str]) -> None:
    completions = CommandCompleter(lambda: COMMANDS).get_completions(Document(text), CompleteEvent())
    assert [completion.text for completion in completions] == completed


def test_the_servers_descriptions_of_commands_are_made_displayable() -> None:
    (hostile,) = CommandCompleter(lambda: COMMANDS).get_completions(Document("/x"), CompleteEvent())
    assert to_plain_text(hostile.display) == "/x\\x1b[2J"
    assert hostile.display_meta_text == "hostile\\x1b[2J"


CHAT_COMMANDS = {
    "join": ("/join ROOM", "go to a room"),
    "msg": ("/msg NAME TEXT", "whisper"),
    "mute": ("/mute NAME|ADDRESS [SECONDS]", "mute"),
    "room": ("/room NAME|NUMBER", "go to a room"),
    "who": ("/who", "list the members"),
}


@pytest.mark.parametrize(
    ("text", "completed"),
    [
        ("/j", ["join "]),
        ("/join ", ["lobby", "tea"]),
        ("/join T", ["tea"]),
        ("/room l", ["lobby"]),
        ("/msg b", ["Bob ", "bobby "]),
        ("/msg Bob al", ["alice "]),
        ("/mute al", ["alice "]),
        ("/mute alice 1", []),
        ("/who b", ["Bob ", "bobby "]),
        ("/unknown b", ["Bob ", "bobby "]),
        ("b", ["Bob: ", "bobby: "]),
        ("hi b", ["Bob ", "bobby "]),
        ("@b", ["Bob ", "bobby "]),
        ("hi @al", ["alice "]),
        ("hi ", []),
        ("", []),
    ],
)
def test_names_and_rooms_are_completed(text: str, completed: list[str]) -> None:
    completer = ChatCompleter(lambda: CHAT_COMMANDS, lambda: ["tea", "lobby", "tea"], lambda: ["bobby", "alice", "Bob"])
    assert [completion.text for completion in completer.get_completions(Document(text), CompleteEvent())] == completed
