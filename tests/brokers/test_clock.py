"""Wrong clocks: no message is lost, and times never decrease within a room. With processes whose clock is really wrong."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.brokers.wiring import log_of, say
from tests.concurrency import TIMEOUT
from wschat.brokers import clock
from wschat.brokers.base import Retention
from wschat.brokers.clock import Clock
from wschat.brokers.memory import MemoryBroker
from wschat.brokers.sqlite.broker import SqliteBroker

DAY = 86_400.0
NOW = 1_800_000_000.0  # in 2027

DAYS = 10


def at(when: str, path: Path, *actions: list[str], days: float = DAYS) -> tuple[list[Any], str]:
    """Run actions on a history in a process whose clock starts at `when`. Return its messages after each action, and the log."""
    faketime = shutil.which("faketime")
    if faketime is None:
        pytest.skip("needs faketime (on Debian: apt install faketime), which scripts/test installs as root")
    code = "from tests.brokers.test_clock import act; act()"
    command = [faketime, "-m", "--exclude-monotonic", "-f", f"@{when}", sys.executable, "-c", code]
    arguments = [str(path), str(days), json.dumps(actions)]
    top = Path(__file__).parents[2]
    environment = {**os.environ, "TZ": "UTC", "PYTHONPATH": str(top)}
    done = subprocess.run([*command, *arguments], env=environment, capture_output=True, text=True, timeout=TIMEOUT * 3, check=True)
    return json.loads(done.stdout), done.stderr


def act() -> None:
    """Open a history, run the actions given as arguments, and print the messages. Runs in a process of its own."""
    _, path, days, actions = sys.argv
    logging.basicConfig()
    answers: list[object] = []
    with closing(SqliteBroker(path, Retention(days=float(days)))) as broker:
        for room, *texts in json.loads(actions):
            say(broker, room, *texts)
            answers.append([(message.text, message.time) for message in log_of(broker, room)])
    sys.stdout.write(json.dumps(answers))


def texts_in(path: Path) -> list[str]:
    """Return the texts of all messages in the file, whether they are shown or not."""
    with closing(sqlite3.connect(path)) as database:
        return [text for (text,) in database.execute("SELECT text FROM messages ORDER BY room, seq")]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.db"


@pytest.mark.parametrize("room", ["tea", "new"])
def test_messages_written_while_the_clock_was_in_1970_are_kept_when_it_is_right(path: Path, room: str) -> None:
    at("2027-01-10 12:00:00", path, ["tea", "before"])
    at("1970-01-01 00:01:00", path, [room, "meanwhile"])
    (found,), _ = at("2027-01-10 13:00:00", path, [room])
    assert [text for text, _ in found][-1] == "meanwhile"
    (found,), _ = at("2027-01-11 12:00:00", path, [room, "after"])
    assert [text for text, _ in found][-2:] == ["meanwhile", "after"]
    assert "meanwhile" in texts_in(path)


def test_messages_written_before_the_clock_was_ever_set_are_kept(path: Path) -> None:
    """As on a small computer without a battery, at its first start."""
    at("1970-01-01 00:01:00", path, ["tea", "one"])
    for _ in range(2):
        (found,), _ = at("2027-01-10 12:00:00", path, ["tea"])
        assert [text for text, _ in found] == ["one"]


def test_a_restart_with_the_clock_a_year_ahead_deletes_nothing_and_logs_a_warning(path: Path) -> None:
    at("2027-01-10 12:00:00", path, ["tea", "one", "two"])
    for when in ("2028-01-10 12:00:00", "2028-01-10 13:00:00"):
        (found,), logged = at(when, path, ["tea"])
        assert [text for text, _ in found] == ["one", "two"]
        assert f"the clock says {when[:-3]} UTC, which is more than a day after the server was last seen running" in logged
    assert texts_in(path) == ["one", "two"]
    (found,), logged = at("2027-01-10 14:00:00", path, ["tea"])
    assert [text for text, _ in found] == ["one", "two"]
    assert logged == ""


def test_a_clock_that_goes_back_causes_no_gap_and_no_decreasing_time(path: Path) -> None:
    at("2027-01-10 12:00:00", path, ["tea", "one"])
    at("2027-01-01 12:00:00", path, ["tea", "two"], ["coffee", "new"])
    (tea, coffee), _ = at("2027-01-11 11:00:00", path, ["tea", "three"], ["coffee"])
    assert [text for text, _ in tea] == ["one", "two", "three"]
    times = [seconds for _, seconds in tea]
    assert times == sorted(times)
    assert [text for text, _ in coffee] == ["new"]
    (tea,), _ = at("2027-01-11 12:00:00", path, ["tea"])
    assert [text for text, _ in tea] == ["one", "two", "three"]


def test_a_clock_before_the_newest_message_deletes_nothing_and_logs_a_warning(path: Path) -> None:
    at("2027-01-10 12:00:00", path, ["tea", "one"])
    at("2028-01-10 12:00:00", path, ["tea", "ahead"])
    (found,), logged = at("2027-01-30 12:00:00", path, ["tea"])
    assert [text for text, _ in found] == ["one", "ahead"]
    assert "which is before the newest message, of 2028-01-10 12:00 UTC: no message is deleted for its age until it is right" in logged


def test_messages_that_are_too_old_by_a_plausible_clock_are_deleted(path: Path) -> None:
    at("2027-01-10 12:00:00", path, ["tea", "old"])
    (found,), logged = at("2027-01-11 11:00:00", path, ["tea"], days=0.5)
    assert (found, logged, texts_in(path)) == ([], "", [])


# Each rule by itself


class FakeTime:
    """The clocks of the system, set by the test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.at = NOW, 1000.0
        monkeypatch.setattr(time, "time", lambda: self.now)
        monkeypatch.setattr(clock, "monotonic", lambda: self.at)

    def advance(self, seconds: float) -> None:
        self.now += seconds
        self.at += seconds


