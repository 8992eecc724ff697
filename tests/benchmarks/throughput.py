"""How many events a second: end to end, and in by each way.

Machines are noisy, so what is compared is measured in turns (ceiling, ours, ceiling, …), and medians are told.
"""

from __future__ import annotations

import base64
import json
import os
import statistics
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from tests.benchmarks.ceilings import measure_client, measure_commit, measure_loop
from tests.benchmarks.load import build_post, flood, post_all
from tests.benchmarks.running import Daemon, Receiver
from tests.benchmarks.table import Row
from tests.benchmarks.traffic import EVENT_TYPE, Source, build_body

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.benchmarks.running import Bench, Running

ROUNDS: Final = 3
HTTP_CONNECTIONS: Final = 32
BATCH_CONNECTIONS: Final = 4
BATCH: Final = 100

PLAIN: Final = """webhooks:
  one:
    url: {url}
    events: [{event}]
    concurrency: 64
    allow_networks: [127.0.0.0/8]
"""
PAUSED: Final = f"""webhooks:
  one:
    url: http://127.0.0.1:9/hook
    events: [{EVENT_TYPE}]
    paused: true
    max_pending: 10000000
    allow_networks: [127.0.0.0/8]
"""
PRODUCTION: Final = """event_types:
  {event}: {{schema: user.json}}
webhooks:
  one:
    url: {url}
    events: ["bench.*"]
    filter:
      data.country: [NL, BE]
      data.amount: {{gte: 100}}
      any: [{{data.vip: true}}, {{data.tags: {{contains: gold}}}}]
    body:
      template: {{action: $(type), at: $(time), who: "user $(data.id)", city: $(data.address.city?), "...": $(data)}}
    headers: {{X-Team: crm}}
    sign: {{scheme: standard, secrets: [{{file: secret}}]}}
    concurrency: 64
    allow_networks: [127.0.0.0/8]
"""
SCHEMA: Final = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["id", "entity_type", "action"],
    "properties": {
        "id": {"type": "string", "pattern": "^[0-9]{12}$"},
        "entity_type": {"enum": ["user", "company"]},
        "action": {"enum": ["new", "updated", "deleted"]},
        "country": {"type": "string", "minLength": 2, "maxLength": 2},
        "amount": {"type": "number", "minimum": 0},
        "companies": {"type": "array", "items": {"type": "integer"}},
        "address": {"type": "object", "properties": {"street": {"type": "string"}, "number": {"type": "integer"}}},
    },
}


def _deliver(running: Running, source: Source, count: int) -> tuple[float, float]:
    """Have events sent and delivered; give the events per second and the daemon's CPU seconds for one.

    The rate counts from the first byte sent until the last attempt is in the log, where it comes when it is on disk.
    """
    lines = source.lines(count)
    seen = running.log.attempted
    cpu = running.cpu_s()
    seconds = flood(running.socket, lines, lambda: running.wait_attempted(seen + count))
    return count / seconds, (running.cpu_s() - cpu) / count


def _check_delivered(running: Running, receiver: Receiver, count: int, received: int) -> None:
    """See that all arrived, and that the store says so too."""
    status = running.status()
    assert (status["delivered"], status["pending"], status["dead"]) == (count, 0, 0), status
    assert receiver.count() - received >= count


def measure_end_to_end(bench: Bench) -> list[Row]:
    """Measure socket → fsync → delivered → recorded → logged: one webhook, 64 at a time, bodies of 500 bytes.

    Beside it, in the same rounds and to the same receiver, the same bytes by a bare loop of trio and httptools over 64
    connections, and by a plain shared `httpx.AsyncClient`. The events are sent as fast as they are taken, so most
    go by way of the store: that is what a busy daemon does.
    """
    count = bench.count(20_000, 2_000)
    body = build_body("0" * 12)
    source = Source()
    loops: list[float] = []
    clients: list[float] = []
    loop_cpu: list[float] = []
    ours: list[float] = []
    ratios: list[float] = []
    cpu: list[float] = []
    with Receiver() as receiver:
        config = PLAIN.format(url=receiver.url, event=EVENT_TYPE)
        with Daemon(bench.new_folder(), config) as running:
            before = receiver.count()
            _deliver(running, source, bench.count(2_000, 500))  # its slots open as it succeeds
            _check_delivered(running, receiver, bench.count(2_000, 500), before)

            def measure_ceiling() -> None:
                requests, received, used = bench.count(25_600, 2_560), receiver.count(), time.process_time()
                loops.append(measure_loop(receiver.port, body, requests))
                loop_cpu.append((time.process_time() - used) / requests)
                assert receiver.count() - received == requests

            measure_ceiling()
            for _ in range(bench.count(ROUNDS, 1)):
                rate, each = _deliver(running, source, count)
                measure_ceiling()
                clients.append(measure_client(receiver.port, body, bench.count(640, 128)))
                ours.append(rate)
                cpu.append(each)
                ratios.append(rate / statistics.mean(loops[-2:]))
            resident = running.memory_mib()
    rate = statistics.median(ours)
    spread = f"{min(ours):,.0f} to {max(ours):,.0f}/s, ratios {min(ratios):.2f} to {max(ratios):.2f}"
    return [
        Row(
            what="end to end, of the bare loop",
            ours=rate,
            unit="/s",
            beside=statistics.median(loops),
            beside_what="trio + httptools",
            judged="ratio",
            least=0.35,
            cpu_us=statistics.median(cpu) * 1e6,
            resident_mib=resident,
            note=f"{len(ours)} rounds of {count:,}: {spread}; the loop {min(loops):,.0f} to {max(loops):,.0f}/s, with"
            f" {statistics.median(loop_cpu) * 1e6:.0f} µs of CPU each",
        ),
        Row(
            what="end to end, of httpx",
            ours=rate,
            unit="/s",
            beside=statistics.median(clients),
            beside_what="httpx.AsyncClient",
            judged="ratio",
            least=8,
        ),
    ]


