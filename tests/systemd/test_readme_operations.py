"""The README's operations, as they are written and in their order, on a machine on which nobody has installed hookd."""

from __future__ import annotations

import json
import os
import pty
import select
import shutil
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.house import ROOT, Receiver
from tests.e2e.readme import block, lines_of, told
from tests.systemd.conftest import REQUIRED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.systemd.machine import Machine

pytestmark = [pytest.mark.systemd, pytest.mark.slow]

#: Where the checkout is, and what it has that pip looks at.
CHECKOUT = "/srv/hookd"
CONTENT = ("src", "schemas", "systemd", "config.example.yaml", "pyproject.toml", "README.md", "LICENSE")
PATH = "/opt/python/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PORT = 8581
PATIENCE_S = 60.0


class Operator:
    """Root, in a checkout of hookd on the machine."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        home = machine.path(CHECKOUT)
        home.mkdir()
        for name in CONTENT:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, home / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / name, home / name)
        machine.run("systemd-sysusers", "--inline", "u app -")

    def enter(self, command: str, *, online: bool = False, user: str | None = None) -> list[str]:
        """Give the command line that runs a line of shell there; `online`: in the network below, for pip."""
        shell = ("bash", "-euo", "pipefail", "-c", command)
        line = self.machine.enter("env", f"--chdir={CHECKOUT}", f"PATH={PATH}", *shell, user=user)
        return [each for each in line if not (online and each == "-n")]

    def do(self, command: str, *, online: bool = False, code: int = 0) -> str:
        """Run a line as it is written; give what it printed."""
        with self._names() if online else _nothing():
            done = subprocess.run(
                self.enter(command, online=online),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
                env={**os.environ, "SYSTEMD_PAGER": "cat", "PIP_ROOT_USER_ACTION": "ignore"},
            )
        out = done.stdout + done.stderr
        assert "Traceback" not in out, out
        if online and done.returncode and not os.environ.get(REQUIRED):
            pytest.skip(f"pip cannot install anything here: {out[-300:]}")
        assert done.returncode == code, f"{command}: {done.returncode}\n{out}\n{self.machine.journal_text()}"
        return out

    @contextmanager
    def _names(self) -> Iterator[None]:
        """Let names be looked up as the machine below does it."""
        kept = {name: self.machine.path(f"/etc/{name}").read_text() for name in ("resolv.conf", "hosts")}
        for name in kept:
            self.machine.path(f"/etc/{name}").write_text(Path("/etc", name).read_text())
        yield
        for name, text in kept.items():
            self.machine.path(f"/etc/{name}").write_text(text)

    def configure(self, text: str) -> None:
        self.machine.path("/etc/hookd/hookd.yaml").write_text(text)

    def status(self) -> dict[str, object]:
        """Give how hookd is, whether something needs a person or not."""
        whole: dict[str, object] = json.loads(self.do("hookd status --output json || test $? = 1"))
        return whole


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def test_the_operations_in_their_order(bare: Machine) -> None:
    operator = Operator(bare)
    install, *others = lines_of("install")
    assert "pip install" in install
    operator.do(install, online=True)
    said = "".join(operator.do(line) for line in others)
    assert "LESS" not in operator.do("man -w hookd")

    # “then do what it says”
    steps = [line.partition("  #")[0].strip() for line in said.partition("Next:\n")[2].splitlines()]
    assert any("enable --now" in step for step in steps), said
    for step in steps:
        operator.do(step.replace("USER", "app"))
    assert "active (running)" in operator.do(told("systemctl status hookd"))

    receiver = bare.listen(lambda: Receiver(lambda _taken: 500))
    try:
        operator.configure(
            f"version: 1\ndaemon: {{inlets: [{{unix: /run/hookd/events.sock}},"
            f" {{http: '127.0.0.1:{PORT}', tokens: none}}]}}\n"
            f"webhooks: {{one: {{url: '{receiver.url}', events: ['*'], allow_networks: [127.0.0.0/8]}}}}\n"
        )
        operator.do(told("systemctl reload hookd"))
        look_at_the_journal(operator)
        operator.do("\n".join(lines_of("http")))
        assert "ListenStream=127.0.0.1" in operator.do("systemctl cat hookd-http.socket")
        event = '{"type": "x", "id": "second"}'
        posted = f"curl -sS --fail-with-body -H 'content-type: application/json' -d '{event}'"
        operator.do(f"{posted} http://127.0.0.1:{PORT}/v1/events")
        receiver.wait(2)
    finally:
        receiver.close()  # from here on what is sent stays pending

    operator.do(block("backup"))
    copy = bare.path("/var/backups/hookd.db").stat()
    assert (copy.st_mode & 0o777, copy.st_uid) == (0o600, 0)
    first, *others = lines_of("upgrade")
    operator.do(first, online=True)
    for line in others:
        operator.do(line)
    operator.do("systemctl is-active hookd.service hookd.socket hookd-http.socket")
    assert operator.status()["pending"] == 2

    operator.do("hookd send --type x --id third")
    assert operator.status()["pending"] == 3
    operator.do(block("restore"))
    assert operator.status()["pending"] == 2  # as it was when it was copied
    # An environment as the service has it: no complaint.
    environment = told("sudo -u hookd hookd check --environment")
    if shutil.which("sudo") is None:
        environment = environment.replace("sudo -u hookd", "runuser -u hookd --")
    operator.do(environment)

    operator.do(told("systemctl restart hookd"))
    operator.do("systemctl is-active hookd.service hookd.socket hookd-http.socket")
    operator.do(told("systemctl stop 'hookd*'"))
    for unit in ("hookd.service", "hookd.socket", "hookd-http.socket"):
        assert bare.show("ActiveState", unit) == "inactive", unit


def look_at_the_journal(operator: Operator) -> None:
    """Follow the journal on a terminal, as people do, and see an attempt that went wrong."""
    ours, theirs = pty.openpty()
    following = subprocess.Popen(operator.enter(block("journal")), stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    try:
        subprocess.run(operator.enter("hookd send --type x --id first", user="app"), check=True, timeout=60)
        seen, until = b"", time.monotonic() + PATIENCE_S
        while b'"rejected"' not in seen:  # in colours, on a terminal
            ready, _, _ = select.select([ours], [], [], max(0, until - time.monotonic()))
            assert ready, f"{seen.decode()}\n{operator.machine.journal_text()}"
            seen += os.read(ours, 65536)
    finally:
        following.kill()
        following.wait()
        os.close(ours)
