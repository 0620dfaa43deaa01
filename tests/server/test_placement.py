"""On which core the threads run, where the system lets one choose."""

from __future__ import annotations

import errno
import os
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from wschat.connection.keepalive import Deadline, Deadlines
from wschat.server.placement import Placement, is_worthwhile

if not hasattr(os, "sched_setaffinity"):
    pytest.skip("this system does not let a process choose its cores", allow_module_level=True)

ALLOWED = sorted(os.sched_getaffinity(0))
HERE, THERE = ALLOWED[-1], ALLOWED[0]
needs_two_cores = pytest.mark.skipif(len(ALLOWED) < 2, reason="there is only one core to be on")

# So much that it does not matter how long the test takes, nor what it does meanwhile.
MUCH = 1e9


@pytest.fixture(autouse=True)
def back_to_where_it_was() -> Iterator[None]:
    policy = os.sched_getscheduler(0)
    yield
    for thread in map(int, os.listdir("/proc/self/task")):
        try:
            os.sched_setaffinity(thread, ALLOWED)
            os.sched_setscheduler(thread, policy, os.sched_param(0))
        except ProcessLookupError:
            pass  # it has ended


class ByHand(Deadlines):
    """Deadlines that are kept when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[Deadline] = []

    def after(self, seconds: float, action: Callable[[], None]) -> Deadline:
        self.waiting.append(Deadline(action, lambda: None))
        return self.waiting[-1]

    def keep(self) -> None:
        """The time has come for all that wait now."""
        due, self.waiting = self.waiting, []
        for deadline in due:
            deadline.keep()


class Busy:
    """How busy the cores are: each look finds them as busy as the test wants."""

    def __init__(self) -> None:
        self.total = dict.fromkeys(ALLOWED, 0.0)
        self.more: dict[int, float] = {}

    def __call__(self) -> dict[int, float]:
        for core, seconds in self.more.items():
            self.total[core] += seconds
        return dict(self.total)


@pytest.fixture
def deadlines() -> ByHand:
    return ByHand()


@pytest.fixture
def busy() -> Busy:
    return Busy()


@pytest.fixture
def placement(deadlines: ByHand, busy: Busy) -> Placement:
    placement = Placement(deadlines, busy)
    placement.start()
    return placement


@pytest.mark.usefixtures("placement")
def test_all_threads_are_on_one_core() -> None:
    assert os.sched_getaffinity(0) == {HERE}
    assert os.sched_getscheduler(0) == os.SCHED_BATCH


def test_threads_that_run_already_are_moved_too(deadlines: ByHand, busy: Busy) -> None:
    is_asked, may_end = threading.Event(), threading.Event()
    seen: list[set[int]] = []

    def look() -> None:
        is_asked.wait()
        seen.append(os.sched_getaffinity(0))
        may_end.set()

    thread = threading.Thread(target=look)
    thread.start()
    Placement(deadlines, busy).start()
    is_asked.set()
    thread.join()
    assert seen == [{HERE}]


@needs_two_cores
def test_it_moves_after_two_bad_looks(placement: Placement, deadlines: ByHand, busy: Busy) -> None:
    busy.more = {core: MUCH for core in ALLOWED if core != THERE}
    deadlines.keep()
    assert os.sched_getaffinity(0) == {HERE}
    deadlines.keep()
    assert os.sched_getaffinity(0) == {THERE}
    assert placement.core == THERE


@needs_two_cores
@pytest.mark.usefixtures("placement")
def test_it_moves_again_when_that_is_better(deadlines: ByHand, busy: Busy) -> None:
    for core in (THERE, HERE, THERE):
        busy.more = {other: MUCH for other in ALLOWED if other != core}
        deadlines.keep()
        deadlines.keep()
        assert os.sched_getaffinity(0) == {core}


@needs_two_cores
@pytest.mark.usefixtures("placement")
def test_one_bad_look_between_good_ones_is_no_reason_to_move(deadlines: ByHand, busy: Busy) -> None:
    for _ in range(3):
        busy.more = {core: MUCH for core in ALLOWED if core != THERE}
        deadlines.keep()
        busy.more = {}
        deadlines.keep()
    assert os.sched_getaffinity(0) == {HERE}


@pytest.mark.usefixtures("placement")
@pytest.mark.parametrize("more", [{}, dict.fromkeys(ALLOWED, MUCH), {core: MUCH for core in ALLOWED if core != HERE}])
def test_it_stays_where_no_core_is_better(deadlines: ByHand, busy: Busy, more: dict[int, float]) -> None:
    busy.more = more
    for _ in range(4):
        deadlines.keep()
    assert os.sched_getaffinity(0) == {HERE}


def test_stop_restores_the_cores_and_looks_no_more(placement: Placement, deadlines: ByHand, busy: Busy) -> None:
    placement.stop()
    busy.more = {core: MUCH for core in ALLOWED if core != THERE}
    deadlines.keep()
    assert deadlines.waiting == []
    assert os.sched_getaffinity(0) == set(ALLOWED)


def test_a_stop_during_a_look_is_the_last_word(deadlines: ByHand) -> None:
    placements: list[Placement] = []

    def stop_and_look() -> dict[int, float]:
        for placement in placements:
            placement.stop()
        return dict.fromkeys(ALLOWED, 0.0)

    placement = Placement(deadlines, stop_and_look)
    placement.start()
    placements.append(placement)
    for _ in range(3):
        deadlines.keep()
    assert deadlines.waiting == []
    assert os.sched_getaffinity(0) == set(ALLOWED)


def test_stop_goes_without_start(deadlines: ByHand, busy: Busy) -> None:
    Placement(deadlines, busy).stop()
    assert os.sched_getaffinity(0) == set(ALLOWED)


@pytest.mark.skipif(not os.path.exists("/proc/stat"), reason="this system has no /proc/stat")
def test_the_cores_of_this_system_can_be_looked_at(deadlines: ByHand) -> None:
    placement = Placement(deadlines)
    placement.start()
    deadlines.keep()
    assert placement.better_core() in ALLOWED
    assert len(deadlines.waiting) == 1


def test_it_is_worth_it_under_the_gil_and_with_a_choice_of_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: True, raising=False)
    assert is_worthwhile() == (len(ALLOWED) > 1)
    os.sched_setaffinity(0, {HERE})
    assert not is_worthwhile()
    os.sched_setaffinity(0, ALLOWED)
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)
    assert not is_worthwhile()


def test_a_look_for_which_there_is_no_descriptor_is_not_the_last(deadlines: ByHand) -> None:
    looks = 0

    def busy() -> dict[int, float]:
        nonlocal looks
        looks += 1
        if looks > 1:
            raise OSError(errno.EMFILE, "too many open files")
        return dict.fromkeys(ALLOWED, 0.0)

    Placement(deadlines, busy).start()
    for _ in range(3):
        deadlines.keep()
    assert looks == 4
