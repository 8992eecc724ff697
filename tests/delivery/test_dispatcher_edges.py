"""Edges of the dispatcher: a lane without room, a gate that shuts in mid-stream, a drain under load, tight memory."""

# ruff: noqa: ARG001  pytest-trio takes the clock of a test from its arguments, and from nowhere else

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import structlog
import trio
from structlog.testing import capture_logs

from hookd.core.config import RetryPolicy
from hookd.core.daemonconfig import Limits
from hookd.core.model import Owed, Page, Response, State
from hookd.delivery.dispatcher import RECORDING_S
from hookd.delivery.lanes import MEMORY
from hookd.store.base import Entry, New, Wants
from hookd.store.queries import Deliveries
from tests.delivery.stage import OK, Asked, Script, make_event, make_webhook, open_stage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from trio.testing import MockClock

SLOW = RetryPolicy(schedule=(3600.0,), jitter=0.0)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with capture_logs():
        yield
    structlog.reset_defaults()


async def test_what_found_no_room_at_all_is_fetched_once_there_is(autojump_clock: MockClock) -> None:
    sender = Script()
    sender.hang = lambda _: True
    async with open_stage(sender=sender, limits=Limits(memory_window=4)) as stage:
        await stage.accept(*(make_event(n) for n in range(4)))
        await sender.sent(1)
        await stage.accept(make_event(4))
        assert dict(stage.dispatcher.room(["crm"])) == {"crm": 0}
        await stage.accept(*(make_event(n) for n in range(5, 9)))  # all of them stay in the store
        sender.go.set()
        with trio.fail_after(5):
            await stage.told(9)


@pytest.mark.parametrize(
    "answer", [Response(status=410), Response(status=429, headers=(("retry-after", "1000"),))], ids=["gone", "busy"]
)
async def test_a_gate_shuts_at_once_and_nothing_more_goes_out(answer: Response, autojump_clock: MockClock) -> None:
    sender = Script(lambda _: answer if len(sender.requests) >= 20 else OK)
    async with open_stage(make_webhook(concurrency=1, retry=SLOW), sender=sender) as stage:
        await stage.accept(*(make_event(n) for n in range(60)))
        await stage.told(20)
        await trio.testing.wait_all_tasks_blocked()
        assert len(sender.requests) == 20
        assert stage.dispatcher.snapshot().queued == 0
        # What was handed over is the store's again.
        claimed = await stage.store.claim(Wants(total=100, each=100), MEMORY, stage.now())
        assert len(claimed.claims) == (0 if answer.status == 410 else 40)
        await stage.store.release(claimed.claims, stage.now())


async def test_a_drain_hands_back_what_comes_while_it_runs(autojump_clock: MockClock) -> None:
    sender = Script()
    sender.hang = lambda _: True
    async with open_stage(make_webhook(concurrency=2), sender=sender) as stage:
        await stage.accept(*(make_event(n) for n in range(10)))
        await sender.sent(1)
        entry = Entry(event=make_event(50), owed=(Owed(webhook="crm"),))
        (accepted,) = await stage.store.accept([entry], {"crm": 1}, stage.now())
        assert isinstance(accepted, New)
        assert accepted.claims
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stage.dispatcher.drain, 10)
            await trio.testing.wait_all_tasks_blocked()
            stage.dispatcher.take(accepted.claims)
            await stage.accept(make_event(60))
            sender.go.set()
        assert len(sender.requests) == 1
        rows = await stage.store.read(Deliveries(state=State.PENDING), Page(limit=100))
        assert len(rows) == 9 + 1 + 1
        claimed = await stage.store.claim(Wants(total=100, each=100), MEMORY, stage.now())
        assert len(claimed.claims) == 11  # none of them is still claimed


async def test_a_lane_that_tight_memory_kept_out_is_fed_when_memory_is_free(autojump_clock: MockClock) -> None:
    sender = Script()
    sender.hang = lambda request: request.head.target.host.startswith("big")
    big = [f"big{n}" for n in range(40)]
    data = b'"%s"' % (b"x" * 1_000_000)
    async with open_stage(*map(make_webhook, [*big, "small"]), sender=sender) as stage:
        for n in range(4):
            await stage.accept(make_event(n, data=data), to=big)
        await stage.accept(*(make_event(n) for n in range(100, 140)), to=("small",), hand_over=False)
        stage.dispatcher.wake()
        await trio.testing.wait_all_tasks_blocked()
        assert isinstance(stage.store, Asked)
        sender.go.set()
        with trio.fail_after(20):
            await stage.told(4 * 40 + 40)
        assert stage.store.asked < 200


async def test_a_drain_ends_though_the_store_takes_no_records(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = Script()
    async with open_stage(sender=sender) as stage:
        await stage.prove(number=1)

        async def wait_for_room(*_args: Any) -> Any:
            await trio.sleep_forever()  # as with a full disk

        monkeypatch.setattr(stage.store, "record", wait_for_room)
        sender.hang = lambda _: True
        await stage.accept(make_event(7))
        await sender.sent(1)
        sender.go.set()
        begun = trio.current_time()
        with capture_logs() as logged, trio.fail_after(25 + RECORDING_S + 1):
            await stage.dispatcher.drain(25)
        assert trio.current_time() - begun == pytest.approx(RECORDING_S)
        assert [line["event"] for line in logged] == ["daemon.cut"]
        monkeypatch.undo()
        assert (await stage.backlog()).pending == 1  # not lost: the next start sends it again
