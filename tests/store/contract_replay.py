"""What every store promises of replays, of dry runs, and of tests that a person sends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from hookd.core.model import Cause, Dead, Page, State
from hookd.store.base import Kill, MoveWebhook, Policy, Redrive, Replay, Wants
from hookd.store.queries import DeadRow, Deliveries, Kept, Redrivable
from tests.store.making import (
    ALL,
    DAY,
    NOW,
    accept_one,
    accept_stored,
    backlog,
    bind,
    claim,
    claims_of,
    deliveries,
    fail,
    ids,
    make_event,
    owe,
    record,
    revise,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hookd.core.model import Claim
    from hookd.store.base import Store
    from hookd.store.queries import KeptRow

KEEP = 1 << 60
DEAD = Dead(cause=Cause.EXHAUSTED)


async def kept(store: Store, webhook: str = "a", **narrowed: Any) -> Sequence[KeptRow]:
    """Give the kept events."""
    return await store.read(Kept(webhook=webhook, **narrowed), ALL)


async def replay(store: Store, webhook: str = "a", *, key: str | None = None, now: int = NOW) -> int:
    """Replay all that is kept to a webhook."""
    rows = await kept(store, webhook)
    return await revise(store, Replay(webhook=webhook, events=tuple((row.seq, key) for row in rows)), now=now, limit=99)


class ReplayContract:
    async def test_a_new_webhook_gets_what_was_kept_before_it(self, store: Store) -> None:
        await bind(store, "a")
        await accept_stored(store, *(owe(f"e{n}") for n in range(3)))
        assert await replay(store, now=NOW + 5) == 3
        claims = await claim(store, now=NOW + 5)
        assert ids(claims) == ["e0", "e1", "e2"]
        assert {(one.attempts, one.aging_since, one.once) for one in claims} == {(0, NOW + 5, False)}
        assert len({one.delivery_id for one in claims}) == 3
        assert await replay(store, now=NOW + 6) == 0  # in flight is pending
        await record(store, claims)
        row = await backlog(store)
        assert (row.pending, row.delivered, row.dead) == (0, 3, 0)

    async def test_a_delivery_that_ended_begins_anew_under_its_id(self, store: Store) -> None:
        await bind(store, "a")
        good, bad, late = [
            claims_of(await accept_one(store, owe(name, "a", key="k" if name == "good" else None)))[0]
            for name in ("good", "bad", "late")
        ]
        await record(store, [good])
        await record(store, [bad], DEAD)
        await fail(store, [late], NOW + DAY)
        assert [row.state for row in await kept(store)] == [State.DELIVERED, State.DEAD, State.PENDING]
        assert await replay(store, key="k", now=NOW + 7) == 2
        again = await claim(store, now=NOW + 7)
        assert {one.delivery_id for one in again} == {good.delivery_id, bad.delivery_id}
        assert {(one.attempts, one.aging_since, one.order_key) for one in again} == {(0, NOW + 7, None)}
        row = await backlog(store)
        assert (row.pending, row.delivered, row.dead) == (3, 0, 0)
        assert {(row.state, row.cause) for row in await deliveries(store)} == {(State.PENDING, None)}

    async def test_new_deliveries_stand_in_order_behind_what_is_pending(self, store: Store) -> None:
        await bind(store, "a", "b")
        await accept_stored(store, *(owe(f"e{n}") for n in range(3)))
        [head] = claims_of(await accept_one(store, owe("head", "a", key="k")))
        assert await replay(store, key="k") == 3
        seen = []
        claims: Sequence[Claim] = [head]
        while claims:
            seen += ids(claims)
            await record(store, claims)
            claims = await claim(store)
            assert len(claims) <= 1
        assert seen == ["head", "e0", "e1", "e2"]
        assert await replay(store, "b", key="k") == 4  # nothing of its own is pending: the first goes at once
        assert ids(await claim(store)) == ["e0"]

    async def test_what_is_not_kept_and_what_is_named_twice(self, store: Store) -> None:
        await bind(store, "a")
        await accept_stored(store, owe("e0"))
        [row] = await kept(store)
        change = Replay(webhook="a", events=((row.seq, None), (row.seq + 1000, None), (row.seq, None)))
        assert (await store.revise(change, 1, NOW)).changed == 1
        assert ids(await claim(store)) == ["e0"]
        assert (await store.revise(Replay(webhook="a", events=()), 1, NOW)).changed == 0
        revised = await store.revise(Replay(webhook="x", events=()), 1, NOW)
        assert (revised.changed, revised.done) == (0, True)
        assert revised.refused

    async def test_a_held_webhook_gets_what_is_replayed_when_it_is_held_no_more(self, store: Store) -> None:
        await bind(store, "a", held=["a"])
        await accept_stored(store, owe("e0"))
        assert await replay(store) == 1
        row = await backlog(store)
        assert (row.pending, row.held) == (1, 1)
        assert await claim(store, now=NOW + 1) == ()
        await bind(store, "a", now=NOW + 2)
        assert ids(await claim(store, now=NOW + 2)) == ["e0"]

    async def test_what_was_delivered_before_a_move_can_be_replayed(self, store: Store) -> None:
        await bind(store, "old", "new")
        for name in ("old", "new"):
            await record(store, claims_of(await accept_one(store, owe(name, name), room={name: 1})))
        await revise(store, MoveWebhook(source="old", target="new"))
        await bind(store, "new")
        assert [row.state for row in await kept(store, "new")] == [State.DELIVERED] * 2
        assert await replay(store, "new") == 2
        again = await claim(store)
        assert sorted((one.webhook, one.event.id) for one in again) == [("new", "new"), ("new", "old")]
        await record(store, again)
        assert ((await backlog(store, "new")).pending, (await backlog(store, "new")).delivered) == (0, 2)

    async def test_kept_events_can_be_narrowed_and_paged(self, store: Store) -> None:
        for n in range(6):
            event = make_event(f"e{n}", tenant=("acme", None)[n % 2], kind=("x", "y")[n % 3 == 0], at=NOW + n)
            await accept_stored(store, owe(event))

        async def found(**narrowed: Any) -> list[str]:
            return [row.event.id for row in await kept(store, **narrowed)]

        assert await found(since=NOW + 1, until=NOW + 4) == ["e1", "e2", "e3"]
        assert await found(tenant="acme") == ["e0", "e2", "e4"]
        assert await found(type="y") == ["e0", "e3"]
        assert await found(type="y", tenant="nobody") == []
        first = await store.read(Kept(webhook="a"), Page(limit=4))
        rest = await store.read(Kept(webhook="a"), Page(limit=4, after=first[-1].seq))
        assert [row.event.id for row in (*first, *rest)] == [f"e{n}" for n in range(6)]
        assert await store.read(Kept(webhook="a"), Page(limit=4, after=rest[-1].seq)) == []

    async def test_a_page_of_large_events_ends_early(self, store: Store) -> None:
        for n in range(4):
            await accept_stored(store, owe(make_event(f"e{n}", data=b'"%s"' % (b"x" * (3 << 20)))))
        first = await kept(store)
        assert [row.event.id for row in first] == ["e0", "e1", "e2"]
        rest = await store.read(Kept(webhook="a"), Page(limit=9, after=first[-1].seq))
        assert [row.event.id for row in rest] == ["e3"]


class OnceContract:
    """A test (`once`) is nobody's backlog."""

    async def test_a_failed_test_is_not_counted_as_dead(self, store: Store) -> None:
        await bind(store, "a")
        [one] = claims_of(await accept_one(store, owe("t", "a", once=True)))
        await record(store, [one], Dead(cause=Cause.TEST))
        row = await backlog(store)
        assert (row.pending, row.dead) == (0, 0)
        [delivery] = await deliveries(store, Deliveries(state=State.DEAD))
        assert delivery.cause is Cause.TEST

    @pytest.mark.parametrize("named", [False, True])
    async def test_it_is_not_redriven_and_not_replayed(self, store: Store, *, named: bool) -> None:
        await bind(store, "a", "b")
        [one] = claims_of(await accept_one(store, owe("t", "a", once=True)))
        await record(store, [one], Dead(cause=Cause.TEST))
        assert await revise(store, Redrive(delivery_id=one.delivery_id) if named else Redrive(webhook="a")) == 0
        assert await store.read(Redrivable(redrive=Redrive()), ALL) == []
        assert await kept(store) == []
        for webhook in ("a", "b"):
            change = Replay(webhook=webhook, events=tuple((number, None) for number in range(5)))
            assert await revise(store, change) == 0

    @pytest.mark.parametrize("hold", [None, Cause.TENANT_CHANGED])
    async def test_one_that_is_given_back_is_never_sent_again(self, store: Store, hold: Cause | None) -> None:
        await bind(store, "a")
        claims = claims_of(await accept_one(store, owe("t", "a", once=True)))
        assert (await backlog(store)).pending == 0
        await store.release(claims, NOW, hold)
        assert (await store.claim(Wants(total=10, each=10), 1 << 20, NOW + DAY)).claims == ()
        row = await backlog(store)
        assert (row.pending, row.held, row.dead) == (0, 0, 0)
        [delivery] = await deliveries(store)
        assert (delivery.state, delivery.cause) == (State.DEAD, Cause.TEST)

    async def test_counts_hold_when_it_is_killed_or_pruned(self, store: Store) -> None:
        await bind(store, "a")
        [one] = claims_of(await accept_one(store, owe("t", "a", once=True)))
        await record(store, [one], Dead(cause=Cause.TEST))
        await accept_stored(store, owe("e", "a"))
        assert await revise(store, Kill(webhook="a", cause=Cause.WEBHOOK_DELETED)) == 1
        assert (await backlog(store)).dead == 1
        pruned = await store.prune(Policy(events_ms=0, attempts_ms=KEEP, held_ms=KEEP, bytes=KEEP), 100, NOW + DAY)
        assert pruned.events == 2
        assert (await backlog(store)).dead == 0


