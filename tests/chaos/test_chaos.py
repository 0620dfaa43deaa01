"""A short chaos test with each kind of failure once. `scripts/chaos` runs a long one with random failures."""

from __future__ import annotations

import sys

import pytest

from tests.chaos.run import faults_in, run
from tests.chaos.server import freeze, kill, refuse, terminate

PING_SECONDS = 1.0


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_no_message_is_lost_or_repeated_while_the_server_fails() -> None:
    faults = [freeze(PING_SECONDS / 4), kill, freeze(2 * PING_SECONDS), terminate, refuse(PING_SECONDS / 2)]
    outcome = run(faults_in(faults, pause=PING_SECONDS / 2), ping_seconds=PING_SECONDS, timeout=2 * PING_SECONDS)
    assert outcome.errors == []
    assert outcome.figures["said"] > 20
    assert outcome.figures["answers"] == outcome.figures["commands"] > 0
    assert outcome.after.threads <= outcome.before.threads
