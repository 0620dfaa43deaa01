"""The events that a bot handles as messages and joins."""

from __future__ import annotations

import pytest

from tests.chat.wiring import Clock
from wschat.client.bot.incoming import Incoming, Outages
from wschat.client.bot.message import Member, Message
from wschat.client.bot.outlets import Recorder
from wschat.client.reconnect import Attempt
from wschat.events import Dropped, Error, Gap, Joined, MemberEvent, MessageEvent, Notice, WhisperEvent

URL = "ws://chat"


def said(sender: str, text: str = "hi", seq: int = 8) -> MessageEvent:
    return MessageEvent("tea", seq, sender, text, 3.0)


def joined(last: int = 7, *moderators: str, epoch: str = "epoch") -> Joined:
    return Joined("tea", epoch, last, ["dice"], [], False, False, moderators=moderators)


class BotEvents:
    """The incoming events of a bot with the name `name`."""

    def __init__(self, catch_up: float = 60.0) -> None:
        self.name = "dice"
        self.clock = Clock()
        self.outages = Outages(clock=self.clock)
        self.incoming = Incoming(lambda: self.name, Recorder(), self.outages, catch_up)
        self.take = self.incoming.take
        self.take(joined(7, "root"))

    def lose(self, seconds: float, last: int, epoch: str = "epoch") -> None:
        """Lose the connection for some seconds, in which messages up to a number were sent."""
        self.outages.on_attempt(Attempt(1, URL, OSError("lost"), 1.0))
        self.clock.now += seconds / 2
        self.outages.on_attempt(Attempt(2, URL, OSError("still lost"), 1.0))
        self.clock.now += seconds / 2
        self.outages.on_attempt(Attempt(3, URL, None, None))
        self.take(joined(last, "root", epoch=epoch))


def test_a_message() -> None:
    message = BotEvents().take(said("alice"))
    assert isinstance(message, Message)
    assert (message.room, message.sender, message.text, message.seq, message.time) == ("tea", "alice", "hi", 8, 3.0)
    assert not message.is_moderator


def test_a_message_of_a_moderator() -> None:
    message = BotEvents().take(said("root"))
    assert isinstance(message, Message)
    assert message.is_moderator


def test_a_whisper_has_no_room_and_no_moderators() -> None:
    message = BotEvents().take(WhisperEvent("root", "dice", "hi", 3.0))
    assert isinstance(message, Message)
    assert (message.room, message.seq, message.is_moderator) == ("", 0, False)


@pytest.mark.parametrize("name", ["dice", "Dice", "DICE"])
def test_the_bots_own_messages_whispers_and_joins_are_ignored(name: str) -> None:
    bot = BotEvents()
    assert bot.take(said(name)) is None
    assert bot.take(WhisperEvent(name, "dice", "hi", 3.0)) is None
    assert bot.take(MemberEvent("tea", name, "join")) is None


def test_a_message_by_its_former_name_is_its_own_before_and_after_the_rename() -> None:
    bot = BotEvents()
    bot.name = "cube"
    assert bot.take(said("dice")) is None
    bot.take(MemberEvent("tea", "dice", "rename", "cube"))
    assert bot.take(said("dice")) is None
    assert bot.take(said("cube")) is None
    bot.take(MemberEvent("tea", "alice", "rename", "carol"))
    assert bot.take(said("alice")) is not None


def test_joins_of_members_are_handled() -> None:
    bot = BotEvents()
    bob, eve = bot.take(MemberEvent("tea", "bob", "join", moderator=True)), bot.take(MemberEvent("tea", "eve", "join"))
    assert isinstance(bob, Member)
    assert isinstance(eve, Member)
    assert [(member.room, member.name, member.is_moderator) for member in (bob, eve)] == [("tea", "bob", True), ("tea", "eve", False)]
    assert bot.take(MemberEvent("tea", "bob", "leave")) is None


