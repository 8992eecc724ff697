"""A real Prometheus with the shipped rules, in a hurry: what takes minutes takes seconds."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MONITORING = Path(__file__).parents[2] / "systemd/monitoring"
RULES = MONITORING / "hookd.rules.yaml"
RULE_TESTS = MONITORING / "hookd.rules.test.yaml"
DASHBOARD = MONITORING / "hookd.dashboard.json"
needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None or shutil.which("promtool") is None,
    reason="needs Debian's package prometheus",
)


def fetch(url: str, accept: str = "*/*") -> tuple[int, str]:
    """Give status and text of what is served at a URL."""
    request = urllib.request.Request(url, headers={"accept": accept})
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def hurried(rules: dict[str, Any]) -> dict[str, Any]:
    """Give the rules with every wait and every window compressed to seconds."""
    for group in rules["groups"]:
        group["interval"] = "1s"
        for rule in group["rules"]:
            rule["expr"] = re.sub(r"\[\d+[mh]\]", "[10s]", rule["expr"])
            if "for" in rule:
                rule["for"] = "2s"
    return rules


class Prometheus:
    """A server that scrapes one target every second."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def ask(self, path: str, **asked: str) -> Any:
        """Give the data of an answer of its API."""
        status, text = fetch(f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(asked)}")
        answer = json.loads(text)
        assert (status, answer["status"]) == (200, "success"), answer
        return answer["data"]

    def firing(self) -> set[tuple[str, str | None]]:
        """Give the alerts that fire: name and webhook."""
        return {
            (alert["labels"]["alertname"], alert["labels"].get("webhook"))
            for alert in self.ask("alerts")["alerts"]
            if alert["state"] == "firing"
        }


def wait_until(true: Callable[[], bool], patience_s: float, what: str) -> None:
    """Ask again and again until it is so."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < patience_s, f"{what}: not within {patience_s} s"
        time.sleep(0.2)


@contextmanager
def run_prometheus(folder: Path, target: str) -> Iterator[Prometheus]:
    """Run one with the shipped rules, in a hurry, over a target's /metrics."""
    (folder / "rules.yaml").write_text(yaml.safe_dump(hurried(yaml.safe_load(RULES.read_text()))))
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yaml"],
        "scrape_configs": [{"job_name": "hookd", "static_configs": [{"targets": [target]}]}],
    }
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
    port = free_port()
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={folder / 'prometheus.yaml'}",
                f"--storage.tsdb.path={folder / 'tsdb'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
        )
    server = Prometheus(port)

    def ready() -> bool:
        assert process.poll() is None, (folder / "prometheus.log").read_text()
        with suppress(OSError):
            return fetch(f"{server.url}/-/ready")[0] == 200
        return False

    try:
        wait_until(ready, 60, "Prometheus")
        yield server
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
