"""The background threads run as long as there are connections."""

from __future__ import annotations

import os
import sys
import threading

import pytest

from tests.concurrency import TIMEOUT
from tests.connection.wiring import Wiring, narrow_sockets
from tests.programs import run_program
from tests.protocol.wire import TEXT
from wschat.connection.background_threads import acquire_background_threads, release_background_threads
from wschat.limits import Limits

NAMES = {"wschat-writer", "wschat-timers"}


def running_threads() -> list[str]:
    return sorted(thread.name for thread in threading.enumerate() if thread.name in NAMES)


def test_connections_share_two_threads_which_end_with_the_last(wire: Wiring) -> None:
    assert running_threads() == []
    pairs = [wire.raw(narrow_sockets()) for _ in range(3)]
    for connection, _ in pairs:
        connection.send("x" * 50_000)
    assert running_threads() == sorted(NAMES)
    for connection, peer in pairs:
        assert running_threads() == sorted(NAMES)
        peer.close()
        connection.close()
    assert running_threads() == []


def test_the_threads_run_before_a_connection_needs_them(wire: Wiring) -> None:
    connection, peer = wire.raw(limits=Limits(ping_interval=0, close_timeout=0))
    assert running_threads() == sorted(NAMES)
    peer.close()
    connection.close()


def test_connections_opened_after_the_last_was_closed_have_new_threads(wire: Wiring) -> None:
    for _ in range(5):
        connection, peer = wire.raw(narrow_sockets())
        sending = wire.run(connection.send, "y" * 50_000)
        assert peer.frame() == (TEXT, b"y" * 50_000)
        sending.result(TIMEOUT)
        peer.close()
        connection.close()
        assert running_threads() == []


def test_all_users_share_the_threads_until_the_last_releases_them(wire: Wiring) -> None:
    first = acquire_background_threads()
    assert acquire_background_threads() is first
    release_background_threads(first)
    assert acquire_background_threads() is first
    release_background_threads(first)
    release_background_threads(first)
    second = acquire_background_threads()
    assert second is not first
    release_background_threads(second)


def test_connections_come_and_go_in_many_threads(wire: Wiring) -> None:
    def come_and_go() -> None:
        for _ in range(30):
            connection, peer = wire.raw(narrow_sockets())
            connection.send("z" * 20_000)
            peer.frame()
            peer.close()
            connection.close()

    for task in [wire.run(come_and_go) for _ in range(8)]:
        task.result()
    assert running_threads() == []


@pytest.mark.skipif(sys.platform != "linux", reason="on other systems RLIMIT_AS does not keep threads from starting")
def test_failing_to_start_a_thread_raises_an_error_and_leaves_nothing_behind(echo_url: str) -> None:
    source = """
    import logging, resource, sys
    import wschat
    from wschat.connection.background_threads import acquire_background_threads, release_background_threads

    def limit(megabytes):
        pages = int(open("/proc/self/statm").read().split()[0])
        soft = pages * resource.getpagesize() + megabytes * 1_000_000
        resource.setrlimit(resource.RLIMIT_AS, (soft, resource.RLIM_INFINITY))

    def lift():
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    logging.disable()  # the server logs the failure
    serve, connect = wschat.serve, wschat.connect  # imported now, while there is memory
    for ask in (acquire_background_threads, lambda: wschat.serve(print, port=0), lambda: wschat.connect(sys.argv[1])):
        limit(2)
        try:
            ask()
        except OSError as error:
            print(error.strerror)
        lift()
    hub = wschat.Hub()
    def talk(ws):
        hub.join(ws)
        for message in ws:
            hub.broadcast(message)
    with wschat.serve(talk, port=0, deflate=None) as server:
        server.start()
        with wschat.connect(f"ws://127.0.0.1:{server.port}") as ws:
            limit(2)
            others = []
            try:
                while len(others) < 20:  # some may have threads that were made before
                    others.append(wschat.connect(f"ws://127.0.0.1:{server.port}"))
            except wschat.OpeningFailed as failed:
                print(failed.status)
            for other in others:
                other.close()
            for size in (1, 10_000, 1):
                ws.send("x" * size)
                assert len(ws.recv(timeout=20)) == size
            lift()
    """
    assert run_program(source, echo_url).splitlines() == ["can't start new thread"] * 3 + ["503"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no limit on descriptors")
@pytest.mark.parametrize("free", range(6))
def test_running_out_of_descriptors_leaves_nothing_behind(free: int) -> None:
    source = """
    import os, resource, sys
    import wschat
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    received = []
    def talk(ws):
        for message in ws:
            ws.send(message)
    def attempt():
        with wschat.serve(talk, port=0) as server:
            server.start()
            with wschat.connect(f"ws://127.0.0.1:{server.port}") as ws:
                ws.send("x" * 10_000_000)
                return len(ws.recv(timeout=20))
    limits = wschat.Limits()
    held = [os.open(os.devnull, os.O_RDONLY)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (held[-1] + 1 + int(sys.argv[1]), hard))
    for _ in range(3):
        try:
            attempt()
        except (OSError, wschat.OpeningFailed, wschat.ConnectionClosed) as error:
            pass
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, hard), hard))
    def talk(ws):
        for size in (10_000_000, 10_000_000):
            ws.send("x" * size)
        ws.recv()
    with wschat.serve(talk, port=0) as server:
        server.start()
        limits = wschat.Limits(max_message_bytes=0)
        with wschat.connect(f"ws://127.0.0.1:{server.port}", limits=limits) as ws:
            print([len(ws.recv(timeout=20)) for _ in range(2)])
    """
    assert run_program(source, str(free)) == "[10000000, 10000000]\n"
