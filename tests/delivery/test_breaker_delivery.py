"""The breaker at work: probes, slow start, restarts, poison, and a thousand endpoints that come back at once."""

# ruff: noqa: ARG001  pytest-trio takes the clock of a test from its arguments, and from nowhere else

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
import structlog
import trio
from structlog.testing import capture_logs

from hookd.core.config import RetryPolicy
from hookd.core.daemonconfig import Limits
from hookd.core.model import Cause, NoResponse, Outcome, Response, WebhookState
from tests.delivery.stage import EPOCH, OK, Script, make_event, make_webhook, open_stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trio.testing import MockClock

    from hookd.delivery.sender import Request
    from tests.delivery.stage import Stage

DOWN = NoResponse(cause=Cause.CONNECT_REFUSED, detail="127.0.0.1:9: connection refused", sent=False)
FAST = RetryPolicy(schedule=(1.0,) * 200, jitter=0.0)
SLOW = RetryPolicy(schedule=(3600.0,) * 20, jitter=0.0)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with capture_logs():
        yield
    structlog.reset_defaults()


def ids(sender: Script) -> list[str]:
    return [dict(request.headers)["webhook-id"] for request in sender.requests]


async def test_five_failures_open_it_and_probes_come_at_growing_distances(autojump_clock: MockClock) -> None:
    sender = Script([DOWN])
    async with open_stage(make_webhook(retry=SLOW), sender=sender) as stage:
        await stage.accept(*(make_event(n) for n in range(20)))
        await stage.told(10)
        offsets = [round(at - sender.times[0]) for at in sender.times[:10]]
        assert offsets == [0] * 5 + [30, 90, 210, 450, 930]
        assert len(set(ids(sender)[:10])) == 10  # waiting costs no attempt, and no probe is made twice with one
        await trio.testing.wait_all_tasks_blocked()
        state = (await stage.backlog()).state
        assert (state.opened, state.open_until) == (6, stage.now() + 900_000)
        assert stage.dispatcher.snapshot().queued == 0


async def test_an_endpoint_that_comes_back_gets_one_probe_then_more_and_more(autojump_clock: MockClock) -> None:
    up = False
    sender = Script(lambda _: OK if up else DOWN)
    sender.took = 1.0
    async with open_stage(make_webhook(retry=SLOW), sender=sender) as stage:
        await stage.accept(*(make_event(n) for n in range(60)))
        await stage.told(5)
        up = True
        await stage.told(5 + 31)
        began = sender.times[5]
        per_second = [sum(1 for at in sender.times[5:] if round(at - began) == second) for second in range(5)]
        assert per_second == [1, 2, 4, 8, 8]
        assert began - stage.started == pytest.approx(35, abs=0.1)


async def test_a_row_that_was_chance_does_not_hold_up_a_busy_endpoint(autojump_clock: MockClock) -> None:
    """Five in a row fail, and what is in flight with them succeeds."""
    sender = Script(lambda request: DOWN if any(b'"n":%d}' % n in request.body for n in range(100, 105)) else OK)
    sender.took = 0.1
    async with open_stage(make_webhook(retry=SLOW), sender=sender) as stage:
        await stage.prove()
        await stage.accept(*(make_event(n) for n in range(100, 160)))
        with trio.fail_after(5):
            await stage.told(60)


async def test_an_open_breaker_survives_a_restart(autojump_clock: MockClock) -> None:
    async def fill(stage: Stage) -> None:
        await stage.accept(*(make_event(n) for n in range(5)), hand_over=False)
        state = WebhookState(webhook="crm", open_until=EPOCH + 500_000, opened=5, failures=9, failing_since=EPOCH)
        await stage.store.record([], [state], stage.now())

    sender = Script([DOWN, OK])
    async with open_stage(make_webhook(retry=SLOW), sender=sender, before=fill) as stage:
        await stage.told(6)
        assert [round(at - stage.started) for at in sender.times[:2]] == [500, 500 + 900]


async def test_one_poison_body_does_not_keep_a_healthy_endpoint_closed(autojump_clock: MockClock) -> None:
    sender = Script(lambda request: Response(status=500) if b'"n":0' in request.body else OK)
    async with open_stage(make_webhook(retry=FAST), sender=sender) as stage:
        await stage.accept(make_event(0))
        await trio.sleep(1000)  # all that is due is the poison, attempt after attempt
        assert len(sender.requests) > 20
        begun = trio.current_time()
        await stage.accept(*(make_event(n) for n in range(1, 51)))
        while (await stage.backlog()).delivered < 50:
            await stage.news.wait()
        assert trio.current_time() - begun <= 31


