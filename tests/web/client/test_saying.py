"""The client for JavaScript says each text once, however often the connection is lost, or tells why not."""

from __future__ import annotations

import json
import signal
import urllib.request
from pathlib import Path

import pytest

from tests.concurrency import eventually
from tests.programs import free_port
from tests.server.command import running
from tests.web.client.wiring import JavaScriptError, Node
from wschat.testing.live_server import LiveServer


def said_in(url: str, room: str = "tea") -> list[str]:
    """The texts of all messages of a room, from the server's export."""
    with urllib.request.urlopen(f"{url.replace('ws', 'http', 1).rstrip('/')}/api/rooms/{room}/export") as lines:
        return [json.loads(line)["text"] for line in lines]


def enter(node: Node, url: str, options: str = "") -> None:
    """Make a client named alice, without waiting for anything."""
    node.run(f"globalThis.chat = new ChatClient('{url}', {{ ...options, name: 'alice', rooms: ['tea'], {options} }});")


def test_a_text_is_said_as_it_is_and_has_a_number(node: Node, chat: LiveServer) -> None:
    enter(node, chat.url)
    texts = ["Hello!", "/nick bob", "//nick bob", "/me waves", "/"]
    said = json.dumps(texts)
    assert node.run(f"return Promise.all({said}.map((text) => chat.say('tea', text)))") == [1, 2, 3, 4, 5]
    assert said_in(chat.url) == texts
    assert node.run("return chat.name") == "alice"


def test_an_error_of_the_server_rejects(node: Node, chat: LiveServer) -> None:
    enter(node, chat.url)
    for room, code in (("elsewhere", "not-in-room"), ("no room", "bad-field")):
        with pytest.raises(JavaScriptError) as failed:
            node.run(f"return chat.say('{room}', 'Hello!')")
        assert (failed.value.code, failed.value.was_sent) == (code, False)
    assert node.run("return chat.outbox.itemsOf('elsewhere')") == []


def test_each_text_is_said_once_and_in_order_over_connections_that_are_cut(node: Node, chat: LiveServer) -> None:
    enter(node, chat.url)
    node.run("await chat.join('tea'); globalThis.told = record(chat, 'message')")
    said = node.begin("return Promise.all(Array.from({ length: 60 }, (_, n) => chat.say('tea', `text ${n}`)))")
    for number in range(1, 4):
        node.run(f"await told.until((events) => events.length >= {10 * number})")
        chat.faults.cut(after_bytes=(0, 300))
        node.run("if (chat.connected) await record(chat, 'waiting').until((events) => events.length); chat.connect()")
        chat.faults.clear()
        node.run("chat.connect(); await record(chat, 'connected').until((events) => events.length)")
    assert said.result() == list(range(1, 61))
    texts = [f"text {number}" for number in range(60)]
    assert said_in(chat.url) == texts
    assert node.run("return (await told.until((events) => events.length >= 60)).map(({ text }) => text)") == texts


def test_a_text_whose_acknowledgement_was_lost_is_said_once(node: Node, chat: LiveServer) -> None:
    enter(node, chat.url)
    node.run("await chat.join('tea')")
    (network,) = chat.faults.connections
    network.silence(way="to_client")
    said = node.begin("return chat.say('tea', 'only once')")
    eventually(lambda: said_in(chat.url) == ["only once"])
    network.cut()
    assert said.result() == 1
    assert node.run("return chat.say('tea', 'next')") == 2
    assert said_in(chat.url) == ["only once", "next"]


def test_texts_that_are_said_while_the_server_is_killed_and_started_again_are_said_once(node: Node, tmp_path: Path) -> None:
    port = free_port()
    options = ("--port", str(port), "--history", str(tmp_path / "history.sqlite"))
    with running(*options) as server:
        url = server.url
        enter(node, url)
        node.run("await chat.say('tea', 'before')")
        said = node.begin("return Promise.all(['one', 'two', 'three'].map((text) => chat.say('tea', text)))")
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
        later = node.begin("return chat.say('tea', 'while it is away')")
    with running(*options):
        node.run("chat.connect()")
        assert [*said.result(), later.result()] == [2, 3, 4, 5]
        assert said_in(url) == ["before", "one", "two", "three", "while it is away"]


def test_what_is_stored_is_said_by_the_next_client_under_the_same_name(node: Node, chat: LiveServer) -> None:
    chat.faults.refuse()
    enter(node, chat.url, "storage: globalThis.items = memory()")
    node.run("for (const text of ['one', 'two', '/three']) chat.say('tea', text).catch(() => {})")
    node.run("globalThis.kept = memory(items)")  # as when the page is left
    with pytest.raises(JavaScriptError, match="closed: The client was closed"):
        node.run("const said = chat.say('tea', 'four'); chat.close(); await said")
    chat.faults.clear()
    enter(node, chat.url, "storage: kept")
    node.run("await record(chat, 'sent').until((events) => events.length === 3)")
    assert said_in(chat.url) == ["one", "two", "/three"]


def test_the_outbox_is_bounded(node: Node, chat: LiveServer) -> None:
    chat.faults.refuse()
    enter(node, chat.url, "maxPending: 2")
    said = [node.begin(f"return chat.say('tea', '{text}')") for text in ("one", "two")]
    with pytest.raises(JavaScriptError, match="full: 2 messages wait already"):
        node.run("await chat.say('tea', 'three')")
    chat.faults.clear()
    assert [call.result() for call in said] == [1, 2]
    assert said_in(chat.url) == ["one", "two"]


