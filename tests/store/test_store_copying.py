"""Backups and what is made of them: whole, recognised, and never in the way of what came after them."""

from __future__ import annotations

import os
import shutil
import stat
from typing import TYPE_CHECKING

import apsw
import pytest
import trio

from hookd.store.base import StoreLocked, StoreUnusable
from hookd.store.copying import DATABASE, back_up, is_store, read_copy, restore
from hookd.store.sqlite import open_sqlite_store
from tests.store.making import accept_stored, backlog, bind, deliveries, owe

if TYPE_CHECKING:
    from pathlib import Path

    from hookd.store.sqlite import SqliteStore


def names_in(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


async def fill(store: SqliteStore, *events: str) -> list[str]:
    """Accept events for webhook `a`; give the ids of their deliveries, which stay pending."""
    await bind(store, "a")
    await accept_stored(store, *(owe(event, "a") for event in events))
    rows = {row.event.id: row.delivery_id for row in await deliveries(store)}
    return [rows[event] for event in events]


async def test_a_backup_of_a_running_store_is_the_whole_of_one_moment(tmp_path: Path) -> None:
    state, copy = tmp_path / "state", tmp_path / "copy.db"
    async with open_sqlite_store(state, disk_free=0, ballast=0) as store:
        await fill(store, "1", "2")
        copied = await trio.to_thread.run_sync(back_up, state, copy)
        await fill(store, "3")
    assert (copied.webhooks, copied.events, copied.pending, copied.dead) == (1, 2, 2, 0)
    assert copied.bytes == copy.stat().st_size
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert names_in(tmp_path) == ["copy.db", "state"]
    assert is_store(copy)


async def test_a_backup_while_everything_is_being_written(tmp_path: Path) -> None:
    """Each copy must hold an event with all of its deliveries, or nothing of it."""
    state = tmp_path / "state"
    async with open_sqlite_store(state, disk_free=0, ballast=0) as store, trio.open_nursery() as nursery:
        await bind(store, "a", "b", "c")
        done = trio.Event()

        async def write() -> None:
            number = 0
            while not done.is_set():
                number += 1
                await accept_stored(store, owe(f"e{number}", "a", "b", "c"))

        nursery.start_soon(write)
        for number in range(5):
            copied = await trio.to_thread.run_sync(back_up, state, tmp_path / f"{number}.db")
            assert copied.pending == 3 * copied.events
        done.set()
    assert copied.events > 0


async def test_a_restored_store_goes_on_with_ids_that_nobody_was_given(tmp_path: Path) -> None:
    """A receiver takes a known `webhook-id` for a repetition: what comes after a restore must not have one."""
    state, copy = tmp_path / "state", tmp_path / "copy.db"
    async with open_sqlite_store(state, disk_free=0, ballast=0) as store:
        [before] = await fill(store, "before")
        await trio.to_thread.run_sync(back_up, state, copy)
        lost = await fill(store, "lost1", "lost2")
    given: set[str] = {before, *lost}
    for event in ("first", "second"):
        kept = (await trio.to_thread.run_sync(restore, copy, state)).kept
        assert kept is not None
        assert read_copy(kept).events >= 2
        async with open_sqlite_store(state, disk_free=0, ballast=0) as store:
            assert (await backlog(store, "a")).pending == 1
            fresh = await fill(store, event)
            assert not given & set(fresh)
            given.update(fresh)
            # What was pending keeps its id: it may be a repetition indeed.
            assert before in {row.delivery_id for row in await deliveries(store)}
        await trio.sleep(0.002)  # the next copy goes on at another millisecond


async def test_only_a_copy_leaps(tmp_path: Path) -> None:
    state = tmp_path / "state"
    async with open_sqlite_store(state, disk_free=0, ballast=0) as store:
        [first] = await fill(store, "1")
    async with open_sqlite_store(state, disk_free=0, ballast=0) as store:
        [second] = await fill(store, "2")
    assert int(second[-12:], 16) == int(first[-12:], 16) + 1


async def test_a_file_that_somebody_copied_is_no_backup_and_leaps_too(tmp_path: Path) -> None:
    state, copied, backup = tmp_path / "state", tmp_path / "copied.db", tmp_path / "backup.db"
    async with open_sqlite_store(state, disk_free=0, ballast=0) as store:
        await fill(store, "1")
        await store.backup(str(backup))
    shutil.copy(state / DATABASE, copied)
    async with open_sqlite_store(state, disk_free=0, ballast=0) as store:
        [given] = await fill(store, "2")  # the copy does not know it, and receivers do
    assert (read_copy(copied).whole, read_copy(backup).whole) == (False, True)
    restore(copied, state)
    async with open_sqlite_store(state, disk_free=0, ballast=0) as store:
        [fresh] = await fill(store, "3")
    assert fresh != given
    assert int(fresh[-12:], 16) > int(given[-12:], 16) + 1000


async def test_what_is_not_a_backup_is_not_overwritten(tmp_path: Path) -> None:
    state = tmp_path / "state"
    async with open_sqlite_store(state, disk_free=0, ballast=0) as store:
        await fill(store, "1")
        mine = tmp_path / "hookd.yaml"
        mine.write_text("version: 1\n")
        link = tmp_path / "link.db"
        link.hardlink_to(state / DATABASE)
        for target in (mine, link, state / DATABASE, tmp_path, tmp_path / "nowhere" / "x"):
            with pytest.raises(StoreUnusable):
                back_up(state, target)
        assert mine.read_text() == "version: 1\n"
        back_up(state, tmp_path / "copy.db")
        back_up(state, tmp_path / "copy.db")  # an older backup may be replaced


async def test_nothing_is_restored_over_a_running_store(tmp_path: Path) -> None:
    state, copy = tmp_path / "state", tmp_path / "copy.db"
    async with open_sqlite_store(state, disk_free=0, ballast=0) as store:
        await fill(store, "1")
        back_up(state, copy)
        with pytest.raises(StoreLocked):
            restore(copy, state)


async def test_what_is_no_whole_backup_is_not_restored(tmp_path: Path) -> None:
    state, copy = tmp_path / "state", tmp_path / "copy.db"
    async with open_sqlite_store(state, disk_free=0, ballast=0) as store:
        await fill(store, *map(str, range(50)))
        back_up(state, copy)
    before = (state / DATABASE).read_bytes()
    whole = copy.read_bytes()
    damaged = tmp_path / "damaged.db"
    damaged.write_bytes(whole[:8192] + bytes(len(whole) - 8192))
    cut = tmp_path / "cut.db"
    cut.write_bytes(whole[: len(whole) // 2])
    text = tmp_path / "text"
    text.write_text("hello")
    newer = tmp_path / "newer.db"
    newer.write_bytes(whole)
    connection = apsw.Connection(str(newer))
    connection.execute("PRAGMA user_version=99")
    connection.close()
    live = tmp_path / "live.db"
    live.write_bytes(whole)
    live.with_name("live.db-wal").write_bytes(b"x")
    for wrong in (damaged, cut, text, newer, live, tmp_path / "nowhere", tmp_path):
        with pytest.raises(StoreUnusable):
            restore(wrong, state)
    assert (state / DATABASE).read_bytes() == before
    assert names_in(state) == [DATABASE, "lock"]


async def test_what_stood_there_is_kept_with_what_its_wal_held(tmp_path: Path) -> None:
    state, copy = tmp_path / "state", tmp_path / "copy.db"
    async with open_sqlite_store(state, disk_free=0, ballast=0) as store:
        await fill(store, "1")
        back_up(state, copy)
        await fill(store, "2", "3")
        wal = (state / f"{DATABASE}-wal").read_bytes()
        database = (state / DATABASE).read_bytes()
    # As a crash leaves it: the last of it stands in the WAL alone.
    (state / DATABASE).write_bytes(database)
    (state / f"{DATABASE}-wal").write_bytes(wal)
    kept = restore(copy, state).kept
    assert kept is not None
    assert read_copy(kept).events == 3
    assert not (state / f"{DATABASE}-wal").exists()
    async with open_sqlite_store(state, disk_free=0, ballast=0) as store:
        assert (await backlog(store, "a")).pending == 1


async def test_a_backup_goes_into_an_empty_place_too(tmp_path: Path) -> None:
    state, copy, fresh = tmp_path / "state", tmp_path / "copy.db", tmp_path / "fresh"
    async with open_sqlite_store(state, disk_free=0, ballast=0) as store:
        [one] = await fill(store, "1")
    back_up(state, copy)  # of a store that nobody runs
    copy.chmod(0o400)
    assert restore(copy, fresh).kept is None
    assert stat.S_IMODE((fresh / DATABASE).stat().st_mode) == 0o600
    assert stat.S_IMODE(fresh.stat().st_mode) == 0o700
    async with open_sqlite_store(fresh, disk_free=0, ballast=0) as store:
        assert [row.delivery_id for row in await deliveries(store)] == [one]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
async def test_a_store_that_root_restores_belongs_to_the_owner_of_its_directory(tmp_path: Path) -> None:
    state, copy = tmp_path / "state", tmp_path / "copy.db"
    async with open_sqlite_store(state, disk_free=0, ballast=0) as store:
        await fill(store, "1")
    back_up(state, copy)
    os.chown(state, 12345, 12346)
    (state / "lock").unlink()  # as on a new machine
    restore(copy, state)
    for name in (DATABASE, "lock"):
        found = (state / name).stat()
        assert (found.st_uid, found.st_gid) == (12345, 12346), name
