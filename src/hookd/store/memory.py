"""A store that keeps everything in memory: for tests, and for whoever can afford to lose all.

Rules of this module:

1. It is a verified fake: `tests/store/contract.py` holds it and SQLite to the same sentences, and a state machine
   compares the two step by step. So it is written to be read, one obvious structure for each question.
2. Nothing is on disk, so nothing survives the process, and `backup` refuses.
3. Each verb is one step of the event loop: it gives way once at its start, then runs to its end.
"""

from __future__ import annotations

import secrets
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, cast

import trio

from hookd.core.model import EXCHANGES_KEPT, Cause, Dead, Delivered, RefusalCode, RetryAt, State
from hookd.store.base import Claimed, Conflict, Failed, New, Pruned, Row, Seen, StoreUnusable
from hookd.store.content import event_bytes, event_key, tells_the_same
from hookd.store.memory_reading import read_rows
from hookd.store.memory_revising import revise_tables
from hookd.store.memory_tables import Attempted, Delivery, Tables
from hookd.store.turns import take_turns
from hookd.store.vitals import Pace, read_vitals

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from hookd.core.model import Claim, Owed, Page, Result, WebhookState
    from hookd.store.base import Change, Entry, EntryResult, Policy, Query, Revised, Wants
    from hookd.store.vitals import Vitals


