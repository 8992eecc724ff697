"""What every store promises when definitions change, people step in, and time passes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hookd.core.model import Cause, Dead, State, WebhookState
from hookd.store.base import Bind, Binding, Kill, MoveWebhook, Policy, Redrive, Resume, Suspend
from hookd.store.queries import Deliveries
from tests.store.making import (
    DAY,
    NOW,
    ROOM,
    accept_one,
    accept_stored,
    attempts,
    backlog,
    bind,
    bindings,
    claim,
    claims_of,
    deliveries,
    fail,
    ids,
    make_event,
    owe,
    record,
    result_of,
    revise,
)

if TYPE_CHECKING:
    from hookd.store.base import Change, Store

KEEP = 1 << 60


class BindContract:
    async def test_an_unbound_webhook_is_held_and_does_not_age(self, store: Store) -> None:
        await bind(store, "a")
        await accept_stored(store, owe("e1", "a"))
        await bind(store, now=NOW + 1000)
        assert await claim(store, now=NOW + 2000) == ()
        row = await backlog(store)
        assert (row.bound, row.pending, row.held, row.next_due_at) == (False, 1, 1, None)
        await bind(store, "a", now=NOW + 61_000)
        [one] = await claim(store, now=NOW + 70_000)
        assert one.aging_since == NOW + 60_000

    async def test_what_is_born_in_a_hold_ages_from_its_end(self, store: Store) -> None:
        await bind(store, "a", held=["a"])
        await accept_stored(store, owe("e1", "a"), now=NOW + 500)
        await bind(store, "a", now=NOW + 10_500)
        [one] = await claim(store, now=NOW + 20_000)
        assert one.aging_since == NOW + 10_500

    async def test_the_same_binding_changes_nothing(self, store: Store) -> None:
        await bind(store, "a", "b")
        assert await revise(store, bindings("a", "b")) == 0

    async def test_the_first_binding_heals_nothing(self, store: Store) -> None:
        await accept_stored(store, owe("e1", "a"))
        await bind(store, "a")
        assert ids(await claim(store)) == ["e1"]

    async def test_another_fingerprint_makes_what_waits_due_now(self, store: Store) -> None:
        await bind(store, "a", "b")
        for n in range(7):
            await fail(store, claims_of(await accept_one(store, owe(f"e{n}", "a", "b"))), NOW + DAY + n)
        lame = WebhookState(
            webhook="a", suspended_at=NOW, suspended_cause="gone", paused_until=NOW + DAY, failing_since=1, failures=9,
            open_until=NOW + DAY, opened=3, last_error="status 500", last_success_at=5,
        )  # fmt: skip
        await store.record([], [lame], NOW)
        change = Bind(webhooks={"a": Binding(fingerprint="other", rules="r"), "b": Binding(fingerprint="f", rules="r")})
        assert await revise(store, change, now=NOW + 5, limit=3) >= 7
        assert sorted(ids(await claim(store, now=NOW + 5))) == [f"e{n}" for n in range(7)]
        assert (await backlog(store)).state == WebhookState(webhook="a", last_error="status 500", last_success_at=5)
        assert await revise(store, change, now=NOW + 6) == 0

    async def test_other_rules_free_what_was_held_for_them(self, store: Store) -> None:
        await bind(store, "a")
        claims = claims_of(await accept_one(store, owe("e1", "a")))
        await store.release(claims, NOW + 1000, Cause.TENANT_CHANGED)
        await revise(store, bindings("a", rules="other"), now=NOW + 11_000)
        [one] = await claim(store, now=NOW + 12_000)
        assert (ids([one]), one.aging_since) == (["e1"], NOW + 10_000)
        row = await backlog(store)
        assert (row.pending, row.held) == (1, 0)

    async def test_many_webhooks_in_small_chunks(self, store: Store) -> None:
        names = [f"w{n}" for n in range(250)]
        assert await revise(store, bindings(*names), limit=100) == 250
        assert await revise(store, bindings(*names[:240]), limit=4) == 10

    async def test_what_changed_alone_leaves_the_others_as_they_are(self, store: Store) -> None:
        await bind(store, "a", "b", "c")
        for name in "abc":
            await fail(store, claims_of(await accept_one(store, owe(f"e-{name}", name))), NOW + DAY)
        change = Bind(webhooks={"a": Binding(fingerprint="other", rules="r")}, gone=["b", "unknown"])
        assert await revise(store, change, now=NOW + 5, limit=1) == 3
        assert ids(await claim(store, now=NOW + 5)) == ["e-a"]
        assert [(await backlog(store, name)).held for name in "abc"] == [0, 1, 0]
        assert await revise(store, change, now=NOW + 6) == 0
        await revise(store, Bind(webhooks=bindings("b").webhooks, gone=()), now=NOW + 7)
        assert sorted(ids(await claim(store, now=NOW + 2 * DAY))) == ["e-b", "e-c"]


class StepInContract:
    async def test_suspend_holds_and_resume_makes_due(self, store: Store) -> None:
        await bind(store, "a")
        await fail(store, claims_of(await accept_one(store, owe("e1", "a"))), NOW + DAY)
        assert await revise(store, Suspend(webhook="a", cause="gone")) == 1
        assert await revise(store, Suspend(webhook="a", cause="again")) == 0
        row = await backlog(store)
        assert (row.held, row.state.suspended_at, row.state.suspended_cause) == (1, NOW, "gone")
        assert await claim(store, now=NOW + 2 * DAY) == ()
        await revise(store, Resume(webhook="a"), now=NOW + 9)
        assert ids(await claim(store, now=NOW + 9)) == ["e1"]

    @pytest.mark.parametrize(
        "change",
        [
            Suspend(webhook="x", cause="c"),
            Resume(webhook="x"),
            Kill(webhook="x", cause=Cause.WEBHOOK_DELETED),
            Redrive(webhook="x"),
        ],
    )
    async def test_a_webhook_that_is_not_known_is_refused(self, store: Store, change: Change) -> None:
        revised = await store.revise(change, 10, NOW)
        assert revised.done
        assert revised.refused

    async def test_redrive_gives_a_fresh_start(self, store: Store) -> None:
        await bind(store, "a")
        [one] = claims_of(await accept_one(store, owe("e1", "a", key="k")))
        await record(store, [one], Dead(cause=Cause.EXHAUSTED))
        assert await revise(store, Redrive(webhook="a"), now=NOW + 500) == 1
        [again] = await claim(store, now=NOW + 500)
        assert again.delivery_id == one.delivery_id
        assert (again.attempts, again.aging_since, again.order_key) == (0, NOW + 500, None)
        row = await backlog(store)
        assert (row.pending, row.dead) == (1, 0)

    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            (Redrive(), ["e0", "e1", "e2", "e3"]),
            (Redrive(tenant="acme"), ["e0", "e2"]),
            (Redrive(type="y"), ["e1", "e3"]),
            (Redrive(since=NOW + 1, until=NOW + 3), ["e1", "e2"]),
            (Redrive(delivery_id="dlv_nothing"), []),
        ],
    )
    async def test_redrive_can_be_narrowed(self, store: Store, change: Redrive, expected: list[str]) -> None:
        await bind(store, "a")
        for n in range(4):
            event = make_event(f"e{n}", tenant=("acme", "zeta")[n % 2], kind=("x", "y")[n % 2])
            await record(
                store, claims_of(await accept_one(store, owe(event, "a"))), Dead(cause=Cause.PERMANENT), now=NOW + n
            )
        assert await revise(store, change, now=NOW + 9, limit=3) == len(expected)
        assert sorted(ids(await claim(store, now=NOW + 9))) == expected

    async def test_kill(self, store: Store) -> None:
        await bind(store, "a", "b")
        flying = claims_of(await accept_one(store, owe("e0", "a", key="k")))
        await accept_stored(store, *(owe(f"e{n}", "a", "b", key="k") for n in range(1, 8)))
        assert await revise(store, Kill(webhook="a", cause=Cause.WEBHOOK_DELETED), limit=3) == 8
        assert await store.record([result_of(flying[0])], [], NOW) == list(flying)
        rows = await deliveries(store, Deliveries(webhook="a"))
        assert {(row.state, row.cause) for row in rows} == {(State.DEAD, Cause.WEBHOOK_DELETED)}
        assert [one.webhook for one in await claim(store)] == ["b"]

    async def test_move_carries_backlog_and_state(self, store: Store) -> None:
        await bind(store, "old")
        [flying] = claims_of(await accept_one(store, owe("e0", "old"), room={"old": 1}))
        await accept_stored(store, owe("e1", "old"))
        await store.record([], [WebhookState(webhook="old", failures=3)], NOW)
        await revise(store, MoveWebhook(source="old", target="new"))
        await bind(store, "new")
        row = await backlog(store, "new")
        assert (row.pending, row.state) == (2, WebhookState(webhook="new", failures=3))
        assert [(one.webhook, one.event.id) for one in await claim(store)] == [("new", "e1")]
        await record(store, [flying])
        assert [row.webhook for row in await attempts(store)] == ["new"]
        assert await revise(store, MoveWebhook(source="old", target="new")) == 0

    async def test_move_to_a_webhook_with_a_backlog_is_refused(self, store: Store) -> None:
        await bind(store, "old", "new")
        await accept_stored(store, owe("e0", "old"), owe("e1", "new"))
        revised = await store.revise(MoveWebhook(source="old", target="new"), 100, NOW)
        assert revised.refused == "new has a backlog of its own: 1 pending, 0 dead"
        assert (await backlog(store, "old")).pending == 1

    async def test_move_keeps_the_history_of_a_target_without_backlog(self, store: Store) -> None:
        await bind(store, "old", "new")
        for name in ("old", "new"):
            await record(store, claims_of(await accept_one(store, owe(name, name), room={name: 1})))
        await revise(store, MoveWebhook(source="old", target="new"))
        assert (await backlog(store, "new")).delivered == 2
        assert [(row.webhook, row.event_id) for row in await attempts(store)] == [("new", "new"), ("new", "old")]


class PruneContract:
    async def prune(self, store: Store, policy: Policy, now: int) -> tuple[int, int, int]:
        events = gone = killed = 0
        for _ in range(100):
            pruned = await store.prune(policy, 5, now)
            events, gone, killed = events + pruned.events, gone + pruned.attempts, killed + pruned.killed
            if pruned.done:
                return events, gone, killed
        raise AssertionError

    async def test_what_is_old_goes_but_never_what_is_pending(self, store: Store) -> None:
        await bind(store, "a")
        for n in range(12):
            claims = claims_of(await accept_one(store, owe(make_event(f"e{n}", at=NOW + n), "a"), now=NOW + n))
            if n != 3:
                await record(store, claims, Dead(cause=Cause.EXHAUSTED) if n % 2 else None, now=NOW + n)
        policy = Policy(events_ms=DAY, attempts_ms=KEEP, held_ms=KEEP, bytes=KEEP)
        assert await self.prune(store, policy, NOW + DAY + 9) == (8, 8, 0)
        assert [row.event.id for row in await deliveries(store)] == ["e3", "e9", "e10", "e11"]
        row = await backlog(store)
        assert (row.pending, row.delivered, row.dead) == (1, 1, 2)
        assert claims_of(await accept_one(store, owe("e0", "a"), now=NOW + DAY))

    async def test_attempts_have_a_time_of_their_own(self, store: Store) -> None:
        await bind(store, "a")
        for n in range(8):
            await record(store, claims_of(await accept_one(store, owe(f"e{n}", "a"))), now=NOW + n)
        policy = Policy(events_ms=KEEP, attempts_ms=DAY, held_ms=KEEP, bytes=KEEP)
        assert await self.prune(store, policy, NOW + DAY + 6) == (0, 6, 0)
        assert [row.event_id for row in await attempts(store)] == ["e7", "e6"]

    async def test_bytes_bound_what_is_kept(self, store: Store) -> None:
        for n in range(10):
            await accept_stored(store, owe(make_event(f"e{n}", data=b"1" * 100)))
        policy = Policy(events_ms=KEEP, attempts_ms=KEEP, held_ms=KEEP, bytes=450)
        assert await self.prune(store, policy, NOW) == (6, 0, 0)
        assert await self.prune(store, policy, NOW) == (0, 0, 0)

    async def test_what_is_held_too_long_is_dead(self, store: Store) -> None:
        await bind(store, "a", "b")
        alone = claims_of(await accept_one(store, owe("alone", "b"), room=ROOM))
        await store.release(alone, NOW, Cause.TRIGGER_OFF)
        await accept_stored(store, *(owe(f"x{n}", "a", key="k") for n in range(3)))
        await bind(store, "b", now=NOW)
        later = make_event("later", at=NOW + DAY)
        await accept_stored(store, owe(later, "a"), now=NOW + DAY)
        policy = Policy(events_ms=KEEP, attempts_ms=KEEP, held_ms=DAY, bytes=KEEP)
        assert await self.prune(store, policy, NOW + DAY) == (0, 0, 0)
        assert (await self.prune(store, policy, NOW + DAY + 1))[2] == 4
        rows = await deliveries(store, Deliveries(state=State.DEAD))
        assert {row.cause for row in rows} == {Cause.HELD_TOO_LONG}
        assert (await backlog(store)).pending == 1
