"""What a running daemon shows of itself: a real daemon over a real disk, and its reading at scale."""

from __future__ import annotations

import os
import re
import signal
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import trio

from hookd.core.counting import OTHER
from hookd.core.model import WebhookState
from hookd.daemon.gauges import STUCK_S, Gauges, Looked, Watched
from hookd.inlet.counts import EventCounts
from hookd.metrics.names import MOST_WEBHOOKS
from hookd.metrics.tallies import Tallies
from hookd.store.base import Bind, Binding, StoreUnavailable
from hookd.store.memory import MemoryStore
from hookd.store.sqlite import open_sqlite_store
from tests.e2e.house import Daemon, Receiver, write_config
from tests.monitoring.prometheus import fetch, wait_until
from tests.ports import free_port
from tests.store.making import accept_stored, bind, owe

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hookd.store.base import Store

NOW = 1_700_000_000_000


def make_gauges(store: Any, webhooks: list[str], *, held: str = "") -> Gauges:
    """Give gauges of a store and webhooks, with nothing else to say."""
    definitions = {name: SimpleNamespace(active=True, paused=name == held) for name in webhooks}
    limits = SimpleNamespace(concurrency=256, disk_free=1 << 20)
    revision = SimpleNamespace(hash="abc", commit="c0ffee", dirty=True)
    config: Any = SimpleNamespace(
        webhooks=definitions, revision=revision, daemon=SimpleNamespace(limits=limits), event_types={}
    )
    dispatcher: Any = SimpleNamespace(snapshot=lambda: SimpleNamespace(in_flight=3, queued=2, unrecorded=1))
    return Gauges(
        Watched(
            store=store,
            dispatcher=dispatcher,
            events=EventCounts(),
            overflows=lambda: {"w00000": 2},
            tallies=Tallies(webhooks),
            current_config=lambda: config,
            looked=lambda: Looked(refused=True, restart_required=2, applied_at=NOW),
            dropped_lines=lambda: 9,
            now=lambda: NOW + 60_000,
        )
    )


async def read(gauges: Gauges) -> bytes:
    """Give the text of a reading, while the store is being asked as a daemon does it."""
    async with trio.open_nursery() as nursery:
        await nursery.start(gauges.patience.serve)
        body, _ = await gauges.read("")
        nursery.cancel_scope.cancel()
    return body


async def samples(gauges: Gauges) -> dict[str, float]:
    """Give the samples of a reading: name and labels as they stand, and the value."""
    body = await read(gauges)
    lines = [line for line in body.decode().splitlines() if not line.startswith("#")]
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}


async def test_webhooks_stand_as_the_store_says() -> None:
    store = MemoryStore()
    names = ["w00000", "w00001", "w00002", "w00003"]
    await bind(store, *names, "gone", now=NOW, held=["w00003"])
    await accept_stored(store, owe("1", "w00000", "w00003", "gone"), now=NOW)
    await store.record(
        [],
        [
            WebhookState(webhook="w00000", failing_since=NOW + 30_000, failures=3, open_until=NOW, opened=1),
            WebhookState(webhook="w00001", suspended_at=NOW, suspended_cause="gone"),
            WebhookState(webhook="w00002", paused_until=NOW + 90_000),
        ],
        NOW,
    )
    found = await samples(make_gauges(store, names, held="w00003"))
    for name, label, value in (
        ("pending", "w00000", 1),
        ("pending", "w00001", 0),
        ("held", "w00000", 0),
        ("held", "w00003", 1),
        ("oldest_pending_age_seconds", "w00000", 60),
        ("failing_seconds", "w00000", 30),
        ("failing_seconds", "w00001", 0),
        ("breaker_open", "w00000", 1),
        ("suspended", "w00001", 1),
        ("receiver_paused", "w00002", 1),
        ("pending", "gone", 1),
    ):
        assert found[f'hookd_webhook_{name}{{webhook="{label}"}}'] == value, (name, label)
    states = {word: found[f'hookd_webhooks{{state="{word}"}}'] for word in ("ok", "failing", "suspended", "paused")}
    assert states == {"ok": 1, "failing": 1, "suspended": 1, "paused": 1}
    assert found['hookd_webhooks{state="missing"}'] == 1
    assert found['hookd_deliveries_total{result="dead",webhook="w00000"}'] == 2
    assert found["hookd_config_last_reload_successful"] == 0
    assert found["hookd_config_restart_required"] == 2
    assert found["hookd_log_lines_dropped_total"] == 9
    assert found['hookd_config_info{commit="c0ffee",dirty="true",revision="abc"}'] == 1
    assert (found["hookd_attempts_in_flight"], found["hookd_deliveries_in_memory"]) == (3, 2)


