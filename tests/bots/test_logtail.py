"""The bot that follows a log file."""

from __future__ import annotations

import json
import os
from contextlib import closing
from pathlib import Path

import pytest

from tests.bots.conftest import until_connected
from tests.chat.wiring import Guests
from tests.concurrency import eventually
from tests.conftest import url_of
from wschat import UsageError
from wschat.bots.logtail import Batches, LogTail, make_bot
from wschat.cli.serve import CHAT_LIMITS


def append(path: Path, text: str | bytes) -> None:
    with path.open("ab") as file:
        file.write(text.encode() if isinstance(text, str) else text)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "app.log"
    path.write_text("old\n")
    return path


def test_new_lines_are_read_when_they_are_complete(log: Path) -> None:
    tail = LogTail(log)
    assert tail.read() == []
    append(log, "one\ntwo\nthr")
    assert tail.read() == ["one", "two"]
    append(log, "ee\r\n\n")
    assert tail.read() == ["three", ""]
    tail.close()


def test_a_file_that_is_created_later_is_read_from_its_beginning(tmp_path: Path) -> None:
    tail = LogTail(tmp_path / "later.log")
    assert tail.read() == []
    append(tmp_path / "later.log", "one\n")
    assert tail.read() == ["one"]
    tail.close()


def test_a_file_that_was_renamed_is_read_to_its_end_and_then_the_new_one(log: Path) -> None:
    tail = LogTail(log)
    append(log, "one\n")
    log.rename(log.with_suffix(".1"))
    append(log.with_suffix(".1"), "two\nunfinished")
    assert tail.read() == ["one", "two"]
    assert tail.read() == []  # there is no other file yet
    append(log, "three\n")
    assert tail.read() == ["unfinished"]
    assert tail.read() == ["three"]
    tail.close()


def test_a_file_that_was_truncated_is_read_from_its_beginning(log: Path) -> None:
    append(log, "a long line\n")
    tail = LogTail(log)
    os.truncate(log, 0)
    append(log, "new\n")
    assert tail.read() == ["new"]
    tail.close()


def test_a_file_that_was_truncated_and_has_grown_past_its_old_size_is_read_from_its_beginning(log: Path) -> None:
    tail = LogTail(log)
    append(log, "one\nunfinished")
    assert tail.read() == ["one"]
    os.truncate(log, 0)
    append(log, "a first line\nand a second, longer one\n")
    assert tail.read() == ["unfinished", "a first line", "and a second, longer one"]
    append(log, "more\n")
    assert tail.read() == ["more"]
    os.truncate(log, 0)
    append(log, "a third line\nand a fourth, longer one\nless\n")  # as long as before
    assert tail.read() == ["a third line", "and a fourth, longer one", "less"]
    tail.close()


def test_a_program_that_writes_on_where_it_was_in_a_truncated_file(log: Path) -> None:
    with log.open("wb", buffering=0) as file:
        file.write(b"old\n")
        tail = LogTail(log)
        file.write(b"one\n")
        assert tail.read() == ["one"]
        os.truncate(log, 0)
        file.write(b"two\n")
        assert tail.read() == ["two"]
        os.truncate(log, 0)
        assert tail.read() == []
        file.write(b"three\n")
        assert tail.read() == ["three"]
    tail.close()


def test_a_large_file_is_read_in_steps(log: Path) -> None:
    tail = LogTail(log)
    lines = [f"{number} {'x' * 1000}" for number in range(3000)]
    append(log, "\n".join([*lines, ""]))
    assert [*tail.read(), *tail.read(), *tail.read(), *tail.read()] == lines
    tail.close()


def test_invalid_utf_8_is_escaped_and_a_line_without_an_end_is_truncated(log: Path) -> None:
    tail = LogTail(log)
    append(log, b"caf\xe9\n")
    assert tail.read() == [r"caf\xe9"]
    append(log, "x" * 100_000)
    assert tail.read() == ["x" * 100_000]
    tail.close()


def test_lines_are_sent_in_batches_that_are_retried() -> None:
    batches = Batches(2)
    assert batches.next() is None
    batches.add(["one", "two", "three"])
    first = batches.next()
    assert first is not None
    assert first[0] == "one\ntwo"
    batches.add(["four"])
    assert batches.next() == first
    batches.sent()
    second = batches.next()
    assert second is not None
    assert second[0] == "three\nfour"
    assert second[1] != first[1]
    batches.sent()
    assert batches.next() is None


def test_too_many_or_too_long_lines_are_truncated_with_a_notice() -> None:
    batches = Batches(1)
    batches.add(["x" * 600, *map(str, range(1500))])
    batch = batches.next()
    assert batch is not None
    assert batch[0] == "(501 lines are left out)\n500"
    batches = Batches(1)
    batches.add(["x" * 600])
    batch = batches.next()
    assert batch is not None
    assert batch[0] == "x" * 500 + " …"


def test_a_batch_of_long_lines_is_no_longer_than_a_server_takes() -> None:
    batches = Batches(100)
    batches.add(["\x01" * 600] * 100)
    texts = []
    while batch := batches.next():
        texts.append(batch[0])
        batches.sent()
    assert max(len(json.dumps(text)) for text in texts) < CHAT_LIMITS.max_message_bytes - 1000
    assert "\n".join(texts).count("\n") == 99
    assert len(texts) == 6


def test_a_wrong_pattern_is_an_error(log: Path) -> None:
    with closing(LogTail(log)) as tail, pytest.raises(UsageError, match=r"--match must be a regular expression, not '\('"):
        make_bot("ws://chat", tail, name="logtail", match="(")


def test_lines_arrive_in_the_rooms(chat: Guests, log: Path, caplog: pytest.LogCaptureFixture) -> None:
    alice, bob = chat.v1("alice", "tea"), chat.v1("bob", "coffee")
    options = {"name": "logtail", "rooms": ["tea", "coffee"], "match": "ERROR", "seconds": 0.02}
    with closing(LogTail(log)) as tail, make_bot(url_of(chat.server), tail, **options) as bot:  # type: ignore[arg-type]
        until_connected(bot)
        append(log, "ERROR one\nINFO two\n/ERROR three\n")
        received: list[str] = []
        while len(received) < 2:
            received += alice.next("message")["text"].splitlines()
        assert received == ["ERROR one", "/ERROR three"]
        assert bob.next("message")["text"].startswith("ERROR one")
        log.rename(log.with_suffix(".1"))
        append(log, "ERROR four\n")
        assert alice.next("message")["text"] == "ERROR four"
        chat.v1(path="/?name=root&password=secret", room="tea").ask(type="kick", room="tea", name="logtail")
        assert alice.next(lambda event: event.get("event") == "kick")
        append(log, "ERROR five\n")
        while bob.next("message")["text"] != "ERROR five":
            pass
    eventually(lambda: "1 lines cannot be sent to tea: not-in-room" in caplog.text)
