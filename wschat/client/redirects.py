"""Redirects (RFC 9110, section 15.4), with the restrictions of browsers and curl."""

from __future__ import annotations

from urllib.parse import quote, urljoin

from wschat.client.response import Response
from wschat.client.uri import WebSocketURI, parse_uri
from wschat.errors import OpeningFailed, UsageError

_STATUSES = {301, 302, 303, 307, 308}
_SCHEMES = {"http": "ws", "https": "wss"}
_PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))


def is_redirect(response: Response) -> bool:
    """Return True if a response is a redirect with a Location header."""
    return response.status in _STATUSES and "location" in response.headers


def redirected(uri: WebSocketURI, response: Response) -> WebSocketURI:
    """Return the target of a redirect. Raises OpeningFailed if it must not or cannot be followed."""

    def refused(reason: str) -> OpeningFailed:
        return OpeningFailed(f"{uri.place} answered {response.status} and redirects {reason}", response.status, response.headers)

    location = quote(response.headers["location"].strip().encode("latin-1"), safe=_PRINTABLE)
    try:
        joined = urljoin(uri.http_url, location).partition("#")[0]
        scheme, colon, rest = joined.partition(":")
        target = parse_uri(_SCHEMES.get(scheme.lower(), scheme) + colon + rest)
    except (UsageError, ValueError) as error:
        raise refused(
            f"to a URL that is not valid for a WebSocket: {error}" if isinstance(error, UsageError) else "to an invalid URL"
        ) from None
    if uri.is_secure and not target.is_secure:
        raise refused(f"to {target.place} without TLS, which is not followed from wss://")
    return target