async def test_a_store_that_is_gone_leaves_the_rest_to_be_seen() -> None:
    class Gone(MemoryStore):
        async def read(self, *_: object) -> Any:
            raise StoreUnavailable("gone")

    found = await samples(make_gauges(Gone(), ["a"]))
    assert found["hookd_ready"] == 0
    assert found["hookd_store_writer_busy_seconds"] == 0
    # Nobody knows them, and to tell zeros would be to say that all is well.
    assert not [name for name in found if name.startswith(("hookd_store_commit", "hookd_webhook"))]


async def test_a_disk_that_hangs_leaves_the_rest_to_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hookd.control.patience.PATIENCE_S", 0.05)

    class Hanging(MemoryStore):
        asked = 0

        async def read(self, *asked: Any) -> Any:
            self.asked += 1
            with trio.CancelScope(shield=True):  # as a thread cannot be called back
                await answers.wait()
            return await super().read(*asked)

    answers, store = trio.Event(), Hanging()
    await bind(store, "a", now=NOW)
    store.busy_s = lambda: 70.0  # type: ignore[method-assign]  # what the alert looks at
    gauges = make_gauges(store, ["a"])
    async with trio.open_nursery() as nursery:
        await nursery.start(gauges.patience.serve)
        for _ in range(2):
            with trio.fail_after(30):
                text = (await gauges.read(""))[0].decode()
            assert "hookd_store_writer_busy_seconds 70.0" in text
            assert "hookd_webhook_pending" not in text
        assert store.asked == 1  # nobody asks a second time what hangs
        monkeypatch.undo()
        answers.set()
        assert "hookd_webhook_pending" in (await gauges.read(""))[0].decode()
        nursery.cancel_scope.cancel()


async def test_a_question_that_goes_wrong_is_the_scrapes_trouble_alone() -> None:
    class Broken(MemoryStore):
        async def read(self, *_: object) -> Any:
            raise OSError

    gauges = make_gauges(Broken(), ["a"])
    async with trio.open_nursery() as nursery:
        await nursery.start(gauges.patience.serve)
        for _ in range(2):
            with pytest.raises(OSError, match=r"^$"):
                await gauges.read("")
        nursery.cancel_scope.cancel()


