"""Pruning: what is removed, oldest first, in chunks that do not keep producers waiting.

Rules of this module:

1. An event with pending deliveries stays, whatever its age and whatever the bytes.
2. A delivery counts as held since its webhook is held, or since it was due, whichever is later; one that waits for
   the head of its key counts since its event was accepted. So a redriven one gets a full term again.
3. The walk over events remembers where it was, so that a million old events that may not go are not walked again for
   each chunk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hookd.core.model import Cause
from hookd.store.base import Pruned
from hookd.store.batches import ask
from hookd.store.claiming import numbers
from hookd.store.revising import kill_rows
from hookd.store.tables import DEAD, DELIVERED

if TYPE_CHECKING:
    import apsw

    from hookd.store.base import Policy
    from hookd.store.ledger import Draft, Lane

#: How many events a chunk looks at for each row that it may remove.
_WALK = 10

_FIND_HELD_ALONE = (
    "SELECT seq, order_key, held_at FROM deliveries INDEXED BY deliveries_held"
    " WHERE webhook = ? AND state = 0 AND held_at < ? ORDER BY held_at LIMIT ?"
)
_FIND_HELD_DUE = (
    "SELECT seq, order_key, held_at FROM deliveries INDEXED BY deliveries_due"
    " WHERE webhook = ? AND state = 0 AND due_at < ? AND seq NOT IN carray(?) ORDER BY due_at LIMIT ?"
)
_FIND_HELD_BLOCKED = (
    "SELECT d.seq, d.order_key, d.held_at FROM (SELECT * FROM deliveries INDEXED BY deliveries_due"
    " WHERE webhook = ?1 AND state = 0 AND due_at IS NULL ORDER BY seq LIMIT ?3) d"
    " CROSS JOIN events e ON e.seq = d.event WHERE d.held_at IS NULL AND e.accepted_at < ?2"
)
_FIND_EVENTS = (
    "SELECT e.seq, e.accepted_at, e.bytes, count(d.seq), coalesce(sum(d.state = 0), 0)"
    " FROM (SELECT seq, accepted_at, bytes FROM events WHERE seq > ? ORDER BY seq LIMIT ?) e"
    " LEFT JOIN deliveries d INDEXED BY deliveries_event ON d.event = e.seq GROUP BY e.seq ORDER BY e.seq"
)


def prune_rows(connection: apsw.Connection, draft: Draft, policy: Policy, limit: int, now: int) -> Pruned:
    """Remove about `limit` rows within a transaction: an event goes with all of its deliveries and their attempts."""
    killed = _kill_held(connection, draft, limit, now - policy.held_ms, now)
    attempts = _prune_attempts(connection, limit - killed, now - policy.attempts_ms)
    left = limit - killed - attempts
    if left <= 0:
        return Pruned(events=0, attempts=attempts, killed=killed, done=False)
    events, further, done = _prune_events(connection, draft, policy, limit=left, now=now)
    return Pruned(events=events, attempts=attempts + further, killed=killed, done=done)


def _kill_held(connection: apsw.Connection, draft: Draft, limit: int, before: int, now: int) -> int:
    killed = 0
    for key, lane in draft.ledger.lanes.items():
        if killed >= limit:
            break
        if lane.withheld:
            rows = ask(connection, _FIND_HELD_ALONE, (key, before, limit - killed))
            kill_rows(connection, draft, draft.lane(key), rows, cause=Cause.HELD_TOO_LONG.value, now=now)
            killed += len(rows)
        if lane.pending and lane.held_since is not None and lane.held_since < before:
            killed += _kill_held_webhook(
                connection, draft, draft.lane(key), limit=limit - killed, before=before, now=now
            )
    return killed


def _kill_held_webhook(
    connection: apsw.Connection, draft: Draft, lane: Lane, *, limit: int, before: int, now: int
) -> int:
    taken = numbers(draft.taken(lane.key))
    # Those that wait for a head first: were their head killed first, they would become due, and young again.
    rows = ask(connection, _FIND_HELD_BLOCKED, (lane.key, before, limit))
    rows += ask(connection, _FIND_HELD_DUE, (lane.key, before, taken, limit - len(rows)))
    kill_rows(connection, draft, lane, rows, cause=Cause.HELD_TOO_LONG.value, now=now)
    return len(rows)


def _prune_attempts(connection: apsw.Connection, limit: int, before: int) -> int:
    found = ask(connection, "SELECT seq, started_at FROM attempts ORDER BY seq LIMIT ?", (max(0, limit),))
    old = [seq for seq, started_at in found if started_at < before]
    if old:
        connection.execute("DELETE FROM attempts WHERE seq IN carray(?)", (numbers(old),))
    return len(old)


def _prune_events(
    connection: apsw.Connection, draft: Draft, policy: Policy, *, limit: int, now: int
) -> tuple[int, int, bool]:
    """Give how many events and attempts went, and whether nothing more may go."""
    ledger, before = draft.ledger, now - policy.events_ms
    over = draft.counters.bytes - policy.bytes
    gone: list[int] = []
    rows, walked = 0, limit * _WALK
    found = ask(connection, _FIND_EVENTS, (ledger.prune_from, walked))
    finished = len(found) < walked
    for seq, accepted_at, size, deliveries, pending in found:
        if accepted_at >= before and over <= 0:
            finished = True
            break
        if rows >= limit:
            finished = False
            break
        if not pending:
            gone.append(seq)
            rows += 1 + deliveries
            over -= size
            draft.counters.bytes -= size
        ledger.prune_from = seq
    if finished:
        ledger.prune_from = 0
    return len(gone), _forget_events(connection, draft, gone), finished


def _forget_events(connection: apsw.Connection, draft: Draft, gone: list[int]) -> int:
    if not gone:
        return 0
    events = numbers(gone)
    owed = ask(connection, "SELECT seq, webhook, state, once FROM deliveries WHERE event IN carray(?)", (events,))
    deliveries = numbers(seq for seq, _, _, _ in owed)
    connection.execute("DELETE FROM attempts WHERE delivery IN carray(?)", (deliveries,))
    attempts = connection.changes()
    connection.execute("DELETE FROM deliveries WHERE seq IN carray(?)", (deliveries,))
    connection.execute("DELETE FROM events WHERE seq IN carray(?)", (events,))
    for _, key, state, once in owed:
        lane = draft.lane(key)
        lane.delivered -= state == DELIVERED
        lane.dead -= state == DEAD and not once
    return attempts
