"""Visits: people who come with a request, without HTTP and without a network."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from tests.brokers.wiring import last_numbers
from tests.connection.wiring import PATIENCE, eventually
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


@pytest.fixture(params=["sqlite", "memory"])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Broker:
    return SqliteBroker(tmp_path / "history.sqlite") if request.param == "sqlite" else MemoryBroker()


@pytest.fixture
def chat(broker: Broker) -> Iterator[Chat]:
    with closing(Chat(broker, access=Access(moderators={"root": "sesame"}))) as chat:
        yield chat


def begin(chat: Chat, query: str = "", address: object = HOME) -> Caller:
    return chat.http.identify(Request("GET", f"/{query}", {}, remote_address=address))


def test_what_is_posted_is_new_once(chat: Chat) -> None:
    first = begin(chat).post({"room": "tea", "text": "x", "id": "a"}, "alice")
    again = begin(chat).post({"room": "tea", "text": "x", "id": "a"}, "alice")
    assert (first.is_new, again.is_new) == (True, False)
    assert first.message[:4] == ("tea", 1, "alice", "x")
    assert again.message[:4] == first.message[:4]
    assert again.message.time == pytest.approx(first.message.time)


def test_who_posts_listens_no_longer_than_that(chat: Chat, broker: Broker) -> None:
    for room in ("tea", "coffee"):
        begin(chat).post({"room": room, "text": "x"})
    assert all(not room.subscribers for room in broker._rooms.values())  # type: ignore[attr-defined]


def test_what_was_said_before_and_is_no_longer_kept_is_known_by_its_number() -> None:
    with closing(Chat(MemoryBroker(Retention(messages=1)))) as chat:
        begin(chat).post({"room": "tea", "text": "x", "id": "a"})
        begin(chat).post({"room": "tea", "text": "y"})
        again = begin(chat).post({"room": "tea", "text": "x", "id": "a"})
        assert (again.is_new, again.message) == (False, Message("tea", 1, "Server", "x", 0.0))


def test_many_who_post_at_once_each_get_their_own(chat: Chat) -> None:
    def post(number: int) -> tuple[int, str]:
        message = begin(chat).post({"room": "tea", "text": str(number)}).message
        return message.seq, message.text

    with ThreadPoolExecutor(16) as pool:
        posted = dict(pool.map(post, range(300)))
    assert sorted(posted) == list(range(1, 301))
    read = [message for page in begin(chat).export("tea") for message in page]
    assert {message.seq: message.text for message in read} == posted


def test_of_two_at_once_with_one_id_one_is_new() -> None:
    class Slow(MemoryBroker):
        """Both are there before either is appended."""

        def __init__(self) -> None:
            super().__init__()
            self.both = threading.Barrier(2)

        def append(self, draft: Draft, publisher: Publisher) -> None:
            self.both.wait(PATIENCE)
            super().append(draft, publisher)

    with closing(Chat(Slow())) as chat, ThreadPoolExecutor(2) as pool:
        posted = list(pool.map(lambda _: begin(chat).post({"room": "tea", "text": "x", "id": "a"}), range(2)))
    assert sorted(answer.is_new for answer in posted) == [False, True]


def test_what_cannot_be_kept_was_not_said() -> None:
    class Full(MemoryBroker):
        def append(self, draft: Draft, publisher: Publisher) -> None:
            outcome: Outcome = (draft, HistoryUnavailable("the disk is full"))
            publisher.on_appended([outcome])

    broker = Full()
    with closing(Chat(broker)) as chat:
        with pytest.raises(HistoryUnavailable, match="the disk is full"):
            begin(chat).post({"room": "tea", "text": "x"})
        assert not any(room.subscribers for room in broker._rooms.values())


def test_nothing_can_be_posted_once_it_is_closed(tmp_path: Path) -> None:
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
        ("?name=alice", HOME, "at 203.0.113.1"),  # anybody may say so
        ("?name=Root&password=sesame", HOME, "name root"),
        ("", ("::ffff:203.0.113.1", 1), "at 203.0.113.1"),
        ("", ("2001:db8::1", 1, 0, 0), "at 2001:db8::/64"),
        ("", ("2001:db8::2:3", 1, 0, 0), "at 2001:db8::/64"),  # a home has all of these
        ("", "", "at a local socket"),
    ],
)
def test_whom_requests_are_counted_for(chat: Chat, query: str, address: object, caller: str) -> None:
    assert begin(chat, query, address).key == caller


def test_who_is_a_moderator_of_all_rooms(chat: Chat) -> None:
    assert begin(chat, "?name=root&password=sesame").is_moderator
    assert not begin(chat, "?name=alice").is_moderator
    assert not begin(chat).is_moderator
    with pytest.raises(RequestRefused):
        begin(chat, "?name=root&password=wrong")


def test_who_comes_too_often_has_to_wait() -> None:
    with closing(Chat(budgets=Budgets(Rate(1, 1000)))) as chat:
        for _ in range(3):
            chat.http.count_request(begin(chat))
        with pytest.raises(Rejected) as rejected:
            chat.http.count_request(begin(chat))
        assert rejected.value.code == "too-fast"
        assert rejected.value.seconds == pytest.approx(1000, rel=0.1)
        chat.http.count_request(begin(chat, address=("203.0.113.2", 1)))


def test_an_export_is_as_of_when_it_was_asked_for(chat: Chat, broker: Broker) -> None:
    def say(text: str) -> None:
        begin(chat).post({"room": "tea", "text": text})

    say("old")
    pages = begin(chat).export("tea")
    say("new")
    assert [message.text for page in pages for message in page] == ["old"]
    assert list(begin(chat).export("nothing")) == []


def test_reading_on_and_on_takes_no_more_than_is_asked_for(chat: Chat, broker: Broker) -> None:
    class Nobody:
        def on_appended(self, outcomes: list[Outcome]) -> None:
            pass

    for number in range(1, 1502):
        broker.append(Draft("tea", "m", str(number)), Nobody())
    eventually(lambda: last_numbers(broker) == {"tea": 1501})
    answer = begin(chat).run("history", {"room": "tea", "since": 0, "limit": MAX_MESSAGES})
    assert isinstance(answer, HistoryEvent)
    assert (len(answer.messages), answer.more) == (MAX_MESSAGES, True)
    sizes = [len(page) for page in begin(chat).export("tea")]
    assert (sum(sizes), max(sizes)) == (1501, MAX_MESSAGES)
