"""The client for JavaScript delivers each message of a room once and in order, and tells what is missing."""

from __future__ import annotations

from typing import Any

import pytest

from tests.brokers.wiring import append
from tests.programs import free_port
from tests.server.command import running
from tests.web.client.wiring import JavaScriptError, Node
from wschat.brokers.base import Draft, Retention
from wschat.brokers.memory import MemoryBroker
from wschat.chat.chat import Chat
from wschat.testing.live_server import LiveServer
from wschat.testing.servers import Servers

RECORD = "globalThis.told = record(chat, 'joined', 'message', 'topic', 'gap', 'error', 'member', 'connected')"


def enter(node: Node, url: str, **options: object) -> None:
    """Make a client named bob that is in the room tea."""
    node.run(f"globalThis.url = '{url}'; globalThis.chat = new ChatClient(url, {{ ...options, name: 'bob', rooms: ['tea'] }}); {RECORD}")
    node.run("await chat.join('tea'); told.events.length = 0")


def told(node: Node, number: int, *types: str) -> list[dict[str, Any]]:
    """Wait until there have been so many events of these types, and return all of these."""
    shown = [*types]
    events = node.run(f"return told.until((events) => events.filter(({{ type }}) => {shown}.includes(type)).length >= {number})")
    return [event for event in events if event["type"] in types]


def say(node: Node, *texts: str) -> None:
    """Have another member say texts, over a connection of its own."""
    node.run(
        "globalThis.alice ??= new ChatClient(url, { ...options, name: 'alice', rooms: ['tea'] });"
        f"for (const text of {[*texts]}) await alice.say('tea', text)"
    )


def test_messages_are_delivered_once_and_in_order_over_lost_connections(node: Node, chat: LiveServer, servers: Servers) -> None:
    enter(node, chat.url)
    texts: list[str] = []
    for number in range(3):
        texts += [f"{number} live", f"{number} missed"]
        say(node, texts[-2])
        told(node, len(texts) - 1, "message")
        node.run("chat.close()")
        say(node, texts[-1])
        node.run("chat.connect()")
    events = told(node, len(texts), "message")
    assert [(event["seq"], event["text"]) for event in events] == [*enumerate(texts, 1)]


def test_a_message_that_arrives_together_with_the_reply_is_delivered_after_joined(node: Node, chat: LiveServer) -> None:
    enter(node, chat.url)
    (network,) = chat.faults.connections
    node.run("globalThis.alice = new ChatClient(url, { ...options, name: 'alice', rooms: ['milk'] }); await alice.join('milk')")
    network.silence(way="to_client")
    join = node.begin("await chat.join('milk')")
    node.run("while (!(await alice.members('milk')).includes('bob')); await alice.say('milk', 'at once')")
    network.clear()  # what was held back arrives in one piece
    join.result()
    events = [(event["type"], event.get("text")) for event in told(node, 2, "joined", "message")]
    assert events == [("joined", None), ("message", "at once")]


def test_joining_after_a_number_returns_the_past_and_with_its_epoch_delivers_it(node: Node, chat: LiveServer) -> None:
    enter(node, chat.url)
    node.run("for (const text of ['one', 'two', 'three']) await chat.say('tea', text); await chat.leave('tea')")
    joined = node.run("return chat.join('tea', { since: 1 })")
    assert ([message["text"] for message in joined["messages"]], joined["more"]) == (["two", "three"], True)
    node.run(f"await chat.leave('tea'); told.events.length = 0; await chat.join('tea', {{ since: 1, epoch: '{joined['epoch']}' }})")
    joined, *messages = told(node, 3, "joined", "message")
    assert (joined["messages"], joined["resumed"], [event["text"] for event in messages]) == ([], True, ["two", "three"])


