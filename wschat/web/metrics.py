"""Metrics for Prometheus. prometheus-client is imported when the metrics are first requested."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Any

from wschat.counters import FAN_OUT_BOUNDS, Eviction, Load, by_label, counters
from wschat.errors import UsageError
from wschat.web.process import read_process


class Metrics:
    """The metrics at /metrics. Thread-safe. `read_load` returns the open connections of a server.

    Raises UsageError if prometheus-client is not installed.
    """

    def __init__(self, read_load: Callable[[], Load]) -> None:
        prometheus = _import_prometheus()
        self._choose_encoder = prometheus.exposition.choose_encoder
        self._registry = prometheus.CollectorRegistry()
        self._registry.register(_Collector(prometheus.core, read_load))
        prometheus.ProcessCollector(registry=self._registry)

    def render(self, accept: str = "") -> tuple[str, bytes]:
        """Return the content type and the text of all metrics, in the format that an `Accept` header prefers."""
        encode, content_type = self._choose_encoder(accept)
        return content_type, encode(self._registry)


class _Collector:
    """A prometheus-client collector, which its registry calls for each request."""

    def __init__(self, core: Any, read_load: Callable[[], Load]) -> None:
        self._core = core
        self._read_load = read_load

    def collect(self) -> Iterator[Any]:
        """Return all metrics."""
        yield from self._gauges()
        yield from self._counters()

    def _gauges(self) -> Iterator[Any]:
        load = self._read_load()
        gauge = self._core.GaugeMetricFamily
        info = gauge("wschat_info", "The version of wschat; the value is always 1.", labels=["version"])
        info.add_metric([importlib.metadata.version("wschat")], 1)
        yield info
        connections = gauge("wschat_connections", "Open connections.", labels=["kind"])
        for kind, number in load.connections.items():
            connections.add_metric([kind], number)
        yield connections
        yield gauge("wschat_outbox_bytes", "Bytes waiting to be sent to slow peers.", load.waiting_bytes)
        threads = read_process().threads
        if threads is not None:
            yield gauge("wschat_threads", "Threads of the process.", threads)

    def _counters(self) -> Iterator[Any]:
        counts = counters.read()
        counter = self._core.CounterMetricFamily
        yield counter("wschat_connections_opened", "WebSockets and event streams opened.", counts.opened)
        yield counter("wschat_connections_closed", "WebSockets and event streams closed.", counts.closed)
        yield counter("wschat_messages", "Messages posted in rooms.", counts.messages)
        yield counter("wschat_deliveries", "Messages broadcast by hubs, once for each member.", counts.deliveries)
        never = dict.fromkeys(Eviction, 0)  # a rate cannot see the first event of a counter that did not exist before
        for name, text, numbers in (
            ("wschat_evictions", "Slow peers that were evicted.", by_label(never | counts.evictions)),
            ("wschat_refusals", "Requests refused.", by_label(counts.refusals)),
        ):
            family = counter(name, text, labels=["reason"])
            for reason, number in numbers.items():
                family.add_metric([reason], number)
            yield family
        bounds = [*map(str, FAN_OUT_BOUNDS), "+Inf"]
        fan_out = self._core.HistogramMetricFamily("wschat_fanout_seconds", "Time from a broadcast to its last member.")
        fan_out.add_metric([], list(zip(bounds, accumulate(counts.fan_outs), strict=True)), counts.fan_out_seconds)
        yield fan_out


def _import_prometheus() -> Any:
    try:
        import prometheus_client.core
        import prometheus_client.exposition
    except ImportError:
        raise UsageError("metrics need prometheus-client: pip install 'wschat[metrics]'") from None
    return prometheus_client
