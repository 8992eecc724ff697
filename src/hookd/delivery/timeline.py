"""The time by which deliveries are due: the wall clock's, except that it never goes back.

Rules of this module:

1. Due times stand in the store as wall-clock instants. When the wall clock is set back, what is planned would lie as
   much further ahead, and be stranded. So this time goes on as before, `ahead` of the wall clock, until that has
   caught up. What a receiver or a person reads (timestamps, the log) is the wall clock's own.
2. When the wall clock is set forward, this time follows: what it makes due early goes out within the caps. Whoever
   holds instants in memory that stand for a wait (pauses, breakers) is told by how much, and lets them wait on.
3. A difference of up to `SLACK` is the clock being disciplined, and is simply followed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

#: In milliseconds.
SLACK: Final = 5_000


class Timeline:
    """State: how far it is ahead, and what the clocks showed last. `wall` is in milliseconds, `clock` in seconds.

    `leapt` is told by how many milliseconds this time has leapt forward.
    """

    def __init__(self, wall: Callable[[], int], clock: Callable[[], float], leapt: Callable[[int], None]) -> None:
        self._wall = wall
        self._clock = clock
        self._leapt = leapt
        self._last: tuple[int, float] | None = None
        self.ahead = 0  # in milliseconds, at least 0

    def now(self) -> int:
        """Give the time, in milliseconds since the epoch."""
        wall, clock = self._wall(), self._clock()
        last = self._last
        self._last = wall, clock
        if last is not None:
            jump = wall - last[0] - round((clock - last[1]) * 1000.0)
            if jump > SLACK or jump < -SLACK:
                self._jump(jump)
        return wall + self.ahead

    def reach(self, instant: int) -> None:
        """Begin no earlier than `instant`, which was written before: the clock was set back since."""
        behind = instant - self.now()
        if behind > SLACK:
            self.ahead += behind

    def _jump(self, jump: int) -> None:
        ahead = self.ahead - jump
        self.ahead = max(0, ahead)
        if ahead < 0:
            self._leapt(-ahead)
