"""The dispatcher on a memory store, with a sender that plays a script and a clock that jumps."""

# ruff: noqa: ARG001  pytest-trio takes the clock of a test from its arguments, and from nowhere else

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network
from typing import TYPE_CHECKING

import pytest
import structlog
import trio
from structlog.testing import capture_logs

from hookd.core.config import Move, RetryPolicy, Trigger
from hookd.core.daemonconfig import Limits
from hookd.core.model import Cause, NoResponse, Outcome, Owed, Page, Response, State, WebhookState
from hookd.core.units import DAY
from hookd.delivery.dispatcher import NotAttempted
from hookd.delivery.lane import CLAIM_WEIGHT
from hookd.delivery.lanes import MEMORY
from hookd.store.base import Entry, MoveWebhook, New, Redrive, Resume, StoreUnavailable, Wants
from hookd.store.queries import Exchanges
from tests.delivery.stage import EPOCH, OK, Asked, Script, make_config, make_event, make_webhook, open_stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trio.testing import MockClock

    from hookd.delivery.sender import Request
    from tests.delivery.stage import Stage

FAILED = Response(status=500, body=b"no")
QUICK = RetryPolicy(schedule=(10.0, 100.0), jitter=0.0)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Keep the log off the screen; tests that look at it capture it themselves."""
    with capture_logs():
        yield
    structlog.reset_defaults()


async def test_an_event_is_delivered_recorded_and_logged(autojump_clock: MockClock) -> None:
    async with open_stage() as stage:
        await stage.accept(make_event(7, tenant=None, traceparent="00-ab-cd-01"))
        await stage.told(1)
        (row,) = await stage.attempts()
        assert (row.attempt.outcome, row.attempt.number, row.state) == ("delivered", 1, State.DELIVERED)
        (request,) = stage.sender.requests
        headers = dict(request.headers)
        assert headers["webhook-id"] == row.delivery_id
        assert headers["webhook-timestamp"] == str(EPOCH // 1000)
        assert headers["traceparent"] == "00-ab-cd-01"
        assert request.body == b'{"type":"user.updated","timestamp":"2027-01-15T08:00:00.000Z","data":{"n":7}}'
        assert stage.lines == [
            {
                "webhook": "crm",
                "tenant": None,
                "event_id": "evt-7",
                "event_type": "user.updated",
                "delivery_id": row.delivery_id,
                "attempt": 1,
                "outcome": "delivered",
                "cause": None,
                "status": 200,
                "duration_ms": 1.0,
                "next_attempt_at": None,
                "revision": "0123456789ab",
                "trace_id": "ab",
                "span_id": "cd",
            }
        ]


async def test_a_failure_is_tried_again_on_the_schedule_with_the_same_id(autojump_clock: MockClock) -> None:
    sender = Script([FAILED, NoResponse(cause=Cause.TIMEOUT, detail="no answer in 10 s", sent=True), OK])
    async with open_stage(make_webhook(retry=QUICK), sender=sender) as stage:
        await stage.accept(make_event())
        await stage.told(3)
        assert [round(at - sender.times[0]) for at in sender.times] == [0, 10, 110]
        assert len({dict(request.headers)["webhook-id"] for request in sender.requests}) == 1
        assert [dict(request.headers)["webhook-timestamp"] for request in sender.requests] == [
            str(EPOCH // 1000 + s) for s in (0, 10, 110)
        ]
        rows = await stage.attempts()
        assert [(row.attempt.number, row.attempt.outcome, row.attempt.cause) for row in rows] == [
            (1, "rejected", Cause.STATUS),
            (2, "unknown", Cause.TIMEOUT),
            (3, "delivered", None),
        ]
        assert rows[0].attempt.excerpt == b"no"
        assert stage.lines[0]["next_attempt_at"] == "2027-01-15T08:00:10.000Z"
        assert stage.lines[1]["detail"] == "no answer in 10 s"


async def test_the_last_failure_is_a_dead_delivery_and_a_warning(autojump_clock: MockClock) -> None:
    async with open_stage(make_webhook(retry=RetryPolicy(schedule=())), sender=Script([FAILED])) as stage:
        with capture_logs() as logged:
            await stage.accept(make_event())
            await stage.told(1)
        assert [(line["event"], line["log_level"], line["cause"]) for line in logged] == [
            ("delivery.dead", "warning", Cause.EXHAUSTED)
        ]
        assert (await stage.backlog()).dead == 1


async def test_a_webhook_has_no_more_slots_than_its_concurrency(autojump_clock: MockClock) -> None:
    sender = Script()
    sender.took = 1.0
    async with open_stage(make_webhook(concurrency=3), sender=sender) as stage:
        await stage.prove()
        await stage.accept(*(make_event(n) for n in range(12)))
        await stage.told(12)
        assert sender.most_flying == 3
        assert sender.times[-1] - sender.times[0] == pytest.approx(3.0)


async def test_all_webhooks_together_have_no_more_than_the_limit(autojump_clock: MockClock) -> None:
    sender = Script()
    sender.took = 1.0
    names = [f"w{n}" for n in range(10)]
    async with open_stage(*map(make_webhook, names), sender=sender, limits=Limits(concurrency=16)) as stage:
        await stage.accept(*(make_event(n) for n in range(8)), to=names)
        await stage.told(80)
        assert sender.most_flying == 16


async def test_turns_go_round_tenants_then_webhooks(autojump_clock: MockClock) -> None:
    sender = Script()
    sender.took = 1.0
    webhooks = [make_webhook(name, tenant="big") for name in ("b1", "b2", "b3")]
    webhooks.append(make_webhook("s1", tenant="small"))
    async with open_stage(*webhooks, sender=sender, limits=Limits(concurrency=1)) as stage:
        await stage.accept(*(make_event(n, tenant="big") for n in range(6)), to=("b1", "b2", "b3"))
        await stage.accept(*(make_event(n, tenant="small") for n in range(10, 14)), to=("s1",))
        await stage.told(9)
        assert sender.hosts[1:9].count("s1") == 4
        assert [sender.hosts[1:9].count(name) for name in ("b1", "b2", "b3")] in ([1, 2, 1], [2, 1, 1], [1, 1, 2])


async def test_a_hung_receiver_keeps_only_its_own_slots(autojump_clock: MockClock) -> None:
    sender = Script()
    sender.hang = lambda request: request.head.target.host.startswith("hung")
    async with open_stage(make_webhook("hung"), make_webhook("well"), sender=sender) as stage:
        await stage.prove("hung", "well")
        await stage.accept(*(make_event(n) for n in range(200)), to=("hung", "well"))
        await stage.told(200)
        assert sender.hosts.count("hung") == 8
        assert {line["webhook"] for line in stage.lines} == {"well"}


async def test_a_rate_is_kept(autojump_clock: MockClock) -> None:
    async with open_stage(make_webhook(rate=2.0)) as stage:
        await stage.accept(*(make_event(n) for n in range(10)))
        await stage.told(10)
        offsets = [at - stage.sender.times[0] for at in stage.sender.times]
        assert offsets == pytest.approx([0, 0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4], abs=0.01)


async def test_a_slow_rate_survives_a_restart(autojump_clock: MockClock) -> None:
    async def succeed(stage: Stage) -> None:  # what the run before has left
        state = WebhookState(webhook="crm", last_success_at=stage.now() - 20_000)
        await stage.store.record([], [state], stage.now())

    begun = trio.current_time()
    async with open_stage(make_webhook(rate=1 / 60), before=succeed) as stage:
        await stage.accept(make_event(1), make_event(2))
        await stage.told(2)
        assert [at - begun for at in stage.sender.times] == [pytest.approx(40, abs=0.1), pytest.approx(100, abs=0.1)]


async def test_a_slow_rate_survives_an_idle_lane(autojump_clock: MockClock) -> None:
    async with open_stage(make_webhook(rate=1 / 60)) as stage:
        await stage.accept(make_event(1))
        await stage.told(1)
        await trio.sleep(31)  # long enough for what is idle to be forgotten
        await stage.accept(make_event(2))
        await stage.told(2)
        assert stage.sender.times[1] - stage.sender.times[0] == pytest.approx(60, abs=0.1)


# --------------------------------------------------------------------------- what lies in the store


async def test_what_lies_in_the_store_at_the_start_is_delivered(autojump_clock: MockClock) -> None:
    async def fill(stage: Stage) -> None:
        await stage.accept(*(make_event(n) for n in range(1000)), hand_over=False)

    async with open_stage(before=fill) as stage:
        await stage.told(1000)
        assert sorted(stage.sender.bodies) == sorted(set(stage.sender.bodies))
        assert (await stage.backlog()).delivered == 1000
        assert stage.sender.times[-1] - stage.started < 5


async def test_memory_holds_a_window_and_the_rest_follows_without_waiting(autojump_clock: MockClock) -> None:
    sender = Script()
    sender.took = 0.1
    async with open_stage(sender=sender, limits=Limits(memory_window=16)) as stage:
        for start in range(0, 400, 40):
            await stage.accept(*(make_event(n) for n in range(start, start + 40)))
        assert stage.dispatcher.snapshot().queued <= 16
        await stage.told(400)
        assert sender.times[-1] - sender.times[0] == pytest.approx(400 / 8 * 0.1, abs=0.5)
        assert isinstance(stage.store, Asked)
        assert stage.store.asked < 80


async def test_more_than_a_window_goes_back_and_comes_again(autojump_clock: MockClock) -> None:
    sender = Script()
    sender.hang = lambda _: True
    async with open_stage(sender=sender, limits=Limits(memory_window=16)) as stage:
        entries = [Entry(event=make_event(n), owed=(Owed(webhook="crm"),)) for n in range(20)]
        results = await stage.store.accept(entries, {"crm": 20}, stage.now())
        stage.dispatcher.take([claim for result in results if isinstance(result, New) for claim in result.claims])
        snapshot = stage.dispatcher.snapshot()
        assert snapshot.queued + snapshot.in_flight == 16
        sender.go.set()
        with trio.fail_after(5):
            await stage.told(20)


async def test_nothing_is_left_behind_when_the_lane_drains_while_events_come(autojump_clock: MockClock) -> None:
    """Room was named, the lane ran empty, and the store had kept back what did not fit: it must be asked for."""
    async with open_stage(limits=Limits(memory_window=4)) as stage:
        number = 0
        for size in (1, 3, 4, 5, 9, 2, 17, 1, 4, 4, 30):
            await stage.accept(*(make_event(number + n) for n in range(size)))
            number += size
            await trio.sleep(0.001)
        with trio.fail_after(5):
            await stage.told(number)


async def test_an_idle_dispatcher_leaves_the_store_alone(autojump_clock: MockClock) -> None:
    async with open_stage() as stage:
        await stage.accept(make_event())
        await stage.told(1)
        assert isinstance(stage.store, Asked)
        before = stage.store.asked
        await trio.sleep(600)
        assert stage.store.asked - before <= 21


async def test_no_claim_is_asked_for_while_every_lane_keeps_up(autojump_clock: MockClock) -> None:
    async with open_stage() as stage:
        await stage.accept(make_event(0))
        await stage.told(1)
        assert isinstance(stage.store, Asked)
        before = stage.store.asked
        for n in range(1, 200):
            await stage.accept(make_event(n))
            await stage.told(n + 1)
        assert stage.store.asked == before


async def test_memory_is_bounded_in_bytes_and_large_events_still_go_out(autojump_clock: MockClock) -> None:
    sender = Script()
    sender.took = 0.1
    data = b'"%s"' % (b"x" * 1_000_000)
    most = 0

    async def fill(stage: Stage) -> None:
        await stage.accept(*(make_event(n, data=data) for n in range(120)), to=("a", "b", "c"), hand_over=False)

    async with open_stage(*map(make_webhook, "abc"), sender=sender, before=fill) as stage:
        while len(stage.lines) < 360:
            most = max(most, stage.dispatcher.snapshot().memory)
            await stage.news.wait()
        assert most <= MEMORY + 2 * len(data)
        assert sender.times[-1] - sender.times[0] < 20


async def test_hung_receivers_of_large_events_leave_memory_for_others(autojump_clock: MockClock) -> None:
    sender = Script()
    sender.hang = lambda request: not request.head.target.host.startswith("well")
    hung = [f"h{n}" for n in range(20)]
    data = b'"%s"' % (b"x" * 200_000)
    async with open_stage(*map(make_webhook, [*hung, "well"]), sender=sender) as stage:
        for n in range(16):
            await stage.accept(make_event(n, data=data), to=hung)
        assert stage.dispatcher.snapshot().memory <= MEMORY + len(hung) * (len(data) + CLAIM_WEIGHT)
        await stage.accept(*(make_event(n) for n in range(1000, 1100)), to=("well",))
        with trio.fail_after(10):
            await stage.told(100)


async def test_an_order_goes_on_at_once(autojump_clock: MockClock) -> None:
    sender = Script([OK, FAILED, OK])
    async with open_stage(make_webhook(ordered=True, retry=QUICK), sender=sender) as stage:
        await stage.accept(*(make_event(n) for n in range(5)), order_key="k")
        await stage.told(6)
        assert [body[-3:-2] for body in sender.bodies] == [b"0", b"1", b"1", b"2", b"3", b"4"]
        assert [round(at - sender.times[0]) for at in sender.times] == [0, 0, 10, 10, 10, 10]


async def test_a_redrive_is_seen_when_told(autojump_clock: MockClock) -> None:
    sender = Script([FAILED, OK])
    async with open_stage(make_webhook(retry=RetryPolicy(schedule=())), sender=sender) as stage:
        await stage.accept(make_event())
        await stage.told(1)
        await stage.store.revise(Redrive(webhook="crm"), 100, stage.now())
        stage.dispatcher.wake()
        with trio.fail_after(1):
            await stage.told(2)
        assert (await stage.backlog()).delivered == 1


# --------------------------------------------------------------------------- pauses and suspensions


@pytest.mark.parametrize("status", [429, 503])
async def test_a_retry_after_pauses_the_webhook_and_costs_no_attempt(status: int, autojump_clock: MockClock) -> None:
    busy = Response(status=status, headers=(("retry-after", "1000"),))
    sender = Script([busy, OK])
    async with open_stage(make_webhook(retry=QUICK, concurrency=1), sender=sender) as stage:
        await stage.accept(*(make_event(n) for n in range(30)))
        await stage.told(31)
        assert [round(at - sender.times[0]) for at in sender.times[:2]] == [0, 1000]
        assert sender.times[-1] - sender.times[0] < 1011
        assert {row.attempt.number for row in await stage.attempts()} == {1, 2}
        assert stage.lines[0]["next_attempt_at"] == "2027-01-15T08:16:40.000Z"  # not in 10 s, as its schedule says
        assert (await stage.backlog()).state.failing_since is None


async def test_a_pause_leaves_memory_and_survives_a_restart(autojump_clock: MockClock) -> None:
    busy = Response(status=429, headers=(("retry-after", "1000"),))
    async with open_stage(make_webhook(concurrency=1), sender=Script([busy])) as stage:
        await stage.accept(*(make_event(n) for n in range(30)))
        await stage.told(1)
        await trio.testing.wait_all_tasks_blocked()
        assert stage.dispatcher.snapshot().queued == 0
        assert stage.dispatcher.snapshot().memory == 0
        state = (await stage.backlog()).state
        assert state.paused_until is not None
        assert abs(state.paused_until - EPOCH - 1_000_000) < 10


async def test_a_pause_that_was_on_before_the_start_goes_on(autojump_clock: MockClock) -> None:
    async def fill(stage: Stage) -> None:
        await stage.accept(*(make_event(n) for n in range(5)), hand_over=False)
        paused = WebhookState(webhook="crm", paused_until=stage.now() + 500_000)
        await stage.store.record([], [paused], stage.now())

    async with open_stage(before=fill) as stage:
        await stage.accept(make_event(9))
        await stage.told(6)
        assert [round(at - stage.started) for at in stage.sender.times] == [500] * 6


async def test_a_moved_webhook_keeps_its_suspension(autojump_clock: MockClock) -> None:
    async with open_stage(sender=Script([Response(status=410)])) as stage:
        await stage.accept(make_event(1))
        await stage.told(1)
        await trio.testing.wait_all_tasks_blocked()
        await stage.store.revise(MoveWebhook(source="crm", target="sales"), 100, stage.now())
        moved = replace(make_config(make_webhook("sales")), moved=(Move(source="crm", target="sales"),))
        await stage.bind(moved)
        stage.dispatcher.config_changed()
        await trio.sleep(1000)
        assert len(stage.sender.requests) == 1
        assert dict(stage.dispatcher.room(["sales"])) == {"sales": 0}


async def test_a_410_suspends_holds_and_tells(autojump_clock: MockClock) -> None:
    sender = Script([Response(status=410), OK])
    async with open_stage(make_webhook(concurrency=1, retry=QUICK), sender=sender) as stage:
        with capture_logs() as logged:
            await stage.accept(*(make_event(n) for n in range(5)))
            await stage.told(1)
            await stage.accept(make_event(99))
            await trio.sleep(80_000)
        assert len(sender.requests) == 1
        assert [(line["event"], line["webhook"], line["cause"]) for line in logged] == [
            ("webhook.suspended", "crm", "gone")
        ]
        assert (stage.lines[0]["cause"], stage.lines[0]["next_attempt_at"]) == ("gone", None)
        row = await stage.backlog()
        assert (row.pending, row.held, row.state.suspended_cause) == (6, 6, "gone")
        with capture_logs() as logged:
            await stage.dispatcher.resume("crm")
            with trio.fail_after(5):
                await stage.told(7)
        assert [line["event"] for line in logged] == ["webhook.resumed"]
        assert (await stage.backlog()).delivered == 6


async def test_a_new_definition_lifts_a_suspension(autojump_clock: MockClock) -> None:
    sender = Script(lambda request: OK if "new" in request.head.target.host else Response(status=410))
    async with open_stage(make_webhook(url="https://old.example.com/"), sender=sender) as stage:
        await stage.accept(make_event(1))
        await stage.told(1)
        await stage.change(make_webhook(url="https://new.example.com/", fingerprint="other"))
        with trio.fail_after(5):
            await stage.told(2)
        assert stage.lines[-1]["outcome"] == "delivered"
        assert stage.lines[-1]["revision"] == "ba9876543210"
        await trio.testing.wait_all_tasks_blocked()
        assert (await stage.backlog()).state.suspended_at is None


async def test_an_unrelated_reload_lifts_nothing(autojump_clock: MockClock) -> None:
    async with open_stage(sender=Script([Response(status=410)])) as stage:
        await stage.accept(make_event(1))
        await stage.told(1)
        await stage.change(make_webhook(name="other name"))
        await trio.sleep(1000)
        assert len(stage.sender.requests) == 1


async def test_an_outcome_of_the_old_definition_does_not_suspend_the_new_one(autojump_clock: MockClock) -> None:
    sender = Script(lambda request: OK if "new" in request.head.target.host else Response(status=410))
    sender.hang = lambda request: "old" in request.head.target.host
    async with open_stage(make_webhook(url="https://old.example.com/", retry=QUICK), sender=sender) as stage:
        await stage.accept(make_event(1))
        await sender.sent(1)
        await stage.change(make_webhook(url="https://new.example.com/", fingerprint="other", retry=QUICK))
        sender.go.set()
        await stage.told(2)
        assert [line["outcome"] for line in stage.lines] == ["rejected", "delivered"]
        assert [line["revision"] for line in stage.lines] == ["0123456789ab", "ba9876543210"]


async def test_failing_for_too_long_suspends(autojump_clock: MockClock) -> None:
    webhook = make_webhook(suspend_after=DAY, retry=RetryPolicy(schedule=(40_000.0,) * 20, jitter=0.0))
    async with open_stage(webhook, sender=Script([FAILED])) as stage:
        await stage.accept(make_event(1))
        await stage.told(4)
        await trio.sleep(0.9 * DAY)
        assert len(stage.sender.requests) == 4  # at 0, 40,000, 80,000 and 120,000 seconds
        assert (await stage.backlog()).state.suspended_cause == "failing"


async def test_a_success_ends_the_failing(autojump_clock: MockClock) -> None:
    webhook = make_webhook(suspend_after=DAY, retry=RetryPolicy(schedule=(40_000.0,) * 20, jitter=0.0))
    sender = Script([FAILED, FAILED, FAILED, OK, FAILED, FAILED, OK])
    async with open_stage(webhook, sender=sender) as stage:
        await stage.accept(make_event(1))
        await stage.told(4)
        await stage.accept(make_event(2))
        await stage.told(7)
        await trio.testing.wait_all_tasks_blocked()
        state = (await stage.backlog()).state
        assert (state.suspended_at, state.failing_since, state.failures) == (None, None, 0)
        assert state.last_success_at is not None


async def test_a_hand_suspends_and_resumes(autojump_clock: MockClock) -> None:
    async with open_stage() as stage:
        await stage.dispatcher.suspend("crm", "by hand")
        await stage.accept(make_event(1))
        await trio.sleep(1000)
        assert stage.sender.requests == []
        assert (await stage.backlog()).state.suspended_cause == "by hand"
        await stage.dispatcher.resume("crm")
        with trio.fail_after(1):
            await stage.told(1)


# --------------------------------------------------------------------------- what a config says meanwhile


async def test_a_webhook_that_was_paused_or_removed_keeps_its_backlog(autojump_clock: MockClock) -> None:
    sender = Script()
    sender.hang = lambda _: len(sender.requests) <= 1
    async with open_stage(make_webhook(concurrency=1), sender=sender) as stage:
        await stage.accept(*(make_event(n) for n in range(5)))
        await sender.sent(1)
        await stage.change(make_webhook(concurrency=1, paused=True))
        sender.go.set()
        await trio.sleep(100)
        assert len(sender.requests) == 1  # it was in flight, and a reload cancels nothing
        assert stage.lines[0]["outcome"] == "delivered"
        row = await stage.backlog()
        assert (row.pending, row.held, row.delivered) == (4, 4, 1)
        await stage.change()
        await trio.sleep(100)
        assert len(sender.requests) == 1
        await stage.change(make_webhook())
        with trio.fail_after(5):
            await stage.told(5)


async def test_what_is_moved_does_not_wait_for_what_is_in_flight(autojump_clock: MockClock) -> None:
    sender = Script()
    sender.hang = lambda _: len(sender.requests) <= 1
    async with open_stage(make_webhook(concurrency=1), sender=sender) as stage:
        await stage.accept(*(make_event(n) for n in range(5)))
        await sender.sent(1)
        await stage.store.revise(MoveWebhook(source="crm", target="sales"), 100, stage.now())
        await stage.bind(
            replace(make_config(make_webhook("sales", concurrency=1)), moved=(Move(source="crm", target="sales"),))
        )
        stage.dispatcher.config_changed()
        with trio.fail_after(1):
            await sender.sent(5)  # the four that waited behind the first, which hangs still
        sender.go.set()
        with trio.fail_after(1):
            await stage.told(5)
        assert sorted(str(line["webhook"]) for line in stage.lines) == ["crm", *["sales"] * 4]
        assert (await stage.backlog("sales")).delivered == 5


async def test_what_comes_back_under_an_old_name_is_asked_for_again(autojump_clock: MockClock) -> None:
    async with open_stage() as stage:
        # An attempt that came to nothing because its webhook was gone: the claim is given back after the reload.
        await trio.testing.wait_all_tasks_blocked()  # the feeder has asked, and found nothing
        await stage.accept(make_event(1), hand_over=False)
        claimed = await stage.store.claim(Wants(total=1, each=1), 1 << 20, stage.now())
        assert len(claimed.claims) == 1
        await stage.store.revise(MoveWebhook(source="crm", target="sales"), 100, stage.now())
        await stage.bind(replace(make_config(make_webhook("sales")), moved=(Move(source="crm", target="sales"),)))
        stage.dispatcher.config_changed()
        await trio.testing.wait_all_tasks_blocked()
        stage.dispatcher.take(claimed.claims)
        with trio.fail_after(1):
            await stage.told(1)
        assert stage.lines[0]["webhook"] == "sales"


async def test_a_webhook_of_another_tenant_gets_nothing_of_the_old_one(autojump_clock: MockClock) -> None:
    sender = Script()
    sender.hang = lambda _: len(sender.requests) <= 1
    old = make_webhook(tenant="acme", concurrency=1)
    async with open_stage(old, sender=sender) as stage:
        await stage.accept(*(make_event(n, tenant="acme") for n in range(3)))
        await sender.sent(1)
        await stage.change(replace(old, tenant="other"))
        sender.go.set()
        await trio.sleep(1000)
        assert len(sender.requests) == 1
        assert (await stage.backlog()).held == 2
        await stage.change(old)
        with trio.fail_after(5):
            await stage.told(3)


@pytest.mark.parametrize("triggers", [(), (Trigger(pattern="user.updated", active=False), Trigger(pattern="*"))])
async def test_a_trigger_that_was_switched_off_holds(triggers: tuple[Trigger, ...], autojump_clock: MockClock) -> None:
    sender = Script()
    sender.hang = lambda _: len(sender.requests) <= 1
    old = make_webhook(concurrency=1)
    async with open_stage(old, sender=sender) as stage:
        await stage.accept(*(make_event(n) for n in range(3)))
        await sender.sent(1)
        await stage.change(replace(old, triggers=triggers))
        sender.go.set()
        await trio.sleep(1000)
        assert len(sender.requests) == 1
        assert (await stage.backlog()).held == 2
        await stage.change(old)
        with trio.fail_after(5):
            await stage.told(3)


async def test_the_current_definition_is_what_is_sent(autojump_clock: MockClock) -> None:
    sender = Script([FAILED, OK])
    async with open_stage(make_webhook(retry=QUICK), sender=sender) as stage:
        await stage.accept(make_event(1))
        await stage.told(1)
        networks = (ip_network("10.0.0.0/8"),)
        await stage.change(make_webhook(retry=QUICK, method="PUT", allow_networks=networks, template="$(data.n)"))
        await stage.told(2)
        request = sender.requests[1]
        assert (request.head.method, request.networks, request.body) == ("PUT", networks, b"1")


# --------------------------------------------------------------------------- tests, mistakes, the end


async def test_a_test_passes_every_hold_and_gives_its_exchange(autojump_clock: MockClock) -> None:
    webhook = make_webhook(paused=True, triggers=(Trigger(pattern="user.*", active=False),))
    async with open_stage(webhook, sender=Script([FAILED])) as stage:
        with capture_logs() as logged:
            result = await stage.dispatcher.attempt_now(await stage.accept_test(make_event(1)))
        assert logged == []
        assert result.attempt.status == 500
        assert result.exchange is not None
        assert result.exchange.response_body == b"no"
        (row,) = await stage.attempts()
        assert row.state is State.DEAD
        assert (await stage.backlog()).state.failing_since is None


async def test_a_test_does_not_go_to_another_tenant(autojump_clock: MockClock) -> None:
    async with open_stage(make_webhook(tenant="acme")) as stage:
        claim = await stage.accept_test(make_event(1, tenant="other"))
        with pytest.raises(NotAttempted, match="tenant"):
            await stage.dispatcher.attempt_now(claim)
        assert stage.sender.requests == []


async def test_a_mistake_of_ours_costs_one_attempt_and_not_the_lane(autojump_clock: MockClock) -> None:
    def answer(request: Request) -> Outcome:
        if b'"n":3' in request.body:
            raise ValueError(request.body.decode())
        return OK

    async with open_stage(make_webhook(retry=QUICK), sender=Script(answer)) as stage:
        with capture_logs() as logged:
            await stage.accept(*(make_event(n) for n in range(8)))
            await stage.told(10)
        (failed, *_) = (row for row in await stage.attempts() if row.attempt.cause is Cause.INTERNAL)
        assert failed.attempt.outcome == "unknown"
        assert failed.attempt.detail == "a mistake in hookd: ValueError"
        assert logged[0]["event"] == "attempt.failed"
        row = await stage.backlog()
        assert (row.delivered, row.dead, row.state.failing_since) == (7, 1, None)


async def test_what_cannot_be_rendered_is_not_sent_and_starves_nobody(autojump_clock: MockClock) -> None:
    webhook = make_webhook(retry=QUICK, template={"x": "$(data.x)"})
    async with open_stage(webhook) as stage:
        await stage.accept(*(make_event(n) for n in range(20)))
        await stage.accept(make_event(99, data=b'{"x":1}'))
        await stage.told(21)
        assert stage.sender.bodies == [b'{"x":1}']
        causes = [row.attempt.cause for row in await stage.attempts()]
        assert causes.count(Cause.RENDER_FAILED) == 20


async def test_the_last_exchanges_are_kept_masked(autojump_clock: MockClock) -> None:
    webhook = make_webhook(secrets={"token": "s3cret-token"}, template={"t": "$(secrets.token)", "n": "$(data.n)"})
    async with open_stage(webhook, sender=Script([Response(status=200, body=b"got s3cret-token")])) as stage:
        await stage.accept(*(make_event(n) for n in range(40)))
        await stage.told(40)
        rows = await stage.store.read(Exchanges(webhook="crm"), Page())
        assert len(rows) == 10
        assert all(row.exchange.request_body.startswith(b'{"t":"***","n":') for row in rows)
        assert {row.exchange.response_body for row in rows} == {b"got ***"}
        assert b"s3cret-token" in stage.sender.bodies[0]


async def test_a_drain_lets_what_is_in_flight_end_and_gives_the_rest_back(autojump_clock: MockClock) -> None:
    sender = Script()
    sender.hang = lambda request: b'"n":0' in request.body
    sender.took = 2.0
    async with open_stage(make_webhook(concurrency=3), sender=sender) as stage:
        await stage.prove(number=4)
        await stage.accept(*(make_event(n) for n in range(20)))
        await sender.sent(3)
        begun = trio.current_time()
        await stage.dispatcher.drain(10)
        assert trio.current_time() - begun == pytest.approx(10)
        assert len(sender.requests) == 3
        row = await stage.backlog()
        assert (row.delivered, row.pending) == (4 + 2, 18)
        # Nothing is claimed any more: all of it could be claimed again.
        await stage.accept(make_event(99))
        assert dict(stage.dispatcher.room(["crm"])) == {"crm": 0}
        assert len(sender.requests) == 3


async def test_a_drain_without_work_is_immediate(autojump_clock: MockClock) -> None:
    async with open_stage() as stage:
        begun = trio.current_time()
        await stage.dispatcher.drain(25)
        assert trio.current_time() == begun


async def test_an_unavailable_store_ends_it_quietly(autojump_clock: MockClock) -> None:
    sender = Script()
    sender.hang = lambda _: True
    async with open_stage(sender=sender) as stage:

        async def fail(*_args: object) -> object:
            await trio.lowlevel.checkpoint()
            raise StoreUnavailable("broken")

        claim = await stage.accept_test(make_event(1))
        stage.store.record = fail  # type: ignore[method-assign, assignment]
        sender.go.set()
        with pytest.raises(StoreUnavailable):
            await stage.dispatcher.attempt_now(claim)


async def test_someone_elses_resume_is_no_business_of_a_lane_that_is_open(autojump_clock: MockClock) -> None:
    async with open_stage() as stage:
        await stage.store.revise(Resume(webhook="crm"), 100, stage.now())
        await stage.accept(make_event())
        await stage.told(1)
