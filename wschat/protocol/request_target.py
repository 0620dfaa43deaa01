"""What a request says besides its body: the parameters of its query (WHATWG URL, section 5.1) and its cookies (RFC 6265, section 5.4)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl

_QUOTED = re.compile('"(.*)"')


def query_of(target: str) -> dict[str, str]:
    """Return the parameters of the query of a target. Of a repeated parameter, the last value counts."""
    query = target.partition("?")[2]
    return dict(parse_qsl(query, keep_blank_values=True)) if query else {}


def cookies_of(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the cookies of a request by name, given its headers. Of a repeated cookie, the first value counts."""
    cookies: dict[str, str] = {}
    # Headers that come twice are joined with commas, although HTTP/1.1 knows one Cookie header only.
    for pair in headers.get("cookie", "").split(";"):
        name, equals, value = pair.strip().partition("=")
        if equals and name:
            quoted = _QUOTED.fullmatch(value)
            cookies.setdefault(name, quoted[1] if quoted else value)
    return cookies
