"""Texts of the status line that both views have."""

from __future__ import annotations

from time import monotonic

from wschat.cli.terminal.rows import Row
from wschat.cli.terminal.transcript import Transcript


def latency(seconds: float) -> str:
    """Return a latency in milliseconds, with one digit behind the point if it is short."""
    milliseconds = seconds * 1000
    return f"{milliseconds:.1f} ms" if milliseconds < 10 else f"{milliseconds:,.0f} ms"


def seconds_until(time: float | None) -> str:
    """Return what is going on while there is no connection; `time` is when the next attempt begins, as `monotonic` has it."""
    left = 0 if time is None else time - monotonic()
    return "connecting\u2026" if left <= 0 else f"reconnecting in {max(1, round(left))} s"


def below(transcript: Transcript) -> Row:
    """Return how many lines are below those that are shown, empty if the newest are shown."""
    lines = transcript.lines_below
    return [("class:unread", f"\u2193 {lines:,} more line{'' if lines == 1 else 's'}  ")] if transcript.is_scrolled else []
