"""A bot that reminds: `python -m wschat.bots.reminders URL --file reminders.sqlite`. Reminders outlive a restart."""

from __future__ import annotations

import logging
import re
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import click

from wschat.bots.command import bot_command
from wschat.client.bot.bot import Bot
from wschat.client.bot.message import Message
from wschat.errors import Rejected, UsageError

logger = logging.getLogger("wschat.bot")

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_PERIOD = re.compile(r"(?:\d{1,6}[smhdw])+", re.IGNORECASE | re.ASCII)
_MAX_SECONDS = 366 * 86_400
_MAX_PER_SENDER = 20
_MAX_TEXT = 500
_SCHEMA = "CREATE TABLE IF NOT EXISTS reminders (number INTEGER PRIMARY KEY, due REAL, room TEXT, sender TEXT, text TEXT, id TEXT)"


class Reminder(NamedTuple):
    """A text that is to be said at a time."""

    number: int
    due: float
    room: str
    sender: str
    text: str
    id: str


class Reminders:
    """The reminders in a file. Any thread may use it: each call has a connection of its own. Raises UsageError if it cannot be opened."""

    def __init__(self, path: str | Path) -> None:
        self._path = path
        try:
            with self._open() as database:
                database.execute(_SCHEMA)
        except sqlite3.Error as error:
            raise UsageError(f"the file of the reminders, {path}, cannot be used: {error}") from None

    def add(self, due: float, room: str, sender: str, text: str) -> int | None:
        """Add a reminder and return its number; None if the sender has too many."""
        with self._open() as database:
            database.execute("BEGIN IMMEDIATE")
            (count,) = database.execute("SELECT count(*) FROM reminders WHERE sender = ?", (sender,)).fetchone()
            if count >= _MAX_PER_SENDER:
                return None
            row = (due, room, sender, text, f"reminder-{uuid.uuid4()}")
            return database.execute("INSERT INTO reminders (due, room, sender, text, id) VALUES (?, ?, ?, ?, ?)", row).lastrowid

    def of(self, sender: str) -> list[Reminder]:
        """Return the reminders of a sender, the next one first."""
        with self._open() as database:
            return [Reminder(*row) for row in database.execute("SELECT * FROM reminders WHERE sender = ? ORDER BY due", (sender,))]

    def due(self, now: float) -> list[Reminder]:
        """Return the reminders whose time has come, in order."""
        with self._open() as database:
            return [Reminder(*row) for row in database.execute("SELECT * FROM reminders WHERE due <= ? ORDER BY due", (now,))]

    def remove(self, number: int, sender: str) -> bool:
        """Remove a reminder. Return False if the sender has none with this number."""
        with self._open() as database:
            return database.execute("DELETE FROM reminders WHERE number = ? AND sender = ?", (number, sender)).rowcount > 0

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path)) as database, database:
            yield database


def parse_period(text: str) -> float:
    """Return the seconds of a text like 90s, 10m, 1h30m or 2d. Raises ValueError for any other, and for more than a year."""
    if not _PERIOD.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is not a time like 90s, 10m, 1h30m or 2d.")
    seconds = sum(int(number) * _SECONDS[unit.lower()] for number, unit in re.findall(r"(\d+)(\D)", text))
    if seconds > _MAX_SECONDS:
        raise ValueError("I remember nothing for more than a year.")
    return seconds


def make_bot(url: str, *, file: str | Path, clock: Callable[[], float] = time.time, **options: Any) -> Bot:
    """Return the bot. `options` are those of `Bot`."""
    bot, reminders = Bot(url, **options), Reminders(file)

    @bot.command("remind", help="say a text later, as in !remind 1h30m tea is ready")
    def remind(message: Message, when: str, *, text: str) -> None:
        if not message.room:
            message.reply("I remind in rooms only.")
            return
        try:
            seconds = parse_period(when)
        except ValueError as error:
            message.reply(error)
            return
        number = reminders.add(clock() + seconds, message.room, message.sender, text[:_MAX_TEXT])
        message.reply(
            f"You have {_MAX_PER_SENDER} reminders already." if number is None else f"{message.sender}: reminder {number} in {when}."
        )

    @bot.command("reminders", help="list your reminders")
    def show(message: Message) -> None:
        lines = [f"{each.number}, in {max(0, each.due - clock()) / 60:.0f} min: {each.text}" for each in reminders.of(message.sender)]
        message.whisper("\n".join(lines) or "You have no reminders.")

    @bot.command("forget", help="remove a reminder")
    def forget(message: Message, number: int) -> None:
        is_removed = reminders.remove(number, message.sender)
        message.reply(f"Reminder {number} is removed." if is_removed else f"You have no reminder {number}.")

    @bot.every(1)
    def remind_all() -> None:
        for reminder in reminders.due(clock()):
            try:
                # With an id, it is said once, even if this bot ends before it removes the reminder.
                bot.say(reminder.room, f"{reminder.sender}: {reminder.text}", id=reminder.id)
            except Rejected as error:
                if error.code == "unavailable":
                    raise
                logger.warning("reminder %d of %s cannot be said in %s: %s", reminder.number, reminder.sender, reminder.room, error)
            reminders.remove(reminder.number, reminder.sender)

    return bot


@bot_command("reminders")
@click.option("--file", default="reminders.sqlite", show_default=True, help="SQLite file that keeps the reminders.")
def main(**options: Any) -> Bot:
    """Remind in the chat at URL: !remind 10m TEXT, !reminders, !forget NUMBER. Reminders are kept in a file."""
    return make_bot(**options)


if __name__ == "__main__":
    main()