async def test_series_are_bounded_and_sums_stay_true(tmp_path: Path) -> None:
    """Ten thousand webhooks: a thousand have series of their own, and the loop goes on meanwhile."""
    names = [f"w{number:05}" for number in range(10_000)]
    async with open_sqlite_store(tmp_path / "state", disk_free=0, ballast=0) as store:
        change = Bind(webhooks={name: Binding(fingerprint="f", rules="r") for name in names})
        while not (await store.revise(change, 5_000, NOW)).done:
            pass
        await accept_stored(store, owe("1", *names[:10], *names[-500:]), now=NOW)
        gauges = make_gauges(store, names)
        await read(gauges)
        stalls, found = await _read_beside_a_ticker(gauges, store)
    series = [name for name in found if name.startswith("hookd_webhook_pending{")]
    assert len(series) == MOST_WEBHOOKS + 1
    assert sum(found[name] for name in series) == 510
    assert found[f'hookd_webhook_pending{{webhook="{OTHER}"}}'] == 500
    assert found[f'hookd_webhook_oldest_pending_age_seconds{{webhook="{OTHER}"}}'] == 60
    assert len(found) < 30_000
    # The median of some runs: other processes want the processor too.
    assert sorted(stalls)[len(stalls) // 2] < 0.05


async def _read_beside_a_ticker(gauges: Gauges, _store: Store) -> tuple[list[float], dict[str, float]]:
    stalls: list[float] = []
    found: dict[str, float] = {}
    for _ in range(7):
        worst = 0.0
        async with trio.open_nursery() as nursery:

            async def tick() -> None:
                nonlocal worst
                while True:
                    before = time.thread_time()
                    await trio.sleep(0.001)
                    # The processor's time of this thread: what others take from the machine is not our stall.
                    worst = max(worst, time.thread_time() - before)

            nursery.start_soon(tick)
            found = await samples(gauges)
            nursery.cancel_scope.cancel()
        stalls.append(worst)
    return stalls, found


def test_a_writer_that_is_stuck_is_ill() -> None:
    store = MemoryStore()
    gauges = make_gauges(store, [])
    assert gauges.ill() is None
    store.busy_s = lambda: STUCK_S + 5  # type: ignore[method-assign]  # as a disk that does not answer
    gauges.say_ready()
    assert gauges.unready() == gauges.ill()  # it takes no events either
    assert gauges.ill() == "the store's writer has been at one batch for 35 s: the disk does not answer"


def test_readiness() -> None:
    gauges = make_gauges(MemoryStore(), [])
    assert gauges.unready() == "starting"
    gauges.say_ready()
    assert gauges.unready() is None
    gauges.say_draining()
    assert gauges.unready() == "draining"


# --------------------------------------------------------------------------- a real daemon


@pytest.fixture
def slow() -> Iterator[Receiver]:
    def answer(_: object) -> int:
        time.sleep(3)
        return 200

    receiver = Receiver(answer)
    yield receiver
    receiver.close()


def with_metrics(folder: Path, webhooks: str) -> tuple[Path, str]:
    """Write a config with /metrics; give it and the URL."""
    port = free_port()
    config = write_config(folder, webhooks)
    config.write_text(config.read_text().replace("daemon:\n", f"daemon:\n  metrics: {{http: '127.0.0.1:{port}'}}\n"))
    return config, f"http://127.0.0.1:{port}"


def test_a_daemon_that_drains_is_well_and_not_ready_and_still_to_be_seen(tmp_path: Path, slow: Receiver) -> None:
    webhook = f"{{url: '{slow.url}', events: ['*'], allow_networks: [127.0.0.0/8]}}"
    config, url = with_metrics(tmp_path, f"webhooks:\n  crm: {webhook}\n")
    daemon = Daemon(config).start()
    try:
        assert fetch(f"{url}/readyz") == (200, "ok\n")
        daemon.send({"type": "a"})
        wait_until(lambda: "hookd_attempts_in_flight 1.0" in fetch(f"{url}/metrics")[1], 20, "the attempt")
        assert daemon.process is not None
        daemon.process.send_signal(signal.SIGTERM)
        daemon.wait_line("daemon.stopping")
        assert fetch(f"{url}/readyz") == (503, "draining\n")
        assert fetch(f"{url}/healthz") == (200, "ok\n")
        wait_until(lambda: "hookd_ready 0.0" in fetch(f"{url}/metrics")[1], 20, "the reading")
        assert daemon.wait() == 0
    finally:
        daemon.close()


def test_what_was_counted_is_what_happened(tmp_path: Path) -> None:
    good, angry = Receiver(), Receiver(lambda _: 500)
    webhook = "{{url: '{}', events: ['*'], allow_networks: [127.0.0.0/8], max_pending: {}, retry: {{schedule: [{}]}}}}"
    webhooks = (
        f"event_types: {{a: {{}}, b: {{require: [tenant]}}}}\nwebhooks:\n"
        f"  good: {webhook.format(good.url, 1000, '')}\n  angry: {webhook.format(angry.url, 3, '1h')}\n"
    )
    config, url = with_metrics(tmp_path, webhooks)
    daemon = Daemon(config).start()
    try:
        daemon.send(*({"type": "a", "id": str(number)} for number in range(10)))
        daemon.send({"type": "a", "id": "1"}, {"type": "a", "id": "1", "data": 1}, {"type": "b"}, {"type": "zzz"}, b"{")
        expected = {
            'hookd_events_total{result="accepted",type="a"}': 10,
            'hookd_events_total{result="duplicate",type="a"}': 1,
            'hookd_events_total{result="id_conflict",type="a"}': 1,
            'hookd_events_total{result="attribute_required",type="b"}': 1,
            f'hookd_events_total{{result="unknown_type",type="{OTHER}"}}': 1,
            f'hookd_events_total{{result="malformed_json",type="{OTHER}"}}': 1,
            'hookd_deliveries_total{result="delivered",webhook="good"}': 10,
            'hookd_deliveries_total{result="dead",webhook="angry"}': 7,  # beyond its max_pending
            'hookd_webhook_pending{webhook="angry"}': 3,
            'hookd_webhook_dead{webhook="angry"}': 7,
        }
        found: dict[str, float] = {}

        def agree() -> bool:
            text = fetch(f"{url}/metrics")[1]
            found.update(
                {name: float(value) for name, value in re.findall(r"^(hookd_\S+) (\S+)$", text, flags=re.MULTILINE)}
            )
            return all(found.get(name) == value for name, value in expected.items())

        wait_until(agree, 20, f"{expected}")
        assert found['hookd_attempts_total{outcome="delivered",webhook="good"}'] == 10
        assert found['hookd_attempt_duration_seconds_count{outcome="delivered"}'] == 10
        assert found["hookd_store_commit_seconds_count"] > 0
        assert found['hookd_store_file_bytes{file="database"}'] > 0
        broken = config.read_text() + "  x: {url: 5}\n"
        config.write_text(broken)
        daemon.wait_line("config.rejected")
        wait_until(lambda: "hookd_config_last_reload_successful 0.0" in fetch(f"{url}/metrics")[1], 20, "the refusal")
        assert 'hookd_config_reloads_total{result="rejected"} 1.0' in fetch(f"{url}/metrics")[1]
    finally:
        daemon.close()
        good.close()
        angry.close()


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    config, url = with_metrics(tmp_path, "webhooks: {}\n")
    first = Daemon(config).start()
    other = tmp_path / "other"
    other.mkdir()
    second = Daemon(other / "hookd.yaml")
    second.config.write_text(config.read_text())
    try:
        assert second.spawn().wait(30) == os.EX_TEMPFAIL
        second.wait()
        assert f"{url.removeprefix('http://')}: this port is taken by another process" in second.stderr.decode()
    finally:
        second.close()
        first.close()
