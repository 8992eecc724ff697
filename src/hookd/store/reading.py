"""Reading: what people ask. On connections of its own, one question one short snapshot, beside the writer.

Nothing holds a snapshot over an await: a reader that sleeps in one would keep the WAL from being reset, and it would
grow without bound (sqlite.org/wal.html, "Avoiding Excessively Large WAL Files").
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

from hookd.core.model import Attempt, Cause
from hookd.store.batches import ask
from hookd.store.claiming import numbers
from hookd.store.deliveryids import read_delivery_id, write_delivery_id
from hookd.store.opening import read_state
from hookd.store.queries import (
    PAGE_BYTES,
    AttemptRow,
    Attempts,
    Backlog,
    BacklogRow,
    DeadRow,
    Deliveries,
    DeliveryRow,
    ExchangeRow,
    Exchanges,
    Kept,
    KeptRow,
    LastAttempted,
    Redrivable,
    StandingRow,
    Standings,
)
from hookd.store.recording import decode_exchange
from hookd.store.revising import find_dead
from hookd.store.tables import EVENT_COLUMNS, EVENT_WIDTH, EXCHANGE_STRIDE, STATE_CODES, STATES, read_event

if TYPE_CHECKING:
    import apsw

    from hookd.core.model import Page
    from hookd.store.base import Query

# Every text here is put together of constants; values are always bound.
_ATTEMPT_COLUMNS = (
    "a.seq, w.name, a.delivery, e.id, e.type, e.tenant, d.state, a.next_at, a.number, a.started_at, a.duration_ms,"
    " a.outcome, a.cause, a.detail, a.status, a.url, a.revision, a.excerpt"
)
_FROM_LOG = (
    " FROM attempts a CROSS JOIN deliveries d ON d.seq = a.delivery CROSS JOIN events e ON e.seq = d.event"
    " CROSS JOIN webhooks w ON w.key = a.webhook"
)
_FROM_EVENT = (
    " FROM events e CROSS JOIN deliveries d ON d.event = e.seq CROSS JOIN attempts a ON a.delivery = d.seq"
    " CROSS JOIN webhooks w ON w.key = a.webhook"
)
_OLDEST = (
    "CASE WHEN w.pending THEN (SELECT e.accepted_at FROM deliveries d JOIN events e ON e.seq = d.event WHERE d.seq ="
    " (SELECT min(p.seq) FROM deliveries p INDEXED BY deliveries_due WHERE p.webhook = w.key AND p.state = 0)) END"
)
_STATE_INSTANTS = [
    f"w.state ->> '$.{name}'" for name in ("suspended_at", "paused_until", "open_until", "failing_since")
]
_STANDINGS = (
    f"SELECT w.name, w.held_since, w.pending, w.withheld, w.dead, {_OLDEST}, {', '.join(_STATE_INSTANTS)}"  # noqa: S608
    " FROM webhooks w WHERE w.merged_into IS NULL AND (w.pending OR w.dead"
    f" OR coalesce({', '.join(_STATE_INSTANTS)}) IS NOT NULL) ORDER BY w.name LIMIT ? OFFSET ?"
)
_BACKLOG = (
    "SELECT w.name, w.bound, w.held_since, w.pending, w.withheld, w.dead, w.delivered, w.state,"  # noqa: S608  our texts
    f" {_OLDEST},"
    " CASE WHEN w.pending AND w.held_since IS NULL THEN (SELECT p.due_at FROM deliveries p INDEXED BY deliveries_due"
    "  WHERE p.webhook = w.key AND p.state = 0 AND p.due_at IS NOT NULL ORDER BY p.due_at LIMIT 1) END"
    " FROM webhooks w WHERE w.merged_into IS NULL"
)


class _Where:
    """Conditions with their values."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.values: list[Any] = []

    def add(self, text: str, value: object) -> None:
        """Add a condition, unless its value is None."""
        if value is not None:
            self.texts.append(text)
            self.values.append(value)

    def __str__(self) -> str:
        return f" WHERE {' AND '.join(self.texts)}" if self.texts else ""