def test_a_room_with_too_many_new_messages_is_joined_at_the_last_ones(node: Node, servers: Servers) -> None:
    broker = MemoryBroker(Retention(0, 0))
    append(broker, *(Draft("tea", "alice", f"text {number}") for number in range(1, 1502)))
    chat = servers.chat(Chat(broker))
    enter(node, chat.url)
    joined = node.run("await chat.leave('tea'); told.events.length = 0; return chat.join('tea', { since: 1 })")
    assert (len(joined["messages"]), joined["messages"][-1]["seq"], joined["more"]) == (100, 1501, True)
    assert len(told(node, 1, "joined")) == 1


def test_what_is_no_longer_kept_is_a_gap(node: Node, servers: Servers) -> None:
    broker = MemoryBroker(Retention(5, 0))
    chat = servers.chat(Chat(broker))
    enter(node, chat.url)
    say(node, "one")
    told(node, 1, "message")
    node.run("chat.close()")
    append(broker, *(Draft("tea", "alice", f"text {number}") for number in range(2, 13)))
    node.run("chat.connect()")
    (_, gap, *messages) = told(node, 7, "message", "gap")
    assert (gap["type"], gap["first"], gap["missing"], gap["lost"]) == ("gap", 8, 6, False)
    assert [message["seq"] for message in messages] == [8, 9, 10, 11, 12]


def test_a_log_that_was_lost_is_a_gap_and_begins_anew(node: Node) -> None:
    port = free_port()
    with running("--port", str(port), "--history", "memory") as server:
        enter(node, server.url)
        node.run("await chat.say('tea', 'this will be lost'); await chat.say('tea', 'this, too')")
    with running("--port", str(port), "--history", "memory"):
        node.run("told.events.length = 0; chat.connect()")
        (gap,) = told(node, 1, "gap")
        assert (gap["first"], gap["lost"]) == (1, True)
        node.run("await chat.say('tea', 'a new beginning')")
        assert told(node, 1, "message")[-1]["seq"] == 1


def test_a_room_that_was_left_while_it_was_joined_is_left(node: Node, chat: LiveServer) -> None:
    enter(node, chat.url)
    node.run("const joined = chat.join('milk'); chat.leave('milk'); await joined; await chat.run('ping')")
    assert node.run("return chat.members('milk')") == []
    assert told(node, 0, "joined") == []


def test_a_refused_room_fails_its_lines_and_a_refused_first_room_ends_the_client(node: Node, chat: LiveServer) -> None:
    enter(node, chat.url)
    join = node.begin("return chat.join('no room')")
    with pytest.raises(JavaScriptError, match="bad-field"):
        node.run("await chat.say('no room', 'Hello!')")
    with pytest.raises(JavaScriptError, match="bad-field"):
        join.result()
    node.run("chat.close(); globalThis.chat = new ChatClient(url, { ...options, name: 'carol', rooms: ['no room'] })")
    assert node.run("await record(chat, 'closed').until((events) => events.length); return chat.closed.code") == "bad-field"


def test_a_page_of_history_without_new_messages_is_a_gap(node: Node) -> None:
    node.run("globalThis.chat = new ChatClient('ws://scripted.example/', { WebSocket: ScriptedWebSocket }); await 0")
    node.run(f"{RECORD}; globalThis.socket = ScriptedWebSocket.last; socket.open(); chat.join('tea', {{ since: 1, epoch: '1' }}); await 0")
    node.run(
        "const { id } = socket.requests.at(-1);"
        "socket.tell({ type: 'joined', id, room: 'tea', epoch: '1', last: 3, members: [], messages: [], more: true, gap: false })"
    )
    node.run(
        "const { id } = socket.requests.at(-1); const messages = [{ room: 'tea', seq: 1, from: 'bob', text: 'old', time: 1 }];"
        "socket.tell({ type: 'history', id, room: 'tea', messages, more: true, gap: false }); for (let n = 0; n < 9; n++) await 0"
    )
    (gap,) = told(node, 1, "gap")
    assert (gap["first"], gap["missing"]) == (4, 2)
    assert node.run("return socket.requests.map(({ type }) => type)") == ["join", "history"]
