"""The client for JavaScript connects with its name and credentials, tries again, and ends when that would not help."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.web.client.wiring import JavaScriptError, Node, running_node
from wschat.brokers.memory import MemoryBroker
from wschat.chat.access import Access
from wschat.chat.chat import Chat
from wschat.chat.tokens import mint
from wschat.testing.live_server import LiveServer
from wschat.testing.servers import Servers

SECRET = b"0123456789abcdef0123456789abcdef"


def make(node: Node, url: str, options: str, variable: str = "chat") -> None:
    node.run(f"globalThis.{variable} = new ChatClient('{url}', {{ ...globalThis.options, {options} }})")


def end_of(node: Node, variable: str = "chat") -> str:
    """Wait until a client has ended, and return the code of its error."""
    return str(
        node.run(f"return {variable}.closed?.code ?? (await record({variable}, 'closed').until((events) => events.length))[0].error.code")
    )


def test_a_client_without_a_valid_token_ends_and_may_begin_again_with_another_one(node: Node, servers: Servers) -> None:
    chat = servers.chat(Chat(MemoryBroker(), access=Access(SECRET)))
    make(node, chat.url, "token: () => globalThis.token, rooms: ['tea']")
    node.run("globalThis.token = 'wrong'")
    with pytest.raises(JavaScriptError, match="unauthorized"):
        node.run("return chat.members('tea')")
    assert node.run("return chat.closed.status") == 401
    with pytest.raises(JavaScriptError, match="unauthorized"):
        node.run("return chat.say('tea', 'Hello!')")
    node.run(f"globalThis.token = '{mint(SECRET, 'alice')}'; chat.connect()")
    assert node.run("return [await chat.say('tea', 'Hello!'), chat.name]") == [1, "alice"]


def test_a_client_may_begin_again_at_once_when_it_has_ended(node: Node, servers: Servers) -> None:
    chat = servers.chat(Chat(MemoryBroker(), access=Access(SECRET)))
    make(node, chat.url, "token: () => globalThis.token, rooms: ['tea']")
    node.run(f"chat.on('closed', () => {{ token = '{mint(SECRET, 'alice')}'; chat.connect(); }}); token = 'wrong'")
    node.run("await record(chat, 'joined').until((events) => events.length); await chat.run('ping')")
    assert node.run("return [chat.connected, chat.closed, await chat.members('tea')]") == [True, None, ["alice"]]


def test_an_error_of_the_function_for_the_token_ends_a_client(node: Node, chat: LiveServer) -> None:
    make(node, chat.url, "token: () => { throw new Error('There is no token.') }")
    with pytest.raises(JavaScriptError, match="refused: Error: There is no token"):
        node.run("return chat.members('tea')")


def test_a_moderator_connects_with_a_password(node: Node, servers: Servers) -> None:
    chat = servers.chat(Chat(MemoryBroker(), access=Access(moderators={"root": "sesame"})))
    make(node, chat.url, "name: 'root', password: 'sesame', rooms: ['tea']")
    make(node, chat.url, "name: 'bob', rooms: ['tea']", "bob")
    node.run("await bob.join('tea'); await chat.run('mute', { room: 'tea', name: 'bob' })")
    with pytest.raises(JavaScriptError, match="muted"):
        node.run("await bob.say('tea', 'Hello!')")
    make(node, chat.url, "name: 'root', password: 'wrong'", "wrong")
    assert end_of(node, "wrong") == "unauthorized"


def test_a_name_that_is_taken_ends_a_client_unless_it_is_the_same_guest_and_close_releases_it(node: Node, chat: LiveServer) -> None:
    make(node, chat.url, "name: 'alice', storage: globalThis.items = memory(), rooms: ['tea']")
    node.run("await chat.join('tea')")
    make(node, chat.url, "name: 'alice'", "other")
    assert end_of(node, "other") == "name-taken"
    make(node, chat.url, "name: 'alice', storage: items, rooms: ['tea']", "again")
    assert end_of(node) == "replaced"
    node.run("await again.join('tea'); await again.close()")
    make(node, chat.url, "name: 'alice', rooms: ['tea']", "other")
    assert node.run("await other.join('tea'); return other.members('tea')") == ["alice"]


def test_a_client_tries_again_until_there_is_a_server(node: Node, chat: LiveServer) -> None:
    chat.faults.refuse()
    make(node, chat.url, "name: 'alice'")
    (first, second) = node.run("return record(chat, 'waiting').until((events) => events.length === 2)")
    assert second["until"] > first["until"]
    members = node.begin("return chat.members('tea')")
    chat.faults.clear()
    assert members.result() == []
    assert node.run("return [chat.connected, chat.name, chat.closed]") == [True, "alice", None]


def test_rooms_and_history_are_listed(node: Node, chat: LiveServer) -> None:
    make(node, f"{chat.url}?ignored=1".replace("ws", "http"), "name: 'alice', rooms: ['tea', 'milk']")
    node.run("await chat.say('tea', 'one'); await chat.say('tea', 'two')")
    assert node.run("return (await chat.rooms()).map(({ room, members, last }) => [room, members, last])") == [
        ["milk", 1, 0],
        ["tea", 1, 2],
    ]
    history = node.run("return chat.history('tea', { before: 2 })")
    assert ([message["text"] for message in history["messages"]], history["more"]) == (["one"], False)


def test_a_closed_client_does_not_keep_a_program_running(client_file: Path, chat: LiveServer) -> None:
    with running_node(client_file) as node, node.in_time():
        make(node, chat.url, "name: 'alice', rooms: ['tea']")
        node.run("await chat.say('tea', 'Hello!'); chat.close()")
        assert node.end() == 0


def make_scripted(node: Node, options: str = "") -> None:
    """Make a client whose server is the test: `socket()` returns its last WebSocket."""
    make(node, "ws://scripted.example/", f"WebSocket: ScriptedWebSocket, {options}")
    node.run("globalThis.socket = () => ScriptedWebSocket.last")


def test_close_returns_while_the_reason_of_a_refusal_is_being_fetched(node: Node) -> None:
    node.run("globalThis.fetch = (_, { signal }) => new Promise(() => (globalThis.fetching = signal))")
    make_scripted(node)
    node.run("socket().fail(); await chat.close()")
    assert node.run("return [fetching.aborted, chat.closed.code]") == [True, "closed"]


def test_a_reason_that_does_not_arrive_does_not_keep_a_client_from_trying_again(node: Node) -> None:
    node.run("globalThis.fetch = (_, { signal }) => new Promise(() => (globalThis.fetching = signal))")
    node.run("mock.timers.enable({ apis: ['setTimeout'] })")
    make_scripted(node)
    node.run("socket().fail(); const waiting = record(chat, 'waiting').until((events) => events.length)")
    node.run("mock.timers.tick(15_000)")
    assert node.run("return fetching.aborted")


def test_close_returns_without_a_close_event(node: Node) -> None:
    make_scripted(node)
    node.run("socket().ignoresClose = true; const closed = chat.close(); socket().fail(); await closed")
    make_scripted(node)
    node.run("mock.timers.enable({ apis: ['setTimeout'] }); socket().open(); socket().ignoresClose = true")
    node.run("const closed = chat.close(); mock.timers.tick(5000); await closed")


def test_each_close_returns_the_same_promise(node: Node) -> None:
    make_scripted(node)
    assert node.run("socket().open(); const closed = chat.close(); return closed === chat.close() && !(await closed)")


def test_close_when_a_client_is_about_to_connect_ends_it(node: Node) -> None:
    make_scripted(node)
    node.run("globalThis.first = socket(); chat.on('connecting', () => chat.close()); chat.connect(); await chat.close()")
    assert node.run("return [socket() === first, chat.closed.code]") == [True, "closed"]


@pytest.mark.parametrize(
    "sent",
    [
        "'null'",
        "'no JSON'",
        "{ type: 'welcome', server: '', name: 'alice' }",
        "{ type: 'message', room: 'tea' }",
        "{ type: 'joined', id: socket().requests[0].id, room: 'tea', epoch: '1', last: 0 }",
        "{ type: 'history', messages: [{}] }",
    ],
)
def test_what_is_no_event_ends_a_connection_and_the_client_tries_again(node: Node, sent: str) -> None:
    make_scripted(node)
    node.run(
        "globalThis.told = record(chat, 'waiting'); socket().open(); chat.join('tea').catch(() => {}); for (let n = 0; n < 9; n++) await 0"
    )
    node.run(f"globalThis.first = socket(); socket().tell({sent})")
    assert "no event" in node.run("return (await told.until((events) => events.length))[0].text")
    node.run("chat.connect(); socket().open(); for (let n = 0; n < 9; n++) await 0")
    assert node.run("return [first.code, chat.connected, socket().requests[0].type]") == [4002, True, "join"]


def test_a_request_is_rejected_if_its_reply_cannot_be_used(node: Node) -> None:
    make_scripted(node)
    nick = node.begin("await Promise.resolve(); socket().open(); await 0; return chat.run('nick', { name: Object.create(null) })")
    node.run("for (let n = 0; n < 9; n++) await 0; socket().tell({ type: 'ack', id: socket().requests[0].id })")
    with pytest.raises(JavaScriptError, match="failed: TypeError"):
        nick.result()
