"""Events of a moment ago: what is kept, what makes room, and that claims are the same with and without."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from hookd.core.model import Event
from hookd.store.recent import STALE_MS, WEIGHT, Recent
from hookd.store.sqlite import open_sqlite_store
from tests.store.making import accept_stored, attempts, backlog, bind, claim, fail, make_event, owe, record

if TYPE_CHECKING:
    from pathlib import Path


def event_of(number: int, *, size: int = 1000, accepted_at: int = 0) -> Event:
    return Event(id=f"e{number}", type="a", data=b"x" * size, accepted_at=accepted_at, digest=b"")


def test_what_is_kept_is_given_once() -> None:
    recent = Recent()
    recent.keep_all((number, event_of(number)) for number in range(3))
    assert (len(recent), recent.bytes) == (3, 3 * (WEIGHT + 1000))
    assert recent.take(1) == event_of(1)
    assert recent.take(1) is None
    assert (len(recent), recent.bytes) == (2, 2 * (WEIGHT + 1000))


def test_a_full_one_keeps_what_came_first() -> None:
    recent = Recent(limit=10 * (WEIGHT + 1000))
    recent.keep_all((number, event_of(number)) for number in range(50))
    assert [number for number in range(50) if recent.take(number) is not None] == list(range(10))
    assert recent.bytes == 0


def test_what_nobody_claims_makes_room() -> None:
    recent = Recent(limit=2 * (WEIGHT + 1000))
    recent.keep_all([(1, event_of(1)), (2, event_of(2)), (3, event_of(3, accepted_at=STALE_MS - 1))])
    assert recent.take(3) is None
    recent.keep_all([(4, event_of(4, accepted_at=STALE_MS))])
    assert (recent.take(1), recent.take(2), recent.take(4)) == (None, event_of(2), event_of(4, accepted_at=STALE_MS))


def test_one_that_is_larger_than_all_is_not_kept() -> None:
    recent = Recent(limit=1000)
    recent.keep_all([(1, event_of(1))])
    assert (len(recent), recent.bytes) == (0, 0)


async def test_claims_are_the_same_from_memory_and_from_the_disk(tmp_path: Path) -> None:
    events = [
        replace(make_event("one", source="/s", tenant="t"), subject="x", time="2026-01-01T00:00:00Z", partitionkey="p"),
        replace(make_event("two"), data=None, extensions=b'{"a":1}'),
        make_event("odd", data='{"a":"\\u0000 \\n \\ud83d\\ude00 \U0001f600 \\" \\\\ é \x7f"}'.encode()),
        replace(make_event("three"), traceparent="00-" + "1" * 32 + "-" + "2" * 16 + "-01"),
    ]
    async with open_sqlite_store(tmp_path / "state", disk_free=0) as store:
        await bind(store, "a", "b")
        await accept_stored(store, *(owe(event, "a", "b") for event in events))
        from_memory = await claim(store)
        assert len(from_memory) == 8
        assert all(any(one.event is event for event in events) for one in from_memory), "an event was read again"
    async with open_sqlite_store(tmp_path / "state", disk_free=0) as store:
        await bind(store, "a", "b")
        from_disk = await claim(store)
    shown = [
        (one.delivery_id, one.webhook, one.event, one.attempts, one.aging_since, one.order_key) for one in from_disk
    ]
    assert shown == [
        (one.delivery_id, one.webhook, one.event, one.attempts, one.aging_since, one.order_key) for one in from_memory
    ]


@pytest.mark.parametrize("size", [10, 400_000])
async def test_what_is_read_again_is_what_was_stored(tmp_path: Path, size: int) -> None:
    events = [make_event(f"e{number}", data=b'{"x":"%b"}' % (b"\xc3\xa9" * size)) for number in range(5)]
    async with open_sqlite_store(tmp_path / "state", disk_free=0) as store:
        await bind(store, "a")
        await accept_stored(store, *(owe(event, "a") for event in events))
    async with open_sqlite_store(tmp_path / "state", disk_free=0) as store:
        await bind(store, "a")
        assert [one.event for one in await claim(store)] == events


@pytest.mark.parametrize("number", [1, 5, 7, 13, 100, 511, 600, 1025])
async def test_any_number_of_rows_is_written(tmp_path: Path, number: int) -> None:
    async with open_sqlite_store(tmp_path / "state", disk_free=0) as store:
        await bind(store, "a")
        await accept_stored(store, *(owe(f"e{each}", "a") for each in range(number)))
        claims = await claim(store, total=2000, each=2000)
        assert [one.event.id for one in claims] == [f"e{each}" for each in range(number)]
        await record(store, claims)
        assert len(await attempts(store)) == number
        assert (await backlog(store)).delivered == number


async def test_a_second_claim_of_a_delivery_counts_its_attempts(tmp_path: Path) -> None:
    async with open_sqlite_store(tmp_path / "state", disk_free=0) as store:
        await bind(store, "a")
        await accept_stored(store, owe("one", "a"))
        (first,) = await claim(store)
        await fail(store, [first], due_at=1)
        (second,) = await claim(store)
        assert (first.attempts, second.attempts) == (0, 1)
        assert second.event == first.event
