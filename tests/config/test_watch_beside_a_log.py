"""A log that grows beside the main file is no change of the config, and delays none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from hookd.config.reload import settle as settle_module
from tests.config.following import MAIN, House, following, hook
from tests.config.trees import write_tree

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


async def test_a_log_without_a_suffix_delays_no_reload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settle_module, "_QUIET_AT_MOST_S", 1000.0)  # if it were waited for, it would be for ever
    house = House(write_tree(tmp_path, main=MAIN, hooks__a=hook("a", "0")))
    (tmp_path / "log").touch()
    async with following(house), trio.open_nursery() as nursery:

        async def write() -> None:
            with (tmp_path / "log").open("a", buffering=1) as log:
                while True:
                    log.write("a line\n")
                    await trio.sleep(0.02)

        nursery.start_soon(write)
        await trio.sleep(0.5)
        write_tree(tmp_path, hooks__a=hook("a", "1"))
        await house.runs("1")
        nursery.cancel_scope.cancel()
