"""A thousand reloads under load: nothing piles up, nothing is lost, and deliveries hardly notice."""

from __future__ import annotations

import json
import os
import re
import signal
import statistics
import sys
import threading
import time
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx
import pytest

from tests.e2e.house import Daemon, Receiver, send_lines, write_config

if TYPE_CHECKING:
    from collections.abc import Iterator

RELOADS: Final = 1000
FILES: Final = 40
PER_FILE: Final = 10
#: Every so many reloads the ground below all webhooks changes, so that all of them are made anew.
ALL_ANEW: Final = 50
EVERY_S: Final = 0.01
CALM_S: Final = 5.0
WARM: Final = 200

MAIN: Final = "include: [hooks.d/*.yaml]\ndefaults: {timeout: %ds}\n"
HOOK: Final = """  w%d-%d:
    url: %s
    events: [%s]
    filter: {data.n: {gte: 0}}
    body: {template: {number: $(data.n), sent: $(data.sent)}}
    allow_networks: [127.0.0.0/8]
"""


def write_file(top: Path, number: int, url: str) -> None:
    """Write a file of ten webhooks whole; the first webhook of the first file takes the events."""
    names = ["ping" if number == each == 0 else f"other.{number}.{each}" for each in range(PER_FILE)]
    text = "webhooks:\n" + "".join(HOOK % (number, each, url, name) for each, name in enumerate(names))
    part = top / f"part-{number}"
    part.write_text(text)
    part.rename(top / f"hooks.d/{number:03d}.yaml")


class Held:
    """What a process holds, looked at from outside and told by itself."""

    def __init__(self, daemon: Daemon, told: Path) -> None:
        assert daemon.process is not None
        proc = Path(f"/proc/{daemon.process.pid}")
        told.unlink(missing_ok=True)
        daemon.process.send_signal(signal.SIGUSR1)
        until = time.monotonic() + 30
        while not told.exists():
            assert time.monotonic() < until, "the daemon does not tell"
            time.sleep(0.01)
        figures = json.loads(told.read_text())
        self.tasks: int = figures["tasks"]
        self.objects: int = figures["objects"]
        self.descriptors = len(os.listdir(proc / "fd"))  # noqa: PTH208  only how many
        found = re.search(r"VmRSS:\s+(\d+) kB", (proc / "status").read_text())
        assert found is not None
        self.resident_mib = int(found[1]) / 1024


@contextmanager
def steady_events(daemon: Daemon, numbers: Iterator[int]) -> Iterator[None]:
    """Send an event every 10 ms, and hold every reply to be `accepted`."""
    done = threading.Event()
    bad: list[object] = []

    def send() -> None:
        while not done.wait(EVERY_S):
            data = {"n": next(numbers), "sent": time.time()}
            [reply] = send_lines(daemon.socket, [json.dumps({"type": "ping", "data": data}).encode()])
            if reply["status"] != "accepted" or reply["deliveries"] != 1:
                bad.append(reply)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield
    finally:
        done.set()
        sender.join()
    assert not bad, bad[:3]


def latencies(receiver: Receiver, start: int) -> list[float]:
    return [taken.at - float(taken.json()["sent"]) for taken in receiver.taken[start:]]


def measure_calm(daemon: Daemon, receiver: Receiver, numbers: Iterator[int]) -> float:
    """Give the p99 of what deliveries take when nothing is reloaded, in seconds."""
    begun = len(receiver.taken)
    with steady_events(daemon, numbers):
        time.sleep(CALM_S)  # it is the time itself that is looked at
    return p99(latencies(receiver, begun))


def p99(values: list[float]) -> float:
    return statistics.quantiles(values, n=100)[98]


@pytest.mark.slow
def test_a_thousand_reloads_leave_nothing_behind(tmp_path: Path) -> None:
    receiver = Receiver()
    (tmp_path / "hooks.d").mkdir()
    for number in range(FILES):
        write_file(tmp_path, number, receiver.url)
    config = write_config(tmp_path, MAIN % 10)
    head = config.read_text().removesuffix(MAIN % 10)
    told = tmp_path / "told.json"
    hasty = [sys.executable, "-m", "tests.e2e.hasty"]
    daemon = Daemon(config, environ={"HASTY_TELLS": str(told)}, program=hasty).start()
    numbers = count()
    transport = httpx.HTTPTransport(uds=daemon.control)
    try:
        with httpx.Client(transport=transport, base_url="http://hookd", timeout=60) as control:
            calm = [measure_calm(daemon, receiver, numbers)]
            first: Held | None = None
            begun = len(receiver.taken)
            with steady_events(daemon, numbers):
                for turn in range(1, RELOADS + 1):
                    if turn % ALL_ANEW:
                        write_file(tmp_path, 1 + turn % (FILES - 1), f"{receiver.url}{turn}")
                    else:
                        config.write_text(head + MAIN % (10 + turn))
                    answer = control.post("/v1/reload", json={}).json()
                    assert not answer["problems"], answer
                    if turn == WARM:
                        first = Held(daemon, told)
            busy = latencies(receiver, begun)
            assert first is not None
            last = Held(daemon, told)
            calm.append(measure_calm(daemon, receiver, numbers))
        receiver.wait(next(numbers))
        assert daemon.stop() == 0
        applied = [line for line in daemon.lines if line["msg"] == "config.reloaded"]
        assert len({line["revision"] for line in applied}) == len(applied) == RELOADS
        assert sum(line["changed"] == FILES * PER_FILE for line in applied) == RELOADS // ALL_ANEW
        seen = sorted(json.loads(taken.body)["number"] for taken in receiver.taken)
        assert seen == list(range(len(seen))), "an event was lost, or delivered twice"
        p99s = ", ".join(f"{seconds * 1000:.1f}" for seconds in (*calm, p99(busy)))
        figures = f"{vars(first)} -> {vars(last)}; p99 before, after, meanwhile: {p99s} ms"
        sys.stdout.write(f"{figures}\n")  # for who runs it with -s
        assert last.tasks <= first.tasks + 5, figures
        assert last.descriptors <= first.descriptors + 5, figures
        assert last.objects <= first.objects * 1.05 + 5_000, figures
        assert last.resident_mib <= first.resident_mib + 6, figures
        # On a machine with nothing to do a delivery takes 2 ms, and twice that is within its noise.
        assert p99(busy) <= max(2 * max(calm), 0.025), figures
    finally:
        daemon.close()
        receiver.close()
