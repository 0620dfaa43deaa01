"""MetricsAccess: how the server is doing is for who is on its machine, and for moderators of all rooms."""

from __future__ import annotations

import base64

import pytest

from tests.web.wiring import Answer, OpenWeb, Web
from wschat import Request, RequestRefused
from wschat.chat.access import Access
from wschat.chat.tokens import mint
from wschat.server.proxies import parse_networks
from wschat.web.metrics_access import MetricsAccess

SECRET = b"a secret that is long enough for HS256"
PATHS = ["/stats/data", "/metrics"]
# Somebody else, by the word of a proxy that is trusted.
PROXIED = {"server_options": {"trusted_proxies": ["127.0.0.1"]}}
FROM_FAR_AWAY = {"X_Forwarded_For": "203.0.113.1"}


def ask(web: Web, path: str, **headers: str) -> Answer:
    return web.connect().get(path, **headers)


def basic(name: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"


@pytest.fixture(params=PATHS)
def path(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "localhost:8080", "LOCALHOST", "[::1]:8080", "127.0.0.2:1"])
def test_who_is_on_this_machine_sees_it(web: Web, path: str, host: str) -> None:
    assert ask(web, path, Host=host).status == 200


@pytest.mark.parametrize("name", ["X_Forwarded_For", "Forwarded", "Via", "X_Real_IP", "X_Forwarded_Proto", "CF_Connecting_IP"])
def test_a_proxy_on_this_machine_does_not_ask_for_itself(web: Web, path: str, name: str) -> None:
    answer = ask(web, path, **{name: "127.0.0.1"})
    assert (answer.status, answer.code) == (403, "forbidden")


@pytest.mark.parametrize(
    "host", ["evil.test", "evil.test:80", "localhost.evil.test", "192.0.2.1", "", "[", "[::1", "127.0.0.1@evil.test", "a:b:c"]
)
def test_a_page_whose_name_was_made_to_mean_this_machine_sees_nothing(open_web: OpenWeb, path: str, host: str) -> None:
    """DNS rebinding, where a server answers to any name: to the browser such a page is of the same origin."""
    answer = ask(open_web(server_options={"allowed_hosts": ["*"]}), path, Host=host)
    assert (answer.status, answer.code) == (403, "forbidden")


def test_a_page_of_another_origin_sees_nothing(web: Web, path: str) -> None:
    assert ask(web, path, Origin="https://evil.test").status == 403


def test_who_is_elsewhere_does_not(open_web: OpenWeb, path: str) -> None:
    web = open_web(**PROXIED)
    answer = ask(web, path, **FROM_FAR_AWAY)
    assert (answer.status, answer.code) == (403, "forbidden")
    assert "www-authenticate" not in answer.headers  # there is nobody who could


def test_a_moderator_does_by_password(open_web: OpenWeb, path: str) -> None:
    web = open_web(access=Access(moderators={"root": "sesame"}), **PROXIED)
    answer = ask(web, path, **FROM_FAR_AWAY)
    assert (answer.status, answer.code, answer.headers["www-authenticate"]) == (401, "unauthorized", 'Basic realm="wschat"')
    assert ask(web, path, Authorization=basic("root", "sesame"), **FROM_FAR_AWAY).status == 200
    assert ask(web, f"{path}?name=root&password=sesame", **FROM_FAR_AWAY).status == 200
    assert ask(web, path, Authorization=basic("root", "wrong"), **FROM_FAR_AWAY).status == 401
    assert ask(web, path, Authorization=basic("alice", "sesame"), **FROM_FAR_AWAY).status == 403


def test_a_moderator_does_by_token(open_web: OpenWeb, path: str) -> None:
    web = open_web(access=Access(SECRET), **PROXIED)

    def status(**claims: object) -> int:
        return ask(web, path, Authorization=f"Bearer {mint(SECRET, 'root', **claims)}", **FROM_FAR_AWAY).status  # type: ignore[arg-type]

    assert status(is_moderator=True) == 200
    assert status() == 403
    assert status(is_moderator=True, rooms=["tea"]) == 403
    answer = ask(web, path, **FROM_FAR_AWAY)
    assert (answer.status, answer.headers["www-authenticate"]) == (401, 'Bearer realm="wschat"')
    assert ask(web, path).status == 200  # on this machine


def test_the_page_itself_is_for_everybody(open_web: OpenWeb) -> None:
    """A browser that opens it cannot bring a token; what it asks for can."""
    assert ask(open_web(access=Access(SECRET), **PROXIED), "/stats", **FROM_FAR_AWAY).status == 200


def test_a_websocket_name_is_no_password(open_web: OpenWeb, path: str) -> None:
    web = open_web(access=Access(moderators={"root": "sesame"}), **PROXIED)
    assert ask(web, f"{path}?name=root", **FROM_FAR_AWAY).status == 401


@pytest.mark.parametrize(
    ("address", "is_local"),
    [
        (("127.0.0.1", 1), True),
        (("127.9.9.9", 1), True),
        (("::1", 1, 0, 0), True),
        (("::ffff:127.0.0.1", 1, 0, 0), True),  # of a socket that takes IPv4 as well
        ("", True),  # a local socket
        (("203.0.113.1", 1), False),
        (("::ffff:203.0.113.1", 1, 0, 0), False),
        (("fe80::1%eth0", 1, 0, 2), False),
    ],
)
def test_who_is_on_this_machine(web: Web, address: object, is_local: bool) -> None:
    request = Request("GET", "/metrics", {"host": "localhost"}, remote_address=address)
    if is_local:
        MetricsAccess(web.chat.http).check(request)
    else:
        with pytest.raises(RequestRefused):
            MetricsAccess(web.chat.http).check(request)


@pytest.mark.parametrize(
    ("address", "headers", "is_one"),
    [
        (("203.0.113.1", 1), {}, True),
        (("::ffff:203.0.113.1", 1, 0, 0), {}, True),
        (("2001:db8::1", 1, 0, 0), {}, True),
        (("2001:db8::2", 1, 0, 0), {}, False),
        (("198.51.100.1", 1), {}, False),
        (("203.0.113.1", 1), {"x-forwarded-for": "203.0.113.2"}, False),  # a proxy in the network, and anybody behind it
        (("127.0.0.1", 1), {}, True),
        ("", {}, True),
    ],
)
def test_networks_may_be_named_whose_people_see_it_too(web: Web, address: object, headers: dict[str, str], is_one: bool) -> None:
    insiders = MetricsAccess(web.chat.http, parse_networks(["203.0.113.0/24", "2001:db8::1"]))
    host = {"host": "localhost" if address in ("", ("127.0.0.1", 1)) else "chat.test"}
    request = Request("GET", "/metrics", {**host, **headers}, remote_address=address)
    if is_one:
        insiders.check(request)
    else:
        with pytest.raises(RequestRefused):
            insiders.check(request)


def test_a_proxy_that_says_nothing_speaks_http_1_0(web: Web, path: str) -> None:
    """As nginx does without a configuration: it asks for itself, as it were."""
    with web.connect() as http:
        assert http.call(f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1:8080\r\n\r\n".encode()).status == 403
