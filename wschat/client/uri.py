"""WebSocket URIs (RFC 6455, section 3).

IRIs (RFC 3987) are accepted and encoded to ASCII. No error quotes a URI, because it may contain a password or a token.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv6Address
from urllib.parse import SplitResult, quote, unquote, urlsplit

from wschat.errors import UsageError

_DEFAULT_PORTS = {False: 80, True: 443}
_SCHEMES = {"ws": False, "wss": True}
_ASCII = "".join(map(chr, range(0x21, 0x7F)))
_HOST_NAME = re.compile(r"[a-z0-9_.-]+")
_UP_TO_PATH = re.compile(r"[^:]*://[^/?#]*")
_ZONE = re.compile(r"[A-Za-z0-9._~-]+")
_MAX_NAME = 254  # with a dot at its end (RFC 1035, section 2.3.4)
# Python implements IDNA 2003, which encodes these to other names than IDNA 2008 does, and so to hosts of other owners.
_DEVIATIONS = re.compile("[\u00df\u03c2\u200c\u200d]")

Credentials = tuple[str, str]
"""User name and password."""


@dataclass(frozen=True)
class WebSocketURI:
    """A parsed URI."""

    is_secure: bool
    """True for `wss://`."""
    host: str
    """The host: a name in ASCII, or an IP address without brackets and with its zone, if it has one."""
    port: int
    """The TCP port."""
    target: str
    """The path and the query, as in the request line."""
    credentials: Credentials | None = None
    """User name and password, if the URI has them."""

    @property
    def origin(self) -> tuple[bool, str, int]:
        """The scheme, host and port, to compare (RFC 6454)."""
        return self.is_secure, self.host, self.port

    @property
    def place(self) -> str:
        """The host and port, for error messages."""
        return place_of(self.host, self.port)

    @property
    def host_header(self) -> str:
        """The `Host` header of a request, without a zone (RFC 6874, section 4) or a default port."""
        host = bracketed(self.host.partition("%")[0])
        return host if self.port == _DEFAULT_PORTS[self.is_secure] else f"{host}:{self.port}"

    @property
    def without_query(self) -> str:
        """The URL without credentials and query, which may hold a secret: for logs and messages."""
        return f"ws{'s' if self.is_secure else ''}://{self.host_header}{self.target.partition('?')[0]}"

    @property
    def http_url(self) -> str:
        """The URL with the scheme `http` or `https`, without credentials."""
        return f"http{'s' if self.is_secure else ''}://{self.host_header}{self.target}"


def parse_uri(text: str) -> WebSocketURI:
    """Parse a `ws://` or `wss://` URI or IRI. Raises UsageError if it is invalid."""
    parts = split(text)
    if parts.scheme not in _SCHEMES:
        given = f", not {parts.scheme}://" if parts.scheme and text[len(parts.scheme) :].startswith("://") else ""
        raise UsageError(f"the URL of a WebSocket must begin with ws:// or wss://{given}")
    if "#" in text:
        raise UsageError("the URL of a WebSocket must not have a fragment: write # as %23")
    is_secure = _SCHEMES[parts.scheme]
    host, port = host_and_port(parts)
    target = encoded(text[_UP_TO_PATH.match(text).end() :])  # type: ignore[union-attr]
    return WebSocketURI(
        is_secure,
        host,
        port or _DEFAULT_PORTS[is_secure],
        target if target.startswith("/") else f"/{target}",
        credentials_of(parts),
    )


def split(text: str) -> SplitResult:
    """Return the parts of a URL. Raises UsageError if it is invalid, or has characters that `urlsplit` would drop."""
    if any(character <= " " or character == "\x7f" for character in text):
        raise UsageError("a URL must not contain blanks or control characters")
    try:
        return urlsplit(text)
    except ValueError:
        raise UsageError("the host in the URL is not valid") from None


def host_and_port(parts: SplitResult) -> tuple[str, int | None]:
    """Return the host in ASCII, and the port or None. Raises UsageError if one of them is invalid."""
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise UsageError("the port in a URL must be a number from 1 to 65535")
    host = parts.hostname
    if not host:
        raise UsageError("the URL has no host")
    return (_ipv6_address(host) if ":" in host else _ascii_name(unquote(host))), port


def credentials_of(parts: SplitResult) -> Credentials | None:
    """Return the decoded user name and password of a URL, or None."""
    if not parts.username and not parts.password:
        return None
    return unquote(parts.username or ""), unquote(parts.password or "")


def encoded(text: str) -> str:
    """Return a part of an IRI as a part of a URI: UTF-8, percent-encoded (RFC 3987, section 3.1)."""
    try:
        return quote(text, safe=_ASCII)
    except UnicodeEncodeError:
        raise UsageError("the URL contains a lone surrogate") from None


def place_of(host: str, port: int) -> str:
    """Return host and port, for error messages."""
    return f"{bracketed(host)}:{port}"


def bracketed(host: str) -> str:
    """Return a host as written in a URL, with brackets around an IPv6 address."""
    return f"[{host}]" if ":" in host else host


def _ipv6_address(host: str) -> str:
    """Return an address with its zone. In a URL, the % before a zone is written as %25 (RFC 6874), or as it is."""
    address, percent, zone = host.partition("%")
    zone = zone.removeprefix("25")
    try:
        IPv6Address(address)
    except ValueError:
        raise UsageError("the address in the URL is not a valid IPv6 address") from None
    if percent and not _ZONE.fullmatch(zone):
        raise UsageError("the zone of the address in the URL is not valid")
    return address + percent + zone


def _ascii_name(host: str) -> str:
    if _DEVIATIONS.search(host):
        raise UsageError("the host in the URL has a letter that IDNA 2003 and 2008 encode differently: write it as xn--...")
    try:
        name = host.encode("idna").decode("ascii").lower()
    except UnicodeError:
        raise UsageError("the host in the URL is not a valid name") from None
    if not _HOST_NAME.fullmatch(name) or len(name) > _MAX_NAME:
        raise UsageError("the host in the URL is not a valid name")
    return name
