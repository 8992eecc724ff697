"""The text of a scrape, read back by prometheus-client's own parsers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from hookd.core.counting import Spread
from hookd.metrics import names
from hookd.metrics.exposing import Exposition

if TYPE_CHECKING:
    from hookd.metrics.exposing import Reading

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def reading() -> Reading:
    spread = Spread(names.LAG_BOUNDS)
    for value in (0.0001, 0.02, 0.02, 7.0):
        spread.add(value)
    return {
        names.READY: {(): 1},
        names.EVENTS: {("a.b", "accepted"): 3, ('odd "type"\n\\', "schema_invalid"): 1},
        names.LOOP_LAG: {(): spread},
        names.PENDING: {},
    }


@pytest.mark.parametrize(("accept", "parse"), [("", parse_text), (OPENMETRICS, parse_openmetrics)])
def test_what_is_given_is_what_is_read(accept: str, parse: object) -> None:
    body, media_type = Exposition().render(reading(), accept)
    assert ("openmetrics" in media_type) is bool(accept)
    assert callable(parse)
    samples = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in parse(body.decode())
        for sample in family.samples
    }
    assert samples["hookd_ready", ()] == 1
    assert samples["hookd_events_total", (("result", "accepted"), ("type", "a.b"))] == 3
    assert samples["hookd_events_total", (("result", "schema_invalid"), ("type", 'odd "type"\n\\'))] == 1
    buckets = [value for (name, _), value in samples.items() if name == "hookd_loop_lag_seconds_bucket"]
    assert buckets == sorted(buckets)
    assert (buckets[0], buckets[-1]) == (1, 4)
    assert samples["hookd_loop_lag_seconds_sum", ()] == pytest.approx(7.0401)
    assert any(name.startswith("process_") for name, _ in samples)
    assert not any(name.startswith("hookd_webhook_pending") for name, _ in samples)


def test_one_rendering_leaves_nothing_for_the_next() -> None:
    exposition = Exposition()
    exposition.render(reading(), "")
    body, _ = exposition.render({}, "")
    assert b"hookd_" not in body


def test_names_and_labels_are_as_prometheus_has_them() -> None:
    assert len({metric.name for metric in names.METRICS}) == len(names.METRICS)
    for metric in names.METRICS:
        assert re.fullmatch(r"hookd_[a-z]+(_[a-z]+)*", metric.name)
        assert (metric.kind == "counter") == metric.name.endswith("_total")
        assert metric.help.endswith(".")
        for label in metric.labels:
            assert re.fullmatch(r"[a-z]+", label)
            assert label not in {"tenant", "url", "id", "event"}
