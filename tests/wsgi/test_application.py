"""A handler as a WSGI application, and its responses."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest

import wschat
from tests.wsgi.wiring import echo_app
from wschat.wsgi import WebSocketApp


def call(app: Any, **changes: Any) -> tuple[str, dict[str, str], bytes]:
    """Call an application with a request for a page, checked by wsgiref."""
    environ: dict[str, Any] = {"QUERY_STRING": ""}
    setup_testing_defaults(environ)
    environ.update(changes)
    started: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        started.append((status, headers))

    body: Iterable[bytes] = validator(app)(environ, start_response)
    content = b"".join(body)
    body.close()  # type: ignore[attr-defined]
    ((status, headers),) = started
    return status, dict(headers), content


def test_a_refusal_has_a_text_and_no_header_of_the_connection() -> None:
    status, headers, body = call(echo_app(), SERVER_PROTOCOL="HTTP/1.1")
    assert status == "426 Upgrade Required"
    assert body == b"This is a WebSocket server: connect with a WebSocket client.\n"
    assert headers == {
        "Content-Type": "text/plain; charset=utf-8",
        "Content-Length": str(len(body)),
        "Sec-WebSocket-Version": "13",
    }


def test_a_request_in_http_1_0_is_refused() -> None:
    assert call(echo_app(), SERVER_PROTOCOL="HTTP/1.0", HTTP_UPGRADE="websocket")[0] == "400 Bad Request"


async def async_handler(ws: wschat.Connection) -> None:
    pass


@pytest.mark.parametrize("handler", [None, async_handler, lambda: None])
def test_a_handler_that_could_never_work_is_refused(handler: Any) -> None:
    with pytest.raises(wschat.UsageError, match="handler"):
        WebSocketApp(handler)


@pytest.mark.parametrize(
    ("options", "text"),
    [({"origins": "https://a.example"}, "origins must be a list"), ({"limits": 5}, "limits must be a wschat.Limits")],
)
def test_options_are_checked(options: dict[str, Any], text: str) -> None:
    with pytest.raises(wschat.UsageError, match=text):
        call(echo_app(**options))
