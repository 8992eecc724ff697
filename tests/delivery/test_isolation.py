"""Isolation: what hangs takes its own slots and no others; what is due at the start comes by and by; clocks jump."""

# ruff: noqa: ARG001  pytest-trio takes the clock of a test from its arguments, and from nowhere else

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
import structlog
import trio
from structlog.testing import capture_logs

from hookd.core.config import RetryPolicy
from hookd.core.daemonconfig import Limits
from hookd.core.model import Response, RetryAt, WebhookState
from hookd.core.units import DAY
from hookd.delivery.lookup import CAPACITY, Lookups
from hookd.store.base import Wants
from tests.delivery.stage import OK, Asked, Script, make_event, make_webhook, open_stage
from tests.store.making import result_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trio.testing import MockClock

    from tests.delivery.stage import Stage

DAY_MS = round(DAY * 1000)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with capture_logs():
        yield
    structlog.reset_defaults()


def hang_all_but_well(sender: Script) -> None:
    sender.hang = lambda request: not request.head.target.host.startswith("well")


async def deliver_well(stage: Stage, number: int = 100) -> float:
    """Give how long `number` events took that came one every 5 ms, in seconds beyond that."""
    begun = trio.current_time()
    for n in range(number):
        await stage.accept(make_event(5000 + n), to=("well",))
        await trio.sleep(0.005)
    with trio.fail_after(30):
        while sum(1 for line in stage.lines if line["webhook"] == "well") < number:
            await stage.news.wait()
    return trio.current_time() - begun - number * 0.005


@pytest.mark.parametrize("number", [9, 50, 400])
async def test_endpoints_that_never_answered_have_one_slot_each_and_half_of_all(
    number: int, autojump_clock: MockClock
) -> None:
    sender = Script()
    hang_all_but_well(sender)
    sender.took = 0.01
    hung = [f"h{n}" for n in range(number)]
    async with open_stage(*map(make_webhook, [*hung, "well"]), sender=sender) as stage:
        await stage.prove("well")
        for n in range(5):
            await stage.accept(make_event(n), to=hung)
        await trio.testing.wait_all_tasks_blocked()
        assert stage.dispatcher.snapshot().in_flight == min(number, 128)
        assert await deliver_well(stage) < 0.1


@pytest.mark.parametrize("number", [9, 50])
async def test_proven_endpoints_that_all_begin_to_hang_leave_slots(number: int, autojump_clock: MockClock) -> None:
    sender = Script()
    hang_all_but_well(sender)
    sender.took = 0.01
    hung = [f"h{n}" for n in range(number)]
    async with open_stage(*map(make_webhook, [*hung, "well"]), sender=sender) as stage:
        await stage.prove("well", *hung)
        for n in range(20):
            await stage.accept(make_event(n), to=hung)
        await trio.testing.wait_all_tasks_blocked()
        taken = stage.dispatcher.snapshot().in_flight
        assert taken == 72 if number == 9 else 250 <= taken <= 254
        assert await deliver_well(stage) < 0.1


async def test_one_webhook_alone_may_take_half_of_all_slots(autojump_clock: MockClock) -> None:
    sender = Script()
    async with open_stage(
        make_webhook(concurrency=100), sender=sender, limits=Limits(concurrency=40, memory_window=200)
    ) as stage:
        await stage.prove(number=200)
        sender.took = 1.0
        await stage.accept(*(make_event(n) for n in range(100)))
        await stage.told(100)
        assert sender.most_flying == 21


async def test_a_success_is_forgotten_after_a_minute(autojump_clock: MockClock) -> None:
    sender = Script()
    async with open_stage(sender=sender) as stage:
        await stage.prove()
        sender.took = 1.0
        await trio.sleep(61)
        await stage.accept(*(make_event(n) for n in range(15)))
        await stage.told(15)
        assert [sum(1 for at in sender.times if round(at - sender.times[0]) == s) for s in range(4)] == [1, 2, 4, 8]


async def test_a_success_is_remembered_for_a_minute_though_the_lane_is_idle(autojump_clock: MockClock) -> None:
    sender = Script()
    async with open_stage(sender=sender) as stage:
        await stage.prove()
        sender.took = 1.0
        await trio.sleep(59)
        await stage.accept(*(make_event(n) for n in range(16)))
        await stage.told(16)
        assert [sum(1 for at in sender.times if round(at - sender.times[0]) == s) for s in range(2)] == [8, 8]


async def test_those_that_wait_for_a_place_among_the_unproven_get_it(autojump_clock: MockClock) -> None:
    """Twenty new endpoints, two places: each gets its turn, and nobody is forgotten."""
    sender = Script()
    sender.took = 1.0
    names = [f"w{n}" for n in range(20)]
    async with open_stage(*map(make_webhook, names), sender=sender, limits=Limits(concurrency=4)) as stage:
        await stage.accept(make_event(1), to=names)
        await stage.told(20)
        assert sender.most_flying <= 4
        assert sorted(sender.hosts) == sorted(names)
        assert sender.times[-1] - sender.times[0] == pytest.approx(9.0)


async def test_ten_thousand_idle_lanes_cost_a_claim_nothing(autojump_clock: MockClock) -> None:
    names = [f"w{n}" for n in range(10_000)]
    async with open_stage(*map(make_webhook, names)) as stage:
        lanes = stage.dispatcher._lanes  # the claim's own question, counted: what it costs is what it looks at
        for name in names:
            lanes.lane(name)
        await stage.accept(make_event(1), to=names[:7])
        looked: list[str] = []
        room_of = lanes.room_of

        def look(lane: object) -> int:
            looked.append(lane.id)  # type: ignore[attr-defined]
            return room_of(lane)  # type: ignore[arg-type]

        lanes.room_of = look  # type: ignore[method-assign]
        lanes.offer()
        assert len(looked) <= 7


