"""Origins: the web pages that may connect (RFC 6455, section 10.2) and read responses (CORS; Fetch, section 3.3)."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from http import HTTPStatus

from wschat.errors import RequestRefused, UsageError
from wschat.server.addresses import is_loopback
from wschat.server.requests import Request

ANY_ORIGIN = "*"
"""Allows every origin."""
READABLE_BY_ALL = {"Access-Control-Allow-Origin": ANY_ORIGIN}
"""The headers that let any page read a response, without cookies."""

_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://(\[[0-9a-f:.]+\]|[^\s/?#@:*\[\]\\]*)(?::([0-9]{0,5}))?/?", re.IGNORECASE)
_DEFAULT_PORTS = {"http": "80", "https": "443", "ws": "80", "wss": "443"}
_WEBSOCKET_SCHEMES = ("ws:", "wss:")

# The headers and methods that a page of another origin may use, beyond those of an HTML form.
_ALLOWED_HEADERS = "Authorization, Content-Type, Idempotency-Key, Last-Event-ID"
_ALLOWED_METHODS = "GET, HEAD, POST"
_EXPOSED_HEADERS = "Retry-After"
_PREFLIGHT_SECONDS = "600"


def parse_origins(texts: Collection[str]) -> frozenset[str]:
    """Return origins in the form that browsers send, for `check_origin`. Raises UsageError for a text that is not an origin."""
    return frozenset(map(_parse_origin, texts))


def _parse_origin(text: str) -> str:
    if text in (ANY_ORIGIN, "null"):
        return text
    origin = normal_origin(text)
    if origin is None or origin.startswith(_WEBSOCKET_SCHEMES):
        example = "http://localhost:3000" if "localhost" in text else "https://app.example.com"
        raise UsageError(f"an origin is like {example}, without a path or wildcards, or * for all; not {text!r}")
    return origin


def normal_origin(text: str) -> str | None:
    """Return an origin in lower case, without the default port or a trailing slash, or None if the text is not an origin."""
    match = _ORIGIN.fullmatch(text)
    if match is None:
        return None
    scheme, host, port = match[1].lower(), match[2].lower(), match[3] or ""
    if (not host and (scheme in _DEFAULT_PORTS or port)) or int(port or 0) > 65535:  # file:// has no host
        return None
    if not host.isascii():
        try:
            host = host.encode("idna").decode("ascii")
        except UnicodeError:
            return None
    return f"{scheme}://{host}" if port in ("", _DEFAULT_PORTS.get(scheme)) else f"{scheme}://{host}:{port}"


def check_origin(headers: Mapping[str, str], allowed: Collection[str], *, on_loopback: bool) -> None:
    """Raise RequestRefused (403) if a request comes from a page that may not connect.

    A request without an Origin, which is not from a browser, may connect; so may pages of the server's own origin, pages of the
    allowed origins (`*` for all), and, if the server is on a loopback address, pages of any loopback origin.
    """
    origin = headers.get("origin")
    if origin is None or ANY_ORIGIN in allowed or origin in allowed:
        return
    scheme, _, host = origin.partition("://")
    own_host = headers.get("host", "")
    if host and host == own_host:
        return
    normal = normal_origin(origin)
    if normal is not None and (
        normal in allowed
        # The default port depends on the scheme, which a server behind a proxy knows only from the Origin.
        or normal == normal_origin(f"{scheme}://{own_host}")
        or (on_loopback and is_loopback(_host_in(normal)))
    ):
        return
    text = f"Pages from {origin!r} may not connect to this server: origins= (for the command, --origin) allows more."
    # The page may read why, since it gets nothing else.
    raise RequestRefused(HTTPStatus.FORBIDDEN, text, READABLE_BY_ALL)


def _host_in(origin: str) -> str:
    host = origin.partition("://")[2]
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]


def is_preflight(request: Request) -> bool:
    """Return True if a request is a CORS preflight (Fetch, section 3.3)."""
    return request.method == "OPTIONS" and "access-control-request-method" in request.headers


def cross_origin_headers(request: Request, allowed: Collection[str]) -> dict[str, str]:
    """Return the headers that let a page read the response to a request that has passed `check_origin`."""
    origin = request.headers["origin"]
    headers = {"Access-Control-Allow-Origin": origin, "Vary": "Origin", "Access-Control-Expose-Headers": _EXPOSED_HEADERS}
    # Only for origins that are listed: `*` does not mean that any page may use the cookies of this server.
    if origin in allowed or normal_origin(origin) in allowed:
        headers["Access-Control-Allow-Credentials"] = "true"
    if is_preflight(request):
        headers |= {
            "Access-Control-Allow-Methods": _ALLOWED_METHODS,
            "Access-Control-Allow-Headers": _ALLOWED_HEADERS,
            "Access-Control-Max-Age": _PREFLIGHT_SECONDS,
        }
    return headers


def joined_headers(headers: Mapping[str, str], cross_origin: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of a response together with the cross-origin ones. The Vary headers are joined."""
    joined = {**headers, **cross_origin}
    if "Vary" in headers and "Vary" in cross_origin:
        joined["Vary"] = f"{cross_origin['Vary']}, {headers['Vary']}"
    return joined
