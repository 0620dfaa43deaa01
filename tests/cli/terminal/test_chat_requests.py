"""Cases of the chat's requests that test_chat.py cannot reach by keys."""

from __future__ import annotations

import pytest

from tests.programs import free_port
from wschat.cli.client.recording import Recording
from wschat.cli.terminal.call_queue import CallQueue
from wschat.cli.terminal.chat_model import ChatModel, Waiting
from wschat.cli.terminal.chat_requests import Requests, text_of
from wschat.cli.terminal.room_recording import RoomRecording
from wschat.cli.terminal.worker import MAX_TASKS
from wschat.client.chat.client import ChatClient
from wschat.errors import Rejected, UsageError


def test_the_number_of_waiting_requests_is_limited() -> None:
    client = ChatClient(f"ws://127.0.0.1:{free_port()}")
    model = ChatModel("", lambda: None)
    requests = Requests(client, model, CallQueue(), RoomRecording(Recording(None), "", "tea"))
    for number in range(MAX_TASKS):
        requests.say(Waiting("lobby", str(number)))
    with pytest.raises(UsageError, match="too many messages wait to be sent"):
        requests.say(Waiting("lobby", "one more"))
    assert len(model.waiting) == MAX_TASKS


def test_the_text_of_an_error() -> None:
    assert text_of(Rejected("muted", "You are muted.")) == "You are muted."
    assert text_of(OSError("no route")) == "no route"
