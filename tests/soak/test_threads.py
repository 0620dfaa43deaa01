"""Sixteen threads that use one hub at once lose, repeat and tear no message; `scripts/soak threads` does that for minutes."""

from __future__ import annotations

from tests.soak.threads import main

SECONDS = 2.0


def test_no_message_is_lost_repeated_or_torn() -> None:
    main(SECONDS)
