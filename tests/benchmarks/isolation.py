"""Whether endpoints that hang delay one that does not."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Final

from tests.benchmarks.load import flood, pace
from tests.benchmarks.running import Bench, Daemon, Receiver
from tests.benchmarks.table import Row, percentiles
from tests.benchmarks.throughput import PLAIN
from tests.benchmarks.traffic import EVENT_TYPE, Source, id_of

if TYPE_CHECKING:
    from tests.benchmarks.running import Running

RATE: Final = 200
#: One event in so many goes to all that hang: 5 a second, so 50 endpoints owe 250 deliveries a second.
SLOW_EVERY: Final = 40
#: What the hung endpoints owe before the measurement begins: more than any window takes.
BACKLOG: Final = 200
#: For how long an event may be missing.
PATIENCE_S: Final = 20.0
SLOW_TYPE: Final = "bench.slow"

_HUNG: Final = """  hung-{number}:
    url: {url}
    events: [{event}]
    allow_networks: [127.0.0.0/8]
"""


def measure_isolation(bench: Bench) -> list[Row]:
    """Time a healthy webhook at 200 events a second: alone, beside 9 that hang, alone, beside 50, alone.

    The hung ones take a connection and never answer, under the default timeout of 15 s; each has a backlog and gets 5
    events a second more. The same producer runs in all five; alone, the slow events go to nobody. Each figure
    is from the write of a line until its request has arrived at the healthy receiver.
    """
    numbers = (0, 9, 0, 50, 0) if not bench.quick else (0, 9, 0)
    measured: list[tuple[int, tuple[float, float, float]]] = []
    with Receiver(times=True) as healthy, Receiver(hang=True) as hanging:
        measured += [(number, _measure_beside(bench, healthy, hanging, number)) for number in numbers]
    alone = [p for number, p in measured if number == 0]
    note = "alone p99 " + ", ".join(f"{p[2]:.1f}" for p in alone) + " ms"
    return [
        Row(
            what=f"healthy p99 beside {number} hung",
            ours=p[2],
            unit="ms",
            beside=statistics.mean(each[2] for each in alone),
            beside_what="alone",
            judged="ratio",
            most=1.5,
            p=p,
            note=note,
        )
        for number, p in measured
        if number
    ]


def _measure_beside(bench: Bench, healthy: Receiver, hanging: Receiver, number: int) -> tuple[float, float, float]:
    config = PLAIN.format(url=healthy.url, event=EVENT_TYPE) + "".join(
        _HUNG.format(number=each, url=hanging.url, event=SLOW_TYPE) for each in range(number)
    )
    source = Source()
    with Daemon(bench.new_folder(), config) as running:
        flood(running.socket, source.lines(500), lambda: running.wait_attempted(500))
        flood(running.socket, source.lines(BACKLOG, SLOW_TYPE))
        time.sleep(bench.count(2, 1))  # the backlog is claimed, and every slot of the hung ones is taken
        healthy.times()
        return percentiles(_waits(bench, running, healthy, source))


def _waits(bench: Bench, running: Running, healthy: Receiver, source: Source) -> list[float]:
    lines: list[bytes] = []
    for _ in range(bench.count(20 * RATE, 2 * RATE) // SLOW_EVERY):
        lines += source.lines(SLOW_EVERY)
        lines += source.lines(1, SLOW_TYPE)
    paced = pace(running.socket, lines, 1 / (RATE + RATE / SLOW_EVERY))
    wanted = [
        (id_of(line), sent) for line, sent in zip(lines, paced.sent, strict=True) if SLOW_TYPE.encode() not in line
    ]
    times = healthy.times()
    end = time.monotonic() + PATIENCE_S
    while len(times) < len(wanted) and time.monotonic() < end:
        time.sleep(0.1)
        times.update(healthy.times())
    now = time.monotonic_ns()  # what has not come by now counts as if it came now
    return [(times.get(event_id, now) - sent) / 1e6 for event_id, sent in wanted]
