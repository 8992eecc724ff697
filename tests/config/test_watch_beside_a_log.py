"""A log that grows beside the main file is no change of the config, and delays none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from tests.config.following import MAIN, SOON, House, following, hook
from tests.config.trees import write_tree

if TYPE_CHECKING:
    from pathlib import Path

#: Files that never rest are waited for this long.
UNREST_S = 4.0


async def test_a_log_without_a_suffix_delays_no_reload(tmp_path: Path) -> None:
    house = House(write_tree(tmp_path, main=MAIN, hooks__a=hook("a", "0")))
    (tmp_path / "log").touch()
    async with following(house), trio.open_nursery() as nursery:

        async def write() -> None:
            with (tmp_path / "log").open("a", buffering=1) as log:
                while True:
                    log.write("a line\n")
                    await trio.sleep(0.02)

        nursery.start_soon(write)
        with trio.fail_after(SOON):
            await trio.sleep(0.5)
        write_tree(tmp_path, hooks__a=hook("a", "1"))
        with trio.fail_after(UNREST_S):
            await house.runs("1")
        nursery.cancel_scope.cancel()
