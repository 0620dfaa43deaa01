"""The handlers that are called for a message or a member."""

from __future__ import annotations

from wschat.client.bot.decorators import Decorators
from wschat.client.bot.handlers import Handlers
from wschat.client.bot.message import Member, Message
from wschat.client.bot.outlets import Recorder


def message(text: str, room: str = "tea") -> Message:
    return Message(room, "alice", text, 1, 0.0, False, Recorder())


def test_a_command_is_also_a_message_and_its_handler_is_called_first() -> None:
    handlers = Handlers("!")
    bot = Decorators(handlers)
    called: list[str] = []
    bot.on_message()(lambda message: called.append("all"))
    bot.on_message(r"\d+d\d+")(lambda message: called.append(f"pattern {message.match[0]}"))
    bot.on_message("tea")(lambda message: called.append("another pattern"))
    bot.command("roll")(lambda message, dice: called.append(f"command {dice}"))
    for call in handlers.calls_for_message(message("!roll 2d6")):
        call.run()
    assert called == ["command 2d6", "all", "pattern 2d6"]


def test_a_whisper_is_handled_by_commands_only() -> None:
    handlers = Handlers("!")
    bot = Decorators(handlers)
    bot.on_message()(lambda message: None)
    bot.command("roll")(lambda message: None)
    assert [call.name for call in handlers.calls_for_message(message("!roll", room=""))] == ["!roll"]
    assert handlers.calls_for_message(message("hello", room="")) == []


def test_errors_are_answered_where_an_answer_is_expected() -> None:
    handlers = Handlers("!")
    bot = Decorators(handlers)
    bot.on_message()(lambda message: None)
    bot.on_message("roll")(lambda message: None)
    bot.command("roll")(lambda message: None)
    bot.on_join(lambda member: None)
    assert [call.apology for call in handlers.calls_for_message(message("!roll"))] == [
        "Sorry, !roll failed.",
        "",
        "Sorry, I could not handle that.",
    ]
    assert [call.apology for call in handlers.calls_for_member(Member("tea", "bob", False, Recorder()))] == [""]
