"""How much room the disk of the state directory has, and a ballast for when it has none.

Rules of this module:

1. The disk is asked at most once a second: a flood must not become a flood of statfs(2).
2. The ballast is a file of reserved blocks. When the disk is full, giving it up lets what is in flight be recorded; it
   is taken when the store is opened, and only if there is plenty of room.
3. That room is short, that there is none, and that there is again is told once each.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from pathlib import Path

log = structlog.get_logger()

#: From how many free bytes a disk that was full is not called so any more.
ROOM = 1 << 20

_FULL = "the disk has no room: events are refused, and records wait for some"
_SHORT = "less than limits.disk_free is free: events are refused"


class Space:
    """The room of one disk. State: what it said last, and what was told of it. `keep_free` and `ballast` in bytes."""

    def __init__(self, directory: Path, keep_free: int, ballast: int) -> None:
        self._directory = directory
        self._keep_free = keep_free
        self._ballast = ballast
        self._asked_at = float("-inf")
        self._short = False
        self._out = False  # a write found no room since it was short
        self._told = ""

    @property
    def _file(self) -> Path:
        return self._directory / "ballast"

    def short(self) -> bool:
        """Tell whether less is free than must be kept."""
        now = time.monotonic()
        if now - self._asked_at >= 1.0:
            self._asked_at = now
            with suppress(OSError):  # a directory that is gone is told by who writes into it
                stat = os.statvfs(self._directory)
                free = stat.f_bavail * stat.f_frsize
                self._short = free < self._keep_free
                self._out = self._out and free < max(self._keep_free, ROOM)
        return self._short

    @property
    def trouble(self) -> str:
        """Why events are refused, as it was told last; empty: they are not."""
        return self._told

    def tell(self) -> None:
        """Log that room has become short, that there is none, or that there is again: once each.

        By the loop, between two batches: the log takes lines of one thread only.
        """
        reason = _FULL if self._out else _SHORT if self._short else ""
        if reason == self._told:
            return
        self._told = reason
        if not reason:
            log.info("store.relieved")
        elif self._out:
            log.error("store.full", reason=reason)
        else:
            log.warning("store.full", reason=reason)

    def ran_out(self) -> None:
        """Take note that a write found no room: nothing more is accepted for a second."""
        self._asked_at, self._short, self._out = time.monotonic(), True, True

    def take_ballast(self) -> None:
        """Reserve the ballast, if there is plenty of room for it."""
        if self._ballast <= 0 or self._file.exists():
            return
        stat = os.statvfs(self._directory)
        if stat.f_bavail * stat.f_frsize < self._keep_free + 4 * self._ballast:
            return
        descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, self._ballast)
        except OSError:
            self.drop_ballast()
        finally:
            os.close(descriptor)

    def drop_ballast(self) -> bool:
        """Give the ballast up; False if there was none."""
        try:
            self._file.unlink()
        except OSError:
            return False
        return True
