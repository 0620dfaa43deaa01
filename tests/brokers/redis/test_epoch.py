"""If Redis has lost messages, a new epoch begins, so that no number means two messages."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from tests.brokers.wiring import RecordingSubscriber, log_of, numbers, say, texts, upto
from tests.concurrency import eventually
from tests.redis_server import RedisServer
from wschat.brokers.redis import reader, server
from wschat.brokers.redis.broker import RedisBroker


def test_after_flushall_a_new_epoch_begins(own_redis: RedisServer) -> None:
    with closing(RedisBroker(own_redis.url)) as node:
        followed = RecordingSubscriber()
        node.subscribe("lobby", followed)
        assert say(node, "lobby", "one", "two") == [1, 2]
        epoch = node.epoch
        own_redis.client.flushall()
        assert say(node, "lobby", "three") == [1]
        assert node.epoch != epoch
        assert followed.losses == [0]
        assert texts(followed.messages) == ["one", "two", "three"]
        assert texts(log_of(node, "lobby")) == ["three"]


def test_a_node_that_only_reads_finds_the_loss_by_itself(own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "BLOCK_SECONDS", 0.1)
    with closing(RedisBroker(own_redis.url)) as here, closing(RedisBroker(own_redis.url)) as there:
        followed = RecordingSubscriber()
        here.subscribe("lobby", followed)
        say(there, "lobby", "one")
        eventually(lambda: len(followed.messages) == 1)
        own_redis.client.flushall()
        eventually(lambda: followed.losses == [0])
        eventually(lambda: there.epoch == here.epoch)
        say(there, "lobby", "two")
        eventually(lambda: texts(followed.messages) == ["one", "two"])


@pytest.mark.parametrize("appends_first", [True, False])
def test_numbers_that_are_given_again_belong_to_a_new_epoch(own_redis: RedisServer, tmp_path: Path, appends_first: bool) -> None:
    with closing(RedisBroker(own_redis.url)) as here, closing(RedisBroker(own_redis.url)) as there:
        nodes, followed = (here, there), (RecordingSubscriber(), RecordingSubscriber())
        for node, subscriber in zip(nodes, followed, strict=True):
            node.subscribe("lobby", subscriber)
        assert say(here, "lobby", *map(str, upto(5))) == upto(5)
        own_redis.copy_files(tmp_path / "old")
        assert say(here, "lobby", *map(str, range(6, 106))) == list(range(6, 106))
        eventually(lambda: len(followed[1].messages) == 105)
        epoch = here.epoch
        own_redis.go_back_to(tmp_path / "old")
        if not appends_first:
            eventually(lambda: all(subscriber.losses for subscriber in followed))
        assert say(here, "lobby", "after") == [6]
        eventually(lambda: all(subscriber.losses for subscriber in followed))
        assert here.epoch == there.epoch != epoch
        eventually(lambda: texts(log_of(there, "lobby"))[5:] == ["after"])
        assert numbers(log_of(here, "lobby")) == upto(6)
        for subscriber in followed:
            at = subscriber.messages.index(log_of(here, "lobby")[-1]) if texts(subscriber.messages)[-1] == "after" else None
            assert at in (None, 105), "after the loss, and once"


def test_a_number_that_another_node_has_given_again_is_found(own_redis: RedisServer, tmp_path: Path) -> None:
    with closing(RedisBroker(own_redis.url)) as here, closing(RedisBroker(own_redis.url)) as there:
        followed = RecordingSubscriber()
        here.subscribe("lobby", followed)
        say(here, "lobby", "one")
        own_redis.copy_files(tmp_path / "old")
        assert say(here, "lobby", "lost") == [2]
        own_redis.go_back_to(tmp_path / "old")
        say(there, "lobby", "other")  # does not follow the room, so it does not know that the number was given before
        eventually(lambda: followed.losses)
        say(here, "lobby", "last")
        eventually(lambda: texts(followed.messages)[-1] == "last")
        assert texts(log_of(here, "lobby")) == ["one", "other", "last"]


def test_nodes_tell_each_other_of_a_new_epoch(own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (reader, server):
        monkeypatch.setattr(module, "BLOCK_SECONDS", 60.0)  # the other one would find it by itself, much later
    with closing(RedisBroker(own_redis.url)) as here, closing(RedisBroker(own_redis.url)) as there:
        followed = RecordingSubscriber()
        there.subscribe("coffee", followed)
        say(there, "coffee", "one")
        here.subscribe("tea", RecordingSubscriber())
        say(here, "tea", "one")
        own_redis.client.flushall()
        own_redis.client.set("wschat:epoch", "another")
        say(here, "tea", "two")
        own_redis.client.xadd("wschat:relay", {"n": "", "k": "epoch", "d": "another"})
        eventually(lambda: followed.losses == [0])
        assert here.epoch == there.epoch == "another"


def test_a_message_that_is_repeated_is_no_loss(own_redis: RedisServer) -> None:
    with closing(RedisBroker(own_redis.url)) as here, closing(RedisBroker(own_redis.url)) as there:
        assert [say(here, "lobby", "one", key="k") for _ in range(2)] == [[1], [1]]
        epoch, followed = here.epoch, RecordingSubscriber()
        assert there.subscribe("lobby", followed) == 1
        assert say(there, "lobby", "two") == [2]
        assert (there.epoch, followed.losses, texts(followed.messages)) == (epoch, [], ["two"])
