"""The footprint of a process, which the soak compares."""

from __future__ import annotations

import os
import sys
import threading

import pytest

from tests.soak.footprint import Footprint


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_new_threads_and_descriptors_are_counted() -> None:
    before = Footprint.of(os.getpid())
    may_end = threading.Event()
    thread = threading.Thread(target=may_end.wait)
    thread.start()
    reader, writer = os.pipe()
    try:
        after = Footprint.of(os.getpid())
    finally:
        may_end.set()
        thread.join()
        os.close(reader)
        os.close(writer)
    assert (after.threads, after.descriptors) == (before.threads + 1, before.descriptors + 2)
    assert after.megabytes > 1
