"""Kinds of entries, and the topic of a room: its last entry of this kind."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.brokers.wiring import TEXTS, RecordingPublisher, RecordingSubscriber, append, log_of, say, set_topic, texts, topic_text, upto
from wschat.brokers.base import TOPIC, Broker, Draft, Message
from wschat.errors import Rejected


def test_entries_have_the_kind_that_they_were_given(broker: Broker) -> None:
    subscriber = RecordingSubscriber()
    broker.subscribe("tea", subscriber)
    append(broker, Draft("tea", "alice", "one"), Draft("tea", "bob", "two", kind=TOPIC), Draft("tea", "alice", "3", kind="another"))
    assert [(message.seq, message.kind) for message in log_of(broker, "tea")] == [(1, ""), (2, TOPIC), (3, "another")]
    assert subscriber.messages == log_of(broker, "tea") == broker.read_before("tea", None, 3)


def test_the_topic_is_the_last_entry_of_its_kind(broker: Broker) -> None:
    assert broker.topic("tea") is None
    append(broker, *(Draft("tea", "alice", text, kind=kind) for text, kind in [("a", TOPIC), ("b", TOPIC), ("c", ""), ("d", "x")]))
    set_topic(broker, "coffee", "beans")
    assert broker.topic("tea") == log_of(broker, "tea")[1] == ("tea", 2, "alice", "b", log_of(broker, "tea")[1].time, TOPIC)
    assert [topic_text(broker, room) for room in ("tea", "coffee", "cocoa")] == ["b", "beans", None]


def test_an_empty_text_clears_the_topic(broker: Broker) -> None:
    assert [set_topic(broker, "tea", text) for text in ("green", "")] == [1, 2]
    assert broker.topic("tea") is None
    assert texts(log_of(broker, "tea")) == ["green", ""]
    append(broker, *(Draft("tea", "alice", text, kind=TOPIC) for text in ("black", "", "white")))
    assert topic_text(broker, "tea") == "white"


def test_the_text_of_a_topic_is_not_changed(broker: Broker) -> None:
    for text in TEXTS:
        set_topic(broker, "tea", text)
        assert topic_text(broker, "tea") == (text or None)


def test_a_key_applies_to_topics_and_to_one_kind_only(broker: Broker) -> None:
    assert [set_topic(broker, "tea", text, key="k") for text in ("green", "green")] == [1, 1]
    (result,) = say(broker, "tea", "green", key="k")
    assert isinstance(result, Rejected)
    assert say(broker, "tea", "black", key="other") == [2]
    assert isinstance(set_topic(broker, "tea", "black", key="other"), Rejected)
    assert isinstance(set_topic(broker, "tea", "white", key="k"), Rejected)
    assert topic_text(broker, "tea") == "green"


@pytest.mark.parametrize("is_empty", [True, False])
def test_the_topic_is_known_when_subscribers_get_its_entry(broker: Broker, is_empty: bool) -> None:
    known: list[str | None] = []

    class TopicReader(RecordingSubscriber):
        def flush(self) -> None:
            super().flush()
            known.append(topic_text(broker, "tea"))

    reader = TopicReader()
    broker.subscribe("tea", reader)
    set_topic(broker, "tea", "green")
    set_topic(broker, "tea", "" if is_empty else "black")
    assert known == ["green", None if is_empty else "black"]


def test_the_entry_of_a_topic_can_be_read_as_soon_as_the_topic(broker: Broker) -> None:
    publisher = RecordingPublisher(broker)
    number = 300

    def look() -> Sequence[Message]:
        topics: list[Message] = []
        while not topics or topics[-1].seq < number:
            topic = broker.topic("tea")
            if topic is not None:
                assert broker.last_seq("tea") >= topic.seq
                assert broker.read_since("tea", topic.seq - 1, 1) == [topic]
                topics.append(topic)
        return topics

    with ThreadPoolExecutor(1) as pool:
        looking = pool.submit(look)
        publisher.begin(*(Draft("tea", "alice", f"{seq}", kind=TOPIC) for seq in upto(number)))
        assert publisher.wait_for(number) == upto(number)
        seen = [topic.seq for topic in looking.result(10)]
    assert seen == sorted(seen)
