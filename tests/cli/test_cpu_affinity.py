"""CPU affinity: on which core the threads run."""

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
needs_two_cores = pytest.mark.skipif(len(ALLOWED) < 2, reason="needs two cores")

# Busier than any other load during the test.
MUCH = 1e9


@pytest.fixture(autouse=True)
def restore_affinity() -> Iterator[None]:
    policy = os.sched_getscheduler(0)
    yield
    for thread in map(int, os.listdir("/proc/self/task")):
        try:
            os.sched_setaffinity(thread, ALLOWED)
            os.sched_setscheduler(thread, policy, os.sched_param(0))
        except ProcessLookupError:
            pass  # the thread has ended


class ManualTimers(Timers):
    """Timers that fire when the test calls `fire_all`."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[Timer] = []

    def call_later(self, seconds: float, action: Callable[[], None]) -> Timer:
        self.waiting.append(Timer(action, lambda: None))
        return self.waiting[-1]

    def fire_all(self) -> None:
        """Fire all timers that are waiting."""
        due, self.waiting = self.waiting, []
        for timer in due:
            timer.fire()


class Busy:
    """The busy time of each core, which grows by `more` with each call."""

    def __init__(self) -> None:
        self.total = dict.fromkeys(ALLOWED, 0.0)
        self.more: dict[int, float] = {}

    def __call__(self) -> dict[int, float]:
        for core, seconds in self.more.items():
            self.total[core] += seconds
        return dict(self.total)


@pytest.fixture
def timers() -> ManualTimers:
    return ManualTimers()


@pytest.fixture
def busy() -> Busy:
    return Busy()


@pytest.fixture
def affinity(timers: ManualTimers, busy: Busy) -> CpuAffinity:
    affinity = CpuAffinity(timers, busy)
    affinity.start()
    return affinity


@pytest.mark.usefixtures("affinity")
def test_all_threads_run_on_one_core() -> None:
    assert os.sched_getaffinity(0) == {HERE}
    assert os.sched_getscheduler(0) == os.SCHED_BATCH


def test_running_threads_are_moved_too(timers: ManualTimers, busy: Busy) -> None:
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
def test_the_threads_move_after_two_bad_samples(affinity: CpuAffinity, timers: ManualTimers, busy: Busy) -> None:
    busy.more = {core: MUCH for core in ALLOWED if core != THERE}
    timers.fire_all()
    assert os.sched_getaffinity(0) == {HERE}
    timers.fire_all()
    assert os.sched_getaffinity(0) == {THERE}
    assert affinity.core == THERE


@needs_two_cores
@pytest.mark.usefixtures("affinity")
def test_the_threads_move_again_to_a_better_core(timers: ManualTimers, busy: Busy) -> None:
    for core in (THERE, HERE, THERE):
        busy.more = {other: MUCH for other in ALLOWED if other != core}
        timers.fire_all()
        timers.fire_all()
        assert os.sched_getaffinity(0) == {core}


@needs_two_cores
@pytest.mark.usefixtures("affinity")
def test_a_single_bad_sample_does_not_move_the_threads(timers: ManualTimers, busy: Busy) -> None:
    for _ in range(3):
        busy.more = {core: MUCH for core in ALLOWED if core != THERE}
        timers.fire_all()
        busy.more = {}
        timers.fire_all()
    assert os.sched_getaffinity(0) == {HERE}


@pytest.mark.usefixtures("affinity")
@pytest.mark.parametrize("more", [{}, dict.fromkeys(ALLOWED, MUCH), {core: MUCH for core in ALLOWED if core != HERE}])
def test_the_threads_stay_if_no_core_is_better(timers: ManualTimers, busy: Busy, more: dict[int, float]) -> None:
    busy.more = more
    for _ in range(4):
        timers.fire_all()
    assert os.sched_getaffinity(0) == {HERE}


def test_stop_restores_the_affinity_and_takes_no_more_samples(affinity: CpuAffinity, timers: ManualTimers, busy: Busy) -> None:
    affinity.stop()
    busy.more = {core: MUCH for core in ALLOWED if core != THERE}
    timers.fire_all()
    assert timers.waiting == []
    assert os.sched_getaffinity(0) == set(ALLOWED)


def test_a_stop_during_a_sample_takes_effect(timers: ManualTimers) -> None:
    affinities: list[CpuAffinity] = []

    def stop_and_measure() -> dict[int, float]:
        for affinity in affinities:
            affinity.stop()
        return dict.fromkeys(ALLOWED, 0.0)

    affinity = CpuAffinity(timers, stop_and_measure)
    affinity.start()
    affinities.append(affinity)
    for _ in range(3):
        timers.fire_all()
    assert timers.waiting == []
    assert os.sched_getaffinity(0) == set(ALLOWED)


def test_stop_without_start_does_nothing(timers: ManualTimers, busy: Busy) -> None:
    CpuAffinity(timers, busy).stop()
    assert os.sched_getaffinity(0) == set(ALLOWED)


@pytest.mark.skipif(not os.path.exists("/proc/stat"), reason="this system has no /proc/stat")
def test_the_busy_time_of_this_system_can_be_read(timers: ManualTimers) -> None:
    affinity = CpuAffinity(timers)
    affinity.start()
    timers.fire_all()
    assert affinity.choose_core() in ALLOWED
    assert len(timers.waiting) == 1


def test_affinity_is_worthwhile_with_the_gil_and_several_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: True, raising=False)
    assert is_worthwhile() == (len(ALLOWED) > 1)
    os.sched_setaffinity(0, {HERE})
    assert not is_worthwhile()
    os.sched_setaffinity(0, ALLOWED)
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)
    assert not is_worthwhile()


def test_a_sample_that_fails_without_a_descriptor_is_repeated(timers: ManualTimers) -> None:
    samples = 0

    def busy() -> dict[int, float]:
        nonlocal samples
        samples += 1
        if samples > 1:
            raise OSError(errno.EMFILE, "too many open files")
        return dict.fromkeys(ALLOWED, 0.0)

    CpuAffinity(timers, busy).start()
    for _ in range(3):
        timers.fire_all()
    assert samples == 4
