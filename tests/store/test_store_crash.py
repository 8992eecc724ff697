"""What was acknowledged outlives `kill -9`, at whatever moment it comes."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import apsw
import pytest

from hookd.core.model import State
from hookd.store.sqlite import open_sqlite_store
from tests.store.conftest import ROOT
from tests.store.making import bind, claim, deliveries

if TYPE_CHECKING:
    from pathlib import Path

RUNS = 8
ENOUGH = 11


def write_until_killed(state_dir: Path, run: int, after_s: float) -> list[str]:
    """Let a process write, kill it that long after its first acknowledgements, give the whole lines it said."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.store.crash_writer", str(state_dir), str(run)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    first = b"".join(process.stdout.readline() for _ in range(2 * ENOUGH))
    time.sleep(after_s)  # not to wait for something, but to hit a random moment
    process.kill()
    rest, _ = process.communicate()
    said = (first + rest).decode()
    return said[: said.rfind("\n")].splitlines()


@pytest.mark.faults
async def test_every_acknowledged_event_outlives_a_kill(tmp_path: Path) -> None:
    chance = random.Random(7)
    accepted: set[str] = set()
    delivered: set[str] = set()
    for run in range(RUNS):
        for line in write_until_killed(tmp_path / "state", run, chance.uniform(0, 0.2)):
            word, name = line.split()
            (accepted if word == "accepted" else delivered).add(name)
        connection = apsw.Connection(str(tmp_path / "state" / "hookd.db"))
        assert connection.pragma("integrity_check") == "ok"
        connection.close()
    assert len(accepted) >= ENOUGH * RUNS
    async with open_sqlite_store(tmp_path / "state", disk_free=0, ballast=0) as store:
        await bind(store, "a")
        rows = {row.event.id: row for row in await deliveries(store)}
        claimed = {one.event.id for one in await claim(store, total=10**6, each=10**6)}
    assert accepted <= set(rows)
    assert delivered <= {name for name, row in rows.items() if row.state is State.DELIVERED}
    assert claimed == {name for name, row in rows.items() if row.state is State.PENDING}
