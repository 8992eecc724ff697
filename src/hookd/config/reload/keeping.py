"""Keeping a copy of what runs, beside the work and never before it.

Rules: of several configs that come while one is written only the latest is kept; a disk that takes no copy is told
once, until it takes one again, and holds nothing else up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
import trio

if TYPE_CHECKING:
    from hookd.config.load import Loaded
    from hookd.config.reload.lastgood import Keeper

log = structlog.get_logger()


class Keeping:
    """Has `keeper` write copies, one after another. `keeper` None: nobody keeps any."""

    def __init__(self, keeper: Keeper | None) -> None:
        self._keeper = keeper
        self._latest: Loaded | None = None
        self._more = trio.Event()

    def soon(self, loaded: Loaded) -> None:
        """Have a copy kept of a config that is put to work. Never waits."""
        self._latest = loaded
        self._more.set()

    async def serve(self) -> None:
        """Keep copies until cancelled."""
        if self._keeper is None:
            return
        told = False
        while True:
            await self._more.wait()
            self._more = trio.Event()
            reason = await self._keep(self._keeper)
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
            await trio.to_thread.run_sync(keeper.keep, loaded.snapshot, revision, abandon_on_cancel=True)
        except OSError as error:
            return error.strerror or type(error).__name__
        return None
