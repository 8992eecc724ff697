"""How a change of the webhooks changes the tables of the memory store.

Rules of this module:

1. A change works in chunks of `limit` rows. What marks it as done (a fingerprint, a lifted suspension) is written
   with the last chunk, so that a change that was cut off goes on where it stopped.
2. What is in flight stays in flight, except that a killed delivery's claim is lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hookd.core.model import State
from hookd.store.base import Bind, Kill, MoveWebhook, Redrive, Replay, Resume, Revised, Suspend
from hookd.store.memory_tables import Delivery

if TYPE_CHECKING:
    from hookd.store.base import Binding, Change
    from hookd.store.memory_tables import Tables
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
        case Replay() | Suspend() | Resume() | Kill():
            if change.webhook not in tables.keys:
                return Revised(changed=0, done=True, refused=_UNKNOWN)
            standing = tables.standing(change.webhook, now)
            if isinstance(change, Replay):
                changed = sum(_replay(tables, standing, event, key, now) for event, key in change.events)
                return Revised(changed=changed, done=True)
            return _revise_one(tables, standing, change, limit, now)


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
        is_named = standing.name in change.webhooks if change.gone is None else standing.name not in change.gone
        if standing.bound and not is_named:
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
    dead = find_dead(tables, change)
    for delivery in dead[:limit]:
        tables.standings[delivery.webhook].dead -= 1
        _make_pending(tables, delivery, now)
    return Revised(changed=len(dead[:limit]), done=len(dead) < limit)


def _make_pending(tables: Tables, delivery: Delivery, now: int) -> None:
    """Give a delivery that ended a fresh start, outside the order."""
    delivery.state, delivery.attempts = State.PENDING, 0
    delivery.cause = delivery.ended_at = delivery.order_key = None
    delivery.born = tables.standings[delivery.webhook].clock(now)
    tables.reopen(delivery, now)


def _replay(tables: Tables, standing: Standing, event: int, order_key: str | None, now: int) -> bool:
    owed = [tables.deliveries[seq] for seq in tables.owed.get(event, ())]
    mine = [delivery for delivery in owed if delivery.webhook == standing.key]
    tested = any(delivery.once for delivery in owed)
    if event not in tables.events or tested or any(each.state is State.PENDING for each in mine):
        return False
    if mine:
        standing.delivered -= mine[0].state is State.DELIVERED
        standing.dead -= mine[0].state is State.DEAD
        _make_pending(tables, mine[0], now)
        return True
    tables.last_delivery += 1
    delivery = Delivery(
        seq=tables.last_delivery,
        event=event,
        webhook=standing.key,
        due_at=None,
        born=standing.clock(now),
        order_key=order_key,
        once=False,
    )
    tables.deliveries[delivery.seq] = delivery
    tables.owed[event].append(delivery.seq)
    tables.reopen(delivery, None if order_key in tables.lanes[standing.key].keys else now)
    return True


def find_dead(tables: Tables, change: Redrive) -> list[Delivery]:
    """Give what a redrive would make pending."""
    dead = (d for d in tables.deliveries.values() if d.state is State.DEAD and not d.once)
    return [delivery for delivery in dead if _wanted(tables, delivery, change)]


def _wanted(tables: Tables, delivery: Delivery, change: Redrive) -> bool:
    event, ended_at = tables.events[delivery.event], delivery.ended_at or 0
    return (
        (change.webhook is None or tables.keys.get(change.webhook) == delivery.webhook)
        and (change.delivery_id is None or change.delivery_id == tables.delivery_id(delivery.seq))
        and (change.since is None or ended_at >= change.since)
        and (change.until is None or ended_at < change.until)
        and (change.tenant is None or change.tenant == event.tenant)
        and (change.type is None or change.type == event.type)
    )
