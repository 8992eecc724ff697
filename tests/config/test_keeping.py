"""Copies of what runs: few in a storm of changes, the last one in the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from hookd.config.load import Loaded, load
from hookd.config.reload.keeping import Keeping
from hookd.config.reload.lastgood import Keeper, open_last_good
from tests.config.trees import write_tree

if TYPE_CHECKING:
    from pathlib import Path

    from hookd.config.snapshot import Snapshot
    from hookd.core.config import Revision

MAIN = 'version: 1\nwebhooks: {w: {url: "https://example.com/%d", events: [a]}}\n'


class Counting(Keeper):
    """A keeper that tells which revisions it was given."""

    def __init__(self, state_dir: Path, main: Path) -> None:
        super().__init__(state_dir, main)
        self.kept: list[str] = []

    def keep(self, snapshot: Snapshot, revision: Revision) -> bool:
        self.kept.append(revision.hash)
        return super().keep(snapshot, revision)


def load_number(top: Path, number: int) -> Loaded:
    return load(write_tree(top, main=MAIN % number))


def run(top: Path, changes: int) -> tuple[Counting, list[str]]:
    """Change a config once a second; give what was kept, and the revisions that there were."""
    keeper = Counting(top, top / "hookd.yaml")
    revisions: list[str] = []

    clock = MockClock()  # it stands while a thread writes: how long that takes is no matter of seconds that pass

    async def settle() -> None:
        threads = trio.to_thread.current_default_thread_limiter()
        await wait_all_tasks_blocked()
        while threads.borrowed_tokens:
            await trio.lowlevel.checkpoint()
        await wait_all_tasks_blocked()

    async def change() -> None:
        keeping = Keeping(keeper)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keeping.serve)
            for number in range(changes):
                loaded = load_number(top, number)
                revisions.append(loaded.config.revision.hash)
                keeping.soon(loaded)
                await settle()
                clock.jump(1.0)
            nursery.cancel_scope.cancel()

    trio.run(change, clock=clock)
    return keeper, revisions


def test_a_few_changes_are_kept_at_once(tmp_path: Path) -> None:
    keeper, revisions = run(tmp_path, 5)
    assert keeper.kept == revisions


def test_a_storm_is_kept_now_and_then_and_its_last_one_at_the_end(tmp_path: Path) -> None:
    keeper, revisions = run(tmp_path, 60)
    assert keeper.kept[:5] == revisions[:5]
    assert len(keeper.kept) <= 12
    assert keeper.kept[-1] == revisions[-1]
    copy = open_last_good(tmp_path / "last-good" / "config.tar", tmp_path / "hookd.yaml")
    assert copy.loaded.config.revision.hash == revisions[-1]
