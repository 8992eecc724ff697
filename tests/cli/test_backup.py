"""`hookd backup` and `hookd restore` as people run them, beside a daemon and without one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.e2e.house import Daemon, Receiver, hookd, write_config

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def daemon(tmp_path: Path, receiver: Receiver) -> Iterator[Daemon]:
    held = "paused: true, allow_networks: [127.0.0.0/8]"
    config = write_config(tmp_path, f"webhooks:\n  crm: {{url: '{receiver.url}', events: ['*'], {held}}}\n")
    daemon = Daemon(config).start()
    yield daemon
    daemon.close()


def test_a_store_comes_back_and_what_it_owed_is_delivered(daemon: Daemon, receiver: Receiver, tmp_path: Path) -> None:
    daemon.send(*({"type": "a", "id": f"e{number}"} for number in range(20)))
    copy = tmp_path / "copies" / "hookd.db"
    copy.parent.mkdir()
    code, out, err = hookd("backup", copy, "--config", daemon.config)
    assert (code, err) == (0, "")
    assert "20 events, 20 pending, 0 dead" in out
    assert out.startswith(f"{tmp_path / 'state'} is copied to {copy}: ")
    daemon.send({"type": "a", "id": "later"})
    code, out, err = hookd("restore", copy, "--config", daemon.config)
    assert (code, out) == (75, "")
    assert "in use by another hookd" in err
    daemon.kill()
    for left in (tmp_path / "state").glob("hookd.db*"):
        left.unlink()  # the disk is gone
    code, out, err = hookd("restore", copy, "--config", daemon.config, "--output", "json")
    assert (code, err) == (0, "")
    restored = json.loads(out)
    assert (restored["pending"], restored["kept"]) == (20, None)
    daemon.config.write_text(daemon.config.read_text().replace("paused: true, ", ""))
    daemon.start()
    daemon.send({"type": "a", "id": "fresh"}, {"type": "a", "id": "e1"})
    taken = receiver.wait(21)
    assert len({each.headers["webhook-id"] for each in taken}) == 21


def test_a_file_that_was_only_copied_is_told(daemon: Daemon, tmp_path: Path) -> None:
    daemon.send({"type": "a", "id": "1"})
    assert daemon.stop() == 0
    shutil.copy(tmp_path / "state" / "hookd.db", tmp_path / "copied.db")
    code, out, _ = hookd("restore", tmp_path / "copied.db", "--config", daemon.config)
    assert (code, "was not made by `hookd backup`" in out) == (0, True)
    assert hookd("backup", tmp_path / "backup.db", "--config", daemon.config)[0] == 0
    code, out, _ = hookd("restore", tmp_path / "backup.db", "--config", daemon.config)
    assert (code, "was not made" in out) == (0, False)


def test_a_backup_replaces_an_older_one_and_nothing_else(daemon: Daemon, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    for number in (1, 2):
        daemon.send({"type": "a", "id": str(number)})
        code, out, _ = hookd("backup", copy, "--config", daemon.config, "--output", "json")
        told = json.loads(out)
        assert (code, told["events"], told["file"]) == (0, number, str(copy))
        assert told["state_dir"] == str(tmp_path / "state")
    before = daemon.config.read_text()
    code, out, err = hookd("backup", daemon.config, "--config", daemon.config)
    assert (code, out) == (1, "")
    assert "is no backup of hookd" in err
    assert daemon.config.read_text() == before


@pytest.mark.skipif(os.path.exists("/etc/hookd/hookd.yaml"), reason="this machine has a config of hookd")  # noqa: PTH110
@pytest.mark.parametrize("verb", ["backup", "restore"])
def test_no_state_directory_is_guessed(tmp_path: Path, verb: str) -> None:
    code, out, err = hookd(verb, tmp_path / "x.db", cwd=tmp_path)
    assert (code, out) == (78, "")
    assert "there is no ./hookd.yaml and no /etc/hookd/hookd.yaml, so nothing says where the store is" in err
    (tmp_path / "hookd.yaml").write_text("daemon: {state_dir: here}\n")
    code, out, err = hookd(verb, tmp_path / "x.db", cwd=tmp_path)
    assert (code, out) == (1, "")
    assert str(tmp_path / ("here" if verb == "backup" else "x.db")) in err


@pytest.mark.parametrize("verb", ["backup", "restore"])
def test_where_there_is_nothing(tmp_path: Path, verb: str) -> None:
    code, out, err = hookd(verb, tmp_path / "x.db", "--state-dir", tmp_path / "nowhere")
    assert (code, out) == (1, "")
    assert err.startswith("hookd: there is no ")
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_who_may_not_read_it_is_told_who_may(daemon: Daemon, tmp_path: Path) -> None:
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    program = (
        "import difflib, os, pwd, sys, hookd.cli.main as m, hookd.cli.backup; os.setgid(65534); os.setuid(65534);"
        f" sys.argv = ['hookd', 'backup', '/tmp/none.db', '--state-dir', {str(tmp_path / 'state')!r}]; m.main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60, check=False)
    assert done.returncode == 77, done.stderr
    assert b"is closed to you: run this as user root" in done.stderr
    assert daemon.running
