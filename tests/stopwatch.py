"""A stopwatch that stands still while the machine has no core to spare for what it times.

A bound on how long something may take is one on the code; whether a neighbour was computing just then is a matter of
chance. The kernel knows of each thread how long it was ready to run and had to wait for a core (`schedstat`), and that
is left out. Waiting for anything else, for a lock, a disk or a clock, counts as ever, and so does computing.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path


class Stopwatch:
    """Runs from when it is made, for some processes, or for this one. Where the kernel does not tell, all counts."""

    def __init__(self, *pids: int) -> None:
        self._pids = pids or (os.getpid(),)
        self._began = time.monotonic()
        self._before = self._waited()

    def seconds(self) -> float:
        """Give how long it ran, in seconds, without what its processes waited for a core."""
        held_up = self.held_up()
        return max(0.0, time.monotonic() - self._began - held_up)

    def held_up(self) -> float:
        """Give what was left out, in seconds."""
        return sum(waited - self._before.get(thread, 0) for thread, waited in self._waited().items()) / 1e9

    def _waited(self) -> dict[str, int]:
        """Give how long each thread has waited for a core so far, in nanoseconds."""
        found: dict[str, int] = {}
        for pid in self._pids:
            for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
                with suppress(OSError):  # it has ended meanwhile
                    found[str(path)] = int(path.read_text().split()[1])
        return found


def withheld_s() -> float:
    """Give for how long anything on this machine has waited for a core so far: for what times processes that end."""
    try:
        some = Path("/proc/pressure/cpu").read_text().splitlines()[0]
    except OSError:
        return 0.0
    return int(some.rpartition("total=")[2]) / 1e6
