"""WebSocket URIs (RFC 6455, section 3): what a text that a person wrote asks to connect to.

Texts may be IRIs (RFC 3987); what comes out is ASCII. No error quotes a URI: there may be a password or a token in it.
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
# Python has IDNA 2003, which makes other names of these than IDNA 2008 does: those of other people's hosts.
_DEVIATIONS = re.compile("[\u00df\u03c2\u200c\u200d]")

Credentials = tuple[str, str]
"""A user's name and password."""


@dataclass(frozen=True)
class WebSocketURI:
    """A parsed URI. `host` is a name in ASCII or an IP address, an IPv6 one without brackets and with its zone, if it has one."""

    is_secure: bool
    host: str
    port: int
    target: str
    credentials: Credentials | None = None

    @property
    def origin(self) -> tuple[bool, str, int]:
        """Where it leads to, as redirects compare it: scheme, host and port."""
        return self.is_secure, self.host, self.port

    @property
    def place(self) -> str:
        """Host and port, for messages."""
        return place_of(self.host, self.port)

    @property
    def host_header(self) -> str:
        """The `Host` of a request: a zone is of this machine only (RFC 6874, section 4), and a default port is left out."""
        host = bracketed(self.host.partition("%")[0])
        return host if self.port == _DEFAULT_PORTS[self.is_secure] else f"{host}:{self.port}"

    @property
    def http_url(self) -> str:
        """The same in HTTP, without credentials."""
        return f"http{'s' if self.is_secure else ''}://{self.host_header}{self.target}"


def parse_uri(text: str) -> WebSocketURI:
    """Parse a `ws://` or `wss://` URI or IRI. Raises UsageError if it is none."""
    parts = split(text)
    if parts.scheme not in _SCHEMES:
        given = f", not {parts.scheme}://" if parts.scheme and text[len(parts.scheme) :].startswith("://") else ""
        raise UsageError(f"the URL of a WebSocket begins with ws:// or wss://{given}")
    if "#" in text:
        raise UsageError("the URL of a WebSocket has no fragment: write # as %23")
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
    """The parts of a URL. Raises UsageError if it has none, and for what `urlsplit` would drop without a word."""
    if any(character <= " " or character == "\x7f" for character in text):
        raise UsageError("a URL contains no blanks or control characters")
    try:
        return urlsplit(text)
    except ValueError:
        raise UsageError("the host in the URL is not valid") from None


def host_and_port(parts: SplitResult) -> tuple[str, int | None]:
    """The host in ASCII, and the port if there is one. Raises UsageError."""
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise UsageError("the port in a URL is a number from 1 to 65535")
    host = parts.hostname
    if not host:
        raise UsageError("the URL has no host")
    return (_ipv6_address(host) if ":" in host else _ascii_name(unquote(host))), port


def credentials_of(parts: SplitResult) -> Credentials | None:
    """The user information in a URL, decoded."""
    if not parts.username and not parts.password:
        return None
    return unquote(parts.username or ""), unquote(parts.password or "")


def encoded(text: str) -> str:
    """A part of an IRI as one of a URI: characters outside ASCII become UTF-8, percent-encoded (RFC 3987, section 3.1)."""
    try:
        return quote(text, safe=_ASCII)
    except UnicodeEncodeError:
        raise UsageError("the URL contains half a character (a lone surrogate)") from None


def place_of(host: str, port: int) -> str:
    """Host and port, for messages."""
    return f"{bracketed(host)}:{port}"


def bracketed(host: str) -> str:
    """A host as it stands in a URL."""
    return f"[{host}]" if ":" in host else host


def _ipv6_address(host: str) -> str:
    """The address, and behind a % its zone, whose % is written in a URL as %25 (RFC 6874), or as it is."""
    address, percent, zone = host.partition("%")
    zone = zone.removeprefix("25")
    try:
        IPv6Address(address)
    except ValueError:
        raise UsageError("the address in the URL is no IPv6 address") from None
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
