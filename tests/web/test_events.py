"""Event streams of rooms: no event is missed or repeated, even if connections are lost."""

from __future__ import annotations

import itertools
import json
import logging
import random
import select
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
from tests.brokers.wiring import IgnoringPublisher
from tests.concurrency import TIMEOUT, eventually
from tests.conftest import until_logged
from tests.server.command import Command, running
from tests.web.wiring import Events, Http, OpenWeb, Web, plain
from wschat import Limits
from wschat.brokers.base import Broker, Draft, Message, Retention
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
    """Return the number of connections that get the messages of a room."""
    found = web.chat._state.rooms.find(room)
    return sum(map(len, found._hubs.values())) if found else 0


def until_followed(web: Web, room: str = "tea", number: int = 1) -> None:
    """Wait until a room has this many connections, which get all messages from then on."""
    eventually(lambda: members_in(web, room) == number)


# Events


def test_new_messages_are_sent_as_events(open_web: OpenWeb, broker: Broker) -> None:
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


def test_a_client_gets_an_id_before_the_first_message(open_web: OpenWeb, broker: Broker) -> None:
    """So a client that loses its connection before the first message misses nothing."""
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


class WatchedBroker(MemoryBroker):
    """A broker that calls `when_read` before it returns the number of a room's last message."""

    when_read: Callable[[], object] = staticmethod(lambda: None)

    def last_seq(self, room: str) -> int:
        self.when_read()
        return super().last_seq(room)


def test_no_message_is_missed_once_the_stream_is_open(open_web: OpenWeb) -> None:
    """So a page may ask for what it shows, or post, when its EventSource has opened."""
    broker = WatchedBroker()
    web = open_web(broker)
    http = web.connect()
    is_open: list[bool] = []
    broker.when_read = lambda: is_open.append(select.select([http.socket], [], [], 0)[0] != [])
    http.send(plain("GET", "/api/rooms/tea/events"))
    events = Events(http)
    assert events.status == 200
    assert is_open[0] is False  # the stream begins after a message that was the last before the client knew that it is open
    web.post("x")
    assert events.texts(1) == ["x"]


def test_typing_is_not_sent(web: Web) -> None:
    bob = web.guests.v1("bob", "tea")
    events = web.follow()
    until_followed(web, number=2)
    bob.ask(type="typing", room="tea")
    bob.say("x")
    assert next(iter(events)).json["text"] == "x"


def test_a_follower_is_not_announced_and_takes_no_name(web: Web) -> None:
    bob = web.guests.v1("bob", "tea")
    events = web.follow(query="?name=alice")
    until_followed(web, number=2)
    alice = web.guests.v1("alice", "tea")  # the name is free
    who = bob.ask(type="who", room="tea")
    assert (who["members"], who["unnamed"]) == (["bob", "alice"], 0)
    assert web.get("/api/rooms").json["rooms"] == [{"room": "tea", "members": 2, "last": 0}]
    assert events.next("member").json["name"] == "alice"
    assert [event["name"] for event in bob.seen() if event["type"] == "member"] == ["alice"]
    alice.say("x")
    assert events.texts(1) == ["x"]


def test_a_room_with_followers_only_is_not_listed(web: Web) -> None:
    web.follow("nowhere")
    until_followed(web, "nowhere")
    assert web.get("/api/rooms").json == {"rooms": []}


def test_a_client_above_the_rate_is_told_when_to_reconnect(open_web: OpenWeb) -> None:
    web = open_web(budgets=Budgets(Rate(1, 100)))
    for _ in range(3):
        web.post("x")
    events = web.follow(last_event_id="0")
    assert list(events) == []  # the stream ends
    assert events.retry is not None
    assert 90_000 < events.retry <= 100_000


def test_a_follower_that_disconnects_is_removed(web: Web) -> None:
    events = web.follow()
    until_followed(web)
    events.http.vanish()
    until_followed(web, number=0)
    eventually(lambda: web.server.load().connections["events"] == 0)
    assert web.chat._state.rooms.find("tea") is None


# Resuming


def test_a_stream_resumes_after_the_last_event(open_web: OpenWeb, broker: Broker) -> None:
    web = open_web(broker)
    for number in range(1, 6):
        web.post(str(number))
    events = web.follow(last_event_id=f"{broker.epoch}:2")
    assert events.texts(3) == ["3", "4", "5"]
    web.post("6")
    assert events.texts(1) == ["6"]
    assert web.follow(last_event_id="4").texts(2) == ["5", "6"]  # a number without an epoch


