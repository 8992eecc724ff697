"""The alert rules and the dashboard as files: promtool takes them, and they name what there is."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from hookd.metrics.names import METRICS
from tests.e2e.house import ROOT
from tests.e2e.readme import told
from tests.monitoring.prometheus import DASHBOARD, MONITORING, RULE_TESTS, RULES, needs_prometheus

if TYPE_CHECKING:
    from pathlib import Path

ALERTS: list[dict[str, Any]] = [
    rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
]
PANELS: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
#: What prometheus-client adds of the process.
PROCESS = {"process_open_fds", "process_max_fds", "process_cpu_seconds_total", "process_start_time_seconds"}
PROCESS |= {"process_resident_memory_bytes"}


def promtool(*arguments: str | Path) -> str:
    done = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, cwd=MONITORING, check=False)
    told = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, told
    return told


def names_of_metrics() -> set[str]:
    names = set(PROCESS)
    for metric in METRICS:
        names |= {metric.name}
        if metric.kind == "histogram":
            names |= {f"{metric.name}_{part}" for part in ("bucket", "sum", "count")}
    return names


@needs_prometheus
def test_promtool_takes_the_rules() -> None:
    assert f"{len(ALERTS)} rules found" in promtool("check", "rules", RULES.name)


@needs_prometheus
def test_every_alert_fires_when_it_should_and_not_before() -> None:
    promtool(*told("promtool test rules").split()[1:], RULE_TESTS.name)


def test_every_alert_is_tested_both_ways() -> None:
    text = RULE_TESTS.read_text()
    for alert in ALERTS:
        asked = re.findall(rf"alertname=\"{alert['alert']}\", alertstate=\"firing\"}}'\n +exp_samples:(.*)", text)
        assert {"", " []"} <= set(asked), alert["alert"]


def test_every_alert_says_what_to_do_and_how_bad_it_is() -> None:
    for alert in ALERTS:
        assert alert["labels"]["severity"] in {"critical", "warning", "info"}, alert["alert"]
        assert set(alert["annotations"]) == {"summary", "description"}, alert["alert"]


def test_every_alert_is_explained_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    assert not [alert["alert"] for alert in ALERTS if f"`{alert['alert']}`" not in readme]


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_alerts_name_metrics_that_exist(alert: dict[str, Any]) -> None:
    found = set(re.findall(r"\b(?:hookd|process)_[a-z_]+", alert["expr"]))
    assert found <= names_of_metrics()


def test_the_dashboard_names_metrics_that_exist() -> None:
    for panel in PANELS:
        for target in panel.get("targets", ()):
            found = set(re.findall(r"\b(?:hookd|process)_[a-z_]+", target["expr"]))
            assert found, target
            assert found <= names_of_metrics(), target


def test_every_metric_is_looked_at_by_somebody() -> None:
    text = DASHBOARD.read_text() + RULES.read_text()
    unused = {metric.name for metric in METRICS if metric.name not in text}
    assert unused <= {"hookd_config_last_apply_seconds"}


def test_the_panels_do_not_lie_on_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in PANELS:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24, panel["title"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)


@needs_prometheus
def test_prometheus_understands_every_query_of_the_dashboard(tmp_path: Path) -> None:
    queries = [target["expr"] for panel in PANELS for target in panel.get("targets", ())]
    rules = [
        {"record": f"q{number}", "expr": query.replace("$__rate_interval", "1m")}
        for number, query in enumerate(queries)
    ]
    path = tmp_path / "queries.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    promtool("check", "rules", path)
