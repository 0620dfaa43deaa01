"""`wschat say URL ROOM TEXT`: one message over HTTP, for scripts and cron jobs."""

from __future__ import annotations

import json
import ssl
import sys
import threading
import uuid
from http.client import HTTPException
from time import monotonic
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import HTTPRedirectHandler, Request, build_opener

import click

from wschat.cli.client.exit_codes import CommandExit, ExitCode
from wschat.client.uri import WebSocketURI, parse_uri
from wschat.errors import UsageError

# What may pass: too many requests, and a server that cannot write its history, or stops.
_TEMPORARY = (429, 502, 503, 504)
_PAUSE = 0.5  # seconds between two attempts, unless the server says how long
_MAX_ERROR_BYTES = 10_000


@click.command("say", context_settings={"show_default": True, "max_content_width": 120})
@click.argument("url")
@click.argument("room")
@click.argument("text")
@click.option("--name", help="Name of the author.  [default: Server]")
@click.option("--id", "message_id", help="Id of the message: a text that is said again with its id is said once.  [default: a new one]")
@click.option("--token", envvar="WSCHAT_CLIENT_TOKEN", show_envvar=True, help="Token for a chat that needs one.")
@click.option("--timeout", type=click.FloatRange(0), default=10.0, help="Seconds for which it is tried again.")
@click.pass_context
def main(context: click.Context, /, url: str, room: str, text: str, **options: Any) -> None:
    """Say TEXT in ROOM of the chat at URL, and print the number of the message.

    URL is that of the page, such as http://127.0.0.1:8080/. If TEXT is -, it is read from standard input.

    The exit code is 0 if the message is in the log, 2 for wrong options, and 3 if the server could not be reached or refused.
    """
    try:
        print(_say(url, room, sys.stdin.read().removesuffix("\n") if text == "-" else text, **options))
    except UsageError as error:
        raise click.UsageError(str(error)) from None
    except CommandExit as end:
        end.show()
        context.exit(end.code)


def _say(url: str, room: str, text: str, name: str | None, message_id: str | None, token: str | None, timeout: float) -> int:
    """Post a message, again and again until it is known to be in the log. Return its number. Raises CommandExit and UsageError."""
    uri = _uri_of(url)
    fields = {"text": text, "id": message_id or uuid.uuid4().hex} | ({"name": name} if name is not None else {})
    request = Request(
        f"{uri.http_url.partition('?')[0].rstrip('/')}/api/rooms/{quote(room, safe='')}/messages", json.dumps(fields).encode()
    )
    request.add_header("Content-Type", "application/json")
    if token is not None:
        request.add_header("Authorization", f"Bearer {token}")
    give_up_at = monotonic() + timeout
    while True:
        left = max(0.0, give_up_at - monotonic())
        try:
            return _post(request, max(left, _PAUSE))
        except HTTPError as error:
            problem, pause = f"{uri.without_query} refused: {_text_of(error)}", _pause_of(error)
            is_final = error.code not in _TEMPORARY
        except (OSError, HTTPException) as error:
            reason = error.reason if isinstance(error, URLError) else error
            problem, pause = f"cannot reach {uri.without_query}: {reason}", _PAUSE
            is_final = isinstance(reason, ssl.SSLCertVerificationError)
        if is_final or left <= pause:
            raise CommandExit(ExitCode.NOT_CONNECTED, problem)
        threading.Event().wait(pause)


def _uri_of(url: str) -> WebSocketURI:
    scheme, separator, rest = url.partition("://")
    return parse_uri(f"{scheme.replace('http', 'ws')}{separator}{rest}")


class _NoRedirects(HTTPRedirectHandler):
    """Follows no redirect: urllib would make another request of the post."""

    def redirect_request(self, *_: object) -> None:
        return None


def _post(request: Request, timeout: float) -> int:
    with build_opener(_NoRedirects).open(request, timeout=timeout) as response:
        return int(json.load(response)["seq"])


def _text_of(error: HTTPError) -> str:
    """Return the status and the text of a response that is an error."""
    with error:
        body = error.read(_MAX_ERROR_BYTES).decode(errors="replace")
    try:
        text = str(json.loads(body)["text"])
    except (KeyError, TypeError, ValueError):
        text = body.partition("\n")[0]
    return f"{error.code} {text or error.reason}"


def _pause_of(error: HTTPError) -> float:
    seconds = error.headers.get("Retry-After", "")
    return float(seconds) if seconds.isdecimal() else _PAUSE
