"""Telling the log that a webhook's backlog is full, and its new deliveries are dead at once.

Rule: one line per webhook and second, with how many; a full backlog comes with a flood, and must not bury the log.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

import structlog
import trio

if TYPE_CHECKING:
    from collections.abc import Iterable

log = structlog.get_logger()

_EVERY_S: Final = 1.0


class OverflowLog:
    """Writes `webhook.overflowing`, at a bounded rate. To be used inside a trio run."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._untaken: Counter[str] = Counter()
        self._some = trio.Event()

    def write(self, webhooks: Iterable[str]) -> None:
        """Count deliveries that are dead at once."""
        self._counts.update(webhooks)
        self._untaken.update(webhooks)
        self._some.set()

    def take(self) -> Counter[str]:
        """Give how many deliveries of each webhook were dead at once, since this was asked last."""
        taken, self._untaken = self._untaken, Counter()
        return taken

    def tell(self) -> None:
        """Tell what was counted."""
        for webhook, deliveries in self._counts.items():
            log.warning("webhook.overflowing", webhook=webhook, deliveries=deliveries)
        self._counts.clear()

    async def serve(self) -> None:
        """Tell at once, and then once a second as long as it goes on."""
        try:
            while True:
                await self._some.wait()
                self._some = trio.Event()
                self.tell()
                await trio.sleep(_EVERY_S)
        finally:
            self.tell()
