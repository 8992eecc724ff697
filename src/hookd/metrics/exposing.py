"""The text that a scrape gets, made by prometheus-client of values that were read before.

Rules of this module:

1. Rendering needs nothing but its `Reading`, so it can run in a thread and never touches what the loop is changing.
2. Every sample belongs to a metric of `names`; a metric without samples is left out.
3. The registry is our own: what a library registers globally is nobody's business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder

from hookd.core.counting import Spread
from hookd.metrics.names import METRICS, Metric

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from prometheus_client.core import Metric as Family

#: The values of a metric by those of its labels, in their order.
Values: TypeAlias = "dict[tuple[str, ...], float | Spread]"
Reading: TypeAlias = "dict[Metric, Values]"


class Exposition:
    """Renders readings, one at a time. State: the reading at hand, for prometheus-client's way of asking for it."""

    def __init__(self) -> None:
        self._reading: Mapping[Metric, Values] = {}
        self._registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self._registry)
        GCCollector(registry=self._registry)
        self._registry.register(self)

    def render(self, reading: Reading, accept: str) -> tuple[bytes, str]:
        """Give the text and its media type, as a scraper accepts it (`accept`: its header, or nothing)."""
        encode, media_type = choose_encoder(accept)
        self._reading = reading
        try:
            return encode(self._registry), media_type
        finally:
            self._reading = {}

    def collect(self) -> Iterator[Family]:
        """Give the families of the reading at hand: prometheus-client asks for them."""
        for metric in METRICS:
            values = self._reading.get(metric)
            if values:
                yield _family(metric, values)

    def describe(self) -> Iterator[Family]:
        """Give nothing: names are not claimed beforehand."""
        return iter(())


def _family(metric: Metric, values: Values) -> Family:
    if metric.kind == "histogram":
        spreads = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
        for labels, value in values.items():
            assert isinstance(value, Spread)  # noqa: S101  a histogram's values are spreads
            spreads.add_metric(labels, _buckets(value), value.total)
        return spreads
    make = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = make(metric.name, metric.help, labels=metric.labels)
    for labels, value in values.items():
        assert not isinstance(value, Spread)  # noqa: S101  the same
        family.add_metric(labels, value)
    return family


def _buckets(spread: Spread) -> list[tuple[str, float]]:
    """Give the counts as Prometheus has them: each bucket holds those below it too."""
    total = 0
    buckets: list[tuple[str, float]] = []
    for bound, count in zip((*map(str, spread.bounds), "+Inf"), spread.counts, strict=True):
        total += count
        buckets.append((bound, total))
    return buckets
