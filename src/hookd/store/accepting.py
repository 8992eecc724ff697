"""Accepting: an event and what is owed of it, written at once.

Rules of this module:

1. The unique index judges idempotency: rows are inserted, and only when fewer came in than were sent is looked who
   was there before. The common case costs no look-up, and a repetition within a batch needs no rule of its own.
2. A delivery that goes straight to the dispatcher is written like any other; only its lease is given here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hookd.core.model import Cause, Claim
from hookd.store.base import Conflict, New, Seen
from hookd.store.batches import ROWS, RowStatement, ask
from hookd.store.content import event_bytes, tells_the_same
from hookd.store.deliveryids import write_delivery_id
from hookd.store.ledger import Lease
from hookd.store.tables import DEAD, EVENT_COLUMNS, read_event

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import apsw

    from hookd.core.model import Event, Owed
    from hookd.store.base import Entry, EntryResult
    from hookd.store.ledger import Draft, Lane

_INSERT_EVENTS = RowStatement(
    "INSERT INTO events (seq, id, source, tenant, type, subject, time, partitionkey, traceparent, accepted_at, bytes,"
    f" digest, extensions, data) {ROWS} ON CONFLICT (id, source, tenant) DO NOTHING",
    14,
)
_INSERT_DELIVERIES = RowStatement(f"INSERT INTO deliveries (seq, event, webhook, due_at, born, order_key) {ROWS}", 6)
_INSERT_DEAD = RowStatement(
    f"INSERT INTO deliveries (seq, event, webhook, state, born, once, cause, ended_at) {ROWS}", 8
)
_FIND_BLOCKED = RowStatement(
    "WITH v (webhook, order_key) AS (VALUES {rows}) SELECT webhook, order_key FROM v WHERE EXISTS (SELECT 1"
    " FROM deliveries d WHERE d.state = 0 AND d.webhook = v.webhook AND d.order_key = v.order_key)",
    2,
)
_FIND_INSERTED = "SELECT seq FROM events WHERE seq BETWEEN ? AND ?"
_FIND_KEPT = f"SELECT {EVENT_COLUMNS} FROM events e WHERE e.id = ? AND e.source = ? AND e.tenant = ?"  # noqa: S608  constants


def accept_entries(
    connection: apsw.Connection, draft: Draft, entries: Sequence[Entry], room: Mapping[str, int], now: int
) -> list[EntryResult]:
    """Write entries within a transaction; give one result for each."""
    first = draft.counters.event + 1
    inserted = _insert_events(connection, draft, entries)
    owing = _Owing(connection, draft, entries, inserted, first=first, room=room, now=now)
    results: list[EntryResult] = []
    for seq, entry in enumerate(entries, first):
        if inserted is None or seq in inserted:
            results.append(owing.owe_all(seq, entry))
        else:
            results.append(_judge_again(connection, entry.event))
    owing.write()
    return results


def _insert_events(connection: apsw.Connection, draft: Draft, entries: Sequence[Entry]) -> set[int] | None:
    """Insert events; give the numbers of those that were new, None if all were."""
    seq = first = draft.counters.event + 1
    values: list[object] = []
    total = 0
    for entry in entries:
        event = entry.event
        size = event_bytes(event)
        total += size
        values += (
            seq,
            event.id,
            event.source or "",
            event.tenant or "",
            event.type,
            event.subject,
            event.time,
            event.partitionkey,
            event.traceparent,
            event.accepted_at,
            size,
            event.digest,
            event.extensions,
            event.data,
        )
        seq += 1
    draft.counters.event = seq - 1
    inserted: set[int] | None = None
    if _INSERT_EVENTS.run(connection, values) < len(entries):
        inserted = {number for (number,) in ask(connection, _FIND_INSERTED, (first, seq - 1))}
        total = sum(event_bytes(entry.event) for seq, entry in enumerate(entries, first) if seq in inserted)
    draft.counters.bytes += total
    return inserted


def _judge_again(connection: apsw.Connection, event: Event) -> EntryResult:
    """Judge an event whose key is kept."""
    [row] = ask(connection, _FIND_KEPT, (event.id, event.source or "", event.tenant or ""))
    return Seen() if tells_the_same(read_event(row), event) else Conflict()


class _Owing:
    """The deliveries of a batch, gathered to be written together."""

    def __init__(
        self,
        connection: apsw.Connection,
        draft: Draft,
        entries: Sequence[Entry],
        inserted: set[int] | None,
        *,
        first: int,
        room: Mapping[str, int],
        now: int,
    ) -> None:
        self._connection = connection
        self._draft = draft
        self._room = room
        self._now = now
        self._used: dict[int, int] = {}  # of the room, by key
        self._pending: list[object] = []
        self._dead: list[object] = []
        self._overflowed: list[str] = []  # of the event at hand
        self._uid = draft.ledger.uid
        asked: list[object] = []
        for seq, entry in enumerate(entries, first):
            for owed in entry.owed:
                if owed.order_key is not None and (inserted is None or seq in inserted):
                    asked += (draft.key(owed.webhook, now), owed.order_key)
        self._blocked = {(key, order_key) for key, order_key in _FIND_BLOCKED.rows(connection, asked)}

    def owe_all(self, seq: int, entry: Entry) -> New:
        """Gather the deliveries of a new event; give the claims of those that may go at once."""
        claims: list[Claim] = []
        for owed in entry.owed:
            claim = self._owe(seq, entry.event, owed)
            if claim is not None:
                claims.append(claim)
        if not self._overflowed:
            return New(claims=tuple(claims))
        overflowed, self._overflowed = tuple(self._overflowed), []
        return New(claims=tuple(claims), overflowed=overflowed)

    def _owe(self, event_seq: int, event: Event, owed: Owed) -> Claim | None:
        draft, now = self._draft, self._now
        lane = draft.lane(draft.key(owed.webhook, now))
        draft.counters.delivery = seq = draft.counters.delivery + 1
        born = lane.clock(now)
        if owed.max_pending and lane.pending >= owed.max_pending and not owed.once:
            lane.dead += 1
            self._dead += (seq, event_seq, lane.key, DEAD, born, 0, Cause.OVERFLOW.value, now)
            self._overflowed.append(owed.webhook)
            return None
        if owed.once:
            self._dead += (seq, event_seq, lane.key, DEAD, born, 1, Cause.TEST.value, now)
            return self._claim(seq, lane, event, owed, due_at=None, order_key=None)
        lane.pending += 1
        order_key, blocked = None, False
        if owed.order_key is not None:
            order_key = owed.order_key
            blocked = (lane.key, order_key) in self._blocked
            self._blocked.add((lane.key, order_key))
        due_at = None if blocked else now
        self._pending += (seq, event_seq, lane.key, due_at, born, order_key)
        if blocked:
            return None
        used = self._used.get(lane.key, 0)
        backlog = lane.next_due is not None and lane.next_due <= now
        if backlog or lane.held_since is not None or used >= self._room.get(owed.webhook, 0):
            lane.due_by(now)
            if lane.held_since is None:
                draft.accept(seq, event)
            return None
        self._used[lane.key] = used + 1
        return self._claim(seq, lane, event, owed, due_at=due_at, order_key=order_key)

    def _claim(
        self, seq: int, lane: Lane, event: Event, owed: Owed, *, due_at: int | None, order_key: str | None
    ) -> Claim:
        now = self._now
        return Claim(
            lease=self._draft.give(Lease(seq, lane.key, due_at, order_key)),
            delivery_id=write_delivery_id(self._uid, seq),
            webhook=owed.webhook,
            event=event,
            attempts=0,
            aging_since=lane.clock(now) + lane.held_ms(now),
            order_key=order_key,
            once=owed.once,
        )

    def write(self) -> None:
        """Write what was gathered."""
        if self._pending:
            _INSERT_DELIVERIES.run(self._connection, self._pending)
        if self._dead:
            _INSERT_DEAD.run(self._connection, self._dead)
