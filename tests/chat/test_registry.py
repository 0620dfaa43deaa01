"""The registry: an action that lacks a part fails when its file is imported."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from wschat.chat import registry
from wschat.chat.actions import ACTIONS
from wschat.chat.registry import Registry

COMPLETE = '''
from dataclasses import dataclass
from wschat.chat.action import Action, Command
from wschat.chat.fields import RoomName, Text

@dataclass(frozen=True)
class Shout(Action[None]):
    """Shout."""

    type = "shout"
    commands = (Command("/shout TEXT", "shout", ("text",)),)
    needs_name = True
    needs_moderator = False

    room: RoomName
    text: Text

    def run(self, state, session):
        return None

    def plain_reply(self, reply):
        return None

    def cost(self, state, session, reply):
        return 0.0
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty package of actions that discovers its modules, as `wschat.chat.actions` does."""
    package = tmp_path / "more_actions"
    package.mkdir()
    (package / "__init__.py").write_text("from wschat.chat.registry import REGISTRY\nACTIONS = REGISTRY.discover(__name__, __path__)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(registry, "REGISTRY", Registry())
    yield package
    for name in [name for name in sys.modules if name.startswith("more_actions")]:
        del sys.modules[name]


def load(folder: Path, **modules: str) -> Registry:
    """Write modules into the folder and import it."""
    for name, source in modules.items():
        (folder / f"{name}.py").write_text(source)
    loaded = importlib.import_module(folder.name).ACTIONS
    assert isinstance(loaded, Registry)
    return loaded


def test_a_new_file_in_the_folder_is_a_new_action(folder: Path) -> None:
    loaded = load(folder, shout=COMPLETE)
    assert list(loaded.schemas) == ["shout"]
    command, schema = loaded.commands["shout"]
    assert (command.usage, schema.kind.__name__, list(schema.checks)) == ("/shout TEXT", "Shout", ["id", "room", "text"])


@pytest.mark.parametrize(
    ("without", "instead", "error"),
    [
        ('    """Shout."""\n', "", "lacks a docstring"),
        ('    type = "shout"\n', "", "lacks type"),
        ('    commands = (Command("/shout TEXT", "shout", ("text",)),)\n', "", "lacks commands"),
        ("    needs_name = True\n", "", "lacks needs_name"),
        ("    needs_moderator = False\n", "", "lacks needs_moderator"),
        ("def run(", "def walk(", "lacks run"),
        ("def plain_reply(", "def reply(", "lacks plain_reply"),
        ("def cost(", "def price(", "lacks cost"),
        ("    text: Text\n", "    text: str\n", "'text' of Shout has no check"),
        ('"/shout TEXT"', '"shout TEXT"', "lacks its slash or its help"),
        ('"/shout TEXT", "shout"', '"/shout TEXT", ""', "lacks its slash or its help"),
        ('("text",)', '("txt",)', "are not fields"),
        ('("text",)', "()", "are not fields"),
        ("    room: RoomName\n", "", None),
        ("class Shout(Action[None])", "class Shout", "must hold one action, not 0"),
    ],
)
def test_an_action_without_a_part_fails_at_import(folder: Path, without: str, instead: str, error: str | None) -> None:
    assert without in COMPLETE
    source = COMPLETE.replace(without, instead)
    if error is None:  # only actions of moderators need a room
        source, error = source.replace("needs_moderator = False", "needs_moderator = True"), "lacks the field 'room'"
    with pytest.raises(TypeError, match=error):
        load(folder, shout=source)


@pytest.mark.parametrize(
    ("old", "new", "error"), [("/shout TEXT", "/yell TEXT", "two actions have the type"), ('"shout"\n', '"yell"\n', "/shout")]
)
def test_two_actions_with_one_type_or_one_command_fail_at_import(folder: Path, old: str, new: str, error: str) -> None:
    assert old in COMPLETE
    with pytest.raises(TypeError, match=error):
        load(folder, shout=COMPLETE, yell=COMPLETE.replace(old, new))


def test_each_action_is_in_a_file_of_its_name() -> None:
    assert all(schema.kind.__module__ == f"wschat.chat.actions.{name.replace('-', '_')}" for name, schema in ACTIONS.schemas.items())
