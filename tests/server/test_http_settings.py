"""The rules for accepting requests: host names and origins."""

from __future__ import annotations

import socket

import pytest

from wschat import Limits, Request, RequestRefused
from wschat.connection.timers import Timers
from wschat.server.allowed_hosts import AllowedHosts
from wschat.server.config import ServerConfig
from wschat.server.connections import Connections
from wschat.server.http_settings import HttpSettings

PAGE = "https://page.example"


def check(headers: dict[str, str], *, hosts: AllowedHosts | None = None, is_from_proxy: bool = False) -> int:
    """Return the status of the refusal, or 200."""
    settings = HttpSettings(Connections(Limits()), Timers(), ServerConfig(origins=[PAGE]), hosts)
    with socket.socket(socket.AF_INET) as sock:
        sock.bind(("127.0.0.1", 0))
        try:
            settings.check_page(Request("GET", "/", headers), sock, is_from_proxy=is_from_proxy)
        except RequestRefused as refusal:
            return refusal.status
    return 200


@pytest.mark.parametrize(
    ("hosts", "is_from_proxy", "status"),
    [
        (None, False, 200),
        (AllowedHosts(), False, 421),
        (AllowedHosts(), True, 200),
        (AllowedHosts(["chat.example.com"]), True, 421),
        (AllowedHosts(["other.example"]), False, 200),
    ],
)
def test_a_proxy_may_use_a_host_name_of_its_own_unless_names_are_configured(
    hosts: AllowedHosts | None, is_from_proxy: bool, status: int
) -> None:
    assert check({"host": "other.example"}, hosts=hosts, is_from_proxy=is_from_proxy) == status


@pytest.mark.parametrize(("origin", "status"), [(PAGE, 200), ("https://evil.test", 403), ("http://localhost:3000", 200)])
def test_pages_of_allowed_and_loopback_origins_are_accepted(origin: str, status: int) -> None:
    assert check({"host": "localhost", "origin": origin}) == status


def test_the_host_is_checked_before_the_origin() -> None:
    assert check({"host": "evil.test", "origin": "http://evil.test"}, hosts=AllowedHosts()) == 421
