"""Sixteen threads use one hub at once; `scripts/soak threads` does that for minutes."""

from __future__ import annotations

from tests.soak.threads import main

SECONDS = 2.0


def test_no_broadcast_is_lost_and_no_message_repeated_or_torn() -> None:
    main(SECONDS)
