"""Revising: what a change of the webhooks, or a person, does to what is pending or dead.

Rules of this module:

1. A change works in chunks of `limit` rows. What marks it as done (a fingerprint, a lifted suspension) is written
   with the last chunk, so that a change that was cut off goes on where it stopped, over a restart too.
2. What is in flight stays in flight, except that a killed delivery's claim is lost.
3. A binding that says nothing new costs a comparison in memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hookd.store.base import Bind, Kill, MoveWebhook, Redrive, Replay, Resume, Revised, Suspend
from hookd.store.batches import ask
from hookd.store.claiming import find_next_due, numbers
from hookd.store.deliveryids import read_delivery_id
from hookd.store.recording import unblock
from hookd.store.replaying import make_pending, replay_events
from hookd.store.tables import DEAD

if TYPE_CHECKING:
    from collections.abc import Sequence

    import apsw

    from hookd.store.base import Binding, Change
    from hookd.store.ledger import Draft, Lane

_UNKNOWN = "no such webhook"

_FIND_LATER = (
    "SELECT seq FROM deliveries INDEXED BY deliveries_due WHERE webhook = ? AND state = 0 AND due_at > ?"
    " ORDER BY due_at LIMIT ?"
)
_MAKE_DUE = "UPDATE deliveries SET due_at = ? WHERE seq IN carray(?)"
_FIND_HELD = (
    "SELECT seq FROM deliveries INDEXED BY deliveries_held WHERE webhook = ? AND state = 0 AND held_at IS NOT NULL"
    " LIMIT ?"
)
_LET_GO = "UPDATE deliveries SET due_at = ?, cause = NULL, held_at = NULL, born = born + ? WHERE seq IN carray(?)"
_FIND_PENDING = (
    "SELECT seq, order_key, held_at FROM deliveries INDEXED BY deliveries_due WHERE webhook = ? AND state = 0 LIMIT ?"
)
_KILL = (
    f"UPDATE deliveries SET state = {DEAD}, due_at = NULL, held_at = NULL, cause = ?, ended_at = ?"  # noqa: S608  a constant
    " WHERE seq IN carray(?)"
)
_COUNT_TESTS = "SELECT count(*) FROM deliveries WHERE seq IN carray(?) AND once"


def revise_rows(connection: apsw.Connection, draft: Draft, change: Change, limit: int, now: int) -> Revised:
    """Do at most `limit` rows of a change within a transaction."""
    match change:
        case Bind():
            return _bind(connection, draft, change, limit, now)
        case MoveWebhook():
            return _move(connection, draft, change)
        case Redrive():
            return _redrive(connection, draft, change, limit, now)
        case Replay() | Suspend() | Resume() | Kill():
            key = draft.find(change.webhook)
            if key is None:
                return Revised(changed=0, done=True, refused=_UNKNOWN)
            if isinstance(change, Replay):
                return replay_events(connection, draft, draft.lane(key), change, now)
            return _revise_one(connection, draft, draft.define(key), change, limit=limit, now=now)


def _revise_one(
    connection: apsw.Connection, draft: Draft, lane: Lane, change: Suspend | Resume | Kill, *, limit: int, now: int
) -> Revised:
    match change:
        case Suspend(cause=cause):
            if lane.state.suspended_at is not None:
                return Revised(changed=0, done=True)
            lane.suspend(cause, now)
            return Revised(changed=1, done=True)
        case Resume():
            changed = _make_due(connection, draft, lane, limit, now)
            if changed < limit:
                lane.forgive(now)
        case Kill(cause=cause):
            pending = ask(connection, _FIND_PENDING, (lane.key, limit))
            kill_rows(connection, draft, lane, pending, cause=cause.value, now=now)
            changed = len(pending)
    return Revised(changed=changed, done=changed < limit)


def kill_rows(
    connection: apsw.Connection,
    draft: Draft,
    lane: Lane,
    rows: Sequence[tuple[int, str | None, int | None]],
    *,
    cause: str,
    now: int,
) -> None:
    """Make pending deliveries (number, order key, held since) of one webhook dead; claims on them are lost."""
    if not rows:
        return
    killed = numbers(seq for seq, _, _ in rows)
    connection.execute(_KILL, (cause, now, killed))
    [(tests,)] = ask(connection, _COUNT_TESTS, (killed,))
    lane.pending -= len(rows)
    lane.dead += len(rows) - tests
    lane.withheld -= sum(held_at is not None for _, _, held_at in rows)
    for seq, _, _ in rows:
        lease = draft.taken(lane.key).get(seq)
        if lease is not None and (held := draft.lease(lease)) is not None:
            draft.void(lease, held)
    unblock(connection, draft, {(lane.key, key): None for _, key, _ in rows if key is not None}, now)
    lane.next_due = find_next_due(connection, draft, lane.key)


def _bind(connection: apsw.Connection, draft: Draft, change: Bind, limit: int, now: int) -> Revised:
    left = limit
    for name, binding in change.webhooks.items():
        key = draft.find(name)
        if key is not None and draft.look(key).agrees(binding):
            continue
        if left <= 0:
            return Revised(changed=limit, done=False)
        changed, done = _bind_one(connection, draft, draft.define(draft.key(name, now)), binding, limit=left, now=now)
        left -= changed
        if not done:
            return Revised(changed=limit - left, done=False)
    for key in _find_unnamed(draft, change):
        if draft.look(key).bound:
            if left <= 0:
                return Revised(changed=limit, done=False)
            mine = draft.define(key)
            mine.bound = False
            mine.settle(now)
            left -= 1
    return Revised(changed=limit - left, done=True)


def _find_unnamed(draft: Draft, change: Bind) -> list[int]:
    """Give the keys of the webhooks that are not those of the config."""
    if change.gone is None:
        return [key for key, lane in draft.ledger.lanes.items() if lane.name not in change.webhooks]
    return [key for name in change.gone if (key := draft.find(name)) is not None]


def _bind_one(
    connection: apsw.Connection, draft: Draft, lane: Lane, binding: Binding, *, limit: int, now: int
) -> tuple[int, bool]:
    changed = 0
    if lane.withheld and lane.rules_change(binding):
        held = [seq for (seq,) in ask(connection, _FIND_HELD, (lane.key, limit))]
        connection.execute(_LET_GO, (now, lane.clock(now), numbers(held)))
        lane.withheld -= len(held)
        if held:
            lane.due_by(now)
        changed += len(held)
    if changed < limit and lane.pending and lane.heals(binding):
        changed += _make_due(connection, draft, lane, limit - changed, now)
    if changed >= limit:
        return changed, False
    lane.bind(binding, now)
    return changed + 1, True


def _make_due(connection: apsw.Connection, draft: Draft, lane: Lane, limit: int, now: int) -> int:
    found = [seq for (seq,) in ask(connection, _FIND_LATER, (lane.key, now, limit))]
    later = [seq for seq in found if seq not in draft.taken(lane.key)]
    if later:
        connection.execute(_MAKE_DUE, (now, numbers(later)))
        lane.due_by(now)
    return len(later)


def _move(connection: apsw.Connection, draft: Draft, change: MoveWebhook) -> Revised:
    source_key, target_key = draft.find(change.source), draft.find(change.target)
    if source_key is None or source_key == target_key:
        return Revised(changed=0, done=True)
    if target_key is not None:
        target = draft.look(target_key)
        if target.pending or target.dead:
            return Revised(changed=0, done=True, refused=target.backlog_refusal())
        # What it delivered stays its history: its row stays, under its key, as a part of the source's.
        connection.execute(
            "UPDATE webhooks SET merged_into = ?1 WHERE key = ?2 OR merged_into = ?2", (source_key, target_key)
        )
        draft.merge(target_key, source_key)
    source = draft.define(source_key)
    if target_key is not None:
        source.delivered += target.delivered
    draft.rename(source, change.target)
    connection.execute("UPDATE webhooks SET name = ?1 WHERE merged_into = ?2", (change.target, source_key))
    return Revised(changed=1, done=True)


def _redrive(connection: apsw.Connection, draft: Draft, change: Redrive, limit: int, now: int) -> Revised:
    key = None if change.webhook is None else draft.find(change.webhook)
    if change.webhook is not None and key is None:
        return Revised(changed=0, done=True, refused=_UNKNOWN)
    source, values = find_dead(draft.ledger.uid, change, key)
    found = ask(connection, f"SELECT d.seq, d.webhook {source} LIMIT ?", (*values, limit))
    chosen: dict[int, list[int]] = {}
    for seq, lane_key in found:
        chosen.setdefault(lane_key, []).append(seq)
    for lane_key, seqs in chosen.items():
        lane = draft.lane(lane_key)
        make_pending(connection, lane, seqs, now)
        lane.dead -= len(seqs)
    return Revised(changed=len(found), done=len(found) < limit)


def find_dead(uid: str, change: Redrive, key: int | None) -> tuple[str, list[object]]:
    """Give where a redrive's deliveries (`d`) are found, as the text after the columns, and its values.

    `key` is that of the webhook, if one is named. The state stands in the text: with a bound value SQLite could not
    know that the index of the dead serves.
    """
    conditions: list[tuple[str, object]] = [
        ("d.webhook = ?", key),
        ("d.seq = ?", None if change.delivery_id is None else read_delivery_id(uid, change.delivery_id)),
        ("d.ended_at >= ?", change.since),
        ("d.ended_at < ?", change.until),
        ("e.tenant = ?", change.tenant),
        ("e.type = ?", change.type),
    ]
    given = [(text, value) for text, value in conditions if value is not None]
    index = " INDEXED BY deliveries_dead" if change.delivery_id is None else ""
    join = " CROSS JOIN events e ON e.seq = d.event" if change.tenant is not None or change.type is not None else ""
    where = " AND ".join([f"d.state = {DEAD} AND NOT d.once", *(text for text, _ in given)])
    return f"FROM deliveries d{index}{join} WHERE {where}", [value for _, value in given]
