"""How fast the daemon reads its config: at start, and when one file of many changes."""

from __future__ import annotations

import re
import shutil
import statistics
import time
from itertools import chain, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.benchmarks.load import pace
from tests.benchmarks.running import Daemon, find_port, start_daemon
from tests.benchmarks.scale import build_webhooks
from tests.benchmarks.table import Row, percentiles
from tests.benchmarks.traffic import Source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.benchmarks.load import Paced
    from tests.benchmarks.running import Bench, Running

ROUNDS: Final = 3
EVERY_S: Final = 0.005
EVENT_TYPE: Final = "bench.unheard"
PATIENCE_S: Final = 60.0
ROOT: Final = Path(__file__).parents[2]


def measure_reload(bench: Bench) -> list[Row]:
    """Change one file of 1,000 that hold 10,000 webhooks: seconds until `config.reloaded`, and how the loop stalls.

    The stall is seen from outside: an event (that no webhook matches) is sent every 5 ms, and the longest gap between
    two replies is told, less those 5 ms; it includes what the disk does, so the same is told of an idle time before.
    The percentiles are how long replies took while a change was read. The seconds include the 100 ms for which the
    daemon waits until the files are quiet.
    """
    files = bench.count(1_000, 50)
    folder = bench.new_folder()
    (folder / "hooks.d").mkdir()
    for number in range(files):
        _write(folder, number, "http://127.0.0.1:9/hook")
    source = Source()
    seconds: list[float] = []
    stalls: list[float] = []
    waits: list[float] = []
    with Daemon(folder, "include: [hooks.d/*.yaml]\n") as running:
        running.wait_quiet()
        idle = _longest(_probe(running, source, bench.count(3, 1)))
        for attempt in range(bench.count(ROUNDS, 1)):
            took, paced = _change(running, source, folder, files // 2, f"http://127.0.0.1:9/changed-{attempt}")
            seconds.append(took)
            stalls.append(_longest(paced))
            waits += paced.waits_ms
            running.wait_quiet()
        ready, resident, highest = running.ready_s, running.memory_mib(), running.memory_mib("VmHWM")
    what = f"one of {files:,} files changes"
    return [
        Row(
            what=f"{what}: applied",
            ours=statistics.median(seconds),
            unit="s",
            most=2,
            resident_mib=resident,
            note=f"{min(seconds):.2f} to {max(seconds):.2f} s; ready after {ready:.1f} s; at most {highest:.0f} MiB",
        ),
        Row(
            what=f"{what}: longest stall",
            ours=max(stalls),
            unit="ms",
            most=50,
            p=percentiles(waits),
            note="each change: "
            + ", ".join(f"{stall:.0f}" for stall in stalls)
            + f" ms; without a change {idle:.0f} ms",
        ),
    ]


def _write(folder: Path, number: int, url: str) -> None:
    """Write a file of ten webhooks whole: beside, then renamed."""
    part = folder / f"part-{number}"
    part.write_text(
        build_webhooks(url, range(10), prefix=f"w{number}", matching=0).replace("other.", f"other.{number}.")
    )
    part.rename(folder / "hooks.d" / f"{number:04d}.yaml")


def _longest(paced: Paced) -> float:
    return max(0.0, paced.longest_gap_ms - EVERY_S * 1000)


def _endless(source: Source) -> Iterator[bytes]:
    return chain.from_iterable(source.lines(100, EVENT_TYPE) for _ in repeat(None))


def _probe(running: Running, source: Source, seconds: float) -> Paced:
    end = time.monotonic() + seconds
    return pace(running.socket, _endless(source), EVERY_S, lambda: time.monotonic() >= end)


def _change(running: Running, source: Source, folder: Path, number: int, url: str) -> tuple[float, Paced]:
    """Change a file while events are sent; give the seconds until it is applied, and the events."""
    begins = time.monotonic() + 0.2
    written: list[float] = []
    applied: list[float] = []

    def turn() -> bool:
        now = time.monotonic()
        if not written and now >= begins:
            _write(folder, number, url)
            written.append(time.monotonic())
        elif written and not applied and running.saw("config.reloaded"):
            applied.append(now)
        if written and now - written[0] > PATIENCE_S:
            raise RuntimeError("the change was not applied")
        return bool(applied) and now - applied[0] > 0.2  # what comes right after it is seen too

    paced = pace(running.socket, _endless(source), EVERY_S, turn)
    return applied[0] - written[0], paced


def measure_start(bench: Bench) -> list[Row]:
    """Start with the example config, its paths moved to a folder: from the process's start until `daemon.ready`."""
    times: list[float] = []
    resident = 0.0
    for _ in range(bench.count(5, 1)):
        folder = bench.new_folder()
        running = start_daemon(folder, _place_example(folder), environ={"CREDENTIALS_DIRECTORY": str(folder / "creds")})
        resident = running.memory_mib()
        times.append(running.ready_s)
        running.stop()
    return [
        Row(
            what="start with the example config",
            ours=statistics.median(times),
            unit="s",
            most=1,
            resident_mib=resident,
            note=f"{len(times)} starts, {min(times):.2f} to {max(times):.2f} s",
        )
    ]


def _place_example(folder: Path) -> Path:
    """Copy the example and its schemas, with its sockets and its state in `folder`, and credentials for it."""
    text = (ROOT / "config.example.yaml").read_text()
    for old, new in (
        ("/var/lib/hookd", "state"),
        ("/run/hookd/events.sock", "e.sock"),
        ("/run/hookd/control.sock", "c.sock"),
        ("127.0.0.1:8480", f"127.0.0.1:{find_port()}"),
        ("127.0.0.1:9480", f"127.0.0.1:{find_port()}"),
    ):
        assert old in text, f"the example says {old} no more"
        text = text.replace(old, new)
    (folder / "hookd.yaml").write_text(text)
    shutil.copytree(ROOT / "schemas", folder / "schemas")
    (folder / "creds").mkdir()
    for name in re.findall(r"credential: ([\w-]+)", text):
        (folder / "creds" / name).write_text("whsec_" + "QUJD" * 12)
    return folder / "hookd.yaml"
