"""MetricsAccess: metrics are for clients on the server's own machine, configured networks, and moderators of all rooms."""

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
# A client elsewhere, behind a trusted proxy.
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
def test_a_client_on_this_machine_has_access(web: Web, path: str, host: str) -> None:
    assert ask(web, path, Host=host).status == 200


@pytest.mark.parametrize("name", ["X_Forwarded_For", "Forwarded", "Via", "X_Real_IP", "X_Forwarded_Proto", "CF_Connecting_IP"])
def test_a_proxy_on_this_machine_has_no_access_for_its_clients(web: Web, path: str, name: str) -> None:
    answer = ask(web, path, **{name: "127.0.0.1"})
    assert (answer.status, answer.code) == (403, "forbidden")


@pytest.mark.parametrize("host", ["evil.test", "evil.test:80", "localhost.evil.test", "192.0.2.1", ""])
def test_a_page_with_a_rebound_host_name_has_no_access(open_web: OpenWeb, path: str, host: str) -> None:
    """DNS rebinding, with a server that accepts any host: for the browser such a page has the same origin."""
    answer = ask(open_web(server_options={"allowed_hosts": ["*"]}), path, Host=host)
    assert (answer.status, answer.code) == (403, "forbidden")


@pytest.mark.parametrize("host", ["[", "[::1", "127.0.0.1@evil.test", "a:b:c"])
def test_a_host_name_that_is_none_has_no_access(open_web: OpenWeb, path: str, host: str) -> None:
    answer = ask(open_web(server_options={"allowed_hosts": ["*"]}), path, Host=host)
    assert (answer.status, answer.code) == (400, "bad-request")


def test_a_page_of_another_origin_has_no_access(web: Web, path: str) -> None:
    assert ask(web, path, Origin="https://evil.test").status == 403


def test_a_client_elsewhere_has_no_access(open_web: OpenWeb, path: str) -> None:
    web = open_web(**PROXIED)
    answer = ask(web, path, **FROM_FAR_AWAY)
    assert (answer.status, answer.code) == (403, "forbidden")
    assert "www-authenticate" not in answer.headers  # no credentials would help


def test_a_moderator_has_access_by_password(open_web: OpenWeb, path: str) -> None:
    web = open_web(access=Access(moderators={"root": "sesame"}), **PROXIED)
    answer = ask(web, path, **FROM_FAR_AWAY)
    assert (answer.status, answer.code, answer.headers["www-authenticate"]) == (401, "unauthorized", 'Basic realm="wschat"')
    assert ask(web, path, Authorization=basic("root", "sesame"), **FROM_FAR_AWAY).status == 200
    assert ask(web, f"{path}?name=root&password=sesame", **FROM_FAR_AWAY).status == 200
    assert ask(web, path, Authorization=basic("root", "wrong"), **FROM_FAR_AWAY).status == 401
    assert ask(web, path, Authorization=basic("alice", "sesame"), **FROM_FAR_AWAY).status == 403


def test_a_moderator_has_access_by_token(open_web: OpenWeb, path: str) -> None:
    web = open_web(access=Access(SECRET), **PROXIED)

    def status(**claims: object) -> int:
        return ask(web, path, Authorization=f"Bearer {mint(SECRET, 'root', **claims)}", **FROM_FAR_AWAY).status  # type: ignore[arg-type]

    assert status(is_moderator=True) == 200
    assert status() == 403
    assert status(is_moderator=True, rooms=["tea"]) == 403
    answer = ask(web, path, **FROM_FAR_AWAY)
    assert (answer.status, answer.headers["www-authenticate"]) == (401, 'Bearer realm="wschat"')
    assert ask(web, path).status == 200  # on this machine


def test_the_page_itself_is_public(open_web: OpenWeb) -> None:
    """A browser cannot send a token when it opens the page, but the page's own requests can."""
    assert ask(open_web(access=Access(SECRET), **PROXIED), "/stats", **FROM_FAR_AWAY).status == 200


def test_the_name_of_a_moderator_without_a_password_gives_no_access(open_web: OpenWeb, path: str) -> None:
    web = open_web(access=Access(moderators={"root": "sesame"}), **PROXIED)
    assert ask(web, f"{path}?name=root", **FROM_FAR_AWAY).status == 401


@pytest.mark.parametrize(
    ("address", "is_local"),
    [
        (("127.0.0.1", 1), True),
        (("127.9.9.9", 1), True),
        (("::1", 1, 0, 0), True),
        (("::ffff:127.0.0.1", 1, 0, 0), True),  # of a socket that also accepts IPv4
        ("", True),  # a local socket
        (("203.0.113.1", 1), False),
        (("::ffff:203.0.113.1", 1, 0, 0), False),
        (("fe80::1%eth0", 1, 0, 2), False),
    ],
)
def test_which_addresses_are_on_this_machine(web: Web, address: object, is_local: bool) -> None:
    request = Request("GET", "/metrics", {"host": "localhost"}, remote_address=address)
    if is_local:
        MetricsAccess(web.chat.http).check(request)
    else:
        with pytest.raises(RequestRefused):
            MetricsAccess(web.chat.http).check(request)


@pytest.mark.parametrize(
    ("address", "headers", "has_access"),
    [
        (("203.0.113.1", 1), {}, True),
        (("::ffff:203.0.113.1", 1, 0, 0), {}, True),
        (("2001:db8::1", 1, 0, 0), {}, True),
        (("2001:db8::2", 1, 0, 0), {}, False),
        (("198.51.100.1", 1), {}, False),
        (("203.0.113.1", 1), {"x-forwarded-for": "203.0.113.2"}, False),  # a proxy in the network, with any client behind it
        (("127.0.0.1", 1), {}, True),
        ("", {}, True),
    ],
)
def test_clients_in_configured_networks_have_access(web: Web, address: object, headers: dict[str, str], has_access: bool) -> None:
    metrics_access = MetricsAccess(web.chat.http, parse_networks(["203.0.113.0/24", "2001:db8::1"]))
    host = {"host": "localhost" if address in ("", ("127.0.0.1", 1)) else "chat.test"}
    request = Request("GET", "/metrics", {**host, **headers}, remote_address=address)
    if has_access:
        metrics_access.check(request)
    else:
        with pytest.raises(RequestRefused):
            metrics_access.check(request)


def test_http_1_0_has_no_access_because_it_may_be_a_proxy(web: Web, path: str) -> None:
    """By default nginx sends HTTP/1.0 without any header of a proxy."""
    with web.connect() as http:
        assert http.call(f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1:8080\r\n\r\n".encode()).status == 403