def test_the_id_0_gets_all_messages(open_web: OpenWeb, broker: Broker) -> None:
    web = open_web(broker)
    web.post("1")
    events = web.follow(last_event_id="0")
    assert events.texts(1) == ["1"]


def test_the_parameter_since_applies_unless_there_is_an_id(web: Web) -> None:
    for text in ("1", "2", "3"):
        web.post(text)
    assert web.follow(query="?since=1").texts(2) == ["2", "3"]
    assert web.follow(query="?since=1", last_event_id="2").texts(1) == ["3"]
    answer = web.get("/api/rooms/tea/events?since=x")
    assert (answer.status, answer.code) == (400, "bad-field")


def test_an_empty_id_is_ignored(web: Web) -> None:
    web.post("before")
    events = web.follow(last_event_id="")
    until_followed(web)
    web.post("after")
    assert events.texts(1) == ["after"]


@pytest.mark.parametrize("last_event_id", ["x", "-1", "1:x", "1.5", "9" * 16, "\xb2", ":"])
def test_an_invalid_id_is_a_bad_request(web: Web, last_event_id: str) -> None:
    answer = web.connect().get("/api/rooms/tea/events", Last_Event_ID=last_event_id)
    assert (answer.status, answer.code) == (400, "bad-field")


@pytest.mark.parametrize("last_event_id", ["another-epoch:1", "999", "another:epoch:0"])
def test_an_id_of_another_log_is_a_gap_followed_by_all_messages(open_web: OpenWeb, broker: Broker, last_event_id: str) -> None:
    web = open_web(broker)
    for number in range(1, 4):
        web.post(str(number))
    events = web.follow(last_event_id=last_event_id)
    first = next(iter(events))
    assert (first.type, first.json) == ("gap", {"type": "gap", "room": "tea", "first": 1})
    assert events.texts(3) == ["1", "2", "3"]


def test_deleted_messages_are_a_gap(open_web: OpenWeb) -> None:
    broker = MemoryBroker(Retention(messages=3))
    web = open_web(broker)
    for number in range(1, 9):
        web.post(str(number))
    events = web.follow(last_event_id="2")
    assert next(iter(events)).json == {"type": "gap", "room": "tea", "first": 6}
    assert events.texts(3) == ["6", "7", "8"]
    events = web.follow(last_event_id="5")
    assert next(iter(events)).json["text"] == "6"


def test_resuming_costs_the_budget_of_the_address(open_web: OpenWeb) -> None:
    web = open_web(MemoryBroker(), budgets=Budgets(work_per_address=Rate(1000, 60)))
    for number in range(100):
        web.post(str(number))
    assert web.get("/api/rooms").status == 200
    for _ in range(40):
        web.follow(last_event_id="1").texts(1)
        if web.get("/api/rooms").status == 429:
            break
    assert web.get("/api/rooms").code == "too-fast"


def test_a_head_request_costs_nothing_but_itself(open_web: OpenWeb) -> None:
    web = open_web(MemoryBroker(), budgets=Budgets(work_per_address=Rate(1000, 60)))
    for number in range(100):
        web.post(str(number))
    for _ in range(40):
        assert web.ask("HEAD", "/api/rooms/tea/events", headers={"Last-Event-ID": "1"}).status == 200


def test_without_a_history_missed_messages_are_a_gap(open_web: OpenWeb) -> None:
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
    assert next(iter(events)).json["text"] == "5"  # no message was missed


def fill(broker: Broker, texts: list[str], before: int = 0) -> None:
    for text in texts:
        broker.append(Draft("tea", "m", text), IgnoringPublisher())
    eventually(lambda: broker.last_seq("tea") == before + len(texts))


def test_any_number_of_missed_messages_is_sent(open_web: OpenWeb, broker: Broker) -> None:
    """More than one page, and more than the outbox of a slow client holds."""
    texts = [f"{number} " + "x" * (60_000 if number % 50 == 0 else 10) for number in range(2500)]
    fill(broker, texts)
    web = open_web(broker)
    events = web.follow(last_event_id="0")
    assert events.texts(len(texts)) == texts
    web.post("now")
    assert events.texts(1) == ["now"]


# Under load


def follow_with_interruptions(web: Web, last: str, seed: int) -> list[int]:
    """Follow a room through many lost connections, until the message `last`. Return the numbers of all messages."""
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


