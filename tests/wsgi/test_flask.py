"""Routes of Flask with the names of flask-sock, in each server that they run in."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

import wschat
from tests.concurrency import TIMEOUT, eventually
from tests.conftest import ServerFactory
from tests.protocol.wire import CLOSE
from tests.server.raw import Raw, request
from tests.wsgi.wiring import OpenServer, Program, check_echo

flask = pytest.importorskip("flask", reason="needs Flask: pip install '.[dev]'")

from wschat.wsgi.flask import ConnectionClosed, Sock, WebSocket  # noqa: E402  # needs Flask


@pytest.fixture
def app() -> Any:
    return flask.Flask("tests")


def run_with(werkzeug: OpenServer, app: Any, handler: Callable[[WebSocket], object], **options: Any) -> wschat.Connection:
    """Make a handler a route, serve it, and return a connection to it."""
    Sock(app).route("/")(handler)
    return wschat.connect(f"ws://127.0.0.1:{werkzeug(app).port}/", **options)


def until_written(program: Program, text: str) -> None:
    """Wait until a server has written a text."""
    eventually(lambda: text in program.log())


# Each server


@pytest.mark.parametrize("server", ["debugging", "gunicorn"])
def test_the_documented_example_runs(server: str, request: pytest.FixtureRequest) -> None:
    check_echo(request.getfixturevalue(server).url())


@pytest.mark.parametrize("server", ["debugging", "gunicorn"])
def test_a_handler_that_returns_closes_with_1000(server: str, request: pytest.FixtureRequest) -> None:
    program = request.getfixturevalue(server)
    with wschat.connect(program.url("/once")) as ws:
        ws.send("x")
        assert ws.recv(TIMEOUT) == "x"
        with pytest.raises(wschat.ConnectionClosed) as closed:
            ws.recv(TIMEOUT)
    assert closed.value.code == 1000


def test_nothing_follows_the_close_frame_in_debug_mode(debugging: Program) -> None:
    with Raw.to(debugging) as raw:  # type: ignore[arg-type]  # has a port
        assert raw.ask(request(target="/once")).status == 101
        raw.send(b"\x81\x81\0\0\0\0x")
        assert raw.frame() == (0x81, b"x")
        assert raw.close_code() == 1000
        raw.send(bytes([CLOSE, 0x82, 0, 0, 0, 0]) + (1000).to_bytes(2, "big"))
        assert raw.rest() == b""
    eventually(lambda: "/once HTTP/1.1" in debugging.log())
    assert "Traceback" not in debugging.log()


def test_a_failing_handler_closes_with_1011_and_its_traceback_is_logged_once(debugging: Program, gunicorn: Program) -> None:
    for program in (gunicorn, debugging):
        before = program.log().count("Traceback")
        with wschat.connect(program.url("/failing")) as ws:
            ws.send("no such thing")
            with pytest.raises(wschat.ConnectionClosed) as closed:
                ws.recv(TIMEOUT)
        assert closed.value.code == 1011
        until_written(program, "LookupError: no such thing")
        check_echo(program.url())
        assert program.log().count("Traceback") == before + 1


def test_the_routes_in_the_server_of_wschat(app: Any, serve: ServerFactory) -> None:
    sock = Sock(app)

    app.add_url_rule("/", "page", lambda: "This is a page.")

    @sock.route("/shout/<word>")
    def shout(ws: WebSocket, word: str) -> None:
        ws.send(f"{word} {flask.request.args['x']}".upper())

    server = serve(sock.handler, wsgi=app)
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/", timeout=TIMEOUT) as page:
        assert page.read() == b"This is a page."
    with wschat.connect(f"ws://127.0.0.1:{server.port}/shout/hey?x=you") as ws:
        assert ws.recv(TIMEOUT) == "HEY YOU"
    with wschat.connect(f"ws://127.0.0.1:{server.port}/elsewhere") as ws, pytest.raises(wschat.ConnectionClosed) as closed:
        ws.recv(TIMEOUT)
    assert (closed.value.code, closed.value.reason) == (1008, "404 Not Found")


# Routes


def test_a_route_has_the_arguments_of_its_path_and_the_context_of_the_request(werkzeug: OpenServer, app: Any) -> None:
    app.secret_key = "secret"
    sock = Sock(app)

    def login() -> str:
        flask.session["name"] = "alice"
        return ""

    app.add_url_rule("/login", "login", login)

    @sock.route("/greet/<int:times>")
    def greet(ws: WebSocket, times: int) -> None:
        ws.send(f"hello {flask.session['name']} " * times)

    server = werkzeug(app)
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/login", timeout=TIMEOUT) as response:
        cookie = response.headers["Set-Cookie"].partition(";")[0]
    with wschat.connect(f"ws://127.0.0.1:{server.port}/greet/2", headers={"Cookie": cookie}) as ws:
        assert ws.recv(TIMEOUT) == "hello alice hello alice "


def test_routes_of_a_blueprint_and_of_an_application_that_comes_later(werkzeug: OpenServer, app: Any) -> None:
    sock = Sock()
    blueprint = flask.Blueprint("below", "tests", url_prefix="/below")

    @sock.route("/early")
    def early(ws: WebSocket) -> None:
        ws.send("early")

    @sock.route("/late", bp=blueprint)
    def late(ws: WebSocket) -> None:
        ws.send("late")

    with pytest.raises(wschat.UsageError, match="no application yet"):
        _ = sock.handler
    sock.init_app(app)
    app.register_blueprint(blueprint)
    server = werkzeug(app)
    for path, expected in [("/early", "early"), ("/below/late", "late")]:
        with wschat.connect(f"ws://127.0.0.1:{server.port}{path}") as ws:
            assert ws.recv(TIMEOUT) == expected


def test_a_page_may_have_the_path_of_a_websocket(werkzeug: OpenServer, app: Any) -> None:
    Sock(app).route("/")(lambda ws: ws.send("a message"))
    app.add_url_rule("/", "page", lambda: "a page")
    server = werkzeug(app)
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/", timeout=TIMEOUT) as page:
        assert page.read() == b"a page"
    with wschat.connect(f"ws://127.0.0.1:{server.port}/") as ws:
        assert ws.recv(TIMEOUT) == "a message"


def test_a_refusal_is_a_response_of_flask(werkzeug: OpenServer, app: Any) -> None:
    with pytest.raises(wschat.OpeningFailed) as failed:
        run_with(werkzeug, app, lambda ws: None, origin="https://evil.example")
    assert failed.value.status == 403
    assert b"https://evil.example" in failed.value.body


def test_what_comes_before_a_request_may_refuse_it(werkzeug: OpenServer, app: Any) -> None:
    app.before_request(lambda: flask.abort(401))
    with pytest.raises(wschat.OpeningFailed) as failed:
        run_with(werkzeug, app, lambda ws: None)
    assert failed.value.status == 401


# The WebSocket


def test_receive_returns_none_after_a_timeout(werkzeug: OpenServer, app: Any) -> None:
    def handler(ws: WebSocket) -> None:
        ws.send(repr(ws.receive(timeout=0.01)))
        ws.send(repr(ws.receive(timeout=TIMEOUT)))

    with run_with(werkzeug, app, handler) as ws:
        assert ws.recv(TIMEOUT) == "None"
        ws.send(b"bytes")
        assert ws.recv(TIMEOUT) == "b'bytes'"


def test_send_sends_bytes_as_binary_and_any_other_object_as_text(werkzeug: OpenServer, app: Any) -> None:
    def handler(ws: WebSocket) -> None:
        for data in ("text", b"bytes", 5):
            ws.send(data)

    with run_with(werkzeug, app, handler) as ws:
        assert [ws.recv(TIMEOUT) for _ in range(3)] == ["text", b"bytes", "5"]


def test_close_takes_a_reason_and_a_message(werkzeug: OpenServer, app: Any) -> None:
    errors: list[Exception] = []
    connected: list[bool] = []

    def handler(ws: WebSocket) -> None:
        connected.append(ws.connected)
        ws.close(reason=3000, message="goodbye")
        connected.append(ws.connected)
        for call in (ws.close, ws.receive, lambda: ws.send("x")):
            with pytest.raises(ConnectionClosed) as closed:
                call()
            errors.append(closed.value)

    with run_with(werkzeug, app, handler) as ws, pytest.raises(wschat.ConnectionClosed) as closed:
        ws.recv(TIMEOUT)
    assert (closed.value.code, closed.value.reason) == (3000, "goodbye")
    eventually(lambda: len(errors) == 3)
    assert connected == [True, False]
    assert [(error.reason, error.message) for error in errors] == [(3000, "goodbye")] * 3  # type: ignore[attr-defined]


def test_the_exception_of_a_handler_that_cleans_up_has_the_code_of_the_client(werkzeug: OpenServer, app: Any) -> None:
    ended = threading.Event()
    closed: list[ConnectionClosed] = []

    def handler(ws: WebSocket) -> None:
        try:
            ws.receive()
        except ConnectionClosed as error:
            closed.append(error)
            ended.set()
            raise

    run_with(werkzeug, app, handler).close(3001, "later")
    assert ended.wait(TIMEOUT)
    assert (closed[0].reason, closed[0].message) == (3001, "later")


def test_the_connection_is_there_for_a_hub(werkzeug: OpenServer, app: Any) -> None:
    hub = wschat.Hub()

    def handler(ws: WebSocket) -> None:
        hub.join(ws.connection)
        hub.broadcast(f"{ws.environ['PATH_INFO']} {ws.subprotocol}")
        ws.receive()

    with run_with(werkzeug, app, handler) as ws:
        assert ws.recv(TIMEOUT) == "/ None"


# Options


def test_the_options_of_flask_sock(werkzeug: OpenServer, app: Any) -> None:
    app.config["SOCK_SERVER_OPTIONS"] = {
        "ping_interval": 0.05,
        "max_message_size": 10,
        "subprotocols": "a",
        "receive_bytes": 4096,
        "thread_class": threading.Thread,
    }
    with run_with(werkzeug, app, lambda ws: ws.receive(), subprotocols=["a"]) as ws:
        assert ws.subprotocol == "a"
        before = ws.bytes_received
        with pytest.raises(TimeoutError):
            ws.recv(0.2)
        assert ws.bytes_received > before  # pings
        ws.send("x" * 11)
        with pytest.raises(wschat.ConnectionClosed) as closed:
            ws.recv(TIMEOUT)
    assert closed.value.code == 1009


def test_the_arguments_of_accept_are_options_too(werkzeug: OpenServer, app: Any) -> None:
    def check(request: wschat.Request) -> None:
        request.identity = "alice"

    limits = wschat.Limits(max_message_bytes=5)
    app.config["SOCK_SERVER_OPTIONS"] = {"origins": ["https://app.example"], "check_request": check, "limits": limits}
    with run_with(werkzeug, app, lambda ws: ws.send(ws.connection.identity), origin="https://app.example") as ws:
        assert ws.recv(TIMEOUT) == "alice"


def test_an_unknown_option_is_named(werkzeug: OpenServer, app: Any, caplog: pytest.LogCaptureFixture) -> None:
    app.config["SOCK_SERVER_OPTIONS"] = {"ping": 5}
    with pytest.raises(wschat.OpeningFailed):
        run_with(werkzeug, app, lambda ws: None)
    assert (
        "SOCK_SERVER_OPTIONS may have check_request, deflate, limits, max_message_size, origins, ping_interval, subprotocols, not ping"
        in (caplog.text)
    )
