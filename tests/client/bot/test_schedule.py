"""Functions at intervals."""

from __future__ import annotations

import threading
from time import monotonic

from tests.concurrency import TIMEOUT, eventually
from wschat.client.bot.handlers import Periodic
from wschat.client.bot.schedule import Schedule


def nothing() -> None: ...


def test_each_function_is_due_at_its_interval_until_the_end() -> None:
    slow, fast = Periodic(1000, nothing), Periodic(0.02, nothing)
    fired: list[Periodic] = []
    enough = threading.Event()

    def fire(periodic: Periodic) -> None:
        fired.append(periodic)
        if len(fired) == 5:
            enough.set()

    schedule = Schedule([slow, fast], fire)
    began = monotonic()
    schedule.start()
    assert enough.wait(TIMEOUT)
    schedule.stop()
    assert monotonic() - began >= 5 * 0.02 - 0.02  # timers may be this early
    assert set(fired) == {fast}
    number = len(fired)
    threading.Event().wait(0.05)
    assert len(fired) == number


def test_a_function_that_is_due_at_the_end_is_not_due_again() -> None:
    fired: list[Periodic] = []
    fires, may_go_on = threading.Event(), threading.Event()

    def fire(periodic: Periodic) -> None:
        fired.append(periodic)
        fires.set()
        assert may_go_on.wait(TIMEOUT)

    schedule = Schedule([Periodic(0.001, nothing)], fire)
    schedule.start()
    assert fires.wait(TIMEOUT)
    stopping = threading.Thread(target=schedule.stop)
    stopping.start()
    eventually(lambda: schedule._is_stopped)
    may_go_on.set()
    stopping.join(TIMEOUT)
    assert len(fired) == 1
