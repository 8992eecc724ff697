"""What else is due: asks the store for claims when there is reason to, and opens gates in time.

Rules of this module:

1. The store is asked when something may be due that is not in memory: at the start, when a retry's time comes, when a
   lane that is `short` has run down, when the head of an order was recorded, when the config or a state
   changed. Never on a beat: an idle daemon asks every `RECHECK` seconds, for the wall clock may have jumped.
2. What is learnt while the store is busy with a claim counts for the next one: `short` and the next due time are
   cleared before the call, not after it.
3. After a start what is due comes by and by: `FIRST` deliveries, then twice as many after each `STEP` seconds, until
   that is more than there is. A crash leaves up to a cap full of attempts that may have arrived; receivers get those
   spread over some seconds, and what is new is handed over meanwhile as always.
4. A claim that is under way is always waited for. Else its claims would belong to nobody until the next start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from hookd.delivery.gates import RECHECK
from hookd.delivery.lane import CLAIM_WEIGHT, weigh
from hookd.store.base import Wants

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from hookd.core.model import Claim
    from hookd.delivery.lane import Lane
    from hookd.delivery.lanes import Lanes
    from hookd.store.base import Store

#: How many claims to ask for at once: a transaction and a batch that keep nobody else waiting for long.
TOTAL: Final = 1024
#: How many claims to ask for at first, and the seconds between the first questions.
FIRST: Final = 8
STEP: Final = 0.5
#: How soon to ask again, in milliseconds, when the store has named a time that is past.
BREATH_MS: Final = 20


class Feeder:
    """Feeds lanes. State: whether there is reason to ask, and when there will be.

    `fed` takes claims; `kick` is called when gates have opened.
    """

    def __init__(
        self,
        store: Store,
        lanes: Lanes,
        *,
        now: Callable[[], int],
        fed: Callable[[Sequence[Claim]], None],
        kick: Callable[[], None],
    ) -> None:
        self._store = store
        self._lanes = lanes
        self._now = now
        self._fed = fed
        self._kick = kick
        self._asked = True
        self._due_at: int | None = None
        self._stirred = trio.Event()
        self._gates = trio.Event()
        self._stopping = False
        self._resting = trio.Event()

    def ask(self) -> None:
        """Ask the store soon."""
        if not self._asked:
            self._asked = True
            self._stirred.set()

    def due(self, due_at: int) -> None:
        """Ask the store at `due_at`, if not before."""
        if self._due_at is None or due_at < self._due_at:
            self._due_at = due_at
            self._stirred.set()

    def wants(self, lane: Lane) -> bool:
        """Whether what happened to a lane is a reason to ask."""
        return not self._asked and (self._lanes.hungry(lane) or self._lanes.relieved())

    def gates_changed(self) -> None:
        """Look at the gates anew: one may open earlier than those that were known."""
        self._gates.set()

    async def stop(self) -> None:
        """End, once a claim that is under way has come."""
        self._stopping = True
        self._stirred.set()
        await self._resting.wait()

    async def serve(self) -> None:
        """Ask when there is reason to, until stopped. Raises `StoreUnavailable`."""
        try:
            await self._begin()
            while not self._stopping:
                if not self._asked and not self._is_due():
                    self._stirred = trio.Event()
                    with trio.move_on_after(self._patience()) as scope:
                        await self._stirred.wait()
                    if scope.cancelled_caught:
                        # Either something is due, or the clock is to be looked at again: asking answers both.
                        self._asked = True
                        self._lanes.forget()
                    continue
                with trio.CancelScope(shield=True):
                    await self._claim()
        finally:
            self._resting.set()

    async def watch_gates(self) -> None:
        """Let lanes in when their gates open, for ever."""
        while True:
            self._gates = trio.Event()
            opened, wait = self._lanes.reopen()
            if opened:
                self._kick()
                if any(self.wants(lane) for lane in opened):
                    self.ask()
                continue
            with trio.move_on_after(min(wait, RECHECK)):
                await self._gates.wait()

    async def _begin(self) -> None:
        total = FIRST
        while total < TOTAL and not self._stopping:
            with trio.CancelScope(shield=True):
                claimed = await self._claim(total)
            if claimed < total:
                return
            total *= 2
            step = trio.current_time() + STEP
            while trio.current_time() < step and not self._stopping:
                self._stirred = trio.Event()
                with trio.move_on_at(step):
                    await self._stirred.wait()
        self._asked = True

    def _is_due(self) -> bool:
        return self._due_at is not None and self._due_at <= self._now()

    def _patience(self) -> float:
        if self._due_at is None:
            return RECHECK
        return min(max(0.0, (self._due_at - self._now()) / 1000.0), RECHECK)

    async def _claim(self, total: int = TOTAL) -> int:
        """Claim at most `total` deliveries; give how many came."""
        self._asked = False
        self._due_at = None
        lanes = self._lanes
        rooms, each, max_bytes = lanes.offer()
        if lanes.closed:
            return 0
        if each <= 0 or max_bytes <= 0:
            lanes.tight = True
            return 0
        claimed = await self._store.claim(Wants(total=total, each=each, but=rooms), max_bytes, self._now())
        claims = claimed.claims
        if claimed.next_due_at is not None:
            # What is due already and yet not handed out is due again in a moment: nothing here may spin.
            self.due(claimed.next_due_at if claims else max(claimed.next_due_at, self._now() + BREATH_MS))
        if claims:
            self._fed(claims)
        self._judge(claims, rooms, each, max_bytes)
        return len(claims)

    def _judge(self, claims: Sequence[Claim], rooms: Mapping[str, int], each: int, max_bytes: int) -> None:
        """See whether the store may have kept back something that is due: who got all that was asked for, may have."""
        lanes = self._lanes
        got: dict[str, int] = {}
        size = 0
        for claim in claims:
            got[claim.webhook] = got.get(claim.webhook, 0) + 1
            size += weigh(claim) - CLAIM_WEIGHT
        for webhook_id, number in got.items():
            if number >= rooms.get(webhook_id, each):
                lanes.lane(webhook_id).short = True
        if len(claims) >= TOTAL or size + lanes.event_bytes > max_bytes:
            # Cut by the total or by bytes: webhooks that got nothing may have more, and nobody else will ask for them.
            if lanes.weight <= lanes.memory // 2:
                self._asked = True
            else:
                lanes.tight = True
