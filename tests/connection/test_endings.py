"""Connections at interpreter exit, in signal handlers, `__del__`, `atexit` and forks, with real processes and signals."""

from __future__ import annotations

import signal
import threading
from queue import SimpleQueue
from textwrap import dedent

import pytest

from tests.concurrency import TIMEOUT
from tests.conftest import ServerFactory, url_of
from tests.programs import run_program
from wschat import Connection, ConnectionClosed, Limits

Ends = SimpleQueue[tuple[int, str]]

needs_signals = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no interval timers")


@pytest.fixture
def ends() -> Ends:
    """The close code and reason of each connection, as the server saw them."""
    return SimpleQueue()


@pytest.fixture
def url(serve: ServerFactory, ends: Ends) -> str:
    """The URL of a server that sends two messages and then echoes all messages except "silence"."""

    def talk(ws: Connection) -> None:
        try:
            ws.send("one")
            ws.send("two")
            while True:
                message = ws.recv()
                if message != "silence":
                    ws.send(message)
        except ConnectionClosed as closed:
            ends.put((closed.code, closed.reason))

    return url_of(serve(talk))


# Interpreter exit


@pytest.mark.parametrize(
    "keep",
    [
        # a generator that is never exhausted
        pytest.param(
            """
            def lines():
                with wschat.connect(sys.argv[1]) as ws:
                    yield from ws
            kept = [lines() for _ in range(3)]
            for each in kept:
                assert next(each) == "one"
            """,
            marks=pytest.mark.gil,
            id="generator",
        ),
        pytest.param(
            """
            class Closing:
                def __init__(self):
                    self.ws = wschat.connect(sys.argv[1])
                    self.itself = self  # so that it is finalized at interpreter exit
                def __del__(self):
                    self.ws.close()
            kept = [Closing() for _ in range(3)]
            """,
            marks=pytest.mark.gil,
            id="__del__",
        ),
        pytest.param(
            """
            import atexit
            for _ in range(3):
                atexit.register(wschat.connect(sys.argv[1]).close)
            """,
            id="atexit",
        ),
    ],
)
def test_a_program_ends_with_three_connections_open_and_closes_them(keep: str, url: str, ends: Ends) -> None:
    run_program(f"import sys\nimport wschat\n{dedent(keep)}", url)
    assert [ends.get(timeout=TIMEOUT)[0] for _ in range(3)] == [1000] * 3


def test_a_program_that_forgets_its_connections_and_its_server_ends(url: str, ends: Ends) -> None:
    source = """
    import sys
    import wschat
    def talk(ws):
        for message in ws:
            ws.send(message)
    server = wschat.serve(talk, port=0).start()
    own = [wschat.connect(f"ws://127.0.0.1:{server.port}") for _ in range(3)]
    others = [wschat.connect(sys.argv[1]) for _ in range(3)]
    own[0].send("still there?")
    print(own[0].recv(timeout=20))
    """
    assert run_program(source, url) == "still there?\n"
    assert [ends.get(timeout=TIMEOUT)[0] for _ in range(3)] == [1006] * 3


@pytest.mark.parametrize("how", ["atexit.register(server.stop)", "kept = Stopping()"])
def test_a_server_can_be_stopped_at_interpreter_exit(how: str) -> None:
    source = f"""
    import atexit
    import wschat
    server = wschat.serve(lambda ws: [ws.send(message) for message in ws], port=0).start()
    ws = wschat.connect(f"ws://127.0.0.1:{{server.port}}")
    ws.send("x")
    assert ws.recv(timeout=20) == "x"
    class Stopping:
        def __init__(self):
            self.itself = self
        def __del__(self, server=server):
            server.stop()
    {how}
    """
    run_program(source)


# Signal handlers


@needs_signals
@pytest.mark.parametrize("waiting", ["ws.recv()", "list(ws)", "ws.ping()", "ws.recv(timeout=30)"])
def test_a_signal_handler_can_close_the_connection_that_its_thread_waits_on(waiting: str, url: str, ends: Ends) -> None:
    source = f"""
    import signal, sys
    import wschat
    ws = wschat.connect(sys.argv[1])
    assert [ws.recv(), ws.recv()] == ["one", "two"]
    signal.signal(signal.SIGALRM, lambda *_: ws.close(4001, "a signal"))
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        {waiting}
        ws.recv()
    except wschat.ConnectionClosed as closed:
        print(closed.code, closed.reason)
    """
    if "ping" in waiting:  # the pong could arrive before the signal
        source = source.replace("ws.ping()", "while True: ws.ping()")
    assert run_program(source, url) == "4001 a signal\n"
    assert ends.get(timeout=TIMEOUT) == (4001, "a signal")


@needs_signals
def test_signal_handlers_can_close_at_any_moment(url: str) -> None:
    """Some of these signals arrive while a lock is held."""
    source = """
    import signal, sys
    import wschat
    for number in range(60):
        ws = wschat.connect(sys.argv[1])
        signal.signal(signal.SIGALRM, lambda *_: ws.close(4001, "a signal"))
        signal.setitimer(signal.ITIMER_REAL, 0.0005 + number / 20_000)
        try:
            while True:
                ws.send("x")
                ws.ping()
        except wschat.ConnectionClosed as closed:
            assert (closed.code, closed.reason) == (4001, "a signal"), closed
        ws.close()
    print("done")
    """
    assert run_program(source, url) == "done\n"


