"""The dashboard: regular samples, and a page without external files."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from html.parser import HTMLParser
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from tests.concurrency import eventually
from wschat.counters import Counters, Counts, Eviction, Load
from wschat.web import dashboard
from wschat.web.dashboard import Samples, _Reading, _sample
from wschat.web.process import Process

LOAD = Load({"websocket": 5, "events": 0, "http": 1}, 1234)
STATIC = Path(dashboard.__file__).parent / "static"


@pytest.fixture
def samples(monkeypatch: pytest.MonkeyPatch) -> Iterator[Samples]:
    """Samples that are taken a hundred times as often."""
    monkeypatch.setattr(dashboard, "SECONDS", 0.02)
    with contextlib.closing(Samples(lambda: LOAD)) as made:
        yield made


def poll(samples: Samples, number: int = 0) -> Any:
    """Return the data that the page gets."""
    return json.loads(json.dumps(samples.since(number)))


def test_there_are_no_samples_at_first() -> None:
    with contextlib.closing(Samples(lambda: LOAD)) as samples:
        answer = poll(samples)
        assert answer["samples"] == []
        assert (answer["seconds"], answer["kept"]) == (2.0, 150)


def test_samples_are_taken_regularly_and_each_is_returned_once(samples: Samples) -> None:
    first = poll(samples)
    eventually(lambda: poll(samples)["next"] >= first["next"] + 3)
    second = poll(samples, first["next"])
    assert len(second["samples"]) == second["next"] - first["next"]
    eventually(lambda: poll(samples)["next"] > second["next"])
    third = poll(samples, second["next"])
    times = [sample["time"] for sample in second["samples"] + third["samples"]]
    assert times == sorted(times)
    sample = third["samples"][-1]
    assert (sample["connections"], sample["outbox_bytes"]) == (LOAD.connections, 1234)
    assert sample["threads"] >= 1


def test_a_limited_number_of_samples_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dashboard, "SECONDS", 0.001)
    monkeypatch.setattr(dashboard, "KEPT", 3)
    with contextlib.closing(Samples(lambda: LOAD)) as samples:
        first = poll(samples)["next"]
        eventually(lambda: poll(samples)["next"] > first + 4)
        assert len(poll(samples)["samples"]) == 3
        assert len(poll(samples, first + 1)["samples"]) == 3


@pytest.mark.parametrize("number", [-1, 0, 1 << 40])
def test_an_unknown_number_gets_all_samples(samples: Samples, number: int) -> None:
    eventually(lambda: poll(samples)["samples"])
    assert poll(samples, number)["samples"]


def test_the_numbers_are_larger_after_a_restart(samples: Samples, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a page that goes on polling does not mistake new samples for old ones."""
    hours = 3600
    monkeypatch.setattr(dashboard, "time", lambda: 1_800_000_000.0)
    with contextlib.closing(Samples(lambda: LOAD)) as before:
        last = poll(before)["next"] + hours // 2
    monkeypatch.setattr(dashboard, "time", lambda: 1_800_000_000.0 + hours)
    with contextlib.closing(Samples(lambda: LOAD)) as after:
        assert poll(after)["next"] > last


def test_no_sample_is_taken_after_close(samples: Samples) -> None:
    eventually(lambda: poll(samples)["samples"])
    samples.close()
    samples.close()
    before = poll(samples)
    samples._add_sample()  # as the timers' thread may be about to do
    assert poll(samples) == before


def reading(at: float, counts: Counts, cpu_seconds: float) -> _Reading:
    made = _Reading()
    made.at, made.counts, made.process = at, counts, Process(10, 1 << 20, 20, cpu_seconds)
    return made


def test_counts_are_converted_to_rates_per_second() -> None:
    counters = Counters()
    counters.count_messages(1000)
    counters.count_fan_out(5000, [8.0] * 1000)
    counters.count_refusal(HTTPStatus.NOT_FOUND)
    before = reading(10.0, counters.read(), 7.0)
    counters.count_messages(50)
    counters.count_fan_out(300, [0.0015] * 98 + [0.3] * 2)
    counters.count_eviction(Eviction.TOO_OLD)
    counters.count_refusal(HTTPStatus.SERVICE_UNAVAILABLE)
    sample = _sample(before, reading(14.0, counters.read(), 9.0), LOAD)
    assert (sample["messages"], sample["deliveries"], sample["cpu"]) == (12.5, 75.0, 0.5)
    assert (sample["evictions"], sample["refusals"]) == ({"too old": 1}, {"503": 1})
    assert (sample["threads"], sample["memory_bytes"], sample["descriptors"]) == (10, 1 << 20, 20)
    assert sample["fan_out_p50"] == pytest.approx(0.0015, rel=0.5)
    assert sample["fan_out_p99"] == pytest.approx(0.3, rel=0.5)


def test_without_messages_there_are_no_fan_out_times() -> None:
    sample = _sample(reading(1.0, Counts(), 1.0), reading(3.0, Counts(), 1.0), LOAD)
    assert (sample["fan_out_p50"], sample["fan_out_p99"], sample["messages"]) == (None, None, 0.0)


class _Page(HTMLParser):
    """The references of a page, and what a strict Content-Security-Policy forbids in it."""

    def __init__(self) -> None:
        super().__init__()
        self.references: list[str] = []
        self.forbidden: list[str] = []
        self._tag = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self._tag = tag
        self.references += [value for name, value in attributes if name in ("src", "href") and value]
        self.forbidden += [f"{tag} {name}" for name, _ in attributes if name == "style" or name.startswith("on")]

    def handle_endtag(self, tag: str) -> None:
        self._tag = ""

    def handle_data(self, data: str) -> None:
        if self._tag in ("script", "style") and data.strip():
            self.forbidden.append(self._tag)


def test_the_page_needs_only_its_own_files() -> None:
    page = _Page()
    page.feed((STATIC / "stats.html").read_text())
    assert page.forbidden == []
    files = [reference for reference in page.references if reference.startswith("static/")]
    assert {Path(file).suffix for file in files} >= {".css", ".js"}
    for file in files:
        assert (STATIC.parent / file).is_file()
    assert all("//" not in reference and not reference.startswith("/") for reference in page.references)


def test_the_page_is_small() -> None:
    assert sum(path.stat().st_size for path in (STATIC / "stats.html", *(STATIC / "stats").iterdir())) < 30_000
