"""Commands in messages: parsing, checks, calls, and help."""

from __future__ import annotations

import pytest

from wschat.client.bot.commands import Command, Commands, check_name
from wschat.client.bot.message import Message
from wschat.client.bot.outlets import Recorder, Reply
from wschat.errors import UsageError


def roll(message: Message, dice: str = "1d6") -> None:
    """Roll dice."""
    message.reply(f"{dice} rolled")


def wipe(message: Message, lines: int) -> None:
    message.reply(f"{lines} wiped")


def make(prefix: str = "!") -> Commands:
    commands = Commands(prefix)
    commands.add(Command("roll", roll, "", False, 0))
    commands.add(Command("wipe", wipe, "wipe lines", True, 0))
    return commands


def answers(commands: Commands, text: str, *, room: str = "tea", sender: str = "alice", moderator: bool = False) -> list[Reply] | None:
    """Return the answers to a text; None if it is not a command."""
    recorder = Recorder()
    call = commands.find(Message(room, sender, text, 1, 0.0, moderator, recorder))
    if call is None:
        return None
    call.run()
    return recorder.replies


@pytest.mark.parametrize("text", ["!roll 2d6", "!ROLL 2d6", "  ! roll  2d6 ", "!roll\n2d6"])
def test_a_command_is_found_and_run(text: str) -> None:
    assert answers(make(), text) == ["2d6 rolled"]


@pytest.mark.parametrize("text", ["", "!", "roll", "hello !roll", "!unknown", "!rolls", "?roll"])
def test_other_texts_are_not_commands(text: str) -> None:
    assert answers(make(), text) is None


@pytest.mark.parametrize("prefix", ["?", "dice:", "@Dice"])
def test_another_prefix(prefix: str) -> None:
    assert answers(make(prefix), f"{prefix.upper()} roll 3d6") == ["3d6 rolled"]
    assert answers(make(prefix), "!roll") is None


@pytest.mark.parametrize("prefix", ["", " ", "! ", "/", "/bot", None])
def test_an_invalid_prefix_is_an_error(prefix: str) -> None:
    with pytest.raises(UsageError, match="a prefix must be a text like !"):
        Commands(prefix)


def test_a_wrong_call_is_answered_with_the_usage() -> None:
    assert answers(make(), "!wipe all", moderator=True) == ["Usage: !wipe LINES (lines must be a whole number, not 'all')"]


def test_a_command_for_moderators_is_refused_to_others() -> None:
    commands = make()
    assert answers(commands, "!wipe 3") == ["Only moderators may use !wipe."]
    assert answers(commands, "!wipe 3", moderator=True) == ["3 wiped"]
    assert answers(commands, "!wipe 3", room="") == ["Only moderators may use !wipe in a room."]


def test_a_cooldown_applies_to_a_sender_and_is_announced_once() -> None:
    commands = Commands("!")
    commands.add(Command("roll", roll, "", False, 1000))
    assert answers(commands, "!roll") == ["1d6 rolled"]
    assert answers(commands, "!roll") == ["Wait 1000 s before you use !roll again."]
    assert answers(commands, "!roll") == []
    assert answers(commands, "!roll", sender="bob") == ["1d6 rolled"]


def test_a_wrong_call_does_not_begin_the_cooldown() -> None:
    commands = Commands("!")
    commands.add(Command("wipe", wipe, "", False, 1000))
    assert answers(commands, "!wipe x") == ["Usage: !wipe LINES (lines must be a whole number, not 'x')"]
    assert answers(commands, "!wipe 1") == ["1 wiped"]


def test_help_lists_the_commands_that_the_sender_may_use() -> None:
    everyone = "Commands:\n!roll [DICE]: Roll dice.\n!help [COMMAND]: explain the commands"
    moderators = "Commands:\n!roll [DICE]: Roll dice.\n!wipe LINES: wipe lines\n!help [COMMAND]: explain the commands"
    assert answers(make(), "!help") == [everyone]
    assert answers(make(), "!HELP", moderator=True) == [moderators]


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("!help roll", "Usage: !roll [DICE]: Roll dice."),
        ("!help !Roll", "Usage: !roll [DICE]: Roll dice."),
        ("!help wipe", "Usage: !wipe LINES: wipe lines (for moderators)"),
        ("!help fly", "There is no command 'fly'. !help lists the commands."),
    ],
)
def test_help_on_one_command(text: str, answer: str) -> None:
    assert answers(make(), text) == [answer]


@pytest.mark.parametrize("text", ["!wipe", "!wipe 1", "!help", "!help fly", "!help roll"])
def test_an_answer_of_the_bot_is_never_a_command(text: str) -> None:
    commands = make()
    for answer in answers(commands, text) or []:
        assert answers(commands, answer) is None


def test_a_whisper_is_answered_by_a_whisper() -> None:
    replies = answers(make(), "!roll", room="") or []
    assert [(reply, reply.room, reply.to) for reply in replies] == [("1d6 rolled", "", "alice")]


@pytest.mark.parametrize("name", ["roll", "ROLL", "help", "Help"])
def test_a_name_that_is_taken_is_an_error(name: str) -> None:
    with pytest.raises(UsageError, match=r"give (one of them|the command) another name"):
        make().add(Command(name, roll, "", False, 0))


@pytest.mark.parametrize("name", ["", "two words", "a\n", None, roll])
def test_a_name_must_be_a_word(name: str) -> None:
    with pytest.raises(UsageError, match="the name of a command must be one word"):
        check_name(name)


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf")])
def test_a_cooldown_must_be_seconds(seconds: float) -> None:
    with pytest.raises(UsageError, match="the cooldown of roll must be 0 to"):
        Command("roll", roll, "", False, seconds)
