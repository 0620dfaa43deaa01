"""The queue of the broker's thread, and the broker while its queue is full or closed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from time import monotonic

import pytest

from tests.brokers.sqlite.wiring import BlockingPublisher, open_database
from tests.brokers.wiring import IgnoringPublisher, RecordingPublisher, RecordingSubscriber, last_numbers, log_of, numbers, texts, upto
from tests.concurrency import TIMEOUT, eventually
from wschat.brokers import write_queue
from wschat.brokers.base import Draft, Message
from wschat.brokers.sqlite.broker import SqliteBroker
from wschat.brokers.write_queue import Task, Work, WriteQueue
from wschat.errors import HistoryUnavailable


def test_queued_drafts_are_written_in_one_transaction(broker: SqliteBroker) -> None:
    """The drafts that accumulate during a write are one transaction and one delivery, so messages cost less under load."""
    deliveries: list[list[int]] = []

    class Counting(RecordingSubscriber):
        def on_messages(self, messages: Sequence[Message]) -> None:
            deliveries.append(numbers(messages))

    broker.subscribe("lobby", Counting())
    blocker, publisher = BlockingPublisher(broker), RecordingPublisher(broker)
    blocker.block()
    publisher.begin(*(Draft("lobby", "alice", f"{number}", key=f"{number % 150}") for number in range(150)))
    publisher.begin(*(Draft("lobby", "bob", f"{number}", key=f"{number % 150}") for number in range(150)))
    assert deliveries == []
    blocker.release()
    assert publisher.wait_for(300) == upto(150) * 2
    assert deliveries == [upto(150)]


def test_more_drafts_than_one_batch_holds_are_appended(broker: SqliteBroker) -> None:
    publisher, subscriber = RecordingPublisher(broker), RecordingSubscriber()
    broker.subscribe("lobby", subscriber)
    blocker = BlockingPublisher(broker)
    blocker.block()
    total = 2 * write_queue.MAX_BATCH + 500
    publisher.begin(*(Draft("lobby", "alice", f"{number}") for number in range(total)))
    blocker.release()
    assert publisher.wait_for(total) == upto(total)
    assert numbers(subscriber.messages) == upto(total)


def test_append_waits_while_the_queue_is_full(broker: SqliteBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_queue, "_MAX_QUEUED", 10)
    publisher, blocker = RecordingPublisher(broker), BlockingPublisher(broker)
    waiting: list[int] = []
    blocker.block()

    def talk(thread: int) -> None:
        for number in range(100):
            publisher.begin(Draft("lobby", f"{thread}", f"{number}"))
            waiting.append(len(broker._queue._messages))

    with ThreadPoolExecutor(4) as pool:
        tasks = [pool.submit(talk, thread) for thread in range(4)]
        eventually(lambda: len(waiting) >= 10)
        assert not any(task.done() for task in tasks)
        blocker.release()
        for task in tasks:
            task.result(TIMEOUT)
    assert sorted(number for number in publisher.wait_for(400) if isinstance(number, int)) == upto(400)
    assert max(waiting) == 10
    for thread in range(4):
        messages = [message for message in log_of(broker, "lobby") if message.sender == f"{thread}"]
        assert texts(messages) == [f"{number}" for number in range(100)]


def test_close_appends_a_long_queue(path: Path) -> None:
    broker = SqliteBroker(path)
    publisher, blocker = RecordingPublisher(broker), BlockingPublisher(broker)
    blocker.block()
    publisher.begin(*(Draft("lobby", "alice", f"{number}") for number in range(2500)))
    with ThreadPoolExecutor(1) as pool:
        closed = pool.submit(broker.close)
        eventually(lambda: broker._queue.is_closed)
        assert not closed.done()
        blocker.release()
        closed.result(TIMEOUT)
    assert publisher.wait_for(2500) == upto(2500)
    with closing(SqliteBroker(path)) as broker:
        assert texts(log_of(broker, "lobby")) == [f"{number}" for number in range(2500)]


def test_every_append_during_a_close_gets_a_result_or_an_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it waits for room in the queue, is about to append, or comes too late."""
    monkeypatch.setattr(write_queue, "_MAX_QUEUED", 5)
    broker = SqliteBroker(path)
    publisher, blocker = RecordingPublisher(broker), BlockingPublisher(broker)
    blocker.block()
    begun: list[int] = []

    def talk() -> str:
        while True:
            try:
                publisher.begin(Draft("lobby", "alice", "x"))
            except HistoryUnavailable as error:
                return str(error)
            begun.append(1)

    with ThreadPoolExecutor(5) as pool:
        tasks = [pool.submit(talk) for _ in range(4)]
        eventually(lambda: len(broker._queue._messages) == 5)
        closed = pool.submit(broker.close)
        assert {task.result(TIMEOUT) for task in tasks} == {"the history is closed"}
        blocker.release()
        closed.result(TIMEOUT)
    assert publisher.wait_for(len(begun)) == upto(len(begun))
    with pytest.raises(HistoryUnavailable):
        publisher.begin(Draft("lobby", "alice", "x"))
    with closing(SqliteBroker(path)) as broker:
        assert last_numbers(broker) == {"blocker": 1, "lobby": len(begun)}


