"""Recording: what became of claims, and what the world taught us of webhooks.

Rules of this module:

1. Attempt, verdict and the next one of an ordered key are written in one transaction.
2. Of a webhook's exchanges only the newest of a batch, as many as are kept, are written at all, into a ring of rows
   that is never searched: its place follows from a count in the webhook's row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from hookd.core.model import EXCHANGES_KEPT, Dead, Delivered, Exchange, RetryAt
from hookd.store.batches import ROWS, RowStatement, ask
from hookd.store.claiming import numbers
from hookd.store.tables import DEAD, DELIVERED, EXCHANGE_STRIDE, PENDING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import apsw

    from hookd.core.model import Cause, Claim, Result, WebhookState
    from hookd.store.ledger import Draft, Lease

_UPDATE_DELIVERIES = RowStatement(
    "WITH v (seq, state, due_at, attempts, cause, ended_at) AS (VALUES {rows})"
    " UPDATE deliveries SET state=v.state, due_at=v.due_at, attempts=v.attempts, cause=v.cause, ended_at=v.ended_at"
    " FROM v WHERE deliveries.seq = v.seq",
    6,
)
_DELIVER = (
    f"UPDATE deliveries SET state={DELIVERED}, due_at=NULL, attempts=?, cause=NULL, ended_at=?"  # noqa: S608  a constant
    " WHERE seq IN carray(?)"
)
_INSERT_ATTEMPTS = RowStatement(
    "INSERT INTO attempts (seq, delivery, webhook, number, started_at, duration_ms, outcome, cause, detail, status,"
    f" url, revision, next_at, excerpt) {ROWS}",
    14,
)
_WRITE_EXCHANGES = RowStatement(f"INSERT OR REPLACE INTO exchanges (slot, attempt, content) {ROWS}", 3)
_FIND_HEAD = (
    "SELECT seq, due_at, held_at FROM deliveries INDEXED BY deliveries_order"
    " WHERE webhook = ? AND order_key = ? AND state = 0 ORDER BY seq LIMIT 1"
)
_HOLD = "UPDATE deliveries SET due_at = NULL, cause = ?, held_at = ?, born = born - ? WHERE seq = ?"

encode_exchange = msgspec.msgpack.Encoder().encode
decode_exchange = msgspec.msgpack.Decoder(Exchange).decode


def record_results(
    connection: apsw.Connection, draft: Draft, results: Sequence[Result], states: Sequence[WebhookState], now: int
) -> list[Claim]:
    """Write results and states within a transaction; give the claims that were lost."""
    lost: list[Claim] = []
    attempts: list[object] = []
    deliveries: list[object] = []
    delivered: dict[int, list[int]] = {}  # by how many attempts it took
    ended: dict[tuple[int, str], None] = {}
    exchanges: dict[int, list[tuple[int, Exchange]]] = {}
    for result in results:
        lease = draft.lease(result.claim.lease)
        if lease is None:
            lost.append(result.claim)
            continue
        draft.void(result.claim.lease, lease)
        draft.counters.attempt = attempt = draft.counters.attempt + 1
        verdict = result.verdict
        retried = isinstance(verdict, RetryAt)
        _add_attempt(attempts, attempt, lease, result, verdict.planned_at if isinstance(verdict, RetryAt) else None)
        if isinstance(verdict, Delivered):
            lane = draft.lane(lease.key)
            lane.pending -= not result.claim.once
            lane.delivered += 1
            delivered.setdefault(result.attempt.number, []).append(lease.seq)
        else:
            _add_failure(deliveries, draft, lease, result, now)
        if not retried and lease.order_key is not None:
            ended[lease.key, lease.order_key] = None
        if result.exchange is not None:
            exchanges.setdefault(lease.key, []).append((attempt, result.exchange))
    for number, seqs in delivered.items():
        connection.execute(_DELIVER, (number, now, numbers(seqs)))
    _UPDATE_DELIVERIES.run(connection, deliveries)
    _INSERT_ATTEMPTS.run(connection, attempts)
    if exchanges:
        _write_exchanges(connection, draft, exchanges)
    unblock(connection, draft, ended, now)
    for state in states:
        key = draft.find(state.webhook)
        if key is not None:
            draft.define(key).learn(state, now)
    return lost


def _add_attempt(values: list[object], seq: int, lease: Lease, result: Result, next_at: int | None) -> None:
    attempt = result.attempt
    values += (
        seq,
        lease.seq,
        lease.key,
        attempt.number,
        attempt.started_at,
        float(attempt.duration_ms),
        attempt.outcome,
        None if attempt.cause is None else attempt.cause.value,
        attempt.detail,
        attempt.status,
        attempt.url,
        attempt.revision,
        next_at,
        attempt.excerpt,
    )


def _add_failure(values: list[object], draft: Draft, lease: Lease, result: Result, now: int) -> None:
    lane, number = draft.lane(lease.key), result.attempt.number
    match result.verdict:
        case Dead(cause=cause):
            # Who tested saw it fail; nobody has to look at it again.
            lane.pending -= not result.claim.once
            lane.dead += not result.claim.once
            values += (lease.seq, DEAD, None, number, cause.value, now)
        case RetryAt(due_at=due_at):
            lane.due_by(due_at)
            values += (lease.seq, PENDING, due_at, number, None, None)


def _write_exchanges(
    connection: apsw.Connection, draft: Draft, exchanges: dict[int, list[tuple[int, Exchange]]]
) -> None:
    values: list[object] = []
    for given, found in exchanges.items():
        lane = draft.lane(given)
        for attempt, exchange in found[-EXCHANGES_KEPT:]:
            slot = lane.key * EXCHANGE_STRIDE + lane.exchanges % EXCHANGES_KEPT
            lane.exchanges += 1
            values += (slot, attempt, encode_exchange(exchange))
    _WRITE_EXCHANGES.run(connection, values)


def unblock(connection: apsw.Connection, draft: Draft, ended: Iterable[tuple[int, str]], now: int) -> None:
    """Make the next one of keys whose head ended due now, unless it is held."""
    for key, order_key in ended:
        head = ask(connection, _FIND_HEAD, (key, order_key))
        if head and head[0][1:] == (None, None):
            connection.execute("UPDATE deliveries SET due_at = ? WHERE seq = ?", (now, head[0][0]))
            draft.lane(key).due_by(now)


def release_claims(
    connection: apsw.Connection, draft: Draft, claims: Sequence[Claim], now: int, hold: Cause | None
) -> None:
    """Give claims back within a transaction. Without a cause to hold them nothing is written: the rows say it still."""
    for claim in claims:
        lease = draft.lease(claim.lease)
        if lease is None:
            continue
        draft.void(claim.lease, lease)
        lane = draft.lane(lease.key)
        if claim.once:
            continue  # it is dead already
        if hold is not None:
            connection.execute(_HOLD, (hold.value, now, lane.clock(now), lease.seq))
            lane.withheld += 1
        elif lease.due_at is not None:
            lane.due_by(lease.due_at)
