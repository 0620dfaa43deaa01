"""Events: following a room from outside, without a hole and without anything twice, whatever happens to the connection."""

from __future__ import annotations

import itertools
import json
import logging
import random
import socket
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import wschat
from tests.conftest import until_logged
from tests.connection.wiring import PATIENCE, eventually
from tests.server.command import Command, running
from tests.web.wiring import Events, Http, OpenWeb, Web, plain
from wschat import Limits
from wschat.brokers.base import Broker, Draft, Message, Outcome, Retention
from wschat.brokers.memory import MemoryBroker
from wschat.brokers.sqlite.broker import SqliteBroker
from wschat.chat.access import Access
from wschat.chat.budgets import Budgets
from wschat.chat.moderation import BAN
from wschat.chat.rates import Rate
from wschat.chat.sessions import Identity
from wschat.errors import HistoryUnavailable

ROOT = Access(moderators={"root": "sesame"})


@pytest.fixture(params=["local", "memory"])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Broker:
    return SqliteBroker(tmp_path / "history.sqlite") if request.param == "local" else MemoryBroker()


def members_in(web: Web, room: str) -> int:
    """How many get what is said in a room."""
    found = web.chat._state.rooms.find(room)
    return sum(map(len, found._hubs.values())) if found else 0


def until_followed(web: Web, room: str = "tea", number: int = 1) -> None:
    """So many are in the room: what is said from here on reaches them."""
    eventually(lambda: members_in(web, room) == number)


# What is sent


def test_what_is_said_from_now_on(open_web: OpenWeb, broker: Broker) -> None:
    web = open_web(broker)
    web.post("before")
    events = web.follow()
    until_followed(web)
    posted = web.post("hello\nworld", name="alice").json
    event = events.next()
    assert (event.type, event.json, event.id) == ("message", posted, f"{broker.epoch}:2")
    bob = web.guests.v1("bob", "tea")
    assert events.next("member").json == {"type": "member", "room": "tea", "name": "bob", "event": "join"}
    bob.say("<b>\u2028")
    assert events.next().json["text"] == "<b>\u2028"
    web.post("elsewhere", "coffee")
    web.post("here")
    assert events.next().json["text"] == "here"
    assert events.retry is not None
    assert events.retry > 0


def test_a_client_knows_where_it_is_before_anything_is_said(open_web: OpenWeb, broker: Broker) -> None:
    """It may be cut off before the first message, and misses nothing either."""
    web = open_web(broker)
    web.post("before")
    events = web.follow()
    until_followed(web)
    events.http.send(b"")
    events.http.socket.shutdown(socket.SHUT_WR)
    assert list(events) == []
    assert events.last_id == f"{broker.epoch}:1"
    web.post("meanwhile")
    assert web.follow(last_event_id=events.last_id).texts(1) == ["meanwhile"]


def test_typing_is_not_worth_an_event(web: Web) -> None:
    bob = web.guests.v1("bob", "tea")
    events = web.follow()
    until_followed(web, number=2)
    bob.ask(type="typing", room="tea")
    bob.say("x")
    assert next(iter(events)).json["text"] == "x"


def test_who_follows_is_nobody_to_those_who_are_there(web: Web) -> None:
    bob = web.guests.v1("bob", "tea")
    events = web.follow(query="?name=alice")
    until_followed(web, number=2)
    alice = web.guests.v1("alice", "tea")  # whose name is free
    who = bob.ask(type="who", room="tea")
    assert (who["members"], who["unnamed"]) == (["bob", "alice"], 0)
    assert web.get("/api/rooms").json["rooms"] == [{"room": "tea", "members": 2, "last": 0}]
    assert events.next("member").json["name"] == "alice"
    assert [event["name"] for event in bob.seen() if event["type"] == "member"] == ["alice"]
    alice.say("x")
    assert events.texts(1) == ["x"]


def test_a_room_that_is_only_followed_is_none_yet(web: Web) -> None:
    web.follow("nowhere")
    until_followed(web, "nowhere")
    assert web.get("/api/rooms").json == {"rooms": []}


def test_who_follows_too_often_is_asked_to_come_again(open_web: OpenWeb) -> None:
    web = open_web(budgets=Budgets(Rate(1, 100)))
    for _ in range(3):
        web.post("x")
    events = web.follow(last_event_id="0")
    assert list(events) == []  # and it ends
    assert events.retry is not None
    assert 90_000 < events.retry <= 100_000


