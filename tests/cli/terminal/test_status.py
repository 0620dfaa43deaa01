"""Texts of the status line."""

from __future__ import annotations

from time import monotonic

import pytest

from wschat.cli.terminal.status import below, latency, seconds_until
from wschat.cli.terminal.transcript import Line, Transcript


@pytest.mark.parametrize(("seconds", "text"), [(0.00034, "0.3 ms"), (0.0125, "12 ms"), (2.5, "2,500 ms")])
def test_a_latency_is_in_milliseconds(seconds: float, text: str) -> None:
    assert latency(seconds) == text


def test_the_next_attempt_is_counted_down() -> None:
    assert seconds_until(None) == seconds_until(monotonic() - 1) == "connecting\u2026"
    assert seconds_until(monotonic() + 0.2) == "reconnecting in 1 s"
    assert seconds_until(monotonic() + 1000) == "reconnecting in 1000 s"


def test_lines_below_the_screen_are_counted() -> None:
    transcript = Transcript()
    for number in range(10):
        transcript.append(Line([("", str(number))]))
    transcript.view(20, 3)
    assert below(transcript) == []
    transcript.scroll(-1)
    assert below(transcript)[0][1] == "\u2193 1 more line  "
    transcript.scroll(-1)
    assert below(transcript)[0][1] == "\u2193 2 more lines  "
