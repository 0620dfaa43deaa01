"""The resources that the process uses, as far as the system reports them."""

from __future__ import annotations

import errno
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from wschat.web import process
from wschat.web.process import read_process


def test_memory_and_cpu_time_of_this_process() -> None:
    before = read_process()
    assert before.memory_bytes is not None
    assert before.memory_bytes > 1_000_000
    assert read_process().cpu_seconds >= before.cpu_seconds > 0


def test_threads_are_counted() -> None:
    # In a process of its own: here, threads of other tests may be about to end.
    program = """
import threading
from wschat.web.process import read_process
before = read_process().threads
ends = threading.Event()
for _ in range(10):
    threading.Thread(target=ends.wait).start()
print(read_process().threads - before)
ends.set()
"""
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "10\n"


def test_descriptors_are_counted_where_linux_does(tmp_path: Path) -> None:
    before = read_process().descriptors
    if before is None:
        pytest.skip("only Linux 6.2 and later count them")
    with open(tmp_path / "one", "w"), open(tmp_path / "two", "w"):
        assert read_process().descriptors == before + 2


def test_a_system_without_proc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(process, "_PROC", tmp_path)
    (tmp_path / "fd").touch()  # a directory without a size, as on an older Linux
    found = read_process()
    assert found.threads == threading.active_count()
    assert found.memory_bytes is not None
    assert found.memory_bytes > 1_000_000
    assert found.descriptors is None
    (tmp_path / "fd").unlink()
    assert read_process().descriptors is None


def test_values_that_need_a_descriptor_are_none_without_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path) -> str:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(Path, "read_text", fail)
    found = read_process()
    assert (found.threads, found.memory_bytes) == (None, None)
    assert found.cpu_seconds > 0