def test_a_follower_who_leaves_is_forgotten(web: Web) -> None:
    events = web.follow()
    until_followed(web)
    events.http.vanish()
    until_followed(web, number=0)
    eventually(lambda: web.server.load().connections["events"] == 0)
    assert web.chat._state.rooms.find("tea") is None


# Going on after a while


def test_it_goes_on_after_the_last_event(open_web: OpenWeb, broker: Broker) -> None:
    web = open_web(broker)
    for number in range(1, 6):
        web.post(str(number))
    events = web.follow(last_event_id=f"{broker.epoch}:2")
    assert events.texts(3) == ["3", "4", "5"]
    web.post("6")
    assert events.texts(1) == ["6"]
    assert web.follow(last_event_id="4").texts(2) == ["5", "6"]  # a bare number, for who has it from elsewhere


def test_from_the_beginning(open_web: OpenWeb, broker: Broker) -> None:
    web = open_web(broker)
    web.post("1")
    events = web.follow(last_event_id="0")
    assert events.texts(1) == ["1"]


def test_an_address_may_say_where_to_begin_until_an_id_says_more(web: Web) -> None:
    for text in ("1", "2", "3"):
        web.post(text)
    assert web.follow(query="?since=1").texts(2) == ["2", "3"]
    assert web.follow(query="?since=1", last_event_id="2").texts(1) == ["3"]
    answer = web.get("/api/rooms/tea/events?since=x")
    assert (answer.status, answer.code) == (400, "bad-field")


def test_an_empty_id_is_none(web: Web) -> None:
    web.post("before")
    events = web.follow(last_event_id="")
    until_followed(web)
    web.post("after")
    assert events.texts(1) == ["after"]


@pytest.mark.parametrize("last_event_id", ["x", "-1", "1:x", "1.5", "9" * 16, "\xb2", ":"])
def test_what_is_no_id_is_a_bad_request(web: Web, last_event_id: str) -> None:
    answer = web.connect().get("/api/rooms/tea/events", Last_Event_ID=last_event_id)
    assert (answer.status, answer.code) == (400, "bad-field")


@pytest.mark.parametrize("last_event_id", ["another-epoch:1", "999", "another:epoch:0"])
def test_who_was_somewhere_else_is_told_and_gets_all_that_is_kept(open_web: OpenWeb, broker: Broker, last_event_id: str) -> None:
    web = open_web(broker)
    for number in range(1, 4):
        web.post(str(number))
    events = web.follow(last_event_id=last_event_id)
    first = next(iter(events))
    assert (first.type, first.json) == ("gap", {"type": "gap", "room": "tea", "first": 1})
    assert events.texts(3) == ["1", "2", "3"]


def test_what_is_no_longer_kept_is_a_gap(open_web: OpenWeb) -> None:
    broker = MemoryBroker(Retention(messages=3))
    web = open_web(broker)
    for number in range(1, 9):
        web.post(str(number))
    events = web.follow(last_event_id="2")
    assert next(iter(events)).json == {"type": "gap", "room": "tea", "first": 6}
    assert events.texts(3) == ["6", "7", "8"]
    events = web.follow(last_event_id="5")
    assert next(iter(events)).json["text"] == "6"


def test_what_was_missed_is_paid_for_by_the_address(open_web: OpenWeb) -> None:
    web = open_web(MemoryBroker(), budgets=Budgets(work_per_address=Rate(1000, 60)))
    for number in range(100):
        web.post(str(number))
    assert web.get("/api/rooms").status == 200
    for _ in range(40):
        web.follow(last_event_id="1").texts(1)
        if web.get("/api/rooms").status == 429:
            break
    assert web.get("/api/rooms").code == "too-fast"


def test_without_a_history_what_was_missed_is_a_gap(open_web: OpenWeb) -> None:
    web = open_web(MemoryBroker(keeps_messages=False))
    for number in range(1, 4):
        web.post(str(number))
    events = web.follow(last_event_id="1")
    assert next(iter(events)).json == {"type": "gap", "room": "tea", "first": 4}
    until_followed(web)
    web.post("4")
    assert events.texts(1) == ["4"]
    events = web.follow(last_event_id="4")
    until_followed(web, number=2)
    web.post("5")
    assert next(iter(events)).json["text"] == "5"  # nothing was missed


class Nobody:
    def on_appended(self, outcomes: list[Outcome]) -> None:
        pass


