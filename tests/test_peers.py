"""Interoperability: clients of other libraries with our server, and our client with servers of other libraries."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue

import pytest
import simple_websocket
import tornado.websocket
import websocket
import websockets
from websockets.asyncio.client import connect as connect_asyncio
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory, ServerPerMessageDeflateFactory
from websockets.sync.client import connect as connect_threading
from websockets.sync.server import ServerConnection
from websockets.sync.server import serve as serve_threading

import wschat
from tests.concurrency import TIMEOUT
from tests.conftest import ServerFactory, url_of
from tests.programs import NODE_MODULES
from tests.server.command import running
from wschat import Connection, ConnectionClosed, Deflate, Limits

LARGE_TEXT = "Größe 📏 " * 16_000  # 208 KB
LARGE_BINARY = os.urandom(200_000)
MESSAGES: list[str | bytes] = ["hello", "", "Grüße 👋", b"\x00\xff", b"", "x" * 125, "x" * 126, b"y" * 65_536, LARGE_TEXT, LARGE_BINARY]
# Similar messages, so that compression with context is used and fails if the two sides differ.
REPEATED = [f"message {number} of many that look alike, " * 20 for number in range(20)]


# Verbatim from the tutorial.
TUTORIAL_CLIENT = """\
// Client-side JavaScript
const ws = new WebSocket('ws://localhost:8080');
ws.onopen = () => {
ws.send('Hello server!');
};
ws.onmessage = (event) => {
console.log('Server says:', event.data);
};
"""

NODE_SERVER = """\
const { WebSocketServer } = require('ws');
const perMessageDeflate = JSON.parse(process.argv[1]);
const server = new WebSocketServer({
  host: '127.0.0.1', port: 0, perMessageDeflate, handleProtocols: (offered) => (offered.has('second') ? 'second' : false),
});
server.on('listening', () => console.log(server.address().port));
server.on('connection', (ws) => {
  ws.on('message', (data, isBinary) => {
    if (data.toString() === 'close!') ws.close(4001, 'as you wish');
    else ws.send(data, { binary: isBinary });
  });
  ws.on('ping', (data) => ws.send(`ping of ${data.length} bytes`));
  ws.on('close', (code, reason) => console.log(`closed ${code} ${reason}`));
});
"""


@contextmanager
def node(script: str, *arguments: str) -> Iterator[Iterator[str]]:
    """Run JavaScript that may `require('ws')`; yield the lines that it prints. The process is killed at the end of the block."""
    executable = shutil.which("node")
    if executable is None or not (NODE_MODULES / "ws").is_dir():
        pytest.skip("needs Node (https://nodejs.org) and npm's ws: npm install --prefix .cache/node ws@8, which scripts/test does")
    command = [executable, "-e", script, "--", *arguments]
    env = {**os.environ, "NODE_PATH": str(NODE_MODULES)}
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield (line.rstrip("\n") for line in process.stdout)
        finally:
            process.kill()


def test_the_client_of_the_tutorial_works_under_node() -> None:
    with running("--port", "0") as command:
        script = "const WebSocket = require('ws');\n" + TUTORIAL_CLIENT.replace("8080", str(command.port))
        with node(script) as lines:
            assert next(lines) == "Server says: Welcome to the chat!"
            assert next(lines) == "Server says: Server: Hello server!"


# Clients of other libraries


class EchoServer:
    """Our server. It echoes all messages, closes with 4001 after the message `close!`, and records how connections ended."""

    def __init__(self, serve: ServerFactory) -> None:
        self._ends: SimpleQueue[tuple[int, str]] = SimpleQueue()
        self.url = url_of(serve(self._handle, subprotocols=["second"]))

    def _handle(self, ws: Connection) -> None:
        try:
            while (message := ws.recv()) != "close!":
                ws.send(message)
            ws.close(4001, "as you wish")
        except ConnectionClosed as closed:
            self._ends.put((closed.code, closed.reason))

    def end(self) -> tuple[int, str]:
        """Return the code and the reason with which the next connection ended."""
        return self._ends.get(timeout=TIMEOUT)


@pytest.fixture
def echo_server(serve: ServerFactory) -> EchoServer:
    return EchoServer(serve)


def test_websocket_client(echo_server: EchoServer) -> None:
    ws = websocket.create_connection(echo_server.url, timeout=TIMEOUT, subprotocols=["first", "second"])
    assert ws.getsubprotocol() == "second"
    for message in MESSAGES:
        ws.send(message) if isinstance(message, str) else ws.send_binary(message)
        assert ws.recv() == message
    ws.send_frame(websocket.ABNF.create_frame("Grü", websocket.ABNF.OPCODE_TEXT, fin=0))
    ws.ping("between")
    ws.send_frame(websocket.ABNF.create_frame("ße".encode(), websocket.ABNF.OPCODE_CONT))
    assert ws.recv_data(control_frame=True) == (websocket.ABNF.OPCODE_PONG, b"between")
    assert ws.recv() == "Grüße"
    ws.close(4002, b"enough", timeout=TIMEOUT)
    assert echo_server.end() == (4002, "enough")

    ws = websocket.create_connection(echo_server.url, timeout=TIMEOUT)
    ws.send("close!")
    assert ws.recv_data(control_frame=True) == (websocket.ABNF.OPCODE_CLOSE, (4001).to_bytes(2, "big") + b"as you wish")
    ws.shutdown()  # type: ignore[no-untyped-call]


def test_simple_websocket(echo_server: EchoServer) -> None:
    ws = simple_websocket.Client.connect(echo_server.url, subprotocols=["first", "second"])
    assert ws.subprotocol == "second"
    for message in MESSAGES:
        ws.send(message)
        assert ws.receive(TIMEOUT) == message
    ws.close(4002, "enough")
    assert echo_server.end() == (4002, "enough")
    ws.thread.join(TIMEOUT)
    ws.sock.close()

    ws = simple_websocket.Client.connect(echo_server.url)
    ws.send("close!")
    with pytest.raises(simple_websocket.ConnectionClosed) as closed:
        ws.receive(TIMEOUT)
    assert (closed.value.reason, closed.value.message) == (4001, "as you wish")
    ws.thread.join(TIMEOUT)
    ws.sock.close()


CLIENT_EXTENSIONS = {
    "none": [],
    "default": [ClientPerMessageDeflateFactory()],
    "small windows": [ClientPerMessageDeflateFactory(server_max_window_bits=9, client_max_window_bits=9)],
    "no context": [ClientPerMessageDeflateFactory(server_no_context_takeover=True, client_no_context_takeover=True)],
}


@pytest.mark.parametrize("takeover", [False, True])
@pytest.mark.parametrize("extensions", CLIENT_EXTENSIONS.values(), ids=list(CLIENT_EXTENSIONS))
def test_websockets_with_threads(serve: ServerFactory, extensions: list[ClientPerMessageDeflateFactory], takeover: bool) -> None:
    def echo(ws: Connection) -> None:
        for message in ws:
            ws.send(message)

    server = serve(echo, deflate=Deflate() if takeover else Deflate(server_no_context_takeover=True, client_no_context_takeover=True))
    with connect_threading(url_of(server), compression=None, extensions=extensions, proxy=None) as ws:
        assert len(ws.protocol.extensions) == len(extensions)
        for message in [*MESSAGES, *REPEATED]:
            ws.send(message)
            assert ws.recv(TIMEOUT) == message
        ws.send(["Grü", "ße ", "", "in parts " * 100])
        assert ws.recv(TIMEOUT) == "Grüße " + "in parts " * 100
        ws.send([b"\x00", b"\xff"])
        assert ws.recv(TIMEOUT) == b"\x00\xff"
        assert ws.ping().wait(TIMEOUT)


def test_websockets_with_threads_and_close_codes(echo_server: EchoServer) -> None:
    with connect_threading(echo_server.url, proxy=None, subprotocols=[websockets.Subprotocol("second")]) as ws:
        assert ws.subprotocol == "second"
        ws.close(4002, "enough")
    assert echo_server.end() == (4002, "enough")
    with connect_threading(echo_server.url, proxy=None) as ws:
        ws.send("close!")
        with pytest.raises(websockets.ConnectionClosed):
            ws.recv(TIMEOUT)
        assert (ws.close_code, ws.close_reason) == (4001, "as you wish")


@pytest.mark.parametrize("compression", [None, "deflate"])
def test_websockets_with_asyncio(echo_server: EchoServer, compression: str | None) -> None:
    async def talk() -> None:
        async with connect_asyncio(echo_server.url, compression=compression, proxy=None) as ws:
            for message in [*MESSAGES, *REPEATED]:
                await ws.send(message)
                assert await ws.recv() == message
            await ws.send(["Grü", "ße ", "in parts " * 100])
            assert await ws.recv() == "Grüße " + "in parts " * 100
            await (await ws.ping())
            await ws.close(4002, "enough")
        async with connect_asyncio(echo_server.url, compression=compression, proxy=None) as ws:
            await ws.send("close!")
            with pytest.raises(websockets.ConnectionClosed):
                await ws.recv()
            assert (ws.close_code, ws.close_reason) == (4001, "as you wish")

    asyncio.run(asyncio.wait_for(talk(), TIMEOUT * 3))
    assert echo_server.end() == (4002, "enough")


# Servers of other libraries

OUR_DEFLATE = {
    "none": None,
    "takeover": Deflate(),
    "no context": Deflate(server_no_context_takeover=True, client_no_context_takeover=True),
    "small windows": Deflate(server_max_window_bits=10, client_max_window_bits=10),
}


def check_echo(ws: Connection) -> None:
    for message in [*MESSAGES, *REPEATED]:
        ws.send(message)
        assert ws.recv(TIMEOUT) == message
    for message in REPEATED:
        ws.send(message)
    assert [ws.recv(TIMEOUT) for _ in REPEATED] == REPEATED
    ws.send(part for part in ("Grü", "ße ", "", "in parts " * 100))
    assert ws.recv(TIMEOUT) == "Grüße " + "in parts " * 100
    ws.send(iter([b"\x00", b"\xff"]))
    assert ws.recv(TIMEOUT) == b"\x00\xff"


def check_close(ws: Connection) -> None:
    ws.send("close!")
    with pytest.raises(ConnectionClosed) as closed:
        ws.recv(TIMEOUT)
    assert (closed.value.code, closed.value.reason) == (4001, "as you wish")


NODE_DEFLATE = {
    "off": "false",
    "on": '{"threshold": 0}',
    "no context": '{"threshold": 0, "serverNoContextTakeover": true, "clientNoContextTakeover": true}',
    "small windows": '{"threshold": 0, "serverMaxWindowBits": 10, "clientMaxWindowBits": 10}',
}


@pytest.mark.parametrize("deflate", OUR_DEFLATE.values(), ids=list(OUR_DEFLATE))
@pytest.mark.parametrize("theirs", NODE_DEFLATE.values(), ids=list(NODE_DEFLATE))
def test_our_client_with_the_ws_of_node(theirs: str, deflate: Deflate | None) -> None:
    with node(NODE_SERVER, theirs) as lines:
        url = f"ws://127.0.0.1:{next(lines)}/"
        with wschat.connect(url, deflate=deflate, limits=Limits(ping_interval=0)) as ws:
            check_echo(ws)
            assert 0 < ws.ping(TIMEOUT) < TIMEOUT
            assert str(ws.recv(TIMEOUT)).startswith("ping of ")
            ws.close(4002, "enough")
        assert next(lines) == "closed 4002 enough"
        with wschat.connect(url, deflate=deflate, subprotocols=["first", "second"]) as ws:
            assert ws.subprotocol == "second"
            check_close(ws)
        assert next(lines) == "closed 4001 as you wish"


SERVER_EXTENSIONS = {
    "none": [],
    "default": [ServerPerMessageDeflateFactory()],
    "no context": [ServerPerMessageDeflateFactory(server_no_context_takeover=True, client_no_context_takeover=True)],
    "small windows": [ServerPerMessageDeflateFactory(server_max_window_bits=10, client_max_window_bits=10)],
}


@pytest.mark.parametrize("deflate", OUR_DEFLATE.values(), ids=list(OUR_DEFLATE))
@pytest.mark.parametrize("theirs", SERVER_EXTENSIONS.values(), ids=list(SERVER_EXTENSIONS))
def test_our_client_with_websockets(theirs: list[ServerPerMessageDeflateFactory], deflate: Deflate | None) -> None:
    ends: SimpleQueue[tuple[int | None, str | None]] = SimpleQueue()

    def echo(ws: ServerConnection) -> None:
        try:
            while (message := ws.recv()) != "close!":
                ws.send(message)
            ws.close(4001, "as you wish")
        except websockets.ConnectionClosed:
            ends.put((ws.close_code, ws.close_reason))

    second = [websockets.Subprotocol("second")]
    choose = {"subprotocols": second, "select_subprotocol": lambda ws, offered: "second" if "second" in offered else None}
    with serve_threading(echo, "127.0.0.1", 0, compression=None, extensions=theirs, **choose) as server:  # type: ignore[arg-type]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"ws://127.0.0.1:{server.socket.getsockname()[1]}/"
        try:
            with wschat.connect(url, deflate=deflate) as ws:
                assert ws.subprotocol is None
                check_echo(ws)
                assert 0 < ws.ping(TIMEOUT) < TIMEOUT
                ws.close(4002, "enough")
            assert ends.get(timeout=TIMEOUT) == (4002, "enough")
            with wschat.connect(url, deflate=deflate, subprotocols=["first", "second"]) as ws:
                assert ws.subprotocol == "second"
                check_close(ws)
        finally:
            server.shutdown()
            thread.join(TIMEOUT)


# tornado


@pytest.mark.parametrize("compression", ["off", "context"])
def test_the_client_of_tornado_with_and_without_compression(compression: str) -> None:
    """It ignores `client_no_context_takeover`, which is why it does not work with the default compression."""

    async def talk(url: str) -> list[str | bytes | None]:
        ws = await tornado.websocket.websocket_connect(url, compression_options={})
        answers = []
        for message in REPEATED:
            await ws.write_message(message)
            answers.append(await ws.read_message())
        ws.close()
        while await ws.read_message() is not None:
            pass  # wait for the end of the connection, which `close` does not
        return answers

    with running("--port", "0", "--app", "wschat.apps:echo", "--compression", compression) as command:
        assert asyncio.run(asyncio.wait_for(talk(command.url), TIMEOUT)) == REPEATED
