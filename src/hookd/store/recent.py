"""Events of deliveries that were accepted a moment ago and wait in the store: claiming need not read them again.

Rules of this module:

1. It holds events and nothing about their deliveries: what is due, and to whom, the rows say. An event never changes,
   so what is held is never wrong; what is not held is read.
2. It is bounded in bytes. When it is full the first ones are kept, which are claimed first; one that nobody has
   claimed for `STALE_MS` makes room, so that a receiver that is down does not keep it full.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hookd.core.model import Event

BYTES: Final = 12 * 1024 * 1024
#: What an event takes beside its data.
WEIGHT: Final = 1024
STALE_MS: Final = 5_000


class Recent:
    """State: events by the number of their delivery, in the order of acceptance, and their bytes."""

    __slots__ = ("_events", "_limit", "bytes")

    def __init__(self, limit: int = BYTES) -> None:
        self._events: dict[int, Event] = {}
        self._limit = limit
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._events)

    def keep_all(self, accepted: Iterable[tuple[int, Event]]) -> None:
        """Keep the events of deliveries that were stored, as far as there is room."""
        for seq, event in accepted:
            weight = _weigh(event)
            if self.bytes + weight > self._limit and not self._make_room(weight, event.accepted_at):
                return  # once for all of them: what is first is far behind the holes that were left by what was taken
            self._events[seq] = event
            self.bytes += weight

    def _make_room(self, weight: int, now: int) -> bool:
        stale: list[int] = []
        free = self._limit - self.bytes
        for seq, event in self._events.items():
            if free >= weight or now - event.accepted_at < STALE_MS:
                break
            stale.append(seq)
            free += _weigh(event)
        for seq in stale:
            self.take(seq)
        return free >= weight

    def take(self, seq: int) -> Event | None:
        """Give the event of a delivery that is claimed, and forget it; None: it is to be read."""
        event = self._events.pop(seq, None)
        if event is not None:
            self.bytes -= _weigh(event)
        return event


def _weigh(event: Event) -> int:
    return WEIGHT if event.data is None else WEIGHT + len(event.data)
