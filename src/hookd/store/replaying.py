"""Replaying: kept events become owed again, or for the first time.

Rules of this module:

1. A webhook has at most one delivery of an event. So what has ended begins anew under its own id, and only what was
   never owed becomes a new row. What is pending is left alone: it will be attempted anyhow.
2. A new delivery stands in the order of its webhook, behind all that is pending of its key; one that begins anew is
   outside the order, as everything that is redriven: its place in the order is long gone.
3. What was delivered before a move stands under the key of the webhook that was moved over; when it begins anew it
   goes to the one that is claimed from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hookd.store.base import Revised
from hookd.store.batches import ROWS, RowStatement, ask
from hookd.store.claiming import numbers
from hookd.store.tables import DEAD, DELIVERED, PENDING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import apsw

    from hookd.store.base import Replay
    from hookd.store.ledger import Draft, Lane

_MAKE_PENDING = (
    f"UPDATE deliveries SET state = {PENDING}, webhook = ?, due_at = ?, attempts = 0, order_key = NULL, cause = NULL,"  # noqa: S608  a constant
    " ended_at = NULL, born = ? WHERE seq IN carray(?)"
)
_FIND_KEPT = "SELECT seq FROM events WHERE seq IN carray(?) ORDER BY seq"
_FIND_OWED = (
    "SELECT d.event, d.seq, d.state, d.once FROM carray(?) c CROSS JOIN deliveries d INDEXED BY deliveries_event"
    " ON d.event = c.value WHERE d.webhook IN carray(?) OR d.once ORDER BY d.seq"
)
_FIND_BLOCKED = (
    "SELECT 1 FROM deliveries INDEXED BY deliveries_order WHERE webhook = ? AND order_key = ? AND state = 0 LIMIT 1"
)
_INSERT = RowStatement(f"INSERT INTO deliveries (seq, event, webhook, due_at, born, order_key) {ROWS}", 6)


def replay_events(connection: apsw.Connection, draft: Draft, lane: Lane, change: Replay, now: int) -> Revised:
    """Do a replay within a transaction."""
    wanted = dict(change.events)
    kept = [seq for (seq,) in ask(connection, _FIND_KEPT, (numbers(wanted),))]
    merged = (key for key, root in draft.ledger.merged.items() if root == lane.key)
    passed: set[int] = set()  # pending, or a test
    ended: dict[int, tuple[int, int]] = {}  # event → its first delivery, and the state of that
    for event, seq, state, once in ask(connection, _FIND_OWED, (numbers(wanted), numbers((lane.key, *merged)))):
        if once or state == PENDING:
            passed.add(event)
        ended.setdefault(event, (seq, state))
    again = [found for event, found in ended.items() if event not in passed]
    if again:
        make_pending(connection, lane, [seq for seq, _ in again], now)
        lane.delivered -= sum(state == DELIVERED for _, state in again)
        lane.dead -= sum(state == DEAD for _, state in again)
    new = [(event, wanted[event]) for event in kept if event not in ended]
    _make_new(connection, draft, lane, new, now)
    return Revised(changed=len(again) + len(new), done=True)


def make_pending(connection: apsw.Connection, lane: Lane, seqs: Sequence[int], now: int) -> None:
    """Give deliveries of a webhook that ended a fresh start; the caller knows what they are to be taken from."""
    connection.execute(_MAKE_PENDING, (lane.key, now, lane.clock(now), numbers(seqs)))
    lane.pending += len(seqs)
    lane.due_by(now)


def _make_new(
    connection: apsw.Connection, draft: Draft, lane: Lane, events: Sequence[tuple[int, str | None]], now: int
) -> None:
    if not events:
        return
    keys = {key for _, key in events if key is not None}
    blocked = {key for key in keys if ask(connection, _FIND_BLOCKED, (lane.key, key))}
    born = lane.clock(now)
    values: list[object] = []
    for event, key in events:
        draft.counters.delivery = seq = draft.counters.delivery + 1
        if key in blocked:
            due_at = None
        else:
            due_at = now
            lane.due_by(now)
        values += (seq, event, lane.key, due_at, born, key)
        if key is not None:
            blocked.add(key)
    _INSERT.run(connection, values)
    lane.pending += len(events)
