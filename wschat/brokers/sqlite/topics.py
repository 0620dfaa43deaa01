"""The table of topics: the entry that set the topic of a room, also after the log no longer keeps it. Rooms without a topic have no row."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Any

from wschat.brokers.base import TOPIC, Message
from wschat.brokers.sqlite.log_reader import is_damage

logger = logging.getLogger("wschat.brokers")


def store_topic(database: sqlite3.Connection, room_id: int, topic: Message) -> None:
    """Store the last topic of a room, or delete it if its text is empty. Within a transaction. Raises sqlite3.Error."""
    if topic.text:
        row = (room_id, topic.seq, topic.sender, topic.text, topic.time)
        database.execute("INSERT OR REPLACE INTO topics VALUES (?, ?, ?, ?, ?)", row)
    else:
        database.execute("DELETE FROM topics WHERE room = ?", (room_id,))


def read_topics(database: sqlite3.Connection, names: Mapping[int, str]) -> dict[str, Message]:
    """Return the topics of the rooms with these ids and names. Logs those that cannot be read. Raises sqlite3.Error."""
    topics = {}
    for row in _rows(database):
        name = names.get(row[0])
        topic = _topic(name, row) if name is not None else None
        if topic is not None:
            topics[topic.room] = topic
        else:
            logger.error("the topic of the room with the id %s cannot be read and is left out", row[0])
    return topics


def _rows(database: sqlite3.Connection) -> Iterator[Any]:
    try:
        # As bytes, because SQLite does not continue after a text that is not UTF-8.
        yield from database.execute("SELECT room, seq, CAST(sender AS BLOB), CAST(text AS BLOB), time FROM topics")
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        logger.error("topics cannot be read and are left out: %s", error)


def _topic(room: str, row: Any) -> Message | None:
    """Return the topic of a row; None if a value has the wrong type."""
    _, seq, sender, text, time = row
    try:
        topic = Message(room, seq, sender.decode(), text.decode(), time, TOPIC)
    except (AttributeError, UnicodeDecodeError):
        return None
    return topic if type(seq) is int and type(time) is float and isfinite(time) and topic.text else None
