"""A running config amended through the API, beside files that people edit: neither loses what the other did."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio

from hookd.config.load import Loaded, load
from hookd.config.managing.amending import amend
from hookd.config.managing.managed import file_of, render_file, write_file
from hookd.config.reload.around import LiveConfig
from hookd.config.reload.reloader import Reloader
from tests.config.trees import write_tree

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from hookd.core.config import Config, NotMoved

MAIN = 'version: 1\nmanaged_dir: managed\nwebhooks: {ops: {url: "https://ops.example/", events: [a]}}\n'


class House:
    """A reloader at work, and what it applied."""

    def __init__(self, main: Path) -> None:
        self.main = main
        self.loaded = load(main)
        self.live = LiveConfig(self.loaded.config)
        self.applied: list[list[str]] = []
        self.reloader = Reloader(main, self.live, self._apply, self.loaded)

    def edit(self, text: str) -> None:
        """Write the main file, as the operator does."""
        self.main.write_text(text)

    async def _apply(self, _old: Config, new: Config) -> tuple[NotMoved, ...]:
        await trio.lowlevel.checkpoint()
        self.applied.append(sorted(new.webhooks))
        return ()

    async def put(self, webhook_id: str, url: str | None = "https://example.com/") -> None:
        """Write a webhook, or remove it, as the API does."""

        async def change() -> Loaded | None:
            base = self.reloader.running(self.loaded.snapshot)
            assert base.config.managed_dir is not None
            path = file_of(base.config.managed_dir, webhook_id)
            content = None
            if url is not None:
                content = render_file(webhook_id, {"url": url, "events": ["a"]}, who="me", when="now")
            made, refused = amend(base, base.config.managed_dir, {webhook_id: content})
            assert not refused
            if content is None:
                (self.main.parent / path).unlink()
            else:
                write_file(path, content)
            made.snapshot.take_stamps([path])
            return made

        await self.reloader.amend(change)


@pytest.fixture
def main(tmp_path: Path) -> Path:
    return write_tree(tmp_path, main=MAIN)


@asynccontextmanager
async def at_work(main: Path) -> AsyncIterator[House]:
    house = House(main)
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            await nursery.start(house.reloader.serve)
            yield house
            nursery.cancel_scope.cancel()


async def test_what_is_amended_runs_and_the_next_look_finds_nothing_new(main: Path) -> None:
    async with at_work(main) as house:
        await house.put("crm")
        assert house.applied == [["crm", "ops"]]
        assert sorted(house.live.current.webhooks) == ["crm", "ops"]
        revision = house.live.current.revision
        report = await house.reloader.reload()
        assert not report.changed
        assert house.live.current.revision == revision == load(main).config.revision
        assert len(house.applied) == 1
        await house.put("crm", None)
        assert not (await house.reloader.reload()).changed
        assert house.applied[1:] == [["ops"]]


async def test_beside_files_that_are_broken(main: Path) -> None:
    async with at_work(main) as house:
        house.edit(MAIN + "broken: [")
        assert (await house.reloader.reload()).problems
        await house.put("crm")
        assert sorted(house.live.current.webhooks) == ["crm", "ops"]
        assert house.reloader.last.problems, "they are broken still"
        report = await house.reloader.reload()
        assert report.problems
        await house.put("erp")
        assert sorted(house.live.current.webhooks) == ["crm", "erp", "ops"], "the second goes on from the first"
        house.edit(MAIN.replace("ops:", "new:"))
        report = await house.reloader.reload()
        assert not report.problems
        assert sorted(house.live.current.webhooks) == ["crm", "erp", "new"]


async def test_an_edit_and_an_amendment_at_once_are_both_there(main: Path) -> None:
    async with at_work(main) as house:
        for number in range(10):
            house.edit(MAIN.replace("ops:", f"ops{number}:"))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(house.reloader.reload)
                nursery.start_soon(house.put, f"crm{number}")
        await house.reloader.reload()
        assert set(house.live.current.webhooks) == {"ops9", *(f"crm{number}" for number in range(10))}


async def test_nothing_to_put_to_work_is_fine(main: Path) -> None:
    async def nothing() -> Loaded | None:
        await trio.lowlevel.checkpoint()
        return None

    async with at_work(main) as house:
        before = house.live.current
        await house.reloader.amend(nothing)
        assert house.live.current is before
        assert house.applied == []
