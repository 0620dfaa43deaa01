"""On which core the threads run, where the system lets one choose."""

from __future__ import annotations

import errno
import os
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from wschat.cli.cpu_affinity import CpuAffinity, is_worthwhile
from wschat.connection.timers import Timer, Timers

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


class ByHand(Timers):
    """Timers that are kept when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[Timer] = []

    def call_later(self, seconds: float, action: Callable[[], None]) -> Timer:
        self.waiting.append(Timer(action, lambda: None))
        return self.waiting[-1]

    def keep(self) -> None:
        """The time has come for all that wait now."""
        due, self.waiting = self.waiting, []
        for timer in due:
            timer.fire()


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
def timers() -> ByHand:
    return ByHand()


@pytest.fixture
def busy() -> Busy:
    return Busy()


@pytest.fixture
def affinity(timers: ByHand, busy: Busy) -> CpuAffinity:
    affinity = CpuAffinity(timers, busy)
    affinity.start()
    return affinity


@pytest.mark.usefixtures("affinity")
def test_all_threads_are_on_one_core() -> None:
    assert os.sched_getaffinity(0) == {HERE}
    assert os.sched_getscheduler(0) == os.SCHED_BATCH


def test_threads_that_run_already_are_moved_too(timers: ByHand, busy: Busy) -> None:
    is_asked, may_end = threading.Event(), threading.Event()
    seen: list[set[int]] = []

    def look() -> None:
        is_asked.wait()
        seen.append(os.sched_getaffinity(0))
        may_end.set()

    thread = threading.Thread(target=look)
    thread.start()
    CpuAffinity(timers, busy).start()
    is_asked.set()
    thread.join()
    assert seen == [{HERE}]


@needs_two_cores
def test_it_moves_after_two_bad_looks(affinity: CpuAffinity, timers: ByHand, busy: Busy) -> None:
    busy.more = {core: MUCH for core in ALLOWED if core != THERE}
    timers.keep()
    assert os.sched_getaffinity(0) == {HERE}
    timers.keep()
    assert os.sched_getaffinity(0) == {THERE}
    assert affinity.core == THERE


@needs_two_cores
@pytest.mark.usefixtures("affinity")
def test_it_moves_again_when_that_is_better(timers: ByHand, busy: Busy) -> None:
    for core in (THERE, HERE, THERE):
        busy.more = {other: MUCH for other in ALLOWED if other != core}
        timers.keep()
        timers.keep()
        assert os.sched_getaffinity(0) == {core}


@needs_two_cores
@pytest.mark.usefixtures("affinity")
def test_one_bad_look_between_good_ones_is_no_reason_to_move(timers: ByHand, busy: Busy) -> None:
    for _ in range(3):
        busy.more = {core: MUCH for core in ALLOWED if core != THERE}
        timers.keep()
        busy.more = {}
        timers.keep()
    assert os.sched_getaffinity(0) == {HERE}


@pytest.mark.usefixtures("affinity")
@pytest.mark.parametrize("more", [{}, dict.fromkeys(ALLOWED, MUCH), {core: MUCH for core in ALLOWED if core != HERE}])
def test_it_stays_where_no_core_is_better(timers: ByHand, busy: Busy, more: dict[int, float]) -> None:
    busy.more = more
    for _ in range(4):
        timers.keep()
    assert os.sched_getaffinity(0) == {HERE}


def test_stop_restores_the_cores_and_looks_no_more(affinity: CpuAffinity, timers: ByHand, busy: Busy) -> None:
    affinity.stop()
    busy.more = {core: MUCH for core in ALLOWED if core != THERE}
    timers.keep()
    assert timers.waiting == []
    assert os.sched_getaffinity(0) == set(ALLOWED)


def test_a_stop_during_a_look_is_the_last_word(timers: ByHand) -> None:
    placements: list[CpuAffinity] = []

    def stop_and_measure() -> dict[int, float]:
        for affinity in placements:
            affinity.stop()
        return dict.fromkeys(ALLOWED, 0.0)

    affinity = CpuAffinity(timers, stop_and_measure)
    affinity.start()
    placements.append(affinity)
    for _ in range(3):
        timers.keep()
    assert timers.waiting == []
    assert os.sched_getaffinity(0) == set(ALLOWED)


def test_stop_goes_without_start(timers: ByHand, busy: Busy) -> None:
    CpuAffinity(timers, busy).stop()
    assert os.sched_getaffinity(0) == set(ALLOWED)


@pytest.mark.skipif(not os.path.exists("/proc/stat"), reason="this system has no /proc/stat")
def test_the_cores_of_this_system_can_be_looked_at(timers: ByHand) -> None:
    affinity = CpuAffinity(timers)
    affinity.start()
    timers.keep()
    assert affinity.choose_core() in ALLOWED
    assert len(timers.waiting) == 1


def test_it_is_worth_it_under_the_gil_and_with_a_choice_of_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: True, raising=False)
    assert is_worthwhile() == (len(ALLOWED) > 1)
    os.sched_setaffinity(0, {HERE})
    assert not is_worthwhile()
    os.sched_setaffinity(0, ALLOWED)
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)
    assert not is_worthwhile()


def test_a_look_for_which_there_is_no_descriptor_is_not_the_last(timers: ByHand) -> None:
    looks = 0

    def busy() -> dict[int, float]:
        nonlocal looks
        looks += 1
        if looks > 1:
            raise OSError(errno.EMFILE, "too many open files")
        return dict.fromkeys(ALLOWED, 0.0)

    CpuAffinity(timers, busy).start()
    for _ in range(3):
        timers.keep()
    assert looks == 4
