"""The bot that sends reminders."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from tests.bots.conftest import until_connected
from tests.chat.wiring import Clock, Guests
from tests.concurrency import eventually
from tests.conftest import url_of
from wschat import Bot, UsageError
from wschat.bots.reminders import Reminders, make_bot, parse_period


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "reminders.sqlite"


@pytest.fixture
def bot(file: Path, clock: Clock) -> Bot:
    return make_bot("ws://chat", name="reminders", file=file, clock=clock)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("10m", 600), ("1h30m", 5400), ("2D", 172_800), ("1w", 604_800), ("366d", 31_622_400)]
)
def test_periods_are_parsed(text: str, seconds: float) -> None:
    assert parse_period(text) == seconds


@pytest.mark.parametrize("text", ["", "10", "m", "10 m", "-1m", "1.5h", "soon", "10m!", "1234567m"])
def test_other_texts_are_no_periods(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time like 90s, 10m, 1h30m or 2d"):
        parse_period(text)


def test_more_than_a_year_is_too_long(bot: Bot) -> None:
    assert bot.feed("!remind 367d tea") == ["I remember nothing for more than a year."]


def test_a_reminder_is_kept_listed_and_removed(bot: Bot, clock: Clock, file: Path) -> None:
    assert bot.feed("!remind 1h30m tea  is ready") == ["alice: reminder 1 in 1h30m."]
    assert bot.feed("!remind 10m the cake") == ["alice: reminder 2 in 10m."]
    clock.now += 60
    (listed,) = bot.feed("!reminders")
    assert (listed, listed.to) == ("2, in 9 min: the cake\n1, in 89 min: tea  is ready", "alice")
    assert bot.feed("!reminders", sender="bob") == ["You have no reminders."]
    assert bot.feed("!forget 2", sender="bob") == ["You have no reminder 2."]
    assert bot.feed("!forget 2") == ["Reminder 2 is removed."]
    assert [reminder.text for reminder in Reminders(file).of("alice")] == ["tea  is ready"]


def test_wrong_calls_are_answered_with_an_error(bot: Bot) -> None:
    assert bot.feed("!remind 10m") == ["Usage: !remind WHEN TEXT (text is missing)"]
    assert bot.feed("!remind soon tea") == ["'soon' is not a time like 90s, 10m, 1h30m or 2d."]
    assert bot.feed("!forget all") == ["Usage: !forget NUMBER (number must be a whole number, not 'all')"]
    assert bot.feed("!remind 10m tea", room="") == ["I remind in rooms only."]


def test_the_reminders_of_a_sender_are_limited(bot: Bot) -> None:
    for number in range(1, 21):
        assert bot.feed("!remind 1h tea") == [f"alice: reminder {number} in 1h."]
    assert bot.feed("!remind 1h tea") == ["You have 20 reminders already."]
    assert bot.feed("!remind 1h tea", sender="bob") == ["bob: reminder 21 in 1h."]


def test_a_file_that_cannot_be_used_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("This is no database." * 100)
    for path in (tmp_path, tmp_path / "text", tmp_path / "nowhere" / "file"):
        with pytest.raises(UsageError, match=r"the file of the reminders, .*, cannot be used"):
            Reminders(path)


def test_reminders_are_sent_once_and_survive_a_restart(chat: Guests, file: Path, clock: Clock) -> None:
    alice = chat.v1("alice", "tea")
    options = {"url": url_of(chat.server), "name": "reminders", "rooms": ["tea"], "secret": "a-secret-of-22-letters-or-more"}
    with make_bot(file=file, clock=clock, **options) as bot:  # type: ignore[arg-type]
        until_connected(bot)
        alice.say("!remind 10m the tea")
        assert alice.next(lambda event: event.get("from") == "reminders")["text"] == "alice: reminder 1 in 10m."
        alice.say("!remind 20m the cake")
        assert alice.next(lambda event: event.get("from") == "reminders")["text"] == "alice: reminder 2 in 20m."
    clock.now += 600
    (tea,) = Reminders(file).due(clock.now)
    with make_bot(file=file, clock=clock, **options) as bot:  # type: ignore[arg-type]
        assert alice.next(lambda event: event.get("from") == "reminders")["text"] == "alice: the tea"
        eventually(lambda: len(Reminders(file).of("alice")) == 1)
        with sqlite3.connect(file) as database:  # as if the bot had ended before it removed the reminder
            database.execute("INSERT INTO reminders VALUES (?, ?, ?, ?, ?, ?)", tea)
        database.close()
        eventually(lambda: len(Reminders(file).of("alice")) == 1)
        clock.now += 600
        assert alice.next(lambda event: event.get("from") == "reminders")["text"] == "alice: the cake"


def test_a_reminder_that_cannot_be_sent_is_logged_and_dropped(
    chat: Guests, file: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    Reminders(file).add(clock.now, "coffee", "alice", "the cake")
    with make_bot(url_of(chat.server), name="reminders", rooms=["tea"], file=file, clock=clock):
        eventually(lambda: not Reminders(file).of("alice"))
    assert "reminder 1 of alice cannot be said in coffee: not-in-room" in caplog.text
