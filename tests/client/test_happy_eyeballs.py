"""Hosts with several addresses, some unreachable. The addresses are real; only the names are made up."""

from __future__ import annotations

import contextlib
import errno
import signal
import socket
import threading
from collections.abc import Iterator
from time import monotonic
from typing import Any

import pytest

import wschat
from tests.client.conftest import RawServerFactory
from tests.client.servers import opens
from wschat.client.deadline import Deadline
from wschat.client.happy_eyeballs import ATTEMPT_DELAY, create_connection, interleaved

Addresses = dict[str, list[tuple[str, int]]]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Addresses:
    """The addresses and ports of made-up hosts. Other hosts are looked up."""
    known: Addresses = {}
    look_up = socket.getaddrinfo

    def getaddrinfo(host: str, port: int, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0) -> Any:  # noqa: A002
        if host not in known or flags & socket.AI_NUMERICHOST:
            return look_up(host, port, family, type, proto, flags)
        return [found for address in known[host] for found in look_up(*address, family, type, proto, flags)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return known


@pytest.fixture
def black_hole() -> Iterator[socket.socket]:
    """A listener with a full backlog, which neither accepts nor refuses connections."""
    with socket.socket() as listener, contextlib.ExitStack() as fillers:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = fillers.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener


def refusing() -> tuple[str, int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address: tuple[str, int] = listener.getsockname()
        return address


# The kernel reports these as unreachable without sending anything.
UNREACHABLE = [("255.255.255.255", 1), ("224.0.0.1", 1)]


def test_an_unreachable_address_costs_no_time(names: Addresses, raw: RawServerFactory) -> None:
    server = raw(opens())
    names["several.test"] = [*UNREACHABLE, refusing(), ("127.0.0.1", server.port)]
    began = monotonic()
    wschat.connect("ws://several.test/", limits=wschat.Limits(opening_timeout=60)).close()
    assert monotonic() - began < 30
    assert len(server.heads) == 1


def test_a_silent_address_costs_a_quarter_of_a_second(names: Addresses, raw: RawServerFactory, black_hole: socket.socket) -> None:
    server = raw(opens())
    names["several.test"] = [black_hole.getsockname(), ("127.0.0.1", server.port)]
    began = monotonic()
    wschat.connect("ws://several.test/", limits=wschat.Limits(opening_timeout=60)).close()
    assert ATTEMPT_DELAY <= monotonic() - began < 30


def test_a_slow_address_is_used_when_the_next_one_fails(names: Addresses, black_hole: socket.socket) -> None:
    names["several.test"] = [black_hole.getsockname(), refusing()]
    connected: list[socket.socket] = []
    thread = threading.Thread(target=lambda: connected.append(create_connection("several.test", 80, Deadline(60))))
    thread.start()
    thread.join(2 * ATTEMPT_DELAY)
    assert thread.is_alive()
    for _ in range(2):  # now the backlog has room, and the kernel retransmits the request
        black_hole.accept()[0].close()
    thread.join(30)
    assert connected[0].getpeername() == black_hole.getsockname()
    connected[0].close()


def test_one_deadline_holds_for_all_addresses(names: Addresses, black_hole: socket.socket) -> None:
    names["several.test"] = [black_hole.getsockname()] * 5
    with pytest.raises(TimeoutError, match=r"several\.test:80 within 0\.5 s"):
        wschat.connect("ws://several.test/", limits=wschat.Limits(opening_timeout=0.5))


def test_one_deadline_holds_for_the_resolver(names: Addresses, monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()
    look_up = socket.getaddrinfo

    def getaddrinfo(host: str, *arguments: Any, **options: Any) -> Any:
        if options:  # the first look-up is for a numeric address
            return look_up(host, *arguments, **options)
        answered.wait(30)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    try:
        with pytest.raises(TimeoutError):
            wschat.connect("ws://slow.test/", limits=wschat.Limits(opening_timeout=0.3))
    finally:
        answered.set()


def test_a_refused_connection_is_reported_before_an_unreachable_address(names: Addresses) -> None:
    names["several.test"] = [refusing(), *UNREACHABLE]
    with pytest.raises(ConnectionRefusedError, match=r"connection refused by several\.test:80: is the server running\?") as failed:
        wschat.connect("ws://several.test/")
    assert failed.value.errno == errno.ECONNREFUSED


def test_an_interrupt_leaves_no_socket_behind(names: Addresses, black_hole: socket.socket) -> None:
    class StopIt(Exception):
        pass

    def stop(*_: object) -> None:
        raise StopIt

    names["several.test"] = [black_hole.getsockname()]
    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        with pytest.raises(StopIt):
            wschat.connect("ws://several.test/", limits=wschat.Limits(opening_timeout=60))
    finally:
        signal.signal(signal.SIGALRM, before)


def test_families_alternate() -> None:
    def address(family: int, number: int) -> tuple[int, int, int, str, int]:
        return family, socket.SOCK_STREAM, 0, "", number

    given = [address(10, 1), address(10, 2), address(10, 3), address(2, 4), address(2, 5)]
    assert [number for *_, number in interleaved(given)] == [1, 4, 2, 5, 3]


def test_localhost_is_reached_by_either_family(raw: RawServerFactory) -> None:
    server = raw(opens())
    wschat.connect(f"ws://localhost:{server.port}/").close()
    assert server.heads[0].startswith("GET / ")
    assert f"Host: localhost:{server.port}\r\n" in server.heads[0]


def test_a_link_local_address_with_its_zone(raw: RawServerFactory) -> None:
    address = next(iter(link_local_addresses()), None)
    if address is None:
        pytest.skip("needs a network interface with a link-local IPv6 address")
    server = raw(opens(), host=address)
    wschat.connect(f"ws://[{address.replace('%', '%25')}]:{server.port}/").close()
    assert f"Host: [{address.partition('%')[0]}]:{server.port}\r\n" in server.heads[0]


def link_local_addresses() -> Iterator[str]:
    """Yield the link-local addresses of this machine, with their zones."""
    with contextlib.suppress(OSError), open("/proc/net/if_inet6") as interfaces:
        for line in interfaces:
            digits, _, _, scope, _, name = line.split()
            if scope == "20":
                yield f"{socket.inet_ntop(socket.AF_INET6, bytes.fromhex(digits))}%{name}"
