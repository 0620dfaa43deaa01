"""The targets of the fuzzer with its corpus, and the fuzzer itself."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from tests.documents import ROOT
from tests.fuzz.targets import CORPUS, TARGETS

INPUTS = [(target, path) for target in TARGETS for path in sorted((CORPUS / target).iterdir())]


@pytest.mark.parametrize(("target", "path"), INPUTS, ids=[f"{target}-{path.name}" for target, path in INPUTS])
def test_no_target_fails_with_the_corpus(target: str, path: Path) -> None:
    TARGETS[target](path.read_bytes())


@pytest.mark.atheris
@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="needs atheris, which pip has for Linux and CPython 3.10 to 3.13")
@pytest.mark.parametrize("target", TARGETS)
def test_the_fuzzer_finds_nothing_in_a_few_seconds(target: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", target, "3"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "stat::number_of_executed_units" in done.stderr
