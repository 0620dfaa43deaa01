"""Trusted proxies, and the client address that they report."""

from __future__ import annotations

import pytest

from wschat import UsageError
from wschat.server.proxies import PROXY_HEADERS, PROXY_PROTOCOL, Proxies, is_within, parse_networks

NETWORKS = ["10.0.0.0/8", "::1", "192.0.2.7"]
TRUSTED = parse_networks(NETWORKS)


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
def test_which_addresses_are_trusted(host: str, trusted: bool) -> None:
    assert is_within(host, TRUSTED) is trusted


@pytest.mark.parametrize(
    ("name", "value", "address"),
    [
        ("x-forwarded-for", "203.0.113.9", "203.0.113.9"),
        ("x-forwarded-for", "203.0.113.9:4711", "203.0.113.9"),
        ("x-forwarded-for", "2001:db8::1", "2001:db8::1"),
        ("x-forwarded-for", "[2001:db8::1]:4711", "2001:db8::1"),
        ("x-forwarded-for", "::ffff:203.0.113.9", "203.0.113.9"),
        # Entries left of an untrusted address were written by that client, so they do not count.
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
        ("forwarded", 'for=203.0.113.9;by="10.0.0.1', "203.0.113.9"),
        ("forwarded", 'for="198.51.100.1, for=203.0.113.9', "203.0.113.9"),  # a quote that a client has left open
        ("forwarded", "for=198.51.100.1;for=203.0.113.9", "10.0.0.1"),  # which of them the proxy wrote is unknown
        ("x-real-ip", "203.0.113.9", "203.0.113.9"),
        ("x-real-ip", "[2001:db8::1]:4711", "2001:db8::1"),
        ("x-real-ip", "198.51.100.1, 203.0.113.9", "10.0.0.1"),
        ("x-real-ip", "", "10.0.0.1"),
        # A zone can be any text. With it, a client could have any number of addresses and write into the log.
        ("x-forwarded-for", "fe80::1%eth0", "fe80::1"),
        ("x-forwarded-for", "fe80::1%evil\x1b[2J", "fe80::1"),
        ("forwarded", 'for="[fe80::1%eth0]:4711"', "fe80::1"),
        ("x-real-ip", "fe80::1%eth0", "fe80::1"),
    ],
)
def test_the_client_address_that_a_proxy_reports(name: str, value: str, address: str) -> None:
    assert Proxies.parse(NETWORKS, name).client_address({name: value}, "10.0.0.1") == address


@pytest.mark.parametrize("header", sorted({*PROXY_HEADERS} - {PROXY_PROTOCOL}))
def test_only_the_configured_header_is_read(header: str) -> None:
    headers = {"x-forwarded-for": "203.0.113.9", "forwarded": "for=203.0.113.9", "x-real-ip": "203.0.113.9"}
    assert Proxies.parse(NETWORKS, header).client_address(headers, "10.0.0.1") == "203.0.113.9"
    del headers[header]
    assert Proxies.parse(NETWORKS, header).client_address(headers, "10.0.0.1") == "10.0.0.1"


def test_the_header_may_be_given_in_any_case_but_must_be_a_known_one() -> None:
    assert Proxies.parse(NETWORKS, "X-Real-IP").header == "x-real-ip"
    with pytest.raises(UsageError, match="one of x-forwarded-for, forwarded, x-real-ip, proxy-protocol, not 'x-client-ip'"):
        Proxies.parse(NETWORKS, "x-client-ip")


def test_the_client_of_a_unix_socket_is_a_proxy_only_if_proxies_are_configured() -> None:
    assert Proxies.parse(NETWORKS, "forwarded").include(None)
    assert not Proxies().include(None)


def test_an_ipv4_network_may_be_written_as_an_ipv6_network() -> None:
    networks = parse_networks(["::ffff:203.0.113.0/120", "::ffff:198.51.100.1"])
    assert all(is_within(host, networks) for host in ("203.0.113.9", "::ffff:203.0.113.9", "198.51.100.1"))
    assert not any(is_within(host, networks) for host in ("203.0.114.1", "198.51.100.2", "::1"))


@pytest.mark.parametrize("text", ["", "proxy.test", "10.0.0.1/8", "10.0.0.0/33"])
def test_an_invalid_network_raises_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="no address and no network"):
        parse_networks([text])


@pytest.mark.parametrize(("text", "instead"), [("fe80::1%eth0", "fe80::1"), ("fe80::%eth0/64", "fe80::/64")])
def test_the_error_for_a_network_with_a_zone_shows_how_to_write_it(text: str, instead: str) -> None:
    with pytest.raises(UsageError, match=f"without a zone, .*{instead}$"):
        parse_networks([text])


def test_a_peer_with_a_zone_is_in_the_network_of_its_address() -> None:
    assert is_within("fe80::1%eth0", parse_networks(["fe80::/10"]))
