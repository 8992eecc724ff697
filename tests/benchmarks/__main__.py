"""The project's benchmark: `python -m tests.benchmarks`, from the checkout.

It measures the figures that hookd is designed for in one run, side by side with what this machine can do at best, and
prints one table. It needs nothing but the loopback and some disk below the working directory; a full run takes about
five minutes. `--only NAME…` picks measurements, `--quick` does less of each (its figures say little), `--json FILE`
writes all of it for programs. It exits 1 if something could not be measured, whatever was reached.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.benchmarks.isolation import measure_isolation
from tests.benchmarks.latency import measure_latency
from tests.benchmarks.reloads import measure_reload, measure_start
from tests.benchmarks.running import open_bench
from tests.benchmarks.scale import measure_pending, measure_routing
from tests.benchmarks.table import render_table
from tests.benchmarks.throughput import (
    measure_batches,
    measure_end_to_end,
    measure_http,
    measure_on_one_core,
    measure_production,
    measure_socket,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.benchmarks.running import Bench
    from tests.benchmarks.table import Row

MEASUREMENTS: Final[dict[str, Callable[[Bench], list[Row]]]] = {
    "end-to-end": measure_end_to_end,
    "one-core": measure_on_one_core,
    "production": measure_production,
    "socket": measure_socket,
    "http": measure_http,
    "ndjson": measure_batches,
    "latency": measure_latency,
    "isolation": measure_isolation,
    "routing": measure_routing,
    "pending": measure_pending,
    "reload": measure_reload,
    "start": measure_start,
}


def describe_machine() -> dict[str, object]:
    """Give what the figures depend on."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=MEASUREMENTS, metavar="NAME", default=list(MEASUREMENTS))
    parser.add_argument("--quick", action="store_true", help="do less of each: a smoke test")
    parser.add_argument("--json", type=Path, metavar="FILE")
    asked = parser.parse_args(arguments)
    machine = describe_machine()
    rows: list[Row] = []
    failed: list[str] = []
    started = time.perf_counter()
    with open_bench(quick=asked.quick) as bench:
        for name in asked.only:
            began = time.perf_counter()
            try:
                rows += MEASUREMENTS[name](bench)
            except Exception:  # noqa: BLE001  the other rows are still worth having
                failed.append(name)
                sys.stderr.write(f"{name} could not be measured:\n{traceback.format_exc()}")
            else:
                sys.stderr.write(f"{name}: {time.perf_counter() - began:.0f} s\n")
    heading = ", ".join(f"{key} {value}" for key, value in machine.items())
    sys.stdout.write(
        f"\n{heading}, {time.perf_counter() - started:.0f} s{', QUICK' * asked.quick}\n\n{render_table(rows)}"
    )
    if failed:
        sys.stdout.write(f"\nnot measured: {', '.join(failed)}\n")
    if asked.json is not None:
        found = {"machine": machine, "quick": asked.quick, "rows": [row.as_json() for row in rows], "failed": failed}
        asked.json.write_text(json.dumps(found, indent=2) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
