"""Fixtures: one machine for all tests of this folder, and the service on it as each test wants it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.e2e.house import ROOT, Receiver
from tests.systemd.machine import Machine, build_wheel, why_not
from tests.systemd.service import Service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

#: Set where the tests must run (in CI): a machine that cannot be had is a failure then, and not a reason to skip.
REQUIRED = "HOOKD_TEST_SYSTEMD"


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give hookd's wheel, where there can be machines for it."""
    reason = why_not()
    if reason is not None:
        assert not os.environ.get(REQUIRED), f"${REQUIRED} is set, but a machine {reason}"
        pytest.skip(f"a systemd of its own {reason}")
    return build_wheel(tmp_path_factory.mktemp("wheel"), ROOT)


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Iterator[Machine]:
    """Give a machine that has booted, with hookd from its wheel, its units, and a few users."""
    machine = Machine(tmp_path_factory.mktemp("machine"), wheel)
    try:
        yield machine
    finally:
        machine.end()


@pytest.fixture
def bare(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Iterator[Machine]:
    """Give a machine of one's own, on which nobody has installed hookd."""
    machine = Machine(tmp_path_factory.mktemp("bare"), wheel)
    try:
        machine.run("rm", "-r", "/opt/hookd")
        yield machine
    finally:
        machine.end()


@pytest.fixture(scope="session")
def installed(machine: Machine) -> Service:
    """Give the service, installed by the commands that hookd tells."""
    return Service(machine).install()


@pytest.fixture
def service(installed: Service) -> Iterator[Service]:
    """Give the service as it is after its installation: no state, no drop-ins, no config, not running."""
    installed.reset()
    yield installed
    installed.stop_all()


@pytest.fixture
def receiver_of(machine: Machine) -> Iterator[Callable[..., Receiver]]:
    """Give a function that makes a receiver in the network of the machine."""
    made: list[Receiver] = []

    def make(*arguments: object) -> Receiver:
        made.append(machine.listen(lambda: Receiver(*arguments)))  # type: ignore[arg-type]  # its own
        return made[-1]

    yield make
    for each in made:
        each.close()
