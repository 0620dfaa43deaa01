"""The examples and commands of docs/bots.md, and the bot of the README."""

from __future__ import annotations

import re
import shlex
import shutil
import signal
import subprocess
import sys
import types
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from time import monotonic

import pytest

from tests.bots.conftest import until_connected
from tests.chat.wiring import Guests
from tests.concurrency import TIMEOUT
from tests.conftest import url_of
from tests.documents import BOTS, README, code_in
from tests.server.command import environment
from wschat import Bot
from wschat.bots.webhook import Webhook, open_server

COMMANDS = re.findall(r"^    python -m wschat\.bots\.(\w+) (.*)", BOTS.text, re.MULTILINE)


@pytest.fixture
def clerk(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """The module of the first example."""
    module = types.ModuleType("clerk")
    monkeypatch.setitem(sys.modules, "clerk", module)
    exec(BOTS.example("python", 'name="clerk"').code, module.__dict__)
    return module.__dict__


def test_the_tests_of_the_example_pass(clerk: dict[str, object]) -> None:
    tests: dict[str, Callable[[], None]] = {}
    exec(BOTS.example("python", "from clerk import bot").code, tests)
    names = [name for name in tests if name.startswith("test_")]
    assert len(names) == 2
    for name in names:
        tests[name]()


def test_the_example_behaves_as_its_text_says(clerk: dict[str, object]) -> None:
    bot = clerk["bot"]
    assert isinstance(bot, Bot)
    (usage,) = re.findall(r"`(Usage: !vote .*?)`", BOTS.text)
    assert bot.feed("!vote", sender="carol") == [usage]
    assert bot.feed('!vote yes "it is hot"') == bot.feed("!vote yes it is hot", sender="bob")


def test_the_commands_of_the_page() -> None:
    assert {name for name, _ in COMMANDS} == {code_in(row[0])[0] for row in BOTS.table("bot")}


@pytest.mark.parametrize(("name", "arguments"), COMMANDS)
def test_the_options_of_the_commands(name: str, arguments: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("secret").write_text("a secret of the webhook")
    with import_module(f"wschat.bots.{name}").main.make_context("main", shlex.split(arguments)) as context:
        assert context.params["url"] == "ws://localhost:8080"


def test_the_request_to_the_webhook(chat: Guests, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("needs curl")
    secret = "a secret of the webhook"
    (tmp_path / "secret").write_text(secret)
    command, output = BOTS.example("console", "curl").code.removeprefix("$ ").splitlines()
    with Bot(url_of(chat.server), name="webhook", rooms=["ops"]) as bot, open_server(Webhook(bot, secret), "127.0.0.1", 0) as server:
        server.start()
        until_connected(bot)
        shell = ["bash", "-c", command.replace("localhost:8099", f"127.0.0.1:{server.port}")]
        done = subprocess.run(shell, cwd=tmp_path, capture_output=True, text=True, timeout=TIMEOUT, check=False)
        assert done.stdout.strip() == output


def test_the_bot_of_the_readme(chat: Guests, tmp_path: Path) -> None:
    alice = chat.v1("alice", "lobby")
    program = tmp_path / "bot.py"
    program.write_text(README.example("python", "wschat.Bot").code.replace("ws://localhost:8080", url_of(chat.server)))
    with subprocess.Popen([sys.executable, str(program)], env=environment(), stderr=subprocess.PIPE, text=True) as process:
        while "dice" not in alice.ask(type="who", room="lobby")["members"]:
            pass
        answer = None
        while answer is None:  # the bot does not answer messages from before its join
            alice.say("!roll 2d6", room="lobby")
            answers_until = monotonic() + 1  # a sender who asks on and on is ignored
            while answer is None and monotonic() < answers_until:
                answer = next((event for event in alice.seen() if event.get("from") == "dice"), None)
        assert re.fullmatch(r"[1-6] \+ [1-6] = \d+", answer["text"])
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=TIMEOUT)
    assert (process.returncode, errors) == (0, "")
