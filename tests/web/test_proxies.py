"""Behind nginx and HAProxy, with the configurations of docs/operating.md: clients cannot forge their address."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path

import pytest

import wschat
from tests.concurrency import TIMEOUT
from tests.web.proxies import Proxy, behind_haproxy, behind_nginx

Behind = Callable[..., AbstractContextManager[Proxy]]
both = pytest.mark.parametrize("behind", [behind_nginx, behind_haproxy], ids=["nginx", "haproxy"])
all_ways = pytest.mark.parametrize(
    "behind", [behind_nginx, behind_haproxy, partial(behind_haproxy, appends=True)], ids=["nginx", "haproxy", "haproxy that appends"]
)

ADDRESS_HEADERS = ("Forwarded", "X-Forwarded-For", "X-Real-IP")


def forged_headers(address: str) -> dict[str, str]:
    """Return all headers by which a client could claim an address."""
    return {name: f"for={address}" if name == "Forwarded" else address for name in ADDRESS_HEADERS}


@all_ways
def test_wrong_passwords_are_counted_by_the_real_address(behind: Behind, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("sesame")
    with behind(tmp_path, "--moderator", f"root:{tmp_path / 'password'}") as proxy:
        path = "/chat/api/rooms?name=root&password=wrong"
        statuses = [proxy.ask("GET", path, headers=forged_headers(f"203.0.113.{number}"))[0] for number in range(60)]
    assert statuses[0] == 401
    assert statuses[-1] == 429
    assert set(statuses) == {401, 429}


@all_ways
def test_connections_are_counted_by_the_real_address(behind: Behind, tmp_path: Path) -> None:
    with behind(tmp_path, "--max-connections-per-ip", "2") as proxy, ExitStack() as clients:

        def open_one(number: int) -> None:
            clients.enter_context(proxy.connect("/chat/", forged_headers(f"203.0.113.{number}"))).recv(TIMEOUT)

        open_one(1)
        open_one(2)
        with pytest.raises(wschat.OpeningFailed) as refused:
            open_one(3)
    assert refused.value.status == 503


@both
def test_forged_addresses_give_no_access_to_metrics(behind: Behind, tmp_path: Path) -> None:
    with behind(tmp_path, "--insider", "203.0.113.0/24") as proxy:
        for address in ("127.0.0.1", "203.0.113.1"):
            for headers in (
                forged_headers(address),
                {**forged_headers(address), "Host": "localhost"},
                {**forged_headers(address), "Connection": "X-Forwarded-For"},
            ):
                assert proxy.ask("GET", "/chat/metrics", headers=headers)[0] == 403


@both
def test_forged_host_headers_do_not_allow_another_origin(behind: Behind, tmp_path: Path) -> None:
    headers = {"Origin": "http://evil.test", "X-Forwarded-Host": "evil.test", "Forwarded": "host=evil.test", "X-Forwarded-Prefix": "/x"}
    with behind(tmp_path) as proxy:
        assert proxy.ask("GET", "/chat/api/rooms", headers=headers)[0] == 403


@both
def test_the_chat_works(behind: Behind, tmp_path: Path) -> None:
    with behind(tmp_path) as proxy, proxy.connect("/chat/rooms/tea?name=alice") as ws:
        assert ws.recv(TIMEOUT) == "Welcome to the chat!"
        assert proxy.ask("POST", "/chat/api/rooms/tea/messages", '{"text": "I am a script."}')[0] == 201
        assert ws.recv(TIMEOUT) == "Server: I am a script."


@both
def test_only_an_event_source_is_told_to_reconnect_while_the_server_is_down(behind: Behind, tmp_path: Path) -> None:
    with behind(tmp_path) as proxy:
        proxy.server.stop()
        status, headers, _ = proxy.ask("GET", "/chat/api/rooms/tea/events")
        types = [value for name, value in headers.items() if name.lower() == "content-type"]
        assert (status, types) == (200, ["text/event-stream"])
        assert proxy.ask("GET", "/chat/api/rooms")[0] in (502, 503)
