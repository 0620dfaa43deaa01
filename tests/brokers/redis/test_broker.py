"""Several nodes on one Redis server are one chat, also when connections are lost and Redis is restarted."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.brokers.redis.conftest import NodeFactory
from tests.brokers.wiring import RecordingPublisher, RecordingSubscriber, append, log_of, numbers, say, set_topic, texts, upto
from tests.concurrency import eventually
from tests.redis_server import RedisServer, running_redis
from wschat.brokers.base import Draft, Rule
from wschat.brokers.redis import appender, reader
from wschat.brokers.redis.broker import RedisBroker
from wschat.errors import HistoryUnavailable


def test_what_one_node_appends_is_delivered_by_all_in_the_same_order(make_node: NodeFactory) -> None:
    nodes = [make_node() for _ in range(3)]
    subscribers = [RecordingSubscriber() for _ in nodes]
    assert [node.subscribe("lobby", subscriber) for node, subscriber in zip(nodes, subscribers, strict=True)] == [0, 0, 0]

    def talk(node: RedisBroker) -> list[object]:
        return list(append(node, *(Draft("lobby", "alice", f"{number}") for number in range(200))))

    with ThreadPoolExecutor(3) as pool:
        results = [result for of_node in pool.map(talk, nodes) for result in of_node]
    assert sorted(map(str, results)) == sorted(map(str, upto(600)))
    eventually(lambda: all(subscriber.sent == 600 for subscriber in subscribers))
    assert numbers(subscribers[0].messages) == upto(600)
    assert subscribers[0].messages == subscribers[1].messages == subscribers[2].messages == log_of(nodes[0], "lobby")


def test_a_room_that_nobody_follows_here_is_read_as_it_is_now(make_node: NodeFactory) -> None:
    here, there = make_node(), make_node()
    assert say(there, "tea", "one", "two") == [1, 2]
    set_topic(there, "tea", "green")
    assert here.last_seq("tea") == 3
    assert texts(here.read_before("tea", None, 2)) == ["two", "green"]
    topic = here.topic("tea")
    assert topic is not None
    assert topic.text == "green"
    assert [here.has_room(room) for room in ("tea", "coffee")] == [True, False]
    assert (here.rooms(None, 5), here.count_rooms()) == ([("tea", 3)], 1)


def test_a_key_applies_on_every_node(make_node: NodeFactory) -> None:
    here, there = make_node(), make_node()
    assert say(here, "lobby", "one", key="k") == say(there, "lobby", "one", key="k") == [1]
    assert numbers(log_of(here, "lobby")) == [1]


def test_rules_are_shared(make_node: NodeFactory) -> None:
    rule = Rule("lobby", "ban", "mallory", 0.0, "alice")
    make_node().set_rules([rule])
    assert make_node().rules() == [rule]


def test_a_new_node_knows_the_epoch_of_the_others(make_node: NodeFactory) -> None:
    assert make_node().epoch == make_node().epoch


def test_messages_are_appended_once_although_connections_are_lost(make_node: NodeFactory, redis_server: RedisServer) -> None:
    """The reply to a batch may be lost after Redis has carried it out."""
    node, number = make_node(), 100
    publisher, subscriber = RecordingPublisher(node), RecordingSubscriber()
    node.subscribe("lobby", subscriber)
    for count in upto(number):
        publisher.begin(Draft("lobby", "alice", f"{count}"))
        redis_server.client.client_kill_filter(_type="normal", skipme=True)  # before, while or after Redis appends it
        publisher.wait_for(count)
    assert [result for _, result in publisher.outcomes] == upto(number)
    assert texts(subscriber.messages) == texts(log_of(node, "lobby")) == list(map(str, upto(number)))


def test_a_restart_of_redis_is_a_delay(own_redis: RedisServer) -> None:
    with closing(RedisBroker(own_redis.url)) as here, closing(RedisBroker(own_redis.url)) as there:
        publisher, subscriber = RecordingPublisher(here), RecordingSubscriber()
        there.subscribe("lobby", subscriber)
        for count in upto(3):
            own_redis.kill()
            publisher.begin(*(Draft("lobby", "alice", f"{count}.{number}") for number in range(10)))
            own_redis.start()
            publisher.wait_for(10 * count)
        assert [result for _, result in publisher.outcomes] == upto(30)
        eventually(lambda: subscriber.sent == 30)
        assert numbers(subscriber.messages) == upto(30)


def test_without_redis_nothing_is_acknowledged_and_reads_fail(own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(appender, "_RETRY_SECONDS", 0.3)
    with closing(RedisBroker(own_redis.url)) as node:
        say(node, "lobby", "one")
        own_redis.kill()
        (result,) = say(node, "lobby", "two", key="k")
        assert isinstance(result, HistoryUnavailable)
        for ask in (lambda: node.read_before("lobby", None, 5), lambda: node.last_seq("lobby"), node.check, node.rules):
            with pytest.raises(HistoryUnavailable, match="cannot be used"):
                ask()
        own_redis.start()
        assert say(node, "lobby", "two", key="k") == [2]
        eventually(lambda: _can_write(node))  # callers share the result of a check for a second
        assert texts(log_of(node, "lobby")) == ["one", "two"]


def test_entries_that_another_program_has_written_are_left_out(make_node: NodeFactory, redis_server: RedisServer, tmp_path: Path) -> None:
    node, subscriber = make_node(), RecordingSubscriber()
    node.subscribe("lobby", subscriber)
    assert say(node, "lobby", "one") == [1]
    client, room = redis_server.client, f"{tmp_path}:{{room:lobby}}:"
    client.xadd(f"{room}log", {"s": b"\xff"}, id="2-0")
    client.hset(f"{room}room", "last", "2")
    client.xadd(f"{room}events", {"x": "y"})
    entries: list[dict[Any, Any]] = [
        {"x": "y"},
        {"n": "future", "k": "kind", "d": "{}"},
        {"n": "future", "k": "rules", "d": "[[[1]], []]"},
    ]
    for entry in entries:
        client.xadd(f"{tmp_path}:relay", entry)
    assert say(node, "lobby", "three") == [3]
    assert texts(subscriber.messages) == texts(log_of(node, "lobby")) == ["one", "three"]
    assert node.check() > 0
    make_node().add_member("lobby", "alice")
    eventually(lambda: node.members("lobby") == ["alice"])


def test_rules_that_are_changed_before_there_is_a_listener_are_told(make_node: NodeFactory) -> None:
    here, there, rule = make_node(), make_node(), Rule("lobby", "ban", "mallory", 0.0, "alice")
    there.set_rules([rule])
    here.subscribe("lobby", subscriber := RecordingSubscriber())
    say(there, "lobby", "later")
    eventually(lambda: texts(subscriber.messages) == ["later"])
    told: list[Rule] = []

    class Listener:
        def on_rules(self, changed: Sequence[Rule], deleted: Sequence[Rule]) -> None:
            told.extend(changed)

        def on_told(self, text: str) -> None:
            raise AssertionError

    here.listen(Listener())
    assert told == [rule]


def test_no_publisher_waits_for_ever_if_redis_is_lost_before_a_delivery(own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "_REPORT_TIMEOUT", 0.2)
    with closing(RedisBroker(own_redis.url)) as node:
        node.subscribe("lobby", RecordingSubscriber())
        publisher = RecordingPublisher(node)
        held = threading.Event()
        monkeypatch.setattr(node._reader, "_read", lambda: held.wait(0.1) and None)  # which has not got it yet
        publisher.begin(Draft("lobby", "alice", "one", "k"))
        eventually(lambda: own_redis.client.xlen("wschat:{room:lobby}:log") == 1)
        monkeypatch.undo()
        monkeypatch.setattr(reader, "_REPORT_TIMEOUT", 0.2)
        own_redis.kill()
        (result,) = publisher.wait_for(1)
        assert isinstance(result, int | HistoryUnavailable)
        own_redis.start()
        assert say(node, "lobby", "one", key="k") == [1]


def test_if_redis_has_no_memory_left_the_publisher_is_told_and_the_log_stays_whole(tmp_path: Path) -> None:
    options = ("--maxmemory", "8mb", "--maxmemory-policy", "noeviction")
    with running_redis(tmp_path / "small", *options) as server, closing(RedisBroker(server.url)) as node:
        results = [result for _ in range(100) for result in say(node, "lobby", "x" * 100_000)]
        kept = [result for result in results if isinstance(result, int)]
        assert 0 < len(kept) < 100
        assert all(isinstance(result, int | HistoryUnavailable) for result in results)
        assert numbers(log_of(node, "lobby")) == kept == upto(len(kept))


@pytest.mark.parametrize("subscribers", [10, 1000])
def test_what_a_delivery_costs_redis_does_not_depend_on_the_number_of_subscribers(own_redis: RedisServer, subscribers: int) -> None:
    with closing(RedisBroker(own_redis.url)) as here, closing(RedisBroker(own_redis.url)) as there:
        everyone = [RecordingSubscriber() for _ in range(subscribers)]
        for subscriber in everyone:
            here.subscribe("lobby", subscriber)
        last = RecordingSubscriber()
        there.subscribe("lobby", last)
        own_redis.client.config_resetstat()
        for number in upto(50):
            assert say(there, "lobby", f"{number}") == [number]
        eventually(lambda: all(subscriber.sent == 50 for subscriber in [*everyone, last]))
        commands: Any = own_redis.client.info("commandstats")
        assert commands["cmdstat_xread"]["calls"] <= 2 * 50 + 10, "one read for each node and batch"
        assert commands["cmdstat_evalsha"]["calls"] <= 50 + 10


def _can_write(node: RedisBroker) -> bool:
    try:
        return node.check() == 0
    except HistoryUnavailable:
        return False
