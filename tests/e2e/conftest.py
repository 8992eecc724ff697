"""Fixtures: daemons and receivers that are ended whatever happens."""

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
def daemon_of(tmp_path: Path) -> Iterator[Callable[..., Daemon]]:
    """Give a function that makes a daemon (not started) of the YAML below its daemon section."""
    made: list[Daemon] = []

    def make(text: str, **environ: str) -> Daemon:
        daemon = Daemon(write_config(tmp_path, text), environ)
        made.append(daemon)
        return daemon

    yield make
    for daemon in made:
        daemon.close()
