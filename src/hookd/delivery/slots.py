"""Who may begin an attempt: the global cap, shared so that receivers that hang harm nobody but themselves.

Rules of this module:

1. Turns go round tenants, then webhooks. A lane whose turn comes begins one attempt, and stands at the end again.
2. A webhook is *proven* while its last success is at most `PROVEN` seconds old (longer where its timeout is). One
   that is not has a single slot, and all of those together have half of the cap: any number of endpoints that hang
   leaves the other half to those that answer. Those that wait for a place in their half take turns with the others.
3. A webhook that is proven anew starts slowly: 1 slot, 2, 4, and so on up to its `concurrency`, a step whenever as
   many attempts have succeeded as it has slots.
4. A proven lane takes a further slot only while at least as many are free as it has. So the more lanes are busy the
   less each takes, and some slots always remain for the next one: fifty proven endpoints that all begin to hang at
   once take about five each of 256, and leave about five. One webhook alone has at most half of the cap.
5. Whether a lane is proven is judged by the time that was looked at last, when a turn began or a success came: one that
   enters wrongly for being judged by an older time is judged again when its turn comes.
6. A lane that rule 4 keeps waiting stands aside, and is looked at when slots are free that nobody else takes, the one
   with the fewest attempts in flight first. Nothing here walks all lanes.
"""

from __future__ import annotations

import heapq
from itertools import count
from typing import TYPE_CHECKING

from hookd.core.schedule import Turns

if TYPE_CHECKING:
    from collections.abc import Callable

    from hookd.delivery.lane import Lane


class Slots:
    """The slots of all lanes. State: who waits for one, and how many are taken. `clock` is monotonic, in seconds."""

    def __init__(self, limit: int, clock: Callable[[], float]) -> None:
        self._limit = limit
        self._half = max(1, limit // 2)
        self._clock = clock
        self._turns: Turns[Lane] = Turns()
        self._held_up: Turns[Lane] = Turns()  # unproven, while their half is taken
        self._aside: list[tuple[int, int, Lane]] = []  # by attempts in flight; stale once the lane's ticket differs
        self._tickets = count(1)
        self._last_held_up = False
        self._time = clock()
        self.flying = 0
        self.trying = 0  # how many of `flying` are of unproven lanes

    @property
    def wanted(self) -> bool:
        """Whether a lane waits for its turn; it may have to go on waiting."""
        return bool(self._turns) or bool(self._held_up) or bool(self._aside)

    def enter(self, lane: Lane) -> None:
        """Let a lane that has claims wait for a turn, unless it waits already or has all the slots that it may have."""
        if not lane.queued and _has_slot(lane, proven=self._is_proven(lane)):
            lane.queued = True
            self._turns.add(lane.group, lane)

    def pop(self) -> Lane | None:
        """Take the lane whose turn it is, if it has claims; None: nobody may begin an attempt."""
        free = self._limit - self.flying
        self._time = self._clock()
        while free > 0 and (lane := self._draw(free)) is not None:
            lane.queued = False
            if not lane.claims:
                continue
            proven = self._is_proven(lane)
            if not _has_slot(lane, proven=proven):
                continue
            if not proven and self.trying >= self._half:
                lane.queued = True
                self._held_up.add(lane.group, lane)
            elif lane.flying <= free:
                return lane
            else:
                lane.queued = True
                lane.aside = next(self._tickets)
                heapq.heappush(self._aside, (lane.flying, lane.aside, lane))
        return None

    def start(self, lane: Lane, *, limited: bool = True) -> None:
        """Count an attempt as begun; one that is not `limited` is no trial."""
        lane.flying += 1
        self.flying += 1
        if limited and not lane.trial and not self._is_proven(lane):
            lane.trial = True
            self.trying += 1

    def finish(self, lane: Lane, *, limited: bool = True) -> None:
        """Count an attempt as over."""
        lane.flying -= 1
        self.flying -= 1
        if limited and lane.trial:
            lane.trial = False
            self.trying -= 1
        if lane.aside:
            lane.aside = 0
            lane.queued = False

    def trust(self, lane: Lane) -> None:
        """Take note of a success."""
        lane.proven_at = self._time = self._clock()
        if lane.allowance < lane.concurrency:
            lane.raised += 1
            if lane.raised >= lane.allowance:
                lane.allowance *= 2
                lane.raised = 0

    def doubt(self, lane: Lane) -> None:
        """Let a lane begin anew, as if nothing were known of it."""
        lane.proven_at = float("-inf")

    def _draw(self, free: int) -> Lane | None:
        room = self.trying < self._half and bool(self._held_up)
        if room and not (self._last_held_up and self._turns):
            self._last_held_up = True
            return self._held_up.pop()
        self._last_held_up = False
        if self._turns:
            return self._turns.pop()
        while self._aside:
            flying, ticket, lane = self._aside[0]
            if lane.aside == ticket:
                if flying > free:
                    return None
                lane.aside = 0
                heapq.heappop(self._aside)
                return lane
            heapq.heappop(self._aside)
        return None

    def _is_proven(self, lane: Lane) -> bool:
        if self._time - lane.proven_at <= lane.proven_for:
            return True
        lane.allowance = 1
        lane.raised = 0
        return False


def _has_slot(lane: Lane, *, proven: bool) -> bool:
    return lane.flying < min(lane.allowance, lane.concurrency) if proven else not lane.flying
