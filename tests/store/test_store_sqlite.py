"""SQLite keeps the contract, and what only a disk can promise."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import apsw
import pytest
import trio

from hookd.core.model import WebhookState
from hookd.store.base import Policy, Seen, StoreLocked, StoreUnavailable, StoreUnusable
from hookd.store.ops import Op
from hookd.store.sqlite import open_sqlite_store
from tests.store.contract import (
    AcceptContract,
    ClaimContract,
    OrderContract,
    ReadContract,
    RecordContract,
    ReleaseContract,
)
from tests.store.contract_replay import OnceContract, RedrivableContract, ReplayContract
from tests.store.contract_revise import BindContract, PruneContract, StepInContract
from tests.store.contract_standing import StandingContract
from tests.store.making import (
    DAY,
    NOW,
    accept_one,
    accept_stored,
    backlog,
    bind,
    bindings,
    claim,
    claims_of,
    fail,
    ids,
    owe,
    record,
    revise,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from hookd.store.base import Store


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_sqlite_store(tmp_path / "state", disk_free=0, ballast=0) as opened:
        yield opened


class TestAccept(AcceptContract): ...


class TestClaim(ClaimContract): ...


class TestRecord(RecordContract): ...


class TestRelease(ReleaseContract): ...


class TestOrder(OrderContract): ...


class TestRead(ReadContract): ...


class TestBind(BindContract): ...


class TestStepIn(StepInContract): ...


class TestPrune(PruneContract): ...


class TestReplay(ReplayContract): ...


class TestRedrivable(RedrivableContract): ...


class TestOnce(OnceContract): ...


class TestStanding(StandingContract): ...


async def test_a_reopened_store_knows_all_but_the_claims(tmp_path: Path) -> None:
    async with open_sqlite_store(tmp_path / "state", disk_free=0) as store:
        await bind(store, "a", "b")
        [flying] = claims_of(await accept_one(store, owe("flying", "a")))
        await fail(store, claims_of(await accept_one(store, owe("later", "a"))), NOW + 5000)
        state = WebhookState(webhook="b", suspended_at=NOW, suspended_cause="gone", failures=3)
        await store.record([], [state], NOW)
        await accept_stored(store, owe("held", "b"), owe("x0", "a", key="x"), owe("x1", "a", key="x"))
    async with open_sqlite_store(tmp_path / "state", disk_free=0) as store:
        assert (await backlog(store, "b")).state == state
        claims = await claim(store, now=NOW + 5000)
        assert sorted(ids(claims)) == ["flying", "later", "x0"]
        assert flying.delivery_id in {one.delivery_id for one in claims}
        assert await accept_one(store, owe("flying", "a")) == Seen()


async def test_a_bind_that_was_cut_off_goes_on(tmp_path: Path) -> None:
    change = bindings("a", fingerprint="other")
    async with open_sqlite_store(tmp_path / "state", disk_free=0) as store:
        await bind(store, "a")
        for n in range(9):
            await fail(store, claims_of(await accept_one(store, owe(f"e{n}", "a"))), NOW + DAY)
        assert not (await store.revise(change, 4, NOW)).done
    async with open_sqlite_store(tmp_path / "state", disk_free=0) as store:
        assert await revise(store, change, limit=4) == 6  # five deliveries and the webhook
        assert len(await claim(store)) == 9


async def test_ids_are_not_used_twice_even_when_all_was_pruned(tmp_path: Path) -> None:
    seen = set()
    for n in range(3):
        async with open_sqlite_store(tmp_path / "state", disk_free=0) as store:
            await bind(store, "a")
            [one] = claims_of(await accept_one(store, owe(f"e{n}", "a")))
            await record(store, [one])
            seen.add(one.delivery_id)
            assert (await store.prune(Policy(events_ms=0, attempts_ms=0, held_ms=0, bytes=0), 99, NOW + 1)).events == 1
    assert len(seen) == 3


async def test_a_second_store_is_told_who_has_it(tmp_path: Path) -> None:
    async with open_sqlite_store(tmp_path / "state", disk_free=0):
        with pytest.raises(StoreLocked, match=rf"in use by another hookd \(pid {os.getpid()} since \d{{4}}-"):
            async with open_sqlite_store(tmp_path / "state"):
                pass
    async with open_sqlite_store(tmp_path / "state", disk_free=0):
        pass


async def test_what_cannot_be_used_is_told_to_people(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "junk").mkdir()
    (tmp_path / "junk" / "hookd.db").write_bytes(b"not a database at all" * 100)
    (tmp_path / "foreign").mkdir()
    apsw.Connection(str(tmp_path / "foreign" / "hookd.db")).execute("CREATE TABLE t (x)")
    for name, message in [
        ("file", "is not a directory"),
        ("missing/state", "does not exist"),
        ("junk", "is not a database"),
        ("foreign", "another program"),
    ]:
        with pytest.raises(StoreUnusable, match=message):
            async with open_sqlite_store(tmp_path / name):
                pass


async def test_only_we_may_read_it(tmp_path: Path) -> None:
    async with open_sqlite_store(tmp_path / "state", disk_free=0):
        assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
        assert {path.stat().st_mode & 0o077 for path in (tmp_path / "state").iterdir()} == {0}


async def test_a_backup_is_a_store(tmp_path: Path) -> None:
    async with open_sqlite_store(tmp_path / "state", disk_free=0) as store:
        await bind(store, "a")
        await accept_stored(store, *(owe(f"e{n}", "a") for n in range(50)))
        (tmp_path / "copy").mkdir()
        await store.backup(str(tmp_path / "copy" / "hookd.db"))
        await accept_stored(store, owe("after", "a"))
        with pytest.raises(StoreUnusable, match="cannot be written"):
            await store.backup(str(tmp_path / "nowhere" / "hookd.db"))
    assert [path.name for path in (tmp_path / "copy").iterdir()] == ["hookd.db"]
    async with open_sqlite_store(tmp_path / "copy", disk_free=0) as store:
        assert len(await claim(store)) == 50


async def test_what_the_block_raises_comes_out_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        async with open_sqlite_store(tmp_path / "state", disk_free=0):
            raise KeyError


async def test_an_io_error_closes_the_store_for_good(tmp_path: Path) -> None:
    async with open_sqlite_store(tmp_path / "state", disk_free=0) as store:
        await bind(store, "a")

        def broken(_connection: object, _draft: object) -> None:
            raise apsw.IOError

        with pytest.raises(StoreUnavailable):
            await store._writer.do(Op(broken))  # a real I/O error needs a broken disk
        with trio.fail_after(5):
            assert "IOError" in await store.wait_failed()
        with pytest.raises(StoreUnavailable):
            await accept_one(store, owe("e1", "a"))


def remove_all(state: Path) -> None:
    shutil.rmtree(state)


def remove_log(state: Path) -> None:
    (state / "hookd.db-wal").unlink()


def move_away(state: Path) -> None:
    state.rename(state.with_name("elsewhere"))


def put_another(state: Path) -> None:
    shutil.copy(state / "hookd.db", state / "other.db")
    (state / "other.db").rename(state / "hookd.db")


@pytest.mark.parametrize("how", [remove_all, remove_log, move_away, put_another])
async def test_what_is_written_to_no_file_is_not_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: Callable[[Path], None]
) -> None:
    async with open_sqlite_store(tmp_path / "state", disk_free=0, ballast=0) as store:
        await bind(store, "a")
        await accept_one(store, owe("e1", "a"))
        how(tmp_path / "state")
        monkeypatch.setattr("hookd.store.space.time.monotonic", lambda: 1e9)  # the room of the disk is asked anew
        with pytest.raises(StoreUnavailable):
            await accept_one(store, owe("e2", "a"))
        assert f"{tmp_path / 'state' / 'hookd.db'}" in await store.wait_failed()
        with pytest.raises(StoreUnavailable):
            await accept_one(store, owe("e3", "a"))


async def test_the_connection_is_set_up_to_survive_a_power_cut(tmp_path: Path) -> None:
    async with open_sqlite_store(tmp_path / "state", disk_free=0) as store:
        connection = store._writer._connection  # what it was told, not what it does, is all that can be asked here
        expected = {
            "journal_mode": "wal",
            "synchronous": 2,
            "wal_autocheckpoint": 0,
            "journal_size_limit": 64 << 20,
            "trusted_schema": 0,
            "cell_size_check": 1,
            "mmap_size": 0,
            "temp_store": 2,
            "auto_vacuum": 2,
            "page_size": 4096,
        }
        assert {name: connection.pragma(name) for name in expected} == expected
