"""`wschat.reconnect`: successive connections, pauses between attempts, final errors, and stopping."""

from __future__ import annotations

import inspect
import itertools
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from functools import partial

import pytest

import wschat
from tests.client.conftest import RawServerFactory
from tests.client.servers import RawServer, opens, says, until_closed
from tests.concurrency import TIMEOUT
from tests.conftest import ServerFactory, url_of
from tests.programs import run_program
from wschat import Attempt, Bot, ChatClient, Connection, ConnectionClosed, OpeningFailed, Reconnect, UsageError, reconnect
from wschat.chat.chat import SUBPROTOCOLS
from wschat.client.backoff import Backoff
from wschat.client.retry import MAX_RETRY_AFTER

QUICK = 0.01
URL = "ws://127.0.0.1:1/"


class Recording(Backoff):
    """A backoff with the shortest pauses. It records them; the real pauses are a thousandth of them."""

    def __init__(self) -> None:
        super().__init__(60, lambda low, high: low)
        self.pauses: list[float] = []

    def next_pause(self) -> float:
        self.pauses.append(super().next_pause())
        return self.pauses[-1] / 1000


def attempts_at(url: str, count: int, **options: object) -> list[Attempt]:
    """Return the first attempts to connect to a URL."""
    attempts: list[Attempt] = []

    def record(attempt: Attempt) -> None:
        attempts.append(attempt)
        if len(attempts) == count:
            loop.stop()

    loop = reconnect(url, on_attempt=record, **options)  # type: ignore[arg-type]
    for ws in loop:
        list(ws)
    return attempts


# The loop


def test_a_new_connection_is_opened_after_each_end(serve: ServerFactory) -> None:
    numbers = itertools.count(1)
    server = serve(lambda ws: ws.send(str(next(numbers))))
    received: list[str | bytes] = []
    for ws in reconnect(url_of(server), max_pause=QUICK):
        received += list(ws)
        if len(received) == 3:
            break
    assert received == ["1", "2", "3"]


def test_break_closes_the_connection(serve: ServerFactory) -> None:
    ended = threading.Event()

    def talk(ws: Connection) -> None:
        list(ws)
        assert ws.closed is not None
        assert ws.closed.code == 1000
        ended.set()

    for ws in reconnect(url_of(serve(talk)), max_pause=QUICK):
        ws.send("hello")
        break
    assert ws.closed is not None
    assert ended.wait(TIMEOUT)


def test_an_exception_in_the_body_propagates_and_closes_the_connection(echo_url: str) -> None:
    connections = []

    def fail() -> None:
        for ws in reconnect(echo_url):
            connections.append(ws)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert connections[0].closed is not None


def test_a_body_that_ends_early_gets_a_new_connection(echo_url: str) -> None:
    connections = []
    for ws in reconnect(echo_url, max_pause=QUICK):
        connections.append(ws)
        if len(connections) == 3:
            break
    assert all(ws.closed for ws in connections)
    assert len(set(map(id, connections))) == 3


def test_the_loop_may_be_run_again(echo_url: str) -> None:
    loop = reconnect(echo_url)
    for _ in range(2):
        for ws in loop:
            ws.send("hello")
            assert ws.recv(TIMEOUT) == "hello"
            break


def test_only_one_thread_at_a_time_may_iterate(echo_url: str) -> None:
    loop = reconnect(echo_url)
    for _ in loop:
        with pytest.raises(UsageError, match="iterated over already"):
            next(iter(loop))
        break


def test_attempts_use_no_stack_and_no_threads(serve: ServerFactory) -> None:
    threads = threading.active_count()
    depths = set()
    server = serve(lambda ws: None)
    for number, ws in enumerate(reconnect(url_of(server), max_pause=0.0001)):
        list(ws)
        depths.add(len(inspect.stack(0)))
        assert threading.active_count() < threads + 10
        if number == 100:
            break
    assert len(depths) == 1


# Pauses


class EnoughError(Exception):
    """Ends a client from its hook."""


def run_loop(url: str, on_attempt: Callable[[Attempt], object]) -> None:
    for ws in reconnect(url, on_attempt=on_attempt):
        list(ws)


def run_chat_client(url: str, on_attempt: Callable[[Attempt], object]) -> None:
    with ChatClient(url, name="alice", rooms=["tea"], on_attempt=on_attempt) as client:
        client.dispatch()


def run_bot(url: str, on_attempt: Callable[[Attempt], object]) -> None:
    Bot(url, name="dice", on_attempt=on_attempt).run()


