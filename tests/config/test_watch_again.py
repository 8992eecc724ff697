"""A watch that ends begins again: after a name that the backend cannot tell, and once there are watches to be had."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from watchfiles._rust_notify import RustNotify

from hookd.config.reload import reloader as reload_module
from hookd.config.reload import watch as watch_module
from tests.config.following import House, eventually, following, told, watched, write_all

if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from pathlib import Path


@pytest.fixture(autouse=True)
def _no_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave it to the events: a sweep would heal what they miss."""
    monkeypatch.setattr(reload_module, "_SWEEP_S", 1000.0)


class Backend:
    """The real one. `begun`: of each watch whether it polls; when `full`, the kernel has no watches left."""

    def __init__(self) -> None:
        self.begun: list[bool] = []
        self.full = False

    def __call__(self, paths: list[str], debug: bool, polling: bool, *rest: Any) -> Any:  # noqa: FBT001  as it has it
        if self.full and not polling:
            raise OSError("OS file watch limit reached. about ['/etc/hookd']")  # as it says it
        self.begun.append(polling)
        return RustNotify(paths, debug, polling, *rest)


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Backend:
    backend = Backend()
    monkeypatch.setattr(watch_module, "RustNotify", backend)
    monkeypatch.setattr(watch_module, "_RETRY_S", 0.05)
    return backend


async def test_names_that_are_no_utf8_are_hints_and_end_no_watch(
    tmp_path: Path, backend: Backend, logged: list[MutableMapping[str, Any]]
) -> None:
    async with following(House(write_all(tmp_path, "x"))) as house:
        for number in range(6):
            count = len(backend.begun)
            (tmp_path / "hooks" / os.fsdecode(b"\xff%d.log" % number)).touch()
            await eventually(lambda count=count: len(backend.begun) > count)  # type: ignore[misc]
        await watched(house)
        for note in "yz":
            write_all(tmp_path, note)
            await house.runs(note)
    assert not any(backend.begun)
    assert not told(logged, "watch.failed") + told(logged, "config.polling")


async def test_who_polls_watches_again_once_there_are_watches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logged: list[MutableMapping[str, Any]], backend: Backend
) -> None:
    monkeypatch.setattr(watch_module, "_POLL_AT_MOST_S", 1.0)
    backend.full = True
    async with following(House(write_all(tmp_path, "x"))) as house:
        await eventually(lambda: backend.begun.count(True) > 1)  # it was tried in between, in vain
        write_all(tmp_path, "y")
        await house.runs("y")
        assert (len(told(logged, "config.polling")), told(logged, "config.watching")) == (1, [])
        backend.full = False
        await eventually(lambda: backend.begun[-1] is False)
        await watched(house)
        write_all(tmp_path, "z")
        await house.runs("z")
    assert len(told(logged, "config.watching")) == len(told(logged, "config.polling")) == 1
    assert len(told(logged, "watch.failed")) == 1
