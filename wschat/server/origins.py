"""Which web pages may connect, against cross-site WebSocket hijacking (RFC 6455, section 10.2), and read answers (CORS)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from http import HTTPStatus
from urllib.parse import urlsplit

from wschat.errors import RequestRefused
from wschat.server.addresses import is_loopback
from wschat.server.requests import Request

ANY_ORIGIN = "*"

# What a page of another origin may send besides what any form can.
_ALLOWED_HEADERS = "Authorization, Content-Type, Idempotency-Key, Last-Event-ID"
_ALLOWED_METHODS = "GET, HEAD, POST"
_EXPOSED_HEADERS = "Retry-After"
_PREFLIGHT_SECONDS = "600"


def check_origin(headers: Mapping[str, str], allowed: Collection[str], *, on_loopback: bool) -> None:
    """Raise RequestRefused (403) if the request comes from a page that may not connect.

    May connect: what is no browser (it sends no Origin), a page of this very server, the allowed origins (`*` for all), and,
    to a server on a loopback address, any page from a loopback address.
    """
    origin = headers.get("origin")
    if origin is None or ANY_ORIGIN in allowed or origin in allowed:
        return
    try:
        parts = urlsplit(origin)
        host = parts.hostname
    except ValueError:
        host = None
    if host is not None:
        if parts.netloc.lower() == headers.get("host", "").lower():
            return
        if on_loopback and is_loopback(host):
            return
    raise RequestRefused(HTTPStatus.FORBIDDEN, f"Pages from {origin!r} may not connect to this server; its option --origin allows more.")


def is_preflight(request: Request) -> bool:
    """Whether a browser asks if a page of another origin may ask (Fetch, section 3.3)."""
    return request.method == "OPTIONS" and "access-control-request-method" in request.headers


def cross_origin_headers(request: Request, allowed: Collection[str]) -> dict[str, str]:
    """What lets a page read the answer that has passed `check_origin`."""
    origin = request.headers["origin"]
    headers = {"Access-Control-Allow-Origin": origin, "Vary": "Origin", "Access-Control-Expose-Headers": _EXPOSED_HEADERS}
    if origin in allowed:  # by name: who lets all pages in has not meant them to come with this user's cookies
        headers["Access-Control-Allow-Credentials"] = "true"
    if is_preflight(request):
        headers |= {
            "Access-Control-Allow-Methods": _ALLOWED_METHODS,
            "Access-Control-Allow-Headers": _ALLOWED_HEADERS,
            "Access-Control-Max-Age": _PREFLIGHT_SECONDS,
        }
    return headers


def joined_headers(headers: Mapping[str, str], cross_origin: Mapping[str, str]) -> dict[str, str]:
    """The headers of an answer with those that are for other origins; it may vary by more than the origin."""
    joined = {**headers, **cross_origin}
    if "Vary" in headers and "Vary" in cross_origin:
        joined["Vary"] = f"{cross_origin['Vary']}, {headers['Vary']}"
    return joined
