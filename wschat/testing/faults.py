"""What a test can do to the connections between clients and its server."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import inf
from typing import Literal

from wschat.errors import UsageError
from wschat.testing.direction import Direction, End, Number, drawn
from wschat.testing.link import Link
from wschat.testing.proxy import FaultProxy

Way = Literal["both", "to_server", "to_client"]
"""The directions in which a fault takes effect."""
Count = int | tuple[int, int]
"""A number of bytes, or a range from which a number is drawn."""
Seconds = float | tuple[float, float]
"""A number of seconds, or a range from which a number is drawn."""


class ConnectionFaults:
    """Faults of one connection. Thread-safe; no method waits for the network.

    Bytes are counted from the call, in each direction by itself; those of the opening handshake count, too. Where a range is allowed,
    a number is drawn from it, which the seed determines. Each method raises UsageError for an invalid argument, and after the server
    was stopped.
    """

    def __init__(self, proxy: FaultProxy, link: Link) -> None:
        self._proxy = proxy
        self._link = link

    def __repr__(self) -> str:
        return f"<the faults of connection {self._link.number}>"

    def cut(self, after_bytes: Count | None = None, *, reset: bool = False, way: Way = "both") -> None:
        """End the connection at both ends without a close frame: by a TCP FIN, or by a RST if `reset` is true.

        This takes place at once, or after that many more bytes in a direction. Raises UsageError if it is to take place at once
        and no connection is open.
        """
        if after_bytes is None:
            self._do(lambda link: link.reset() if reset else link.cut())
        else:
            bounds, end = _bounds("after_bytes", after_bytes), End.RESET if reset else End.CUT
            self._add(way, lambda direction: direction.end_after(drawn(direction.random, bounds), end))

    def half_close(self, way: Way) -> None:
        """Send a TCP FIN in one direction, and drop what follows. The other direction goes on.

        Raises UsageError if no connection is open.
        """
        if way == "both":
            raise UsageError("half_close ends one direction: give to_server or to_client, or call cut()")
        _check(way)
        self._do(lambda link: getattr(link, way).end_after(0, End.FIN))

    def silence(self, way: Way = "both") -> None:
        """Forward nothing until `clear`, as a network does that loses all packets."""
        self._add(way, lambda direction: setattr(direction, "is_silent", True))

    def delay(self, seconds: Seconds, way: Way = "both") -> None:
        """Forward bytes that many seconds late, in order. A range is drawn from for each read."""
        bounds = _bounds("seconds", seconds, (int, float))
        self._add(way, lambda direction: setattr(direction, "delay", tuple(map(float, bounds))))

    def split(self, size: Count = 1, way: Way = "both") -> None:
        """Forward bytes in TCP segments of that size. A range is drawn from for each segment."""
        bounds = _bounds("size", size, least=1)
        self._add(way, lambda direction: setattr(direction, "segment", bounds))

    def corrupt(self, after_bytes: Count = (0, 63), way: Way = "both") -> None:
        """Flip one bit, which is drawn, of the byte that follows that many more bytes."""
        bounds = _bounds("after_bytes", after_bytes)
        self._add(way, lambda direction: direction.flip_after(drawn(direction.random, bounds)))

    def ignore_close(self, way: Way = "both") -> None:
        """Drop a close frame and all that follows it, so that a closing handshake is not answered. Has no effect on TLS."""
        self._add(way, lambda direction: setattr(direction, "drops_close", True))

    def clear(self) -> None:
        """Remove all faults. What was held back is forwarded; what was cut, dropped or changed stays so."""
        self._proxy.call(self._link.clear)

    def _do(self, fault: Callable[[Link], object]) -> None:
        """Apply a fault once, to what is open."""
        if not self._proxy.call(lambda: [fault(link) for link in self._links() if link.is_open]):
            raise UsageError("no connection is open that could be cut")

    def _add(self, way: Way, fault: Callable[[Direction], object]) -> None:
        """Add a fault of some directions."""
        _check(way)

        def rule(link: Link) -> None:
            for direction in link.directions if way == "both" else [getattr(link, way)]:
                fault(direction)

        self._proxy.call(partial(self._add_rule, rule))

    # In the thread of the proxy

    def _links(self) -> list[Link]:
        return [self._link]

    def _add_rule(self, rule: Callable[[Link], None]) -> None:
        rule(self._link)


class Faults(ConnectionFaults):
    """Faults of all connections to a server: of those that are open, and until `clear`, of those that follow. Thread-safe."""

    def __init__(self, proxy: FaultProxy) -> None:
        self._proxy = proxy

    def __repr__(self) -> str:
        return f"<the faults of port {self._proxy.port}>"

    @property
    def connections(self) -> list[ConnectionFaults]:
        """The faults of each open connection, in the order in which they were accepted."""
        return self._proxy.call(lambda: [ConnectionFaults(self._proxy, link) for link in self._proxy.links if link.is_open])

    def refuse(self) -> None:
        """Refuse TCP connections until `clear`. Those that are open stay so."""
        self._proxy.call(self._proxy.refuse)

    def delay_opening(self, seconds: float = inf) -> None:
        """Accept TCP connections, but forward them to the server only that many seconds later; by default, never."""
        low, _ = _bounds("seconds", seconds, (int, float))
        self._proxy.call(lambda: setattr(self._proxy, "opening_delay", low))

    def clear(self) -> None:
        """Remove all faults. What was held back is forwarded; what was cut, dropped or changed stays so."""
        self._proxy.call(self._clear)

    # In the thread of the proxy

    def _links(self) -> list[Link]:
        return self._proxy.links

    def _add_rule(self, rule: Callable[[Link], None]) -> None:
        self._proxy.rules.append(rule)
        for link in self._proxy.links:
            rule(link)

    def _clear(self) -> None:
        self._proxy.rules.clear()
        self._proxy.opening_delay = 0.0
        self._proxy.listen()
        for link in self._proxy.links:
            link.clear()


def _check(way: str) -> None:
    if way not in ("both", "to_server", "to_client"):
        raise UsageError(f"way must be to_server, to_client or both, not {way!r}")


def _bounds(name: str, value: Number | tuple[Number, Number], kinds: tuple[type, ...] = (int,), *, least: int = 0) -> tuple[Number, Number]:
    """Return a number or a range as a range. Raises UsageError unless its numbers are of these types and large enough."""
    bounds = value if isinstance(value, tuple) else (value, value)
    if len(bounds) == 2 and all(isinstance(bound, kinds) for bound in bounds) and least <= bounds[0] <= bounds[1]:
        return bounds
    kind = "a number" if float in kinds else "an integer"
    raise UsageError(f"{name} must be {kind} from {least}, or a range (LOW, HIGH), not {value!r}")