@pytest.mark.parametrize("run", [run_loop, run_chat_client, run_bot])
def test_by_default_a_server_that_closes_at_once_gets_at_most_ten_openings_a_minute(
    serve: ServerFactory, monkeypatch: pytest.MonkeyPatch, run: Callable[[str, Callable[[Attempt], object]], None]
) -> None:
    """The clock of this test shows the sum of the pauses, each of which is as short as chance allows."""
    now = 0.0
    opened_at: list[float] = []

    def wait(_: Reconnect, seconds: float) -> None:
        nonlocal now
        now += seconds

    def end_soon(attempt: Attempt) -> None:
        if len(opened_at) == 25:
            raise EnoughError

    monkeypatch.setattr(Reconnect, "_wait", wait)
    monkeypatch.setattr("wschat.client.reconnect.Backoff", partial(Backoff, uniform=lambda low, high: low))
    server = serve(lambda ws: opened_at.append(now), subprotocols=SUBPROTOCOLS)
    with pytest.raises(EnoughError):
        run(url_of(server), end_soon)
    assert all(opened_at[number + 10] - opened_at[number] >= 60 for number in range(len(opened_at) - 10))


def test_pauses_are_short_again_after_a_stable_connection(raw: RawServerFactory) -> None:
    server, backoff = raw(opens()), Recording()
    is_stable = iter([False, False, True, False, False])
    for ws in (loop := Reconnect(server.url, None, None, backoff, 10, None, {})):
        list(ws)
        if next(is_stable, None) is None:
            break
        loop._stable_after = 0 if len(backoff.pauses) == 2 else 10
    assert backoff.pauses == [0.2, 0.4, 0.2, 0.4, 0.8]


def test_a_refused_connection_is_retried() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # and does not listen
        attempts = attempts_at(f"ws://127.0.0.1:{unused.getsockname()[1]}/", 3, max_pause=0.05)
    assert [attempt.number for attempt in attempts] == [1, 2, 3]
    assert all(isinstance(attempt.error, ConnectionRefusedError) for attempt in attempts)
    assert all(0.01 <= (attempt.pause or 0) <= 0.05 for attempt in attempts)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503])
def test_a_temporary_error_status_is_retried(raw: RawServerFactory, status: int) -> None:
    server = raw(says(b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % status))
    attempts = attempts_at(server.url, 2, max_pause=QUICK)
    assert [getattr(attempt.error, "status", None) for attempt in attempts] == [status] * 2