async def test_probes_never_repeat_while_another_delivery_is_due(autojump_clock: MockClock) -> None:
    sender = Script([DOWN])
    async with open_stage(make_webhook(retry=FAST), sender=sender) as stage:
        await stage.accept(*(make_event(n) for n in range(3)))
        await stage.told(40)
        probes = ids(sender)[5:]
        assert all(first != second for first, second in pairwise(probes))
        counts = [ids(sender).count(name) for name in set(ids(sender))]
        assert max(counts) - min(counts) <= 2  # the least attempted goes


async def test_a_newcomer_that_fails_does_not_take_every_probe(autojump_clock: MockClock) -> None:
    """It is the one attempted least for long, and yet every second probe goes to another."""
    sender = Script([DOWN])
    async with open_stage(make_webhook(retry=FAST), sender=sender) as stage:
        await stage.accept(*(make_event(n) for n in range(2)))
        await stage.told(20)
        await stage.accept(make_event(9))
        await stage.told(30)
        probes = ids(sender)[20:30]
        assert all(first != second for first, second in pairwise(probes))
        assert probes.count(max(probes)) == 5


@pytest.mark.parametrize("template", [{"x": "$(data.missing)"}])
async def test_what_is_our_fault_does_not_open_it(template: object, autojump_clock: MockClock) -> None:
    async with open_stage(make_webhook(retry=SLOW, template=template)) as stage:
        await stage.accept(*(make_event(n) for n in range(30)))
        await stage.told(30)
        assert trio.current_time() - stage.started < 1
        await trio.testing.wait_all_tasks_blocked()
        assert (await stage.backlog()).state.opened == 0


async def test_a_person_reads_of_the_fourth_failure_and_of_the_recovery(autojump_clock: MockClock) -> None:
    sender = Script([DOWN] * 6 + [OK])
    async with open_stage(make_webhook(retry=FAST), sender=sender) as stage:
        with capture_logs() as logged:
            await stage.accept(make_event(1))
            await stage.told(7)
        since = "2027-01-15T08:00:00.000Z"
        assert logged == [
            {
                "event": "webhook.failing",
                "log_level": "warning",
                "webhook": "crm",
                "failures": 4,
                "failing_since": since,
                "cause": Cause.CONNECT_REFUSED,
            },
            {
                "event": "webhook.recovered",
                "log_level": "info",
                "webhook": "crm",
                "failures": 6,
                "failing_since": since,
            },
        ]


async def test_another_definition_closes_it(autojump_clock: MockClock) -> None:
    sender = Script(lambda request: OK if "new" in request.head.target.host else DOWN)
    sender.took = 0.1
    async with open_stage(make_webhook(retry=SLOW), sender=sender) as stage:
        await stage.accept(*(make_event(n) for n in range(30)))
        await stage.told(5)
        begun = trio.current_time()
        await stage.change(make_webhook(url="https://new.example.com/", fingerprint="other", retry=SLOW))
        await stage.told(35)
        assert trio.current_time() - begun < 3
        first = [at for at in sender.times[5:] if at - sender.times[5] < 0.05]
        assert len(first) == 1  # it starts slowly


async def test_a_thousand_that_come_back_together_get_a_probe_each_and_the_cap_holds(
    autojump_clock: MockClock,
) -> None:
    names = [f"w{n}" for n in range(1000)]
    up = False

    def answer(_: Request) -> Outcome:
        return OK if up else DOWN

    async def fill(stage: Stage) -> None:
        await stage.accept(*(make_event(n) for n in range(4)), to=names, hand_over=False)
        states = [WebhookState(webhook=name, open_until=EPOCH + 600_000, opened=6) for name in names]
        await stage.store.record([], states, stage.now())

    sender = Script(answer)
    sender.took = 0.5
    limits = Limits(concurrency=64)
    async with open_stage(*map(make_webhook, names), sender=sender, before=fill, limits=limits) as stage:
        up = True
        most_probing = 0
        while len(stage.lines) < 4000:
            most_probing = max(most_probing, stage.dispatcher.snapshot().in_flight)
            await stage.news.wait()
        assert sender.times[0] - stage.started == pytest.approx(600, abs=0.1)
        assert sender.most_flying <= 64
        first: dict[str, float] = {}
        by_host: dict[str, list[float]] = {}
        for host, at in zip(sender.hosts, sender.times, strict=True):
            first.setdefault(host, at)
            by_host.setdefault(host, []).append(at)
        assert all(times[1] >= times[0] + 0.5 for times in by_host.values())  # one probe, and only then the next
        burst = sum(1 for at in sender.times if at - sender.times[0] < 0.4)
        assert burst <= 32
