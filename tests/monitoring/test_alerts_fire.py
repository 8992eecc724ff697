"""A real Prometheus scrapes a real hookd: what goes wrong fires within a minute, and what is shown exists."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.house import Daemon, Receiver, write_config
from tests.monitoring.prometheus import DASHBOARD, fetch, needs_prometheus, run_prometheus, wait_until
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.monitoring.prometheus import Prometheus

#: What it may take until an alert fires, with every wait of the rules compressed to seconds.
WITHIN_S = 60.0

pytestmark = [needs_prometheus, pytest.mark.slow]


class Scene:
    """A daemon, its receivers, and who watches."""

    def __init__(self, daemon: Daemon, server: Prometheus, metrics: str) -> None:
        self.daemon = daemon
        self.server = server
        self.metrics = metrics


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("scene")
    with ExitStack() as opened:
        good, gone, angry = Receiver(), Receiver(lambda _: 410), Receiver(lambda _: 500)
        for receiver in (good, gone, angry):
            opened.callback(receiver.close)
        hung = opened.enter_context(socket.create_server(("127.0.0.1", 0)))  # nobody ever accepts
        port = free_port()
        config = write_config(folder, _webhooks(good.port, gone.port, angry.port, hung.getsockname()[1]))
        config.write_text(
            config.read_text().replace("daemon:\n", f"daemon:\n  metrics: {{http: '127.0.0.1:{port}'}}\n")
        )
        daemon = Daemon(config)
        opened.callback(daemon.close)
        daemon.start()
        server = opened.enter_context(run_prometheus(folder, f"127.0.0.1:{port}"))
        # A count is seen to rise only by whoever saw it before.
        wait_until(lambda: bool(server.ask("query", query="hookd_ready == 1")["result"]), 30, "the first scrape")
        daemon.send(*({"type": "a.b", "id": str(number)} for number in range(3)), {"type": "a.x"})
        yield Scene(daemon, server, f"http://127.0.0.1:{port}")


def _webhooks(good: int, gone: int, angry: int, hung: int) -> str:
    def webhook(port: int, more: str) -> str:
        return f"{{url: 'http://127.0.0.1:{port}/', events: ['a.*'], allow_networks: [127.0.0.0/8], {more}}}"

    return (
        "event_types: {a.b: {}}\nwebhooks:\n"
        f"  good: {webhook(good, 'timeout: 10s')}\n"
        f"  gone: {webhook(gone, 'timeout: 10s')}\n"
        f"  angry: {webhook(angry, 'retry: {schedule: []}')}\n"
        f"  hung: {webhook(hung, 'timeout: 1s, retry: {schedule: [1s, 1s, 1s, 1h]}')}\n"
    )


def test_a_hung_endpoint_a_suspended_webhook_and_given_up_deliveries_fire(scene: Scene) -> None:
    wanted = {
        ("HookdWebhookFailing", "hung"),
        ("HookdWebhookSuspended", "gone"),
        ("HookdDeliveriesDying", "angry"),
    }
    seen: set[tuple[str, str | None]] = set()

    def all_seen() -> bool:
        seen.update(scene.server.firing())
        return wanted <= seen

    wait_until(all_seen, WITHIN_S, f"{wanted} of {seen}")
    assert not {alert for alert in seen if alert[1] == "good"}
    assert ("HookdWebhookFailing", "gone") not in scene.server.firing()


def test_a_refused_config_fires_and_a_mended_one_ends_it(scene: Scene) -> None:
    config = scene.daemon.config
    before = config.read_text()
    config.write_text(before + "  broken: {url: 5}\n")
    alert = ("HookdConfigRejected", None)
    wait_until(lambda: alert in scene.server.firing(), WITHIN_S, "the rejected config")
    config.write_text(before)
    wait_until(lambda: alert not in scene.server.firing(), WITHIN_S, "the mended config")


def test_every_query_of_the_dashboard_is_answered_and_its_metrics_exist(scene: Scene) -> None:
    known = set(scene.server.ask("label/__name__/values"))
    for query in dashboard_queries(json.loads(DASHBOARD.read_text())):
        names = set(re.findall(r"\b(?:hookd|process)_[a-z_]+", query))
        assert names, query
        assert names <= known, (query, names - known)
        filled = query.replace("$__rate_interval", "30s").replace("$job", ".*").replace("$instance", ".*")
        scene.server.ask("query", query=filled.replace("$webhook", ".*"))


def dashboard_queries(dashboard: dict[str, Any]) -> list[str]:
    panels = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    return panels + [note["expr"] for note in dashboard["annotations"]["list"]]


@pytest.mark.parametrize(
    "accept", ["", "text/plain;version=0.0.4", "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"]
)
def test_promtool_finds_nothing_wrong_with_the_metrics(scene: Scene, accept: str) -> None:
    status, text = fetch(f"{scene.metrics}/metrics", accept)
    assert status == 200
    if "openmetrics" in accept:
        assert text.endswith("# EOF\n")
        return
    checked = subprocess.run(["promtool", "check", "metrics"], input=text.encode(), capture_output=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


def test_health_and_readiness_are_told(scene: Scene) -> None:
    assert fetch(f"{scene.metrics}/healthz") == (200, "ok\n")
    assert fetch(f"{scene.metrics}/readyz") == (200, "ok\n")
    assert fetch(f"{scene.metrics}/nowhere")[0] == 404


def test_nothing_of_an_event_is_to_be_seen(scene: Scene) -> None:
    scene.daemon.send({"type": "CANARY.type", "id": "CANARY-id", "tenant": "CANARY-tenant", "data": {"x": "CANARY"}})
    wait_until(lambda: "unknown_type" in fetch(f"{scene.metrics}/metrics")[1], 10, "the refusal")
    assert "CANARY" not in fetch(f"{scene.metrics}/metrics")[1]
