"""How a change of the webhooks changes the tables of the memory store.

Rules of this module:

1. A change works in chunks of `limit` rows. What marks it as done (a fingerprint, a lifted suspension) is written
   with the last chunk, so that a change that was cut off goes on where it stopped.
2. What is in flight stays in flight, except that a killed delivery's claim is lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hookd.core.model import State
from hookd.store.base import Bind, Kill, MoveWebhook, Redrive, Resume, Revised, Suspend

if TYPE_CHECKING:
    from hookd.store.base import Binding, Change
    from hookd.store.memory_tables import Delivery, Tables
    from hookd.store.standing import Standing

_UNKNOWN = "no such webhook"


def revise_tables(tables: Tables, change: Change, limit: int, now: int) -> Revised:
    """Do at most `limit` rows of a change."""
    match change:
        case Bind():
            return _bind(tables, change, limit, now)
        case MoveWebhook():
            return _move(tables, change)
        case Redrive():
            return _redrive(tables, change, limit, now)
        case Suspend() | Resume() | Kill():
            if change.webhook not in tables.keys:
                return Revised(changed=0, done=True, refused=_UNKNOWN)
            return _revise_one(tables, tables.standing(change.webhook, now), change, limit, now)


def _revise_one(tables: Tables, standing: Standing, change: Suspend | Resume | Kill, limit: int, now: int) -> Revised:
    match change:
        case Suspend(cause=cause):
            return Revised(changed=_suspend(standing, cause, now), done=True)
        case Resume():
            changed = _make_due(tables, standing, limit, now)
            if changed < limit:
                standing.forgive(now)
        case Kill(cause=cause):
            pending = list(tables.lanes[standing.key].pending.values())[:limit]
            for delivery in pending:
                tables.end(delivery, cause, now)
            changed = len(pending)
    return Revised(changed=changed, done=changed < limit)


def _suspend(standing: Standing, cause: str, now: int) -> int:
    if standing.state.suspended_at is not None:
        return 0
    standing.suspend(cause, now)
    return 1


def _bind(tables: Tables, change: Bind, limit: int, now: int) -> Revised:
    left = limit
    for name, binding in change.webhooks.items():
        if left <= 0:
            return Revised(changed=limit - left, done=False)
        standing = tables.standing(name, now)
        if standing.agrees(binding):
            continue
        changed, done = _bind_one(tables, standing, binding, left, now)
        left -= changed
        if not done:
            return Revised(changed=limit - left, done=False)
    for standing in tables.standings.values():
        if standing.bound and standing.name not in change.webhooks:
            if left <= 0:
                return Revised(changed=limit - left, done=False)
            standing.bound = False
            standing.settle(now)
            left -= 1
    return Revised(changed=limit - left, done=True)


def _bind_one(tables: Tables, standing: Standing, binding: Binding, limit: int, now: int) -> tuple[int, bool]:
    changed = 0
    if standing.rules_change(binding):
        held = [d for d in tables.lanes[standing.key].pending.values() if d.held_at is not None][:limit]
        for delivery in held:
            _let_go(tables, delivery, standing, now)
        changed += len(held)
    if changed < limit and standing.heals(binding):
        changed += _make_due(tables, standing, limit - changed, now)
    if changed >= limit:
        return changed, False
    standing.bind(binding, now)
    return changed + 1, True


def _let_go(tables: Tables, delivery: Delivery, standing: Standing, now: int) -> None:
    delivery.born += standing.clock(now)
    delivery.cause = delivery.held_at = None
    standing.withheld -= 1
    tables.wait(delivery, now)


def _make_due(tables: Tables, standing: Standing, limit: int, now: int) -> int:
    lane = tables.lanes[standing.key]
    later = [tables.deliveries[seq] for due_at, seq in lane.due if due_at > now][:limit]
    for delivery in later:
        tables.undue(delivery)
        tables.wait(delivery, now)
    return len(later)


def _move(tables: Tables, change: MoveWebhook) -> Revised:
    source_key = tables.keys.get(change.source)
    if source_key is None or change.source == change.target:
        return Revised(changed=0, done=True)
    source = tables.standings[source_key]
    target_key = tables.keys.get(change.target)
    if target_key is not None:
        target = tables.standings[target_key]
        if target.pending or target.dead:
            return Revised(changed=0, done=True, refused=target.backlog_refusal())
        source.delivered += target.delivered
        for delivery in tables.deliveries.values():
            if delivery.webhook == target_key:
                delivery.webhook = source_key
        for row in tables.attempts.values():
            if row.webhook == target_key:
                row.webhook = source_key
        del tables.standings[target_key], tables.lanes[target_key]
        tables.exchanges.pop(target_key, None)
    del tables.keys[change.source]
    tables.keys[change.target] = source_key
    source.rename(change.target)
    return Revised(changed=1, done=True)


def _redrive(tables: Tables, change: Redrive, limit: int, now: int) -> Revised:
    if change.webhook is not None and change.webhook not in tables.keys:
        return Revised(changed=0, done=True, refused=_UNKNOWN)
    dead = [d for d in tables.deliveries.values() if d.state is State.DEAD and _wanted(tables, d, change)]
    for delivery in dead[:limit]:
        standing = tables.standings[delivery.webhook]
        standing.dead -= 1
        delivery.state, delivery.attempts, delivery.once = State.PENDING, 0, False
        delivery.cause = delivery.ended_at = delivery.order_key = None
        delivery.born = standing.clock(now)
        tables.reopen(delivery, now)
    return Revised(changed=len(dead[:limit]), done=len(dead) < limit)


def _wanted(tables: Tables, delivery: Delivery, change: Redrive) -> bool:
    event, ended_at = tables.events[delivery.event], delivery.ended_at or 0
    return (
        (change.webhook is None or tables.keys[change.webhook] == delivery.webhook)
        and (change.delivery_id is None or change.delivery_id == tables.delivery_id(delivery.seq))
        and (change.since is None or ended_at >= change.since)
        and (change.until is None or ended_at < change.until)
        and (change.tenant is None or change.tenant == event.tenant)
        and (change.type is None or change.type == event.type)
    )
