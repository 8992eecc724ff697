"""A daemon that may not read all of its files any more, and then may again: modes, as they bind another user."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.e2e.house import HOOKD, Daemon, hookd

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Whom nothing belongs to, as the kernel has it. Root reads everything; anybody else is bound by modes himself.
AS_NOBODY: Final = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups") if os.geteuid() == 0 else ()
MAIN: Final = """\
version: 1
daemon:
  state_dir: ../run/state
  inlets: [{unix: ../run/events.sock}]
  control: {unix: ../run/control.sock}
include: ['hooks/*.yaml', '**/team/*.yaml']
webhooks: {own: {url: 'http://127.0.0.1:1/', events: [a]}}
"""
HOOK: Final = "webhooks: {%s: {url: 'http://127.0.0.1:1/', events: [a]}}\n"


@pytest.fixture
def bound() -> Iterator[Daemon]:
    """Give a daemon (not started) that modes bind, and its config, in a directory apart from its state."""
    if AS_NOBODY and not (shutil.which("setpriv") and _runs_as_nobody()):
        pytest.skip("another user cannot run this hookd")
    top = Path(tempfile.mkdtemp(dir="/tmp"))  # pytest's own is for one user alone
    config = top / "conf"
    for directory in (top / "run", config / "hooks", config / "other" / "team", config / "lost+found"):
        directory.mkdir(parents=True)
    (config / "hookd.yaml").write_text(MAIN)
    (config / "hooks" / "a.yaml").write_text(HOOK % "a")
    (config / "other" / "team" / "b.yaml").write_text(HOOK % "b")
    (config / "lost+found").chmod(0)  # as at the root of a file system: nobody's business
    top.chmod(0o755)
    (top / "run").chmod(0o777)
    daemon = Daemon(config / "hookd.yaml", program=(*AS_NOBODY, *HOOKD))
    try:
        yield daemon
    finally:
        daemon.close()
        for directory in (config, config / "hooks", config / "other", config / "other" / "team", config / "lost+found"):
            directory.chmod(0o755)
        shutil.rmtree(top)


def _runs_as_nobody() -> bool:
    return subprocess.run([*AS_NOBODY, *HOOKD, "--version"], capture_output=True, check=False).returncode == 0


def test_what_may_not_be_read_for_a_while_stays(bound: Daemon) -> None:
    bound.start()
    config, control = bound.config.parent, bound.config.parents[1] / "run" / "control.sock"
    for closed, told_of in ((".", "hookd.yaml"), ("hooks", "hooks"), ("other", "other/team"), ("other/team", None)):
        mark = len(bound.lines)
        (config / closed).chmod(0)
        line = bound.wait_line("config.rejected", since=mark, code="unreadable_file")
        assert "cannot be read: Permission denied" in line["message"]
        assert f"{config}/{told_of or closed}" in f"{line['file']} {line['message']}"
        code, _, err = hookd("reload", "--control", control)
        assert code == 78
        assert "refused; what ran before keeps running" in err
        (config / closed).chmod(0o755)
        bound.wait_line("config.restored", since=mark, timeout=10.0)  # the sweep would take 30 s
        told = [each["msg"] for each in bound.lines[mark:] if each["msg"].startswith("config.")]
        assert told == ["config.rejected", "config.restored"]
    assert bound.stop() == 0