def measure_on_one_core(bench: Bench) -> list[Row]:
    """Measure end to end once more, with producer, daemon and receiver on one core.

    There the ceiling pays for its receiver as we do for ours, so the ratio is that of the work, and not of how well it
    spreads over cores: on two, the bare loop has one to itself and its receiver the other.
    """
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})  # what is started meanwhile inherits it
    try:
        row, _ = measure_end_to_end(bench)
    finally:
        os.sched_setaffinity(0, cores)
    return [replace(row, what="end to end, all on one core")]


def measure_production(bench: Bench) -> list[Row]:
    """Measure the same with all that a webhook is likely to have: schema, filter, template, a header, a signature."""
    count = bench.count(20_000, 2_000)
    folder = bench.new_folder()
    (folder / "user.json").write_text(json.dumps(SCHEMA))
    (folder / "secret").write_text("whsec_" + base64.b64encode(bytes(range(32))).decode())
    (folder / "secret").chmod(0o600)
    source = Source()
    with (
        Receiver() as receiver,
        Daemon(folder, PRODUCTION.format(url=receiver.url, event=EVENT_TYPE)) as running,
    ):
        _deliver(running, source, bench.count(2_000, 500))
        rate, each = _deliver(running, source, count)
    return [
        Row(
            what="end to end, with schema, filter, template, signature",
            ours=rate,
            unit="/s",
            cpu_us=each * 1e6,
        )
    ]


def measure_socket(bench: Bench) -> list[Row]:
    """Accept on the Unix socket, pipelined over one connection, each fsynced before its reply.

    The events match a paused webhook, so their deliveries are written too, and nothing is sent. Beside it a bare
    SQLite that writes the same bytes, one row for each, and commits per 100.
    """
    count = bench.count(50_000, 5_000)
    source = Source()
    commits: list[float] = []

    def take(running: Running) -> float:
        commits.append(measure_commit(bench.folder, build_body("0" * 12), bench.count(50_000, 5_000)))
        return count / flood(running.socket, source.lines(count))

    ours, cpu, resident = _accept(bench, take, count)
    return [
        Row(
            what="accept: Unix socket",
            ours=ours,
            unit="/s",
            beside=statistics.median(commits),
            beside_what="bare SQLite, 100 rows a commit",
            least=20_000,
            cpu_us=cpu,
            resident_mib=resident,
        )
    ]


def measure_http(bench: Bench) -> list[Row]:
    """Accept over HTTP: one event a request, 32 connections, to the paused webhook."""
    count = bench.count(10_000, 1_000)
    source = Source()

    def take(running: Running) -> float:
        port = running.http_port
        requests = [build_post(port, "application/json", line) for line in source.lines(count)]
        return count / post_all(port, requests, HTTP_CONNECTIONS)

    ours, cpu, resident = _accept(bench, take, count)
    return [
        Row(what="accept: HTTP, one a request", ours=ours, unit="/s", least=4_000, cpu_us=cpu, resident_mib=resident)
    ]


def measure_batches(bench: Bench) -> list[Row]:
    """Accept over HTTP: NDJSON of 100 events a request, 4 connections, to the paused webhook."""
    count = bench.count(40_000, 4_000)
    source = Source()

    def take(running: Running) -> float:
        lines = source.lines(count)
        bodies = [b"".join(lines[start : start + BATCH]) for start in range(0, count, BATCH)]
        requests = [build_post(running.http_port, "application/x-ndjson", body) for body in bodies]
        return count / post_all(running.http_port, requests, BATCH_CONNECTIONS)

    ours, cpu, resident = _accept(bench, take, count)
    return [
        Row(
            what="accept: HTTP, NDJSON of 100",
            ours=ours,
            unit="/s",
            least=15_000,
            cpu_us=cpu,
            resident_mib=resident,
        )
    ]


def _accept(bench: Bench, take: Callable[[Running], float], count: int) -> tuple[float, float, float]:
    """Measure a way in; give events per second, the daemon's CPU in µs for each, and its memory."""
    rates: list[float] = []
    cpu: list[float] = []
    with Daemon(bench.new_folder(), PAUSED, http=True) as running:
        take(running)
        for _ in range(bench.count(ROUNDS, 1)):
            before = running.cpu_s()
            rates.append(take(running))
            cpu.append((running.cpu_s() - before) / count * 1e6)
        resident = running.memory_mib()
        status = running.status()
    accepted = count * (len(rates) + 1)
    assert status["pending"] == accepted, f"{status['pending']} pending of {accepted} accepted"
    return statistics.median(rates), statistics.median(cpu), resident