def test_a_client_that_loses_many_connections_gets_each_message_once_and_in_order(open_web: OpenWeb, broker: Broker) -> None:
    web = open_web(broker)
    posters, each = 4, 150

    def post(poster: int) -> None:
        with Http.to(web.server) as http:
            for number in range(each):
                body = json.dumps({"text": f"{poster} {number}", "name": f"p{poster}"}).encode()
                assert http.call(plain("POST", "/api/rooms/tea/messages", body)).status == 201

    with ThreadPoolExecutor(16) as pool:
        followers = [pool.submit(follow_with_interruptions, web, "the end", seed) for seed in range(5)]
        for poster in [pool.submit(post, number) for number in range(posters)]:
            poster.result(TIMEOUT)
        web.post("the end")
        seen = [follower.result(TIMEOUT) for follower in followers]
    assert seen == [list(range(1, posters * each + 2))] * 5
    assert len(web.texts()) == posters * each + 1


# Slow, banned and expired clients


def follow_without_reading(web: Web) -> Events:
    """Open an event stream with a small receive buffer, and read only its headers."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(("127.0.0.1", web.server.port))
    http = web._stack.enter_context(Http(sock))
    http.send(plain("GET", "/api/rooms/tea/events"))
    return Events(http)


def test_a_slow_follower_is_evicted_and_the_others_get_everything(open_web: OpenWeb) -> None:
    broker = MemoryBroker()
    web = open_web(broker, server_options={"limits": Limits(outbox_bytes=100_000, close_timeout=0.1)})
    slow, reader = follow_without_reading(web), web.follow()
    until_followed(web, number=2)
    texts = [f"{number} " + "x" * 20_000 for number in range(400)]
    with ThreadPoolExecutor(1) as pool:
        got = pool.submit(reader.texts, len(texts))
        for text in texts:
            web.post(text)
            assert web.server.load().waiting_bytes < 400_000
        assert got.result(TIMEOUT) == texts
    until_followed(web, number=1)
    missed = [event.json["seq"] for event in slow]  # what the kernel buffered
    assert missed == list(range(1, len(missed) + 1))
    assert len(missed) < len(texts)
    again = web.follow(last_event_id=slow.last_id)
    assert again.texts(len(texts) - len(missed)) == texts[len(missed) :]


def test_a_follower_that_does_not_read_missed_messages_is_evicted(open_web: OpenWeb, caplog: pytest.LogCaptureFixture) -> None:
    broker = MemoryBroker(Retention(messages=0))
    fill(broker, ["x" * 50_000] * 200)
    web = open_web(broker, server_options={"limits": Limits(outbox_bytes=100_000, outbox_seconds=0.1, close_timeout=0.1)})
    http = web.connect()
    http.send(plain("GET", "/api/rooms/tea/events", b"", Last_Event_ID="0"))
    events = Events(http)
    eventually(lambda: events.status == 200 and web.server.load().connections["events"] == 0)
    until_followed(web, number=0)
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_a_ban_ends_the_stream_with_a_notice(open_web: OpenWeb) -> None:
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


def test_a_ban_of_an_address_ends_its_streams(open_web: OpenWeb) -> None:
    web = open_web(access=ROOT, server_options={"trusted_proxies": ["127.0.0.1"]})
    root = web.guests.v1(path="/?name=root&password=sesame", room="tea")
    one, two = (web.follow(X_Forwarded_For=f"203.0.113.{number}") for number in (1, 2))
    until_followed(web, number=3)
    root.ask(type="ban", room="tea", name="203.0.113.1")
    assert [event.type for event in one][-1] == "notice"
    root.say("x")
    assert two.texts(1) == ["x"]


def test_a_ban_ends_a_stream_that_is_still_catching_up(open_web: OpenWeb) -> None:
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


class ExpiringAccess(Access):
    """Gives every client an identity that expires soon."""

    def identify(self, request: wschat.Request) -> Identity:
        return Identity("alice", is_proven=True, expires_at=time.time() + 0.2)


def test_the_stream_ends_when_the_token_expires(open_web: OpenWeb, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    web = open_web(access=ExpiringAccess())
    events = web.follow()
    until_followed(web)
    assert list(events) == []
    events.http.__exit__()
    until_logged(caplog, "1008 the token has expired")


def test_the_stream_ends_with_the_server_and_browsers_reconnect(web: Web) -> None:
    events = web.follow()
    until_followed(web)
    with ThreadPoolExecutor(1) as pool:
        stopped = pool.submit(web.server.stop, TIMEOUT)
        assert list(events) == []
        events.http.__exit__()
        stopped.result(TIMEOUT)
    assert events.retry is not None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux reports the memory of another process")
def test_followers_that_never_read_take_limited_memory() -> None:
    options = ("--port", "0", "--rate", "off", "--outbox-bytes", "200000", "--log-level", "error")
    with running(*options) as command, wschat.connect(f"{command.url}rooms/tea") as talker:
        assert talker.recv(TIMEOUT) == "Welcome to the chat!"
        slow_followers = [follow_slowly(command) for _ in range(20)]
        before = command.peak_bytes()
        for number in range(200):
            talker.send(f"{number} " + "x" * 50_000)
            talker.recv(TIMEOUT)
        assert command.peak_bytes() - before < 25 * 2**20  # not 200 MB
        for slow in slow_followers:
            slow.__exit__()


def follow_slowly(command: Command) -> Http:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect((command.host, command.port))
    http = Http(sock)
    http.send(plain("GET", "/api/rooms/tea/events"))
    assert http.head()[0] == 200
    while not http.line().startswith(b"id: "):
        pass
    return http


def test_followers_share_the_encoded_event(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message is encoded once for any number of followers."""
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


