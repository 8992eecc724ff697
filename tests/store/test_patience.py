"""A change that nobody waits for goes with a commit that is made anyway, and is made all the same if none is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from hookd.store.base import Bind, Revised, StoreUnavailable
from hookd.store.sqlite import PATIENCE, open_sqlite_store
from tests.store.making import NOW, accept_one, backlog, bind, bindings, owe

if TYPE_CHECKING:
    from pathlib import Path

    from hookd.store.base import Store
    from hookd.store.sqlite import SqliteStore

#: What a reload says: what changed, and what is gone.
CHANGED = Bind(webhooks=bindings("b").webhooks, gone=("a",))


async def commits(store: Store) -> int:
    return sum((await store.vitals()).commits.counts)


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> float:
    """Give a patience that no machine is too slow for."""
    monkeypatch.setattr("hookd.store.sqlite.PATIENCE", 30.0)
    return 30.0


async def change(store: Store) -> Revised:
    return await store.revise(CHANGED, 1000, NOW)


async def test_it_goes_with_the_next_batch(tmp_path: Path, patience: float) -> None:
    async with open_sqlite_store(tmp_path / "state", disk_free=0, ballast=0) as store:
        await bind(store, "a")
        before = await commits(store)
        with trio.fail_after(patience / 2):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(change, store)
                await trio.testing.wait_all_tasks_blocked()
                assert await commits(store) == before
                await accept_one(store, owe("e1", "a"))
        assert await commits(store) == before + 1
        assert (await backlog(store, "a")).held == 1  # it is gone


async def test_alone_it_is_done_when_its_patience_is_over(tmp_path: Path) -> None:
    async with open_sqlite_store(tmp_path / "state", disk_free=0, ballast=0) as store:
        await bind(store, "a")
        before = await commits(store)
        started = trio.current_time()
        assert await change(store) == Revised(changed=2, done=True)
        assert trio.current_time() - started >= PATIENCE
        assert await commits(store) == before + 1


async def test_what_waits_is_done_when_the_store_closes(tmp_path: Path, patience: float) -> None:
    results: list[Revised | str] = []

    async def ask(store: SqliteStore) -> None:
        try:
            results.append(await change(store))
        except StoreUnavailable as error:
            results.append(str(error))

    async with trio.open_nursery() as nursery:
        with trio.fail_after(patience / 2):
            async with open_sqlite_store(tmp_path / "state", disk_free=0, ballast=0) as store:
                await bind(store, "a")
                nursery.start_soon(ask, store)
                await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.deadline = trio.current_time() + patience / 2
    assert results == [Revised(changed=2, done=True)]