class RedrivableContract:
    @pytest.mark.parametrize(
        ("redrive", "expected"),
        [
            (Redrive(), [("a", 2), ("b", 2)]),
            (Redrive(webhook="b"), [("b", 2)]),
            (Redrive(webhook="x"), []),
            (Redrive(tenant="acme"), [("a", 1), ("b", 1)]),
            (Redrive(type="none"), []),
            (Redrive(since=NOW + 1), [("a", 1), ("b", 1)]),
            (Redrive(until=NOW + 1), [("a", 1), ("b", 1)]),
            (Redrive(delivery_id="dlv_nothing"), []),
        ],
    )
    async def test_it_tells_what_a_redrive_would_do(
        self, store: Store, redrive: Redrive, expected: list[tuple[str, int]]
    ) -> None:
        await bind(store, "b", "a")
        for n in range(2):
            claims = claims_of(
                await accept_one(store, owe(make_event(f"e{n}", tenant=("acme", None)[n]), "a", "b"), now=NOW + n)
            )
            await record(store, claims, DEAD, now=NOW + n)
        await record(store, claims_of(await accept_one(store, owe("good", "a"), now=NOW)))
        rows = [DeadRow(webhook=name, count=count) for name, count in expected]
        assert await store.read(Redrivable(redrive=redrive), ALL) == rows
        if redrive.webhook != "x":
            assert await revise(store, redrive, now=NOW + 9) == sum(count for _, count in expected)
            assert await store.read(Redrivable(redrive=redrive), ALL) == []
