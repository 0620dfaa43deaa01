"""`wschat connect` in a pipe and on a terminal. What needs a process runs it as `python -m wschat.client`."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

import wschat
from tests.cli.client.command import run
from tests.client.servers import accepting
from tests.conftest import ServerFactory, echo, url_of
from wschat.connection.connection import Connection

COMMAND = [sys.executable, "-m", "wschat.client"]


@contextmanager
def running(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([*COMMAND, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_lines_are_sent_and_messages_printed(echo_url: str) -> None:
    done = run(echo_url, given="one\ntwo\r\n\nlast without an end")
    assert (done.code, done.out, done.err) == (0, b"one\ntwo\n\nlast without an end\n", "")


def test_messages_after_the_end_of_the_input_are_printed(serve: ServerFactory) -> None:
    def slow(ws: Connection) -> None:
        for message in ws:
            for part in range(1000):
                ws.send(f"{message!s} {part}")

    done = run(url_of(serve(slow)), given="hi\n")
    assert done.lines == [f"hi {part}" for part in range(1000)]
    assert done.code == 0


def test_binary_messages_are_printed_as_they_are(serve: ServerFactory) -> None:
    assert run(url_of(serve(lambda ws: ws.send(b"abc")))).out == b"abc\n"


def test_options_reach_the_server(serve: ServerFactory) -> None:
    server = serve(lambda ws: ws.send(f"{ws.headers['x-a']} {ws.headers['origin']} {ws.subprotocol}"), subprotocols=["b"], origins=["*"])
    done = run(url_of(server), "--header", "X-A: 1", "--origin", "http://o", "--subprotocol", "b")
    assert done.lines == ["1 http://o b"]


@pytest.mark.parametrize(("code", "status"), [(1000, 0), (1001, 0), (1008, 4), (1011, 4)])
def test_the_exit_code_is_0_after_a_clean_end_only(serve: ServerFactory, code: int, status: int) -> None:
    server = serve(lambda ws: ws.close(code, "because"))
    with running(url_of(server)) as process:  # whose input does not end
        assert process.wait(timeout=10) == status
        assert process.stderr is not None
        assert process.stderr.read() == ("" if code == 1000 else f"wschat: {url_of(server)}: connection closed: {code} because\n")


@pytest.mark.parametrize(
    ("arguments", "code"), [(["http://localhost"], 2), (["ws://127.0.0.1:1/"], 3), (["ws://localhost", "--header", "no colon"], 2)]
)
def test_a_failed_opening_is_a_one_line_error(arguments: list[str], code: int) -> None:
    done = run(*arguments)
    assert done.code == code
    assert done.out == b""
    assert len(done.err.splitlines()) == 1


def test_a_refusal_is_printed_with_its_reason(serve: ServerFactory) -> None:
    def refuse(request: wschat.Request) -> None:
        raise wschat.RequestRefused(403, "Not you.")

    server = serve(echo, check_request=refuse)
    done = run(url_of(server))
    assert done.err == f"wschat: {url_of(server)}: 127.0.0.1:{server.port} answered 403 Forbidden: Not you.\n"
    assert done.code == 3


def test_ctrl_c_closes_and_exits(echo_url: str) -> None:
    with running(echo_url) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write("hi\n")
        process.stdin.flush()
        assert process.stdout.readline() == "hi\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 130
        assert process.stderr.read() == ""


def test_a_closed_output_ends_the_command(serve: ServerFactory) -> None:
    def chatter(ws: Connection) -> None:
        while True:
            ws.send("x" * 1000)

    with running(url_of(serve(chatter))) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(timeout=10) == 0
        assert process.stderr.read() == ""
        process.stdout = None


def test_on_a_terminal_lines_are_sent_as_they_are_typed(echo_url: str) -> None:
    keyboard, terminal = pty.openpty()
    process = subprocess.Popen([*COMMAND, echo_url], stdin=terminal, stdout=subprocess.PIPE, text=True)
    os.close(terminal)
    try:
        assert process.stdout is not None
        os.write(keyboard, b"hello\n")
        assert process.stdout.readline() == "hello\n"
        os.write(keyboard, b"\x04")
        assert process.wait(timeout=10) == 0
    finally:
        process.kill()
        process.communicate()
        os.close(keyboard)


def test_a_lost_connection_is_exit_code_4() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, running(url := f"ws://127.0.0.1:{listener.getsockname()[1]}/") as process:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(accepting(connection.recv(65536)))
        assert process.wait(timeout=10) == 4
        assert process.stderr is not None
        assert process.stderr.read() == f"wschat: {url}: connection closed: 1006 connection lost\n"


def test_the_close_code_of_a_stopped_server_is_printed(serve: ServerFactory) -> None:
    server = serve(lambda ws: [ws.send("hi"), *ws])
    with running(url_of(server)) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "hi\n"
        server.stop()
        assert process.wait(timeout=10) == 0
        assert process.stderr.read() == f"wschat: {url_of(server)}: connection closed: 1001 the server is stopping\n"


def test_control_characters_of_a_reason_are_escaped(serve: ServerFactory) -> None:
    url = url_of(serve(lambda ws: ws.close(4000, "\x1b[2J\u202ebad\nwschat: forged")))
    assert run(url).err == f"wschat: {url}: connection closed: 4000 \\x1b[2J\\u202ebad\\nwschat: forged\n"


def shown_on_a_terminal(url: str) -> str:
    """Run the client on a terminal until it ends, and return its output."""
    controller, terminal = pty.openpty()
    process = subprocess.Popen([*COMMAND, url], stdin=subprocess.DEVNULL, stdout=terminal, stderr=subprocess.PIPE)
    os.close(terminal)
    shown = b""
    try:
        with contextlib.suppress(OSError):  # EIO: the other side is closed
            while data := os.read(controller, 4096):
                shown += data
        assert process.wait(timeout=10) == 0
    finally:
        process.kill()
        process.communicate()
        os.close(controller)
    return shown.decode().replace("\r\n", "\n")


def test_control_characters_of_a_message_are_escaped_on_a_terminal(serve: ServerFactory) -> None:
    def talk(ws: Connection) -> None:
        ws.send("anna: \x1b[2J\u202eGrüße")
        ws.send("anna: hi\nbob: I owe you")
        ws.send(b"anna: \x07\xff\nbob")

    assert shown_on_a_terminal(url_of(serve(talk))).splitlines() == [
        "anna: \\x1b[2J\\u202eGrüße",
        "anna: hi",
        "    bob: I owe you",
        "anna: \\x07\\xff",
        "    bob",
    ]


def test_in_a_pipe_messages_are_printed_as_they_are(serve: ServerFactory) -> None:
    message = "anna: \x1b[2J\u202ehi\nbob: \x85"
    assert run(url_of(serve(lambda ws: ws.send(message)))).out == f"{message}\n".encode()


def run_in_shell(redirection: str, url: str) -> subprocess.CompletedProcess[str]:
    script = f'exec "$@" {redirection}'
    command = ["sh", "-c", script, "sh", *COMMAND, url]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)


def greet(ws: Connection) -> None:
    ws.send("hi")
    for message in ws:
        ws.send(message)


@pytest.mark.parametrize(
    ("redirection", "printed"), [("<&-", "hi\n"), (">&-", ""), ("2>&-", "hi\n"), ("<&- >&-", ""), ("<&- >&- 2>&-", "")]
)
def test_a_closed_standard_stream_is_empty(serve: ServerFactory, redirection: str, printed: str) -> None:
    done = run_in_shell(redirection, url_of(serve(greet)))
    assert (done.stdout, done.stderr, done.returncode) == (printed, "", 0)


def test_a_closed_terminal_is_the_end_of_the_input(echo_url: str) -> None:
    keyboard, terminal = pty.openpty()
    process = subprocess.Popen([*COMMAND, echo_url], stdin=terminal, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    os.close(terminal)
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        os.write(keyboard, b"hello\n")
        assert process.stdout.readline() == "hello\n"
        os.close(keyboard)
        assert process.wait(timeout=10) == 0
        assert process.stderr.read() == ""
    finally:
        process.kill()
        process.communicate()


def test_the_exit_code_is_the_same_without_standard_error() -> None:
    done = run_in_shell("2>&-", "ws://127.0.0.1:1/")
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 3)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_output_ends_the_command(serve: ServerFactory) -> None:
    done = run_in_shell(">/dev/full", url_of(serve(greet)))
    assert (done.stderr, done.returncode) == ("wschat: cannot write to standard output: No space left on device\n", 2)


def test_ctrl_c_while_connecting_is_no_traceback() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, running(f"ws://127.0.0.1:{listener.getsockname()[1]}/") as process:
        connection, _ = listener.accept()
        with connection:
            assert connection.recv(1) == b"G"
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=10) == 130
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_on_a_terminal_without_the_package_for_the_screen_it_is_a_pipe(echo_url: str) -> None:
    controller, terminal = pty.openpty()
    program = "import sys; sys.modules['prompt_toolkit'] = None; from wschat.cli.connect import main; main()"
    command = [sys.executable, "-c", program, echo_url]
    env = {**os.environ, "TERM": "xterm"}
    process = subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=subprocess.PIPE, text=True, env=env)
    os.close(terminal)
    try:
        assert process.stderr is not None
        assert process.stderr.readline() == 'wschat: for the interactive screen: pip install "wschat[cli]"\n'
        with os.fdopen(controller, "r+b", buffering=0) as keyboard:
            keyboard.write(b"hi\n")
            shown = b""
            while shown.count(b"hi") < 2:  # as it is typed, and as it comes back
                shown += keyboard.read(100)
            keyboard.write(b"\x04")
            assert process.wait(timeout=10) == 0
        assert process.stderr.read() == ""
    finally:
        process.kill()
        process.communicate()