class MemoryStore:
    """A `Store` without a disk."""

    def __init__(self) -> None:
        self._tables = Tables(uid=secrets.token_hex(4))

    async def accept(self, entries: Sequence[Entry], room: Mapping[str, int], now: int) -> Sequence[EntryResult]:
        """Keep events and their deliveries: see `Store.accept`."""
        await trio.lowlevel.checkpoint()
        left = dict(room)
        return [self._accept_one(entry, left, now) for entry in entries]

    def _accept_one(self, entry: Entry, left: dict[str, int], now: int) -> EntryResult:
        tables, event = self._tables, entry.event
        known = tables.known.get(event_key(event))
        if known is not None:
            return Seen() if tells_the_same(tables.events[known], event) else Conflict()
        try:  # as SQLite, which keeps UTF-8 and has no half of a surrogate pair
            for text in (event.id, event.type, event.source, event.tenant, event.subject, event.partitionkey):
                _ = (text or "").encode()
        except UnicodeEncodeError:
            return Failed(code=RefusalCode.STORE_FAILED, message="the event cannot be stored (UnicodeEncodeError)")
        tables.last_event += 1
        tables.events[tables.last_event] = event
        tables.known[event_key(event)] = tables.last_event
        tables.owed[tables.last_event] = []
        overflowed: list[str] = []
        owed_now = [self._owe(tables.last_event, owed, left, now, overflowed) for owed in entry.owed]
        claims = tuple(claim for claim in owed_now if claim is not None)
        return New(claims=claims, overflowed=tuple(overflowed))

    def _owe(self, event: int, owed: Owed, left: dict[str, int], now: int, overflowed: list[str]) -> Claim | None:
        tables = self._tables
        standing = tables.standing(owed.webhook, now)
        lane = tables.lanes[standing.key]
        tables.last_delivery += 1
        delivery = Delivery(
            seq=tables.last_delivery,
            event=event,
            webhook=standing.key,
            due_at=None,
            born=standing.clock(now),
            order_key=None if owed.once else owed.order_key,
            once=owed.once,
        )
        tables.deliveries[delivery.seq] = delivery
        tables.owed[event].append(delivery.seq)
        if owed.max_pending and standing.pending >= owed.max_pending and not owed.once:
            delivery.state, delivery.cause, delivery.ended_at = State.DEAD, Cause.OVERFLOW, now
            delivery.order_key = None
            standing.dead += 1
            overflowed.append(owed.webhook)
            return None
        backlog = bool(lane.due) and lane.due[0][0] <= now
        blocked = delivery.order_key is not None and delivery.order_key in lane.keys
        if delivery.once:
            delivery.state, delivery.cause, delivery.ended_at = State.DEAD, Cause.TEST, now
            return tables.claim(delivery, now)
        tables.reopen(delivery, None if blocked else now)
        if blocked or backlog or standing.held or left.get(owed.webhook, 0) <= 0:
            return None
        left[owed.webhook] -= 1
        return tables.claim(delivery, now)

    async def claim(self, wants: Wants, max_bytes: int, now: int) -> Claimed:
        """Claim due deliveries: see `Store.claim`."""
        await trio.lowlevel.checkpoint()
        tables = self._tables
        room = {
            key: wants.but.get(tables.standings[key].name, wants.each)
            for key, lane in tables.lanes.items()
            if lane.due and lane.due[0][0] <= now and not tables.standings[key].held
        }
        used = 0

        def take(key: int, n: int) -> list[Claim] | None:
            nonlocal used
            took: list[Claim] = []
            for due_at, seq in tables.lanes[key].due[:n]:
                size = event_bytes(tables.events[tables.deliveries[seq].event])
                if due_at > now:
                    break
                if used + size > max_bytes and tables.leases:  # alone, it may be of any size
                    return took or None
                used += size
                took.append(tables.claim(tables.deliveries[seq], now))
            return took

        claims, tables.last_turn = take_turns(room, wants.total, tables.last_turn, take)
        waiting = [
            lane.due[0][0]
            for key, lane in tables.lanes.items()
            if lane.due and lane.due[0][0] > now and not tables.standings[key].held
        ]
        return Claimed(claims=tuple(claims), next_due_at=min(waiting, default=None))

    async def record(self, results: Sequence[Result], states: Sequence[WebhookState], now: int) -> Sequence[Claim]:
        """Keep what became of claims: see `Store.record`."""
        await trio.lowlevel.checkpoint()
        tables = self._tables
        lost = []
        for result in results:
            seq = tables.leases.get(result.claim.lease)
            if seq is None:
                lost.append(result.claim)
            else:
                self._record_one(tables.deliveries[seq], result, now)
        for state in states:
            if state.webhook in tables.keys:
                tables.standing(state.webhook, now).learn(state, now)
        return lost

    def _record_one(self, delivery: Delivery, result: Result, now: int) -> None:
        tables, verdict = self._tables, result.verdict
        delivery.attempts = result.attempt.number
        tables.last_attempt += 1
        tables.attempts[tables.last_attempt] = Attempted(
            seq=tables.last_attempt,
            delivery=delivery.seq,
            webhook=delivery.webhook,
            attempt=result.attempt,
            next_at=verdict.planned_at if isinstance(verdict, RetryAt) else None,
        )
        if result.exchange is not None:
            kept = tables.exchanges.setdefault(delivery.webhook, [])
            kept.append((tables.last_attempt, result.exchange))
            del kept[:-EXCHANGES_KEPT]
        match verdict:
            case Delivered():
                tables.end(delivery, None, now)
            case Dead(cause=cause):
                tables.end(delivery, cause, now)
            case RetryAt(due_at=due_at):
                tables.unclaim(delivery)
                tables.wait(delivery, due_at)

    async def release(self, claims: Sequence[Claim], now: int, hold: Cause | None = None) -> None:
        """Give claims back unattempted: see `Store.release`."""
        await trio.lowlevel.checkpoint()
        tables = self._tables
        for claim in claims:
            seq = tables.leases.get(claim.lease)
            if seq is None:
                continue
            delivery = tables.deliveries[seq]
            standing = tables.standings[delivery.webhook]
            tables.unclaim(delivery)
            if delivery.once:
                continue
            if hold is None:
                tables.wait(delivery, delivery.due_at)
            else:
                delivery.due_at, delivery.cause, delivery.held_at = None, hold, now
                delivery.born -= standing.clock(now)
                standing.withheld += 1

    async def revise(self, change: Change, limit: int, now: int) -> Revised:
        """Do a part of a change: see `Store.revise`."""
        await trio.lowlevel.checkpoint()
        return revise_tables(self._tables, change, limit, now)

    async def read(self, query: Query[Row], page: Page) -> Sequence[Row]:
        """Read a page: see `Store.read`."""
        await trio.lowlevel.checkpoint()
        return cast("Sequence[Row]", read_rows(self._tables, query, page))

    async def prune(self, policy: Policy, limit: int, now: int) -> Pruned:
        """Remove what may go: see `Store.prune`."""
        await trio.lowlevel.checkpoint()
        tables = self._tables
        killed = [d for d in tables.deliveries.values() if self._held_too_long(d, now - policy.held_ms)][:limit]
        for delivery in killed:
            tables.end(delivery, Cause.HELD_TOO_LONG, now)
        old = [a.seq for a in tables.attempts.values() if a.attempt.started_at < now - policy.attempts_ms]
        old = old[: limit - len(killed)]
        for seq in old:
            del tables.attempts[seq]
        removed, attempts, done = 0, len(old), True
        size = sum(map(event_bytes, tables.events.values()))
        for seq, event in list(tables.events.items()):
            if len(killed) + attempts + removed >= limit:
                done = False
                break
            expired = event.accepted_at < now - policy.events_ms or size > policy.bytes
            if expired and all(tables.deliveries[d].state is not State.PENDING for d in tables.owed[seq]):
                size -= event_bytes(event)
                attempts += tables.forget_event(seq)
                removed += 1
        return Pruned(events=removed, attempts=attempts, killed=len(killed), done=done)

    def _held_too_long(self, delivery: Delivery, before: int) -> bool:
        if delivery.state is not State.PENDING or delivery.lease is not None:
            return False
        if delivery.held_at is not None:
            return delivery.held_at < before
        held_since = self._tables.standings[delivery.webhook].held_since
        if held_since is None:
            return False
        since = self._tables.events[delivery.event].accepted_at if delivery.due_at is None else delivery.due_at
        return max(held_since, since) < before

    async def backup(self, path: str) -> None:
        """Refuse: there is nothing on disk."""
        await trio.lowlevel.checkpoint()
        raise StoreUnusable(f"a store in memory cannot be copied to {path}")

    def busy_s(self) -> float:
        """Give 0: nothing takes its time here."""
        return 0.0

    def trouble(self) -> str:
        """Give nothing: there is always room."""
        return ""

    async def vitals(self) -> Vitals:
        """Give that all is well."""
        await trio.lowlevel.checkpoint()
        return read_vitals(Pace())

    async def wait_failed(self) -> str:
        """Wait for ever: memory does not fail."""
        await trio.sleep_forever()
        raise AssertionError


@asynccontextmanager
async def open_memory_store() -> AsyncIterator[MemoryStore]:
    """Give an empty store that lives as long as the block."""
    await trio.lowlevel.checkpoint()
    yield MemoryStore()
