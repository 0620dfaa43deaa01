"""Addresses of clients: which count as the same network."""

from __future__ import annotations

import pytest

from wschat.chat.addresses import address_of, is_same_network, network_of


@pytest.mark.parametrize(
    ("remote_address", "address"),
    [
        (("203.0.113.7", 1), "203.0.113.7"),
        (("::ffff:203.0.113.7", 1, 0, 0), "203.0.113.7"),
        (("fe80::1", 1, 0, 4), "fe80::1"),
        (("fe80::1%eth0", 1, 0, 4), "fe80::1"),
        ("", None),  # a Unix socket's client
    ],
)
def test_only_a_unix_socket_has_no_address(remote_address: object, address: str | None) -> None:
    assert address_of(remote_address) == address


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("203.0.113.7", "203.0.113.7", True),
        ("203.0.113.7", "203.0.113.8", False),
        ("203.0.113.7", "2001:db8::1", False),
        ("2001:db8::1", "2001:db8::2", True),  # one home has a whole /64
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1", "fe80::1", True),
        ("fe80::1", "fe80::2", False),  # all in an office may share this link
    ],
)
def test_which_addresses_are_in_the_same_network(one: str, other: str, same: bool) -> None:
    assert is_same_network(one, other) is same
    assert is_same_network(other, one) is same


def test_attempts_are_counted_by_network() -> None:
    assert network_of("203.0.113.7") == "203.0.113.7"
    assert network_of("2001:db8::1") == network_of("2001:db8::2") == "2001:db8::/64"
    assert network_of("fe80::1") == network_of("fe80::2")
    assert network_of(None) == "a local socket"
