"""What the service manager hears while a daemon runs: its state in words, signs of life, and each reload.

Rules of this module:

1. A sign of life is a question to the store's writer that was answered: it passes through the event loop, the writer's
   queue and its thread. A writer that is stuck with work waiting gives none.
2. A SIGHUP is answered with RELOADING and then READY, always and after it: also when nothing changed, and when the
   config is refused. They are answered one after another, so that each who waits hears of his own.
3. STATUS says what a person wants to know first: how many webhooks, of which revision, what waits, and what is wrong.
   What waits is counted twice a minute: that asks for every webhook.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from hookd.store.base import StoreUnavailable, Wants
from hookd.store.queries import EVERY_WEBHOOK, Backlog

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hookd.daemon.parts import Parts
    from hookd.systemd import Notifier
    from hookd.web.inherited import Unclaimed

_LOOK_EVERY_S: Final = 1.0
_COUNT_EVERY_S: Final = 30.0
_NOTHING: Final = Wants(total=0, each=0)


class Telling:
    """Tells the service manager: `serve` runs it, `hang_up` is a SIGHUP."""

    def __init__(
        self, notifier: Notifier, parts: Parts, now: Callable[[], int], unclaimed: Sequence[Unclaimed] = ()
    ) -> None:
        self._notifier = notifier
        self._parts = parts
        self._now = now
        self._unclaimed = unclaimed
        self._hung_up = trio.Event()
        self._backlog = ""

    def hang_up(self) -> None:
        """Look at the files, and tell how that begins and ends."""
        self._hung_up.set()

    async def serve(self) -> None:
        """Tell until cancelled. To be started when the daemon is ready."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._notifier.beat, self._prove)
            nursery.start_soon(self._answer_hangups)
            if self._notifier.heard:
                nursery.start_soon(self._keep_status)

    def describe(self) -> str:
        """Give the state in words."""
        config = self._parts.live.current
        count = len(config.webhooks)
        said = [f"{count} webhook{'' if count == 1 else 's'}", f"revision {config.revision}"]
        if self._backlog:
            said.append(self._backlog)
        wrong = []
        look = self._parts.last_look()
        if look is not None and look.last_good:
            wrong.append("started from the last good config")
        if look is not None and look.problems:
            first, more = look.problems[0], len(look.problems) - 1
            also = f" (and {more} more)" if more else ""
            wrong.append(f"config refused: {first.place}: {first.message}{also}")
        if look is not None and look.restart_required:
            wrong.append(f"needs a restart: {', '.join(look.restart_required)}")
        if look is not None:
            wrong += [f"not moved: {each.move.source} to {each.move.target}" for each in look.not_moved]
        wrong += [f"socket {each.address} is nobody's" for each in self._unclaimed]
        return "; ".join([", ".join(said), *wrong])

    async def _prove(self) -> None:
        try:
            await self._parts.store.claim(_NOTHING, 0, self._now())
        except StoreUnavailable:
            await trio.sleep_forever()  # the daemon is ending; whether it does is what the watchdog is for

    async def _answer_hangups(self) -> None:
        while True:
            await self._hung_up.wait()
            self._hung_up = trio.Event()
            if self._parts.reloader is None:
                continue
            with self._notifier.reloading():
                await self._parts.reloader.reload()
            self._notifier.status(self.describe())

    async def _keep_status(self) -> None:
        """Tell the state when it is another; what waits is counted now and then only."""
        told: tuple[object, ...] = ()
        count_at = 0.0
        while True:
            if trio.current_time() >= count_at:
                self._backlog = await self._count_backlog()
                count_at = trio.current_time() + _COUNT_EVERY_S
            reloader = self._parts.reloader
            now = (self._parts.live.current, None if reloader is None else reloader.last, self._backlog)
            # They are replaced and never changed: to see that they are the same costs nothing, however much they hold.
            if len(told) != len(now) or any(one is not other for one, other in zip(now, told, strict=True)):
                told = now
                self._notifier.status(self.describe())
            await trio.sleep(_LOOK_EVERY_S)

    async def _count_backlog(self) -> str:
        try:
            rows = await self._parts.store.read(Backlog(), EVERY_WEBHOOK)
        except StoreUnavailable:
            return "the store is not available"
        pending, held = sum(row.pending for row in rows), sum(row.held for row in rows)
        return f"{pending} pending" + (f" ({held} held)" if held else "")
