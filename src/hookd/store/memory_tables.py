"""The tables of the memory store, and the few moves that a delivery can make between them."""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hookd.core.model import Cause, Claim, State
from hookd.store.content import event_key
from hookd.store.deliveryids import write_delivery_id
from hookd.store.standing import Standing, new_standing

if TYPE_CHECKING:
    from hookd.core.model import Attempt, Event, Exchange


@dataclass(slots=True, eq=False)
class Delivery:
    """A delivery and all that is known of it."""

    seq: int
    event: int
    webhook: int
    due_at: int | None
    born: int  # the webhook's clock when its age began; while it is held one by one: minus its age
    order_key: str | None
    once: bool
    state: State = State.PENDING
    attempts: int = 0
    cause: Cause | None = None
    held_at: int | None = None
    ended_at: int | None = None
    lease: int | None = None


@dataclass(slots=True, eq=False)
class Attempted:
    """An attempt of the request log."""

    seq: int
    delivery: int
    webhook: int
    attempt: Attempt
    next_at: int | None


@dataclass(slots=True, eq=False)
class Lane:
    """The pending deliveries of one webhook, by the three questions that are asked of them."""

    pending: dict[int, Delivery] = field(default_factory=dict)
    due: list[tuple[int, int]] = field(default_factory=list)  # (due_at, seq) of those unclaimed, sorted
    keys: dict[str, dict[int, None]] = field(default_factory=dict)  # order key → seqs, the head first


@dataclass(slots=True, eq=False)
class Tables:
    """Everything, and the few moves that a delivery can make."""

    uid: str
    events: dict[int, Event] = field(default_factory=dict)
    owed: dict[int, list[int]] = field(default_factory=dict)  # event → its deliveries
    known: dict[tuple[str, str, str], int] = field(default_factory=dict)  # idempotency key → event
    deliveries: dict[int, Delivery] = field(default_factory=dict)
    attempts: dict[int, Attempted] = field(default_factory=dict)
    exchanges: dict[int, list[tuple[int, Exchange]]] = field(default_factory=dict)  # webhook → (attempt, exchange)
    standings: dict[int, Standing] = field(default_factory=dict)
    keys: dict[str, int] = field(default_factory=dict)  # name → key
    lanes: dict[int, Lane] = field(default_factory=dict)
    leases: dict[int, int] = field(default_factory=dict)  # lease → delivery
    last_event: int = 0
    last_delivery: int = 0
    last_attempt: int = 0
    last_lease: int = 0
    last_key: int = 0
    last_turn: int = 0

    def standing(self, name: str, now: int) -> Standing:
        """Give a webhook; one that is not known yet becomes known, unbound."""
        if name not in self.keys:
            self.last_key += 1
            self.keys[name] = self.last_key
            self.standings[self.last_key] = new_standing(self.last_key, name, now)
            self.lanes[self.last_key] = Lane()
        return self.standings[self.keys[name]]

    def delivery_id(self, seq: int) -> str:
        """Give what stands in the `webhook-id` header: the same over attempts and redrives."""
        return write_delivery_id(self.uid, seq)

    def claim(self, delivery: Delivery, now: int) -> Claim:
        """Hand a delivery out, under a new lease."""
        standing = self.standings[delivery.webhook]
        self.undue(delivery)
        self.last_lease += 1
        delivery.lease = self.last_lease
        self.leases[self.last_lease] = delivery.seq
        return Claim(
            lease=self.last_lease,
            delivery_id=self.delivery_id(delivery.seq),
            webhook=standing.name,
            event=self.events[delivery.event],
            attempts=delivery.attempts,
            aging_since=delivery.born + standing.held_ms(now),
            order_key=delivery.order_key,
            once=delivery.once,
        )

    def unclaim(self, delivery: Delivery) -> None:
        """Make a lease, if there is one, void."""
        if delivery.lease is not None:
            del self.leases[delivery.lease]
            delivery.lease = None

    def undue(self, delivery: Delivery) -> None:
        """Take a delivery out of what can be claimed."""
        due = self.lanes[delivery.webhook].due
        if delivery.due_at is not None and delivery.lease is None:
            at = bisect_left(due, (delivery.due_at, delivery.seq))
            del due[at]

    def wait(self, delivery: Delivery, due_at: int | None) -> None:
        """Make an unclaimed delivery that is in no due list due at an instant; None: it waits for another."""
        delivery.due_at = due_at
        if due_at is not None:
            insort(self.lanes[delivery.webhook].due, (due_at, delivery.seq))

    def reopen(self, delivery: Delivery, due_at: int | None) -> None:
        """Make a delivery pending."""
        lane = self.lanes[delivery.webhook]
        lane.pending[delivery.seq] = delivery
        if delivery.order_key is not None:
            lane.keys.setdefault(delivery.order_key, {})[delivery.seq] = None
        self.standings[delivery.webhook].pending += 1
        self.wait(delivery, due_at)

    def end(self, delivery: Delivery, cause: Cause | None, now: int) -> None:
        """Make a pending delivery delivered, or dead of a cause, and the next one of its key due."""
        standing, lane = self.standings[delivery.webhook], self.lanes[delivery.webhook]
        self.undue(delivery)
        self.unclaim(delivery)
        if delivery.once:
            delivery.state = State.DELIVERED if cause is None else State.DEAD
            delivery.cause, delivery.ended_at = cause, now
            standing.delivered += cause is None
            return
        standing.withheld -= delivery.held_at is not None
        delivery.state = State.DELIVERED if cause is None else State.DEAD
        delivery.cause, delivery.ended_at = cause, now
        delivery.due_at = delivery.held_at = None
        standing.pending -= 1
        if cause is None:
            standing.delivered += 1
        else:
            standing.dead += 1
        del lane.pending[delivery.seq]
        if delivery.order_key is not None:
            line = lane.keys[delivery.order_key]
            del line[delivery.seq]
            if not line:
                del lane.keys[delivery.order_key]
            else:
                head = self.deliveries[next(iter(line))]
                if head.due_at is None and head.held_at is None:
                    self.wait(head, now)

    def forget_event(self, seq: int) -> int:
        """Remove an event with its deliveries and their attempts; give how many attempts."""
        event = self.events.pop(seq)
        del self.known[event_key(event)]
        gone = set(self.owed.pop(seq))
        for number in gone:
            delivery = self.deliveries.pop(number)
            standing = self.standings[delivery.webhook]
            standing.delivered -= delivery.state is State.DELIVERED
            standing.dead -= delivery.state is State.DEAD and not delivery.once
        attempts = [row.seq for row in self.attempts.values() if row.delivery in gone]
        for number in attempts:
            del self.attempts[number]
        return len(attempts)
