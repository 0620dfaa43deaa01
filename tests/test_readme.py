"""The README shows what works: every example is run, every table is held against the code."""

from __future__ import annotations

import contextlib
import os
import random
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

import wschat
from tests.server.command import environment
from tests.server.command import running as command
from wschat.chat.access import Access
from wschat.chat.actions import ACTIONS
from wschat.server.__main__ import main
from wschat.web.api import CALLS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)
NODE_MODULES = ROOT / ".cache/node/node_modules"


def block(language: str, containing: str) -> tuple[str, str]:
    """An example, and the output that follows it, if one does."""
    for number, (kind, text) in enumerate(BLOCKS):
        if kind == language and containing in text:
            following = BLOCKS[number + 1] if number + 1 < len(BLOCKS) else ("", "")
            return text, following[1] if following[0] == "text" else ""
    raise AssertionError(f"no {language} example with {containing}")


def free_port() -> int:
    """A free port from below those that the system gives to clients: on one of these, a client that knocks may meet itself."""
    while True:
        port = random.randrange(20_000, 30_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


@contextlib.contextmanager
def running(*arguments: str, port: int) -> Iterator[None]:
    """A Python process, once it listens on the port; it has to end cleanly by one SIGINT."""
    process = subprocess.Popen([sys.executable, *arguments], env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        while process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except ConnectionRefusedError:
                continue
        yield
    finally:
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=20)
    assert process.returncode == 0, output
    assert "Traceback" not in output


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30).stdout


def test_the_echo_server_and_the_client() -> None:
    port = free_port()
    client, output = block("python", "ws.ping()")
    with running("-c", block("python", "def echo")[0].replace("8080", str(port)), port=port):
        assert run(client.replace("8080", str(port))) == output


def test_the_broadcast() -> None:
    port = free_port()
    server = block("python", "def talk")[0].replace("8080", str(port))
    url = f"ws://127.0.0.1:{port}"
    with running("-c", server, port=port), wschat.connect(url) as one, wschat.connect(url) as two:
        heard: list[str | bytes] = []
        while not heard:  # until the other one has joined
            one.send("hi")
            try:
                heard.append(two.recv(timeout=0.1))
            except TimeoutError:
                continue
        assert heard == ["hi"]


@pytest.mark.parametrize("containing", ["class Greeter", "http=answer", "request_shutdown"])
def test_the_programs_that_end_by_themselves(containing: str) -> None:
    code, output = block("python", containing)
    assert run(code) == output


@pytest.mark.parametrize(("containing", "handler"), [("def echo", "echo"), ("def talk", "talk")])
def test_a_sample_can_be_served_by_the_command(tmp_path: Path, containing: str, handler: str) -> None:
    (tmp_path / "sample.py").write_text(block("python", containing)[0])
    with command("--port", "0", "--app", f"sample:{handler}", cwd=tmp_path) as server:
        assert server.port != 8080
        with wschat.connect(server.url):
            pass


def test_the_tutorials_client() -> None:
    if shutil.which("node") is None or not (NODE_MODULES / "ws").exists():
        pytest.skip("needs Node and npm's ws: run scripts/test with Node and npm installed")
    port = free_port()
    code, output = block("javascript", "new WebSocket")
    script = f"const WebSocket = require('ws');\n{code.replace('8080', str(port))}\n"
    with running("-m", "wschat.server", "--port", str(port), port=port):
        node = subprocess.Popen(
            ["node", "-e", script], stdout=subprocess.PIPE, text=True, env={**os.environ, "NODE_PATH": str(NODE_MODULES)}
        )
        try:
            assert node.stdout is not None
            assert [node.stdout.readline() for _ in output.splitlines()] == output.splitlines(keepends=True)
        finally:
            node.kill()
            node.communicate()


