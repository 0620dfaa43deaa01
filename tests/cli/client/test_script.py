"""Scripts: `--send`, `--expect` and `--count`."""

from __future__ import annotations

import pytest

from tests.cli.client.command import run
from tests.conftest import ServerFactory, url_of
from wschat.connection.connection import Connection


def talk(ws: Connection) -> None:
    """Answer questions, with noise before each answer."""
    ws.send("welcome")
    for message in ws:
        ws.send("noise")
        ws.send(message if isinstance(message, bytes) else f"answer to {message}")


@pytest.fixture
def url(serve: ServerFactory) -> str:
    return url_of(serve(talk))


def test_steps_in_any_order(url: str) -> None:
    done = run(url, "--expect", "^wel", "--send", "a", "--send", "b", "--expect", "to a$", "--expect", "to b$")
    assert (done.code, done.lines, done.err) == (0, ["welcome", "noise", "answer to a", "noise", "answer to b"], "")


def test_standard_input_is_not_read(url: str) -> None:
    assert run(url, "--expect", "welcome", given="a\n").lines == ["welcome"]


def test_what_arrives_after_the_last_step_is_printed(url: str) -> None:
    assert run(url, "--send", "a").lines == ["welcome", "noise", "answer to a"]


def test_each_expectation_needs_a_message_of_its_own(url: str) -> None:
    done = run(url, "--send", "a", "--expect", "answer", "--expect", "answer", "--timeout", "0.05")
    assert done.code == 1
    assert done.err == f"wschat: {url}: --expect 'answer' (step 3 of 3): not met within 0.05 s; nothing was received\n"


def test_an_unmet_expectation_lists_the_received_messages(url: str) -> None:
    done = run(url, "--expect", "welcome", "--send", "a\x1b", "--expect", "b", "--send", "c", "--timeout", "0.2")
    assert (done.code, done.lines) == (1, ["welcome", "noise", "answer to a\x1b"])
    assert done.err == (
        f"wschat: {url}: --expect 'b' (step 3 of 4): not met within 0.2 s; received instead:\n    noise\n    answer to a\\x1b\n"
    )
    assert run(url, "--expect", "b", "--timeout", "0.05", "--quiet").err == ""


def test_a_long_transcript_is_shortened(serve: ServerFactory) -> None:
    def chatter(ws: Connection) -> None:
        for number in range(150):
            ws.send(f"{number} " + "x" * 1000)

    url = url_of(serve(chatter))
    done = run(url, "--expect", "y", "--timeout", "5")
    first, *lines = done.err.splitlines()
    assert first == f"wschat: {url}: --expect 'y' (step 1 of 1): connection closed: 1000; received instead:"
    assert lines[0] == "    (50 earlier messages)"
    assert lines[1].endswith("x... (1003 characters)")
    assert (len(lines), len(lines[-1])) == (101, 4 + 500 + len("... (1004 characters)"))


@pytest.mark.parametrize(("code", "status"), [(1000, 1), (1001, 1), (1008, 4), (1011, 4)])
def test_a_connection_that_ends_before_the_script(serve: ServerFactory, code: int, status: int) -> None:
    url = url_of(serve(lambda ws: ws.close(code, "enough")))
    done = run(url, "--expect", "a")
    assert done.code == status
    assert done.err == f"wschat: {url}: --expect 'a' (step 1 of 1): connection closed: {code} enough; nothing was received\n"


def test_binary_messages(url: str) -> None:
    done = run(url, "--binary", "--send", "Grü\udcff", "--expect", r"^Grü\\xff$")
    assert (done.code, done.out) == (0, b"welcome\nnoise\n" + "Grü".encode() + b"\xff")


@pytest.mark.parametrize(
    ("arguments", "given", "lines"),
    [
        (["--count", "2"], "a\n", ["welcome", "noise"]),
        (["--count", "1"], "", ["welcome"]),
        (["--count", "2", "--send", "a"], "", ["welcome", "noise"]),
        (["--count", "1", "--send", "a", "--expect", "to a"], "", ["welcome", "noise", "answer to a"]),
    ],
)
def test_a_number_of_messages(url: str, arguments: list[str], given: str, lines: list[str]) -> None:
    done = run(url, *arguments, given=given)
    assert (done.code, done.lines, done.err) == (0, lines, "")


def test_too_few_messages(url: str) -> None:
    done = run(url, "--count", "4", "--timeout", "0.1", given="a\n")
    assert (done.code, done.lines) == (1, ["welcome", "noise", "answer to a"])
    assert done.err.startswith(f"wschat: {url}: --count 4: not met within 0.1 s; received instead:\n")


def test_no_limit_of_time(serve: ServerFactory) -> None:
    assert run(url_of(serve(talk)), "--timeout", "0", "--expect", "welcome").code == 0
