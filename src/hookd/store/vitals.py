"""How the store itself does: what its writer counts, and what the disk says.

Rules of this module:

1. The writer's thread counts, by the batch; whoever reads takes a copy and may find it one batch behind.
2. Sizes are asked of the disk when somebody wants them, in a thread: a disk that hangs must not stop the loop.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hookd.core.counting import Spread

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: Seconds of a commit. An SSD takes a millisecond, a disk ten; what is above half a second is trouble.
_COMMIT_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
#: Operations of a batch: one in a trickle, a few in a flood, as events and results come by the batch themselves.
_BATCH: Final = (1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """`commits` in seconds each, `batches` in operations; `files` and `disk_free` in bytes (None: nobody can tell)."""

    commits: Spread
    batches: Spread
    busy_s: float = 0.0
    files: Mapping[str, int]
    disk_free: int | None = None


class Pace:
    """What the writer counts of itself. `began` is when it took up its batch, monotonic; None: it rests."""

    __slots__ = ("batches", "began", "commits")

    def __init__(self) -> None:
        self.commits = Spread(_COMMIT_S)
        self.batches = Spread(_BATCH)
        self.began: float | None = None

    def busy_s(self) -> float:
        """Give for how many seconds the writer has been at its batch; 0: it rests."""
        began = self.began
        return 0.0 if began is None else time.monotonic() - began


def read_vitals(pace: Pace, database: Path | None = None) -> Vitals:
    """Give all of it; asks the disk. `database` None: the store is on none."""
    files: dict[str, int] = {}
    disk_free = None
    if database is not None:
        for name, path in (("database", database), ("wal", database.with_name(f"{database.name}-wal"))):
            with suppress(OSError):
                files[name] = path.stat().st_size
        with suppress(OSError):
            stat = os.statvfs(database.parent)
            disk_free = stat.f_bavail * stat.f_frsize
    return Vitals(
        commits=pace.commits.copy(),
        batches=pace.batches.copy(),
        busy_s=pace.busy_s(),
        files=files,
        disk_free=disk_free,
    )
