"""How the memory store answers queries: each by looking through everything."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from hookd.core.model import State
from hookd.store.content import event_bytes
from hookd.store.memory_revising import find_dead
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

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hookd.core.model import Page
    from hookd.store.base import Query
    from hookd.store.memory_tables import Attempted, Delivery, Tables


def read_rows(tables: Tables, query: Query[object], page: Page) -> Sequence[object]:  # noqa: PLR0911  one for each query
    """Give a page of what a query asks for."""
    match query:
        case Attempts():
            rows = [_attempt_row(tables, row) for row in tables.attempts.values()]
            found = [row for row in rows if _matches(row, query)]
            if query.order == "newest":
                found = [row for row in reversed(found) if page.after is None or row.seq < page.after]
            else:
                found = [row for row in found if page.after is None or row.seq > page.after]
            return found[: page.limit]
        case Exchanges(webhook=name):
            kept = reversed(tables.exchanges.get(tables.keys.get(name, 0), []))
            exchanges = [
                ExchangeRow(row=_attempt_row(tables, tables.attempts[seq]), exchange=exchange)
                for seq, exchange in kept
                if seq in tables.attempts and (page.after is None or seq < page.after)
            ]
            return exchanges[: page.limit]
        case Backlog(webhook=only):
            names = sorted(name for name in tables.keys if only is None or name == only)
            skip = page.after or 0
            return [_backlog_row(tables, tables.keys[name]) for name in names[skip : skip + page.limit]]
        case Standings():
            backlogs = [_backlog_row(tables, tables.keys[name]) for name in sorted(tables.keys)]
            standings = [row for row in map(_standing_row, backlogs) if _speaks(row)]
            skip = page.after or 0
            return standings[skip : skip + page.limit]
        case Deliveries():
            deliveries = [_delivery_row(tables, d) for d in tables.deliveries.values() if d.seq > (page.after or 0)]
            return [row for row in deliveries if _wanted(row, query)][: page.limit]
        case Kept():
            return _kept(tables, query, page)
        case LastAttempted():
            started = [row.attempt.started_at for row in tables.attempts.values()]
            return [max(started)] if started else []
        case Redrivable(redrive=redrive):
            counts = Counter(tables.standings[each.webhook].name for each in find_dead(tables, redrive))
            skip = page.after or 0
            dead = [DeadRow(webhook=name, count=count) for name, count in sorted(counts.items())]
            return dead[skip : skip + page.limit]
    raise TypeError(type(query))


def _attempt_row(tables: Tables, row: Attempted) -> AttemptRow:
    delivery = tables.deliveries[row.delivery]
    event = tables.events[delivery.event]
    return AttemptRow(
        seq=row.seq,
        webhook=tables.standings[row.webhook].name,
        delivery_id=tables.delivery_id(delivery.seq),
        event_id=event.id,
        event_type=event.type,
        tenant=event.tenant,
        attempt=row.attempt,
        state=delivery.state,
        next_attempt_at=row.next_at,
    )


def _matches(row: AttemptRow, query: Attempts) -> bool:
    return (
        query.webhook in (None, row.webhook)
        and query.tenant in (None, row.tenant)
        and query.type in (None, row.event_type)
        and query.event_id in (None, row.event_id)
        and (query.since is None or row.attempt.started_at >= query.since)
        and (query.until is None or row.attempt.started_at < query.until)
    )


def _backlog_row(tables: Tables, key: int) -> BacklogRow:
    standing, pending = tables.standings[key], tables.lanes[key].pending.values()
    due = [delivery.due_at for delivery in pending if delivery.due_at is not None]
    oldest = min(pending, key=lambda delivery: delivery.seq, default=None)
    return BacklogRow(
        webhook=standing.name,
        bound=standing.bound,
        pending=standing.pending,
        held=standing.pending if standing.held else standing.withheld,
        dead=standing.dead,
        delivered=standing.delivered,
        oldest_pending_at=None if oldest is None else tables.events[oldest.event].accepted_at,
        next_due_at=None if standing.held else min(due, default=None),
        state=standing.state,
    )


def _standing_row(row: BacklogRow) -> StandingRow:
    state = row.state
    return StandingRow(
        webhook=row.webhook,
        pending=row.pending,
        held=row.held,
        dead=row.dead,
        oldest_pending_at=row.oldest_pending_at,
        suspended_at=state.suspended_at,
        paused_until=state.paused_until,
        open_until=state.open_until,
        failing_since=state.failing_since,
    )


def _speaks(row: StandingRow) -> bool:
    told = (row.suspended_at, row.paused_until, row.open_until, row.failing_since)
    return bool(row.pending or row.dead) or any(instant is not None for instant in told)


def _delivery_row(tables: Tables, delivery: Delivery) -> DeliveryRow:
    return DeliveryRow(
        seq=delivery.seq,
        delivery_id=tables.delivery_id(delivery.seq),
        webhook=tables.standings[delivery.webhook].name,
        event=tables.events[delivery.event],
        state=delivery.state,
        attempts=delivery.attempts,
        due_at=delivery.due_at,
        cause=delivery.cause,
    )


def _wanted(row: DeliveryRow, query: Deliveries) -> bool:
    return (
        query.webhook in (None, row.webhook)
        and query.state in (None, row.state)
        and query.event_id in (None, row.event.id)
        and query.delivery_id in (None, row.delivery_id)
    )


#: Which state is told of several deliveries: the one that decides what a replay does.
_FIRST = (State.PENDING, State.DELIVERED, State.DEAD)


def _kept(tables: Tables, query: Kept, page: Page) -> list[KeptRow]:
    rows: list[KeptRow] = []
    left = PAGE_BYTES
    for seq, event in tables.events.items():
        owed = [tables.deliveries[number] for number in tables.owed[seq]]
        wanted = (
            seq > (page.after or 0)
            and (query.since is None or event.accepted_at >= query.since)
            and (query.until is None or event.accepted_at < query.until)
            and query.tenant in (None, event.tenant)
            and query.type in (None, event.type)
            and not any(delivery.once for delivery in owed)
        )
        if wanted and len(rows) < page.limit and left > 0:
            states = [d.state for d in owed if d.webhook == tables.keys.get(query.webhook)]
            rows.append(KeptRow(seq=seq, event=event, state=min(states, key=_FIRST.index, default=None)))
            left -= event_bytes(event)
    return rows
