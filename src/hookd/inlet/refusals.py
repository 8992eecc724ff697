"""Telling the log about refused events, so that a broken producer is seen and cannot bury everything else.

Rules of this module:

1. Each refusal is one `event.refused` line, up to `LINES_PER_SECOND`; the rest of that second is one line with how
   many were suppressed. The producer itself gets every reply.
2. A line says the code, the rule and the place, and who sent it. It holds no value of the event but its id and type.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog
import trio

if TYPE_CHECKING:
    from hookd.core.model import Refusal

log = structlog.get_logger()

#: Enough to see what is wrong; a producer in a loop makes 20,000 a second.
LINES_PER_SECOND: Final = 100
_WINDOW_S: Final = 1.0


class RefusalLog:
    """Writes `event.refused`, at a bounded rate. To be used inside a trio run."""

    def __init__(self) -> None:
        self._window_ends = 0.0
        self._written = 0
        self._suppressed = 0
        self._suppressing = trio.Event()

    def write(self, refusal: Refusal, *, inlet: str, uid: int | None = None) -> None:
        """Tell one refusal, or count it."""
        now = trio.current_time()
        if now >= self._window_ends:
            self.tell_suppressed()
            self._window_ends = now + _WINDOW_S
            self._written = 0
        if self._written >= LINES_PER_SECOND:
            self._suppressed += 1
            self._suppressing.set()
            return
        self._written += 1
        fields = {
            "code": refusal.code.value,
            "message": refusal.message,
            "path": refusal.path,
            "event_id": refusal.id,
            "event_type": refusal.type,
            "inlet": inlet,
            "uid": uid,
        }
        log.info("event.refused", **{name: value for name, value in fields.items() if value is not None})

    def tell_suppressed(self) -> None:
        """Tell how many refusals were not told, if there were any."""
        if self._suppressed:
            log.info("event.refused", suppressed=self._suppressed)
            self._suppressed = 0

    async def serve(self) -> None:
        """Tell what was suppressed when its second is over, also when no further refusal comes."""
        try:
            while True:
                await self._suppressing.wait()
                await trio.sleep_until(self._window_ends)
                self._suppressing = trio.Event()
                self.tell_suppressed()
        finally:
            self.tell_suppressed()