def read_page(  # noqa: PLR0911  one for each query
    connection: apsw.Connection, uid: str, query: Query[Any], page: Page
) -> list[Any]:
    """Give a page of what a query asks for, from one snapshot."""
    connection.execute("BEGIN")
    try:
        match query:
            case Attempts():
                return _attempts(connection, uid, query, page)
            case Exchanges():
                return _exchanges(connection, uid, query, page)
            case Backlog():
                return _backlog(connection, query, page)
            case Standings():
                return _standings(connection, page)
            case Deliveries():
                return _deliveries(connection, uid, query, page)
            case Kept():
                return _kept(connection, query, page)
            case LastAttempted():
                return [at for (at,) in ask(connection, "SELECT max(started_at) FROM attempts") if at is not None]
            case Redrivable():
                return _redrivable(connection, uid, query, page)
        raise TypeError(type(query))
    finally:
        connection.execute("COMMIT")


def _keys(connection: apsw.Connection, name: str) -> list[int]:
    """Give the keys of a webhook: its own, and those of webhooks that were moved over."""
    return [key for (key,) in ask(connection, "SELECT key FROM webhooks WHERE name = ?", (name,))]


def _add_webhook(where: _Where, connection: apsw.Connection, column: str, name: str | None) -> None:
    if name is None:
        return
    keys = _keys(connection, name)
    if len(keys) == 1:  # with one key, the index gives the rows in order
        where.add(f"{column} = ?", keys[0])
    else:
        where.add(f"{column} IN carray(?)", numbers(keys))


def _attempts(connection: apsw.Connection, uid: str, query: Attempts, page: Page) -> list[AttemptRow]:
    where = _Where()
    newest = query.order == "newest"
    _add_webhook(where, connection, "a.webhook", query.webhook)
    where.add("e.id = ?", query.event_id)
    where.add("e.tenant = ?", query.tenant)
    where.add("e.type = ?", query.type)
    where.add("a.started_at >= ?", query.since)
    where.add("a.started_at < ?", query.until)
    where.add("a.seq < ?" if newest else "a.seq > ?", page.after)
    source = _FROM_LOG if query.event_id is None else _FROM_EVENT
    order = " ORDER BY a.seq DESC LIMIT ?" if newest else " ORDER BY a.seq LIMIT ?"
    rows = ask(connection, f"SELECT {_ATTEMPT_COLUMNS}{source}{where}{order}", (*where.values, page.limit))
    return [_attempt_row(uid, row) for row in rows]


def _attempt_row(uid: str, row: tuple[Any, ...]) -> AttemptRow:
    (seq, webhook, delivery, event_id, kind, tenant, state, next_at, number, started_at, duration_ms) = row[:11]
    outcome, cause, detail, status, url, revision, excerpt = row[11:18]
    return AttemptRow(
        seq=seq,
        webhook=webhook,
        delivery_id=write_delivery_id(uid, delivery),
        event_id=event_id,
        event_type=kind,
        tenant=tenant or None,
        attempt=Attempt(
            number=number,
            started_at=started_at,
            duration_ms=duration_ms,
            outcome=outcome,
            cause=None if cause is None else Cause(cause),
            detail=detail,
            status=status,
            url=url,
            revision=revision,
            excerpt=excerpt,
        ),
        state=STATES[state],
        next_attempt_at=next_at,
    )


def _exchanges(connection: apsw.Connection, uid: str, query: Exchanges, page: Page) -> list[ExchangeRow]:
    found = ask(connection, "SELECT key FROM webhooks WHERE name = ? AND merged_into IS NULL", (query.webhook,))
    if not found:
        return []
    where = _Where()
    where.add("x.slot >= ?", found[0][0] * EXCHANGE_STRIDE)
    where.add("x.slot < ?", (found[0][0] + 1) * EXCHANGE_STRIDE)
    where.add("x.attempt < ?", page.after)
    text = (
        f"SELECT {_ATTEMPT_COLUMNS}, x.content FROM exchanges x CROSS JOIN attempts a ON a.seq = x.attempt"  # noqa: S608
        " CROSS JOIN deliveries d ON d.seq = a.delivery CROSS JOIN events e ON e.seq = d.event"
        f" CROSS JOIN webhooks w ON w.key = a.webhook{where} ORDER BY x.attempt DESC LIMIT ?"
    )
    rows = ask(connection, text, (*where.values, page.limit))
    return [ExchangeRow(row=_attempt_row(uid, row), exchange=decode_exchange(row[18])) for row in rows]


def _backlog(connection: apsw.Connection, query: Backlog, page: Page) -> list[BacklogRow]:
    one = "" if query.webhook is None else " AND w.name = ?"
    named = () if query.webhook is None else (query.webhook,)
    rows = ask(connection, f"{_BACKLOG}{one} ORDER BY w.name LIMIT ? OFFSET ?", (*named, page.limit, page.after or 0))
    return [
        BacklogRow(
            webhook=name,
            bound=bool(bound),
            pending=pending,
            held=withheld if held_since is None else pending,
            dead=dead,
            delivered=delivered,
            oldest_pending_at=oldest,
            next_due_at=due,
            state=read_state(state),
        )
        for name, bound, held_since, pending, withheld, dead, delivered, state, oldest, due in rows
    ]


