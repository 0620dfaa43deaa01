"""Access: identification by token, by password or by name alone; refusals; and issuing tokens."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wschat.chat.access import Access, read_moderator
from wschat.chat.sessions import Identity
from wschat.chat.tokens import LEEWAY_SECONDS, mint, read_secret
from wschat.errors import Rejected, RequestRefused, UsageError
from wschat.names import normalize_name
from wschat.server.requests import Request

SECRET = b"a secret of the tests that is long enough even for HS512, which needs 64 bytes"
OTHER_SECRET = b"another secret that is long enough even for HS512, which needs 64 bytes of key"
HOUR = 3600
RULE = "The name must be 1 to 32 letters, digits, '-', '_' or '.'."


def token(secret: bytes = SECRET, algorithm: str = "HS256", **claims: object) -> str:
    """Return a token as another program issues it."""
    return jwt.encode({"sub": "alice", **claims}, secret, algorithm=algorithm)


def opening(headers: Mapping[str, str] | None = None, **query: str) -> Request:
    return Request("GET", f"/?{urlencode(query)}" if query else "/", dict(headers or {}))


def bearing(text: str) -> Request:
    return opening({"authorization": f"Bearer {text}"})


def basic(text: str | bytes) -> Request:
    data = text.encode() if isinstance(text, str) else text
    return opening({"authorization": f"Basic {base64.b64encode(data).decode()}"})


def refusal(access: Access, request: Request) -> RequestRefused:
    with pytest.raises(RequestRefused) as caught:
        access.identify(request)
    assert caught.value.text.isprintable()
    return caught.value


def outcome(access: Access, request: Request) -> Identity | RequestRefused:
    try:
        return access.identify(request)
    except RequestRefused as refused:
        return refused


@pytest.fixture
def access() -> Access:
    """The access rules of a chat that requires a token."""
    return Access(SECRET)


# Tokens


@pytest.mark.parametrize(
    "request_made",
    [
        opening({"authorization": f"Bearer {token()}"}),
        opening({"authorization": f"bearer {token()}"}),
        opening({"authorization": f"BEARER   {token()} "}),
        opening({"cookie": f"wschat_token={token()}"}),
        opening({"cookie": f'wschat_token="{token()}"'}),
        opening({"cookie": f"theme=dark; wschat_token={token()}; lang=en"}),
        opening({"cookie": f"a=1;wschat_token={token()}"}),
        opening(token=token()),
        opening(room="tea", token=token()),
    ],
)
def test_a_token_can_be_sent_in_three_ways(access: Access, request_made: Request) -> None:
    assert access.identify(request_made) == Identity("alice", is_proven=True)


@pytest.mark.parametrize(
    "neighbour",
    [
        'prefs={"theme":"dark"}',
        "title=two words",
        "flag",
        "path=/",
        "user@site=1",
        "a[1]=b",
        "é=ü",
        'open="quote',
    ],
)
def test_other_cookies_are_ignored(access: Access, neighbour: str) -> None:
    """Other programs on the same host set cookies too, in any syntax."""
    for cookies in (f"{neighbour}; wschat_token={token()}", f"wschat_token={token()}; {neighbour}"):
        assert access.identify(opening({"cookie": cookies})).name == "alice"


@pytest.mark.parametrize(
    ("headers", "query", "name"),
    [
        ({"authorization": f"Bearer {token(sub='header')}", "cookie": f"wschat_token={token(sub='cookie')}"}, token(sub="query"), "header"),
        ({"cookie": f"wschat_token={token(sub='cookie')}"}, token(sub="query"), "cookie"),
        ({"authorization": "Basic eDp5", "cookie": f"wschat_token={token(sub='cookie')}"}, token(sub="query"), "cookie"),
        ({"authorization": "Basic eDp5", "cookie": "other=1"}, token(sub="query"), "query"),
    ],
)
def test_the_header_takes_precedence_over_the_cookie_and_the_cookie_over_the_query(
    access: Access, headers: Mapping[str, str], query: str, name: str
) -> None:
    assert access.identify(opening(headers, token=query)).name == name


@pytest.mark.parametrize("stale", ["x", "an.opaque.one", token(exp=0), token(OTHER_SECRET), ""])
def test_the_first_valid_token_counts(access: Access, stale: str) -> None:
    """An expired cookie, or a bearer token meant for a proxy, does not matter if another token is valid."""
    good = token(sub="bob")
    for request in (
        opening({"authorization": f"Bearer {stale}"}, token=good),
        opening({"cookie": f"wschat_token={stale}"}, token=good),
        opening({"authorization": f"Bearer {stale}", "cookie": f"wschat_token={stale}"}, token=good),
        opening({"authorization": f"Bearer {stale}", "cookie": f"wschat_token={good}"}),
        opening({"authorization": f"Bearer {stale}", "cookie": f"wschat_token={good}"}, token=stale),
        opening({"cookie": f"wschat_token={stale}; wschat_token={good}"}),
    ):
        assert access.identify(request).name == "bob"


def test_without_a_valid_token_the_error_is_about_the_last(access: Access) -> None:
    request = opening({"authorization": "Bearer x", "cookie": "wschat_token=x"}, token=token(exp=0))
    assert refusal(access, request).text == "The token is not valid: Signature has expired."


def test_thousands_of_cookies_take_no_time(access: Access) -> None:
    cookies = "; ".join([f"wschat_token={token(OTHER_SECRET)}"] * 1000)
    begun = time.thread_time()
    assert refusal(access, opening({"cookie": cookies})).status == HTTPStatus.UNAUTHORIZED
    assert time.thread_time() - begun < 0.05


@pytest.mark.parametrize(
    "headers", [{}, {"authorization": "Basic YWxpY2U6eA=="}, {"authorization": "Digest x"}, {"cookie": "token=x"}, {"cookie": ""}]
)
def test_the_error_for_a_missing_token_says_where_it_belongs(access: Access, headers: Mapping[str, str]) -> None:
    for request in (opening(headers), opening(headers, name="alice", password="x")):
        refused = refusal(access, request)
        assert refused.status == HTTPStatus.UNAUTHORIZED
        assert refused.text == "A token is required: in the Authorization header, the cookie wschat_token, or ?token=."
        assert refused.headers == {"WWW-Authenticate": 'Bearer realm="wschat"'}


def unsigned(payload: bytes) -> str:
    """Return a token with the algorithm "none"."""
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in (b'{"alg":"none","typ":"JWT"}', payload, b""))


def signed(claims: bytes) -> str:
    """Return a signed token with any payload."""
    return jwt.api_jws.encode(claims, SECRET, algorithm="HS256")


NOT_VALID = {
    "nothing": "",
    "a word": "x",
    "three words": "a.b.c",
    "dots": "...",
    "letters that are not ASCII": "é.ü.ö",
    "cut off": token()[:-2],
    "too long": token() + "x",
    "two of them": f"{token()}, {token()}",
    "signed with another secret": token(OTHER_SECRET),
    "HS384": token(algorithm="HS384"),
    "HS512": token(algorithm="HS512"),
    "not signed": unsigned(b'{"sub":"alice"}'),
    "not signed, by a library": jwt.encode({"sub": "alice"}, None, algorithm="none"),
    "expired": token(exp=time.time() - 11),
    "expired long ago": token(exp=0),
    "expired before 1970": token(exp=-1),
    "expires soon": token(exp="soon"),
    "expires at null": token(exp=None),
    "expires at infinity": token(exp=float("inf")),
    "expires at no number": token(exp=float("nan")),
    "expires after hundreds of digits": token(exp=10**400),
    "expired hundreds of digits ago": token(exp=-(10**400)),
    "expires at thousands of digits": signed(b'{"sub":"alice","exp":' + b"9" * 5000 + b"}"),
    "expires at true": token(exp=True),
    "issued at infinity": token(iat=float("inf")),
    "issued at no number": token(iat=float("nan")),
    "issued hundreds of digits ahead": token(iat=10**400),
    "valid from infinity": token(nbf=float("inf")),
    "valid from no number": token(nbf=float("nan")),
    "valid hundreds of digits ahead": token(nbf=10**400),
    "claims too deep": signed(b"[" * 6000),
    "header too deep": f"{base64.urlsafe_b64encode(b'[' * 6000).decode()}.e30.x",
    "header a list": f"{base64.urlsafe_b64encode(b'[]').decode()}.e30.x",
    "not yet valid": token(nbf=time.time() + HOUR),
    "issued later": token(iat=time.time() + HOUR),
    "valid soon": token(nbf="soon"),
    "for another server": token(aud="another server"),
    "for the reserved name": token(sub="Server"),
    "for the reserved name, in another case": token(sub="ｓＥＲＶＥＲ"),
    "without a sub": jwt.encode({}, SECRET),
    "name and no sub": jwt.encode({"name": "alice"}, SECRET),
    "sub null": token(sub=None),
    "sub empty": token(sub=""),
    "sub a number": token(sub=5),
    "sub a list": token(sub=["alice"]),
    "sub an object": token(sub={"name": "alice"}),
    "sub true": token(sub=True),
    "sub two words": token(sub="two words"),
    "sub too long": token(sub="x" * 33),
    "sub two lines": token(sub="a\r\nb"),
    "sub half a character": token(sub="\ud800"),
    "rooms a text": token(rooms="tea"),
    "rooms null": token(rooms=None),
    "rooms an object": token(rooms={"tea": True}),
    "rooms a number": token(rooms=5),
    "rooms a list of numbers": token(rooms=[5]),
    "rooms a list with null": token(rooms=["tea", None]),
}


@pytest.mark.parametrize("text", NOT_VALID.values(), ids=NOT_VALID)
def test_an_invalid_token_is_refused(access: Access, text: str) -> None:
    for request in (bearing(text), opening(token=text)):
        refused = refusal(access, request)
        assert refused.status == HTTPStatus.UNAUTHORIZED
        assert refused.text.startswith("The token is not valid: ")
        assert refused.headers == {"WWW-Authenticate": 'Bearer realm="wschat"'}


@given(st.text(st.characters(codec="latin-1")))
def test_any_text_as_a_token_is_refused(text: str) -> None:
    assert refusal(Access(SECRET), bearing(text)).status == HTTPStatus.UNAUTHORIZED


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.sampled_from(["alice", "*", 2**40]),
    lambda values: st.lists(values, max_size=2) | st.dictionaries(st.text(max_size=3), values, max_size=2),
    max_leaves=4,
)


@given(st.dictionaries(st.sampled_from(["sub", "exp", "nbf", "iat", "aud", "iss", "jti", "rooms", "mod"]), JSON_VALUES))
def test_any_claims_give_an_identity_or_are_refused(claims: dict[str, object]) -> None:
    """A program that has the secret can still make mistakes."""
    found = outcome(Access(SECRET), bearing(signed(json.dumps(claims).encode())))
    if isinstance(found, RequestRefused):
        assert found.status == HTTPStatus.UNAUTHORIZED
    else:
        assert found.name == normalize_name(str(claims["sub"]))
        assert found.is_moderator == (claims.get("mod") is True)


def test_a_valid_token_is_accepted(access: Access) -> None:
    now = time.time()
    for valid in (token(exp=now + HOUR), token(nbf=now - 1), token(iat=now - 1), token(iss="us", jti="1", more=[1])):
        assert access.identify(bearing(valid)).name == "alice"


def test_clocks_may_differ_by_a_few_seconds(access: Access) -> None:
    now = time.time()
    for valid in (token(exp=now - 5), token(nbf=now + 5), token(iat=now + 5), token(exp=now - 5, nbf=now + 5, iat=now + 5)):
        identity = access.identify(bearing(valid))
        assert not identity.has_expired
    for late in (token(exp=now - 15), token(nbf=now + 25), token(iat=now + 25)):
        assert refusal(access, bearing(late)).status == HTTPStatus.UNAUTHORIZED


@pytest.mark.parametrize(
    ("aud", "is_accepted"), [("chat", True), (["web", "chat"], True), ("web", False), ([], False), ("", False), (5, False)]
)
def test_a_token_must_be_for_the_audience_if_one_is_configured(aud: object, is_accepted: bool) -> None:
    access = Access(SECRET, audience="chat")
    found = outcome(access, bearing(token(aud=aud)))
    assert isinstance(found, Identity) == is_accepted
    assert refusal(access, bearing(token())).text == 'The token is not valid: Token is missing the "aud" claim.'


def test_an_audience_without_a_secret_raises_usage_error() -> None:
    with pytest.raises(UsageError, match="an audience is for tokens"):
        Access(audience="chat")


@pytest.mark.parametrize("name", ["alice", "Zoë", "Ольга", "名前"])
def test_the_subject_is_the_name(access: Access, name: str) -> None:
    assert access.identify(bearing(token(sub=name))) == Identity(name, is_proven=True)


def test_the_subject_is_normalised(access: Access) -> None:
    assert access.identify(bearing(token(sub="ａｌｉｃｅ"))).name == "alice"


def test_the_identity_expires_with_its_token(access: Access) -> None:
    ends = int(time.time()) + HOUR
    assert access.identify(bearing(token(exp=ends))).expires_at == ends + LEEWAY_SECONDS
    assert access.identify(bearing(token())).expires_at is None


@pytest.mark.parametrize("ends", [4102444800, 4102444800.5, "4102444800"])  # the year 2100
def test_the_expiry_of_an_identity_is_a_number_however_it_is_written(access: Access, ends: object) -> None:
    """Some programs write it as a string, and PyJWT accepts that."""
    found = outcome(access, bearing(token(exp=ends)))
    assert isinstance(found, RequestRefused) or isinstance(found.expires_at, int | float)


@pytest.mark.parametrize("mod", [1, "true", "True", "yes", [True], {}, 0, False, None])
def test_only_the_claim_mod_true_makes_a_moderator(access: Access, mod: object) -> None:
    assert not access.identify(bearing(token(mod=mod))).is_moderator


def test_a_token_can_make_a_moderator(access: Access) -> None:
    assert access.identify(bearing(token(mod=True))) == Identity("alice", is_proven=True, is_moderator=True)


@pytest.mark.parametrize(
    ("patterns", "rooms", "others"),
    [
        (["*"], ["lobby", "tea"], []),
        (["lobby", "tea-*"], ["lobby", "tea-green"], ["tea", "lobby2"]),
        (["TEA-*"], ["tea-green"], ["coffee"]),
        (["Straße"], ["strasse"], []),
        (["ＴＥＡ"], ["tea"], ["t"]),
        (["team-[12]"], ["team-1", "team-2"], ["team-3", "team-[12]"]),
        (["te?"], ["tea"], ["te", "team"]),
    ],
)
def test_the_room_patterns_of_a_token_ignore_case(access: Access, patterns: list[str], rooms: list[str], others: list[str]) -> None:
    identity = access.identify(bearing(token(rooms=patterns)))
    assert [room for room in rooms + others if identity.may_enter(room)] == rooms


def test_without_patterns_all_rooms_are_allowed_and_with_an_empty_list_none(access: Access) -> None:
    """A program that computes an empty list must not allow all rooms by it."""
    assert access.identify(bearing(token())).may_enter("lobby")
    assert not access.identify(bearing(token(rooms=[]))).may_enter("lobby")


def test_passwords_are_not_accepted_if_tokens_are_required() -> None:
    for request in (opening(name="root", password="swordfish"), basic("root:swordfish")):
        assert refusal(Access(SECRET), request).status == HTTPStatus.UNAUTHORIZED
    with pytest.raises(UsageError, match="must have a token with the claim 'mod'"):
        Access(SECRET, {"root": "swordfish"})


def test_the_name_server_is_reserved() -> None:
    assert refusal(Access(), opening(name="SERVER")).status == HTTPStatus.BAD_REQUEST
    with pytest.raises(Rejected, match="The name Server is reserved for clients without a name"):
        Access().check_name(Identity(), "server")


# Names and passwords


@pytest.mark.parametrize("name", ["alice", "Zoë", "名前"])
def test_without_a_secret_any_name_is_accepted(name: str) -> None:
    access = Access()
    assert access.identify(opening(name=name)) == Identity(name)
    assert access.identify(opening(name=name, password="any")) == Identity(name)


def test_a_name_is_optional() -> None:
    for request in (opening(), opening(other="x"), opening({"authorization": "Bearer x"}), opening({"authorization": "Digest x"})):
        assert Access().identify(request) == Identity()


def test_a_name_is_normalised() -> None:
    assert Access().identify(opening(name="ａｌｉｃｅ")).name == "alice"


@pytest.mark.parametrize("access", [Access(), Access(moderators={"root": "swordfish"})], ids=["no moderators", "moderators"])
@pytest.mark.parametrize("login", ["team:x", "team", "team:", ":", "", "two words:x", b"\xff:x", "<b>:swordfish"])
def test_a_basic_login_for_a_proxy_gives_no_name(access: Access, login: str | bytes) -> None:
    """Many people can share the login of a proxy."""
    headers = basic(login).headers
    assert access.identify(opening(headers, name="alice")) == Identity("alice")
    assert access.identify(opening(headers)) == Identity()


def test_the_header_of_a_moderator_takes_precedence_over_the_query() -> None:
    access = Access(moderators={"root": "swordfish", "zoe": "sesame"})
    assert access.identify(opening(basic("root:swordfish").headers, name="alice")).name == "root"
    assert access.identify(opening(basic("team:x").headers, name="root", password="swordfish")).is_moderator
    assert refusal(access, opening(basic("root:x").headers, name="alice")).status == HTTPStatus.UNAUTHORIZED


def test_a_server_without_a_secret_ignores_tokens() -> None:
    assert Access().identify(opening(token=token(mod=True), name="bob")) == Identity("bob")


@pytest.mark.parametrize("name", ["", " ", "two words", "x" * 33, "a\nb", "<b>", "\0"])
def test_an_invalid_name_is_refused(name: str) -> None:
    refused = refusal(Access(), opening(name=name))
    assert (refused.status, refused.text, refused.headers) == (HTTPStatus.BAD_REQUEST, RULE, {})


@pytest.mark.parametrize("value", ["!!", "YQ", "YWxpY2U6eA==x", "YWxp Y2U6", "é", "/zp4", base64.b64encode(b"al\xffice:x").decode()])
def test_a_header_with_invalid_base64_gives_no_name(value: str) -> None:
    for access in (Access(), Access(moderators={"root": "swordfish"})):
        assert access.identify(opening({"authorization": f"Basic {value}"}, name="bob")) == Identity("bob")


@given(st.text(st.characters(codec="latin-1")))
def test_any_header_gives_an_identity_or_is_refused(value: str) -> None:
    for request in (opening({"authorization": value}), opening({"authorization": f"Basic {value}"})):
        found = outcome(Access(None, {"root": "swordfish"}), request)
        if isinstance(found, RequestRefused):
            assert found.status == HTTPStatus.UNAUTHORIZED
        else:
            assert not found.is_proven


PASSWORDS = {"Root": "swordfish", "zoë": "pass:wörd & 名前"}


@pytest.mark.parametrize(
    ("name", "password"), [("Root", "swordfish"), ("ROOT", "swordfish"), ("ｒｏｏｔ", "swordfish"), ("Zoë", "pass:wörd & 名前")]
)
def test_a_moderator_is_identified_by_name_and_password(name: str, password: str) -> None:
    access = Access(moderators=PASSWORDS)
    expected = Identity(normalize_name(name), is_proven=True, is_moderator=True)
    assert access.identify(opening(name=name, password=password)) == expected
    assert access.identify(basic(f"{name}:{password}")) == expected


@pytest.mark.parametrize(
    "password", ["", "Swordfish", "swordfish ", "swordfis", "swordfish\0", "ſwordfish", "x" * 10_000, "pass:wörd & 名前"]
)
def test_a_wrong_password_is_refused(password: str) -> None:
    access = Access(moderators=PASSWORDS)
    for request in (opening(name="rOOt", password=password), basic(f"rOOt:{password}")):
        refused = refusal(access, request)
        assert refused.status == HTTPStatus.UNAUTHORIZED
        assert refused.text == "The name rOOt belongs to a moderator and needs a password: ?name=rOOt&password=..."
        assert refused.headers == {"WWW-Authenticate": 'Basic realm="wschat"'}
        assert "swordfish" not in refused.text


def test_a_moderator_without_a_password_is_refused() -> None:
    access = Access(moderators=PASSWORDS)
    for request in (opening(name="root"), basic("root"), basic("root:")):
        assert refusal(access, request).status == HTTPStatus.UNAUTHORIZED


def test_guests_need_no_password() -> None:
    assert Access(moderators=PASSWORDS).identify(opening(name="bob", password="swordfish")) == Identity("bob")
    assert Access(moderators=PASSWORDS).identify(opening()) == Identity()


# Changing names


def test_a_guest_may_take_any_name_but_a_moderators() -> None:
    access = Access(moderators=PASSWORDS)
    access.check_name(Identity(), "alice")
    access.check_name(Identity("alice"), "bob")
    for name in ("Root", "ROOT", "zoë", "ZOË"):
        with pytest.raises(Rejected, match=f"The name {name} belongs to a moderator: connect with the password.") as caught:
            access.check_name(Identity("alice"), name)
        assert caught.value.code == "forbidden"


@pytest.mark.parametrize("name", ["bob", "alice", "root"])
def test_a_proven_name_cannot_be_changed(name: str) -> None:
    for access in (Access(SECRET), Access(moderators=PASSWORDS)):
        with pytest.raises(Rejected, match="You cannot change a name that is proven") as caught:
            access.check_name(Identity("alice", is_proven=True), name)
        assert caught.value.code == "forbidden"


# Files


@pytest.mark.parametrize("content", [SECRET, b" " + SECRET + b"\n", b"\r\n\t" + SECRET + b" \r\n", b"x" * 32, bytes(range(100, 132))])
def test_a_secret_is_the_stripped_content_of_its_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "secret"
    path.write_bytes(content)
    assert read_secret(str(path)) == content.strip()


@pytest.mark.parametrize("content", [b"", b"\n", b"x" * 31, b"x" * 31 + b"\n" * 10])
def test_a_short_secret_raises_usage_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "secret"
    path.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        read_secret(str(path))
    assert str(caught.value) == f"the secret in {path} has {len(content.strip())} bytes, and must have at least 32"


@pytest.mark.parametrize("text", ["root:{}", "ROOT:{}", "ｒｏｏｔ:{}"])
@pytest.mark.parametrize("content", ["swordfish", " swordfish\n", "pass:wörd & 名前\n"])
def test_a_moderator_is_given_as_a_name_and_a_file(tmp_path: Path, text: str, content: str) -> None:
    path = tmp_path / "with:colon"
    path.write_text(content, encoding="utf-8")
    name, password = read_moderator(text.format(path))
    assert (name.lower(), password) == ("root", content.strip())
    assert Access(moderators={name: password}).identify(opening(name="root", password=password)).is_moderator


@pytest.mark.parametrize("text", ["", ":", "root", ":file", "two words:file", "x" * 33 + ":file"])
def test_an_invalid_moderator_raises_usage_error(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_moderator(text)
    assert str(caught.value) == f"a moderator must be NAME:PASSWORD-FILE, not {text!r}"


def test_a_moderator_cannot_have_the_reserved_name() -> None:
    with pytest.raises(UsageError, match="the name of a moderator must not be Server"):
        Access(moderators={"server": "swordfish"})


@pytest.mark.parametrize("content", ["", "\n", " \t\r\n"])
def test_an_empty_password_file_raises_usage_error(tmp_path: Path, content: str) -> None:
    path = tmp_path / "password"
    path.write_text(content)
    with pytest.raises(UsageError) as caught:
        read_moderator(f"root:{path}")
    assert str(caught.value) == f"the password file {path} is empty"


@pytest.mark.parametrize(("path", "why"), [("{}/gone", "No such file or directory"), ("{}", "Is a directory"), ("", "Is a directory")])
def test_an_unreadable_file_raises_usage_error(tmp_path: Path, path: str, why: str) -> None:
    path = path.format(tmp_path)
    for read in (lambda: read_secret(path), lambda: read_moderator(f"root:{path}")):
        with pytest.raises(UsageError) as caught:
            read()
        assert str(caught.value) == f"cannot read {path}: {why}"


# Issuing tokens

NAMES = st.text(min_size=1, max_size=32).map(normalize_name).filter(lambda name: name is not None).map(str)


@given(
    NAMES,
    st.none() | st.lists(st.text(), max_size=5),
    st.booleans(),
    st.none() | st.integers(int(time.time()) + HOUR, 2**53),
)
def test_an_issued_token_gives_the_same_identity(name: str, rooms: list[str] | None, is_moderator: bool, expires_at: int | None) -> None:
    made = mint(SECRET, name, rooms=rooms, is_moderator=is_moderator, expires_at=expires_at)
    identity = Access(SECRET).identify(bearing(made))
    ends = None if expires_at is None else expires_at + LEEWAY_SECONDS
    assert (identity.name, identity.is_proven, identity.is_moderator, identity.expires_at) == (name, True, is_moderator, ends)
    assert len(identity.rooms) == len(["*"] if rooms is None else rooms)
    assert refusal(Access(OTHER_SECRET), bearing(made)).status == HTTPStatus.UNAUTHORIZED


def test_an_issued_token_has_only_the_necessary_claims() -> None:
    assert jwt.decode(mint(SECRET, "ａｌｉｃｅ"), SECRET, ["HS256"]) == {"sub": "alice"}


def test_a_token_issued_with_an_empty_list_allows_no_room() -> None:
    """A program that computes an empty list must not allow all rooms by it."""
    assert jwt.decode(mint(SECRET, "alice", rooms=[]), SECRET, ["HS256"]) == {"sub": "alice", "rooms": []}
    assert not Access(SECRET).identify(bearing(mint(SECRET, "alice", rooms=[]))).may_enter("lobby")


@pytest.mark.parametrize("rooms", ["tea", [5], [None], ("tea", b"coffee")])
def test_rooms_that_are_not_a_list_of_strings_raise_usage_error(rooms: Any) -> None:
    with pytest.raises(UsageError, match="rooms must be a list of patterns, not "):
        mint(SECRET, "alice", rooms=rooms)


@pytest.mark.parametrize("expires_at", [float("inf"), float("-inf"), float("nan")])
def test_an_expiry_that_is_not_a_time_raises_usage_error(expires_at: float) -> None:
    with pytest.raises(UsageError, match="expires_at must be a time in seconds since 1970, not "):
        mint(SECRET, "alice", expires_at=expires_at)


def test_a_token_can_be_issued_for_an_audience() -> None:
    made = mint(SECRET, "alice", audience="chat")
    assert Access(SECRET, audience="chat").identify(bearing(made)).name == "alice"
    assert refusal(Access(SECRET, audience="web"), bearing(made)).status == HTTPStatus.UNAUTHORIZED


def test_a_token_needs_no_quoting_in_a_url() -> None:
    made = mint(SECRET, "名前", rooms=["*"], is_moderator=True)
    assert quote(made) == made


def test_issuing_a_token_for_the_reserved_name_raises_usage_error() -> None:
    for name in ("Server", "server", "ＳＥＲＶＥＲ"):
        with pytest.raises(UsageError, match="the name Server is reserved for clients without a name"):
            mint(SECRET, name)


@pytest.mark.parametrize("name", ["", "two words", "x" * 33])
def test_issuing_a_token_for_an_invalid_name_raises_usage_error(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        mint(SECRET, name)
    assert str(caught.value) == f"a name must be 1 to 32 letters, digits, '-', '_' or '.', not {name!r}"
