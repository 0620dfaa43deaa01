"""Requests: replies, repetition after a lost connection, and unknown outcomes."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.client.chat.conftest import ClientFactory, Signed
from tests.client.chat.peers import Script
from tests.concurrency import TIMEOUT, eventually
from wschat import ChatClient, ConnectionClosed, OutcomeUnknown, Rejected, UsageError
from wschat.client.chat.requests import PendingRequest, Requests
from wschat.events import Ack, Pong


def test_say_returns_the_number(signed: Signed, pool: ThreadPoolExecutor) -> None:
    sending = pool.submit(signed.client.say, "tea", "Hello!")
    request = signed.peer.next("say")
    assert (request["room"], request["text"]) == ("tea", "Hello!")
    signed.peer.reply(request, seq=7)
    assert sending.result(TIMEOUT) == 7


def test_a_text_is_sent_unchanged(signed: Signed, pool: ThreadPoolExecutor) -> None:
    for text, sent in [("/kick bob", "//kick bob"), ("//kick", "///kick"), ("/me waves", "/me waves"), ("/", "//")]:
        sending = pool.submit(signed.client.say, "tea", text)
        request = signed.peer.next("say")
        assert request["text"] == sent
        signed.peer.reply(request, seq=1)
        sending.result(TIMEOUT)


def test_an_error_of_the_server_is_raised(signed: Signed, pool: ThreadPoolExecutor) -> None:
    sending = pool.submit(signed.client.say, "tea", "Hello!")
    signed.peer.reject(signed.peer.next("say"), "muted", seconds=7.5)
    with pytest.raises(Rejected, match=r"muted: It is muted") as rejected:
        sending.result(TIMEOUT)
    assert (rejected.value.code, rejected.value.text, rejected.value.seconds) == ("muted", "It is muted.", 7.5)


def test_other_replies_are_for_other_callers(signed: Signed, pool: ThreadPoolExecutor) -> None:
    results = [pool.submit(signed.client.say, "tea", str(number)) for number in range(5)]
    for request in reversed([signed.peer.next("say") for _ in range(5)]):
        signed.peer.reply(request, seq=int(request["text"]))
    assert [result.result(TIMEOUT) for result in results] == list(range(5))


@pytest.mark.parametrize("error_id", ["mine", 7])
def test_the_id_may_be_given(signed: Signed, pool: ThreadPoolExecutor, error_id: str | int) -> None:
    sending = pool.submit(signed.client.say, "tea", "Hello!", id=error_id)
    request = signed.peer.next("say")
    assert request["id"] == error_id
    signed.peer.reply(request, seq=1)
    sending.result(TIMEOUT)


def test_requests_without_a_reply_are_repeated_in_order_with_their_ids(signed: Signed, pool: ThreadPoolExecutor) -> None:
    results = []
    requests = []
    for number in range(3):
        results.append(pool.submit(signed.client.say, "tea", str(number)))
        requests.append(signed.peer.next("say"))
    signed.peer.reply(requests[1], seq=2)
    results[1].result(TIMEOUT)
    signed.peer.close()
    peer = signed.accept()
    assert [peer.next("say"), peer.next("say")] == [requests[0], requests[2]]
    peer.reply(requests[0], seq=1)
    peer.reply(requests[2], seq=3)
    assert [result.result(TIMEOUT) for result in results] == [1, 2, 3]


def test_a_request_waits_for_the_connection(script: Script, start_client: ClientFactory, pool: ThreadPoolExecutor) -> None:
    client = start_client(script.url)
    pong = pool.submit(client.run, "ping")
    peer = script.accept()
    peer.sign_in()
    peer.reply(peer.next("ping"), "pong")
    assert isinstance(pong.result(TIMEOUT), Pong)


def test_a_request_that_timed_out_before_it_was_sent_is_not_sent_later(script: Script, start_client: ClientFactory) -> None:
    client = start_client(script.url)
    with pytest.raises(TimeoutError, match=r"say could not be sent within 0.05 s, and is not sent any more"):
        client.say("tea", "Hello!", timeout=0.05)
    peer = script.accept()
    peer.sign_in()
    assert peer.is_quiet()


def test_a_request_without_a_reply_in_time_has_an_unknown_outcome(signed: Signed, pool: ThreadPoolExecutor) -> None:
    sending = pool.submit(signed.client.say, "tea", "Hello!", timeout=0.1)
    request = signed.peer.next("say")
    with pytest.raises(OutcomeUnknown) as unknown:
        sending.result(TIMEOUT)
    assert unknown.value.id == request["id"]
    signed.peer.reply(request, seq=7)  # late
    again = pool.submit(signed.client.say, "tea", "Hello!", id=unknown.value.id)
    assert signed.peer.next("say") == request
    signed.peer.reply(request, seq=7)
    assert again.result(TIMEOUT) == 7


def test_a_request_that_was_sent_on_a_lost_connection_has_an_unknown_outcome(signed: Signed, pool: ThreadPoolExecutor) -> None:
    sending = pool.submit(signed.client.say, "tea", "Hello!", timeout=0.2)
    request = signed.peer.next("say")
    signed.peer.close()
    with pytest.raises(OutcomeUnknown) as unknown:
        sending.result(TIMEOUT)
    assert unknown.value.id == request["id"]


@pytest.mark.parametrize(
    ("action", "fields"),
    [
        ("whisper", {"to": "bob", "text": "psst"}),
        ("kick", {"room": "tea", "name": "bob"}),
        ("say", {"room": "tea", "text": "/msg bob psst"}),
    ],
)
def test_a_request_that_could_be_carried_out_twice_is_not_repeated(
    signed: Signed, pool: ThreadPoolExecutor, action: str, fields: dict[str, Any]
) -> None:
    done = pool.submit(signed.client.run, action, **fields)
    signed.peer.next(action)
    signed.peer.close()
    with pytest.raises(OutcomeUnknown, match=f"{action} may have been carried out or not"):
        done.result(TIMEOUT)
    assert signed.accept().is_quiet()


def test_a_repetition_that_is_rejected_has_an_unknown_outcome(signed: Signed, pool: ThreadPoolExecutor) -> None:
    sending = pool.submit(signed.client.say, "tea", "Hello!")
    signed.peer.next("say")
    signed.peer.close()
    peer = signed.accept()
    peer.reject(peer.next("say"), "muted")
    with pytest.raises(OutcomeUnknown) as unknown:
        sending.result(TIMEOUT)
    assert isinstance(unknown.value.__cause__, Rejected)


def test_a_request_that_is_too_long_for_the_server_is_not_repeated(signed: Signed, pool: ThreadPoolExecutor) -> None:
    short = pool.submit(signed.client.say, "tea", "short")
    request = signed.peer.next("say")
    long = pool.submit(signed.client.say, "tea", "l" + 1000 * "o" + "ng")
    signed.peer.next("say")
    signed.peer.close(1009)
    with pytest.raises(Rejected, match="too-big"):
        long.result(TIMEOUT)
    peer = signed.accept()
    assert peer.next("say") == request
    peer.reply(request, seq=1)
    assert short.result(TIMEOUT) == 1


def test_a_request_above_the_rate_is_sent_again_later(signed: Signed, pool: ThreadPoolExecutor) -> None:
    sending = pool.submit(signed.client.say, "tea", "Hello!")
    request = signed.peer.next("say")
    signed.peer.reject(request, "too-fast", seconds=0.05)
    assert signed.peer.next("say") == request
    signed.peer.reply(request, seq=1)
    assert sending.result(TIMEOUT) == 1


def test_a_request_that_may_not_be_sent_in_time_was_not_carried_out(signed: Signed, pool: ThreadPoolExecutor) -> None:
    sending = pool.submit(signed.client.say, "tea", "Hello!", timeout=0.3)
    signed.peer.reject(signed.peer.next("say"), "too-fast", seconds=100)
    with pytest.raises(TimeoutError):
        sending.result(TIMEOUT)
    assert signed.peer.is_quiet()


def test_the_rate_of_the_welcome_is_kept(script: Script, start_client: ClientFactory, pool: ThreadPoolExecutor) -> None:
    client = start_client(script.url)
    peer = script.accept()
    peer.sign_in(requests=2, seconds=1000)  # 5 at once, one of which was for the name
    results = [pool.submit(client.run, "ping", timeout=0.5) for _ in range(6)]
    for _ in range(4):
        peer.reply(peer.next("ping"), "pong")
    outcomes = [type(result.exception(TIMEOUT) or result.result()) for result in results]
    assert sorted(outcome.__name__ for outcome in outcomes) == ["Pong"] * 4 + ["TimeoutError"] * 2


def test_a_delayed_request_is_sent_by_a_waiting_thread(script: Script, start_client: ClientFactory, pool: ThreadPoolExecutor) -> None:
    client = start_client(script.url)
    peer = script.accept()
    peer.sign_in(requests=20, seconds=1)
    pings = [pool.submit(client.run, "ping") for _ in range(20)] + [pool.submit(client.run, "ping") for _ in range(35)]
    for _ in range(55):
        peer.reply(peer.next("ping"), "pong")
    for ping in pings:
        assert isinstance(ping.result(TIMEOUT), Pong)


def test_the_number_of_pending_requests_is_limited(script: Script, start_client: ClientFactory, pool: ThreadPoolExecutor) -> None:
    client = start_client(script.url, max_pending=2)
    first = [pool.submit(client.run, "ping") for _ in range(2)]
    eventually(lambda: len(client._requests._pending) == 2)
    with pytest.raises(TimeoutError, match=r"2 requests are waiting already, and none was done within 0.05 s"):
        client.run("ping", timeout=0.05)
    third = pool.submit(client.run, "ping")
    peer = script.accept()
    peer.sign_in()
    for _ in range(3):
        peer.reply(peer.next("ping"), "pong")
    for ping in [*first, third]:
        ping.result(TIMEOUT)


def test_two_requests_with_one_id_are_refused(signed: Signed, pool: ThreadPoolExecutor) -> None:
    sending = pool.submit(signed.client.say, "tea", "Hello!", id="mine")
    request = signed.peer.next("say")
    with pytest.raises(UsageError, match="'mine' is waiting for its reply"):
        signed.client.say("tea", "Hello!", id="mine")
    signed.peer.reply(request, seq=1)
    assert sending.result(TIMEOUT) == 1


@pytest.mark.parametrize("wrong", ["x" * 129, 1 << 53, True])
def test_an_invalid_id_is_a_usage_error(signed: Signed, wrong: str | int) -> None:
    with pytest.raises(UsageError, match="an id must be a string of at most 128 characters"):
        signed.client.say("tea", "Hello!", id=wrong)


@pytest.mark.parametrize("wrong", ["\ud800", object(), float])
def test_a_field_that_json_cannot_represent_is_a_usage_error(signed: Signed, wrong: object) -> None:
    with pytest.raises(UsageError, match="say: a field cannot be sent"):
        signed.client.run("say", room="tea", text=wrong)


class InterruptedConnection:
    """A connection of which every other call of `send` is interrupted, as by Ctrl-C."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self._is_interrupted = False

    def send(self, text: str) -> None:
        self._is_interrupted = not self._is_interrupted
        if self._is_interrupted:
            raise KeyboardInterrupt
        self.sent.append(text)