# --------------------------------------------------------------------------- look-ups


async def test_names_that_never_resolve_leave_threads_to_those_that_do() -> None:
    go = threading.Event()

    def resolve(host: str) -> tuple[str, ...]:
        if host.startswith("hang"):
            go.wait(20)
        return ("192.0.2.1",)

    lookups = Lookups(resolve)
    try:
        await lookups.addresses("well.example")
        async with trio.open_nursery() as nursery:
            for n in range(CAPACITY * 2):
                nursery.start_soon(lookups.addresses, f"hang{n}.example")
            await trio.testing.wait_all_tasks_blocked()
            with trio.fail_after(2):
                assert await lookups.addresses("well.example") == ("192.0.2.1",)
            with trio.move_on_after(0.1) as scope:
                await lookups.addresses("new.example")
            assert scope.cancelled_caught  # nobody vouches for it, so it waits with the others
            nursery.cancel_scope.cancel()
    finally:
        go.set()


# --------------------------------------------------------------------------- the start


async def test_what_a_crash_left_is_attempted_again_by_and_by(autojump_clock: MockClock) -> None:
    names = [f"w{n}" for n in range(32)]

    async def fill(stage: Stage) -> None:
        await stage.accept(*(make_event(n) for n in range(8)), to=names, hand_over=False)

    sender = Script()
    async with open_stage(*map(make_webhook, names), sender=sender, before=fill) as stage:
        await stage.told(256)
        per_half = [sum(1 for at in sender.times if int((at - sender.times[0]) * 2) == half) for half in range(6)]
        assert per_half == [8, 16, 32, 64, 128, 8]


async def test_new_events_do_not_wait_for_what_a_crash_left(autojump_clock: MockClock) -> None:
    async def fill(stage: Stage) -> None:
        await stage.accept(*(make_event(n) for n in range(500)), to=("old",), hand_over=False)

    async with open_stage(make_webhook("old"), make_webhook("new"), before=fill) as stage:
        begun = trio.current_time()
        await stage.accept(make_event(999), to=("new",))
        while not any(line["webhook"] == "new" for line in stage.lines):
            await stage.news.wait()
        assert trio.current_time() - begun < 0.1


# --------------------------------------------------------------------------- clocks


@pytest.mark.parametrize("days", [-1, 1])
async def test_a_clock_that_jumps_strands_nothing_and_causes_no_storm(days: int, autojump_clock: MockClock) -> None:
    policy = RetryPolicy(schedule=(100.0,) * 5, jitter=0.0, max_age=3 * DAY)
    sender = Script(lambda _: Response(status=404) if len(sender.requests) <= 40 else OK)
    async with open_stage(make_webhook(retry=policy), sender=sender) as stage:
        await stage.accept(*(make_event(n) for n in range(40)))
        await stage.told(40)
        stage.epoch += days * DAY_MS
        begun = trio.current_time()
        await stage.accept(make_event(77))
        await stage.accept(*(make_event(n) for n in range(100, 180)), hand_over=False)
        stage.dispatcher.wake()
        await stage.told(40 + 40 + 81)
        assert trio.current_time() - begun <= 131
        assert sender.most_flying <= 8
        stamps = {int(dict(request.headers)["webhook-timestamp"]) for request in sender.requests[41:]}
        assert min(stamps) >= (stage.epoch // 1000)  # what receivers check is the wall clock's
        row = await stage.backlog()
        assert (row.delivered, row.dead) == (121, 0)


@pytest.mark.parametrize("days", [-1, 1])
async def test_a_pause_lasts_as_long_as_was_asked_whatever_the_clock_does(days: int, autojump_clock: MockClock) -> None:
    busy = Response(status=429, headers=(("retry-after", "600"),))
    sender = Script([busy, OK])
    async with open_stage(make_webhook(retry=RetryPolicy(schedule=(5.0,))), sender=sender) as stage:
        await stage.accept(make_event(1))
        await stage.told(1)
        stage.epoch += days * DAY_MS
        await stage.told(2)
        assert sender.times[1] - sender.times[0] == pytest.approx(600, abs=0.1)


async def test_a_clock_that_was_set_back_while_we_were_away_strands_nothing(autojump_clock: MockClock) -> None:
    async def fill(stage: Stage) -> None:
        stage.epoch += DAY_MS
        await stage.accept(*(make_event(n) for n in range(5)), hand_over=False)
        await stage.store.record([], [WebhookState(webhook="crm", last_success_at=stage.now())], stage.now())
        stage.epoch -= DAY_MS

    async with open_stage(before=fill) as stage:
        await stage.told(5)
        assert trio.current_time() - stage.started < 5
        assert isinstance(stage.store, Asked)


async def test_so_does_one_that_was_set_back_a_day_after_it_last_learnt_anything(autojump_clock: MockClock) -> None:
    """An endpoint that has failed for days says so once; that it was attempted a moment ago stands in the log alone."""

    async def fill(stage: Stage) -> None:
        stage.epoch += DAY_MS
        await stage.accept(make_event(1), hand_over=False)
        [one] = (await stage.store.claim(Wants(total=1, each=1, but={}), 1 << 20, stage.now())).claims
        result = result_of(one, RetryAt(due_at=stage.now() + 60_000), at=stage.now())
        await stage.store.record([result], [WebhookState(webhook="crm", failing_since=stage.now() - 3 * DAY_MS)], 0)
        stage.epoch -= DAY_MS

    async with open_stage(before=fill) as stage:
        await stage.told(1)
        assert trio.current_time() - stage.started < 70
