"""The options of `wschat connect`: conflicts, and the opening request."""

from __future__ import annotations

import re
import ssl
from pathlib import Path
from typing import Any

import pytest

from tests.cli.client.command import run
from tests.client.servers import ConnectProxy
from tests.concurrency import TIMEOUT
from tests.conftest import ServerFactory, url_of
from wschat.cli.client.options import ConnectOptions
from wschat.cli.client.steps import Expect, Send
from wschat.connection.connection import Connection
from wschat.errors import UsageError

URL = "ws://127.0.0.1:8080/"
CONFLICTS: list[tuple[dict[str, Any], str]] = [
    ({"room": "tea", "subprotocols": ["a"]}, "--room and --subprotocol cannot be given together"),
    ({"room": "tea", "binary": True}, "--room and --binary"),
    ({"token": "t", "headers": ["authorization: Basic a"]}, "--token and --header Authorization"),
    ({"insecure": True, "cafile": "a.pem"}, "--insecure and --cafile"),
    ({"json": True, "timestamps": True}, "--json and --timestamps"),
    ({"binary": True, "timestamps": True}, "--binary and --timestamps"),
    ({"replay": "a", "steps": [Send("hi")]}, "--replay and --send or --expect"),
    ({"replay": "a", "count": 1}, "--replay and --count"),
    ({"replay": "a", "record": "a"}, "--record must be another file than --replay"),
    ({"reconnect": True, "steps": [Expect(re.compile("hi"))]}, "--reconnect and --send or --expect"),
    ({"reconnect": True, "replay": "a"}, "--reconnect and --replay"),
    ({"key": "a.pem"}, "--key needs a --cert"),
    ({"speed": 0.0}, "--speed must be greater than 0, not 0"),
    ({"headers": ["no colon"]}, "--header must be NAME:VALUE, not 'no colon'"),
    ({"headers": [": value"]}, "--header must be NAME:VALUE"),
    ({"cookies": ["a"]}, "--cookie must be NAME=VALUE, not 'a'"),
    ({"url": f"{URL}?name=bob", "name": "anna"}, "give a name either by --name or in the URL, not both"),
    ({"url": "http://127.0.0.1/"}, "the URL of a WebSocket must begin with ws:// or wss://, not http://"),
]


@pytest.mark.parametrize(("settings", "error"), CONFLICTS)
def test_options_that_cannot_be_given_together_are_refused(settings: dict[str, Any], error: str) -> None:
    with pytest.raises(UsageError, match=re.escape(error)):
        ConnectOptions(**{"url": URL, **settings})


def test_a_conflict_ends_the_command_with_one_line_and_2() -> None:
    done = run(URL, "--json", "--timestamps")
    assert (done.code, done.out) == (2, b"")
    assert done.err == "wschat: --json and --timestamps cannot be given together: JSON lines have the time\n"


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("ws://a", "ws://a?name=Gr%C3%BC%C3%9Fe%26"),
        ("ws://a/b", "ws://a/b?name=Gr%C3%BC%C3%9Fe%26"),
        ("ws://a/b?c=d", "ws://a/b?c=d&name=Gr%C3%BC%C3%9Fe%26"),
    ],
)
def test_the_name_is_in_the_query(url: str, target: str) -> None:
    assert ConnectOptions(url=url, name="Grüße&").target == target
    assert ConnectOptions(url=url).target == url


def test_messages_name_the_url_without_query_and_credentials() -> None:
    assert ConnectOptions(url="wss://user:secret@a:44/b?token=c", name="d").place == "wss://a:44/b"


def test_the_opening_request_of_the_options(serve: ServerFactory) -> None:
    requests: list[Connection] = []
    server = serve(requests.append, subprotocols=["b"], origins=["*"], check_request=None)
    options = ConnectOptions(
        url=url_of(server),
        headers=["X-A: 1", "x-b:2"],
        cookies=["c=3", "d=4=5"],
        token="t",
        origin="http://o",
        subprotocols=["a", "b"],
        name="anna",
        ping_interval=3.0,
    )
    with options.open(subprotocols=["not offered"]) as ws:
        assert ws.subprotocol == "b"
        with pytest.raises(Exception, match="1000"):
            ws.recv(TIMEOUT)
    (request,) = requests
    sent = {name: request.headers[name] for name in ("x-a", "x-b", "cookie", "authorization", "origin")}
    assert sent == {"x-a": "1", "x-b": "2", "cookie": "c=3; d=4=5", "authorization": "Bearer t", "origin": "http://o"}
    assert request.path == "/?name=anna"


def test_limits_of_the_connection() -> None:
    limits = ConnectOptions(url=URL, ping_interval=3.0).limits
    assert (limits.ping_interval, limits.max_message_bytes) == (3.0, 100 << 20)


def test_a_proxy_and_none(echo_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with ConnectProxy() as proxy:
        assert run(echo_url, "--proxy", f"http://{proxy.place}", "--send", "hi", "--expect", "hi").code == 0
        assert len(proxy.heads) == 1
    monkeypatch.setenv("ws_proxy", f"http://{proxy.place}")  # which has been stopped
    monkeypatch.setenv("no_proxy", "")
    assert run(echo_url, "--send", "hi").code == 3
    assert run(echo_url, "--proxy", "", "--send", "hi", "--expect", "hi").code == 0


def test_subprotocols_of_the_mode_are_offered_without_any_of_the_user(serve: ServerFactory) -> None:
    server = serve(lambda ws: None, subprotocols=["wschat.v1"])
    with ConnectOptions(url=url_of(server)).open(subprotocols=["wschat.v1"]) as ws:
        assert ws.subprotocol == "wschat.v1"
    with ConnectOptions(url=url_of(server)).open() as ws:
        assert ws.subprotocol is None


@pytest.mark.parametrize("option", ["binary", "json", "quiet"])
def test_options_for_pipes_are_not_for_the_screen(option: str) -> None:
    assert ConnectOptions(url=URL, **{option: True}).is_for_pipes  # type: ignore[arg-type]
    assert not ConnectOptions(url=URL, reconnect=True, name="anna", record="file").is_for_pipes


def test_environment_variables_are_options(echo_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WSCHAT_CLIENT_JSON", "1")
    monkeypatch.setenv("WSCHAT_CLIENT_TIMESTAMPS", "1")
    assert run(echo_url).code == 2


def test_the_certificate_of_a_client(serve: ServerFactory, certificate: Path) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(certificate))
    context.load_cert_chain(certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    server = serve(lambda ws: ws.send("hi"), tls=context)
    url = f"wss://127.0.0.1:{server.port}/"
    done = run(url, "--cafile", str(certificate), "--cert", str(certificate))
    assert (done.code, done.lines, done.err) == (0, ["hi"], "")
    assert run(url, "--cafile", str(certificate)).code == 3


def test_insecure_prints_a_warning(serve: ServerFactory, certificate: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    url = f"wss://127.0.0.1:{serve(lambda ws: ws.send('hi'), tls=context).port}/"
    refused = run(url)
    assert refused.code == 3
    assert "cannot be verified: self-signed certificate (if you trust it: --cafile FILE)" in refused.err
    done = run(url, "--insecure")
    assert (done.code, done.lines) == (0, ["hi"])
    assert done.err == "wschat: the certificate of the server is not verified (--insecure)\n"
    assert run(url, "--insecure", "--quiet").err == ""