def fill(broker: Broker, texts: list[str], before: int = 0) -> None:
    for text in texts:
        broker.append(Draft("tea", "m", text), Nobody())
    eventually(lambda: broker.last_seq("tea") == before + len(texts))


def test_however_much_was_missed(open_web: OpenWeb, broker: Broker) -> None:
    """More than one answer may bring, and more than may wait for one who is slow."""
    texts = [f"{number} " + "x" * (60_000 if number % 50 == 0 else 10) for number in range(2500)]
    fill(broker, texts)
    web = open_web(broker)
    events = web.follow(last_event_id="0")
    assert events.texts(len(texts)) == texts
    web.post("now")
    assert events.texts(1) == ["now"]


# Under load


def follow_again_and_again(web: Web, last: str, seed: int) -> list[int]:
    """The numbers of all messages until one that says so, by somebody who is cut off again and again."""
    dice = random.Random(seed)
    seen: list[int] = []
    last_id: str | None = "0"
    while True:
        http = Http.to(web.server)
        with http:
            http.send(plain("GET", "/api/rooms/tea/events", b"", Last_Event_ID=last_id or "0"))
            events = Events(http)
            left = dice.randint(1, 200)
            for event in events:
                last_id = events.last_id
                if event.type == "message":
                    seen.append(event.json["seq"])
                    assert event.id.endswith(f":{seen[-1]}")
                    if event.json["text"] == last:
                        return seen
                left -= 1
                if not left:
                    break
            http.vanish()


def test_who_is_cut_off_again_and_again_gets_each_message_once_and_in_order(open_web: OpenWeb, broker: Broker) -> None:
    web = open_web(broker)
    posters, each = 4, 150

    def post(poster: int) -> None:
        with Http.to(web.server) as http:
            for number in range(each):
                body = json.dumps({"text": f"{poster} {number}", "name": f"p{poster}"}).encode()
                assert http.call(plain("POST", "/api/rooms/tea/messages", body)).status == 201

    with ThreadPoolExecutor(16) as pool:
        followers = [pool.submit(follow_again_and_again, web, "the end", seed) for seed in range(5)]
        for poster in [pool.submit(post, number) for number in range(posters)]:
            poster.result(PATIENCE)
        web.post("the end")
        seen = [follower.result(PATIENCE) for follower in followers]
    assert seen == [list(range(1, posters * each + 2))] * 5
    assert len(web.texts()) == posters * each + 1


# Those who do not keep up, and those who may not