@pytest.fixture
def fake_time(monkeypatch: pytest.MonkeyPatch) -> FakeTime:
    return FakeTime(monkeypatch)


@pytest.mark.parametrize(
    ("seen", "newest", "is_trusted"),
    [
        (None, 0.0, True),
        (NOW - 60, NOW - 60, True),
        (NOW - 0.9 * DAY, 0.0, True),
        (NOW - 1.1 * DAY, 0.0, False),
        (NOW - 365 * DAY, NOW - 365 * DAY, False),
        (NOW, NOW + 30, True),  # a small correction
        (NOW, NOW + 90, False),
        (NOW + DAY, NOW - DAY, True),
    ],
)
def test_a_clock_is_trusted_if_it_is_plausible_compared_with_the_log(
    fake_time: FakeTime, seen: float | None, newest: float, is_trusted: bool
) -> None:
    assert Clock(seen, newest).relied_on() == (NOW if is_trusted else None)


def test_a_clock_that_was_not_set_is_not_trusted(fake_time: FakeTime) -> None:
    fake_time.now = 60.0
    judged = Clock()
    assert judged.relied_on() is None
    fake_time.now = NOW
    assert judged.relied_on() == NOW


def test_a_clock_is_trusted_again_after_a_day(fake_time: FakeTime, caplog: pytest.LogCaptureFixture) -> None:
    judged = Clock(NOW - 7 * DAY, NOW - 7 * DAY)
    for _ in range(23):
        assert judged.relied_on() is None
        fake_time.advance(3600)
    fake_time.advance(3601)
    assert judged.relied_on() == fake_time.now
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert "is trusted again" in caplog.text


def test_a_clock_that_is_set_ahead_while_the_server_runs_is_not_trusted(fake_time: FakeTime) -> None:
    judged = Clock()
    assert judged.relied_on() == NOW
    fake_time.advance(100 * DAY)  # without any messages
    assert judged.relied_on() == fake_time.now
    fake_time.now += 365 * DAY
    assert judged.relied_on() is None
    fake_time.now -= 365 * DAY
    assert judged.relied_on() == fake_time.now


def test_times_are_never_before_the_last_message_or_the_last_check(fake_time: FakeTime) -> None:
    judged = Clock(NOW - 60, NOW - 60)
    assert judged.time_after(0.0) == NOW
    assert judged.time_after(NOW + 5) == NOW + 5
    judged.relied_on()
    fake_time.now = 60.0
    assert judged.time_after(0.0) == NOW
    assert judged.time_after(NOW + 7) == NOW + 7


@pytest.mark.parametrize("kind", ["sqlite", "memory"])
def test_a_message_written_by_an_unset_clock_does_not_hide_others(kind: str, path: Path, fake_time: FakeTime) -> None:
    retention = Retention(days=DAYS)
    with closing(MemoryBroker(retention) if kind == "memory" else SqliteBroker(path, retention)) as broker:
        fake_time.now = 60.0
        say(broker, "tea", "unset")
        fake_time.now = NOW
        say(broker, "tea", "old")
        fake_time.advance(DAYS * DAY / 2)
        say(broker, "tea", "young")
        fake_time.advance(DAYS * DAY / 2 + 1)
        assert [message.text for message in log_of(broker, "tea")] == ["unset", "young"]
        assert [message.text for message in broker.read_before("tea", None, 5)] == ["unset", "young"]
        assert [message.text for message in broker.read_before("tea", 3, 5)] == ["unset"]
        assert [message.text for message in broker.read_since("tea", 1, 5)] == ["young"]
