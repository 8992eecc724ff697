"""A reloader that follows a tree in a test: what it applied, whom it told, and how to wait for it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import trio

from hookd.config.load import load
from hookd.config.reload.around import LiveConfig, Surroundings
from hookd.config.reload.reloader import Reloader
from tests.config.trees import write_tree
from tests.stopwatch import Stopwatch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, MutableMapping
    from pathlib import Path

    from hookd.config.reload.lastgood import Keeper
    from hookd.core.config import Config, NotMoved

MAIN: Final = "version: 1\ninclude: ['hooks/**/*.yaml']\n"
#: The contract says a second; this is for a machine that does other things as well.
SOON: Final = 20.0
FILES: Final = 60


def hook(name: str, note: str = "") -> str:
    return f'webhooks: {{{name}: {{url: "https://example.com/", events: [a], name: "{note}"}}}}\n'


class House:
    """A reloader at work on a tree, what it applied, and who has pending deliveries."""

    def __init__(
        self, main: Path, seen: Any = None, running: Config | None = None, keeper: Keeper | None = None
    ) -> None:
        seen = load(main) if seen is None else seen
        self.top = main.parent
        self.live = LiveConfig(running or seen.config)
        self.applied: list[Config] = []
        self.rejected: list[tuple[str, int]] = []
        self.pending: frozenset[str] = frozenset()
        self.changed = trio.Event()
        around = Surroundings(
            rejected=lambda revision, problems: self.rejected.append((revision, len(problems))),
            pending=self.ask_pending,
            keeper=keeper,
        )
        self.reloader = Reloader(main, self.live, self.apply, seen, around)

    async def apply(self, old: Config, new: Config) -> tuple[NotMoved, ...]:
        assert self.live.current is old
        await trio.lowlevel.checkpoint()
        self.applied.append(new)
        self.changed.set()
        return ()

    async def ask_pending(self) -> frozenset[str]:
        await trio.lowlevel.checkpoint()
        return self.pending

    @property
    def notes(self) -> list[set[str]]:
        """The notes of the webhooks of each config that was applied: one each, unless it was half of something."""
        return [{webhook.name for webhook in config.webhooks.values()} for config in self.applied]

    async def until(self, holds: Callable[[], bool]) -> None:
        with trio.fail_after(SOON):
            while not holds():
                await self.changed.wait()
                self.changed = trio.Event()
                await trio.lowlevel.checkpoint()

    async def runs(self, note: str) -> None:
        await self.until(lambda: {webhook.name for webhook in self.live.current.webhooks.values()} == {note})


@asynccontextmanager
async def following(house: House) -> AsyncIterator[House]:
    """Follow, with everything watched that is to be watched, and end in a moment."""
    async with trio.open_nursery() as nursery:
        await nursery.start(house.reloader.serve)
        with trio.fail_after(SOON):
            await house.reloader.reload()
        await watched(house)
        yield house
        ending = Stopwatch()
        nursery.cancel_scope.cancel()
    assert ending.seconds() < 1.0


async def eventually(holds: Callable[[], bool]) -> None:
    """Wait for what no event tells of."""
    with trio.fail_after(SOON):
        while not holds():  # noqa: ASYNC110  it is a file, or a state inside of the reloader
            await trio.sleep(0.02)


async def watched(house: House) -> None:
    """Wait until the watch covers what it should: then events are the only thing that can tell of a change."""
    # White box: nothing tells from outside that a watch has begun; it asks for a look when it has.
    reloader = house.reloader
    await eventually(lambda: reloader._watch._plan is not None and reloader._answered >= reloader._asked)


def write_all(top: Path, note: str, count: int = FILES) -> Path:
    return write_tree(top, main=MAIN, **{f"hooks__h{number}": hook(f"h{number}", note) for number in range(count)})


def told(logged: Iterable[MutableMapping[str, Any]], event: str) -> list[MutableMapping[str, Any]]:
    return [entry for entry in logged if entry["event"] == event]