@pytest.fixture
def interrupted() -> tuple[Requests, InterruptedConnection]:
    requests, connection = Requests(threading.RLock(), 10), InterruptedConnection()
    requests.begin(connection, {})  # type: ignore[arg-type]
    return requests, connection


def test_a_request_of_the_client_whose_sending_was_interrupted_is_sent_again(interrupted: tuple[Requests, InterruptedConnection]) -> None:
    requests, connection = interrupted
    request = PendingRequest(threading.RLock(), "history", {"room": "tea"})
    requests.add_urgent(request)
    with pytest.raises(KeyboardInterrupt):
        requests.pump()
    requests.pump()
    assert connection.sent == [request.text]


@pytest.mark.parametrize("action", ["say", "whisper"])
def test_a_request_whose_sending_another_thread_interrupted(
    interrupted: tuple[Requests, InterruptedConnection], pool: ThreadPoolExecutor, action: str
) -> None:
    requests, connection = interrupted
    request = PendingRequest(requests._lock, action, {"text": "Hello!"})
    reply = pool.submit(requests.perform, request, TIMEOUT)
    eventually(lambda: requests._waiting)
    requests.open()
    with pytest.raises(KeyboardInterrupt):
        requests.pump()
    if action == "whisper":
        with pytest.raises(OutcomeUnknown, match="the sending was interrupted"):
            reply.result(TIMEOUT)
        return
    eventually(lambda: connection.sent)
    requests.complete(request, Ack(request.id))
    assert reply.result(TIMEOUT) == Ack(request.id)
    assert connection.sent == [request.text]


