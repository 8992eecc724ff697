"""Where claims wait: a lane for each webhook with work, its gates, and the memory that all lanes share.

Rules of this module:

1. At most `memory_window` deliveries wait in a lane, beside those in flight, which `concurrency` bounds. The rest stays
   in the store. An event and a claim may fill the same room at the same time; what is too much then goes back.
2. All lanes together hold `MEMORY` bytes. The less is left, the less a single lane may take (`SHARE` of what is free):
   fifty slow receivers with large events then leave room for the fifty-first, which is quick.
3. Next goes the lane whose turn it is (`Slots`), if its gates are open. `opens_in` is the only gate: it says how many
   seconds until an attempt may start.
4. A lane that is closed for long (paused by its receiver, suspended) keeps nothing: its claims go back.
5. The store may hold due deliveries for a lane that got all that it had room for, and only then: such a lane is
   `short`, and is fed again when it has run down. Guessing too much here costs a claim that finds nothing; guessing too
   little delays a delivery until the next look.
6. Behind an open breaker a lane holds a choice of at most `CHOICE` deliveries, of which the probe is the one that was
   attempted least, and not the one whose failure closed the gate, if there is another.
7. What a claim may ask for is told by the lanes that hold something or are closed; nothing here walks all lanes but
   a reload, and a look at what can be forgotten.
8. A test (`once`) passes all gates, turns and windows: somebody waits for its answer.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from hookd.delivery.gates import Gates
from hookd.delivery.health import closed_for, has_gates, idle_for
from hookd.delivery.lane import CLAIM_WEIGHT, Figures, Lane, adopt_definition, is_proven, take_probe, weigh
from hookd.delivery.slots import Slots

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from hookd.core.config import Webhook
    from hookd.core.daemonconfig import Limits
    from hookd.core.model import Claim, WebhookState

#: DESIGN decision 9: what all claims in memory may weigh.
MEMORY: Final = 32 * 1024 * 1024
#: Which part of the free memory one lane may hold.
SHARE: Final = 0.5
#: A lane that is closed for longer than this many seconds gives its claims back.
PATIENCE: Final = 1.0
#: From how many deliveries a probe is chosen.
CHOICE: Final = 16


class Lanes:
    """All lanes. State: the claims in memory, and which lanes are busy or closed.

    `now` is the wall clock in milliseconds; `clock` is monotonic, in seconds. `return_claims` takes what goes back;
    `gate_shut` is told when a gate has shut that opens before the others.
    """

    def __init__(
        self,
        *,
        limits: Limits,
        states: Mapping[str, WebhookState],
        now: Callable[[], int],
        clock: Callable[[], float],
        return_claims: Callable[[Sequence[Claim]], None],
        gate_shut: Callable[[], None],
        webhook: Callable[[str], Webhook | None],
    ) -> None:
        self._window = limits.memory_window
        self.event_bytes = limits.event_bytes
        self.memory = max(MEMORY, limits.event_bytes + CLAIM_WEIGHT)  # one event of the largest size always fits
        self._states = states
        self._now = now
        self._clock = clock
        self._return = return_claims
        self._webhook = webhook
        self._lanes: dict[str, Lane] = {}
        self._slots = Slots(limits.concurrency, clock)
        self._gates = Gates(clock, gate_shut)
        self._express: deque[tuple[Lane, Claim]] = deque()
        self._busy: dict[str, Lane] = {}  # that may have less room than a window
        self._closed: dict[str, int] = {}  # that have no room at all: 0
        self.weight = 0
        self.queued = 0
        self.tight = False  # memory, not a window, has kept a lane from more
        self._mean_weight = float(CLAIM_WEIGHT)
        self.closed = False

    @property
    def flying(self) -> int:
        """How many attempts are in flight."""
        return self._slots.flying

    @property
    def wanted(self) -> bool:
        """Whether something may wait for a worker."""
        return self._slots.wanted or bool(self._express)

    def lane(self, webhook_id: str) -> Lane:
        """Give the lane of a webhook, a new one if there is none."""
        lane = self._lanes.get(webhook_id)
        if lane is None:
            lane = self._lanes[webhook_id] = Lane(webhook_id)
            self._adopt(lane)
        return lane

    def take(self, claims: Iterable[Claim], *, offered: bool = True) -> list[Lane]:
        """Queue claims; give the lanes that got all that they had been offered."""
        got: dict[str, int] = {}
        excess: list[Claim] = []
        for claim in claims:
            lane = self._lanes.get(claim.webhook) or self.lane(claim.webhook)
            if len(lane.claims) >= self._window and not claim.once:
                excess.append(claim)
                continue
            weight = weigh(claim)
            lane.weight += weight
            self.weight += weight
            self.queued += 1
            self._mean_weight += (weight - self._mean_weight) / 64.0
            if claim.once:
                self._express.append((lane, claim))
                continue
            lane.claims.append(claim)
            got[claim.webhook] = got.get(claim.webhook, 0) + 1
            if not lane.queued:
                self._enter(lane)
        for webhook_id in got:
            self._busy[webhook_id] = self._lanes[webhook_id]
        if excess:
            self._return(excess)
        if not offered:
            return []
        filled = []
        for webhook_id, number in got.items():
            lane = self._lanes[webhook_id]
            if number >= (self._window if lane.offered is None else lane.offered):
                lane.short = True
                filled.append(lane)
            lane.offered = None
        return filled

    def next(self) -> tuple[Lane, Claim] | None:
        """Take the delivery whose turn it is, counted as in flight; None: nothing may start now."""
        if self.closed:
            return None
        if self._express:
            lane, claim = self._express.popleft()
            self.queued -= 1
            self._slots.start(lane, limited=False)
            return lane, claim
        while (popped := self._slots.pop()) is not None:
            lane = popped
            state = self._states.get(lane.id)
            if lane.bucket is not None or (state is not None and has_gates(state)):
                wait = self.opens_in(lane)
                if wait > 0.0:
                    self._shut(lane, wait)
                    continue
                if lane.bucket is not None:
                    lane.bucket.take()
            claim = lane.claims.popleft() if state is None or state.open_until is None else take_probe(lane)
            self.queued -= 1
            self._slots.start(lane)
            if lane.claims and not lane.queued:
                self._enter(lane)
            return lane, claim
        return None

    def finish(self, lane: Lane, claim: Claim) -> None:
        """Count an attempt as over; what it taught is known already."""
        weight = weigh(claim)
        lane.weight -= weight
        self.weight -= weight
        self._slots.finish(lane, limited=not claim.once)
        if lane.claims and not lane.queued:
            self._enter(lane)

    def trust(self, lane: Lane) -> None:
        """Take note that a webhook's receiver took a delivery."""
        self._slots.trust(lane)

    def doubt(self, lane: Lane) -> None:
        """Let a lane start slowly, as if nothing were known of its receiver, and judge its gates anew."""
        self._slots.doubt(lane)
        self.look_again(lane)

    def opens_in(self, lane: Lane) -> float:
        """Give the seconds until an attempt may start, its slots aside; `FOREVER`: not before something changes."""
        wait = 0.0
        state = self._states.get(lane.id)
        if state is not None and has_gates(state):
            wait = closed_for(state, self._now())
        if lane.bucket is not None:
            wait = max(wait, lane.bucket.wait(self._clock()))
        return wait

    def room(self, webhooks: Iterable[str]) -> dict[str, int]:
        """Give how many more deliveries each webhook's lane can hold, and remember what was offered."""
        answer: dict[str, int] = {}
        for webhook_id in webhooks:
            lane = self._lanes.get(webhook_id)
            if lane is None:
                lane = self.lane(webhook_id)
            room = self.room_of(lane)
            answer[webhook_id] = room
            if room <= 0:
                lane.short = True
            elif room < self._window and (lane.offered is None or room < lane.offered):
                lane.offered = room
        return answer

    def room_of(self, lane: Lane) -> int:
        """Give how many more deliveries a lane can hold."""
        if self.closed:
            return 0
        state = self._states.get(lane.id)
        if state is not None and has_gates(state) and closed_for(state, self._now()) > PATIENCE:
            return 0
        window = self._window if state is None or state.open_until is None else min(CHOICE, self._window)
        room = window - len(lane.claims)
        if room <= 0:
            return 0
        share = int(((self.memory - self.weight) * SHARE - lane.weight) / self._mean_weight)
        if share >= room:
            return room
        self.tight = True
        # An empty lane gets one, as long as there is any room: else large events could shut it out for good.
        return max(share, 1 if not lane.held and self.weight < self.memory else 0)

    def offer(self) -> tuple[dict[str, int], int, int]:
        """Give what a claim may ask for: the room of each lane that cannot hold all, of every other lane, and bytes."""
        rooms = dict(self._closed)
        for lane in list(self._busy.values()):
            room = self.room_of(lane)
            if room > 0:
                lane.short = False  # it is asked for now
            if room < self._window:
                rooms[lane.id] = room
            else:
                rooms.pop(lane.id, None)  # its gate may be open by now, though nobody has looked yet
                del self._busy[lane.id]
        free = self.memory - self.weight
        each = max(1 if free > 0 else 0, min(self._window, int(free * SHARE / self._mean_weight)))
        # What lies beyond the share is there for those events that the intake hands over meanwhile.
        return rooms, each, free if self.weight == 0 else int(free * SHARE)

    def hungry(self, lane: Lane) -> bool:
        """Whether a lane has run down, may go on, and the store may have more for it."""
        return lane.short and len(lane.claims) <= self._window // 2 and self.room_of(lane) > 0

    def relieved(self) -> bool:
        """Whether memory was what kept lanes from more, and a good part of it is free again. It is told once."""
        if self.tight and self.weight <= self.memory // 2:
            self.tight = False
            return True
        return False

    def reopen(self) -> tuple[list[Lane], float]:
        """Let in the lanes whose time has come; give them, and the seconds until the next is (`FOREVER`: none)."""
        opened = []
        while (lane := self._gates.pop()) is not None:
            wait = self.opens_in(lane)
            if wait > 0.0:
                self._shut(lane, wait)
                continue
            self._open(lane)
            opened.append(lane)
        return opened, self._gates.opens_in()

    def look_again(self, lane: Lane) -> None:
        """Judge a lane's gates anew, since its webhook's state or definition changed."""
        wait = self.opens_in(lane)
        lane.waiting = False  # a place in the heap that it may have is looked at when its time comes, and no harm
        if wait > 0.0:
            self._shut(lane, wait)
        else:
            self._open(lane)

    def adopt(self) -> None:
        """Take over what another config says, and forget the lanes that nothing is left to say about."""
        for lane in list(self._lanes.values()):
            self._adopt(lane)
            self.look_again(lane)
        self.forget()

    def forget(self) -> None:
        """Drop the lanes that are as good as new."""
        clock = self._clock()
        for lane in list(self._lanes.values()):
            used = lane.held or lane.weight or lane.short or lane.queued or lane.waiting
            if not used and not is_proven(lane, clock) and (lane.bucket is None or lane.bucket.full(clock)):
                del self._lanes[lane.id]
                self._busy.pop(lane.id, None)
                self._closed.pop(lane.id, None)

    def close(self) -> list[Claim]:
        """Let no further attempt start; give the claims that wait."""
        self.closed = True
        claims = [claim for lane in self._lanes.values() for claim in lane.claims]
        claims += [claim for _, claim in self._express]
        for lane in self._lanes.values():
            lane.claims.clear()
        self._express.clear()
        self.queued = 0
        return claims

    def figures(self, webhook_id: str) -> Figures:
        """Give how a webhook's lane stands."""
        lane = self._lanes.get(webhook_id)
        return Figures(queued=0 if lane is None else len(lane.claims), in_flight=0 if lane is None else lane.flying)

    def _enter(self, lane: Lane) -> None:
        if lane.claims and not lane.waiting:
            self._slots.enter(lane)

    def _open(self, lane: Lane) -> None:
        self._closed.pop(lane.id, None)
        self._busy[lane.id] = lane
        self._enter(lane)

    def _shut(self, lane: Lane, wait: float) -> None:
        """Keep a lane out until its gate may be open."""
        if wait > PATIENCE and self._closed_by_state(lane):
            self._closed[lane.id] = 0
            self.give_back(lane)
        self._gates.shut(lane, wait)

    def give_back(self, lane: Lane) -> None:
        """Return what waits in a lane to the store; it is fed again when its gates open."""
        if lane.claims:
            claims = list(lane.claims)
            lane.claims.clear()
            weight = sum(map(weigh, claims))
            lane.weight -= weight
            self.weight -= weight
            self.queued -= len(claims)
            self._return(claims)
        lane.short = True

    def _closed_by_state(self, lane: Lane) -> bool:
        state = self._states.get(lane.id)
        return state is not None and closed_for(state, self._now()) > PATIENCE

    def _adopt(self, lane: Lane) -> None:
        webhook = self._webhook(lane.id)
        if webhook is None:
            self.give_back(lane)  # by another name, it need not wait for what is in flight here
            lane.short = False
            return
        if adopt_definition(lane, webhook, self._clock(), idle=idle_for(self._states.get(lane.id), self._now())):
            self._slots.doubt(lane)
