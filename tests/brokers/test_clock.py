"""A clock that is wrong: nothing is lost by it, and times do not go back within a room. With processes whose clock really is wrong."""

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
from tests.connection.wiring import PATIENCE
from wschat.brokers import clock
from wschat.brokers.base import Retention
from wschat.brokers.clock import Clock
from wschat.brokers.memory import MemoryBroker
from wschat.brokers.sqlite.broker import SqliteBroker

DAY = 86_400.0
NOW = 1_800_000_000.0  # in 2027

DAYS = 10


def at(when: str, path: Path, *actions: list[str], days: float = DAYS) -> tuple[list[Any], str]:
    """What comes of actions on a history, and what is logged, in a process whose clock says `when` and goes on from there."""
    faketime = shutil.which("faketime")
    if faketime is None:
        pytest.skip("faketime is not there, which makes a clock wrong")
    code = "from tests.brokers.test_clock import act; act()"
    command = [faketime, "-m", "--exclude-monotonic", "-f", f"@{when}", sys.executable, "-c", code]
    arguments = [str(path), str(days), json.dumps(actions)]
    top = Path(__file__).parents[2]
    environment = {**os.environ, "TZ": "UTC", "PYTHONPATH": str(top)}
    done = subprocess.run([*command, *arguments], env=environment, capture_output=True, text=True, timeout=PATIENCE * 3, check=True)
    return json.loads(done.stdout), done.stderr


def act() -> None:
    """For a process of its own: open a history, do what the arguments say, and print what is there then."""
    _, path, days, actions = sys.argv
    logging.basicConfig()
    answers: list[object] = []
    with closing(SqliteBroker(path, Retention(days=float(days)))) as broker:
        for room, *texts in json.loads(actions):
            say(broker, room, *texts)
            answers.append([(message.text, message.time) for message in log_of(broker, room)])
    sys.stdout.write(json.dumps(answers))


def texts_in(path: Path) -> list[str]:
    """All that is in the file, shown or not."""
    with closing(sqlite3.connect(path)) as database:
        return [text for (text,) in database.execute("SELECT text FROM messages ORDER BY room, seq")]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.db"


@pytest.mark.parametrize("room", ["tea", "new"])
def test_what_was_said_while_the_clock_stood_at_1970_is_there_when_it_is_right(path: Path, room: str) -> None:
    at("2027-01-10 12:00:00", path, ["tea", "before"])
    at("1970-01-01 00:01:00", path, [room, "meanwhile"])
    (found,), _ = at("2027-01-10 13:00:00", path, [room])
    assert [text for text, _ in found][-1] == "meanwhile"
    (found,), _ = at("2027-01-11 12:00:00", path, [room, "after"])
    assert [text for text, _ in found][-2:] == ["meanwhile", "after"]
    assert "meanwhile" in texts_in(path)


def test_what_was_said_by_a_clock_that_was_never_set_is_there_when_it_is(path: Path) -> None:
    """As on a small machine without a battery, at its first start."""
    at("1970-01-01 00:01:00", path, ["tea", "one"])
    for _ in range(2):
        (found,), _ = at("2027-01-10 12:00:00", path, ["tea"])
        assert [text for text, _ in found] == ["one"]


def test_a_restart_with_the_clock_a_year_ahead_deletes_nothing_and_says_so(path: Path) -> None:
    at("2027-01-10 12:00:00", path, ["tea", "one", "two"])
    for when in ("2028-01-10 12:00:00", "2028-01-10 13:00:00"):
        (found,), logged = at(when, path, ["tea"])
        assert [text for text, _ in found] == ["one", "two"]
        assert f"the clock says {when[:-3]} UTC, which is more than a day after the server was last seen running" in logged
    assert texts_in(path) == ["one", "two"]
    (found,), logged = at("2027-01-10 14:00:00", path, ["tea"])
    assert [text for text, _ in found] == ["one", "two"]
    assert logged == ""


def test_a_clock_that_goes_back_makes_no_hole_and_no_time_before_the_last_one(path: Path) -> None:
    at("2027-01-10 12:00:00", path, ["tea", "one"])
    at("2027-01-01 12:00:00", path, ["tea", "two"], ["coffee", "new"])
    (tea, coffee), _ = at("2027-01-11 11:00:00", path, ["tea", "three"], ["coffee"])
    assert [text for text, _ in tea] == ["one", "two", "three"]
    times = [said_at for _, said_at in tea]
    assert times == sorted(times)
    assert [text for text, _ in coffee] == ["new"]
    (tea,), _ = at("2027-01-11 12:00:00", path, ["tea"])
    assert [text for text, _ in tea] == ["one", "two", "three"]


