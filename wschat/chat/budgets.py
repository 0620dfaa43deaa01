"""Budgets: how many requests of one connection are taken, and how much work they may be, and all those of one address.

Work is counted when it is done (see `costs`), so that a request may take more than is left: what comes after it has to wait then.
"""

from __future__ import annotations

from dataclasses import dataclass

from wschat.chat.moderation import shown_seconds
from wschat.chat.rates import Allowance, Allowances, Rate
from wschat.errors import Rejected


@dataclass(frozen=True)
class Refusal:
    """Why a request is not taken."""

    error: Rejected
    is_news: bool = True


class Budgets:
    """The budgets of a chat. From any thread. Each rate may be None for no limit; those of work are in the units of `costs`."""

    def __init__(self, rate: Rate | None = None, work: Rate | None = None, work_per_address: Rate | None = None) -> None:
        self.rate = rate
        self.work = work
        self._addresses = Allowances(work_per_address) if work_per_address is not None else None

    def begin(self, place: str) -> Budget | None:
        """The budget of a new connection from this place, None if nothing is limited."""
        is_limited = self.rate is not None or self.work is not None or self._addresses is not None
        return Budget(self, place) if is_limited else None

    def check(self, place: str) -> None:
        """Raise Rejected if those at this place have to wait."""
        seconds = self._addresses.seconds_left(place) if self._addresses is not None else 0.0
        if seconds > 0:
            raise _too_much(seconds)

    def spend(self, place: str, cost: float) -> None:
        """Count work that was done for somebody at this place."""
        if self._addresses is not None and cost:
            self._addresses.spend(place, cost)


class Budget:
    """What one connection may still ask for. For the thread that receives."""

    def __init__(self, budgets: Budgets, place: str) -> None:
        self._budgets = budgets
        self._place = place
        self._requests = Allowance(budgets.rate) if budgets.rate is not None else None
        self._work = Allowance(budgets.work) if budgets.work is not None else None

    def take(self) -> Refusal | None:
        """Take one more request, or say why it is not taken."""
        requests, work = self._requests, self._work
        if requests is not None and not requests.take():
            seconds = requests.seconds_left
            text = f"Too fast: at most {self._budgets.rate}. Wait {shown_seconds(seconds)}."
            return Refusal(Rejected("too-fast", text, seconds), is_news=requests.is_news)
        if work is not None and not work.take():
            return Refusal(_too_much(work.seconds_left), is_news=work.is_news)
        try:
            self._budgets.check(self._place)
        except Rejected as error:
            return Refusal(error)
        return None

    def spend(self, cost: float) -> None:
        """Count the work that a request was."""
        if self._work is not None:
            self._work.spend(cost)
        self._budgets.spend(self._place, cost)

    @property
    def is_abused(self) -> bool:
        """Whether far too many requests were refused without a pause."""
        return self._requests is not None and self._requests.is_abused


def _too_much(seconds: float) -> Rejected:
    return Rejected("too-fast", f"Too much was asked for at once. Wait {shown_seconds(seconds)}.", seconds)
