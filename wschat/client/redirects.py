"""Where a redirect leads (RFC 9110, section 15.4), within the limits that browsers and curl have."""

from __future__ import annotations

from urllib.parse import quote, urljoin

from wschat.client.response import Response
from wschat.client.uri import WebSocketURI, parse_uri
from wschat.errors import OpeningFailed, UsageError

_STATUSES = {301, 302, 303, 307, 308}
_SCHEMES = {"http": "ws", "https": "wss"}
_PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))


def is_redirect(response: Response) -> bool:
    """Return True if an answer sends the client elsewhere."""
    return response.status in _STATUSES and "location" in response.headers


def redirected(uri: WebSocketURI, response: Response) -> WebSocketURI:
    """The URI that a redirect leads to. Raises OpeningFailed for one that must not be followed, or cannot be."""

    def refused(reason: str) -> OpeningFailed:
        return OpeningFailed(f"{uri.place} answered {response.status} and redirects {reason}", response.status, response.headers)

    location = quote(response.headers["location"].strip().encode("latin-1"), safe=_PRINTABLE)
    try:
        joined = urljoin(uri.http_url, location).partition("#")[0]
        scheme, colon, rest = joined.partition(":")
        target = parse_uri(_SCHEMES.get(scheme.lower(), scheme) + colon + rest)
    except (UsageError, ValueError) as error:
        raise refused(f"to what is no WebSocket: {error}" if isinstance(error, UsageError) else "to what is no URL") from None
    if uri.is_secure and not target.is_secure:
        raise refused(f"to {target.place} without TLS, which is not followed from wss://")
    return target
