"""A short run of several nodes, with each kind of failure once."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.chaos.nodes import Failing, run


def faults(failing: Failing) -> Iterator[None]:
    """Kill and stop nodes, and kill and freeze Redis, a moment apart."""
    pause, (one, two, three), redis = threading.Event(), failing.nodes, failing.redis
    steps: list[Callable[[], None]] = [
        lambda: one.end(signal.SIGKILL),
        one.start,
        redis.kill,
        redis.start,
        lambda: redis.freeze(1.0),
        lambda: two.end(signal.SIGTERM),
        two.start,
        lambda: three.freeze(1.0),
    ]
    for fault in steps:
        pause.wait(0.7)
        fault()
        yield


@pytest.mark.skipif(sys.platform != "linux", reason="needs signals that suspend a process")
def test_no_message_is_lost_or_repeated_while_nodes_and_redis_fail(tmp_path: Path) -> None:
    errors, number = run(tmp_path, faults, nodes=3, rooms=3, members=5, talkers=2)
    assert errors == []
    assert number > 50