@needs_signals
@pytest.mark.parametrize("error", ["TimeoutError", "ConnectionResetError", "OSError", "KeyboardInterrupt", "BlockingIOError"])
@pytest.mark.parametrize("waiting", ["ws.recv()", "next(iter(ws))", "ws.recv(timeout=30)"])
def test_an_exception_of_a_signal_handler_propagates_and_leaves_the_connection_open(error: str, waiting: str, url: str, ends: Ends) -> None:
    source = f"""
    import signal, sys
    import wschat
    def on_alarm(signum, frame):
        raise {error}("mine")
    signal.signal(signal.SIGALRM, on_alarm)
    with wschat.connect(sys.argv[1]) as ws:
        assert [ws.recv(), ws.recv()] == ["one", "two"]
        ws.send("silence")
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        try:
            {waiting}
        except {error} as raised:
            print(raised)
        ws.send("still there?")
        print(ws.recv(timeout=20))
    """
    assert run_program(source, url) == "mine\nstill there?\n"
    assert ends.get(timeout=TIMEOUT)[0] == 1000


@needs_signals
def test_receiving_in_a_signal_handler_that_has_interrupted_recv_raises_usage_error(url: str) -> None:
    source = """
    import signal, sys
    import wschat
    def on_alarm(signum, frame):
        try:
            ws.recv()
        except wschat.UsageError as error:
            print(error)
        ws.close()
    ws = wschat.connect(sys.argv[1])
    assert [ws.recv(), ws.recv()] == ["one", "two"]
    signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    print(list(ws))
    """
    assert run_program(source, url) == "a signal handler has interrupted a call on this connection, and cannot wait for it\n[]\n"


def test_del_can_close_while_its_thread_sends(url: str) -> None:
    """The garbage collector calls `__del__` wherever an object is created, possibly while a lock is held."""
    source = """
    import gc, sys
    import wschat
    class Closing:
        def __init__(self):
            self.itself = self
        def __del__(self):
            ws.close()
    gc.set_threshold(1)
    for _ in range(30):
        ws = wschat.connect(sys.argv[1])
        Closing()
        try:
            for _ in range(1000):
                ws.send("x" * 300)
        except wschat.ConnectionClosed as closed:
            assert closed.code == 1000, closed
        ws.close()
    """
    run_program(source, url)


def test_del_closes_completely_while_its_thread_waits_on_another_connection(url: str, ends: Ends) -> None:
    """Another thread waits for the peer's close frame, because this one has been interrupted."""
    source = """
    import gc, signal, sys
    import wschat
    class Closing:
        def __init__(self):
            self.ws = wschat.connect(sys.argv[1])
            self.itself = self
        def __del__(self):
            self.ws.close()
    with wschat.connect(sys.argv[1]) as ws:
        assert [ws.recv(), ws.recv()] == ["one", "two"]
        gc.disable()
        for _ in range(5):
            Closing()
        signal.signal(signal.SIGALRM, lambda *_: gc.collect())
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        try:
            ws.recv(timeout=1)
        except TimeoutError:
            print("waited")
    """
    assert run_program(source, url) == "waited\n"
    assert [ends.get(timeout=TIMEOUT)[0] for _ in range(6)] == [1000] * 6


def test_the_parts_of_a_message_can_come_from_another_connection(url: str, ends: Ends) -> None:
    source = """
    import sys
    import wschat
    def parts():
        with wschat.connect(sys.argv[1]) as other:
            yield from [other.recv(), other.recv()]
        assert other.closed
    with wschat.connect(sys.argv[1]) as ws:
        ws.send(parts())
        print([ws.recv(timeout=20) for _ in range(3)])
    """
    assert run_program(source, url) == "['one', 'two', 'onetwo']\n"
    assert [ends.get(timeout=TIMEOUT)[0] for _ in range(2)] == [1000] * 2


@pytest.mark.gil
def test_del_that_closes_in_the_timers_thread_delays_no_timer(serve: ServerFactory) -> None:
    is_over = threading.Event()

    def be_unresponsive(_: Connection) -> None:
        is_over.wait(3 * TIMEOUT)

    source = """
    import sys, threading
    import wschat
    from wschat.connection.background_threads import acquire_background_threads
    timers = acquire_background_threads().timers
    class Closing:
        def __init__(self):
            self.ws = wschat.connect(sys.argv[1], limits=wschat.Limits(close_timeout=0))
        def __del__(self):
            self.ws.close()
    kept = [Closing()]
    is_kept = threading.Event()
    timers.call_later(0, kept.clear)
    timers.call_later(0.1, is_kept.set)
    print(is_kept.wait(20))
    """
    dead = serve(be_unresponsive, limits=Limits(ping_interval=0, close_timeout=0.1))
    assert run_program(source, url_of(dead)) == "True\n"
    is_over.set()
