"""Proxies: whose word counts for the address that a request comes from."""

from __future__ import annotations

import pytest

from wschat import UsageError
from wschat.server.proxies import is_within, parse_networks, vouched_address

TRUSTED = parse_networks(["10.0.0.0/8", "::1", "192.0.2.7"])


@pytest.mark.parametrize(
    ("host", "trusted"),
    [
        ("10.1.2.3", True),
        ("192.0.2.7", True),
        ("192.0.2.8", False),
        ("::1", True),
        ("::2", False),
        ("::ffff:10.1.2.3", True),
        ("nonsense", False),
    ],
)
def test_who_is_trusted(host: str, trusted: bool) -> None:
    assert is_within(host, TRUSTED) is trusted


@pytest.mark.parametrize(
    ("name", "value", "address"),
    [
        ("x-forwarded-for", "203.0.113.9", "203.0.113.9"),
        ("x-forwarded-for", "203.0.113.9:4711", "203.0.113.9"),
        ("x-forwarded-for", "2001:db8::1", "2001:db8::1"),
        ("x-forwarded-for", "[2001:db8::1]:4711", "2001:db8::1"),
        ("x-forwarded-for", "::ffff:203.0.113.9", "203.0.113.9"),
        # Only the proxies that are trusted are believed: what stands left of a stranger is the stranger's own word.
        ("x-forwarded-for", "198.51.100.1, 203.0.113.9", "203.0.113.9"),
        ("x-forwarded-for", "198.51.100.1, 203.0.113.9, 10.9.9.9", "203.0.113.9"),
        ("x-forwarded-for", "10.9.9.9, 10.8.8.8", "10.9.9.9"),
        ("x-forwarded-for", "203.0.113.9, unknown", "10.0.0.1"),
        ("x-forwarded-for", "203.0.113.9, evil\x1b[2J", "10.0.0.1"),
        ("x-forwarded-for", "", "10.0.0.1"),
        ("forwarded", "for=203.0.113.9", "203.0.113.9"),
        ("forwarded", 'proto=https;For="[2001:db8::1]:4711";by=10.0.0.1', "2001:db8::1"),
        ("forwarded", "for=198.51.100.1, for=203.0.113.9;proto=http, for=10.9.9.9", "203.0.113.9"),
        ("forwarded", "for=203.0.113.9, for=_hidden", "10.0.0.1"),
        ("forwarded", "for=203.0.113.9, proto=http", "10.0.0.1"),
        ("x-real-ip", "203.0.113.9", "10.0.0.1"),
    ],
)
def test_the_address_that_a_proxy_vouches_for(name: str, value: str, address: str) -> None:
    assert vouched_address({name: value}, "10.0.0.1", TRUSTED) == address


def test_forwarded_counts_before_x_forwarded_for() -> None:
    assert vouched_address({"forwarded": "for=203.0.113.9", "x-forwarded-for": "198.51.100.1"}, "10.0.0.1", TRUSTED) == "203.0.113.9"


def test_a_network_of_ipv4_may_be_written_as_one_of_ipv6() -> None:
    networks = parse_networks(["::ffff:203.0.113.0/120", "::ffff:198.51.100.1"])
    assert all(is_within(host, networks) for host in ("203.0.113.9", "::ffff:203.0.113.9", "198.51.100.1"))
    assert not any(is_within(host, networks) for host in ("203.0.114.1", "198.51.100.2", "::1"))


@pytest.mark.parametrize("text", ["", "proxy.test", "10.0.0.1/8", "10.0.0.0/33"])
def test_what_is_no_network_is_told_so(text: str) -> None:
    with pytest.raises(UsageError, match="no address and no network"):
        parse_networks([text])
