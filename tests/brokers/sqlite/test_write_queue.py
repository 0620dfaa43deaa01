"""The queue of the writer thread, and the broker while its queue is full or closed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from time import monotonic

import pytest

from tests.brokers.sqlite.wiring import Gate, looking_into
from tests.brokers.wiring import Listener, Speaker, last_numbers, log_of, numbers, texts, upto
from tests.concurrency import TIMEOUT, eventually
from wschat.brokers.base import Draft, Message, Outcome
from wschat.brokers.sqlite import write_queue
from wschat.brokers.sqlite.broker import SqliteBroker
from wschat.brokers.sqlite.write_queue import Task, Work, WriteQueue
from wschat.errors import HistoryUnavailable


def test_what_waits_becomes_durable_together(broker: SqliteBroker) -> None:
    """The busier it is, the less a message costs: what gathers while the disk works is one transaction, and one delivery."""
    deliveries: list[list[int]] = []

    class Counting(Listener):
        def on_messages(self, messages: Sequence[Message]) -> None:
            deliveries.append(numbers(messages))

    broker.subscribe("lobby", Counting())
    gate, speaker = Gate(broker), Speaker(broker)
    gate.shut()
    speaker.begin(*(Draft("lobby", "alice", f"{number}", key=f"{number % 150}") for number in range(150)))
    speaker.begin(*(Draft("lobby", "bob", f"{number}", key=f"{number % 150}") for number in range(150)))
    assert deliveries == []
    gate.open()
    assert speaker.wait_for(300) == upto(150) * 2
    assert deliveries == [upto(150)]


def test_more_than_one_transaction_takes_is_appended_all_the_same(broker: SqliteBroker) -> None:
    speaker, listener = Speaker(broker), Listener()
    broker.subscribe("lobby", listener)
    gate = Gate(broker)
    gate.shut()
    total = 2 * write_queue.MAX_BATCH + 500
    speaker.begin(*(Draft("lobby", "alice", f"{number}") for number in range(total)))
    gate.open()
    assert speaker.wait_for(total) == upto(total)
    assert numbers(listener.messages) == upto(total)


def test_one_who_appends_waits_while_far_too_much_is_waiting(broker: SqliteBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_queue, "_MAX_QUEUED", 10)
    speaker, gate = Speaker(broker), Gate(broker)
    waiting: list[int] = []
    gate.shut()

    def talk(thread: int) -> None:
        for number in range(100):
            speaker.begin(Draft("lobby", f"{thread}", f"{number}"))
            waiting.append(len(broker._queue._messages))

    with ThreadPoolExecutor(4) as pool:
        tasks = [pool.submit(talk, thread) for thread in range(4)]
        eventually(lambda: len(waiting) >= 10)
        assert not any(task.done() for task in tasks)
        gate.open()
        for task in tasks:
            task.result(TIMEOUT)
    assert sorted(number for number in speaker.wait_for(400) if isinstance(number, int)) == upto(400)
    assert max(waiting) == 10
    for thread in range(4):
        said = [message for message in log_of(broker, "lobby") if message.sender == f"{thread}"]
        assert texts(said) == [f"{number}" for number in range(100)]


def test_at_the_end_what_waits_is_appended_even_if_it_is_much(path: Path) -> None:
    broker = SqliteBroker(path)
    speaker, gate = Speaker(broker), Gate(broker)
    gate.shut()
    speaker.begin(*(Draft("lobby", "alice", f"{number}") for number in range(2500)))
    with ThreadPoolExecutor(1) as pool:
        closed = pool.submit(broker.close)
        eventually(lambda: broker._queue.is_closed)
        assert not closed.done()
        gate.open()
        closed.result(TIMEOUT)
    assert speaker.wait_for(2500) == upto(2500)
    with closing(SqliteBroker(path)) as broker:
        assert texts(log_of(broker, "lobby")) == [f"{number}" for number in range(2500)]


def test_nobody_who_appends_at_the_end_is_left_without_a_word(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it waits for its turn, or is just about to append, or comes too late."""
    monkeypatch.setattr(write_queue, "_MAX_QUEUED", 5)
    broker = SqliteBroker(path)
    speaker, gate = Speaker(broker), Gate(broker)
    gate.shut()
    begun: list[int] = []

    def talk() -> str:
        while True:
            try:
                speaker.begin(Draft("lobby", "alice", "x"))
            except HistoryUnavailable as error:
                return str(error)
            begun.append(1)

    with ThreadPoolExecutor(5) as pool:
        tasks = [pool.submit(talk) for _ in range(4)]
        eventually(lambda: len(broker._queue._messages) == 5)
        closed = pool.submit(broker.close)
        assert {task.result(TIMEOUT) for task in tasks} == {"the history is closed"}
        gate.open()
        closed.result(TIMEOUT)
    assert speaker.wait_for(len(begun)) == upto(len(begun))
    with pytest.raises(HistoryUnavailable):
        speaker.begin(Draft("lobby", "alice", "x"))
    with closing(SqliteBroker(path)) as broker:
        assert last_numbers(broker) == {"gate": 1, "lobby": len(begun)}


def test_many_who_ask_whether_it_can_be_written_cost_one_write_a_second(path: Path, broker: SqliteBroker) -> None:
    began_at = monotonic()
    with looking_into(path) as database, ThreadPoolExecutor(8) as pool:

        def writes() -> int:
            (version,) = database.execute("PRAGMA data_version").fetchone()  # which changes with each commit of another
            return int(version)

        before = writes()
        found = set()
        for _ in range(50):
            list(pool.map(lambda _: broker.check(), range(8)))
            found.add(writes())
        assert len(found - {before}) <= 1 + (monotonic() - began_at)


def test_what_a_check_has_found_is_not_held_to_for_longer(path: Path, broker: SqliteBroker, monkeypatch: pytest.MonkeyPatch) -> None:
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


class Silent:
    def on_appended(self, outcomes: list[Outcome]) -> None:
        pass


def soon() -> float:
    return monotonic() + TIMEOUT


def fill(queue: WriteQueue, number: int) -> None:
    for _ in range(number):
        queue.put(Draft("lobby", "alice", "x"), Silent())


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


def test_a_batch_has_no_more_than_so_many_messages() -> None:
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


def test_a_task_that_fails_is_an_error_for_those_who_wait() -> None:
    def fail() -> None:
        raise ValueError("no")

    task = Task(fail)
    with pytest.raises(ValueError, match="no"):
        task.run()
    with pytest.raises(HistoryUnavailable, match="the history cannot be used: no"):
        task.wait()
    assert task.ended_at is not None