def test_messages_missed_for_a_short_time_are_handled_without_moderators() -> None:
    bot = BotEvents()
    bot.lose(59, last=9)
    missed, new = bot.take(said("root", seq=9)), bot.take(said("root", seq=10))
    assert isinstance(missed, Message)
    assert isinstance(new, Message)
    assert (missed.is_moderator, new.is_moderator) == (False, True)


def test_messages_missed_for_a_long_time_are_ignored() -> None:
    bot = BotEvents()
    bot.lose(61, last=9)
    assert bot.take(said("alice", seq=9)) is None
    assert bot.take(said("alice", seq=10)) is not None
    bot.lose(1, last=11)
    assert bot.take(said("alice", seq=11)) is not None


def test_messages_missed_for_a_long_time_are_ignored_after_another_loss_too() -> None:
    bot = BotEvents()
    bot.lose(61, last=9)
    bot.lose(1, last=10)
    assert bot.take(said("alice", seq=9)) is None
    assert bot.take(said("alice", seq=10)) is not None


def test_messages_missed_for_a_long_time_do_not_count_in_a_log_that_begins_anew() -> None:
    bot = BotEvents()
    bot.lose(61, last=9)
    bot.lose(1, last=9, epoch="another")
    assert bot.take(said("alice", seq=1)) is not None


def test_it_is_logged_that_messages_are_ignored(caplog: pytest.LogCaptureFixture) -> None:
    bot = BotEvents()
    bot.lose(1, last=8)
    bot.lose(61.4, last=9)
    assert [record.getMessage() for record in caplog.records if record.getMessage().startswith("the connection")] == [
        "the connection was lost for 61 s: what was said in tea meanwhile, up to number 9, is not handled"
    ]


def is_moderator(bot: BotEvents, seq: int) -> bool:
    """Return True if a message of root with this number is that of a moderator."""
    message = bot.take(said("root", seq=seq))
    assert isinstance(message, Message)
    return message.is_moderator


def test_after_dropped_events_the_moderators_are_to_be_asked_for() -> None:
    bot = BotEvents()
    assert not bot.incoming.is_unsure
    bot.take(Dropped(3))
    assert bot.incoming.is_unsure
    assert not is_moderator(bot, seq=8)
    bot.take(MemberEvent("tea", "root", "op"))
    assert not is_moderator(bot, seq=9)
    rooms, learn = bot.incoming.asking()
    assert rooms == ["tea"]
    learn(joined(11, "root"))
    assert not is_moderator(bot, seq=10)  # sent before the reply
    assert is_moderator(bot, seq=12)


def test_a_reply_about_moderators_from_before_more_dropped_events_does_not_count() -> None:
    bot = BotEvents()
    bot.take(Dropped(3))
    _, learn = bot.incoming.asking()
    bot.take(Dropped(4))
    learn(joined(8, "root"))
    assert not is_moderator(bot, seq=9)


def test_notices_and_errors_of_the_server_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "wschat.bot")
    bot = BotEvents()
    for event in (Error("forbidden", "No."), Notice("root muted you."), Gap("tea", 5), MemberEvent("tea", "dice", "kick")):
        assert bot.take(event) is None
    assert [record.getMessage() for record in caplog.records] == [
        "the server says: No.",
        "the server says: root muted you.",
        "messages before number 5 of tea were missed: the server no longer has them",
        "the bot is no longer in tea: kick",
    ]


def test_attempts_are_logged_and_passed_on(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "wschat.bot")
    attempts: list[Attempt] = []
    outages = Outages(attempts.append)
    for attempt in (Attempt(1, URL, OSError("refused"), 1.5), Attempt(2, URL, None, None), Attempt(1, URL, OSError("final"), None)):
        outages.on_attempt(attempt)
    assert [attempt.number for attempt in attempts] == [1, 2, 1]
    assert [record.getMessage() for record in caplog.records] == [
        "no connection to ws://chat: refused; the next attempt is in 1.5 s",
        "connected to ws://chat",
    ]
