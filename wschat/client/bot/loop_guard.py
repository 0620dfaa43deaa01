"""Endless exchanges: a bot whose answer makes another bot answer, and so on.

`wschat.v1` does not tell which members are bots, so an exchange is recognised by its speed and its length. A sender who has drawn too many
answers is ignored until it has been quiet for a while. The other bot then has nothing to answer, which ends the exchange.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

logger = logging.getLogger("wschat.bot")

QUIET_SECONDS = 60.0
"""How long an ignored sender must be quiet."""
_REFILL_SECONDS = 10.0  # one more answer each
_QUICK_SECONDS = 1.0  # few people read an answer and send the next message in less
_MAX_QUICK = 8  # messages in a row, each so soon after an answer
_MAX_SENDERS = 10_000  # that are remembered; those that were heard of last


@dataclass
class _Sender:
    answers: float
    """Answers that it may still draw."""
    refilled_at: float
    answered_at: float | None = None
    """When it was answered, unless it has sent a message since."""
    quick: int = 0
    """Its last messages that came at once after an answer."""
    ignored_until: float = 0.0


class LoopGuard:
    """Counts the answers to each sender in each room, and decides who is answered. From any thread.

    A sender may draw `max_answers` at once and one more every ten seconds, and may not send eight messages in a row within a second of an
    answer each. With 0, everyone is admitted.
    """

    def __init__(self, max_answers: int, clock: Callable[[], float] = monotonic) -> None:
        self._max_answers = max_answers
        self._clock = clock
        # Guards the senders and their fields. No other lock is taken while it is held.
        self._lock = threading.Lock()
        self._senders: OrderedDict[tuple[str, str], _Sender] = OrderedDict()

    def is_admitted(self, room: str, sender: str) -> bool:
        """Take note of a message for the bot. Return False if it must be ignored."""
        if not self._max_answers:
            return True
        with self._lock:
            now = self._clock()
            state = self._state(room, sender, now)
            if now < state.ignored_until:
                state.ignored_until = now + QUIET_SECONDS
                return False
            if state.answered_at is not None:
                state.quick = state.quick + 1 if now - state.answered_at < _QUICK_SECONDS else 0
                state.answered_at = None
            if state.answers >= 1 and state.quick < _MAX_QUICK:
                return True
            state.quick = 0
            state.ignored_until = now + QUIET_SECONDS
        logger.warning("%s draws too many answers in %s: ignored until it has been quiet for %g s", sender, room, QUIET_SECONDS)
        return False

    def count_answer(self, room: str, sender: str) -> None:
        """Take note of an answer."""
        with self._lock:
            now = self._clock()
            state = self._state(room, sender, now)
            state.answers -= 1
            state.answered_at = now

    def _state(self, room: str, sender: str, now: float) -> _Sender:
        assert self._lock.locked()
        state = self._senders.setdefault((room, sender), _Sender(self._max_answers, now))
        self._senders.move_to_end((room, sender))
        if len(self._senders) > _MAX_SENDERS:
            self._senders.popitem(last=False)
        state.answers = min(self._max_answers, state.answers + (now - state.refilled_at) / _REFILL_SECONDS)
        state.refilled_at = now
        return state