@pytest.mark.parametrize("answer", [b"", b"nonsense", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"], ids=["none", "nonsense", "a page"])
def test_a_response_that_opens_no_websocket_is_retried(raw: RawServerFactory, answer: bytes) -> None:
    assert len(attempts_at(raw(says(answer)).url, 2, max_pause=QUICK)) == 2


@pytest.mark.parametrize(
    ("status", "header", "least", "most"),
    [
        (503, b"Retry-After: 7", 7, 7 + QUICK),
        (429, b"Date: Wed, 21 Oct 2015 07:28:00 GMT\r\nRetry-After: Wed, 21 Oct 2015 07:28:30 GMT", 30, 30 + QUICK),
        (503, b"Retry-After: 999999999", MAX_RETRY_AFTER, MAX_RETRY_AFTER + QUICK),
        (429, b"Retry-After: soon", 0, QUICK),
    ],
)
def test_the_pause_is_that_of_retry_after(raw: RawServerFactory, status: int, header: bytes, least: float, most: float) -> None:
    server = raw(says(b"HTTP/1.1 %d Busy\r\n%b\r\nContent-Length: 0\r\n\r\n" % (status, header)))
    (attempt,) = attempts_at(server.url, 1, max_pause=QUICK)
    assert attempt.pause is not None
    assert least <= attempt.pause <= most


# Final errors


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_a_client_error_is_raised(raw: RawServerFactory, status: int) -> None:
    server = raw(says(b"HTTP/1.1 %d No\r\nContent-Length: 4\r\n\r\nWhy?" % status))
    attempts: list[Attempt] = []
    with pytest.raises(OpeningFailed) as failed:
        list(reconnect(server.url, on_attempt=attempts.append))
    assert (failed.value.status, failed.value.body) == (status, b"Why?")
    assert [(attempt.error, attempt.pause) for attempt in attempts] == [(failed.value, None)]


def test_a_bad_certificate_is_raised(raw: RawServerFactory, server_tls: ssl.SSLContext) -> None:
    server = raw(opens(), tls=server_tls)
    with pytest.raises(ssl.SSLCertVerificationError, match="cannot be verified"):
        list(reconnect(server.url))


@pytest.mark.parametrize(
    "make",
    [
        partial(reconnect, "http://127.0.0.1/"),
        partial(reconnect, "http://127.0.0.1/", token=str),
        partial(reconnect, URL, headers={"X Y": "a"}),
        partial(reconnect, URL, token="a\nb"),
        partial(reconnect, URL, token="a", headers={"authorization": "b"}),
        partial(reconnect, URL, subprotocols="one"),
        partial(reconnect, URL, max_pause=0),
        partial(reconnect, URL, stable_after=-1),
    ],
    ids=lambda make: str(make.keywords or make.args),
)
def test_a_wrong_argument_is_a_usage_error_at_once(make: Callable[[], Reconnect]) -> None:
    with pytest.raises(UsageError):
        make()


def test_an_invalid_url_from_a_function_is_raised_by_the_loop() -> None:
    with pytest.raises(UsageError, match="must begin with ws://"):
        list(reconnect(lambda: "http://127.0.0.1/"))


def test_an_exception_of_the_hook_propagates(echo_url: str) -> None:
    def fail(_: Attempt) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(reconnect(echo_url, on_attempt=fail))


# Functions as arguments


def test_functions_for_url_headers_and_token_are_called_for_each_attempt(serve: ServerFactory) -> None:
    numbers = itertools.count(1)
    seen = []
    server = serve(lambda ws: seen.append((ws.path, ws.headers["x-number"], ws.headers["authorization"])))
    loop = reconnect(
        lambda: url_of(server, f"/{next(numbers)}"),
        headers=lambda: {"X-Number": str(next(numbers))},
        token=lambda: f"token{next(numbers)}",
        max_pause=QUICK,
    )
    for ws in loop:
        list(ws)
        if len(seen) == 2:
            break
    assert seen == [("/1", "2", "Bearer token3"), ("/4", "5", "Bearer token6")]


@pytest.mark.parametrize("argument", ["url", "headers", "token"])
def test_an_exception_of_such_a_function_propagates(argument: str) -> None:
    def fail() -> str:
        raise ConnectionRefusedError("mine")

    arguments: dict[str, object] = {"url": URL, argument: fail}
    with pytest.raises(ConnectionRefusedError, match=r"^mine$"):
        list(reconnect(**arguments))  # type: ignore[arg-type]


def test_functions_for_headers_and_token_may_return_none(serve: ServerFactory) -> None:
    server = serve(lambda ws: ws.send(ws.headers.get("authorization", "none")))
    for ws in reconnect(url_of(server), headers=lambda: None, token=lambda: None):
        assert ws.recv(TIMEOUT) == "none"
        break


# The hook


def test_the_hook_is_called_for_failures_openings_and_ends(raw: RawServerFactory) -> None:
    answers = iter([says(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"), opens()])
    server = raw(lambda connection, head: next(answers)(connection, head))
    url = server.url.replace("//", "//user:s3cret@") + "path?token=s3cret"
    refused, opened, ended = attempts_at(url, 3, max_pause=QUICK)
    assert {attempt.url for attempt in (refused, opened, ended)} == {f"{server.url}path"}
    assert isinstance(refused.error, OpeningFailed)
    assert (opened.number, opened.error, opened.pause) == (2, None, None)
    assert isinstance(ended.error, ConnectionClosed)
    assert ended.pause is not None


# Stopping


def silent(connection: socket.socket, _: bytes) -> None:
    until_closed(connection)


class Mute(RawServer):
    """A server that accepts connections and never responds."""

    def talk(self, connection: socket.socket) -> None:
        until_closed(connection)


@pytest.fixture
def full_port() -> Iterator[int]:
    """A port whose backlog is full, so that another connection gets no response."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for sock in waiting:
            sock.setblocking(False)
            sock.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
        for sock in waiting:
            sock.close()


def stop_when(loop: Reconnect, is_waiting: Callable[[], object]) -> threading.Thread:
    """Stop a loop from another thread once the loop waits."""

    def stop() -> None:
        is_waiting()
        loop.stop()

    thread = threading.Thread(target=stop)
    thread.start()
    return thread


def soon() -> None:
    """Give the other thread time to reach a system call. If it has not, the test checks less, and passes."""
    threading.Event().wait(0.1)


LIMITS = wschat.Limits(opening_timeout=3 * TIMEOUT, close_timeout=TIMEOUT)


def check_stops(loop: Reconnect, is_waiting: Callable[[], object] = soon) -> None:
    """Check that a stopped loop ends long before any of its timeouts."""
    thread = stop_when(loop, is_waiting)
    looping = threading.Thread(target=lambda: list(loop))
    looping.start()
    looping.join(TIMEOUT)
    assert not looping.is_alive()
    thread.join()


def test_stop_ends_a_pause() -> None:
    paused = threading.Event()
    check_stops(reconnect(URL, max_pause=1e12, on_attempt=lambda _: paused.set()), paused.wait)
    assert paused.is_set()


def test_stop_ends_the_wait_for_a_connection(full_port: int) -> None:
    check_stops(reconnect(f"ws://127.0.0.1:{full_port}/", limits=LIMITS))


def test_stop_ends_a_tls_handshake() -> None:
    with Mute(silent) as server:
        check_stops(reconnect(f"wss://127.0.0.1:{server.port}/", limits=LIMITS))


def test_stop_ends_the_wait_for_a_response(raw: RawServerFactory) -> None:
    check_stops(reconnect(raw(silent).url, limits=LIMITS))


def test_stop_ends_the_wait_for_a_response_over_tls(raw: RawServerFactory, server_tls: ssl.SSLContext) -> None:
    tls = ssl.create_default_context()
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    check_stops(reconnect(raw(silent, tls=server_tls).url, tls=tls, limits=LIMITS))


def test_stop_ends_the_wait_for_a_resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    is_asked, is_over = threading.Event(), threading.Event()
    real = socket.getaddrinfo

    def resolve(host: str, *arguments: object, **options: int) -> object:
        if host != "name.invalid" or options.get("flags"):
            return real(host, *arguments, **options)  # type: ignore[arg-type]
        is_asked.set()
        is_over.wait(TIMEOUT)
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    check_stops(reconnect("ws://name.invalid/", limits=LIMITS, proxy=""), is_asked.wait)
    is_over.set()


def test_stop_closes_the_connection(serve: ServerFactory) -> None:
    codes: list[int] = []
    opened, ended = threading.Event(), threading.Event()

    def talk(ws: Connection) -> None:
        list(ws)
        assert ws.closed is not None
        codes.append(ws.closed.code)
        ended.set()

    loop = reconnect(url_of(serve(talk)))
    thread = stop_when(loop, opened.wait)
    for ws in loop:
        opened.set()
        assert list(ws) == []
    thread.join()
    assert ended.wait(TIMEOUT)
    assert codes == [1000]


def test_a_stopped_loop_opens_nothing(raw: RawServerFactory) -> None:
    server = raw(opens())
    loop = reconnect(server.url)
    loop.stop()
    loop.stop()
    assert list(loop) == list(loop) == []
    assert server.heads == []


def test_stop_just_before_an_attempt_opens_nothing(raw: RawServerFactory) -> None:
    server = raw(opens())

    def url() -> str:
        loop.stop()
        return server.url

    loop = reconnect(url)
    assert list(loop) == []
    assert server.heads == []


def test_stop_in_the_hook_ends_the_loop(echo_url: str) -> None:
    loop = reconnect(echo_url, on_attempt=lambda _: loop.stop())
    assert list(loop) == []


SIGNALS = """
import signal, socket, sys, threading
import wschat

def ring(seconds, handler):
    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, seconds)

url = sys.argv[1]
"""


@pytest.mark.parametrize("waiting", ["pause", "opening", "connection", "backlog"])
def test_a_signal_handler_may_stop(raw: RawServerFactory, echo_url: str, full_port: int, waiting: str) -> None:
    urls = {"pause": URL, "opening": raw(silent).url, "connection": echo_url, "backlog": f"ws://127.0.0.1:{full_port}/"}
    source = f"""{SIGNALS}
loop = wschat.reconnect(url, max_pause=1e6, limits=wschat.Limits(opening_timeout=1000))
ring(0.3, lambda *_: loop.stop())
for ws in loop:
    print(list(ws))
print("ended", [thread.name for thread in threading.enumerate()])
"""
    expected = "[]\n" if waiting == "connection" else ""
    assert run_program(source, urls[waiting]) == f"{expected}ended ['MainThread']\n"


@pytest.mark.parametrize("error", ["KeyboardInterrupt", "TimeoutError", "ConnectionResetError", "RuntimeError"])
@pytest.mark.parametrize("waiting", ["pause", "opening"])
def test_an_exception_of_a_signal_handler_propagates_at_once(raw: RawServerFactory, waiting: str, error: str) -> None:
    source = f"""{SIGNALS}
def on_alarm(signum, frame):
    raise {error}("mine")

try:
    wschat.connect("ws://127.0.0.1:1/")  # an error of a signal handler may be lost while a module is imported
except OSError:
    pass
loop = wschat.reconnect(url, max_pause=1e6, limits=wschat.Limits(opening_timeout=1000))
ring(0.3, on_alarm)
try:
    for ws in loop:
        pass
except {error} as raised:
    print(raised)
"""
    assert run_program(source, URL if waiting == "pause" else raw(silent).url) == "mine\n"


@pytest.mark.parametrize("waiting", ["pause", "opening", "connection"])
def test_a_program_ends_while_a_daemon_thread_is_in_the_loop(raw: RawServerFactory, echo_url: str, waiting: str) -> None:
    urls = {"pause": URL, "opening": raw(silent).url, "connection": echo_url}
    source = """
    import sys, threading
    import wschat
    waiting = threading.Event()
    def loop():
        for ws in wschat.reconnect(sys.argv[1], max_pause=1e6, on_attempt=lambda _: waiting.set()):
            list(ws)
    threading.Thread(target=loop, daemon=True).start()
    waiting.wait(0.5)
    """
    run_program(source, urls[waiting])
