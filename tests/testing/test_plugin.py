"""The plugin in runs of pytest: failures, reports, options, and its imports."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable
from importlib.metadata import entry_points

import pytest

# Imported here, so that not each run imports them.
import wschat.testing.connections
import wschat.testing.servers  # noqa: F401

pytest_plugins = ["pytester"]

ECHO = """
import threading
import unittest
import pytest
import wschat

def echo(ws):
    for message in ws:
        ws.send(message)

def broken(ws):
    raise ZeroDivisionError(ws.recv(timeout=5))
"""

Run = Callable[..., pytest.RunResult]


@pytest.fixture
def run(pytester: pytest.Pytester) -> Run:
    """Run tests, which may use the functions of ECHO, with these arguments for pytest."""

    def run(tests: str, *arguments: str, ini: str = "", in_process: bool = True) -> pytest.RunResult:
        if not any(entry.value == "wschat.testing.plugin" for entry in entry_points(group="pytest11")):
            pytest.fail("pytest does not find the plugin: install the checkout again (scripts/test does)")
        pytester.makeini(f"[pytest]\n{ini}\n")
        pytester.makepyfile(ECHO + textwrap.dedent(tests))
        arguments = ("-p", "no:cacheprovider", *arguments)
        return pytester.runpytest_inprocess(*arguments) if in_process else pytester.runpytest_subprocess(*arguments)

    return run


def test_importing_the_plugin_imports_neither_server_nor_client() -> None:
    program = "import sys, wschat.testing.plugin; print(*sorted(name for name in sys.modules if name.startswith('wschat.')))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["wschat.dependencies", "wschat.testing", "wschat.testing.plugin"]


def test_a_test_passes_if_nothing_fails(run: Run) -> None:
    result = run("""
        def test_echo(wschat_server, ws_connect, ws_pair):
            wschat_server(echo)
            ws = ws_connect()
            ws.send("hello")
            assert ws.recv() == "hello"
            client, server = ws_pair
            client.send("hello")
            assert server.recv() == "hello"
    """)
    result.assert_outcomes(passed=1)


def test_a_failed_handler_fails_the_test_and_is_the_cause_of_its_error(run: Run) -> None:
    result = run("""
        def test_seen(wschat_server, ws_connect):
            wschat_server(broken)
            ws = ws_connect()
            ws.send("seen")
            ws.recv()

        def test_not_seen(wschat_server, ws_connect):
            wschat_server(broken)
            ws = ws_connect()
            ws.send("not seen")
            with pytest.raises(wschat.ConnectionClosed):
                ws.recv()

        def test_late(wschat_server, ws_connect):
            wschat_server(broken)
            ws_connect().send("late")

        def test_popped(wschat_server, ws_connect):
            server = wschat_server(broken)
            ws_connect().send("popped")
            assert str(server.pop_error()) == "popped"
    """)
    outcomes = result.parseoutcomes()
    # The late one fails in the test or after it.
    assert (outcomes.get("failed", 0) + outcomes.get("errors", 0), outcomes["passed"]) in [(3, 1), (3, 2)]
    result.stdout.fnmatch_lines(
        [
            "*_ test_seen _*",
            ">       raise ZeroDivisionError(ws.recv(timeout=5))",
            "E       ZeroDivisionError: seen",
            "The above exception was the direct cause of the following exception:",
            ">       ws.recv()",
            "E*ConnectionClosed: 1011",
            "*_ test_not_seen _*",
            ">       raise ZeroDivisionError(ws.recv(timeout=5))",
            "E       ZeroDivisionError: not seen",
        ]
    )


def test_a_handler_that_does_not_return_is_an_error(run: Run) -> None:
    result = run(
        """
        released = threading.Event()

        def wait(ws):
            ws.send("I wait")
            released.wait(20)

        def test_waiting(wschat_server, ws_connect):
            wschat_server(wait)
            assert ws_connect().recv() == "I wait"

        def test_after_it():
            released.set()
        """,
        ini="wschat_timeout = 0.1",
    )
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["E*AssertionError: a handler of ws://127.0.0.1:* still runs after the server was stopped:", "*in wait"])


def test_a_receive_that_waits_too_long_shows_its_transcript(run: Run) -> None:
    result = run(
        """
        def test_silence(wschat_server, ws_connect):
            wschat_server(echo)
            ws = ws_connect()
            ws.send("hello")
            assert ws.recv() == "hello"
            ws.recv()
        """,
        ini="wschat_timeout = 0.1",
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            ">       ws.recv()",
            "E       AssertionError: no message within 0.1 s",
            "E       the connection to ws://127.0.0.1:*/:",
            "E * s  sent text 'hello'",
            "E * s  received text 'hello'",
        ]
    )


def test_any_other_failure_shows_the_transcripts_the_faults_and_the_seed(run: Run) -> None:
    result = run(
        """
        def test_cut(wschat_server, ws_connect):
            server = wschat_server(echo)
            ws = ws_connect()
            ws.send("hello")
            assert ws.recv() == "hello"
            server.faults.cut(after_bytes=5, way="to_server")
            ws.send("hello again")
            assert ws.recv() == "hello again"
        """,
        "--wschat-seed=123",
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*- wschat -*",
            "repeat the faults with --wschat-seed=123",
            "connection 1 to port *, as its client sees it:",
            "* s  sent GET / HTTP/1.1",
            "* s  received HTTP/1.1 101 *",
            "* s  sent text 'hello'",
            "* s  received text 'hello'",
            "* s  sent text 'hello again'",
            "* s  cut",
        ]
    )


DRAWING = """
    def test_drawn(wschat_server, ws_connect):
        server = wschat_server(lambda ws: list(ws))
        ws = ws_connect(deflate=None)
        server.faults.corrupt(after_bytes=(100, 10_000), way="to_server")
        ws.send(bytes(20_000))
        ws.ping(timeout=5)
        assert 0
