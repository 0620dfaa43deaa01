"""`wschat.v1` with clients of other libraries: websocket-client, and Node's `ws`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import websocket

from tests.chat.conftest import ChatFactory
from tests.chat.wiring import Guests
from tests.concurrency import TIMEOUT
from tests.test_peers import node
from wschat.brokers.sqlite.broker import SqliteBroker

# A program that joins, reads what it missed after a number, sends messages with ids, and disconnects without a close frame.
NODE_CLIENT = """\
const WebSocket = require('ws');
const [url, since, ...texts] = process.argv.slice(1);
const ws = new WebSocket(url, 'wschat.v1');
const tell = (request) => ws.send(JSON.stringify(request));
let waiting = texts.length;
ws.on('message', (data) => {
  const event = JSON.parse(data);
  if (event.type === 'welcome') tell({ type: 'join', room: 'tea', since: Number(since), id: 'join' });
  if (event.type === 'joined') {
    console.log('missed:', event.messages.map((message) => `${message.seq} ${message.from}: ${message.text}`).join(', '));
    texts.forEach((text) => tell({ type: 'say', room: 'tea', text, id: text }));
  }
  if (event.type === 'ack') {
    console.log(`${event.id}: ${event.seq}`);
    if (--waiting === 0) ws.terminate();
  }
});
"""


class Script:
    """A script that uses websocket-client."""

    def __init__(self, guests: Guests, path: str) -> None:
        self._ws = websocket.create_connection(
            f"ws://127.0.0.1:{guests.server.port}{path}", timeout=TIMEOUT, subprotocols=["wschat.v1"], suppress_origin=True
        )

    def send(self, **request: object) -> None:
        self._ws.send(json.dumps(request))

    def recv(self) -> dict[str, Any]:
        event: dict[str, Any] = json.loads(self._ws.recv())
        event.pop("time", None)
        return event

    def close(self) -> None:
        self._ws.close()


def test_a_script_with_websocket_client(guests: Guests) -> None:
    alice, bob = Script(guests, "/?name=alice"), Script(guests, "/?name=bob")
    for script, name in ((alice, "alice"), (bob, "bob")):
        welcome = script.recv()
        assert (welcome["type"], welcome["name"]) == ("welcome", name)
    alice.send(type="join", room="tea", id=1)
    joined = alice.recv()
    epoch = joined.pop("epoch")
    assert joined == {
        "type": "joined",
        "id": 1,
        "room": "tea",
        "last": 0,
        "members": ["alice"],
        "messages": [],
        "more": False,
        "gap": False,
    }
    bob.send(type="join", room="tea")
    assert bob.recv()["members"] == ["alice", "bob"]
    assert alice.recv() == {"type": "member", "room": "tea", "name": "bob", "event": "join"}

    bob.send(type="typing", room="tea")
    assert alice.recv() == {"type": "typing", "room": "tea", "name": "bob"}
    bob.send(type="say", room="tea", text="hi", id="b-1")
    message = {"type": "message", "room": "tea", "seq": 1, "from": "bob", "text": "hi"}
    assert alice.recv() == message
    assert [bob.recv(), bob.recv()] == [message, {"type": "ack", "id": "b-1", "seq": 1}]
    alice.send(type="whisper", to="bob", text="psst", id=2)
    assert bob.recv() == {"type": "whisper", "from": "alice", "to": "bob", "text": "psst"}
    assert alice.recv() == {"type": "ack", "id": 2}
    alice.send(type="nick", name="two words", id=3)
    error = alice.recv()
    assert (error["type"], error["id"], error["code"]) == ("error", 3, "bad-field")

    alice.close()
    assert bob.recv() == {"type": "member", "room": "tea", "name": "alice", "event": "leave"}
    bob.send(type="say", room="tea", text="again", id="b-2")
    assert [bob.recv()["seq"], bob.recv()["seq"]] == [2, 2]
    carol = Script(guests, "/?name=carol")
    carol.recv()
    carol.send(type="join", room="tea", since=1, epoch=epoch)
    assert [(message["seq"], message["text"]) for message in carol.recv()["messages"]] == [(2, "again")]
    carol.send(type="history", room="tea", before=2, id="h")
    history = carol.recv()
    assert [message["text"] for message in history["messages"]] == ["hi"]
    for script in (bob, carol):
        script.close()


def test_a_node_program_that_resumes(open_chat: ChatFactory, tmp_path: Path) -> None:
    guests = open_chat(SqliteBroker(tmp_path / "history"))
    alice = guests.v1("alice", "tea")
    url = f"ws://127.0.0.1:{guests.server.port}/?name=node"
    with node(NODE_CLIENT, url, "0", "hello") as lines:
        assert list(lines) == ["missed: ", "hello: 1"]
    assert alice.next(lambda event: event.get("event") == "leave")["name"] == "node"
    alice.say("you missed this")
    with node(NODE_CLIENT, url, "1", "hello", "goodbye") as lines:
        assert list(lines) == ["missed: 2 alice: you missed this", "hello: 1", "goodbye: 3"]
    messages = alice.ask(type="history", room="tea")["messages"]
    assert [message["text"] for message in messages] == ["hello", "you missed this", "goodbye"]