def _standings(connection: apsw.Connection, page: Page) -> list[StandingRow]:
    rows = ask(connection, _STANDINGS, (page.limit, page.after or 0))
    return [
        StandingRow(
            webhook=name,
            pending=pending,
            held=withheld if held_since is None else pending,
            dead=dead,
            oldest_pending_at=oldest,
            suspended_at=suspended_at,
            paused_until=paused_until,
            open_until=open_until,
            failing_since=failing_since,
        )
        for name, held_since, pending, withheld, dead, oldest, *state in rows
        for suspended_at, paused_until, open_until, failing_since in (state,)
    ]


def _deliveries(connection: apsw.Connection, uid: str, query: Deliveries, page: Page) -> list[DeliveryRow]:
    where = _Where()
    _add_webhook(where, connection, "d.webhook", query.webhook)
    where.add("d.state = ?", None if query.state is None else STATE_CODES[query.state])
    where.add("e.id = ?", query.event_id)
    where.add("d.seq = ?", None if query.delivery_id is None else read_delivery_id(uid, query.delivery_id))
    where.add("d.seq > ?", page.after)
    source = "deliveries d CROSS JOIN events e ON e.seq = d.event"
    if query.event_id is not None:
        source = "events e CROSS JOIN deliveries d ON d.event = e.seq"
    text = (
        f"SELECT {EVENT_COLUMNS}, d.seq, w.name, d.state, d.attempts, d.due_at, d.cause FROM {source}"  # noqa: S608
        f" CROSS JOIN webhooks w ON w.key = d.webhook{where} ORDER BY d.seq LIMIT ?"
    )
    found = []
    for row in ask(connection, text, (*where.values, page.limit)):
        seq, webhook, state, attempts, due_at, cause = row[EVENT_WIDTH:]
        found.append(
            DeliveryRow(
                seq=seq,
                delivery_id=write_delivery_id(uid, seq),
                webhook=webhook,
                event=read_event(row),
                state=STATES[state],
                attempts=attempts,
                due_at=due_at,
                cause=None if cause is None else Cause(cause),
            )
        )
    return found


def _kept(connection: apsw.Connection, query: Kept, page: Page) -> list[KeptRow]:
    where = _Where()
    where.add("e.seq > ?", page.after or 0)
    where.add("e.accepted_at >= ?", query.since)
    where.add("e.accepted_at < ?", query.until)
    where.add("e.tenant = ?", query.tenant)
    where.add("e.type = ?", query.type)
    where.texts.append("NOT EXISTS (SELECT 1 FROM deliveries t WHERE t.event = e.seq AND t.once)")
    text = (
        f"SELECT {EVENT_COLUMNS}, e.seq, e.bytes, (SELECT min(d.state) FROM deliveries d"  # noqa: S608  our texts
        f" WHERE d.event = e.seq AND d.webhook IN carray(?)) FROM events e{where} ORDER BY e.seq LIMIT ?"
    )
    values = (numbers(_keys(connection, query.webhook)), *where.values, page.limit)
    rows, left = [], PAGE_BYTES
    with closing(connection.cursor()) as cursor:
        for row in cursor.execute(text, values):
            seq, size, state = row[EVENT_WIDTH:]
            rows.append(KeptRow(seq=seq, event=read_event(row), state=None if state is None else STATES[state]))
            left -= size
            if left <= 0:
                break
    return rows


def _redrivable(connection: apsw.Connection, uid: str, query: Redrivable, page: Page) -> list[DeadRow]:
    key, name = None, query.redrive.webhook
    if name is not None:
        found = ask(connection, "SELECT key FROM webhooks WHERE name = ? AND merged_into IS NULL", (name,))
        if not found:
            return []
        [(key,)] = found
    source, values = find_dead(uid, query.redrive, key)
    counted = ask(connection, f"SELECT d.webhook, count(*) {source} GROUP BY d.webhook", values)
    names = dict(ask(connection, "SELECT key, name FROM webhooks"))
    rows = sorted((names[lane], count) for lane, count in counted)
    skip = page.after or 0
    return [DeadRow(webhook=name, count=count) for name, count in rows[skip : skip + page.limit]]
