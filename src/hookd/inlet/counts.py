"""How many events came in, by type and by what became of them: plain numbers, added up by the batch.

Rules of this module:

1. A type makes counts of its own when an event of it was accepted or the catalogue has it, and while there is room:
   a producer that makes types up fills nothing but `OTHER`.
2. The words for what became of an event are those of its reply: `accepted`, `duplicate`, or the code of the refusal.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from hookd.core.counting import OTHER, Names
from hookd.store.base import New, Seen

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from hookd.core.model import Refusal
    from hookd.store.base import Entry, EntryResult

#: Types with counts of their own.
MOST_TYPES: Final = 500


class EventCounts:
    """The counts of a run."""

    def __init__(self) -> None:
        self._names = Names(MOST_TYPES)
        self._counts: dict[tuple[str, str], int] = {}

    def store(self, entries: Sequence[Entry], results: Sequence[EntryResult]) -> None:
        """Count a batch that was stored. What the store refused is counted by its refusal."""
        types = [entry.event.type for entry in entries]
        kinds = [type(result) for result in results]
        for word, kind in (("accepted", New), ("duplicate", Seen)):
            several = kinds.count(kind)
            if several == len(types):
                found = Counter(types)
            elif several:
                found = Counter([name for name, each in zip(types, kinds, strict=True) if each is kind])
            else:
                continue
            for name, number in found.items():
                self._add(self._names.label(name), word, number)

    def refuse(self, refusal: Refusal, catalogue: Collection[str] = ()) -> None:
        """Count a refusal; `catalogue` holds the types that the config names."""
        name = refusal.type
        known = name is not None and (name in catalogue or self._names.known(name))
        self._add(self._names.label(name) if known and name is not None else OTHER, refusal.code, 1)

    def _add(self, name: str, word: str, number: int) -> None:
        key = (name, str(word))
        self._counts[key] = self._counts.get(key, 0) + number

    def all(self) -> Iterator[tuple[tuple[str, str], int]]:
        """Give type and word with their count."""
        return iter(self._counts.items())
