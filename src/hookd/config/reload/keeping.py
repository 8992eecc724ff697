"""Keeping a copy of what runs, beside the work and never before it.

Rules of this module:

1. Of several configs that come while one is written only the latest is kept, and at most `_MOST` copies are written
   within `_WITHIN_S`: a copy is synced to the disk, and as long as that takes no event is. Whoever changes the files
   all the time has a copy that is some seconds old; the files themselves are what counts.
2. What waits to be written is written at the end.
3. A disk that takes no copy is told once, until it takes one again, and holds nothing else up.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

import structlog
import trio

if TYPE_CHECKING:
    from hookd.config.load import Loaded
    from hookd.config.reload.lastgood import Keeper

log = structlog.get_logger()

#: More than a person saves by hand, who may well break something with the next save; seconds.
_MOST: Final = 5
_WITHIN_S: Final = 30.0
#: Seconds that the end may wait for a disk.
_END_S: Final = 2.0


class Keeping:
    """Has `keeper` write copies, one after another. `keeper` None: nobody keeps any."""

    def __init__(self, keeper: Keeper | None) -> None:
        self._keeper = keeper
        self._latest: Loaded | None = None
        self._more = trio.Event()
        self._written_at: deque[float] = deque(maxlen=_MOST)

    def soon(self, loaded: Loaded) -> None:
        """Have a copy kept of a config that is put to work. Never waits."""
        self._latest = loaded
        self._more.set()

    async def serve(self) -> None:
        """Keep copies until cancelled."""
        if self._keeper is None:
            return
        try:
            await self._serve(self._keeper)
        finally:
            with trio.move_on_after(_END_S, shield=True):
                await self._keep(self._keeper)

    async def _serve(self, keeper: Keeper) -> None:
        told = False
        while True:
            await self._more.wait()
            self._more = trio.Event()
            if len(self._written_at) == _MOST:
                await trio.sleep_until(self._written_at[0] + _WITHIN_S)
            reason = await self._keep(keeper)
            if reason is not None and not told:
                log.warning("config.not_kept", reason=reason)
            told = reason is not None

    async def _keep(self, keeper: Keeper) -> str | None:
        """Keep the latest; give why that failed, if it did."""
        loaded, self._latest = self._latest, None
        if loaded is None:
            return None
        revision = loaded.config.revision
        try:
            written = await trio.to_thread.run_sync(keeper.keep, loaded.snapshot, revision, abandon_on_cancel=True)
        except OSError as error:
            return error.strerror or type(error).__name__
        if written:
            self._written_at.append(trio.current_time())
        return None
