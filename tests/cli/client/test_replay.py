"""`--replay`: sent messages are sent again, and received messages are expected again."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path

import pytest

from tests.cli.client.command import run
from tests.conftest import ServerFactory, echo, url_of
from wschat.cli.client.recording import read_recording
from wschat.connection.connection import Connection


def recording(path: Path, *messages: tuple[float, str, str]) -> str:
    """Write a recording of text messages, each with its time and direction."""
    lines = [{"at": 1.0, "type": "open", "url": "ws://a/", "subprotocol": None}]
    lines += [{"at": 1 + at, "direction": direction, "type": "text", "text": text} for at, direction, text in messages]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return str(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "recording"


def test_a_recording_is_replayed(echo_url: str, path: Path) -> None:
    script = [step for text in ("one", "two", "Grüße") for step in ("--send", text, "--expect", text)]
    assert run(echo_url, *script, "--record", str(path)).code == 0
    done = run(echo_url, "--replay", str(path), "--record", f"{path}-2")
    assert (done.code, done.lines, done.err) == (0, ["one", "two", "Grüße"], "")
    again = read_recording(f"{path}-2").messages
    for is_sent in (True, False):
        assert [entry.message for entry in again if entry.is_sent is is_sent] == ["one", "two", "Grüße"]


def test_messages_are_sent_at_the_recorded_times_divided_by_the_speed(echo_url: str, path: Path) -> None:
    file = recording(path, (0.0, "sent", "a"), (0.6, "sent", "b"), (1.0, "sent", "c"))
    assert run(echo_url, "--replay", file, "--speed", "2", "--record", f"{path}-2").code == 0
    first, second, third = (entry.at for entry in read_recording(f"{path}-2").messages if entry.is_sent)
    assert 0 <= first < 0.3 <= second < 0.5 <= third


def test_at_a_high_speed_there_are_no_pauses(echo_url: str, path: Path) -> None:
    file = recording(path, (0.0, "sent", "a"), (3600.0, "sent", "b"), (3601.0, "received", "b"))
    assert run(echo_url, "--replay", file, "--speed", "1e6").lines == ["a", "b"]


def test_a_message_that_is_not_received_again_is_an_error(serve: ServerFactory, path: Path) -> None:
    numbers = count()

    def answer(ws: Connection) -> None:
        for message in ws:
            ws.send(f"{next(numbers)} {message!s}")

    url = url_of(serve(answer))
    file = recording(path, (0.0, "sent", "a"), (0.0, "received", "0 a"), (0.0, "sent", "b"), (0.0, "received", "1 b"))
    assert run(url, "--replay", file).code == 0
    done = run(url, "--replay", file, "--timeout", "0.1")
    assert (done.code, done.lines) == (1, ["2 a", "3 b"])
    assert done.err == (f"wschat: {url}: received message 1 of 2 of {file}: not met within 0.1 s; received instead:\n    2 a\n    3 b\n")
    assert run(url, "--replay", file, "--no-check").lines == ["4 a", "5 b"]


def test_other_messages_may_arrive_in_between(serve: ServerFactory, path: Path) -> None:
    def talk(ws: Connection) -> None:
        for message in ws:
            ws.send("noise")
            ws.send(message)

    file = recording(path, (0.0, "sent", "a"), (0.0, "received", "a"), (0.0, "sent", "b"), (0.0, "received", "b"))
    assert run(url_of(serve(talk)), "--replay", file).lines == ["noise", "a", "noise", "b"]


def test_a_connection_that_ends_before_the_replay(serve: ServerFactory, path: Path) -> None:
    url = url_of(serve(lambda ws: ws.close(1011, "oops")))
    file = recording(path, (5.0, "sent", "a"))
    done = run(url, "--replay", file)
    assert (done.code, done.err) == (
        4,
        f"wschat: {url}: sending message 1 of 1 of {file}: connection closed: 1011 oops; nothing was received\n",
    )


def test_the_recorded_subprotocol_is_offered(serve: ServerFactory, path: Path) -> None:
    path.write_text('{"at": 0, "type": "open", "subprotocol": "a"}\n')
    url = url_of(serve(lambda ws: ws.send(str(ws.subprotocol)), subprotocols=["a", "b"]))
    assert run(url, "--replay", str(path)).lines == ["a"]
    assert run(url, "--replay", str(path), "--subprotocol", "b").lines == ["b"]


def test_a_server_that_answers_much_is_read_while_messages_are_sent(serve: ServerFactory, path: Path) -> None:
    def talk(ws: Connection) -> None:
        for message in ws:
            for _ in range(20):
                ws.send(f"{message!s} {'x' * 10_000}")

    file = recording(path, *((0.0, "sent", str(number)) for number in range(100)))
    done = run(url_of(serve(talk)), "--replay", file)
    assert (done.code, len(done.lines)) == (0, 2000)


def test_a_file_that_is_no_recording_is_refused(path: Path) -> None:
    path.write_text("hello\n")
    done = run("ws://127.0.0.1:1/", "--replay", str(path))
    assert (done.code, done.err) == (2, f"wschat: --replay {path}, line 1: it is not a JSON object\n")


def test_an_empty_recording_sends_nothing(serve: ServerFactory, path: Path) -> None:
    path.touch()
    assert run(url_of(serve(echo)), "--replay", str(path)).code == 0
