"""How long an event takes from its sender to its receiver when the daemon is not busy."""

from __future__ import annotations

from typing import Final

from tests.benchmarks.load import flood, pace
from tests.benchmarks.running import Bench, Daemon, Receiver
from tests.benchmarks.table import Row, percentiles
from tests.benchmarks.throughput import PLAIN
from tests.benchmarks.traffic import EVENT_TYPE, Source, id_of

RATE: Final = 200


def measure_latency(bench: Bench) -> list[Row]:
    """Send 200 events a second, one by one; time each from the write of its line until its request has arrived.

    That is more than "from accepted": judging, storing and the fsync are in it. The reply's own time stands beside,
    for it says how much of that the disk takes.
    """
    source = Source()
    with Receiver(times=True) as receiver:
        config = PLAIN.format(url=receiver.url, event=EVENT_TYPE)
        with Daemon(bench.new_folder(), config) as running:
            flood(running.socket, source.lines(500), lambda: running.wait_attempted(500))
            lines = source.lines(bench.count(3_000, 400))
            cpu = running.cpu_s()
            paced = pace(running.socket, lines, 1 / RATE)
            running.wait_attempted(500 + len(lines))
            cpu = running.cpu_s() - cpu
        times = receiver.times()
    waits = [(times[id_of(line)] - sent) / 1e6 for line, sent in zip(lines, paced.sent, strict=True)]
    p, replies = percentiles(waits), percentiles(paced.waits_ms)
    return [
        Row(what="sent → received at 200/s, p50", ours=p[0], unit="ms", most=5, p=p, cpu_us=cpu / len(lines) * 1e6),
        Row(what="sent → received at 200/s, p99", ours=p[2], unit="ms", most=25),
        Row(what="sent → accepted at 200/s, p50", ours=replies[0], unit="ms", p=replies),
    ]
