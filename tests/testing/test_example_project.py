"""A small project that uses the plugin, and the examples of the documentation."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.documents import TESTING

pytest_plugins = ["pytester"]

PROJECT = Path(__file__).parent / "example_project"


def test_the_tests_of_the_example_project_pass(pytester: pytest.Pytester) -> None:
    shutil.copytree(PROJECT, pytester.path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    pytester.syspathinsert()
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-W", "error")
    result.assert_outcomes(passed=7)


def test_the_examples_of_the_documentation_pass(pytester: pytest.Pytester) -> None:
    examples = [example.code for example in TESTING.examples if example.language == "python"]
    pytester.makepyfile(**{f"test_{number}": code for number, code in enumerate(examples)})
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-W", "error")
    result.assert_outcomes(passed=sum(code.count("def test_") for code in examples))


def test_the_transcripts_of_the_documentation_are_what_a_failure_shows(pytester: pytest.Pytester) -> None:
    shown = "".join(TESTING.example("text", containing).code for containing in ("no message within", "connection 1"))
    pytester.makepyfile(TESTING.example("python", "def test_echo").code + "    ws.recv()\n")
    pytester.makeini("[pytest]\nwschat_timeout = 0.1\n")
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    for given, pattern in {"PORT": "*", "0.000": "*", "within 5 s": "within 0.1 s"}.items():
        shown = shown.replace(given, pattern)
    result.stdout.fnmatch_lines(shown.splitlines())
