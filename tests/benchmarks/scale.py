"""What it costs to have many: webhooks that do not match, and deliveries that wait."""

from __future__ import annotations

import statistics
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from tests.benchmarks.load import flood
from tests.benchmarks.running import Daemon, Receiver
from tests.benchmarks.table import Row
from tests.benchmarks.traffic import EVENT_TYPE, Source

if TYPE_CHECKING:
    from pathlib import Path

    from tests.benchmarks.running import Bench, Running

MATCHING: Final = 5
ROUNDS: Final = 3
PER_FILE: Final = 1_000
#: Webhooks that the pending deliveries are spread over.
HUNG: Final = 10

_WEBHOOK: Final = """  {name}:
    url: {url}
    events: {events}
    concurrency: 16
    max_pending: 10000000
    allow_networks: [127.0.0.0/8]
"""


def build_webhooks(url: str, numbers: range, *, prefix: str = "w", matching: int = MATCHING) -> str:
    """Give a `webhooks:` mapping; those below `matching` match `EVENT_TYPE`, half of the others end in a `*`."""
    parts = ["webhooks:\n"]
    for number in numbers:
        events = f"[{EVENT_TYPE}]" if number < matching else f'["other.{number}{".*" if number % 2 else ""}"]'
        parts.append(_WEBHOOK.format(name=f"{prefix}-{number}", url=url, events=events))
    return "".join(parts)


def write_webhooks(folder: Path, url: str, count: int) -> str:
    """Write so many webhooks to included files (one file may have 1 MiB); give the config that includes them."""
    (folder / "hooks.d").mkdir()
    for start in range(0, count, PER_FILE):
        text = build_webhooks(url, range(start, min(count, start + PER_FILE)))
        (folder / "hooks.d" / f"{start:05d}.yaml").write_text(text)
    return "include: [hooks.d/*.yaml]\n"


def measure_routing(bench: Bench) -> list[Row]:
    """Have 5 webhooks match, of 10 and of 10,000: the daemon's CPU for an event with its 5 deliveries.

    Both daemons run at the same time and get their events in turns.
    """
    many = bench.count(10_000, 1_000)
    count = bench.count(2_000, 400)
    costs: dict[int, list[float]] = {10: [], many: []}
    with Receiver() as receiver, ExitStack() as opened:
        sources = {number: Source() for number in costs}
        daemons: dict[int, Running] = {}
        for number in costs:
            folder = bench.new_folder()
            daemon = Daemon(folder, write_webhooks(folder, receiver.url, number))
            daemons[number] = opened.enter_context(daemon)
        for number, running in daemons.items():
            _cost(running, sources[number], 400)
            running.wait_quiet()
        for _ in range(bench.count(ROUNDS, 1)):
            for number, running in daemons.items():
                costs[number].append(_cost(running, sources[number], count))
        ready, resident = daemons[many].ready_s, daemons[many].memory_mib()
        spare = daemons[10].memory_mib()
    few_cost, many_cost = statistics.median(costs[10]), statistics.median(costs[many])
    return [
        Row(
            what=f"event cost with {many:,} webhooks, 5 match",
            ours=many_cost * 1e6,
            unit="µs",
            beside=few_cost * 1e6,
            beside_what="10 webhooks",
            judged="ratio",
            most=1.5,
            cpu_us=many_cost / MATCHING * 1e6,
            resident_mib=resident,
            note=f"CPU each is for a delivery; ready after {ready:.1f} s; with 10 webhooks {spare:.0f} MiB resident",
        )
    ]


def _cost(running: Running, source: Source, count: int) -> float:
    """Give the CPU seconds of an event."""
    seen = running.log.attempted
    before = running.cpu_s()
    flood(running.socket, source.lines(count), lambda: running.wait_attempted(seen + count * MATCHING))
    return (running.cpu_s() - before) / count


def measure_pending(bench: Bench) -> list[Row]:
    """Let 1,000,000 deliveries wait for 10 endpoints that hang: memory while they come and after a restart, start-up.

    The daemon is filled over the socket, ended, and started again on what it finds. Memory after the start is
    taken when it has claimed what fits its windows and attempts it.
    """
    events = bench.count(1_000_000, 20_000) // HUNG
    source = Source()
    folder = bench.new_folder()
    with Receiver(hang=True) as receiver:
        config = build_webhooks(receiver.url, range(HUNG), matching=HUNG)
        with Daemon(folder, config) as running:
            seconds = flood(running.socket, source.lines(events))
            highest, filled = running.memory_mib("VmHWM"), running.memory_mib()
        with Daemon(folder, config) as running:
            time.sleep(bench.count(5, 1))
            resident, ready, status = running.memory_mib(), running.ready_s, running.status()
    assert status["pending"] == events * HUNG, status["pending"]
    size = sum(path.stat().st_size for path in _files(folder)) / (1 << 20)
    what = f"{events * HUNG:,} pending"
    note = f"filled at {events * HUNG / seconds:,.0f} deliveries/s: {filled:.0f} MiB, at most {highest:.0f} MiB"
    return [
        Row(
            what=f"{what}: memory",
            ours=max(resident, filled),
            unit="MiB",
            most=150,
            resident_mib=resident,
            note=f"{note}; after the start {resident:.0f} MiB; {size:,.0f} MiB on disk",
        ),
        Row(what=f"{what}: start to ready", ours=ready, unit="s", most=5),
    ]


def _files(folder: Path) -> list[Path]:
    return [path for path in (folder / "state").rglob("*") if path.is_file()]
