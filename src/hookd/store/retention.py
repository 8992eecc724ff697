"""Retention: what is too old goes, a little at a time, for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog
import trio

from hookd.store.base import Policy, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from hookd.core.daemonconfig import Retention
    from hookd.store.base import Store

log = structlog.get_logger()

#: How often what is too old is looked for, in seconds.
EVERY_S: Final = 60.0
#: Rows of one chunk, and the pause after it: deliveries have the writer most of the time, also while much is removed.
CHUNK: Final = 500
_PAUSE_S: Final = 0.05


async def prune_for_ever(store: Store, kept: Retention, now: Callable[[], int]) -> None:
    """Remove what the retention lets go, until cancelled or the store is unavailable."""
    policy = Policy(
        events_ms=round(kept.events * 1000),
        attempts_ms=round(kept.attempts * 1000),
        held_ms=round(kept.held * 1000),
        bytes=kept.bytes,
    )
    while True:
        await trio.sleep(EVERY_S)
        events = attempts = killed = 0
        done = False
        while not done:
            try:
                pruned = await store.prune(policy, CHUNK, now())
            except StoreUnavailable:
                return
            events += pruned.events
            attempts += pruned.attempts
            killed += pruned.killed
            done = pruned.done
            await trio.sleep(_PAUSE_S)
        if events or attempts or killed:
            log.info("store.pruned", events=events, attempts=attempts, held_too_long=killed)
