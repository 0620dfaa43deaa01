"""Servers of a test's own."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.client.servers import Answer, RawServer

RawServerFactory = Callable[..., RawServer]


@pytest.fixture
def raw() -> Iterator[RawServerFactory]:
    """A function that starts a server, which answers as the given function does."""
    with contextlib.ExitStack() as stack:

        def start(answer: Answer, **options: Any) -> RawServer:
            return stack.enter_context(RawServer(answer, **options))

        yield start


@pytest.fixture(scope="session")
def server_tls(certificate: Path) -> ssl.SSLContext:
    """The context of a server with the tests' certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment's proxies are not for the tests' servers."""
    for scheme in ("http", "https", "ws", "wss", "all", "no"):
        for name in (f"{scheme}_proxy", f"{scheme}_proxy".upper()):
            monkeypatch.delenv(name, raising=False)