class InterruptedBroker(MemoryBroker):
    """A broker that calls `happens` once after a read."""

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


class BusyBroker(MemoryBroker):
    """A broker that appends messages just before or after its reads, at the given moments."""

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
            self.append(Draft(room, "m", "meanwhile"), IgnoringPublisher())


def test_messages_sent_during_reads_are_received_once_and_in_order(open_web: OpenWeb) -> None:
    broker = BusyBroker()
    web = open_web(broker)
    rooms = itertools.count()

    @given(st.lists(st.tuples(st.integers(1, 6), st.booleans()), max_size=6), st.integers(0, 3))
    @settings(deadline=None, max_examples=100)
    def follow(moments: list[tuple[int, bool]], before: int) -> None:
        room = f"room-{next(rooms)}"
        for _ in range(before):
            broker.append(Draft(room, "m", "before"), IgnoringPublisher())
        broker.begin(moments)
        events = web.follow(room, last_event_id="0")
        until_followed(web, room)
        broker.append(Draft(room, "m", "the end"), IgnoringPublisher())
        seen: list[int] = []
        for event in events:
            seen.append(event.json["seq"])
            if event.json["text"] == "the end":
                break
        events.http.__exit__()
        assert seen == list(range(1, broker.last_seq(room) + 1))

    follow()


def test_a_ban_during_the_first_read_ends_the_stream(open_web: OpenWeb) -> None:
    broker = InterruptedBroker(lambda _: web.chat._state.moderation.set(BAN, "tea", ["bob"], None, "root"))
    fill(broker, ["x"])
    web = open_web(broker)
    events = web.follow(last_event_id="0", query="?name=bob")
    assert [event.json["text"] for event in events] == ["x"]  # then the stream ends


def fail_to_read(_: Broker) -> None:
    raise HistoryUnavailable("the disk has failed")


def test_a_history_that_cannot_be_read_ends_the_stream_and_the_client_can_resume(
    open_web: OpenWeb, caplog: pytest.LogCaptureFixture
) -> None:
    broker = InterruptedBroker(fail_to_read)
    fill(broker, ["1"])
    web = open_web(broker)
    events = web.follow(last_event_id="0")
    assert list(events) == []
    events.http.__exit__()
    eventually(lambda: web.server.load().connections["events"] == 0)
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
    assert web.follow(last_event_id="0").texts(1) == ["1"]


def is_whole(events: Events, first: int, last: int) -> bool:
    """Return True if all numbers are received, or a gap event for those that are not."""
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


def test_messages_deleted_while_catching_up_are_a_gap(open_web: OpenWeb) -> None:
    broker = InterruptedBroker(lambda broker: fill(broker, ["x"] * 3000, before=1500), retention=Retention(messages=1500))
    fill(broker, ["x"] * 1500)
    broker.reads_before = 1
    web = open_web(broker)
    assert is_whole(web.follow(last_event_id="0"), 1, 4500)


def test_without_a_history_messages_sent_during_the_first_read_are_a_gap(open_web: OpenWeb) -> None:
    broker = InterruptedBroker(lambda broker: fill(broker, ["x"] * 3, before=3), keeps_messages=False)
    fill(broker, ["x"] * 3)
    web = open_web(broker)
    events = web.follow(last_event_id="3")
    until_followed(web)
    web.post("x")
    assert is_whole(events, 4, 7)
