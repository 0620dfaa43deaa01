"""The contract suite: each module tests one part of the contract of brokers, with all brokers that have this part.

To test a broker with it, add the broker to `BROKERS`. To run one part with one broker:

    pytest tests/brokers/contract/test_log.py -k toy
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import NamedTuple

import pytest

from wschat.brokers.base import Broker, Retention
from wschat.brokers.opening import open_broker

PARTS = {"forgetting", "log", "presence", "retention", "rules", "subscriptions", "topics"}


class Candidate(NamedTuple):
    """A broker under test."""

    url: str
    """For `open_broker`. `{folder}` is an empty folder, `{number}` differs for each broker of a test, `{redis}` is the URL of a server."""
    parts: set[str]


BROKERS = {
    "memory": Candidate("memory", PARTS),
    "sqlite": Candidate("sqlite:{folder}/{number}.db", PARTS),
    "redis": Candidate("{redis}?prefix={folder}/{number}:", PARTS - {"forgetting"}),  # by the clock of Redis, which is not that of a test
    "toy": Candidate("tests.brokers.toy:ToyBroker", PARTS - {"forgetting", "retention"}),
}

BrokerFactory = Callable[..., Broker]
"""Makes an empty broker, which the caller closes. May be given a retention."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "make_broker" in metafunc.fixturenames:
        part = metafunc.module.__name__.rpartition(".test_")[2]
        metafunc.parametrize("make_broker", [name for name, candidate in BROKERS.items() if part in candidate.parts], indirect=True)


@pytest.fixture
def make_broker(request: pytest.FixtureRequest, tmp_path: Path) -> BrokerFactory:
    numbers = count()

    url = BROKERS[request.param].url
    redis = request.getfixturevalue("redis_server").url if "{redis}" in url else ""

    def make(retention: Retention | None = None) -> Broker:
        return open_broker(url.format(folder=tmp_path, number=next(numbers), redis=redis), retention)

    return make


@pytest.fixture
def broker(make_broker: BrokerFactory) -> Iterator[Broker]:
    with closing(make_broker()) as made:
        yield made
