"""The proxy for a server: given by the caller, or by the environment with the rules of curl."""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass

from wschat.client.uri import Credentials, WebSocketURI, credentials_of, host_and_port, place_of, split
from wschat.errors import UsageError

_DEFAULT_PORTS = {"http": 1080, "https": 443, "socks4": 1080, "socks4a": 1080, "socks5": 1080, "socks5h": 1080}

# In order of precedence. HTTP_PROXY is left out, because in a CGI script it is a header of the request.
_VARIABLES = {
    False: ("ws_proxy", "WS_PROXY", "http_proxy", "all_proxy", "ALL_PROXY"),
    True: ("wss_proxy", "WSS_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"),
}
_EXCEPTIONS = ("no_proxy", "NO_PROXY")


@dataclass(frozen=True)
class Proxy:
    """A parsed proxy URL."""

    scheme: str
    """`http`, `https`, `socks4`, `socks4a`, `socks5` or `socks5h`."""
    host: str
    """The host, a name in ASCII or an IP address."""
    port: int
    """The TCP port."""
    credentials: Credentials | None = None
    """User name and password, if the URL has them."""

    @property
    def place(self) -> str:
        """The proxy with host and port, for error messages."""
        return f"the proxy {place_of(self.host, self.port)}"


def proxy_for(uri: WebSocketURI, given: str | None) -> Proxy | None:
    """Return the proxy for a URI, or None. Raises UsageError if the URL of the proxy is invalid.

    `given` is the URL of a proxy, "" for no proxy, or None for the proxy of the environment.
    """
    if given is not None:
        return parse_proxy(given, "proxy") if given else None
    variable = next((name for name in _VARIABLES[uri.is_secure] if os.environ.get(name)), None)
    if variable is None or _is_exception(uri.host, next(filter(None, map(os.environ.get, _EXCEPTIONS)), "")):
        return None
    return parse_proxy(os.environ[variable], f"the environment's {variable}")


def parse_proxy(text: str, source: str) -> Proxy:
    """Parse the URL of a proxy; without a scheme, an HTTP proxy. Raises UsageError, which names the source but no password."""
    try:
        parts = split(text if "://" in text else f"http://{text}")
        if parts.scheme not in _DEFAULT_PORTS:
            raise UsageError(f"its scheme must be one of {', '.join(_DEFAULT_PORTS)}")
        host, port = host_and_port(parts)
    except UsageError as error:
        raise UsageError(f"{source} must be a URL like http://HOST:PORT: {error}") from None
    return Proxy(parts.scheme, host, port or _DEFAULT_PORTS[parts.scheme], credentials_of(parts))


def _is_exception(host: str, exceptions: str) -> bool:
    """Return True if no_proxy contains the host: its name, a parent domain, its address, or a network of it."""
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
