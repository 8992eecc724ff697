"""Whether there is something to do that must not wait: events on their way, and all else that the event loop does.

Rules of this module:

1. The loop itself says so: it is at something whenever it does not wait for sockets or for a time to come. That costs
   two calls a turn, and a turn serves all that is ready.
2. It is read by other threads, without a lock: who reads it a moment late rests a moment later.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import trio

from hookd.config.beside import giving_way_to

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hookd.store.base import Store


class _Turning(trio.abc.Instrument):
    """State: whether the loop of this run is at something."""

    def __init__(self) -> None:
        self.now = True

    def before_io_wait(self, timeout: float) -> None:
        """See that the loop looks for something to do; without a `timeout` it has something already."""
        self.now = timeout <= 0

    def after_io_wait(self, timeout: float) -> None:  # noqa: ARG002  trio's
        """See that there is something to do."""
        self.now = True


@contextmanager
def events_go_first(store: Store) -> Iterator[None]:
    """Have those who work beside the event loop rest while it, or the store, is at something."""
    turning = _Turning()
    trio.lowlevel.add_instrument(turning)
    try:
        with giving_way_to(lambda: turning.now or store.busy_s() > 0.0):
            yield
    finally:
        trio.lowlevel.remove_instrument(turning)
