"""The bot that sends the texts posted to it."""

from __future__ import annotations

import hashlib
import hmac
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

import wschat
from tests.bots.conftest import until_connected
from tests.chat.wiring import Client, Guests
from tests.conftest import ServerFactory, url_of
from wschat import Bot, UsageError
from wschat.bots import webhook
from wschat.bots.webhook import TEMPLATES, Webhook, fill, main, open_server, parse_templates
from wschat.chat.chat import SUBPROTOCOLS
from wschat.events import Ack, Joined, Welcome

SECRET = "a secret of the webhook"
PUSH = {
    "ref": "refs/heads/main",
    "compare": "https://example.com/compare",
    "repository": {"full_name": "alice/tea"},
    "pusher": {"name": "alice"},
    "head_commit": {"message": "Boil the water\n\nIt was cold."},
}


class Post:
    """Posts to the webhook."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"

    def __call__(
        self, body: object, path: str = "/", headers: dict[str, str] | None = None, method: str = "POST", secret: str = SECRET
    ) -> tuple[int, Any]:
        """Return the status and the JSON of the response."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data, {"Authorization": f"Bearer {secret}", **(headers or {})}, method=method)
        try:
            with urllib.request.urlopen(request) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)


@pytest.fixture
def bot(chat: Guests) -> Bot:
    return Bot(url_of(chat.server), name="webhook", rooms=["tea", "coffee"])


@pytest.fixture
def post(bot: Bot) -> Iterator[Post]:
    with open_server(Webhook(bot, SECRET), "127.0.0.1", 0) as server:
        server.start()
        yield Post(server.port)


@pytest.fixture
def alice(chat: Guests, bot: Bot) -> Iterator[Client]:
    """A client in the rooms of the bot, which is running."""
    client = chat.v1("alice", "tea")
    client.join("coffee")
    with bot:
        until_connected(bot)
        yield client


def test_a_text_is_sent_to_a_room(post: Post, alice: Client) -> None:
    assert post({"text": "/boils"}) == (200, {"sent": True, "seq": 1})
    assert post({"text": "ground"}, path="/coffee") == (200, {"sent": True, "seq": 1})
    messages = [alice.next("message") for _ in range(2)]
    assert [(message["room"], message["from"], message["text"]) for message in messages] == [
        ("tea", "webhook", "/boils"),
        ("coffee", "webhook", "ground"),
    ]


def test_an_event_of_github_is_sent_by_its_template(post: Post, alice: Client) -> None:
    body = json.dumps(PUSH).encode()
    signature = f"sha256={hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()}"
    headers = {"X-GitHub-Event": "push", "X-GitHub-Delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958", "X-Hub-Signature-256": signature}
    for _ in range(2):  # GitHub repeats a request that it got no response to
        assert post(body, headers=headers, secret="") == (200, {"sent": True, "seq": 1})
    text = "alice/tea: alice pushed to refs/heads/main: Boil the water https://example.com/compare"
    assert alice.next("message")["text"] == text
    assert post({"zen": "Keep it simple."}, headers={"X-GitHub-Event": "star"}) == (200, {"sent": False})


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        ({"secret": "wrong"}, 401, "The secret or the signature is missing or wrong."),
        ({"secret": ""}, 401, "The secret"),
        ({"secret": "", "headers": {"X-Hub-Signature-256": "sha256=00"}}, 401, "The secret"),
        ({"secret": "caf\xe9"}, 401, "The secret"),
        ({"method": "PUT"}, 405, "Use POST."),
        ({"path": "/milk"}, 404, "The bot is not in the room milk."),
        ({"body": b"text=hi"}, 400, "The body must be one JSON object."),
        ({"body": b"[" * 100_000}, 400, "The body must be one JSON object."),
        ({"body": []}, 400, "The body must be one JSON object."),
        ({"body": {}}, 400, '"text" must be a string.'),
        ({"body": {"text": 3}}, 400, '"text" must be a string.'),
        ({"body": {"text": "x" * 300_000}}, 413, ""),
    ],
)
def test_other_requests_are_refused(post: Post, arguments: dict[str, Any], status: int, text: str) -> None:
    answered, answer = post(**{"body": {"text": "hi"}, **arguments})
    assert answered == status
    assert text in json.dumps(answer, ensure_ascii=False).replace('\\"', '"')


