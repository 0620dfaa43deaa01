"""A thread for each connection, and a spare thread."""

from __future__ import annotations

import _thread
import threading
from collections.abc import Iterator
from contextlib import closing
from queue import SimpleQueue
from types import FrameType

import pytest

import wschat
from tests.concurrency import TIMEOUT, eventually
from tests.conftest import ServerFactory, check_echo, echo, url_of
from tests.server.raw import Raw
from wschat.server.connection_threads import ConnectionThreads
from wschat.server.responses import Response


class TaskRunner:
    """`ConnectionThreads` whose tasks are numbers, with a record of the tasks that have begun."""

    def __init__(self) -> None:
        self.threads = ConnectionThreads(self._work)
        self.begun: SimpleQueue[tuple[int, int]] = SimpleQueue()
        self.may_end = threading.Event()

    def _work(self, task: int) -> None:
        self.begun.put((task, threading.get_ident()))
        assert self.may_end.wait(TIMEOUT)

    def next(self) -> int:
        """Return the next task that has begun."""
        return self.begun.get(timeout=TIMEOUT)[0]

    def close(self) -> None:
        self.may_end.set()
        self.threads.close()


@pytest.fixture
def runner() -> Iterator[TaskRunner]:
    before = _thread._count()
    with closing(TaskRunner()) as runner:
        yield runner
    eventually(lambda: _thread._count() <= before)


def test_tasks_do_not_wait_for_each_other(runner: TaskRunner) -> None:
    for number in range(5):
        if number % 2:
            runner.threads.start_spare()
        runner.threads.run(number)
    begun = [runner.begun.get(timeout=TIMEOUT) for _ in range(5)]
    assert sorted(task for task, _ in begun) == [0, 1, 2, 3, 4]
    assert len({thread for _, thread in begun}) == 5


def test_the_spare_thread_runs_the_next_task_and_no_other(runner: TaskRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    runner.threads.start_spare()
    with monkeypatch.context() as patch:
        patch.setattr(_thread, "start_new_thread", no_thread)
        runner.threads.run(1)
        assert runner.next() == 1
        with pytest.raises(RuntimeError):
            runner.threads.run(2)
        runner.threads.start_spare()
        with pytest.raises(RuntimeError):
            runner.threads.run(3)
    runner.threads.run(4)
    assert runner.next() == 4


def test_concurrent_calls_start_one_spare_thread(runner: TaskRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    asking = [threading.Thread(target=runner.threads.start_spare) for _ in range(20)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    monkeypatch.setattr(_thread, "start_new_thread", no_thread)
    runner.threads.run(1)
    with pytest.raises(RuntimeError):
        runner.threads.run(2)


def test_no_spare_thread_is_started_after_close(runner: TaskRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    runner.threads.start_spare()
    runner.threads.close()
    runner.threads.start_spare()
    monkeypatch.setattr(_thread, "start_new_thread", no_thread)
    with pytest.raises(RuntimeError):
        runner.threads.run(1)


def test_a_connection_gets_the_spare_thread_when_no_thread_can_be_started(serve: ServerFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    server = serve(echo)
    with wschat.connect(url_of(server)) as ws:
        ws.send("Is the handler there?")
        ws.recv()
        monkeypatch.setattr(_thread, "start_new_thread", no_thread)
        check_echo(server)


def test_a_spare_thread_is_started_after_a_plain_request_too(serve: ServerFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    server = serve(echo, http=lambda call: Response(200, b"here"))
    with Raw.to(server) as raw:
        raw.send(b"GET / HTTP/1.0\r\n\r\n")
        assert raw.rest().endswith(b"here")
    eventually(lambda: server._threads._has_spare)
    monkeypatch.setattr(_thread, "start_new_thread", no_thread)
    check_echo(server)


def test_shutdown_ends_the_spare_thread_before_server_close(serve: ServerFactory) -> None:
    server = serve(echo)
    check_echo(server)
    server.shutdown()
    assert not server._threads._has_spare


def test_a_trace_function_set_later_sees_the_spare_thread(runner: TaskRunner) -> None:
    seen = threading.Event()
    runner.threads.start_spare()
    before = threading.gettrace()

    def trace(frame: FrameType, *_: object) -> None:
        if frame.f_code is TaskRunner._work.__code__:
            seen.set()

    threading.settrace(trace)
    try:
        runner.threads.run(1)
        assert seen.wait(TIMEOUT)
    finally:
        threading.settrace(before)


def test_a_server_that_has_been_stopped_has_no_thread_left(serve: ServerFactory) -> None:
    before = _thread._count()
    server = serve(echo)
    check_echo(server)
    server.stop()
    eventually(lambda: _thread._count() <= before)


def no_thread(*_: object) -> int:
    raise RuntimeError("can't start new thread")
