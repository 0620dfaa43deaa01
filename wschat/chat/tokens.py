"""Tokens: the identity of a client by a JWT (HS256, RFC 7519), and how a token is made.

The claims that are read: `sub` (the name), `rooms` (glob patterns; without it, all rooms), `mod`, `exp`, `nbf`, `iat`, and `aud`,
if an audience is configured.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from http import HTTPStatus
from itertools import islice
from pathlib import Path
from typing import Any

from wschat.chat.sessions import Identity
from wschat.errors import RequestRefused, UsageError
from wschat.names import NAMELESS, RULE, key_of, normalize_name
from wschat.server.requests import Request

CHALLENGE = 'Bearer realm="wschat"'
"""The `WWW-Authenticate` header for a request without a valid token."""
LEEWAY_SECONDS = 10.0
"""How much the clocks of the token's issuer and of this server may differ."""

_ALGORITHM = "HS256"
_MIN_SECRET_BYTES = 32  # RFC 7518, section 3.2: at least the size of the hash
_COOKIE = "wschat_token"
_MAX_COOKIES = 4  # a browser sends one for each path and domain; each costs a hash


class Tokens:
    """Reads tokens signed with one secret, and for one audience if it is given. From any thread. Raises UsageError without PyJWT."""

    def __init__(self, secret: bytes, audience: str | None = None) -> None:
        if audience == "":
            raise UsageError("an audience must not be empty")
        self._secret = secret
        self._audience = audience
        self._jwt = _import_jwt()

    def identify(self, request: Request) -> Identity:
        """Return the identity in the first valid token of a request. Raises RequestRefused (401), about the last one, if none is valid."""
        refusal = _unauthorized("A token is required: in the Authorization header, the cookie wschat_token, or ?token=.")
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
        except (OverflowError, RecursionError, ValueError):  # older versions of PyJWT do not catch these
            raise _not_valid("it is malformed") from None
        subject, rooms = claims["sub"], claims.get("rooms", ["*"])
        name = normalize_name(subject) if isinstance(subject, str) else None
        if name is None or key_of(name) == key_of(NAMELESS):
            raise _not_valid(f"its 'sub' must be {RULE}, and not {NAMELESS}")
        if not isinstance(rooms, list) or not all(isinstance(room, str) for room in rooms):
            raise _not_valid("its 'rooms' must be a list of patterns")
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
    """Return a token for a user. Raises UsageError.

    `rooms` are patterns of the rooms that it admits to, None for all; `expires_at` is in seconds since 1970, None for never.
    """
    normal = normalize_name(name)
    if normal is None:
        raise UsageError(f"a name must be {RULE}, not {name!r}")
    if key_of(normal) == key_of(NAMELESS):
        raise UsageError(f"the name {NAMELESS} is reserved for clients without a name")
    claims: dict[str, object] = {"sub": normal}
    if rooms is not None:
        if isinstance(rooms, str) or not all(isinstance(room, str) for room in rooms):
            raise UsageError(f"rooms must be a list of patterns, not {rooms!r}")
        claims["rooms"] = list(rooms)
    if is_moderator:
        claims["mod"] = True
    if expires_at is not None:
        if not math.isfinite(expires_at):
            raise UsageError(f"expires_at must be a time in seconds since 1970, not {expires_at}")
        claims["exp"] = math.ceil(expires_at)
    if audience is not None:
        claims["aud"] = audience
    return str(_import_jwt().encode(claims, secret, algorithm=_ALGORITHM))


def read_secret(path: str) -> bytes:
    """Return the secret in a file, without white space around it. Raises UsageError for one that is too short."""
    secret = read_file(path).strip()
    if len(secret) < _MIN_SECRET_BYTES:
        raise UsageError(f"the secret in {path} has {len(secret)} bytes, and must have at least {_MIN_SECRET_BYTES}")
    return secret


def read_file(path: str) -> bytes:
    """Return the contents of a file. Raises UsageError if it cannot be read."""
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
    """Return when a token expires by this server's clock, for a claim that PyJWT accepted. Raises RequestRefused."""
    if exp is None:
        return None
    if isinstance(exp, int | float) and not isinstance(exp, bool):
        try:
            return float(exp) + LEEWAY_SECONDS
        except OverflowError:  # hundreds of digits
            pass
    raise _not_valid("its 'exp' must be a number of seconds since 1970")


def _tokens_of(request: Request) -> Iterator[str]:
    """Yield all tokens of a request. A cookie may be stale, and a bearer token may be a proxy's, beside one that is valid here."""
    kind, _, value = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        yield value.strip()
    # By hand: http.cookies ignores everything after a cookie that it cannot parse, which another site of the domain may have set.
    cookies = (cookie.strip().partition("=") for cookie in request.headers.get("cookie", "").split(";"))
    yield from islice((value.strip('"') for name, _, value in cookies if name == _COOKIE), _MAX_COOKIES)
    token = request.query.get("token")
    if token is not None:
        yield token


def _not_valid(why: str) -> RequestRefused:
    return _unauthorized(f"The token is not valid: {why}.")


def _unauthorized(text: str) -> RequestRefused:
    return RequestRefused(HTTPStatus.UNAUTHORIZED, text, {"WWW-Authenticate": CHALLENGE})
