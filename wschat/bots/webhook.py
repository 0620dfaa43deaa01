"""A bot that sends what is posted to it by HTTP to a room: `python -m wschat.bots.webhook URL --secret-file FILE`."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, TextIO

import click

from wschat.bots.command import bot_command
from wschat.client.bot.bot import Bot
from wschat.errors import OutcomeUnknown, Rejected, RequestRefused, UsageError, WSChatError
from wschat.server.requests import Request
from wschat.server.responses import Response, json_response
from wschat.server.serve import serve
from wschat.server.server import WebSocketServer

_MAX_BODY = 256 * 1024
_MAX_TEXT = 4000
_MIN_SECRET = 16
_RETRY_SECONDS = 10
_TIMEOUT = 8.0  # GitHub waits 10 seconds for a response
_FIELD = re.compile(r"\{([\w.]+)\}")
_ID = re.compile(r"[\w-]{1,48}", re.ASCII)

TEMPLATES = {
    "push": "{repository.full_name}: {pusher.name} pushed to {ref}: {head_commit.message} {compare}",
    "issues": "{repository.full_name}: {sender.login} {action} issue {issue.number}, {issue.title} {issue.html_url}",
    "issue_comment": "{repository.full_name}: {sender.login} commented on {issue.number}, {issue.title} {comment.html_url}",
    "pull_request": "{repository.full_name}: {sender.login} {action} pull request {number}, {pull_request.title} {pull_request.html_url}",
    "release": "{repository.full_name}: {release.name} {action} {release.html_url}",
    "ping": "{repository.full_name}: the webhook works",
}
"""The texts for the events of GitHub and of servers like it. `{a.b}` is the field `b` of the field `a` of the JSON object."""


def fill(template: str, payload: object) -> str:
    """Return a template with the fields of a JSON object in it; a field that is missing is empty."""
    return " ".join(_FIELD.sub(lambda match: _field(payload, match[1]), template).split())


def _field(value: Any, path: str) -> str:
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    if isinstance(value, str):
        return value.partition("\n")[0]  # of a commit's message, the first line
    return "" if value is None else json.dumps(value, ensure_ascii=False)


class Webhook:
    """The HTTP side: `POST /` for the first room of the bot, `POST /ROOM` for any of its rooms. Raises UsageError for a short secret.

    The body is a JSON object with a `text`, or an event with an `X-GitHub-Event` header that has a template. A request proves that it knows
    the secret by `Authorization: Bearer SECRET`, or by `X-Hub-Signature-256`, the HMAC of the body. The same `X-GitHub-Delivery` or
    `Idempotency-Key` is sent once.
    """

    def __init__(self, bot: Bot, secret: str, templates: Mapping[str, str] = TEMPLATES) -> None:
        if len(secret) < _MIN_SECRET:
            raise UsageError(f"the secret of a webhook must have {_MIN_SECRET} characters or more, not {len(secret)}")
        self._bot = bot
        self._secret = secret.encode()
        self._templates = templates

    def answer(self, request: Request) -> Response:
        """Send what a request asks for. In the connection's own thread; waits for the chat. Raises RequestRefused."""
        if request.method != "POST":
            raise RequestRefused(HTTPStatus.METHOD_NOT_ALLOWED, "Use POST.", {"Allow": "POST"})
        body = request.read_body(_MAX_BODY)
        self._check_secret(request.headers, body)
        room = request.path.strip("/") or self._bot.rooms[0]
        if room not in self._bot.rooms:
            raise RequestRefused(HTTPStatus.NOT_FOUND, f"The bot is not in the room {room[:40]}.")
        text = self._text(request.headers, body)
        if not text:
            return json_response(HTTPStatus.OK, {"sent": False})
        return json_response(HTTPStatus.OK, {"sent": True, "seq": self._say(room, text[:_MAX_TEXT], request.headers)})

    def _check_secret(self, headers: Mapping[str, str], body: bytes) -> None:
        signature = f"sha256={hmac.new(self._secret, body, hashlib.sha256).hexdigest()}"
        bearer = f"Bearer {self._secret.decode()}"
        for name, expected in (("x-hub-signature-256", signature), ("authorization", bearer)):
            if hmac.compare_digest(headers.get(name, "").encode(), expected.encode()):
                return
        raise RequestRefused(HTTPStatus.UNAUTHORIZED, "The secret or the signature is missing or wrong.", {"WWW-Authenticate": "Bearer"})

    def _text(self, headers: Mapping[str, str], body: bytes) -> str:
        try:
            payload = json.loads(body)
        except (ValueError, RecursionError):
            payload = None
        if not isinstance(payload, dict):
            raise RequestRefused(HTTPStatus.BAD_REQUEST, "The body must be one JSON object.")
        if (event := headers.get("x-github-event")) is not None:
            return fill(self._templates.get(event, ""), payload)
        if not isinstance(payload.get("text"), str):
            raise RequestRefused(HTTPStatus.BAD_REQUEST, '"text" must be a string.')
        return str(payload["text"])

    def _say(self, room: str, text: str, headers: Mapping[str, str]) -> int:
        given = headers.get("idempotency-key") or headers.get("x-github-delivery") or ""
        message_id = f"webhook-{given}" if _ID.fullmatch(given) else None
        try:
            return self._bot.client.say(room, text, id=message_id, timeout=_TIMEOUT)
        except Rejected as error:
            raise RequestRefused(HTTPStatus.BAD_GATEWAY, error.text) from None
        except OutcomeUnknown:
            raise RequestRefused(
                HTTPStatus.GATEWAY_TIMEOUT, "The chat has not confirmed the text in time; it may have been sent."
            ) from None
        except (WSChatError, OSError):  # the time is over, or the bot has not started or has ended
            headers = {"Retry-After": str(_RETRY_SECONDS)}
            raise RequestRefused(HTTPStatus.SERVICE_UNAVAILABLE, "The chat cannot be reached.", headers) from None


def open_server(webhook: Webhook, host: str, port: int) -> WebSocketServer:
    """Return a server that listens for the requests of a webhook, and opens no WebSockets. Raises OSError."""

    def refuse(_: Request) -> None:
        raise RequestRefused(HTTPStatus.NOT_FOUND, "There is no WebSocket here.")

    # Each request proves that it knows the secret, so no name of the host needs to be trusted.
    return serve(lambda _: None, host, port, check_request=refuse, http=webhook.answer, allowed_hosts=["*"])


def parse_templates(texts: Iterable[str]) -> dict[str, str]:
    """Return the templates with those of texts like `EVENT=TEMPLATE` added or replaced. Raises UsageError."""
    templates = dict(TEMPLATES)
    for text in texts:
        event, equals, template = text.partition("=")
        if not equals or not event:
            raise UsageError(f"a template must be EVENT=TEMPLATE, not {text!r}")
        templates[event] = template
    return templates


@bot_command("webhook")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8099, show_default=True, help="Port to listen on.")
@click.option("--secret-file", type=click.File(), required=True, help="File with the secret that requests must know.")
@click.option("--template", "templates", multiple=True, metavar="EVENT=TEMPLATE", help="Text for an X-GitHub-Event. May be repeated.")
def main(host: str, port: int, secret_file: TextIO, templates: tuple[str, ...], **options: Any) -> Bot:
    """Send what is posted to an HTTP server to the rooms of the chat at URL: JSON with a "text", or events of GitHub."""
    bot = Bot(**options)
    webhook = Webhook(bot, secret_file.read().strip(), parse_templates(templates))
    server = click.get_current_context().with_resource(open_server(webhook, host, port))
    server.start()
    return bot


if __name__ == "__main__":
    main()
