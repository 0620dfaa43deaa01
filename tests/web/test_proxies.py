"""Behind nginx and HAProxy, with the configurations of docs/operating.md: a client that lies about its address gains nothing."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path

import pytest

import wschat
from tests.server.raw import PATIENCE
from tests.web.proxies import Proxy, behind_haproxy, behind_nginx

Behind = Callable[..., AbstractContextManager[Proxy]]
both = pytest.mark.parametrize("behind", [behind_nginx, behind_haproxy], ids=["nginx", "haproxy"])
all_ways = pytest.mark.parametrize(
    "behind", [behind_nginx, behind_haproxy, partial(behind_haproxy, appends=True)], ids=["nginx", "haproxy", "haproxy that appends"]
)

LYING_HEADERS = ("Forwarded", "X-Forwarded-For", "X-Real-IP")


def lie(address: str) -> dict[str, str]:
    """All the headers in which a client could claim to be at an address."""
    return {name: f"for={address}" if name == "Forwarded" else address for name in LYING_HEADERS}


@all_ways
def test_wrong_passwords_are_counted_for_who_sends_them(behind: Behind, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("sesame")
    with behind(tmp_path, "--moderator", f"root:{tmp_path / 'password'}") as proxy:
        path = "/chat/api/rooms?name=root&password=wrong"
        statuses = [proxy.ask("GET", path, headers=lie(f"203.0.113.{number}"))[0] for number in range(60)]
    assert statuses[0] == 401
    assert statuses[-1] == 429
    assert set(statuses) == {401, 429}


@all_ways
def test_connections_are_counted_for_who_opens_them(behind: Behind, tmp_path: Path) -> None:
    with behind(tmp_path, "--max-connections-per-ip", "2") as proxy, ExitStack() as clients:

        def open_one(number: int) -> None:
            clients.enter_context(proxy.connect("/chat/", lie(f"203.0.113.{number}"))).recv(PATIENCE)

        open_one(1)
        open_one(2)
        with pytest.raises(wschat.OpeningFailed) as refused:
            open_one(3)
    assert refused.value.status == 503


@both
def test_nobody_gets_in_by_claiming_to_be_on_the_machine_or_in_a_network(behind: Behind, tmp_path: Path) -> None:
    with behind(tmp_path, "--insider", "203.0.113.0/24") as proxy:
        for address in ("127.0.0.1", "203.0.113.1"):
            for headers in (lie(address), {**lie(address), "Host": "localhost"}, {**lie(address), "Connection": "X-Forwarded-For"}):
                assert proxy.ask("GET", "/chat/metrics", headers=headers)[0] == 403


@both
def test_a_page_of_another_origin_gains_nothing_by_naming_its_host_elsewhere(behind: Behind, tmp_path: Path) -> None:
    headers = {"Origin": "http://evil.test", "X-Forwarded-Host": "evil.test", "Forwarded": "host=evil.test", "X-Forwarded-Prefix": "/x"}
    with behind(tmp_path) as proxy:
        assert proxy.ask("GET", "/chat/api/rooms", headers=headers)[0] == 403


@both
def test_the_chat_works(behind: Behind, tmp_path: Path) -> None:
    with behind(tmp_path) as proxy, proxy.connect("/chat/rooms/tea?name=alice") as ws:
        assert ws.recv(PATIENCE) == "Welcome to the chat!"
        assert proxy.ask("POST", "/chat/api/rooms/tea/messages", '{"text": "I am a script."}')[0] == 201
        assert ws.recv(PATIENCE) == "Server: I am a script."


@both
def test_only_an_event_source_is_told_to_come_back_while_the_server_is_away(behind: Behind, tmp_path: Path) -> None:
    with behind(tmp_path) as proxy:
        proxy.server.stop()
        status, headers, _ = proxy.ask("GET", "/chat/api/rooms/tea/events")
        types = [value for name, value in headers.items() if name.lower() == "content-type"]
        assert (status, types) == (200, ["text/event-stream"])
        assert proxy.ask("GET", "/chat/api/rooms")[0] in (502, 503)
