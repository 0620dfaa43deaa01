"""Budgets: how many requests are accepted from one connection, and how much work for it and for all connections of one network.

Work is counted after it is done (see `costs`). So one request may take more than is left, and the next one must wait.
"""

from __future__ import annotations

from dataclasses import dataclass

from wschat.chat.moderation import shown_seconds
from wschat.chat.rates import Allowance, Allowances, Rate
from wschat.errors import Rejected


@dataclass(frozen=True)
class Refusal:
    """Why a request is not accepted."""

    error: Rejected
    """The error for the client."""
    is_news: bool = True
    """False if the client was told before."""


class Budgets:
    """The budgets of a chat. From any thread. A rate of None is no limit; the rates of work are in the unit of `costs`."""

    def __init__(self, rate: Rate | None = None, work: Rate | None = None, work_per_address: Rate | None = None) -> None:
        self.rate = rate
        """What one connection may send."""
        self.work = work
        """What work one connection may cause."""
        self._networks = Allowances(work_per_address) if work_per_address is not None else None

    def for_connection(self, network: str) -> Budget | None:
        """Return the budget of a new connection from this network, None if nothing is limited."""
        is_limited = self.rate is not None or self.work is not None or self._networks is not None
        return Budget(self, network) if is_limited else None

    def check(self, network: str) -> None:
        """Raise Rejected if clients of this network must wait."""
        seconds = self._networks.seconds_left(network) if self._networks is not None else 0.0
        if seconds > 0:
            raise _too_much_work(seconds)

    def spend(self, network: str, cost: float) -> None:
        """Count work for a client of this network."""
        if self._networks is not None and cost:
            self._networks.spend(network, cost)


class Budget:
    """What one connection may still ask for. For the thread that receives."""

    def __init__(self, budgets: Budgets, network: str) -> None:
        self._budgets = budgets
        self._network = network
        self._requests = Allowance(budgets.rate) if budgets.rate is not None else None
        self._work = Allowance(budgets.work) if budgets.work is not None else None

    def count_request(self) -> Refusal | None:
        """Count one request and return None, or return why it is not accepted."""
        requests, work = self._requests, self._work
        if requests is not None and not requests.try_acquire():
            seconds = requests.seconds_left
            text = f"Too fast: at most {self._budgets.rate}. Wait {shown_seconds(seconds)}."
            return Refusal(Rejected("too-fast", text, seconds), is_news=requests.is_news)
        if work is not None and not work.try_acquire():
            return Refusal(_too_much_work(work.seconds_left), is_news=work.is_news)
        try:
            self._budgets.check(self._network)
        except Rejected as error:
            return Refusal(error)
        return None

    def spend(self, cost: float) -> None:
        """Count the work for a request."""
        if self._work is not None:
            self._work.spend(cost)
        self._budgets.spend(self._network, cost)

    @property
    def is_abused(self) -> bool:
        """True if far too many requests were refused without a pause."""
        return self._requests is not None and self._requests.is_abused


def _too_much_work(seconds: float) -> Rejected:
    return Rejected("too-fast", f"Too much work at once. Wait {shown_seconds(seconds)}.", seconds)