def test_a_text_that_is_too_long_for_the_server_rejects_and_the_next_is_said(node: Node, chat: LiveServer) -> None:
    enter(node, chat.url)
    with pytest.raises(JavaScriptError, match="too-big"):
        node.run("await chat.say('tea', 'x'.repeat(3_000_000))")
    assert node.run("return chat.say('tea', 'short')") == 1


def test_a_whisper_whose_connection_is_lost_is_not_repeated(node: Node, chat: LiveServer) -> None:
    enter(node, chat.url)
    node.run("await chat.join('tea')")
    chat.faults.silence()
    whispered = node.begin("await chat.whisper('alice', 'psst')")
    node.run("chat.connect()")
    with pytest.raises(JavaScriptError) as lost:
        whispered.result()
    assert (lost.value.code, lost.value.was_sent) == ("lost", True)


SCRIPTED = "WebSocket: ScriptedWebSocket"
JOIN = "const [join] = socket().requests.splice(0);"
JOINED = "{ type: 'joined', id: join.id, room: 'tea', epoch: '1', last: 0, members: [], messages: [], more: false, gap: false }"


def enter_scripted(node: Node, options: str = "", welcome: str = "undefined") -> None:
    """Make a client whose server is the test, and let it into its room: `socket()` returns its last WebSocket."""
    enter(node, "ws://scripted.example/", f"{SCRIPTED}, {options}")
    node.run(f"globalThis.socket = () => ScriptedWebSocket.last; socket().open({welcome})")
    node.run(f"{JOIN} socket().tell({JOINED}); await 0")


def test_a_text_that_may_be_in_the_log_is_so_rejected_when_its_room_cannot_be_joined_again(node: Node) -> None:
    enter_scripted(node)
    said = node.begin("return chat.say('tea', 'perhaps')")
    node.run("socket().lose(); chat.connect(); chat.join('tea').catch(() => {}); socket().open(); for (let n = 0; n < 9; n++) await 0")
    node.run("for (const { id } of socket().requests) socket().tell({ type: 'error', id, code: 'banned', text: 'You are banned.' })")
    with pytest.raises(JavaScriptError) as refused:
        said.result()
    assert (refused.value.code, refused.value.was_sent) == ("banned", True)


def test_requests_without_a_reply_are_bounded(node: Node) -> None:
    enter_scripted(node, "maxPending: 2")
    pings = [node.begin("await chat.run('ping')") for _ in range(2)]
    with pytest.raises(JavaScriptError, match="full: 2 requests wait already"):
        node.run("await chat.run('ping')")
    node.run("for (const { id } of socket().requests) socket().tell({ type: 'pong', id })")
    assert [ping.result() for ping in pings] == [None, None]
    ping = node.begin("return chat.run('ping')")
    node.run("socket().tell({ type: 'pong', id: socket().requests.at(-1).id })")
    assert ping.result()["type"] == "pong"


def test_typing_is_not_told_while_other_requests_wait(node: Node) -> None:
    enter_scripted(node, welcome="{ type: 'welcome', server: '', name: 'alice', limits: { requests: 1, seconds: 0.1 } }")
    node.run(
        "const ping = () => chat.run('ping').catch(() => {}); chat.typing('tea'); ping(); for (let n = 0; n < 9; n++) await 0;"
        "chat.typing('tea'); ping();"
        "await new Promise((resolve) => socket().addEventListener('request', () => socket().requests.length === 3 && resolve()))"
    )
    assert node.run("return socket().requests.map(({ type }) => type)") == ["typing", "ping", "ping"]


def test_limits_that_are_none_do_not_stop_requests(node: Node) -> None:
    enter_scripted(node, welcome="{ type: 'welcome', server: '', name: 'alice', limits: { requests: 0 } }")
    node.run("for (let n = 0; n < 9; n++) chat.run('ping').catch(() => {}); await 0")
    assert node.run("return socket().requests.length") == 9


def test_a_long_wait_that_a_server_demands_is_one_that_a_timer_can_wait(node: Node) -> None:
    enter_scripted(node)
    node.run("mock.method(globalThis, 'setTimeout', (_, milliseconds) => (globalThis.waited = milliseconds))")
    node.run("chat.run('ping').catch(() => {}); await 0; const [{ id }] = socket().requests")
    node.run("socket().tell({ type: 'error', id: socket().requests[0].id, code: 'too-fast', text: '', seconds: 1e7 })")
    assert 1e9 < node.run("return waited") < 2**31


def test_what_is_stored_is_not_said_under_another_name(node: Node, chat: LiveServer) -> None:
    chat.faults.refuse()
    enter(node, chat.url, "storage: globalThis.items = memory()")
    node.run("chat.say('tea', 'by alice').catch(() => {}); globalThis.kept = memory(items)")  # as when the page is left
    chat.faults.clear()
    enter(node, chat.url, "storage: kept, name: 'bob'")
    (failed,) = node.run("return record(chat, 'failed').until((events) => events.length)")
    assert (failed["item"]["text"], failed["error"]["code"]) == ("by alice", "other-name")
    assert node.run("return [await chat.say('tea', 'by bob'), chat.outbox.itemsOf('tea')]") == [1, []]
    assert said_in(chat.url) == ["by bob"]
