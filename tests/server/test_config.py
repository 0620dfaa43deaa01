"""The configuration of a server: one declaration for each setting."""

from __future__ import annotations

import socket
import struct
import sys
from dataclasses import FrozenInstanceError
from typing import Any

import pytest

import wschat
from tests.conftest import ServerFactory, check_echo, echo
from tests.server.test_handlers import AsyncCallable
from wschat import Limits, ServerConfig, UsageError
from wschat.server.config import DEFAULT_DEFLATE
from wschat.settings import settings_of


class Handler(wschat.WebSocketHandler):
    def handle(self) -> None:
        pass


def test_serve_takes_a_config(serve: ServerFactory) -> None:
    config = ServerConfig(limits=Limits(max_message_bytes=10), path_prefix="/chat")
    server = serve(echo, config=config)
    assert server.config == config
    with wschat.connect(f"ws://127.0.0.1:{server.port}/chat/") as ws:
        ws.send("x" * 11)
        with pytest.raises(wschat.ConnectionClosed, match="1009"):
            ws.recv(5)


def test_a_keyword_replaces_a_setting_of_the_config(serve: ServerFactory) -> None:
    config = ServerConfig(path_prefix="/chat", deflate=None)
    server = serve(echo, config=config, path_prefix="")
    assert (server.config.path_prefix, server.config.deflate) == ("", None)
    assert config.path_prefix == "/chat"
    check_echo(server)


def test_every_setting_is_a_keyword_of_serve_and_of_the_server() -> None:
    for name, field in settings_of(ServerConfig).items():
        keyword: dict[str, Any] = {name: field.default}
        wschat.serve(echo, port=0, **keyword).stop()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux reports the backlog of a socket")
def test_the_backlog_is_that_of_the_listening_socket(serve: ServerFactory) -> None:
    server = serve(echo, backlog=7)
    # `tcpi_sacked`, the sixth number after the eight bytes at the beginning, is the backlog of a listening socket.
    info = server.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    assert struct.unpack_from("8B6I", info)[8 + 5] == 7
    check_echo(server)


@pytest.mark.parametrize("backlog", [0, -1, 1 << 31, 1.5, "7", None])
def test_an_invalid_backlog_raises_usage_error(backlog: Any) -> None:
    with pytest.raises(UsageError, match="backlog must be a number from 1 to 2147483647, not"):
        ServerConfig(backlog=backlog)


def test_an_unknown_keyword_is_an_error_that_names_it() -> None:
    with pytest.raises(TypeError, match="'orgins'"):
        wschat.serve(echo, port=0, orgins=["*"])
    with pytest.raises(TypeError, match="'limit'"):
        wschat.WebSocketServer(("127.0.0.1", 0), Handler, limit=3)


def test_a_config_of_another_type_is_refused() -> None:
    with pytest.raises(UsageError, match=r"config must be a wschat.ServerConfig, not Limits\("):
        wschat.serve(echo, port=0, config=Limits())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("setting", "error"),
    [
        ({"limits": 3}, "limits must be a wschat.Limits, not 3"),
        ({"subprotocols": "chat"}, "subprotocols must be a list of strings, not the string 'chat'"),
        ({"subprotocols": ["a b"]}, "a subprotocol must have letters"),
        ({"origins": ["app.example"]}, "an origin is like"),
        ({"allowed_hosts": ["chat.example:443"]}, "a host is given like"),
        ({"deflate": True}, "deflate must be a wschat.Deflate, or None for no compression, not True"),
        ({"tls": "certificate.pem"}, "tls must be an ssl.SSLContext"),
        ({"trusted_proxies": ["proxy.test"]}, "this is no address and no network"),
        ({"proxy_header": "x-client-ip"}, "the header of a proxy is one of"),
        ({"http": AsyncCallable()}, "http .* must be a plain function"),
        ({"path_prefix": "chat"}, "a path prefix is like /chat"),
    ],
)
def test_an_invalid_setting_is_refused_by_the_config_itself(setting: dict[str, Any], error: str) -> None:
    with pytest.raises(UsageError, match=error):
        ServerConfig(**setting)


def test_a_config_is_immutable_and_not_changed_through_a_list() -> None:
    origins = ["https://app.example"]
    config = ServerConfig(origins=origins)
    origins.append("*")
    assert config.parsed_origins == {"https://app.example"}
    with pytest.raises(FrozenInstanceError):
        config.deflate = DEFAULT_DEFLATE  # type: ignore[misc]
