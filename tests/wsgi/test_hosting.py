"""Applications whose routes call `accept`, in wschat's own server."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

import wschat
from tests.concurrency import TIMEOUT
from tests.conftest import ServerFactory, until_logged
from tests.tls import client_context
from tests.wsgi.wiring import check_echo, echo_app
from wschat.server.tls import Certificate
from wschat.wsgi import WebSocketApp, handler_for


def closed_with(url: str) -> tuple[int, str]:
    """Connect, and return the code and the reason with which the server closes the connection."""
    with wschat.connect(url) as ws, pytest.raises(wschat.ConnectionClosed) as closed:
        ws.recv(TIMEOUT)
    return closed.value.code, closed.value.reason


def url_of(serve: ServerFactory, app: Any, path: str = "/", **options: Any) -> str:
    return f"ws://127.0.0.1:{serve(handler_for(app), wsgi=app, **options).port}{path}"


def test_a_route_takes_the_websocket_of_the_server(serve: ServerFactory) -> None:
    check_echo(url_of(serve, echo_app()))


def test_a_route_sees_the_request(serve: ServerFactory) -> None:
    seen: list[dict[str, Any]] = []

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        seen.append(environ)
        return echo_app()(environ, start_response)

    check_echo(url_of(serve, app, "/a%20b?x=1"), headers={"X-Colour": "red"})
    (environ,) = seen
    assert (environ["PATH_INFO"], environ["QUERY_STRING"], environ["HTTP_X_COLOUR"]) == ("/a b", "x=1", "red")
    assert environ["REMOTE_ADDR"] == "127.0.0.1"


@pytest.mark.parametrize(("headers", "scheme"), [({}, "http"), ({"X-Forwarded-Proto": "https"}, "https")])
def test_a_route_sees_the_scheme_that_a_trusted_proxy_names(serve: ServerFactory, headers: dict[str, str], scheme: str) -> None:
    with wschat.connect(url_of(serve, scheme_app(), trusted_proxies=["127.0.0.1"]), headers=headers) as ws:
        assert ws.recv(TIMEOUT) == scheme


def test_a_route_sees_https_over_tls(serve: ServerFactory, certificate: Path) -> None:
    url = url_of(serve, scheme_app(), tls=Certificate(certificate).context).replace("ws:", "wss:")
    with wschat.connect(url, tls=client_context(certificate)) as ws:
        assert ws.recv(TIMEOUT) == "https"


def scheme_app() -> Callable[..., Iterable[bytes]]:
    """Return an application whose WebSockets tell the scheme in the environ, in which it must be twice."""

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        assert ("HTTPS" in environ) == (environ["wsgi.url_scheme"] == "https")
        return WebSocketApp(lambda ws: ws.send(environ["wsgi.url_scheme"]))(environ, start_response)

    return app


def test_a_route_checks_the_request_itself(serve: ServerFactory) -> None:
    def check(request: wschat.Request) -> None:
        if request.query.get("name") != "alice":
            raise wschat.RequestRefused(403, "You are not alice.")
        request.identity = "alice"

    app = WebSocketApp(lambda ws: ws.send(str(ws.identity)), check_request=check)
    with wschat.connect(url_of(serve, app, "/?name=alice")) as ws:
        assert ws.recv(TIMEOUT) == "alice"
    assert closed_with(url_of(serve, app)) == (1008, "403 Forbidden")


def test_an_application_that_opens_no_websocket_closes_it_with_the_status(serve: ServerFactory) -> None:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"There is nothing here."]

    assert closed_with(url_of(serve, app)) == (1008, "404 Not Found")


def test_a_route_that_fails_closes_with_1011_and_is_logged(serve: ServerFactory, caplog: pytest.LogCaptureFixture) -> None:
    def fail(ws: wschat.Connection) -> None:
        raise LookupError("no such thing")

    assert closed_with(url_of(serve, WebSocketApp(fail))) == (1011, "")
    assert until_logged(caplog, "failed").exc_info


def test_an_application_that_fails_before_closes_with_1008_and_500(serve: ServerFactory, caplog: pytest.LogCaptureFixture) -> None:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        raise LookupError("no such thing")

    assert closed_with(url_of(serve, app)) == (1008, "500 Internal Server Error")
    assert until_logged(caplog, "failed").exc_info