def test_a_clock_before_the_newest_message_deletes_nothing_and_says_so(path: Path) -> None:
    at("2027-01-10 12:00:00", path, ["tea", "one"])
    at("2028-01-10 12:00:00", path, ["tea", "ahead"])
    (found,), logged = at("2027-01-30 12:00:00", path, ["tea"])
    assert [text for text, _ in found] == ["one", "ahead"]
    assert "which is before the newest message, of 2028-01-10 12:00 UTC: no message is deleted for its age until it is right" in logged


def test_what_is_too_old_by_a_plausible_clock_is_deleted(path: Path) -> None:
    at("2027-01-10 12:00:00", path, ["tea", "old"])
    (found,), logged = at("2027-01-11 11:00:00", path, ["tea"], days=0.5)
    assert (found, logged, texts_in(path)) == ([], "", [])


# The rules, one by one


class Hands:
    """The clocks of the system, set by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.at = NOW, 1000.0
        monkeypatch.setattr(time, "time", lambda: self.now)
        monkeypatch.setattr(clock, "monotonic", lambda: self.at)

    def go_on(self, seconds: float) -> None:
        self.now += seconds
        self.at += seconds


@pytest.fixture
def hands(monkeypatch: pytest.MonkeyPatch) -> Hands:
    return Hands(monkeypatch)


@pytest.mark.parametrize(
    ("seen", "newest", "is_relied_on"),
    [
        (None, 0.0, True),
        (NOW - 60, NOW - 60, True),
        (NOW - 0.9 * DAY, 0.0, True),
        (NOW - 1.1 * DAY, 0.0, False),
        (NOW - 365 * DAY, NOW - 365 * DAY, False),
        (NOW, NOW + 30, True),  # corrected a little
        (NOW, NOW + 90, False),
        (NOW + DAY, NOW - DAY, True),
    ],
)
def test_a_clock_is_relied_on_if_it_is_plausible_against_the_log(
    hands: Hands, seen: float | None, newest: float, is_relied_on: bool
) -> None:
    assert Clock(seen, newest).relied_on() == (NOW if is_relied_on else None)


def test_a_clock_that_was_not_set_is_never_relied_on(hands: Hands) -> None:
    hands.now = 60.0
    judged = Clock()
    assert judged.relied_on() is None
    hands.now = NOW
    assert judged.relied_on() == NOW


def test_a_server_that_runs_for_a_day_relies_on_its_clock_again(hands: Hands, caplog: pytest.LogCaptureFixture) -> None:
    judged = Clock(NOW - 7 * DAY, NOW - 7 * DAY)
    for _ in range(23):
        assert judged.relied_on() is None
        hands.go_on(3600)
    hands.go_on(3601)
    assert judged.relied_on() == hands.now
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert "is trusted again" in caplog.text


def test_a_clock_that_is_set_ahead_while_the_server_runs_is_not_relied_on(hands: Hands) -> None:
    judged = Clock()
    assert judged.relied_on() == NOW
    hands.go_on(100 * DAY)  # with nothing to do
    assert judged.relied_on() == hands.now
    hands.now += 365 * DAY
    assert judged.relied_on() is None
    hands.now -= 365 * DAY
    assert judged.relied_on() == hands.now


def test_times_are_never_before_the_last_one_nor_before_the_server_was_seen(hands: Hands) -> None:
    judged = Clock(NOW - 60, NOW - 60)
    assert judged.time_after(0.0) == NOW
    assert judged.time_after(NOW + 5) == NOW + 5
    judged.relied_on()
    hands.now = 60.0
    assert judged.time_after(0.0) == NOW
    assert judged.time_after(NOW + 7) == NOW + 7


@pytest.mark.parametrize("kind", ["sqlite", "memory"])
def test_a_message_that_is_not_judged_by_its_age_hides_none_that_is(kind: str, path: Path, hands: Hands) -> None:
    retention = Retention(days=DAYS)
    with closing(MemoryBroker(retention) if kind == "memory" else SqliteBroker(path, retention)) as broker:
        hands.now = 60.0
        say(broker, "tea", "unset")
        hands.now = NOW
        say(broker, "tea", "old")
        hands.go_on(DAYS * DAY / 2)
        say(broker, "tea", "young")
        hands.go_on(DAYS * DAY / 2 + 1)
        assert [message.text for message in log_of(broker, "tea")] == ["unset", "young"]
        assert [message.text for message in broker.read_before("tea", None, 5)] == ["unset", "young"]
        assert [message.text for message in broker.read_before("tea", 3, 5)] == ["unset"]
        assert [message.text for message in broker.read_since("tea", 1, 5)] == ["young"]
