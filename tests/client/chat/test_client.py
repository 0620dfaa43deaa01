"""`wschat.ChatClient` with a chat: requests, events, and closing."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import wschat
from tests.chat.conftest import ChatFactory
from tests.chat.wiring import Guests
from tests.client.chat.conftest import ClientFactory
from tests.concurrency import TIMEOUT, eventually
from tests.conftest import url_of
from tests.programs import run_program
from wschat import Attempt, ChatClient, ConnectionClosed, OpeningFailed, Rejected, UsageError
from wschat.brokers.memory import MemoryBroker
from wschat.brokers.sqlite.broker import SqliteBroker
from wschat.chat.access import Access
from wschat.chat.chat import SUBPROTOCOLS, Chat
from wschat.chat.tokens import mint
from wschat.client.chat.client import RoomSummary
from wschat.events import Event, Joined, MemberEvent, MessageEvent, Welcome, WhisperEvent


@pytest.fixture
def url(guests: Guests) -> str:
    return url_of(guests.server)


def next_message(client: ChatClient) -> MessageEvent:
    while not isinstance(event := client.recv(TIMEOUT), MessageEvent):
        pass
    return event


def test_a_message_is_sent_and_received(url: str, start_client: ClientFactory) -> None:
    client = start_client(url, rooms=["tea"])
    assert client.say("tea", "Hello!") == 1
    assert isinstance(client.recv(TIMEOUT), Welcome)
    assert isinstance(client.recv(TIMEOUT), Joined)
    message = client.recv(TIMEOUT)
    assert isinstance(message, MessageEvent)
    assert (message.room, message.seq, message.sender, message.text) == ("tea", 1, "alice", "Hello!")
    assert client.connected
    assert client.name == "alice"


def test_a_text_that_looks_like_a_command_is_a_message(url: str, start_client: ClientFactory) -> None:
    client = start_client(url, rooms=["tea"])
    for text in ("/nick bob", "//nick bob", "/me waves", "/"):
        client.say("tea", text)
        assert next_message(client).text == text
    assert client.name == "alice"


def test_messages_with_one_id_are_sent_once(url: str, start_client: ClientFactory) -> None:
    client = start_client(url, rooms=["tea"])
    assert [client.say("tea", "Hello!", id="mine") for _ in range(3)] == [1, 1, 1]
    with pytest.raises(Rejected, match="id-used"):
        client.say("tea", "Goodbye!", id="mine")


def test_a_whisper_is_received_by_its_recipient_only(url: str, start_client: ClientFactory) -> None:
    alice, bob = start_client(url, rooms=["tea"]), start_client(url, name="bob", rooms=["tea"])
    eventually(lambda: bob.connected)
    alice.whisper("bob", "psst")
    while not isinstance(event := bob.recv(TIMEOUT), WhisperEvent):
        pass
    assert (event.sender, event.to, event.text) == ("alice", "bob", "psst")
    with pytest.raises(Rejected, match="no-such-person"):
        alice.whisper("carol", "psst")


def test_members_and_rooms_are_listed(url: str, start_client: ClientFactory) -> None:
    alice, bob = start_client(url, rooms=["tea", "milk"]), start_client(url, name="bob")
    eventually(lambda: alice.connected)
    bob.join("tea")
    alice.say("milk", "Hello!")
    assert alice.members("tea") == ["alice", "bob"]
    assert sorted(alice.rooms()) == [RoomSummary("milk", 1, 1), RoomSummary("tea", 2, 0)]
    bob.leave("tea")
    assert alice.members("tea") == ["alice"]
    with pytest.raises(Rejected, match="not-in-room"):
        bob.say("tea", "Hello!")


def test_history_is_read_in_pages(url: str, start_client: ClientFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wschat.client.chat.client._MAX_PAGE", 3)
    client = start_client(url, rooms=["tea"])
    for number in range(10):
        client.say("tea", str(number))

    def numbers(**how: Any) -> list[object]:
        return [getattr(entry, "seq", None) for entry in client.history("tea", **how)]

    assert numbers() == list(range(1, 11))
    assert numbers(limit=7) == [4, 5, 6, 7, 8, 9, 10]
    assert numbers(before=6, limit=4) == [2, 3, 4, 5]
    assert numbers(since=2, limit=4) == [3, 4, 5, 6]
    assert numbers(since=7) == [8, 9, 10]
    assert numbers(since=10) == numbers(before=1) == numbers(limit=0) == []
    with pytest.raises(UsageError, match="either since= or before="):
        client.history("tea", since=1, before=5)


def test_a_topic_is_an_entry_of_the_log(url: str, start_client: ClientFactory) -> None:
    client = start_client(url, rooms=["tea"])
    client.run("topic", room="tea", text="Green tea")
    client.say("tea", "Hello!")
    assert [(event.type, getattr(event, "seq", None)) for event in client.history("tea")] == [("topic", 1), ("message", 2)]
    received = [client.recv(TIMEOUT) for _ in range(4)]
    assert [event.type for event in received] == ["welcome", "joined", "topic", "message"]


def test_a_moderator_connects_with_a_password(open_chat: ChatFactory, start_client: ClientFactory) -> None:
    url = url_of(open_chat(MemoryBroker(), access=Access(moderators={"alice": "s3cret"})).server)
    alice, bob = start_client(url, password="s3cret", rooms=["tea"]), start_client(url, name="bob", rooms=["tea"])
    eventually(lambda: alice.connected and bob.connected)
    alice.run("mute", room="tea", name="bob")
    with pytest.raises(Rejected, match="muted"):
        bob.say("tea", "Hello!")
    with pytest.raises(Rejected, match="forbidden"):
        list(start_client(url))
    with pytest.raises(UsageError, match="a password needs the name"):
        ChatClient(url, password="s3cret")


def test_a_token_gives_the_name(open_chat: ChatFactory, start_client: ClientFactory) -> None:
    secret = b"a secret that is long enough for HS256"
    url = url_of(open_chat(MemoryBroker(), access=Access(secret)).server)
    client = start_client(url, name=None, token=lambda: mint(secret, "alice"), rooms=["tea"])
    assert client.say("tea", "Hello!") == 1
    assert client.name == "alice"
    refused = start_client(url, name=None, token="wrong")
    with pytest.raises(OpeningFailed) as failed:
        list(refused)
    assert failed.value.status == 401
    with pytest.raises(OpeningFailed):
        refused.say("tea", "Hello!")


SECRET = "a-secret-of-22-letters-or-more"


def test_a_script_can_be_run_again_at_once(url: str) -> None:
    for _ in range(2):
        with ChatClient(url, name="alice") as client:
            client.join("tea")
            assert client.name == "alice"


def test_a_guest_with_a_secret_gets_its_name_back_after_it_was_killed(url: str, start_client: ClientFactory) -> None:
    program = f"import os, wschat; client = wschat.ChatClient({url!r}, name='alice', secret={SECRET!r}).start(); client.rooms()"
    subprocess.run([sys.executable, "-c", f"{program}; os._exit(0)"], check=True, timeout=TIMEOUT)
    with pytest.raises(Rejected, match="name-taken"):
        start_client(url, rooms=["tea"]).say("tea", "I am another alice.")
    assert start_client(url, secret=SECRET, rooms=["tea"]).say("tea", "Hello!") == 1


def test_a_guest_with_a_secret_takes_over_from_an_open_connection(url: str, start_client: ClientFactory) -> None:
    client = start_client(url, secret=SECRET, rooms=["tea"])
    assert client.say("tea", "Hello!") == 1
    assert start_client(url, secret=SECRET, rooms=["tea"]).say("tea", "Hello again!") == 2
    eventually(lambda: client.closed)
    assert isinstance(client.closed, ConnectionClosed)
    assert client.closed.code == 4001


# Restarts of the server


def test_no_message_is_lost_or_repeated_over_a_restart(tmp_path: Path, start_client: ClientFactory, pool: ThreadPoolExecutor) -> None:
    history = tmp_path / "history.sqlite"

    def run(port: int) -> tuple[wschat.WebSocketServer, Chat]:
        chat = Chat(SqliteBroker(history))
        server = wschat.serve(chat.handle, port=port, check_request=chat.check_request, subprotocols=SUBPROTOCOLS)
        return server.start(), chat

    server, chat = run(0)
    listener = start_client(url_of(server), name="bob", rooms=["tea"], stable_after=0)
    talker = start_client(url_of(server), rooms=["tea"], stable_after=0)
    eventually(lambda: listener.connected and talker.connected)
    saying = pool.submit(lambda: [talker.say("tea", str(number), timeout=None) for number in range(60)])
    received = []
    for _ in range(3):
        received += [next_message(listener) for _ in range(10)]
        server.stop()
        chat.close()
        server, chat = run(server.port)
    received += [next_message(listener) for _ in range(30)]
    assert saying.result(TIMEOUT) == list(range(1, 61))
    assert [(message.seq, message.text) for message in received] == [(seq, str(seq - 1)) for seq in range(1, 61)]
    assert [event.fields()["text"] for event in talker.history("tea")] == [str(number) for number in range(60)]
    talker.close()
    listener.close()
    server.stop()
    chat.close()


def test_the_hook_is_called_for_attempts(start_client: ClientFactory) -> None:
    attempts: list[Attempt] = []
    client = start_client("ws://127.0.0.1:1/?token=s3cret", on_attempt=attempts.append)
    eventually(lambda: attempts)
    assert attempts[0].url == "ws://127.0.0.1:1/"
    assert isinstance(attempts[0].error, ConnectionRefusedError)
    assert (client.connected, client.latency, client.closed) == (False, None, None)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_callers_do_not_wait_for_a_client_whose_thread_has_ended(start_client: ClientFactory) -> None:
    def leave(_: Attempt) -> None:
        raise SystemExit

    client = start_client("ws://127.0.0.1:1/", on_attempt=leave)
    with pytest.raises(ConnectionClosed):
        client.say("tea", "Hello!", timeout=None)


def test_the_latency_is_that_of_the_pings(url: str, start_client: ClientFactory) -> None:
    client = start_client(url, limits=wschat.Limits(ping_interval=0.02))
    eventually(lambda: client.latency is not None)
    assert 0 < (client.latency or 0) < TIMEOUT


# Events


def test_the_iteration_calls_the_callbacks_in_order(url: str, start_client: ClientFactory) -> None:
    client = start_client(url, rooms=["tea"])
    client.say("tea", "Hello!")
    seen: list[tuple[str, Event]] = []

    @client.on(MessageEvent)
    def note(event: MessageEvent) -> None:
        seen.append(("message", event))

    @client.on(Event)
    def note_any(event: Event) -> None:
        seen.append(("any", event))

    for event in client:
        if isinstance(event, MessageEvent):
            break
    assert [(what, event.type) for what, event in seen] == [
        ("any", "welcome"),
        ("any", "joined"),
        ("message", "message"),
        ("any", "message"),
    ]


def test_a_callback_may_send_and_close(url: str, start_client: ClientFactory) -> None:
    client = start_client(url, rooms=["tea"])
    seen = []

    @client.on(MessageEvent)
    def answer(event: MessageEvent) -> None:
        seen.append(event.text)
        if len(seen) == 5:
            client.close()
        else:
            client.say(event.room, f"{event.text}!")

    client.say("tea", "Hello")
    client.dispatch()
    assert seen == ["Hello", "Hello!", "Hello!!", "Hello!!!", "Hello!!!!"]


def test_an_exception_of_a_callback_ends_the_iteration(url: str, start_client: ClientFactory) -> None:
    client = start_client(url)

    @client.on(Welcome)
    def fail(_: Welcome) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        client.dispatch()
    assert isinstance(client.run("ping"), Event)


def test_without_an_event_in_time_a_timeout_error_is_raised(url: str, start_client: ClientFactory) -> None:
    client = start_client(url)
    assert isinstance(client.recv(TIMEOUT), Welcome)
    with pytest.raises(TimeoutError, match=r"no event within 0.01 s"):
        client.recv(0.01)


def test_each_event_goes_to_one_of_several_threads(url: str, start_client: ClientFactory, pool: ThreadPoolExecutor) -> None:
    client = start_client(url, rooms=["tea"])
    readers = [pool.submit(lambda: list(client)) for _ in range(3)]
    for number in range(30):
        client.say("tea", str(number))
    eventually(lambda: not len(client._inbox._events))
    client.close()
    texts = [event.text for reader in readers for event in reader.result(TIMEOUT) if isinstance(event, MessageEvent)]
    assert sorted(texts, key=int) == [str(number) for number in range(30)]


# The end


def test_a_closed_client_yields_the_received_events_and_ends(url: str, start_client: ClientFactory) -> None:
    client = start_client(url, rooms=["tea"])
    client.say("tea", "Hello!")
    client.close()
    client.close()
    assert [event.type for event in client] == ["welcome", "joined", "message"]
    assert list(client) == []
    assert isinstance(client.closed, ConnectionClosed)
    assert client.closed.code == 1000
    with pytest.raises(ConnectionClosed):
        client.recv(0)
    with pytest.raises(UsageError, match="started before"):
        client.start()


def test_the_other_members_see_it_leave(url: str, start_client: ClientFactory) -> None:
    bob = start_client(url, name="bob", rooms=["tea"])
    eventually(lambda: bob.connected)
    with ChatClient(url, name="alice", rooms=["tea"]) as alice:
        alice.members("tea")
    events = []
    while "leave" not in events:
        event = bob.recv(TIMEOUT)
        if isinstance(event, MemberEvent):
            events.append(event.event)
    assert events == ["join", "leave"]


@pytest.mark.parametrize("where", ["pause", "opening", "connection"])
def test_a_waiting_client_can_be_closed(where: str, url: str, start_client: ClientFactory) -> None:
    client = start_client("ws://127.0.0.1:1/" if where == "pause" else url, max_pause=1e6)
    if where == "connection":
        eventually(lambda: client.connected)
    threading.Timer(0.05, client.close).start()
    list(client)
    assert isinstance(client.closed, ConnectionClosed)


@pytest.mark.parametrize(
    "make",
    [
        partial(ChatClient, "http://127.0.0.1/"),
        partial(ChatClient, "ws://127.0.0.1/", rooms="tea"),
        partial(ChatClient, "ws://127.0.0.1/", max_pending=0),
        partial(ChatClient, "ws://127.0.0.1/", max_events=1),
        partial(ChatClient, "ws://127.0.0.1/", max_pause=0),
        partial(ChatClient, "ws://127.0.0.1/", subprotocols=["other"]),
        partial(ChatClient, "ws://127.0.0.1/", name="alice", password="a", token="b"),
    ],
    ids=lambda make: str(make.keywords or make.args),
)
def test_a_wrong_argument_is_a_usage_error_at_once(make: partial[ChatClient]) -> None:
    with pytest.raises(UsageError):
        make()


WAITS = {
    "recv": "client.recv()",
    "say": 'client.say("tea", "Hello!", timeout=None); client.recv(); client.recv(); client.recv(); client.recv()',
    "nothing": "threading.Event().wait(0.2)",
}


@pytest.mark.parametrize("waiting", WAITS)
@pytest.mark.parametrize("target", ["a chat", "nothing"])
def test_a_program_ends_with_a_client_open(url: str, waiting: str, target: str) -> None:
    source = f"""
    import sys, threading
    import wschat
    client = wschat.ChatClient(sys.argv[1], name="alice", rooms=["tea"], max_pause=1e6).start()
    def wait():
        {WAITS[waiting]}
    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    thread.join(0.3)
    """
    run_program(source, url if target == "a chat" else "ws://127.0.0.1:1/")


@pytest.mark.parametrize("call", ["stop", "close"])
@pytest.mark.parametrize("waiting", ["list(client)", 'client.run("ping", timeout=None); list(client)', "busy()"])
def test_a_signal_handler_may_end_a_client(url: str, call: str, waiting: str) -> None:
    source = f"""
    import signal, sys, threading
    import wschat
    from tests.concurrency import eventually
    def busy():
        try:
            while True:
                client.run("typing", room="tea", timeout=None)
        except (wschat.ConnectionClosed, wschat.OutcomeUnknown):
            pass
    with wschat.ChatClient(sys.argv[1], name="alice", rooms=["tea"]) as client:
        client.members("tea")
        signal.signal(signal.SIGALRM, lambda *_: client.{call}())
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        {waiting}
    eventually(lambda: threading.active_count() == 1)  # a thread may still close the connection, for a handler that must not wait
    print(client.closed)
    """
    assert run_program(source, url) == "1000 the client was closed\n"


def test_an_exception_of_a_signal_handler_propagates_and_the_client_stays_open(url: str) -> None:
    source = """
    import signal, sys
    import wschat
    def on_alarm(signum, frame):
        raise KeyboardInterrupt
    signal.signal(signal.SIGALRM, on_alarm)
    with wschat.ChatClient(sys.argv[1], name="alice", rooms=["tea"]) as client:
        client.say("tea", "Hello!")
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        try:
            list(client)
        except KeyboardInterrupt:
            print(client.say("tea", "still there?"))
    """
    assert run_program(source, url) == "2\n"


def test_a_forked_child_can_open_a_client_of_its_own(url: str) -> None:
    source = """
    import os, sys, warnings
    import wschat
    warnings.simplefilter("ignore", DeprecationWarning)
    with wschat.ChatClient(sys.argv[1], name="alice", rooms=["tea"]) as client:
        client.say("tea", "parent")
        if os.fork() == 0:
            try:
                client.say("tea", "child")
            except wschat.UsageError as error:
                print(error, flush=True)
            client.close()
            with wschat.ChatClient(sys.argv[1], name="bob", rooms=["tea"]) as own:
                print(own.say("tea", "child"), flush=True)
            os._exit(0)
        os.wait()
        print(client.say("tea", "parent"))
    """
    assert run_program(source, url) == "a ChatClient cannot be used in a forked child: make one there\n2\n3\n"
