"""The chat's interface for HTTP requests, called without HTTP and without a network."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.brokers.wiring import IgnoringPublisher, last_numbers
from tests.concurrency import TIMEOUT, eventually
from wschat import Request, RequestRefused
from wschat.brokers.base import Broker, Draft, Message, Outcome, Publisher, Retention
from wschat.brokers.memory import MemoryBroker
from wschat.brokers.sqlite.broker import SqliteBroker
from wschat.chat.access import Access
from wschat.chat.budgets import Budgets
from wschat.chat.chat import Chat
from wschat.chat.fields import MAX_MESSAGES
from wschat.chat.http import Caller
from wschat.chat.rates import Rate
from wschat.errors import HistoryUnavailable, Rejected
from wschat.events import HistoryEvent

HOME = ("203.0.113.1", 4711)


@pytest.fixture
def chat(broker: Broker) -> Iterator[Chat]:
    with closing(Chat(broker, access=Access(moderators={"root": "sesame"}))) as chat:
        yield chat


def begin(chat: Chat, query: str = "", address: object = HOME) -> Caller:
    return chat.http.identify(Request("GET", f"/{query}", {}, remote_address=address))


def test_a_post_with_a_known_id_is_not_new(chat: Chat) -> None:
    first = begin(chat).post({"room": "tea", "text": "x", "id": "a"}, "alice")
    again = begin(chat).post({"room": "tea", "text": "x", "id": "a"}, "alice")
    assert (first.is_new, again.is_new) == (True, False)
    assert first.message[:4] == ("tea", 1, "alice", "x")
    assert again.message[:4] == first.message[:4]
    assert again.message.time == pytest.approx(first.message.time)


def test_a_post_leaves_no_subscription_behind(chat: Chat, broker: Broker) -> None:
    for room in ("tea", "coffee"):
        begin(chat).post({"room": room, "text": "x"})
    rooms: dict[str, Any] = getattr(broker, "_followed", broker)._rooms  # type: ignore[union-attr]
    assert all(not room.subscribers for room in rooms.values())


def test_a_repeated_post_whose_message_was_deleted_returns_its_number() -> None:
    with closing(Chat(MemoryBroker(Retention(messages=1)))) as chat:
        begin(chat).post({"room": "tea", "text": "x", "id": "a"})
        begin(chat).post({"room": "tea", "text": "y"})
        again = begin(chat).post({"room": "tea", "text": "x", "id": "a"})
        assert (again.is_new, again.message) == (False, Message("tea", 1, "Server", "x", 0.0))


def test_concurrent_posts_each_return_their_own_message(chat: Chat) -> None:
    def post(number: int) -> tuple[int, str]:
        message = begin(chat).post({"room": "tea", "text": str(number)}).message
        return message.seq, message.text

    with ThreadPoolExecutor(16) as pool:
        posted = dict(pool.map(post, range(300)))
    assert sorted(posted) == list(range(1, 301))
    read = [message for page in begin(chat).export("tea") for message in page]
    assert {message.seq: message.text for message in read} == posted


def test_of_two_concurrent_posts_with_one_id_one_is_new() -> None:
    class Slow(MemoryBroker):
        """A broker that appends only when both have arrived."""

        def __init__(self) -> None:
            super().__init__()
            self.both = threading.Barrier(2)

        def append(self, draft: Draft, publisher: Publisher) -> None:
            self.both.wait(TIMEOUT)
            super().append(draft, publisher)

    with closing(Chat(Slow())) as chat, ThreadPoolExecutor(2) as pool:
        posted = list(pool.map(lambda _: begin(chat).post({"room": "tea", "text": "x", "id": "a"}), range(2)))
    assert sorted(answer.is_new for answer in posted) == [False, True]


def test_a_message_that_cannot_be_written_is_not_posted() -> None:
    class Full(MemoryBroker):
        def append(self, draft: Draft, publisher: Publisher) -> None:
            outcome: Outcome = (draft, HistoryUnavailable("the disk is full"))
            publisher.on_appended([outcome])

    broker = Full()
    with closing(Chat(broker)) as chat:
        with pytest.raises(HistoryUnavailable, match="the disk is full"):
            begin(chat).post({"room": "tea", "text": "x"})
        assert not any(room.subscribers for room in broker._rooms.values())


def test_a_closed_chat_accepts_no_posts(tmp_path: Path) -> None:
    chat = Chat(SqliteBroker(tmp_path / "history"))
    chat.close()
    with pytest.raises(HistoryUnavailable):
        begin(chat).post({"room": "tea", "text": "x"})
    with pytest.raises(HistoryUnavailable):
        chat.http.check_history()


@pytest.mark.parametrize(
    ("query", "address", "caller"),
    [
        ("", HOME, "at 203.0.113.1"),
        ("?name=alice", HOME, "at 203.0.113.1"),  # not proven
        ("?name=Root&password=sesame", HOME, "name root"),
        ("", ("::ffff:203.0.113.1", 1), "at 203.0.113.1"),
        ("", ("2001:db8::1", 1, 0, 0), "at 2001:db8::/64"),
        ("", ("2001:db8::2:3", 1, 0, 0), "at 2001:db8::/64"),  # one home has a whole /64
        ("", "", "at a local socket"),
    ],
)
def test_what_requests_are_counted_by(chat: Chat, query: str, address: object, caller: str) -> None:
    assert begin(chat, query, address).key == caller


def test_a_password_makes_a_moderator_of_all_rooms(chat: Chat) -> None:
    assert begin(chat, "?name=root&password=sesame").is_moderator
    assert not begin(chat, "?name=alice").is_moderator
    assert not begin(chat).is_moderator
    with pytest.raises(RequestRefused):
        begin(chat, "?name=root&password=wrong")


def test_too_many_requests_of_an_address_are_refused() -> None:
    with closing(Chat(budgets=Budgets(Rate(1, 1000)))) as chat:
        for _ in range(3):
            chat.http.count_request(begin(chat))
        with pytest.raises(Rejected) as rejected:
            chat.http.count_request(begin(chat))
        assert rejected.value.code == "too-fast"
        assert rejected.value.seconds == pytest.approx(1000, rel=0.1)
        chat.http.count_request(begin(chat, address=("203.0.113.2", 1)))


def test_an_export_ends_with_the_last_message_at_its_beginning(chat: Chat, broker: Broker) -> None:
    def say(text: str) -> None:
        begin(chat).post({"room": "tea", "text": text})

    say("old")
    pages = begin(chat).export("tea")
    say("new")
    assert [message.text for page in pages for message in page] == ["old"]
    assert list(begin(chat).export("nothing")) == []


def test_pages_hold_no_more_messages_than_the_limit(chat: Chat, broker: Broker) -> None:
    for number in range(1, 1502):
        broker.append(Draft("tea", "m", str(number)), IgnoringPublisher())
    eventually(lambda: last_numbers(broker) == {"tea": 1501})
    answer = begin(chat).run("history", {"room": "tea", "since": 0, "limit": MAX_MESSAGES})
    assert isinstance(answer, HistoryEvent)
    assert (len(answer.messages), answer.more) == (MAX_MESSAGES, True)
    sizes = [len(page) for page in begin(chat).export("tea")]
    assert (sum(sizes), max(sizes)) == (1501, MAX_MESSAGES)
