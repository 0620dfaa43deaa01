"""The action `commands`: the list from which a page completes commands and shows help."""

from __future__ import annotations

import pytest

from tests.chat.actions.examples import Example
from tests.chat.conftest import ChatFactory
from tests.chat.wiring import Guests
from tests.concurrency import TIMEOUT
from wschat.chat.actions import ACTIONS
from wschat.chat.actions.commands import Commands
from wschat.chat.budgets import Budgets
from wschat.chat.rates import Rate

EXAMPLE = Example({}, Commands(), {}, Commands())


def test_the_reply_lists_every_command_with_its_usage_and_help(guests: Guests) -> None:
    reply = guests.v1().ask(type="commands", id="c")
    assert reply.keys() == {"type", "commands", "id"}
    assert (reply["type"], reply["id"]) == ("commands", "c")
    assert [(entry["name"], entry["usage"], entry["help"]) for entry in reply["commands"]] == [
        (name, command.usage, command.help) for name, (command, _) in ACTIONS.commands.items()
    ]


def test_commands_for_moderators_are_marked_and_the_others_are_not(guests: Guests) -> None:
    entries = {entry["name"]: entry for entry in guests.v1().ask(type="commands")["commands"]}
    assert entries["kick"] == {"name": "kick", "usage": "/kick NAME", "help": "remove a user from the room", "moderator": True}
    assert entries["who"].keys() == {"name", "usage", "help"}


def test_the_reply_without_an_id_has_none(guests: Guests) -> None:
    client = guests.v1()
    client.tell(type="commands")
    assert "id" not in client.next("commands")


def test_help_lists_the_same_commands_as_text(guests: Guests) -> None:
    client = guests.v1()
    entries = client.ask(type="commands")["commands"]
    lines = client.ask(type="help")["text"].splitlines()
    assert lines[:-1] == [f"{entry['usage']}  {entry['help']}" for entry in entries]
    assert lines[-1].startswith("//TEXT ")
    plain = guests.plain()
    plain.send("/help")
    assert str(plain.recv(TIMEOUT)).splitlines() == lines


@pytest.mark.parametrize("action", ["commands", "ping", "help"])
def test_these_actions_cost_only_the_base_rate(open_chat: ChatFactory, action: str) -> None:
    client = open_chat(budgets=Budgets(work=Rate(100, 3600))).v1()
    replies = [client.ask(type=action)["type"] for _ in range(25)]  # 300 at once, and 11 for each request
    assert "error" not in replies
