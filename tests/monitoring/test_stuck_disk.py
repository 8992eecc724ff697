"""A disk that does not answer, for real: a file system of its own that the kernel freezes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

import pytest

from tests.e2e.house import Daemon, write_config
from tests.monitoring.prometheus import fetch, wait_until
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: hookd as it is, but that it calls a writer stuck after a sixth of the time.
STUCK_S = 5
HURRIED = (
    f"from hookd.cli.main import main; from hookd.daemon import gauges; assert gauges.STUCK_S >= {STUCK_S};"
    f"gauges.STUCK_S = {STUCK_S}; main()"
)
NEEDED = ("mkfs.ext4", "mount", "umount", "fsfreeze")

pytestmark = [pytest.mark.slow, pytest.mark.faults]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Give a directory that is a file system of its own."""
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if os.geteuid() != 0 or missing:
        pytest.skip(f"needs root and {', '.join(NEEDED)}")
    image, place = tmp_path / "disk.img", tmp_path / "disk"
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(128 << 20)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    mounted = subprocess.run(["mount", "-o", "loop", image, place], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no loop device can be had: {mounted.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_disk_that_does_not_answer_is_seen_while_it_does_not(tmp_path: Path, disk: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    config = write_config(tmp_path, "webhooks: {}\n")
    more = f"  metrics: {{http: '127.0.0.1:{port}'}}\n  limits: {{disk_free: 1MiB}}\n"
    text = config.read_text().replace("daemon:\n", f"daemon:\n{more}")
    assert "state_dir: state\n" in text
    config.write_text(text.replace("state_dir: state\n", f"state_dir: {disk}/state\n"))
    daemon = Daemon(config, program=(sys.executable, "-c", HURRIED)).start()
    try:
        daemon.send({"type": "a", "id": "1"})
        with ExitStack() as frozen:
            subprocess.run(["fsfreeze", "--freeze", disk], check=True)
            frozen.callback(lambda: subprocess.run(["fsfreeze", "--unfreeze", disk], check=True))

            def send() -> None:
                with suppress(OSError, ValueError):
                    daemon.send({"type": "a", "id": "2"})

            sender = threading.Thread(target=send, daemon=True)  # it is answered once the disk answers
            sender.start()
            assert fetch(f"{url}/healthz") == (200, "ok\n")  # what is slow is not yet stuck
            code, out, err = daemon.verb("status", timeout=15)  # whether the kernel lets it read or not
            assert (code == 0) is ("the disk" not in out), out + err
            wait_until(lambda: fetch(f"{url}/healthz")[0] == 503, STUCK_S + 30, "that it is ill")
            assert "the disk does not answer" in fetch(f"{url}/healthz")[1]
            assert fetch(f"{url}/readyz")[0] == 503
            code, out, err = daemon.verb("status", timeout=15)
            assert (code, "the disk" in out) == (1, True), out + err
            # What the alert looks at comes from the daemon itself, whatever the disk does.
            busy = [line for line in fetch(f"{url}/metrics")[1].splitlines() if "_writer_busy_seconds " in line]
            assert float(busy[-1].rpartition(" ")[2]) > STUCK_S
        wait_until(lambda: fetch(f"{url}/readyz")[0] == 200, 30, "that all is well again")
        wait_until(lambda: daemon.verb("status")[0] == 0, 30, "that status says so too")
        sender.join(30)
        assert not sender.is_alive()
        daemon.send({"type": "a", "id": "2"})  # a duplicate, or new: it is taken
    finally:
        daemon.close()
