"""Metrics in the formats of Prometheus."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Mapping
from http import HTTPStatus

import prometheus_client.openmetrics.parser as openmetrics
import pytest
from prometheus_client.parser import text_string_to_metric_families

from wschat.counters import FAN_OUT_BOUNDS, Eviction, Load, Refusal, counters
from wschat.errors import UsageError
from wschat.web import metrics
from wschat.web.metrics import Metrics
from wschat.web.process import Process

LOAD = Load({"websocket": 5, "events": 2, "http": 1}, 1234)


def read(made: Metrics) -> dict[tuple[str, ...], float]:
    """Return all samples by their names and label values."""
    _, text = made.render()
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_gauges_show_the_current_load() -> None:
    samples = read(Metrics(lambda: LOAD))
    assert {kind: samples["wschat_connections", kind] for kind in LOAD.connections} == LOAD.connections
    assert samples["wschat_outbox_bytes",] == 1234
    assert samples["wschat_threads",] >= 1


def test_the_version_is_a_label() -> None:
    assert read(Metrics(lambda: LOAD))["wschat_info", importlib.metadata.version("wschat")] == 1


def test_counters_show_what_was_counted() -> None:
    made = Metrics(lambda: LOAD)
    before = read(made)
    counters.count_messages(3)
    counters.count_fan_out(30, [0.001, 0.003, 100.0])
    counters.count_opened()
    counters.count_closed()
    counters.count_eviction(Eviction.TOO_OLD)
    counters.count_refusal(HTTPStatus.NOT_FOUND)
    counters.count_refusal(Refusal.TOO_MANY_CONNECTIONS)
    after = read(made)
    grown = {key: value - before.get(key, 0) for key, value in after.items() if key[0].startswith("wschat_") and value != before.get(key)}
    buckets = {key[1]: grown.pop(key) for key in list(grown) if key[0] == "wschat_fanout_seconds_bucket"}
    assert grown == {
        ("wschat_messages_total",): 3,
        ("wschat_deliveries_total",): 30,
        ("wschat_connections_opened_total",): 1,
        ("wschat_connections_closed_total",): 1,
        ("wschat_evictions_total", "too old"): 1,
        ("wschat_refusals_total", "404"): 1,
        ("wschat_refusals_total", "too many connections"): 1,
        ("wschat_fanout_seconds_count",): 3,
        ("wschat_fanout_seconds_sum",): pytest.approx(100.004),
    }
    assert buckets == {"+Inf": 3} | {str(bound): 1 if bound < 0.003 else 2 for bound in FAN_OUT_BOUNDS if bound >= 0.001}


def test_every_reason_of_an_eviction_is_present_from_the_start() -> None:
    reasons = {key[1] for key in read(Metrics(lambda: LOAD)) if key[0] == "wschat_evictions_total"}
    assert reasons == {"outbox full", "too old", "send timeout"}


def types_of(text: str) -> Mapping[str, str]:
    return {family.name: family.type for family in text_string_to_metric_families(text)}


def test_the_types_of_metrics_and_those_of_the_process() -> None:
    content_type, text = Metrics(lambda: LOAD).render("*/*")
    assert content_type.startswith("text/plain;")
    types = types_of(text.decode())
    assert (types["wschat_connections"], types["wschat_messages"], types["wschat_fanout_seconds"]) == ("gauge", "counter", "histogram")
    if sys.platform == "linux":
        assert types["process_resident_memory_bytes"] == "gauge"


def test_a_client_that_accepts_openmetrics_gets_it() -> None:
    content_type, text = Metrics(lambda: LOAD).render("application/openmetrics-text; version=1.0.0, text/plain;q=0.5")
    assert content_type.startswith("application/openmetrics-text;")
    assert {"wschat_connections", "wschat_fanout_seconds"} <= {
        family.name
        for family in openmetrics.text_string_to_metric_families(text.decode())  # type: ignore[no-untyped-call]
    }


def test_an_unknown_value_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "read_process", lambda: Process(None, None, None, 1.0))
    assert ("wschat_threads",) not in read(Metrics(lambda: LOAD))


def test_the_error_without_prometheus_client_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client.core", None)
    with pytest.raises(UsageError, match=r"pip install 'wschat\[metrics\]'"):
        Metrics(lambda: LOAD)
