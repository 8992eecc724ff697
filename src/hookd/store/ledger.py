"""What the SQLite store knows in memory: a short account of each webhook, and what is claimed.

Rules of this module:

1. SQLite means one owner process, so claims need no write: they live here, and after a crash a delivery is simply
   still pending.
2. Nothing here grows with the backlog: per webhook a few numbers, per claim one entry.
3. A transaction works on a `Draft`, which copies what it touches; `apply` makes it true after the commit, and a
   rollback just drops it. Only the writer's thread touches a ledger.
4. `next_due` of a webhook is when the first delivery that is neither claimed nor waiting for another is due. It may
   be too early (what it stood for was claimed or killed), never too late; claiming finds out the truth.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import msgspec

from hookd.core.model import WebhookState
from hookd.store.batches import ROWS, RowStatement
from hookd.store.recent import Recent
from hookd.store.standing import Standing

if TYPE_CHECKING:
    import apsw

    from hookd.core.model import Event

_WRITE_WEBHOOKS = RowStatement(
    "INSERT INTO webhooks (key, name, fingerprint, rules, bound, paused, state, held_since, held_total,"
    f" pending, withheld, dead, delivered, exchanges) {ROWS}"
    " ON CONFLICT (key) DO UPDATE SET name=excluded.name, fingerprint=excluded.fingerprint, rules=excluded.rules,"
    " bound=excluded.bound, paused=excluded.paused, state=excluded.state, held_since=excluded.held_since,"
    " held_total=excluded.held_total, pending=excluded.pending, withheld=excluded.withheld, dead=excluded.dead,"
    " delivered=excluded.delivered, exchanges=excluded.exchanges",
    14,
)
_WRITE_COUNTS = RowStatement(
    "WITH v (key, pending, withheld, dead, delivered, exchanges) AS (VALUES {rows})"
    " UPDATE webhooks SET pending=v.pending, withheld=v.withheld, dead=v.dead, delivered=v.delivered,"
    " exchanges=v.exchanges FROM v WHERE webhooks.key = v.key",
    6,
)
_encode_state = msgspec.json.Encoder().encode


class Lane(Standing):
    """A webhook, and what claiming from it needs. Copied for every transaction that touches it."""

    next_due: int | None = None
    exchanges: int = 0  # written so far, modulo nothing; the ring's slot follows from it

    def due_by(self, due_at: int) -> None:
        """Take note of an unclaimed delivery that is due at an instant."""
        if self.next_due is None or due_at < self.next_due:
            self.next_due = due_at


class Lease(NamedTuple):
    """A delivery that is handed out."""

    seq: int
    key: int
    due_at: int | None
    order_key: str | None


Taken: TypeAlias = "dict[int, int]"  # delivery → lease


class Counters(msgspec.Struct, gc=False):
    """The numbers that were given last, and the bytes of all events."""

    event: int = 0
    delivery: int = 0
    attempt: int = 0
    webhook: int = 0
    bytes: int = 0


@dataclass(slots=True)
class Ledger:
    """The account of everything."""

    uid: str
    counters: Counters = field(default_factory=Counters)
    lanes: dict[int, Lane] = field(default_factory=dict)
    names: dict[str, int] = field(default_factory=dict)
    merged: dict[int, int] = field(default_factory=dict)  # webhooks that were moved over, and where to
    leases: dict[int, Lease] = field(default_factory=dict)
    taken: dict[int, Taken] = field(default_factory=dict)  # by webhook
    last_lease: int = 0
    last_turn: int = 0
    prune_from: int = 0
    due: list[tuple[int, int]] = field(default_factory=list)  # a heap of (next_due, key); stale ones are dropped later
    ready: set[int] = field(default_factory=set)  # keys that may have something due
    recent: Recent = field(default_factory=Recent)

    def schedule(self, lane: Lane) -> None:
        """Put a webhook where claiming finds it."""
        if lane.next_due is not None and not lane.held:
            heappush(self.due, (lane.next_due, lane.key))

    def find_ready(self, now: int) -> set[int]:
        """Give the webhooks that have something due, at a cost that follows them."""
        while self.due and self.due[0][0] <= now:
            self.ready.add(heappop(self.due)[1])
        lanes = self.lanes
        self.ready = {key for key in self.ready if (lane := lanes.get(key)) is not None and is_ready(lane, now)}
        return self.ready

    def next_due_at(self, now: int) -> int | None:
        """Give when a webhook that has nothing due gets something due."""
        while self.due:
            due_at, key = self.due[0]
            lane = self.lanes.get(key)
            if lane is not None and not lane.held and lane.next_due == due_at and due_at > now:
                return due_at
            heappop(self.due)
            if lane is not None and is_ready(lane, now):
                self.ready.add(key)
        return None


def is_ready(lane: Lane, now: int) -> bool:
    """Tell whether a webhook may have something due."""
    return lane.next_due is not None and lane.next_due <= now and not lane.held


class Draft:
    """A ledger in which a transaction writes without changing the true one."""

    __slots__ = (
        "_accepted",
        "_counted",
        "_defined",
        "_lanes",
        "_taken",
        "counters",
        "given",
        "ledger",
        "merged",
        "named",
        "unnamed",
        "voided",
    )

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.counters = copy.copy(ledger.counters)
        self.named: dict[str, int] = {}
        self.unnamed: set[str] = set()
        self.merged: dict[int, int] = {}
        self.given: dict[int, Lease] = {}
        self.voided: set[int] = set()
        self._lanes: dict[int, Lane] = {}
        self._taken: dict[int, Taken] = {}
        self._counted: set[int] = set()
        self._defined: set[int] = set()
        self._accepted: list[tuple[int, Event]] = []

    def lane(self, key: int) -> Lane:
        """Give a webhook to count in."""
        lane = self._lanes.get(key)
        if lane is None:
            key = self.ledger.merged.get(key, key)
            lane = self._lanes.get(key)
            if lane is None:
                lane = self._lanes[key] = copy.copy(self.ledger.lanes[key])
        self._counted.add(lane.key)
        return lane

    def define(self, key: int) -> Lane:
        """Give a webhook to change in every way."""
        lane = self.lane(key)
        self._defined.add(lane.key)
        return lane

    def look(self, key: int) -> Lane:
        """Give a webhook to look at only."""
        return self._lanes.get(key) or self.ledger.lanes[key]

    def find(self, name: str) -> int | None:
        """Give the key of a webhook, if it is known."""
        key = self.named.get(name)
        if key is None and name not in self.unnamed:
            key = self.ledger.names.get(name)
        return key

    def key(self, name: str, now: int) -> int:
        """Give the key of a webhook; one that is not known yet becomes known, unbound."""
        key = self.find(name)
        if key is None:
            self.counters.webhook += 1
            key = self.named[name] = self.counters.webhook
            self._lanes[key] = Lane(key=key, name=name, state=WebhookState(webhook=name), held_since=now)
            self._defined.add(key)
        return key

    def merge(self, target: int, source: int) -> None:
        """Make what is left of a webhook a part of another one."""
        self.merged[target] = source

    def rename(self, source: Lane, name: str) -> None:
        """Give a webhook another name; whoever had that name loses it."""
        self.unnamed.add(source.name)
        self.named.pop(source.name, None)
        self.named[name] = source.key
        source.rename(name)

    def taken(self, key: int) -> Taken:
        """Give the claimed deliveries of a webhook, to look at only."""
        found = self._taken.get(key)
        return self.ledger.taken.get(key, {}) if found is None else found

    def _own_taken(self, key: int) -> Taken:
        found = self._taken.get(key)
        if found is None:
            found = self._taken[key] = dict(self.ledger.taken.get(key, ()))
        return found

    def accept(self, seq: int, event: Event) -> None:
        """Take note of a delivery that is stored and due, and that somebody will claim."""
        self._accepted.append((seq, event))

    def lease(self, number: int) -> Lease | None:
        """Give what a lease is for, if it still holds."""
        if number in self.voided:
            return None
        return self.given.get(number) or self.ledger.leases.get(number)

    def give(self, lease: Lease) -> int:
        """Hand a delivery out; give the number of its lease."""
        number = self.ledger.last_lease = self.ledger.last_lease + 1
        self.given[number] = lease
        self._own_taken(lease.key)[lease.seq] = number
        return number

    def void(self, number: int, lease: Lease) -> None:
        """End a lease."""
        self.voided.add(number)
        self._own_taken(lease.key).pop(lease.seq, None)

    def flush(self, connection: apsw.Connection) -> None:
        """Write what changed of the accounts, in the transaction that changed them."""
        old, new = self.ledger.counters, self.counters
        if self._defined:
            _WRITE_WEBHOOKS.run(connection, [v for key in sorted(self._defined) for v in _columns(self._lanes[key])])
        counts: list[object] = []
        for key in self._counted - self._defined:
            lane, was = self._lanes[key], self.ledger.lanes[key]
            now = (lane.pending, lane.withheld, lane.dead, lane.delivered, lane.exchanges)
            if now != (was.pending, was.withheld, was.dead, was.delivered, was.exchanges):
                counts += (key, *now)
        if counts:
            _WRITE_COUNTS.run(connection, counts)
        if new != old:
            connection.execute(
                "UPDATE counters SET event=?, delivery=?, attempt=?, webhook=?, bytes=?",
                (new.event, new.delivery, new.attempt, new.webhook, new.bytes),
            )

    def apply(self) -> None:
        """Make it true, after the commit."""
        ledger = self.ledger
        ledger.counters = self.counters
        for name in self.unnamed:
            ledger.names.pop(name, None)
        ledger.names.update(self.named)
        for target, source in self.merged.items():
            del ledger.lanes[target]
            ledger.merged |= {key: source for key, root in ledger.merged.items() if root == target} | {target: source}
        for number in self.voided:
            ledger.leases.pop(number, None)
        for number, lease in self.given.items():
            if number not in self.voided:
                ledger.leases[number] = lease
        ledger.recent.keep_all(self._accepted)
        for key, taken in self._taken.items():
            if taken:
                ledger.taken[key] = taken
            else:
                ledger.taken.pop(key, None)
        for key, lane in self._lanes.items():
            was = ledger.lanes.get(key)
            ledger.lanes[key] = lane
            if was is None or was.next_due != lane.next_due or was.held != lane.held:
                ledger.schedule(lane)


def _columns(lane: Lane) -> tuple[object, ...]:
    return (
        lane.key,
        lane.name,
        lane.fingerprint,
        lane.rules,
        int(lane.bound),
        int(lane.paused),
        _encode_state(lane.state).decode(),
        lane.held_since,
        lane.held_total,
        lane.pending,
        lane.withheld,
        lane.dead,
        lane.delivered,
        lane.exchanges,
    )