class InterruptedQueue(deque[PendingRequest]):
    """A queue with Ctrl-C at the end of `append`."""

    def append(self, request: PendingRequest) -> None:
        super().append(request)
        raise KeyboardInterrupt


def test_a_request_whose_caller_was_interrupted_before_it_waits_is_not_sent() -> None:
    requests = Requests(threading.RLock(), 1)
    requests._waiting = InterruptedQueue()
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            requests.perform(PendingRequest(requests._lock, "say", {}, "the same id"), 0.1)
    assert not requests._waiting


def test_requests_of_a_client_that_is_closed(signed: Signed, pool: ThreadPoolExecutor) -> None:
    sent = pool.submit(signed.client.say, "tea", "Hello!")
    signed.peer.next("say")
    signed.peer.is_over.set()
    signed.client.close()
    with pytest.raises(OutcomeUnknown):
        sent.result(TIMEOUT)
    with pytest.raises(ConnectionClosed, match="1000 the client was closed"):
        signed.client.say("tea", "Hello!")


def test_requests_need_a_client_that_was_started() -> None:
    with pytest.raises(UsageError, match="was not started"):
        ChatClient("ws://127.0.0.1:1/").say("tea", "Hello!")


def test_a_reply_of_another_kind_is_an_error_of_the_peer(signed: Signed, pool: ThreadPoolExecutor) -> None:
    sending = pool.submit(signed.client.say, "tea", "Hello!")
    signed.peer.reply(signed.peer.next("say"), "pong")
    with pytest.raises(Exception, match="the server has answered pong to say"):
        sending.result(TIMEOUT)


def test_any_request_can_be_sent(signed: Signed, pool: ThreadPoolExecutor) -> None:
    done = pool.submit(signed.client.run, "mute", room="tea", name="bob", seconds=60)
    request = signed.peer.next("mute")
    assert {**request, "id": None} == {"type": "mute", "room": "tea", "name": "bob", "seconds": 60, "id": None}
    signed.peer.reply(request)
    assert done.result(TIMEOUT) == Ack(request["id"])
