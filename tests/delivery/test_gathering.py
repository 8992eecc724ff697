"""Records are gathered when there is much to do, and nobody who waits for one has to wait for that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from hookd.core.daemonconfig import Limits
from hookd.delivery import recorder
from hookd.store.memory import MemoryStore
from tests.delivery.stage import Script, make_event, make_webhook, open_stage

if TYPE_CHECKING:
    import pytest
    from trio.testing import MockClock


def count_records(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    sizes: list[int] = []
    record = MemoryStore.record

    async def counted(self: MemoryStore, results: Any, states: Any, now: int) -> Any:
        sizes.append(len(results))
        return await record(self, results, states, now)

    monkeypatch.setattr(MemoryStore, "record", counted)
    return sizes


async def test_a_busy_webhook_is_recorded_in_large_batches(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = Script()
    sender.took = 0.002
    limits = Limits(concurrency=256, memory_window=4000)
    async with open_stage(make_webhook(concurrency=120), sender=sender, limits=limits) as stage:
        await stage.prove("crm", number=200)
        sizes = count_records(monkeypatch)
        before = len(sender.requests)
        await stage.accept(*(make_event(n) for n in range(1000, 3000)))
        began = autojump_clock.current_time()
        await stage.told(before + 2000)
        assert autojump_clock.current_time() - began < 1.0
    assert sum(sizes) == 2000
    assert len(sizes) < 2000 / recorder.GATHERED * 3


async def test_the_next_of_an_order_does_not_wait_for_others_to_gather(autojump_clock: MockClock) -> None:
    sender = Script()
    sender.took = 0.001
    async with open_stage(make_webhook(concurrency=64), make_webhook("row", ordered=True), sender=sender) as stage:
        await stage.prove("crm", number=100)
        await stage.accept(*(make_event(n) for n in range(1000, 1200)))
        began = autojump_clock.current_time()
        await stage.accept(*(make_event(n) for n in range(2000, 2020)), to=("row",), order_key="k")
        with trio.fail_after(5):
            await stage.told(220)
        assert sender.hosts.count("row") == 20
        assert autojump_clock.current_time() - began < 20 * recorder.GATHER_S / 2
