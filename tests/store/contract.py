"""What every store promises, as tests: accepting, claiming, recording, releasing, ordering.

A store's own test module makes a `store` fixture and inherits these classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from hookd.core.model import Cause, Dead, Delivered, Event, Page, RetryAt, State, WebhookState
from hookd.store.base import Claimed, Conflict, New, Seen, Wants
from hookd.store.queries import Attempts, Backlog, Deliveries, Exchanges, LastAttempted
from tests.store.making import (
    ALL,
    NO_ROOM,
    NOW,
    ROOM,
    accept_one,
    accept_stored,
    attempts,
    backlog,
    bind,
    claim,
    claims_of,
    deliveries,
    fail,
    ids,
    make_event,
    make_exchange,
    owe,
    record,
    result_of,
)

if TYPE_CHECKING:
    from hookd.core.model import Verdict
    from hookd.store.base import Store


class AcceptContract:
    async def test_a_new_event_is_kept_whole(self, store: Store) -> None:
        await bind(store, "a")
        event = Event(
            id="e1",
            type="user.updated",
            source="/crm",
            subject="user/1",
            time="2026-01-02T03:04:05Z",
            tenant="acme",
            partitionkey="p",
            traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            extensions=b'{"shard":"x"}',
            data=b'{"n": 1E2, "u":"\\u00e9\\/"}',
            accepted_at=NOW,
            digest=b"\x00" * 32,
        )
        await accept_stored(store, owe(event, "a"))
        [row] = await deliveries(store)
        assert row.event == event
        [one] = await claim(store)
        assert one.event == event
        assert (one.webhook, one.attempts, one.aging_since, one.order_key, one.once) == ("a", 0, NOW, None, False)
        assert one.delivery_id == row.delivery_id

    async def test_an_event_without_data_stays_without(self, store: Store) -> None:
        await bind(store, "a")
        await accept_stored(store, owe(Event(id="none", type="t", accepted_at=NOW, digest=b"d"), "a"))
        await accept_stored(store, owe(Event(id="empty", type="t", data=b"null", accepted_at=NOW, digest=b"e"), "a"))
        none, empty = await claim(store)
        assert none.event == Event(id="none", type="t", accepted_at=NOW, digest=b"d")
        assert empty.event.data == b"null"

    async def test_deliveries_are_claimed_at_once_where_there_is_room(self, store: Store) -> None:
        await bind(store, "a", "b")
        result = await accept_one(store, owe("e1", "a", "b"), room={"a": 1, "b": 1})
        assert [one.webhook for one in claims_of(result)] == ["a", "b"]
        assert await claim(store) == ()

    async def test_room_bounds_what_is_claimed_at_once(self, store: Store) -> None:
        await bind(store, "a", "b")
        results = await store.accept([owe(f"e{n}", "a", "b") for n in range(5)], {"a": 2}, NOW)
        assert [[one.webhook for one in claims_of(result)] for result in results] == [["a"], ["a"], [], [], []]
        assert sorted(ids(await claim(store))) == sorted(["e2", "e3", "e4", *[f"e{n}" for n in range(5)]])

    async def test_a_stored_backlog_goes_before_what_is_new(self, store: Store) -> None:
        await bind(store, "a", "b")
        await accept_stored(store, owe("old", "a"))
        result = await accept_one(store, owe("new", "a", "b"))
        assert [one.webhook for one in claims_of(result)] == ["b"]
        assert ids(await claim(store)) == ["old", "new"]

    async def test_what_waits_for_its_retry_is_no_backlog(self, store: Store) -> None:
        await bind(store, "a")
        await fail(store, claims_of(await accept_one(store, owe("e1", "a"))), NOW + 5000)
        assert len(claims_of(await accept_one(store, owe("e2", "a")))) == 1

    async def test_a_held_webhook_gets_nothing_at_once(self, store: Store) -> None:
        await bind(store, "a", held=["a"])
        assert await accept_one(store, owe("e1", "a", "unknown")) == New()
        assert (await backlog(store)).held == 1

    async def test_an_event_that_nobody_is_owed_is_kept(self, store: Store) -> None:
        assert await accept_one(store, owe("e1")) == New()
        assert await accept_one(store, owe("e1")) == Seen()

    async def test_the_same_event_again_is_seen(self, store: Store) -> None:
        await bind(store, "a")
        await accept_stored(store, owe("e1", "a"))
        assert await accept_one(store, owe("e1", "a")) == Seen()
        assert len(await deliveries(store)) == 1

    async def test_an_event_that_is_spelt_otherwise_is_seen(self, store: Store) -> None:
        await accept_stored(store, owe(make_event("e1", data=b'{"a":1,"b":[2]}')))
        assert await accept_one(store, owe(make_event("e1", data=b'{ "b": [2], "a": 1 }'))) == Seen()

    async def test_the_same_key_with_other_content_is_a_conflict(self, store: Store) -> None:
        await bind(store, "a")
        await accept_stored(store, owe("e1", "a"))
        assert await accept_one(store, owe(make_event("e1", data=b'{"n":2}'), "a")) == Conflict()
        [row] = await deliveries(store)
        assert row.event.data == b'{"n":1}'

    async def test_tenant_and_source_belong_to_the_key(self, store: Store) -> None:
        keys = [(None, None), ("acme", None), (None, "acme"), ("acme", "acme"), ("acm", "eacme")]
        entries = [owe(make_event("e", tenant=tenant, source=source)) for tenant, source in keys]
        assert await store.accept(entries, ROOM, NOW) == [New()] * len(keys)
        assert await store.accept(entries, ROOM, NOW) == [Seen()] * len(keys)

    async def test_a_repetition_within_a_batch_is_seen(self, store: Store) -> None:
        await bind(store, "a")
        entries = [
            owe("e1", "a"),
            owe("e2", "a"),
            owe("e1", "a"),
            owe(make_event("e2", data=b"2"), "a"),
            owe("e3", "a"),
        ]
        results = await store.accept(entries, NO_ROOM, NOW)
        assert results == [New(), New(), Seen(), Conflict(), New()]
        assert ids(await claim(store)) == ["e1", "e2", "e3"]

    async def test_a_bad_event_fails_alone(self, store: Store) -> None:
        await bind(store, "a")
        entries = [owe(f"e{n}", "a") for n in range(7)]
        entries[3] = owe(Event(id="bad\ud800", type="t", data=b"1", accepted_at=NOW, digest=b"x"), "a")
        results = await store.accept(entries, ROOM, NOW)
        assert [isinstance(result, New) for result in results] == [True, True, True, False, True, True, True]
        assert "bad" not in repr(results[3])
        assert len(await deliveries(store)) == 6

    async def test_beyond_max_pending_a_delivery_is_dead_of_overflow(self, store: Store) -> None:
        await bind(store, "a")
        entries = [owe(f"e{n}", "a", max_pending=2) for n in range(4)]
        results = await store.accept(entries, ROOM, NOW)
        assert [len(claims_of(result)) for result in results] == [1, 1, 0, 0]
        assert [result.overflowed for result in results if isinstance(result, New)] == [(), (), ("a",), ("a",)]
        rows = await deliveries(store, Deliveries(state=State.DEAD))
        assert [(row.event.id, row.cause, row.attempts) for row in rows] == [
            ("e2", Cause.OVERFLOW, 0),
            ("e3", Cause.OVERFLOW, 0),
        ]
        row = await backlog(store)
        assert (row.pending, row.dead, row.delivered) == (2, 2, 0)

    async def test_what_was_delivered_makes_room_below_max_pending(self, store: Store) -> None:
        await bind(store, "a")
        await record(store, claims_of(await accept_one(store, owe("e1", "a", max_pending=1))))
        assert len(claims_of(await accept_one(store, owe("e2", "a", max_pending=1)))) == 1

    async def test_once_is_claimed_whatever_holds_the_webhook(self, store: Store) -> None:
        await bind(store, "a", held=["a"])
        [one] = claims_of(await accept_one(store, owe("e1", "a", once=True), room={}))
        assert one.once
        await record(store, [one], Dead(cause=Cause.TEST))
        assert (await backlog(store)).pending == 0

    async def test_many_events_in_one_batch(self, store: Store) -> None:
        await bind(store, "a")
        results = await store.accept([owe(f"e{n}", "a") for n in range(1500)], {"a": 1500}, NOW)
        assert [ids(claims_of(result)) for result in results] == [[f"e{n}"] for n in range(1500)]
        assert len({one.delivery_id for result in results for one in claims_of(result)}) == 1500

    async def test_nothing_to_accept(self, store: Store) -> None:
        assert list(await store.accept([], ROOM, NOW)) == []

    async def test_many_callers_share_the_store(self, store: Store) -> None:
        await bind(store, "a")
        got: list[str] = []

        async def produce(who: int) -> None:
            for n in range(20):
                result = await accept_one(store, owe(f"{who}-{n}", "a"))
                claims = claims_of(result)
                await record(store, claims)
                got.extend(ids(claims))
                got.extend(ids(stored := await claim(store)))
                await record(store, stored)

        async with trio.open_nursery() as nursery:
            for who in range(8):
                nursery.start_soon(produce, who)
        got.extend(ids(await claim(store)))
        assert sorted(got) == sorted(f"{who}-{n}" for who in range(8) for n in range(20))


class ClaimContract:
    async def test_oldest_due_first(self, store: Store) -> None:
        await bind(store, "a")
        first, second = [claims_of(await accept_one(store, owe(e, "a"))) for e in ("first", "second")]
        await fail(store, first, NOW + 2000)
        await fail(store, second, NOW + 1000)
        await accept_stored(store, owe("third", "a"), now=NOW + 1500)
        assert ids(await claim(store, now=NOW + 3000)) == ["second", "third", "first"]

    async def test_nothing_is_handed_out_twice(self, store: Store) -> None:
        await bind(store, "a")
        await accept_stored(store, *(owe(f"e{n}", "a") for n in range(10)))
        got = [ids(await claim(store, total=3)) for _ in range(5)]
        assert got == [["e0", "e1", "e2"], ["e3", "e4", "e5"], ["e6", "e7", "e8"], ["e9"], []]

    async def test_a_retry_is_claimed_when_it_is_due(self, store: Store) -> None:
        await bind(store, "a")
        await fail(store, claims_of(await accept_one(store, owe("e1", "a"))), NOW + 5000)
        assert await store.claim(Wants(total=9, each=9), 1 << 20, NOW + 4999) == Claimed(
            claims=(), next_due_at=NOW + 5000
        )
        [one] = await claim(store, now=NOW + 5000)
        assert one.attempts == 1
        assert one.aging_since == NOW

    async def test_wants_bound_each_webhook(self, store: Store) -> None:
        await bind(store, "a", "b", "c")
        await accept_stored(store, *(owe(f"e{n}", "a", "b", "c") for n in range(9)))
        claims = await claim(store, each=2, b=0, c=5)
        assert sorted(one.webhook for one in claims) == ["a"] * 2 + ["c"] * 5

    async def test_webhooks_in_turn(self, store: Store) -> None:
        await bind(store, "a", "b", "c")
        await accept_stored(store, *(owe(f"a{n}", "a") for n in range(100)))
        await accept_stored(store, owe("b0", "b"), owe("c0", "c"), owe("c1", "c"))
        assert sorted(ids(await claim(store, total=6))) == ["a0", "a1", "a2", "b0", "c0", "c1"]

    async def test_a_room_of_one_reaches_every_webhook(self, store: Store) -> None:
        await bind(store, "a", "b", "c")
        await accept_stored(store, *(owe(f"e{n}", "a", "b", "c") for n in range(9)))
        got = [one.webhook for _ in range(6) for one in await claim(store, total=1)]
        assert sorted(got[:3]) == sorted(got[3:]) == ["a", "b", "c"]

    async def test_bytes_bound_a_claim(self, store: Store) -> None:
        await bind(store, "a")
        await accept_stored(store, *(owe(make_event(f"e{n}", data=b'"%s"' % (b"x" * 998)), "a") for n in range(5)))
        got = [len((await store.claim(Wants(total=9, each=9), 2500, NOW)).claims) for _ in range(3)]
        assert got == [2, 2, 1]

    async def test_what_is_larger_than_the_bytes_goes_out_alone(self, store: Store) -> None:
        await bind(store, "a")
        await accept_stored(store, *(owe(make_event(f"e{n}", data=b'"%s"' % (b"x" * 998)), "a") for n in range(2)))
        first = await store.claim(Wants(total=9, each=9), 100, NOW)
        assert ids(first.claims) == ["e0"]
        assert (await store.claim(Wants(total=9, each=9), 100, NOW)).claims == ()
        await record(store, first.claims)
        assert ids((await store.claim(Wants(total=9, each=9), 100, NOW)).claims) == ["e1"]

    async def test_next_due_is_the_earliest_of_what_waits(self, store: Store) -> None:
        await bind(store, "a", "b", "c")
        for name, due_at in (("a", 3000), ("b", 2000), ("c", 1000)):
            await fail(store, claims_of(await accept_one(store, owe(name, name))), NOW + due_at)
        await bind(store, "a", "b", "c", held=["c"])
        assert (await store.claim(Wants(total=9, each=9), 1 << 20, NOW)).next_due_at == NOW + 2000

    async def test_next_due_leaves_out_what_lacks_only_room(self, store: Store) -> None:
        await bind(store, "a")
        await accept_stored(store, owe("e1", "a"))
        assert await store.claim(Wants(total=0, each=0), 1 << 20, NOW) == Claimed(claims=(), next_due_at=None)

    async def test_a_claim_past_what_waits_tells_when_it_is_due(self, store: Store) -> None:
        await bind(store, "a")
        await fail(store, claims_of(await accept_one(store, owe("later", "a"))), NOW + 7000)
        await accept_stored(store, owe("now", "a"))
        claimed = await store.claim(Wants(total=9, each=9), 1 << 20, NOW)
        assert (ids(claimed.claims), claimed.next_due_at) == (["now"], NOW + 7000)


class RecordContract:
    async def test_delivered(self, store: Store) -> None:
        await bind(store, "a")
        await record(store, claims_of(await accept_one(store, owe("e1", "a"))))
        [row] = await deliveries(store)
        assert (row.state, row.attempts, row.due_at, row.cause) == (State.DELIVERED, 1, None, None)
        counts = await backlog(store)
        assert (counts.pending, counts.delivered, counts.oldest_pending_at) == (0, 1, None)

    async def test_dead(self, store: Store) -> None:
        await bind(store, "a")
        await record(store, claims_of(await accept_one(store, owe("e1", "a"))), Dead(cause=Cause.EXHAUSTED))
        [row] = await deliveries(store)
        assert (row.state, row.attempts, row.cause) == (State.DEAD, 1, Cause.EXHAUSTED)
        assert await claim(store, now=NOW + 10**9) == ()

    async def test_retry_at(self, store: Store) -> None:
        await bind(store, "a")
        await fail(store, claims_of(await accept_one(store, owe("e1", "a"))), NOW + 5000)
        [row] = await deliveries(store)
        assert (row.state, row.attempts, row.due_at) == (State.PENDING, 1, NOW + 5000)
        assert (await backlog(store)).next_due_at == NOW + 5000

    @pytest.mark.parametrize(("opens_at", "told"), [(None, None), (NOW + 9, NOW + 9), (NOW, NOW + 1)])
    async def test_an_attempt_tells_when_the_next_one_may_come_and_the_delivery_when_it_is_due(
        self, store: Store, opens_at: int | None, told: int | None
    ) -> None:
        await bind(store, "a")
        [one] = claims_of(await accept_one(store, owe("e1", "a", key="k")))
        await accept_one(store, owe("e2", "a", key="k"))
        await store.record([result_of(one, RetryAt(due_at=NOW + 1, opens_at=opens_at))], [], NOW)
        [row] = await attempts(store)
        assert row.next_attempt_at == told
        assert ids(await claim(store, now=NOW)) == []  # the one after it still waits for it
        assert ids(await claim(store, now=NOW + 1)) == ["e1"]

    async def test_every_attempt_is_in_the_log(self, store: Store) -> None:
        await bind(store, "a")
        event = make_event("e1", tenant="acme")
        [one] = claims_of(await accept_one(store, owe(event, "a")))
        first = result_of(one, RetryAt(due_at=NOW + 1), at=NOW)
        await store.record([first], [], NOW)
        [again] = await claim(store, now=NOW + 1)
        second = result_of(again, at=NOW + 1)
        await store.record([second], [], NOW + 1)
        newest, oldest = await attempts(store)
        assert (newest.attempt, oldest.attempt) == (second.attempt, first.attempt)
        assert (newest.next_attempt_at, oldest.next_attempt_at) == (None, NOW + 1)
        assert newest.seq > oldest.seq
        for row in (newest, oldest):
            assert (row.webhook, row.delivery_id, row.state) == ("a", one.delivery_id, State.DELIVERED)
            assert (row.event_id, row.event_type, row.tenant) == ("e1", "user.updated", "acme")

    async def test_a_claim_that_was_killed_is_lost(self, store: Store) -> None:
        await bind(store, "a")
        [one] = claims_of(await accept_one(store, owe("e1", "a")))
        [other] = claims_of(await accept_one(store, owe("e2", "a")))
        await record(store, [one])
        results = [result_of(one), result_of(other), result_of(other)]
        assert await store.record(results, [], NOW) == [one, other]
        assert len(await attempts(store)) == 2

    async def test_states_are_kept_whole(self, store: Store) -> None:
        await bind(store, "a", "b")
        state = WebhookState(
            webhook="a",
            paused_until=NOW + 1,
            failing_since=NOW - 5,
            failing_cause=Cause.STATUS,
            failures=4,
            open_until=NOW + 9,
            opened=2,
            last_error="status 500",
            last_success_at=NOW - 9,
        )
        await store.record([], [state], NOW)
        assert (await backlog(store, "a")).state == state
        assert (await backlog(store, "b")).state == WebhookState(webhook="b")

    async def test_a_state_may_suspend(self, store: Store) -> None:
        await bind(store, "a")
        await accept_stored(store, owe("e1", "a"))
        await store.record([], [WebhookState(webhook="a", suspended_at=NOW, suspended_cause="gone")], NOW)
        assert await claim(store) == ()
        await store.record([], [WebhookState(webhook="a")], NOW)
        assert ids(await claim(store)) == ["e1"]

    async def test_the_last_ten_exchanges_are_kept(self, store: Store) -> None:
        await bind(store, "a", "b")
        results = await store.accept([owe(f"e{n}", "a", "b") for n in range(25)], ROOM, NOW)
        claims = [one for result in results for one in claims_of(result)]
        for batch in (claims[:20], claims[20:]):
            await store.record([result_of(one, exchange=make_exchange(one.lease)) for one in batch], [], NOW)
        rows = await store.read(Exchanges(webhook="a"), ALL)
        expected = [one for one in reversed(claims) if one.webhook == "a"][:10]
        assert [row.exchange for row in rows] == [make_exchange(one.lease) for one in expected]
        assert [row.row.delivery_id for row in rows] == [one.delivery_id for one in expected]
        assert len(await store.read(Exchanges(webhook="b"), Page(limit=3))) == 3
        assert list(await store.read(Exchanges(webhook="nobody"), ALL)) == []

    async def test_a_batch_of_all_verdicts(self, store: Store) -> None:
        await bind(store, "a")
        results = await store.accept([owe(f"e{n}", "a") for n in range(300)], ROOM, NOW)
        claims = [one for result in results for one in claims_of(result)]
        verdicts: list[Verdict] = [Delivered(), RetryAt(due_at=NOW + 5), Dead(cause=Cause.PERMANENT)]
        batch = [result_of(one, verdicts[n % 3]) for n, one in enumerate(claims)]
        assert await store.record(batch, [], NOW) == []
        row = await backlog(store)
        assert (row.delivered, row.pending, row.dead) == (100, 100, 100)
        assert ids(await claim(store, now=NOW + 5)) == [f"e{n}" for n in range(1, 300, 3)]


class ReleaseContract:
    async def test_what_is_released_is_due_as_it_was(self, store: Store) -> None:
        await bind(store, "a")
        await accept_stored(store, owe("e1", "a"), owe("e2", "a"))
        first = await claim(store, total=1)
        await store.release(first, NOW + 1)
        again = await claim(store, now=NOW + 1)
        assert ids(again) == ["e1", "e2"]
        assert again[0].attempts == 0
        assert await attempts(store) == []

    async def test_a_released_claim_is_lost(self, store: Store) -> None:
        await bind(store, "a")
        claims = claims_of(await accept_one(store, owe("e1", "a")))
        await store.release(claims, NOW)
        await store.release(claims, NOW)
        assert await store.record([result_of(claims[0])], [], NOW) == list(claims)
        [again] = await claim(store)
        await record(store, [again])

    async def test_released_to_be_held(self, store: Store) -> None:
        await bind(store, "a")
        claims = claims_of(await accept_one(store, owe("e1", "a")))
        await store.release(claims, NOW, Cause.TENANT_CHANGED)
        assert await store.claim(Wants(total=9, each=9), 1 << 20, NOW + 10**9) == Claimed(claims=(), next_due_at=None)
        row = await backlog(store)
        assert (row.pending, row.held, row.next_due_at) == (1, 1, None)
        [held] = await deliveries(store)
        assert (held.state, held.cause, held.due_at) == (State.PENDING, Cause.TENANT_CHANGED, None)


class OrderContract:
    async def test_one_of_a_key_at_a_time(self, store: Store) -> None:
        await bind(store, "a")
        await accept_stored(store, *(owe(f"{key}{n}", "a", key=key) for n in range(3) for key in "xy"))
        seen = []
        while claims := await claim(store):
            seen.append(ids(claims))
            await record(store, claims)
        assert seen == [["x0", "y0"], ["x1", "y1"], ["x2", "y2"]]

    async def test_only_the_head_is_claimed_at_once(self, store: Store) -> None:
        await bind(store, "a")
        results = await store.accept([owe(f"x{n}", "a", key="x") for n in range(2)], ROOM, NOW)
        assert [ids(claims_of(result)) for result in results] == [["x0"], []]
        assert claims_of(await accept_one(store, owe("x2", "a", key="x"))) == ()
        assert ids(claims_of(await accept_one(store, owe("y0", "a", key="y")))) == ["y0"]

    async def test_a_waiting_head_blocks_its_key_and_nothing_else(self, store: Store) -> None:
        await bind(store, "a")
        heads = claims_of(await accept_one(store, owe("x0", "a", key="x")))
        await accept_stored(store, owe("x1", "a", key="x"), owe("y0", "a", key="y"), owe("free", "a"))
        await fail(store, heads, NOW + 5000)
        assert ids(await claim(store, now=NOW + 1)) == ["y0", "free"]
        assert ids(await claim(store, now=NOW + 5000)) == ["x0"]

    async def test_a_dead_head_makes_the_next_one_due(self, store: Store) -> None:
        await bind(store, "a")
        heads = claims_of(await accept_one(store, owe("x0", "a", key="x")))
        await accept_stored(store, owe("x1", "a", key="x"))
        await record(store, heads, Dead(cause=Cause.EXHAUSTED), now=NOW + 9)
        assert ids(await claim(store, now=NOW + 9)) == ["x1"]

    async def test_a_held_head_blocks(self, store: Store) -> None:
        await bind(store, "a")
        heads = claims_of(await accept_one(store, owe("x0", "a", key="x")))
        await accept_stored(store, owe("x1", "a", key="x"))
        await store.release(heads, NOW, Cause.TRIGGER_OFF)
        assert await claim(store, now=NOW + 10**9) == ()

    async def test_webhooks_have_keys_of_their_own(self, store: Store) -> None:
        await bind(store, "a", "b")
        result = await accept_one(store, owe("x0", "a", "b", key="x"))
        assert [one.webhook for one in claims_of(result)] == ["a", "b"]
        assert {one.order_key for one in claims_of(result)} == {"x"}

    async def test_an_empty_key_is_a_key(self, store: Store) -> None:
        await bind(store, "a")
        await accept_stored(store, owe("e0", "a", key=""), owe("e1", "a", key=""))
        assert ids(await claim(store)) == ["e0"]

    async def test_an_overflown_one_blocks_nothing(self, store: Store) -> None:
        await bind(store, "a")
        entries = [owe(f"x{n}", "a", key="x", max_pending=1) for n in range(2)]
        first, second = await store.accept(entries, ROOM, NOW)
        assert claims_of(second) == ()
        await record(store, claims_of(first))
        assert len(claims_of(await accept_one(store, owe("x2", "a", key="x")))) == 1

    async def test_a_once_is_outside_the_order(self, store: Store) -> None:
        await bind(store, "a")
        await accept_one(store, owe("x0", "a", key="x"))
        assert len(claims_of(await accept_one(store, owe("t", "a", key="x", once=True)))) == 1
        assert claims_of(await accept_one(store, owe("x1", "a", key="x"))) == ()


class ReadContract:
    async def test_the_log_in_pages(self, store: Store) -> None:
        await self.fill(store)
        seen: list[int] = []
        after = None
        while rows := await store.read(Attempts(), Page(limit=4, after=after)):
            seen += [row.seq for row in rows]
            after = seen[-1]
        assert seen == sorted(seen, reverse=True)
        assert len(set(seen)) == 12
        forward: list[int] = []
        after = None
        while rows := await store.read(Attempts(order="oldest"), Page(limit=5, after=after)):
            forward += [row.seq for row in rows]
            after = forward[-1]
        assert forward == seen[::-1]

    async def fill(self, store: Store) -> None:
        await bind(store, "a", "b")
        for n in range(6):
            event = make_event(f"e{n}", tenant=("acme", "zeta")[n % 2], kind=("x", "y", "z")[n % 3])
            claims = claims_of(await accept_one(store, owe(event, "a", "b")))
            await store.record([result_of(one, at=NOW + n) for one in claims], [], NOW + n)

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            (Attempts(webhook="a"), ["a5", "a4", "a3", "a2", "a1", "a0"]),
            (Attempts(webhook="a", tenant="acme"), ["a4", "a2", "a0"]),
            (Attempts(webhook="b", type="y"), ["b4", "b1"]),
            (Attempts(event_id="e3"), ["b3", "a3"]),
            (Attempts(event_id="e3", webhook="a"), ["a3"]),
            (Attempts(webhook="a", since=NOW + 2, until=NOW + 4), ["a3", "a2"]),
            (Attempts(webhook="a", since=NOW + 2, until=NOW + 4, order="oldest"), ["a2", "a3"]),
            (Attempts(since=NOW + 5), ["b5", "a5"]),
            (Attempts(until=NOW + 1), ["b0", "a0"]),
            (Attempts(webhook="nobody"), []),
            (Attempts(event_id="nothing"), []),
            (Attempts(tenant="acme", type="y", event_id="e4", webhook="b", since=NOW), ["b4"]),
        ],
    )
    async def test_the_log_can_be_narrowed(self, store: Store, query: Attempts, expected: list[str]) -> None:
        await self.fill(store)
        assert [row.webhook + row.event_id[1:] for row in await attempts(store, query)] == expected

    async def test_when_anything_was_attempted_last(self, store: Store) -> None:
        assert await store.read(LastAttempted(), ALL) == []
        await self.fill(store)
        assert await store.read(LastAttempted(), ALL) == [NOW + 5]
        one = claims_of(await accept_one(store, owe("before", "a")))[0]
        await store.record([result_of(one, at=NOW - 9)], [], NOW - 9)  # the clock was set back
        assert await store.read(LastAttempted(), ALL) == [NOW + 5]

    async def test_deliveries_can_be_narrowed(self, store: Store) -> None:
        await self.fill(store)
        await accept_stored(store, owe("late", "b"))
        assert [row.event.id for row in await deliveries(store, Deliveries(state=State.PENDING))] == ["late"]
        assert [row.webhook for row in await deliveries(store, Deliveries(event_id="e3"))] == ["a", "b"]
        assert len(await deliveries(store, Deliveries(webhook="b"))) == 7
        [one] = await deliveries(store, Deliveries(event_id="e3", webhook="b"))
        assert await deliveries(store, Deliveries(delivery_id=one.delivery_id)) == [one]
        assert await deliveries(store, Deliveries(delivery_id="dlv_nonsense")) == []
        first = await store.read(Deliveries(), Page(limit=5))
        rest = await store.read(Deliveries(), Page(limit=100, after=first[-1].seq))
        assert [row.seq for row in (*first, *rest)] == [row.seq for row in await deliveries(store)]

    async def test_the_backlog_of_all(self, store: Store) -> None:
        await self.fill(store)
        await accept_stored(store, owe(make_event("p", at=NOW + 50), "b"), now=NOW + 50)
        rows = await store.read(Backlog(), ALL)
        assert [(row.webhook, row.bound, row.pending, row.delivered) for row in rows] == [
            ("a", True, 0, 6),
            ("b", True, 1, 6),
        ]
        assert rows[1].oldest_pending_at == rows[1].next_due_at == NOW + 50
        assert await store.read(Backlog(), Page(limit=9, after=1)) == rows[1:]
        assert list(await store.read(Backlog(webhook="nobody"), ALL)) == []
