"""Fixtures: one daemon, and what it delivers to, for all the tests of a module that only look at it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.house import Daemon, Receiver, write_config

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    one = Receiver()
    yield one
    one.close()


@pytest.fixture
def daemon_of(tmp_path: Path) -> Iterator[Callable[[str], Daemon]]:
    """Give a function that makes a daemon (not started) of the YAML below its daemon section."""
    made: list[Daemon] = []

    def make(text: str) -> Daemon:
        made.append(Daemon(write_config(tmp_path, text)))
        return made[-1]

    yield make
    for daemon in made:
        daemon.close()
