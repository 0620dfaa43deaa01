"""Every example in the README works, and the README stays short."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

import wschat
from tests.documents import README
from tests.programs import NODE_MODULES, free_port, run_program, running_program


def test_the_readme_has_fewer_than_250_lines() -> None:
    assert len(README.text.splitlines()) < 250


def test_the_echo_server_and_the_client() -> None:
    port = free_port()
    client = README.example("python", "ws.ping()")
    with running_program("-c", README.example("python", "def echo").code.replace("8080", str(port)), port=port):
        assert run_program(client.code.replace("8080", str(port))) == client.output


def test_the_client_of_the_chat() -> None:
    port = free_port()
    with running_program("-m", "wschat.server", "--port", str(port), "--history", "memory", port=port):
        run_program(README.example("python", "ChatClient").code.replace("8080", str(port)))
        with wschat.ChatClient(f"ws://127.0.0.1:{port}", name="bob") as bob:
            assert [entry.fields()["text"] for entry in bob.history("tea")] == ["Hello!"]


def test_the_broadcast() -> None:
    port = free_port()
    server = README.example("python", "def talk").code.replace("8080", str(port))
    url = f"ws://127.0.0.1:{port}"
    with running_program("-c", server, port=port), wschat.connect(url) as one, wschat.connect(url) as two:
        received: list[str | bytes] = []
        while not received:  # until the second client is in the hub
            one.send("hi")
            try:
                received.append(two.recv(timeout=0.1))
            except TimeoutError:
                continue
        assert received == ["hi"]


def test_the_handler_class() -> None:
    program = README.example("python", "class Greeter")
    assert run_program(program.code) == program.output


def test_the_tutorials_client() -> None:
    if shutil.which("node") is None or not (NODE_MODULES / "ws").exists():
        pytest.skip("needs Node and npm's ws: run scripts/test with Node and npm installed")
    port = free_port()
    client = README.example("javascript", "new WebSocket")
    script = f"const WebSocket = require('ws');\n{client.code.replace('8080', str(port))}\n"
    with running_program("-m", "wschat.server", "--port", str(port), port=port):
        node = subprocess.Popen(
            ["node", "-e", script], stdout=subprocess.PIPE, text=True, env={**os.environ, "NODE_PATH": str(NODE_MODULES)}
        )
        try:
            assert node.stdout is not None
            assert [node.stdout.readline() for _ in client.output.splitlines()] == client.output.splitlines(keepends=True)
        finally:
            node.kill()
            node.communicate()
