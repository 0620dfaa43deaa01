"""The commands of the bots: options, signals and exit codes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from textwrap import dedent
from typing import Any

import click
import pytest
from click.testing import Result

import wschat
from tests.chat.wiring import Guests
from tests.concurrency import TIMEOUT
from tests.conftest import ServerFactory, url_of
from tests.server.command import environment
from wschat.bots.command import bot_command
from wschat.bots.dice import main

NAMES = ["dice", "logtail", "reminders", "webhook"]


@pytest.mark.parametrize("name", NAMES)
def test_help_describes_the_options_of_each_bot(name: str, invoke: Callable[..., Result]) -> None:
    result = invoke(import_module(f"wschat.bots.{name}").main, ["--help"])
    assert result.exit_code == 0
    assert "URL" in result.output
    for option in ("--name", "--room", "--token", "--password", "--secret", f"[default: {name}]"):
        assert option in result.output


def test_the_options_reach_the_bot(invoke: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}

    @bot_command("greeter")
    @click.option("--text", default="hello")
    def command(**options: Any) -> wschat.Bot:
        given.update(options)
        raise wschat.UsageError("enough")

    monkeypatch.setenv("WSCHAT_BOT_TOKEN", "from the environment")
    assert invoke(command, ["ws://chat", "--room", "tea", "--room", "coffee", "--text", "hi"]).exit_code == 2
    assert given == {
        "url": "ws://chat",
        "name": "greeter",
        "rooms": ("tea", "coffee"),
        "token": "from the environment",
        "password": None,
        "secret": None,
        "text": "hi",
    }


def test_a_usage_error_is_exit_code_2(invoke: Callable[..., Result]) -> None:
    result = invoke(main, ["http://chat"])
    assert result.exit_code == 2
    assert "the URL of a WebSocket must begin with ws:// or wss://" in result.output


def test_a_file_or_a_port_that_cannot_be_used_is_exit_code_2(invoke: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a secret of 16 letters or more")
    result = invoke(import_module("wschat.bots.logtail").main, ["ws://chat", str(tmp_path / "file/log")])
    assert result.exit_code == 2
    assert "file/log" in result.output
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = invoke(import_module("wschat.bots.webhook").main, ["ws://chat", "--secret-file", str(tmp_path / "file"), "--port", port])
    assert result.exit_code == 2
    assert f"cannot listen on 127.0.0.1 port {port}" in result.output


def test_a_refusal_is_exit_code_3(invoke: Callable[..., Result], chat: Guests, caplog: pytest.LogCaptureFixture) -> None:
    assert invoke(main, [url_of(chat.server), "--name", "root"]).exit_code == 3
    assert "the bot has no connection any more" in caplog.text


def test_a_server_that_is_no_chat_is_exit_code_3(
    invoke: Callable[..., Result], serve: ServerFactory, caplog: pytest.LogCaptureFixture
) -> None:
    assert invoke(main, [url_of(serve(lambda ws: None))]).exit_code == 3
    assert "does not speak wschat.v1" in caplog.text


def test_a_bot_whose_name_is_taken_over_exits_with_4(chat: Guests, invoke: Callable[..., Result]) -> None:
    secret = "a-secret-of-22-letters-or-more"

    def take_over(member: object) -> None:
        chat.v1("dice", path=f"/?name=dice&secret={secret}&replace=1")

    @bot_command("dice")
    def command(**options: Any) -> wschat.Bot:
        bot = wschat.Bot(**options)
        bot.every(0.05)(lambda: take_over(None) if bot.client.connected else None)
        return bot

    assert invoke(command, [url_of(chat.server), "--secret", secret]).exit_code == 4


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_bot_with_0(chat: Guests, number: int) -> None:
    alice = chat.v1("alice", "tea")
    command = [sys.executable, "-m", "wschat.bots.dice", url_of(chat.server), "--room", "tea"]
    with subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True) as process:
        assert alice.next("member")["name"] == "dice"
        while not alice.ask(type="who", room="tea")["members"][1:]:
            pass
        process.send_signal(number)
        _, errors = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 0
    assert "Traceback" not in errors


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_terminating_a_child_of_a_bot_ends_the_child_only(chat: Guests) -> None:
    source = """
    import multiprocessing, time
    import wschat
    from wschat.bots.command import bot_command

    @bot_command("worker")
    def main(**options):
        bot = wschat.Bot(**options)

        @bot.every(0.1)
        def work():
            process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
            process.start()
            process.terminate()
            process.join(5)
            print(process.exitcode, flush=True)
            process.kill()

        return bot

    main()
    """
    command = [sys.executable, "-c", dedent(source), url_of(chat.server)]
    with subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            assert [process.stdout.readline() for _ in range(2)] == [f"{-signal.SIGTERM}\n"] * 2
            process.terminate()
            process.communicate(timeout=TIMEOUT)
        finally:
            process.kill()
    assert process.returncode == 0
