"""Topics in a file, as far as the contract suite does not test them: they outlive restarts and damage."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from tests.brokers.sqlite.wiring import change, open_database, rows_of
from tests.brokers.wiring import TEXTS, append, log_of, say, set_topic, topic_text, upto
from wschat.brokers.base import TOPIC, Draft, Retention
from wschat.brokers.sqlite.broker import SqliteBroker


def test_topics_survive_a_restart(path: Path) -> None:
    with closing(SqliteBroker(path)) as broker:
        append(broker, *(Draft(f"room {number}", text, text, kind=TOPIC) for number, text in enumerate(TEXTS)))
        say(broker, "tea", "x")
        set_topic(broker, "coffee", "beans")
        set_topic(broker, "coffee", "")
        before = [broker.topic(f"room {number}") for number in range(len(TEXTS))]
    with closing(SqliteBroker(path)) as broker:
        assert [broker.topic(f"room {number}") for number in range(len(TEXTS))] == before
        assert [topic.text if topic else "" for topic in before] == TEXTS
        assert broker.topic("tea") is broker.topic("coffee") is None
        assert [entry.kind for entry in log_of(broker, "coffee")] == [TOPIC, TOPIC]
    assert rows_of(path, "topics") == len(TEXTS) - 1, "only rooms with a topic have a row"


def test_a_topic_outlives_its_entry_in_the_log(path: Path) -> None:
    with closing(SqliteBroker(path, Retention(messages=5))) as broker:
        set_topic(broker, "tea", "green")
        say(broker, "tea", *["x"] * 600)
    with closing(SqliteBroker(path, Retention(messages=5))) as broker:
        topic = broker.topic("tea")
        assert topic is not None
        assert topic[:4] == ("tea", 1, "alice", "green")
        assert len(log_of(broker, "tea")) == 5
        assert rows_of(path, "messages") == 5


def test_the_topic_of_a_deleted_room_is_deleted(path: Path) -> None:
    with closing(SqliteBroker(path)) as broker:
        set_topic(broker, "tea", "green")
    change(path, "UPDATE rooms SET time = 1700000000.0")
    change(path, "DELETE FROM messages")
    with closing(SqliteBroker(path)) as broker:
        assert not broker.has_room("tea")
        assert set_topic(broker, "tea", "black") == 2
    assert rows_of(path, "topics") == 1


def test_a_topic_is_in_the_file_before_its_publisher_is_called(path: Path) -> None:
    with closing(SqliteBroker(path)) as broker, open_database(path) as database:
        for seq in upto(3):
            assert set_topic(broker, "tea", f"topic {seq}") == seq
            assert database.execute("SELECT seq, text FROM topics").fetchall() == [(seq, f"topic {seq}")]


@pytest.mark.parametrize(
    "row", ["seq = 'seven'", "sender = CAST(x'ff' AS TEXT)", "text = CAST(x'ff' AS TEXT)", "time = 9e999", "room = 99", "text = ''"]
)
def test_an_unreadable_topic_does_not_affect_the_others(path: Path, caplog: pytest.LogCaptureFixture, row: str) -> None:
    with closing(SqliteBroker(path)) as broker:
        for room in ("tea", "coffee"):
            set_topic(broker, room, f"a secret of {room}")
    change(path, f"UPDATE topics SET {row} WHERE room = 1")
    with closing(SqliteBroker(path)) as broker:
        assert [topic_text(broker, room) for room in ("tea", "coffee")] == [None, "a secret of coffee"]
        assert "cannot be read and is left out" in caplog.text
        assert "secret" not in caplog.text
        assert set_topic(broker, "tea", "green") == 2
    with closing(SqliteBroker(path)) as broker:
        assert topic_text(broker, "tea") == "green"


def test_a_damaged_table_of_topics_does_not_prevent_messages(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with closing(SqliteBroker(path)) as broker:
        set_topic(broker, "tea", "green")
    wipe_topics(path)
    with closing(SqliteBroker(path)) as broker:
        assert broker.topic("tea") is None
        assert "topics cannot be read and are left out" in caplog.text
        assert say(broker, "tea", "x") == [2]
        assert [entry.text for entry in log_of(broker, "tea")] == ["green", "x"]


def wipe_topics(path: Path) -> None:
    """Overwrite the page of the table with zeros, as a failing disk may."""
    with open_database(path) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page,) = database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'topics'").fetchone()
        (size,) = database.execute("PRAGMA page_size").fetchone()
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(bytes(size))
