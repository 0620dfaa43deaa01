"""Servers for the tests of the client."""

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
    """Return a function that starts a server with a given response."""
    with contextlib.ExitStack() as stack:

        def start(answer: Answer, **options: Any) -> RawServer:
            return stack.enter_context(RawServer(answer, **options))

        yield start


@pytest.fixture(scope="session")
def server_tls(certificate: Path) -> ssl.SSLContext:
    """Return the context of a server with the certificate of the tests."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ignore the proxies of the environment."""
    for scheme in ("http", "https", "ws", "wss", "all", "no"):
        for name in (f"{scheme}_proxy", f"{scheme}_proxy".upper()):
            monkeypatch.delenv(name, raising=False)
