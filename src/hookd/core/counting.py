"""Counts in plain numbers: what the hot road can afford, and what a scrape reads.

Rules of this module:

1. Counting is an addition to an int. Whoever reads does so from another task or thread and may see a count that is
   one behind its sum: of figures that only ever grow, that is close enough, and it costs no lock.
2. What is counted by a name that strangers choose is bounded: beyond a number of names the rest share `OTHER`.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: What stands for all names beyond the bound. No id of a webhook and no event type that a config names begins so.
OTHER: Final = "_other"


class Spread:
    """How values spread over buckets: `counts[i]` are those of at most `bounds[i]`, the last those beyond all."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.total = 0.0  # the sum of all values

    def add(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def copy(self) -> Spread:
        """Give the counts as they are now."""
        taken = Spread(self.bounds)
        taken.counts = list(self.counts)
        taken.total = self.total
        return taken


class Names:
    """The names that have series of their own, at most `limit`; all others are `OTHER`.

    A name keeps its place until it is gone, and one that was counted as `OTHER` stays there for as long as it lives:
    so no count ever falls.
    """

    __slots__ = ("_barred", "_known", "_limit", "_shared")

    def __init__(self, limit: int, first: Iterable[str] = ()) -> None:
        self._limit = limit
        self._known: dict[str, None] = {}
        self._barred: frozenset[str] = frozenset()
        self._shared = False  # whether `OTHER` was given since the last look at who is alive
        for name in first:
            self.label(name)

    def label(self, name: str) -> str:
        """Give the label of a name; a new one gets its own while there is room."""
        if name in self._known:
            return name
        if len(self._known) >= self._limit or name in self._barred:
            self._shared = True
            return OTHER
        self._known[name] = None
        return name

    def known(self, name: str) -> bool:
        """Whether a name has series of its own."""
        return name in self._known

    def keep(self, alive: Iterable[str]) -> list[str]:
        """Forget the names that are not among `alive`; give those that had series of their own."""
        living = frozenset(alive)
        gone = [name for name in self._known if name not in living]
        for name in gone:
            del self._known[name]
        self._barred = living.difference(self._known) if self._shared else self._barred & living
        self._shared = False
        return gone