"""


def flipped(result: pytest.RunResult) -> str:
    (line,) = [line for line in result.outlines if "flipped" in line]
    return line.partition("flipped")[2]


def test_a_run_is_repeated_by_its_seed(run: Run) -> None:
    first = run(DRAWING)
    seed = first.stdout.str().partition("--wschat-seed=")[2].split()[0]
    assert flipped(run(DRAWING, f"--wschat-seed={seed}")) == flipped(first)
    assert flipped(run(DRAWING, f"--wschat-seed={int(seed) + 1}")) != flipped(first)


def test_the_workers_of_xdist_have_one_seed(run: Run) -> None:
    tests = "".join(f"\ndef test_{number}(wschat_server):\n    assert 0\n" for number in range(4))
    result = run(tests, "--numprocesses=2", in_process=False)
    result.assert_outcomes(failed=4)
    seeds = [line for line in result.outlines if "--wschat-seed=" in line]
    assert len(seeds) == 4
    assert len(set(seeds)) == 1


def test_a_class_of_unittest_uses_the_fixtures(run: Run) -> None:
    result = run("""
        class Test(unittest.TestCase):
            @pytest.fixture(autouse=True)
            def use_fixtures(self, wschat_server, ws_connect):
                self.serve, self.connect = wschat_server, ws_connect

            def test_echo(self):
                self.serve(echo)
                ws = self.connect()
                ws.send("hello")
                self.assertEqual(ws.recv(), "hello")

            def test_broken(self):
                self.serve(broken)
                ws = self.connect()
                ws.send("unittest")
                with self.assertRaises(wschat.ConnectionClosed):
                    ws.recv()
    """)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["E       ZeroDivisionError: unittest"])


@pytest.mark.parametrize(("setting", "waits"), [("0", "None"), ("2.5", "2.5")])
def test_the_deadline_is_an_option(run: Run, setting: str, waits: str) -> None:
    result = run(f"def test_it(ws_pair):\n    assert ws_pair.client.timeout == {waits}", ini=f"wschat_timeout = {setting}")
    result.assert_outcomes(passed=1)


@pytest.mark.parametrize("setting", ["soon", "nan"])
def test_a_deadline_that_is_no_number_is_refused(run: Run, setting: str) -> None:
    result = run("def test_it(ws_pair): pass", ini=f"wschat_timeout = {setting}")
    assert f"wschat_timeout must be a number of seconds, or 0 for no limit, not '{setting}'" in result.stdout.str() + result.stderr.str()


def test_the_fixtures_and_options_are_described(run: Run) -> None:
    fixtures = run("", "--fixtures")
    fixtures.stdout.fnmatch_lines(["wschat_server*", "*Starts servers*", "ws_connect*", "*Opens WebSockets*", "ws_pair*"])
    run("", "--help").stdout.fnmatch_lines(["*--wschat-seed=N*", "*wschat_timeout*"])
