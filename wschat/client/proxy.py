"""Which proxy leads to a server: the one that the caller names, or the environment's, by the rules of curl's manual."""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass

from wschat.client.uri import Credentials, WebSocketURI, credentials_of, host_and_port, place_of, split
from wschat.errors import UsageError

_DEFAULT_PORTS = {"http": 1080, "https": 443, "socks4": 1080, "socks4a": 1080, "socks5": 1080, "socks5h": 1080}

# In the order in which they count. HTTP_PROXY is not among them: in a CGI script it is a header of the request.
_VARIABLES = {
    False: ("ws_proxy", "WS_PROXY", "http_proxy", "all_proxy", "ALL_PROXY"),
    True: ("wss_proxy", "WSS_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"),
}
_EXCEPTIONS = ("no_proxy", "NO_PROXY")


@dataclass(frozen=True)
class Proxy:
    """A parsed proxy URL."""

    scheme: str
    host: str
    port: int
    credentials: Credentials | None = None

    @property
    def place(self) -> str:
        """What it is, with host and port, for messages."""
        return f"the proxy {place_of(self.host, self.port)}"


def proxy_for(uri: WebSocketURI, given: str | None) -> Proxy | None:
    """The proxy for a URI; None for none. Raises UsageError if it makes no sense.

    `given` is a proxy's URL, "" for none, or None for what the environment says.
    """
    if given is not None:
        return parse_proxy(given, "proxy") if given else None
    variable = next((name for name in _VARIABLES[uri.is_secure] if os.environ.get(name)), None)
    if variable is None or _is_exception(uri.host, next(filter(None, map(os.environ.get, _EXCEPTIONS)), "")):
        return None
    return parse_proxy(os.environ[variable], f"the environment's {variable}")


def parse_proxy(text: str, source: str) -> Proxy:
    """Parse a proxy's URL; without a scheme it is an HTTP proxy. Raises UsageError, which names the source and no password."""
    try:
        parts = split(text if "://" in text else f"http://{text}")
        if parts.scheme not in _DEFAULT_PORTS:
            raise UsageError(f"its scheme is none of {', '.join(_DEFAULT_PORTS)}")
        host, port = host_and_port(parts)
    except UsageError as error:
        raise UsageError(f"{source} is no proxy like http://HOST:PORT: {error}") from None
    return Proxy(parts.scheme, host, port or _DEFAULT_PORTS[parts.scheme], credentials_of(parts))


def _is_exception(host: str, exceptions: str) -> bool:
    """Return True if no_proxy has the host: by its name, a domain above it, its address, or a network that it is in."""
    host = host.partition("%")[0].rstrip(".")
    names = [name.strip(".").lower() for name in re.split(r"[,\s]+", exceptions)]
    if "*" in names:
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return any(host == name or host.endswith(f".{name}") for name in names if name)
    return any(address in network for network in map(_network, names) if network is not None)


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text.strip("[]"), strict=False)
    except ValueError:
        return None
