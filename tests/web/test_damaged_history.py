"""A damaged history, as clients of the chat and of the HTTP API see it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.brokers.sqlite.wiring import NO_TEXT, spoil
from tests.brokers.wiring import say, upto
from tests.web.wiring import OpenWeb
from wschat.brokers.sqlite.broker import SqliteBroker


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.db"


def test_clients_join_and_are_told_of_the_gap(path: Path, open_web: OpenWeb) -> None:
    broker = SqliteBroker(path)
    say(broker, "tea", *map(str, upto(10)))
    spoil(path, NO_TEXT, 5, 10)
    web = open_web(broker)
    kept = [number for number in upto(10) if number not in (5, 10)]
    guest = web.guests.v1("bob")
    for fields, given, more, gap in [
        ({}, kept, False, True),
        ({"since": 0}, kept, False, True),
        ({"since": 5}, [6, 7, 8, 9], False, True),
        ({"since": 9}, [], False, True),
        ({"since": 10}, [], False, False),
    ]:
        joined = guest.join("tea", **fields)
        assert ([message["seq"] for message in joined["messages"]], joined["more"], joined["gap"]) == (given, more, gap)
    histories: list[tuple[dict[str, int], list[int], bool]] = [
        ({}, kept, True),
        ({"before": 5}, [1, 2, 3, 4], False),
        ({"since": 5, "limit": 4}, [6, 7, 8, 9], True),
        ({"since": 5, "limit": 3}, [6, 7, 8], False),
        ({"since": 3, "limit": 2}, [4, 6], True),
    ]
    for fields, given, missing in histories:
        history = guest.ask(type="history", room="tea", **fields)
        assert ([message["seq"] for message in history["messages"]], history["gap"]) == (given, missing)
    assert guest.say("eleven") == 11
    assert [message["seq"] for message in guest.join("tea", since=9)["messages"]] == [11]


def test_http_clients_get_the_readable_messages_and_readyz_counts_the_others(path: Path, open_web: OpenWeb) -> None:
    broker = SqliteBroker(path)
    say(broker, "tea", *map(str, upto(10)))
    spoil(path, NO_TEXT, 5, 10)
    web = open_web(broker)
    kept = [number for number in upto(10) if number not in (5, 10)]
    answer = web.get("/api/rooms/tea/messages").json
    assert ([message["seq"] for message in answer["messages"]], answer["gap"]) == (kept, True)
    assert [json.loads(line)["seq"] for line in web.get("/api/rooms/tea/export").body.splitlines()] == kept
    stream = web.follow("tea", last_event_id="3")
    events = [event.type for _, event in zip(range(7), stream, strict=False)]
    assert events == ["message", "gap", "message", "message", "message", "message", "gap"]
    ready = web.get("/readyz")
    assert (ready.status, ready.json) == (200, {"status": "ready", "unreadable_messages": 2})
