"""A disk that is short of room, or full, refuses events and loses nothing."""

from __future__ import annotations

import subprocess
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from hookd.core.model import RefusalCode, State
from hookd.store.base import Failed, New
from hookd.store.queries import Deliveries
from hookd.store.space import ROOM, Space
from hookd.store.sqlite import open_sqlite_store
from tests.store.making import ALL, accept_one, bind, claims_of, deliveries, make_event, owe, record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hookd.core.model import Claim


async def test_below_the_mark_nothing_is_accepted_but_all_else_goes_on(tmp_path: Path) -> None:
    async with open_sqlite_store(tmp_path / "state", disk_free=0, ballast=0) as store:
        await bind(store, "a")
        await accept_one(store, owe("e1", "a"), room={})
    with capture_logs() as logged:
        async with open_sqlite_store(tmp_path / "state", disk_free=1 << 60, ballast=0) as store:
            refused = await accept_one(store, owe("e2", "a"))
            assert isinstance(refused, Failed)
            assert refused.code is RefusalCode.DISK_LOW
            await bind(store, "a", "b")
            assert "limits.disk_free" in store.trouble()
            assert [row.event.id for row in await store.read(Deliveries(), ALL)] == ["e1"]
    assert [(line["event"], line["log_level"]) for line in logged] == [("store.full", "warning")]


def test_each_change_of_the_room_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = SimpleNamespace(f_bavail=9 * ROOM, f_frsize=1)
    clock = [0.0]
    monkeypatch.setattr("hookd.store.space.os.statvfs", lambda _: disk)
    monkeypatch.setattr("hookd.store.space.time.monotonic", lambda: clock[0])

    def told(space: Space, free: int, *, ran_out: bool = False) -> list[tuple[str, str]]:
        disk.f_bavail = free
        with capture_logs() as logged:
            for _ in range(3):
                clock[0] += 1.0
                space.short()
                if ran_out:
                    space.ran_out()
                space.tell()
        return [(line["event"], line["log_level"]) for line in logged]

    space = Space(tmp_path, keep_free=4 * ROOM, ballast=0)
    assert told(space, 9 * ROOM) == []
    assert told(space, 3 * ROOM) == [("store.full", "warning")]
    assert told(space, 0, ran_out=True) == [("store.full", "error")]
    assert told(space, 0) == []
    assert told(space, 9 * ROOM) == [("store.relieved", "info")]
    # Without a reserve a write may find no room though some is free: that is no reason to tell it every second.
    space = Space(tmp_path, keep_free=0, ballast=0)
    assert told(space, ROOM // 2, ran_out=True) == [("store.full", "error")]
    assert told(space, ROOM // 2) == []
    assert told(space, ROOM) == [("store.relieved", "info")]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(disk)], check=False, capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("a small tmpfs cannot be mounted here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.faults
async def test_a_full_disk_refuses_events_and_what_is_in_flight_is_recorded(small_disk: Path) -> None:
    async with open_sqlite_store(small_disk / "state", disk_free=0, ballast=512 << 10) as store:
        await bind(store, "a")
        kept: list[str] = []
        flying: list[Claim] = []
        for n in range(400):
            result = await accept_one(store, owe(make_event(f"e{n}", data=b'"%s"' % (b"x" * 60_000)), "a"))
            if not isinstance(result, New):
                break
            kept.append(f"e{n}")
            flying += claims_of(result)
        assert isinstance(result, Failed)
        assert result.code is RefusalCode.DISK_LOW
        assert len(kept) > 10
        assert (small_disk / "state" / "ballast").exists()
        await record(store, flying)
        rows = await deliveries(store)
        assert [row.event.id for row in rows] == kept
        assert {row.state for row in rows} == {State.DELIVERED}
