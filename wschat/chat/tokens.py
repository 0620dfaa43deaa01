"""Tokens: who somebody is by a JWT (HS256, RFC 7519), and where tokens come from.

The claims that count: `sub` the name, `rooms` glob patterns (all rooms, where there is no such claim), `mod`, `exp`, `nbf`, `iat`,
and `aud`, where an audience is configured.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from http import HTTPStatus
from itertools import islice
from pathlib import Path
from typing import Any

from wschat.chat.names import NAMELESS, RULE, key_of, normalize_name
from wschat.chat.sessions import Identity
from wschat.errors import RequestRefused, UsageError
from wschat.server.requests import Request

CHALLENGE = 'Bearer realm="wschat"'
LEEWAY_SECONDS = 10.0
"""How much the clocks of who signs tokens and of this server may differ."""

_ALGORITHM = "HS256"
_MIN_SECRET_BYTES = 32  # RFC 7518, section 3.2: no less than the hash has
_COOKIE = "wschat_token"
_MAX_COOKIES = 4  # with different paths or domains a browser sends several of one name; each one costs a hash


class Tokens:
    """The tokens that are signed with one secret, for one audience if it is given. From any thread. Raises UsageError without PyJWT."""

    def __init__(self, secret: bytes, audience: str | None = None) -> None:
        if audience == "":
            raise UsageError("an audience is a text that is not empty")
        self._secret = secret
        self._audience = audience
        self._jwt = _import_jwt()

    def identify(self, request: Request) -> Identity:
        """Who asks, by the first token of the request that is valid; if none is, raises RequestRefused (401) about the last one."""
        refusal = _unauthorized("A token is needed here: in the Authorization header, the cookie wschat_token, or ?token=.")
        for token in _tokens_of(request):
            try:
                return self._read(token)
            except RequestRefused as error:
                refusal = error
        raise refusal

    def _read(self, token: str) -> Identity:
        options = {"require": ["sub"] if self._audience is None else ["sub", "aud"]}
        try:
            claims = self._jwt.decode(
                token, self._secret, algorithms=[_ALGORITHM], options=options, audience=self._audience, leeway=LEEWAY_SECONDS
            )
        except self._jwt.InvalidTokenError as error:
            raise _not_valid(str(error)) from None
        except (OverflowError, RecursionError, ValueError):  # PyJWT's older versions let these pass
            raise _not_valid("it cannot be read") from None
        subject, rooms = claims["sub"], claims.get("rooms", ["*"])
        name = normalize_name(subject) if isinstance(subject, str) else None
        if name is None or key_of(name) == key_of(NAMELESS):
            raise _not_valid(f"its 'sub' is a name of {RULE}, and not {NAMELESS}")
        if not isinstance(rooms, list) or not all(isinstance(room, str) for room in rooms):
            raise _not_valid("its 'rooms' is a list of patterns")
        return Identity(
            name,
            is_proven=True,
            is_moderator=claims.get("mod") is True,
            rooms=tuple(map(key_of, rooms)),
            expires_at=_end_of(claims.get("exp")),
        )


def mint(
    secret: bytes,
    name: str,
    *,
    rooms: list[str] | None = None,
    is_moderator: bool = False,
    expires_at: float | None = None,
    audience: str | None = None,
) -> str:
    """A token for somebody; raises UsageError.

    `rooms` are patterns of the rooms it is good for, None for all; `expires_at` is in seconds since 1970, None for never.
    """
    normal = normalize_name(name)
    if normal is None:
        raise UsageError(f"a name has {RULE}, not {name!r}")
    if key_of(normal) == key_of(NAMELESS):
        raise UsageError(f"the name {NAMELESS} is for those who have none")
    claims: dict[str, object] = {"sub": normal}
    if rooms is not None:
        if isinstance(rooms, str) or not all(isinstance(room, str) for room in rooms):
            raise UsageError(f"rooms is a list of patterns, not {rooms!r}")
        claims["rooms"] = list(rooms)
    if is_moderator:
        claims["mod"] = True
    if expires_at is not None:
        if not math.isfinite(expires_at):
            raise UsageError(f"expires_at is a time in seconds since 1970, not {expires_at}")
        claims["exp"] = math.ceil(expires_at)
    if audience is not None:
        claims["aud"] = audience
    return str(_import_jwt().encode(claims, secret, algorithm=_ALGORITHM))


def read_secret(path: str) -> bytes:
    """The secret in a file, without the blanks around it. Raises UsageError if it is none or too short."""
    secret = read_file(path).strip()
    if len(secret) < _MIN_SECRET_BYTES:
        raise UsageError(f"the secret in {path} has {len(secret)} bytes, and needs {_MIN_SECRET_BYTES} at least")
    return secret


def read_file(path: str) -> bytes:
    """What is in a file. Raises UsageError if it cannot be read."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None


def _import_jwt() -> Any:
    try:
        import jwt
    except ImportError:
        raise UsageError("tokens need PyJWT: pip install 'wschat[auth]'") from None
    return jwt


def _end_of(exp: object) -> float | None:
    """When a token ends, as this server sees it; PyJWT has let it pass. Raises RequestRefused."""
    if exp is None:
        return None
    if isinstance(exp, int | float) and not isinstance(exp, bool):
        try:
            return float(exp) + LEEWAY_SECONDS
        except OverflowError:  # hundreds of digits
            pass
    raise _not_valid("its 'exp' is a number of seconds since 1970")


def _tokens_of(request: Request) -> Iterator[str]:
    """All tokens of a request. A cookie may be stale and a proxy may have a Bearer of its own, beside a token that is meant for here."""
    kind, _, value = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        yield value.strip()
    # By hand: http.cookies takes nothing after a cookie that it does not understand, and others set cookies here, too.
    cookies = (cookie.strip().partition("=") for cookie in request.headers.get("cookie", "").split(";"))
    yield from islice((value.strip('"') for name, _, value in cookies if name == _COOKIE), _MAX_COOKIES)
    token = request.query.get("token")
    if token is not None:
        yield token


def _not_valid(why: str) -> RequestRefused:
    return _unauthorized(f"The token is not valid: {why}.")


def _unauthorized(text: str) -> RequestRefused:
    return RequestRefused(HTTPStatus.UNAUTHORIZED, text, {"WWW-Authenticate": CHALLENGE})
