"""When those who work beside the event loop rest: while it, or the store, is at something, and only then."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, cast

import trio

from hookd.config import beside
from hookd.config.beside import REST_LONG_S, beside_others, give_way
from hookd.daemon.pressing import events_go_first

if TYPE_CHECKING:
    from hookd.store.base import Store


class Disk:
    """What is asked of a store."""

    def __init__(self) -> None:
        self.busy = 0.0

    def busy_s(self) -> float:
        return self.busy


def rest(asked: threading.Event) -> float:
    """Give way once; tell for how long that was."""
    asked.set()
    began = time.monotonic()
    give_way()
    return time.monotonic() - began


def rest_later() -> float:
    """Give way when the loop has nothing more to do; tell how much may be rested still."""
    time.sleep(0.02)
    give_way()
    return beside._Others.left


async def test_a_loop_that_waits_is_not_in_the_way() -> None:
    with events_go_first(cast("Store", Disk())), beside_others(REST_LONG_S):
        assert await trio.to_thread.run_sync(rest_later) == REST_LONG_S


async def test_one_rests_while_the_loop_is_at_something() -> None:
    asked = threading.Event()
    took: list[float] = []
    with events_go_first(cast("Store", Disk())), beside_others(REST_LONG_S):
        thread = threading.Thread(target=lambda: took.append(rest(asked)))
        thread.start()
        asked.wait()
        until = time.monotonic() + 0.02
        while time.monotonic() < until and not took:  # the loop is at this
            sum(range(1000))
        await trio.to_thread.run_sync(thread.join)
    assert took[0] >= 0.001
    assert beside._Others.left < REST_LONG_S


async def test_one_rests_while_the_store_is_at_a_batch() -> None:
    store = Disk()
    with events_go_first(cast("Store", store)), beside_others(REST_LONG_S):
        store.busy = 0.001
        await trio.to_thread.run_sync(rest, threading.Event())
        assert beside._Others.left < REST_LONG_S


async def test_nothing_is_left_behind() -> None:
    with events_go_first(cast("Store", Disk())):
        assert beside._Others.busy is not None
    assert beside._Others.busy is None
    assert not trio._core._run.GLOBAL_RUN_CONTEXT.runner.instruments["_all"]