def test_many_checks_cost_one_write_per_second(path: Path, broker: SqliteBroker) -> None:
    began_at = monotonic()
    with open_database(path) as database, ThreadPoolExecutor(8) as pool:

        def writes() -> int:
            (version,) = database.execute("PRAGMA data_version").fetchone()  # changes with each commit of another connection
            return int(version)

        before = writes()
        found = set()
        for _ in range(50):
            list(pool.map(lambda _: broker.check(), range(8)))
            found.add(writes())
        assert len(found - {before}) <= 1 + (monotonic() - began_at)


def test_the_result_of_a_check_expires(path: Path, broker: SqliteBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_queue, "_CHECK_INTERVAL", 0.02)
    broker.check()
    elsewhere = path.rename(path.with_name("elsewhere"))

    def is_ready() -> bool:
        try:
            broker.check()
        except HistoryUnavailable:
            return False
        return True

    eventually(lambda: not is_ready())
    elsewhere.replace(path)
    eventually(is_ready)


# The queue by itself


def soon() -> float:
    return monotonic() + TIMEOUT


def fill(queue: WriteQueue, number: int) -> None:
    for _ in range(number):
        queue.put(Draft("lobby", "alice", "x"), IgnoringPublisher())


def test_get_returns_tasks_and_messages_in_the_order_in_which_they_were_queued() -> None:
    queue, ran = WriteQueue(), list[str]()
    with ThreadPoolExecutor(1) as pool:
        fill(queue, 2)
        running = pool.submit(queue.run, lambda: ran.append("task"))
        eventually(lambda: bool(queue._tasks))
        work = queue.get(soon())
        assert work is not None
        assert [pending.draft.room for pending in work.batch] == ["lobby", "lobby"]
        for task in work.tasks:
            task.run()
        running.result(TIMEOUT)
    assert ran == ["task"]


def test_a_batch_has_a_maximum_size() -> None:
    queue = WriteQueue()
    fill(queue, write_queue.MAX_BATCH + 5)
    sizes = [len(work.batch) for _ in range(2) if (work := queue.get(soon()))]
    assert sizes == [write_queue.MAX_BATCH, 5]


def test_get_returns_empty_work_at_the_deadline() -> None:
    work = WriteQueue().get(monotonic())
    assert work == Work([], [])


def test_a_closed_queue_refuses_new_work_and_returns_the_rest() -> None:
    queue = WriteQueue()
    fill(queue, 1)
    queue.close()
    puts: list[Callable[[], None]] = [lambda: fill(queue, 1), lambda: queue.run(list), lambda: queue.run_check(list)]
    for put in puts:
        with pytest.raises(HistoryUnavailable, match="the history is closed"):
            put()
    work = queue.get(soon())
    assert work is not None
    assert len(work.batch) == 1
    assert queue.get(soon()) is None


def test_a_failing_task_raises_an_error_in_the_waiting_thread() -> None:
    def fail() -> None:
        raise ValueError("no")

    task = Task(fail)
    with pytest.raises(ValueError, match="no"):
        task.run()
    with pytest.raises(HistoryUnavailable, match="the history cannot be used: no"):
        task.wait()
    assert task.ended_at is not None