def normal(transcript: str) -> str:
    """A transcript without what is different each time: times, the epoch of a log, and when to come back."""
    return re.sub(r"\b[0-9a-f]{16}:", "EPOCH:", re.sub(r'("time":|retry: )[0-9.]+', r"\1...", transcript))


def test_the_transcripts_of_curl() -> None:
    if shutil.which("curl") is None:
        pytest.skip("needs curl")
    port = free_port()
    with running("-m", "wschat.server", "--port", str(port), "--history", "memory", port=port):
        for kind, text in BLOCKS:
            if kind == "console":
                for command, output in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE):
                    shell = subprocess.run(["bash", "-c", command.replace("8080", str(port))], capture_output=True, text=True, timeout=20)
                    assert normal(shell.stdout) == normal(output), command


def test_every_call_of_the_api_has_a_transcript() -> None:
    for what, method in CALLS:
        data = " -d" if method == "POST" else ""
        path = f"/tea/{what}" if what else ""
        assert re.search(rf"^\$ curl .*/api/rooms{path}\b(?!/).*{data}", README, re.MULTILINE), (what, method)


def test_every_python_example_is_run() -> None:
    assert len([kind for kind, _ in BLOCKS if kind == "python"]) == 7


def test_the_program_that_speaks_json() -> None:
    port = free_port()
    code, output = block("python", "wschat.v1")
    with running("-m", "wschat.server", "--port", str(port), "--history", "memory", port=port):
        assert run(code.replace("8080", str(port))) == output


def test_minting_a_token(tmp_path: Path) -> None:
    (tmp_path / "FILE").write_text("a secret that is long enough for HS256")
    command = re.search(r"    python (-m wschat\.chat\.mint .*)", README)
    assert command
    done = subprocess.run([sys.executable, *shlex.split(command[1])], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=30)
    identity = Access((tmp_path / "FILE").read_bytes()).identify(
        wschat.Request("GET", "/", {"authorization": f"Bearer {done.stdout.strip()}"})
    )
    assert (identity.name, identity.rooms) == ("alice", ("tea*",))


def test_the_table_of_commands_is_complete() -> None:
    table = README.partition("| command |")[2].partition("From a terminal")[0]
    assert set(re.findall(r"`(/\w[^`]*)`", table.replace("\\|", "|"))) == {command.usage for command, _ in ACTIONS.commands.values()}


def test_the_table_of_requests_is_complete() -> None:
    table = README.partition("| request |")[2].partition("The other events")[0]
    shown: dict[str, set[str]] = {}
    for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE):
        names = re.findall(r"`(\w+)`", row)
        listed = re.search(r"\{(.*)\}", row)
        shown |= dict.fromkeys(names, set(listed[1].split(", ")) if listed else set())
    assert shown.keys() | {"commands", "ping"} == ACTIONS.schemas.keys()
    for kind in (ACTIONS.schemas[name].kind for name in shown):
        own = {field.name + ("?" if field.default is not MISSING else "") for field in fields(kind) if field.name != "id"}
        assert own <= shown[kind.type]
        assert {name for name in shown[kind.type] if not name.endswith("?")} <= own  # not all moderators' commands take a time


def test_the_table_of_options_is_complete() -> None:
    table = README.partition("## The options")[2].partition("## The limits")[0]
    names = {name for parameter in main.params for name in (*parameter.opts, *parameter.secondary_opts)}
    assert set(re.findall(r"`(--[\w-]+)`", table)) == names


def test_the_table_of_limits_is_complete() -> None:
    table = README.partition("## The limits")[2]
    shown: dict[str, str] = {}
    for row in re.findall(r"^\| (`.*)$", table, re.MULTILINE):
        names, defaults, *_ = row.split(" | ")
        shown |= dict(zip(re.findall(r"`(\w+)`", names), defaults.split(", "), strict=True))
    expected = {field.name: field.default for field in fields(wschat.Limits)}
    assert shown == {name: f"{value:g}" if isinstance(value, float) else str(value) for name, value in expected.items()}
