"""`wschat serve`, run as `python -m wschat.server`."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from urllib.request import urlopen

import click
import pytest
from click.testing import CliRunner, Result

import wschat
from tests.concurrency import TIMEOUT
from tests.server.command import COMMAND, environment, run, running
from tests.server.raw import Raw, request
from wschat import CloseCode, ConnectionClosed
from wschat.cli.serve import main

ANY_PORT = ("--port", "0")


def call(*options: str, env: dict[str, str] | None = None) -> Result:
    """Call the command in this process, with options that make it fail."""
    return CliRunner().invoke(main, [*ANY_PORT, *options], env={**dict.fromkeys(os.environ, None), **environment(env)})


# Serving


def test_the_chat_is_served_and_the_url_announced() -> None:
    with running(*ANY_PORT) as command:
        assert command.start_line == f"wschat serves chat on http://127.0.0.1:{command.port}/ and ws://127.0.0.1:{command.port}/"
        with wschat.connect(command.url) as alice, wschat.connect(command.url + "?name=bob") as bob:
            assert alice.recv(TIMEOUT) == bob.recv(TIMEOUT) == "Welcome to the chat!"
            alice.send("/nick alice")
            assert alice.recv(TIMEOUT) == "You are now alice."
            alice.send("hello")
            assert alice.recv(TIMEOUT) == bob.recv(TIMEOUT) == "alice: hello"
            bob.send("hi")
            assert alice.recv(TIMEOUT) == bob.recv(TIMEOUT) == "bob: hi"
        with pytest.raises(wschat.OpeningFailed) as refused:
            wschat.connect(command.url + "nowhere")
        assert refused.value.status == 404
        assert command.stop() == 0


def test_echo_is_served() -> None:
    with running(*ANY_PORT, "--app", "wschat.apps:echo") as command, wschat.connect(command.url) as ws:
        assert command.start_line == f"wschat serves wschat.apps:echo on {command.url}"
        ws.send(b"x" * 100_000)  # more than the chat accepts
        assert ws.recv(TIMEOUT) == b"x" * 100_000


def test_a_handler_in_the_current_folder_is_served(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def shout(ws):\n    for message in ws:\n        ws.send(message.upper())\n")
    with running(*ANY_PORT, "--app", "mine:shout", cwd=tmp_path) as command, wschat.connect(command.url) as ws:
        ws.send("hello")
        assert ws.recv(TIMEOUT) == "HELLO"


def test_a_handler_in_a_file_is_served(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "words.py").write_text("HELLO = 'hello'\n")
    (folder / "json.py").write_text("import words\ndef greet(ws):\n    ws.send(words.HELLO)\n")  # also the name of another module
    with running(*ANY_PORT, "--app", "folder/json.py:greet", cwd=tmp_path) as command, wschat.connect(command.url) as ws:
        assert ws.recv(TIMEOUT) == "hello"


def test_a_handler_class_is_served(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import wschat\nclass Greeter(wschat.WebSocketHandler):\n    def handle(self):\n        self.ws.send('hello')\n"
    )
    with running(*ANY_PORT, "--app", "mine:Greeter", cwd=tmp_path) as command, wschat.connect(command.url) as ws:
        assert ws.recv(TIMEOUT) == "hello"


@pytest.mark.parametrize("host", ["::1", "localhost", "0.0.0.0"])
def test_the_host_is_listened_on(host: str) -> None:
    with running("--host", host, *ANY_PORT, "--app", "wschat.apps:echo") as command:
        assert command.host == (f"[{host}]" if ":" in host else host)
        with wschat.connect(command.url) as ws:
            ws.send("here")
            assert ws.recv(TIMEOUT) == "here"


def test_the_options_of_benchmarks_are_accepted() -> None:
    options = ["--host", "127.0.0.1", "--port", "0", "--app", "wschat.apps:echo", "--history", "off", "--rate", "off"]
    options += ["--max-connections-per-ip", "0", "--max-connections", "0", "--log-level", "warning"]
    with running(*options) as command:
        with wschat.connect(command.url) as ws:
            ws.send("x")
            assert ws.recv(TIMEOUT) == "x"
        assert command.stop() == 0
        assert " ERROR " not in command.errors()
        assert "Traceback" not in command.errors()


def test_options_take_effect() -> None:
    options = ["--max-message-bytes", "10", "--origin", "https://app.example", "--origin", "null", "--ping-interval", "0.2"]
    options += ["--ping-timeout", "0.3", "--outbox-bytes", "100000", "--all-cores", "--log-level", "INFO"]
    with running(*ANY_PORT, *options) as command:
        for origin in ("https://app.example", "null"):
            with wschat.connect(command.url, origin=origin) as ws:
                ws.send("x" * 11)
                assert ws.recv(TIMEOUT) == "Welcome to the chat!"
                with pytest.raises(ConnectionClosed) as closed:
                    ws.recv(TIMEOUT)
                assert closed.value.code == CloseCode.TOO_BIG
        with pytest.raises(wschat.OpeningFailed) as refused:
            wschat.connect(command.url, origin="https://evil.test")
        assert refused.value.status == 403
        with Raw(socket.create_connection(("127.0.0.1", command.port))) as silent:
            assert silent.ask(request()).status == 101
            assert silent.frame() == (0x81, b"Welcome to the chat!")
            assert silent.frame()[0] == 0x89
            assert silent.close_code() == CloseCode.INTERNAL_ERROR


@pytest.mark.parametrize(("options", "status"), [((), 403), (("--insider", "127.0.0.0/8"), 200)])
def test_insiders_may_read_the_statistics(options: tuple[str, ...], status: int) -> None:
    anywhere = (*ANY_PORT, "--allowed-host", "chat.test")
    with running(*anywhere, *options) as command, Raw(socket.create_connection((command.host, command.port))) as raw:
        assert raw.ask(b"GET /stats/data HTTP/1.1\r\nHost: chat.test\r\n\r\n").status == status


WSGI_APP = """
def page(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["PATH_INFO"].encode()]
"""


def fetch(url: str) -> bytes:
    with urlopen(url, timeout=TIMEOUT) as response:
        body: bytes = response.read()
        return body


def test_a_wsgi_application_alone_has_no_websockets(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(WSGI_APP)
    with running(*ANY_PORT, "--wsgi", "mine:page", cwd=tmp_path) as command:
        base = f"127.0.0.1:{command.port}"
        assert command.start_line == f"wschat serves mine:page on http://{base}/"
        assert fetch(f"http://{base}/x") == b"/x"
        with pytest.raises(wschat.OpeningFailed, match="404"):
            wschat.connect(f"ws://{base}/")


def test_the_chat_is_served_beside_a_wsgi_application(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(WSGI_APP)
    options = [*ANY_PORT, "--wsgi", "mine.py:page", "--app", "chat", "--path-prefix", "/chat"]
    with running(*options, cwd=tmp_path) as command:
        base = f"127.0.0.1:{command.port}"
        assert command.start_line == f"wschat serves mine.py:page on http://{base}/ and chat on http://{base}/chat/ and ws://{base}/chat/"
        assert fetch(f"http://{base}/") == b"/"
        assert json.loads(fetch(f"http://{base}/chat/api/rooms")) == {"rooms": []}
        with wschat.connect(f"ws://{base}/chat/") as ws:
            assert ws.recv(TIMEOUT) == "Welcome to the chat!"


def test_the_chat_beside_a_wsgi_application_needs_a_prefix(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(WSGI_APP)
    result = call("--app", "chat", "--wsgi", str(tmp_path / "mine.py:page"))
    assert result.exit_code == 2
    assert "needs a --path-prefix" in result.output


@pytest.mark.parametrize(("app", "limit", "prelude"), [("chat", 64 * 1024, ["Welcome to the chat!"]), ("wschat.apps:echo", 1 << 20, [])])
def test_the_chat_has_a_smaller_default_of_max_message_bytes(app: str, limit: int, prelude: list[str]) -> None:
    with running(*ANY_PORT, "--app", app) as command, wschat.connect(command.url) as ws:
        assert [ws.recv(TIMEOUT) for _ in prelude] == prelude
        ws.send("x" * limit)
        assert str(ws.recv(TIMEOUT)).endswith("x" * limit)
        ws.send("x" * (limit + 1))
        with pytest.raises(ConnectionClosed, match="1009"):
            ws.recv(TIMEOUT)


def test_environment_variables_are_options() -> None:
    env = {"WSCHAT_PORT": "0", "WSCHAT_HOST": "localhost", "WSCHAT_APP": "wschat.apps:echo", "WSCHAT_MAX_MESSAGE_BYTES": "5"}
    with running(env=env) as command:
        assert command.start_line.startswith("wschat serves wschat.apps:echo on ws://localhost:")
        with wschat.connect(command.url) as ws:
            ws.send("123456")
            with pytest.raises(ConnectionClosed, match="1009"):
                ws.recv(TIMEOUT)


def test_the_origins_may_come_from_the_environment() -> None:
    env = {"WSCHAT_ORIGIN": "https://app.example https://other.example"}
    with running(*ANY_PORT, env=env) as command, wschat.connect(command.url, origin="https://other.example") as ws:
        assert ws.recv(TIMEOUT) == "Welcome to the chat!"


# Ending


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_one_signal_closes_all_connections_and_exits_with_0(number: int) -> None:
    with running(*ANY_PORT) as command, ExitStack() as clients:
        all_of_them = [clients.enter_context(wschat.connect(command.url)) for _ in range(3)]
        for ws in all_of_them:
            assert ws.recv(TIMEOUT) == "Welcome to the chat!"
        command.process.send_signal(number)
        for ws in all_of_them:
            with pytest.raises(ConnectionClosed) as closed:
                ws.recv(TIMEOUT)
            assert closed.value.code == CloseCode.GOING_AWAY
        assert command.process.wait(TIMEOUT) == 0
        assert " ERROR " not in command.errors()
        assert "Traceback" not in command.errors()


# Errors


def only_line(errors: str) -> str:
    [line] = errors.splitlines()
    return line


def test_a_port_in_use_is_a_one_line_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run("--port", str(port))
        assert (result.returncode, result.stdout) == (2, "")
        assert only_line(result.stderr).endswith(f": cannot listen on 127.0.0.1 port {port}: Address already in use")
        called = call("--port", str(port))
        assert called.exit_code == 2
        assert "Address already in use" in only_line(called.stderr)


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_an_address_of_another_machine_is_a_one_line_error(host: str) -> None:
    result = call("--host", host)
    assert result.exit_code == 2
    assert f": cannot listen on {host} port 0: " in only_line(result.stderr)


def as_unknown_user(home: str | None) -> subprocess.CompletedProcess[str]:
    """Run the command as a user who is not in the password file, with HOME as its only variable besides PATH."""
    command = [*COMMAND, *ANY_PORT]
    if os.getuid() == 0:  # import everything first, because the user may not read the folder of this Python
        program = "import os, sys, wschat.cli.serve as m; os.setuid(2_000_000_001); sys.argv[0] = 'x'; m.main()"
        command = [sys.executable, "-c", program, *ANY_PORT]
    elif shutil.which("unshare"):
        command = ["unshare", "--user", "--map-user=2000000001", *command]
    env = {"PATH": os.environ["PATH"], **({} if home is None else {"HOME": home})}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=TIMEOUT * 3, check=False)


@pytest.mark.parametrize("home", [None, "", "relative"])
def test_a_user_without_a_home_directory_gets_a_one_line_error(home: str | None) -> None:
    result = as_unknown_user(home)
    assert (result.returncode, result.stdout) == (2, "")
    assert "--history PATH" in only_line(result.stderr)


def test_an_unreadable_home_directory_is_a_one_line_error(tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("needs root, to become another user")
    tmp_path.chmod(0o700)
    result = as_unknown_user(str(tmp_path / "home"))
    assert (result.returncode, result.stdout) == (2, "")
    assert "Permission denied" in only_line(result.stderr)


@pytest.mark.parametrize("descriptors", range(10, 17))
def test_too_few_descriptors_are_a_one_line_error(descriptors: int) -> None:
    limited = f'ulimit -n {descriptors} && exec "$@"'
    command = ["bash", "-c", limited, "bash", *COMMAND, *ANY_PORT, "--history", "memory", "--log-level", "error"]
    with subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        if process.stdout.readline().startswith("wschat serves chat"):
            process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=TIMEOUT)
    assert "Traceback" not in errors
    if process.returncode != 0:
        assert only_line(errors).startswith("wschat: ")
        # With one descriptor too few, the server ends right after its announcement, and the signal may come when its handlers are gone.
        assert process.returncode in (2, -signal.SIGTERM)


BAD_APPS = [
    ("exiting:handler", "if __name__"),
    ("two_lines:handler", "ValueError: one two"),
    ("no_such_file.py:handler", "no_such_file.py"),
    ("nonsense", "MODULE:HANDLER"),
    (":echo", "MODULE:HANDLER"),
    ("wschat.apps:", "MODULE:HANDLER"),
    ("no_such_module:echo", "no_such_module"),
    ("wschat.nothing:echo", "wschat.nothing"),
    (".apps:echo", ".apps"),
    ("wschat.apps:nothing", "nothing"),
    ("wschat.apps:__name__", "must be a function"),
    ("builtins:int", "WebSocketHandler"),
    ("broken:handler", "broken.py"),
    ("failing:handler", "division by zero"),
    ("attribute_error:handler", "has no attribute 'oops'"),
]


@pytest.fixture
def bad_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with modules that cannot be imported."""
    (tmp_path / "broken.py").write_text("def handler(ws:\n")
    (tmp_path / "failing.py").write_text("1 / 0\n")
    (tmp_path / "attribute_error.py").write_text("import os\nos.oops\n")
    (tmp_path / "exiting.py").write_text("import sys\nsys.exit()\n")
    (tmp_path / "two_lines.py").write_text("raise ValueError('one\\ntwo')\n")
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("bad_modules")
@pytest.mark.parametrize(("app", "message"), BAD_APPS)
def test_a_handler_that_cannot_be_loaded_is_a_one_line_error(app: str, message: str) -> None:
    result = call("--app", app)
    assert result.exit_code == 2, result.exception
    assert message in only_line(result.stderr)
    assert app in result.stderr