def test_any_host_name_is_accepted(post: Post, alice: Client) -> None:
    assert post({"text": "hi"}, headers={"Host": "hooks.example.com"}) == (200, {"sent": True, "seq": 1})


def silent_chat(ws: wschat.Connection) -> None:
    """Answer all requests but `say`."""
    ws.send(Welcome("silent", None, {}).as_json())
    for text in ws:
        request = json.loads(text)
        if request["type"] == "join":
            ws.send(Joined("tea", "epoch", 0, [], [], False, False, request["id"]).as_json())
        elif request["type"] != "say":
            ws.send(Ack(request["id"]).as_json())


def test_without_a_reply_in_time_the_outcome_is_unknown(serve: ServerFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "_TIMEOUT", 0.2)
    server = serve(silent_chat, subprotocols=SUBPROTOCOLS)
    with Bot(url_of(server), name="webhook", rooms=["tea"]) as bot, open_server(Webhook(bot, SECRET), "127.0.0.1", 0) as hook:
        hook.start()
        until_connected(bot)
        status, answer = Post(hook.port)({"text": "hi"})
    assert status == 504
    assert "it may have been sent" in json.dumps(answer)


def test_without_a_connection_to_the_chat_the_client_should_retry(post: Post) -> None:
    status, answer = post({"text": "hi"})
    assert status == 503
    assert "The chat cannot be reached." in json.dumps(answer)


def test_a_rejection_by_the_chat_is_a_bad_gateway(post: Post, bot: Bot, alice: Client) -> None:
    bot.client.leave("tea")
    status, answer = post({"text": "hi"})
    assert status == 502
    assert "You are not in" in json.dumps(answer)


def test_no_websocket_is_opened(bot: Bot) -> None:
    with open_server(Webhook(bot, SECRET), "127.0.0.1", 0) as server:
        server.start()
        with pytest.raises(wschat.OpeningFailed) as failed:
            wschat.connect(url_of(server))
        assert failed.value.status == 404


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{pusher.name}: {head_commit.message}", "alice: Boil the water"),
        ("{missing}{pusher.missing.name}{ref.name}<{pusher}>", '<{"name": "alice"}>'),
        ("{pusher.__class__} {0}", ""),
    ],
)
def test_templates(template: str, text: str) -> None:
    assert fill(template, PUSH) == text


def test_templates_of_the_command_line() -> None:
    assert parse_templates(["push=pushed", "star={action}=x"]) == {**TEMPLATES, "push": "pushed", "star": "{action}=x"}
    for text in ("push", "=x"):
        with pytest.raises(UsageError, match="a template must be EVENT=TEMPLATE"):
            parse_templates([text])


def test_a_short_secret_is_an_error(bot: Bot, tmp_path: Path, invoke: Callable[..., Result]) -> None:
    with pytest.raises(UsageError, match="the secret of a webhook must have 16 characters or more, not 5"):
        Webhook(bot, "short")
    (tmp_path / "secret").write_text("short\n")
    result = invoke(main, ["ws://chat", "--secret-file", str(tmp_path / "secret")])
    assert result.exit_code == 2
    assert "16 characters or more" in result.output


def test_the_command_serves_until_the_bot_ends(
    chat: Guests, tmp_path: Path, invoke: Callable[..., Result], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "secret").write_text(SECRET)
    arguments = [url_of(chat.server), "--name", "root", "--port", "0", "--secret-file", str(tmp_path / "secret")]
    assert invoke(main, arguments).exit_code == 3  # root needs a password
    assert "listening on" in caplog.text
