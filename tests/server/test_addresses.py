"""IP addresses: parsing, normalizing, and loopback addresses."""

from __future__ import annotations

import pytest

from wschat.server.addresses import host_of, is_loopback, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("fe80::1%", "fe80::1"),
        ("::ffff:203.0.113.7%any text", "203.0.113.7"),
        ("203.0.113.7%eth0", None),  # only IPv6 addresses have zones
        ("203.0.113.07", None),
        ("eth0", None),
        ("", None),
    ],
)
def test_parsing_normalizes_an_address_or_rejects_it(text: str, address: str | None) -> None:
    parsed = parse_address(text)
    assert (parsed if parsed is None else str(parsed)) == address


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("LOCALHOST", True),
        ("a.localhost", True),
        ("127.0.0.1", True),
        ("127.255.0.1", True),
        ("::1", True),
        ("notlocalhost", False),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
        ("::2", False),
        ("::1%lo", True),
        ("::ffff:127.0.0.1", True),
        ("fe80::1%eth0", False),
        ("example.com", False),
        ("", False),
    ],
)
def test_which_hosts_are_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) == expected


def test_the_host_of_a_socket_address() -> None:
    assert host_of(("203.0.113.7", 80)) == "203.0.113.7"
    assert host_of(("fe80::1", 80, 0, 4)) == "fe80::1"
    assert host_of("") is None  # a Unix socket's client
