"""`hookd reload` at a terminal: who waits for git is told what for."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from tests.e2e.house import HOOKD, Daemon, write_config

if TYPE_CHECKING:
    from pathlib import Path


def test_a_person_who_waits_is_told_what_for(tmp_path: Path) -> None:
    daemon = Daemon(write_config(tmp_path, "webhooks: {}\n")).start()
    try:
        (tmp_path / ".git").mkdir()
        lock = tmp_path / ".git" / "index.lock"
        lock.touch()
        terminal, its_end = os.openpty()
        words = [*HOOKD, "reload", "--control", daemon.control]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=its_end) as verb:
            os.close(its_end)
            assert b"git is at work in their tree" in os.read(terminal, 1000)
            lock.unlink()
            out, _ = verb.communicate(timeout=60)
        os.close(terminal)
        assert (verb.returncode, out[:16]) == (0, b"in force already")
    finally:
        daemon.close()
