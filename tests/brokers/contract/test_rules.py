"""Rules: stored until they are deleted."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.brokers.wiring import TEXTS, RecordingPublisher, upto
from tests.concurrency import TIMEOUT
from wschat.brokers.base import Broker, Draft, Rule


def test_rules_are_stored_until_they_are_deleted(broker: Broker) -> None:
    assert broker.rules() == []
    rules = [
        Rule("lobby", "ban", "mallory", 0.0, "alice"),
        Rule("lobby", "mute", "mallory", 1e10 + 0.25, "alice"),
        Rule("other", "ban", "mallory", 0.0, "bob"),
        Rule("lobby", "ban", "trent", 0.0, "alice"),
    ]
    for rule in rules:
        broker.set_rules([rule])
    assert sorted(broker.rules()) == sorted(rules)
    broker.delete_rules([Rule("lobby", "ban", "mallory", 0.0, "")])
    assert sorted(broker.rules()) == sorted(rules[1:])
    broker.delete_rules([Rule("lobby", "ban", "mallory", 0.0, "")])
    broker.delete_rules([Rule("nowhere", "ban", "trent", 0.0, "")])
    assert sorted(broker.rules()) == sorted(rules[1:])


def test_a_new_rule_replaces_the_old_one(broker: Broker) -> None:
    broker.set_rules([Rule("lobby", "ban", "mallory", 0.0, "alice")])
    broker.set_rules([Rule("lobby", "ban", "mallory", 1e10, "bob")])
    assert broker.rules() == [Rule("lobby", "ban", "mallory", 1e10, "bob")]


def test_rules_are_not_changed(broker: Broker) -> None:
    rules = [Rule(text, text, text, 0.5, text) for text in TEXTS]
    for rule in rules:
        broker.set_rules([rule])
    assert sorted(broker.rules()) == sorted(rules)
    for rule in rules:
        broker.delete_rules([rule])
    assert broker.rules() == []


def test_rules_can_be_set_and_deleted_during_appends(broker: Broker) -> None:
    publisher = RecordingPublisher(broker)

    def decide(room: str) -> None:
        for number in range(20):
            broker.set_rules([Rule(room, "mute", f"{number}", 0.0, "alice")])
            if number % 2:
                broker.delete_rules([Rule(room, "mute", f"{number}", 0.0, "")])

    with ThreadPoolExecutor(4) as pool:
        tasks = [pool.submit(decide, room) for room in "abc"]
        publisher.begin(*(Draft("lobby", "alice", "x") for _ in range(1000)))
        for task in tasks:
            task.result(TIMEOUT)
    assert publisher.wait_for(1000) == upto(1000)
    assert {rule[:3] for rule in broker.rules()} == {(room, "mute", f"{number}") for room in "abc" for number in range(0, 20, 2)}
