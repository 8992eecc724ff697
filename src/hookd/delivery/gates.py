"""Lanes that may not begin an attempt before some time has come, and which of them comes next.

Rules of this module:

1. A lane waits at most once. Whoever changes what it waits for lets it go (`waiting` is False); the place that it
   still has in the heap is looked at when its time comes, and does no harm.
2. Wall clocks jump: a gate that waits for one is looked at again after at most `RECHECK` seconds.
"""

from __future__ import annotations

import heapq
from itertools import count
from typing import TYPE_CHECKING, Final

from hookd.delivery.health import FOREVER

if TYPE_CHECKING:
    from collections.abc import Callable

    from hookd.delivery.lane import Lane

RECHECK: Final = 30.0


class Gates:
    """The gates that are shut. `clock` is monotonic, in seconds; `shut_first` is told of one that opens before all."""

    def __init__(self, clock: Callable[[], float], shut_first: Callable[[], None]) -> None:
        self._clock = clock
        self._shut_first = shut_first
        self._heap: list[tuple[float, int, Lane]] = []
        self._numbers = count()

    def shut(self, lane: Lane, wait: float) -> None:
        """Keep a lane out for `wait` seconds; `FOREVER`: until somebody looks at it again."""
        if wait == FOREVER or lane.waiting:
            return
        lane.waiting = True
        heapq.heappush(self._heap, (self._clock() + min(wait, RECHECK), next(self._numbers), lane))
        if self._heap[0][2] is lane:
            self._shut_first()

    def pop(self) -> Lane | None:
        """Take a lane whose time has come; None: there is no other."""
        if not self._heap or self._heap[0][0] > self._clock():
            return None
        lane = heapq.heappop(self._heap)[2]
        lane.waiting = False
        return lane

    def opens_in(self) -> float:
        """Give the seconds until the next gate may open, at least 0; `FOREVER`: none is shut.

        The clock goes on while gates are popped: the next one may be open by now.
        """
        return max(0.0, self._heap[0][0] - self._clock()) if self._heap else FOREVER
