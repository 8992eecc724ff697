"""The stopwatch of the tests leaves out what it should, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.stopwatch import Stopwatch

SPIN = "import time\nwhile time.process_time() < 1.0: pass"


def test_sleeping_and_computing_count() -> None:
    watch = Stopwatch()
    began = time.process_time()
    while time.process_time() - began < 0.3:
        pass
    time.sleep(0.3)
    assert watch.seconds() > 0.45  # the kernel's account of waiting is one of some milliseconds


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="the kernel does not tell")
def test_waiting_for_a_core_does_not_count() -> None:
    """Two that compute for a second each on one core: each has it for half of the time."""
    pin = f"import os\nos.sched_setaffinity(0, {{{min(os.sched_getaffinity(0))}}})\n"
    two = [subprocess.Popen([sys.executable, "-c", pin + SPIN]) for _ in range(2)]
    began = time.monotonic()
    watch = Stopwatch(two[0].pid)
    while not _is_over(two[0].pid):
        counted = watch.seconds()
        time.sleep(0.01)
    took = time.monotonic() - began
    for each in two:
        assert each.wait(60) == 0
    assert took > 1.5
    assert counted < 0.8 * took


def _is_over(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