def lazy(web: Web) -> Events:
    """A follower whose system keeps little, and who reads no more than the beginning."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(("127.0.0.1", web.server.port))
    http = web._stack.enter_context(Http(sock))
    http.send(plain("GET", "/api/rooms/tea/events"))
    return Events(http)


def test_who_does_not_keep_up_is_put_out_and_others_get_everything(open_web: OpenWeb) -> None:
    broker = MemoryBroker()
    web = open_web(broker, server_options={"limits": Limits(outbox_bytes=100_000, close_timeout=0.1)})
    sleeper, reader = lazy(web), web.follow()
    until_followed(web, number=2)
    texts = [f"{number} " + "x" * 20_000 for number in range(400)]
    with ThreadPoolExecutor(1) as pool:
        got = pool.submit(reader.texts, len(texts))
        for text in texts:
            web.post(text)
            assert web.server.load().waiting_bytes < 400_000
        assert got.result(PATIENCE) == texts
    until_followed(web, number=1)
    missed = [event.json["seq"] for event in sleeper]  # what the system has kept
    assert missed == list(range(1, len(missed) + 1))
    assert len(missed) < len(texts)
    again = web.follow(last_event_id=sleeper.last_id)
    assert again.texts(len(texts) - len(missed)) == texts[len(missed) :]


def test_who_does_not_take_what_was_missed_is_put_out(open_web: OpenWeb, caplog: pytest.LogCaptureFixture) -> None:
    broker = MemoryBroker(Retention(messages=0))
    fill(broker, ["x" * 50_000] * 200)
    web = open_web(broker, server_options={"limits": Limits(outbox_bytes=100_000, send_timeout=0.1, close_timeout=0.1)})
    http = web.connect()
    http.send(plain("GET", "/api/rooms/tea/events", b"", Last_Event_ID="0"))
    events = Events(http)
    eventually(lambda: events.status == 200 and web.server.load().connections["events"] == 0)
    until_followed(web, number=0)
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_who_is_banned_is_put_out_and_told_why(open_web: OpenWeb) -> None:
    web = open_web(access=ROOT)
    root = web.guests.v1(path="/?name=root&password=sesame", room="tea")
    bob, carol = web.follow(query="?name=bob"), web.follow(query="?name=carol")
    until_followed(web, number=3)
    assert root.ask(type="ban", room="tea", name="bob", seconds=60)["type"] == "ack"
    (notice,) = [event.json for event in bob if event.type == "notice"]
    assert (notice["room"], notice["event"]) == ("tea", "ban")
    root.say("bob is gone")
    assert carol.texts(1) == ["bob is gone"]
    assert web.connect().get("/api/rooms/tea/events?name=bob").code == "banned"


def test_who_is_banned_by_address_is_put_out(open_web: OpenWeb) -> None:
    web = open_web(access=ROOT, server_options={"trusted_proxies": ["127.0.0.1"]})
    root = web.guests.v1(path="/?name=root&password=sesame", room="tea")
    one, two = (web.follow(X_Forwarded_For=f"203.0.113.{number}") for number in (1, 2))
    until_followed(web, number=3)
    root.ask(type="ban", room="tea", name="203.0.113.1")
    assert [event.type for event in one][-1] == "notice"
    root.say("x")
    assert two.texts(1) == ["x"]


def test_who_is_banned_while_catching_up_is_put_out(open_web: OpenWeb) -> None:
    broker = MemoryBroker(Retention(messages=0))
    fill(broker, ["x" * 50_000] * 400)
    web = open_web(broker, access=ROOT)
    root = web.guests.v1(path="/?name=root&password=sesame", room="tea")
    http = web.connect()
    http.send(plain("GET", "/api/rooms/tea/events?name=bob", b"", Last_Event_ID="0"))
    events = Events(http)
    eventually(lambda: len(web.chat._state.rooms.sessions_in("tea")) == 2)
    root.ask(type="ban", room="tea", name="bob")
    assert len([event for event in events if event.type == "message"]) < 400
    until_followed(web, number=1)


class Passing(Access):
    """Lets everybody in for a moment."""

    def identify(self, request: wschat.Request) -> Identity:
        return Identity("alice", is_proven=True, expires_at=time.time() + 0.2)


def test_it_ends_with_the_token(open_web: OpenWeb, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    web = open_web(access=Passing())
    events = web.follow()
    until_followed(web)
    assert list(events) == []
    events.http.__exit__()
    until_logged(caplog, "1008 the token has expired")


def test_it_ends_with_the_server_and_a_browser_comes_again(web: Web) -> None:
    events = web.follow()
    until_followed(web)
    with ThreadPoolExecutor(1) as pool:
        stopped = pool.submit(web.server.stop, PATIENCE)
        assert list(events) == []
        events.http.__exit__()
        stopped.result(PATIENCE)
    assert events.retry is not None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of the memory of another process")
def test_followers_that_never_read_do_not_take_the_memory() -> None:
    options = ("--port", "0", "--rate", "off", "--outbox-bytes", "200000", "--log-level", "error")
    with running(*options) as command, wschat.connect(f"{command.url}rooms/tea") as talker:
        assert talker.recv(PATIENCE) == "Welcome to the chat!"
        sleepers = [sleep(command) for _ in range(20)]
        before = command.peak_bytes()
        for number in range(200):
            talker.send(f"{number} " + "x" * 50_000)
            talker.recv(PATIENCE)
        assert command.peak_bytes() - before < 25 * 2**20  # and not 200 MB
        for sleeper in sleepers:
            sleeper.__exit__()


def sleep(command: Command) -> Http:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect((command.host, command.port))
    http = Http(sock)
    http.send(plain("GET", "/api/rooms/tea/events"))
    assert http.head()[0] == 200
    while not http.line().startswith(b"id: "):
        pass
    return http


def test_a_thousand_share_what_is_sent(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """One message is made into an event once, however many follow."""
    made: list[Message] = []
    feed = next(dialect for dialect in web.chat._state.rooms._dialects if type(dialect).__name__ == "Sse")
    make = feed.message

    def message(message: Message) -> str:
        made.append(message)
        return make(message)

    monkeypatch.setattr(feed, "message", message)
    followers = [web.follow() for _ in range(50)]
    until_followed(web, number=50)
    web.post("x")
    assert [follower.texts(1) for follower in followers] == [["x"]] * 50
    assert len(made) == 1


class Troubled(MemoryBroker):
    """Something happens as the past is read."""

    def __init__(self, happens: Callable[[Broker], None], **options: Any) -> None:
        super().__init__(**options)
        self.happens: Callable[[Broker], None] | None = happens
        self.reads_before = 0

    def read_since(self, room: str, seq: int, limit: int) -> list[Message]:
        read = super().read_since(room, seq, limit)
        self.reads_before -= 1
        if self.reads_before < 0 and self.happens is not None:
            happens, self.happens = self.happens, None
            happens(self)
        return read


class Busy(MemoryBroker):
    """Something is said just before or after the past is read for the first, second, third time and so on."""

    def __init__(self) -> None:
        super().__init__()
        self.moments: list[tuple[int, bool]] = []
        self._reads = 0

    def begin(self, moments: list[tuple[int, bool]]) -> None:
        self.moments, self._reads = moments, 0

    def read_since(self, room: str, seq: int, limit: int) -> list[Message]:
        self._reads += 1
        self._say(room, (self._reads, False))
        read = super().read_since(room, seq, limit)
        self._say(room, (self._reads, True))
        return read

    def _say(self, room: str, moment: tuple[int, bool]) -> None:
        for _ in range(self.moments.count(moment)):
            self.append(Draft(room, "m", "meanwhile"), Nobody())


def test_whenever_something_is_said_it_comes_once_and_in_order(open_web: OpenWeb) -> None:
    broker = Busy()
    web = open_web(broker)
    rooms = itertools.count()

    @given(st.lists(st.tuples(st.integers(1, 6), st.booleans()), max_size=6), st.integers(0, 3))
    @settings(deadline=None, max_examples=100)
    def follow(moments: list[tuple[int, bool]], before: int) -> None:
        room = f"room-{next(rooms)}"
        for _ in range(before):
            broker.append(Draft(room, "m", "before"), Nobody())
        broker.begin(moments)
        events = web.follow(room, last_event_id="0")
        until_followed(web, room)
        broker.append(Draft(room, "m", "the end"), Nobody())
        seen: list[int] = []
        for event in events:
            seen.append(event.json["seq"])
            if event.json["text"] == "the end":
                break
        events.http.__exit__()
        assert seen == list(range(1, broker.last_seq(room) + 1))

    follow()


def test_who_was_banned_this_very_moment_is_put_out(open_web: OpenWeb) -> None:
    broker = Troubled(lambda _: web.chat._state.moderation.set(BAN, "tea", ["bob"], None, "root"))
    fill(broker, ["x"])
    web = open_web(broker)
    events = web.follow(last_event_id="0", query="?name=bob")
    assert [event.json["text"] for event in events] == ["x"]  # and then the end


def burn(_: Broker) -> None:
    raise HistoryUnavailable("the disk is on fire")


def test_a_history_that_cannot_be_read_ends_it_and_the_client_comes_again(open_web: OpenWeb, caplog: pytest.LogCaptureFixture) -> None:
    broker = Troubled(burn)
    fill(broker, ["1"])
    web = open_web(broker)
    events = web.follow(last_event_id="0")
    assert list(events) == []
    events.http.__exit__()
    eventually(lambda: web.server.load().connections["events"] == 0)
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
    assert web.follow(last_event_id="0").texts(1) == ["1"]


def is_whole(events: Events, first: int, last: int) -> bool:
    """Whether all numbers come, or a gap is told where some do not."""
    expected = first
    for event in events:
        expected = event.json["first"] if event.type == "gap" else expected
        if event.type == "message":
            if event.json["seq"] != expected:
                return False
            expected += 1
            if expected > last:
                return True
    return False


def test_what_is_dropped_meanwhile_is_a_gap_too(open_web: OpenWeb) -> None:
    broker = Troubled(lambda broker: fill(broker, ["x"] * 3000, before=1500), retention=Retention(messages=1500))
    fill(broker, ["x"] * 1500)
    broker.reads_before = 1
    web = open_web(broker)
    assert is_whole(web.follow(last_event_id="0"), 1, 4500)


def test_what_is_said_as_somebody_comes_in_is_a_gap_where_it_is_not_kept(open_web: OpenWeb) -> None:
    broker = Troubled(lambda broker: fill(broker, ["x"] * 3, before=3), keeps_messages=False)
    fill(broker, ["x"] * 3)
    web = open_web(broker)
    events = web.follow(last_event_id="3")
    until_followed(web)
    web.post("x")
    assert is_whole(events, 4, 7)
