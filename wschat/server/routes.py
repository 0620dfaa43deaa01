"""Routes: which handler is for which path, as in Flask's notation."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import unquote

from wschat.errors import RequestRefused, UsageError

Handler = Callable[[Any], object]

# A segment that is not fixed: <name>, <int:name> or <path:name>.
_PLACEHOLDER = re.compile(r"<(?:(\w+):)?(\w+)>")


def _integer(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise ValueError
    return int(text)


def _not_empty(text: str) -> str:
    if not text:
        raise ValueError
    return text


_CONVERTERS: Mapping[str, Callable[[str], str | int]] = {"str": _not_empty, "int": _integer, "path": _not_empty}


class _Placeholder(NamedTuple):
    name: str
    type: str


class Route(NamedTuple):
    """A handler, and what its pattern has found in the path."""

    handler: Handler
    """The handler."""
    params: dict[str, str | int]
    """The values of the placeholders, by name, with percent-encoding decoded."""


class Routes:
    """The handlers of a server, by patterns of paths: the first pattern that fits a path counts. Immutable.

    In a pattern, `<name>` stands for one segment of the path, `<int:name>` for one that is a whole number, and `<path:name>` for all the
    rest. Raises UsageError for an invalid pattern.
    """

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        if not handlers:
            raise UsageError("routes must have at least one pattern")
        self._routes = [(_parse(pattern), handler) for pattern, handler in handlers.items()]

    def find(self, path: str) -> Route:
        """Return the route of a path. Raises RequestRefused (404) if no pattern fits."""
        segments = path.split("/")
        for pattern, handler in self._routes:
            params = _match(pattern, segments)
            if params is not None:
                return Route(handler, params)
        raise RequestRefused(HTTPStatus.NOT_FOUND, "There is no WebSocket at this path.")


def _parse(pattern: str) -> list[str | _Placeholder]:
    if not isinstance(pattern, str) or not pattern.startswith("/"):
        raise UsageError(f"the pattern of a path must begin with a slash, not {pattern!r}")
    segments: list[str | _Placeholder] = []
    for segment in pattern.split("/"):
        match = _PLACEHOLDER.fullmatch(segment)
        if match is None and re.search("[<>]", segment):
            raise UsageError(f"a placeholder must be a whole segment of a path, <name>, <int:name> or <path:name>, not {segment!r}")
        segments.append(segment if match is None else _Placeholder(match[2], match[1] or "str"))
    placeholders = [segment for segment in segments if isinstance(segment, _Placeholder)]
    for placeholder in placeholders:
        if placeholder.type not in _CONVERTERS:
            raise UsageError(f"the type of a placeholder must be one of {', '.join(_CONVERTERS)}, not {placeholder.type!r}")
        if placeholder.type == "path" and segments[-1] is not placeholder:
            raise UsageError(f"<path:{placeholder.name}> must be the last segment of {pattern!r}")
    if len({placeholder.name for placeholder in placeholders}) < len(placeholders):
        raise UsageError(f"two placeholders of {pattern!r} have the same name")
    return segments


def _match(pattern: list[str | _Placeholder], segments: list[str]) -> dict[str, str | int] | None:
    """Return the values of the placeholders, None if the segments of a path do not fit."""
    last = pattern[-1]
    if isinstance(last, _Placeholder) and last.type == "path":
        segments = [*segments[: len(pattern) - 1], "/".join(segments[len(pattern) - 1 :])]
    if len(segments) != len(pattern):
        return None
    params: dict[str, str | int] = {}
    for part, raw in zip(pattern, segments, strict=True):
        segment = unquote(raw)
        if isinstance(part, str):
            if part != segment:
                return None
            continue
        try:
            params[part.name] = _CONVERTERS[part.type](segment)
        except ValueError:
            return None
    return params
