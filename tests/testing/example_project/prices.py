"""A small application: a server that tells prices, and a client that keeps asking although connections are lost."""

from __future__ import annotations

import wschat

LIMITS = wschat.Limits(close_timeout=0.2)
PRICES = {"tea": 3, "coffee": 4}


def tell_prices(ws: wschat.Connection) -> None:
    """Answer each name with a price. The handler of the server."""
    for name in map(str, ws):
        ws.send(f"{name}: {PRICES[name]}")


class NoPrice(Exception):
    """The server could not be asked."""


class Client:
    """Asks for prices. Opens a new connection when the old one is lost."""

    def __init__(self, url: str, timeout: float = 5) -> None:
        self._url = url
        self._timeout = timeout
        self._ws: wschat.Connection | None = None

    def price(self, name: str, attempts: int = 2) -> int:
        """Return a price. Raises NoPrice if each attempt has failed."""
        for _ in range(attempts):
            try:
                return self._ask(name)
            except (OSError, wschat.WSChatError):
                self.close()
        raise NoPrice(name)

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._ws is not None:
            self._ws.close()
            self._ws = None

    def _ask(self, name: str) -> int:
        if self._ws is None:
            self._ws = wschat.connect(self._url, limits=LIMITS)
        self._ws.send(name)
        return int(str(self._ws.recv(self._timeout)).removeprefix(f"{name}: "))