@pytest.mark.parametrize(("app", "message"), [("no_such_module:echo", "no_such_module"), ("failing:handler", "division by zero")])
def test_a_handler_that_cannot_be_imported_exits_with_2(bad_modules: Path, app: str, message: str) -> None:
    result = run(*ANY_PORT, "--app", app, cwd=bad_modules)
    assert (result.returncode, result.stdout) == (2, "")
    assert message in only_line(result.stderr)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--port", "eighty"], "--port"),
        (["--port", "65536"], "--port"),
        (["--port", "-1"], "--port"),
        (["--keep-messages", "-1"], "--keep-messages"),
        (["--moderator", "alice"], "--moderator"),
        (["--moderator", "alice:/no/such/file"], "--moderator"),
        (["--rate", "10"], "--rate"),
        (["--max-connections", "few"], "--max-connections"),
        (["--max-connections-per-ip", "-1"], "--max-connections-per-ip"),
        (["--trusted-proxy", "proxy.test"], "--trusted-proxy"),
        (["--insider", "10.0.0.1/8"], "--insider"),
        (["--insider", "fe80::1%eth0"], "--insider"),
        (["--proxy-header", "x-client-ip"], "--proxy-header"),
        (["--proxy-header", "forwarded"], "--proxy-header needs a --trusted-proxy"),
        (["--origin", "app.example.com"], "--origin"),
        (["--origin", "https://app.example.com/page"], "--origin"),
        (["--allowed-host", "chat.example:443"], "--allowed-host"),
        (["--drain", "-1"], "--drain"),
        (["--log-format", "xml"], "--log-format"),
        (["--compression", "gzip"], "--compression"),
        (["--max-message-bytes", "-1"], "--max-message-bytes"),
        (["--outbox-bytes", "1.5"], "--outbox-bytes"),
        (["--ping-interval", "-1"], "--ping-interval"),
        (["--ping-interval", "often"], "--ping-interval"),
        (["--ping-timeout", "-0.1"], "--ping-timeout"),
        (["--log-level", "loud"], "--log-level"),
        (["--keep-days", "nan"], "--keep-days"),
        (["--keep-days", "inf"], "--keep-days"),
        (["--keep-messages", "9" * 40], "--keep-messages"),
        (["--ping-interval", "nan"], "--ping-interval"),
        (["--ping-interval", "1e18"], "--ping-interval"),
        (["--ping-timeout", "inf"], "--ping-timeout"),
        (["--drain", "nan"], "--drain"),
        (["--drain", "1e18"], "--drain"),
        (["--max-message-bytes", "9" * 40], "--max-message-bytes"),
        (["--rate", "9" * 400 + "/1"], "--rate"),
        (["--rate", "1/1e-320"], "--rate"),
        (["--host", ""], "--host"),
        (["--app", ""], "--app"),
        (["--history", ""], "--history"),
        (["--auth-secret-file", ""], "--auth-secret-file"),
        (["--auth-secret-file", "/no/such/file"], "/no/such/file"),
        (["--tls-cert", ""], "--tls-cert"),
        (["--tls-cert", "/no/such/file"], "/no/such/file"),
        (["--tls-key", "/no/such/file"], "--tls-cert"),
        (["--path-prefix", "chat"], "--path-prefix"),
        (["--no-such-option"], "--no-such-option"),
        (["surplus"], "surplus"),
    ],
)
def test_an_invalid_value_is_an_error_that_names_the_option(options: list[str], message: str) -> None:
    result = call(*options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr


def test_an_invalid_value_in_the_environment_is_an_error() -> None:
    result = run(env={"WSCHAT_PORT": "eighty"})
    assert (result.returncode, result.stdout) == (2, "")
    assert "eighty" in result.stderr.splitlines()[-1]


@pytest.mark.parametrize("option", ["--auth-secret-file", "--moderator"])
def test_options_that_would_not_protect_a_handler_are_refused(tmp_path: Path, option: str) -> None:
    (tmp_path / "secret").write_text("x" * 32)
    value = f"{'alice:' if option == '--moderator' else ''}{tmp_path}/secret"
    result = call("--app", "wschat.apps:echo", option, value)
    assert result.exit_code == 2
    assert only_line(result.stderr) == f"wschat: {option} is for the chat, and does not protect --app wschat.apps:echo"


def test_a_moderator_with_two_passwords_is_refused(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("x")
    result = call("--moderator", f"alice:{tmp_path}/password", "--moderator", f"Alice:{tmp_path}/password")
    assert result.exit_code == 2
    assert "given twice" in result.stderr


# The variables that Kubernetes sets for a service, and Docker for a link.
SERVICE = {
    "WSCHAT_SERVICE_HOST": "10.0.0.11",
    "WSCHAT_SERVICE_PORT": "8080",
    "WSCHAT_SERVICE_PORT_HTTP": "8080",
    "WSCHAT_PORT": "tcp://10.0.0.11:8080",
    "WSCHAT_PORT_8080_TCP": "tcp://10.0.0.11:8080",
    "WSCHAT_PORT_8080_TCP_PROTO": "tcp",
    "WSCHAT_PORT_8080_TCP_PORT": "8080",
    "WSCHAT_PORT_8080_TCP_ADDR": "10.0.0.11",
    "WSCHAT_NAME": "/web/wschat",
    "WSCHAT_REDIS_SERVICE_HOST": "10.0.0.12",
    "WSCHAT_REDIS_PORT": "tcp://[fd00::12]:6379",
    "WSCHAT_CLIENT_ORIGIN": "https://app.example",
}


@pytest.mark.parametrize("options", [(), ("--port", "0")])
def test_the_variables_of_a_service_called_wschat_are_ignored(options: tuple[str, ...]) -> None:
    result = run(*options, "--host", "192.0.2.1", env=SERVICE)  # the address of another machine, so that it fails at listening
    ignored, message = result.stderr.splitlines()
    assert "INFO wschat.server: WSCHAT_PORT=tcp://10.0.0.11:8080 is ignored" in ignored
    assert message.startswith(f"wschat: cannot listen on 192.0.2.1 port {8080 if not options else 0}: ")


def test_an_unknown_variable_is_logged() -> None:
    result = run("--host", "192.0.2.1", env={"WSCHAT_MAX_CONECTIONS": "7"})
    assert "WARNING wschat.server: WSCHAT_MAX_CONECTIONS is ignored: there is no such option" in result.stderr.splitlines()[0]


def test_help_names_every_option_with_its_variable() -> None:
    result = call("--help")
    assert result.exit_code == 0
    for parameter in main.params:
        assert isinstance(parameter, click.Option)
        for option in parameter.opts:
            assert option in result.stdout
        assert parameter.help, parameter
        if parameter.name not in ("version", "show_config"):
            assert f"WSCHAT_{parameter.opts[0].removeprefix('--').replace('-', '_').upper()}" in result.stdout
