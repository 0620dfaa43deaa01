"""The fixture `wschat_server`: chats, handlers and arguments."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import pytest

import wschat
from wschat.chat.chat import Chat
from wschat.testing.connections import Connections
from wschat.testing.servers import Servers


def test_a_chat_keeps_its_messages_and_has_its_page(wschat_server: Servers, ws_connect: Connections) -> None:
    server = wschat_server.chat()
    alice = ws_connect("/rooms/tea?name=alice")
    assert alice.recv() == "Welcome to the chat!"
    alice.send("hello")
    assert alice.recv() == "alice: hello"
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/api/rooms/tea/messages") as response:
        assert [message["text"] for message in json.load(response)["messages"]] == ["hello"]


def test_a_given_chat_is_served_and_closed_once(wschat_server: Servers, ws_connect: Connections) -> None:
    closed = []

    class Closing(Chat):
        def close(self) -> None:
            super().close()
            closed.append(True)

    server = wschat_server.chat(Closing(), limits=wschat.Limits(max_message_bytes=10))
    ws = ws_connect(subprotocols=["wschat.v1"])
    assert ws.subprotocol == "wschat.v1"
    ws.send("more than ten bytes")
    ws.recv()
    with pytest.raises(wschat.ConnectionClosed, match="1009"):
        ws.recv()
    server.stop()
    server.stop()
    assert closed == [True]


def test_arguments_are_those_of_serve(wschat_server: Servers) -> None:
    config = wschat.ServerConfig(subprotocols=["one"])
    assert wschat_server(print, config=config, backlog=7).server.config.backlog == 7
    broken: Any = 1
    with pytest.raises(wschat.UsageError, match="a handler must be a function"):
        wschat_server(broken)
    with pytest.raises(TypeError, match="colour"):
        wschat_server(print, colour="red")


def test_a_server_has_no_url_before_it_is_started(wschat_server: Servers) -> None:
    assert wschat_server.url is None
    server = wschat_server(print)
    assert wschat_server.url == server.url
