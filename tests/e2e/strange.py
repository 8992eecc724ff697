"""`hookd`, on a machine whose clock and whose names a test can turn while it runs.

Run as a program, with a verb and its options. Only what Python asks of the system is turned:

- `STRANGE_CLOCK` names a file with a number of seconds that the wall clock is off by; monotonic time is left alone.
- `STRANGE_NAMES` names a JSON file: host name -> list of answers, one for each look-up and the last for ever; an
  answer is a list of addresses, or null for none within an hour. Other names are asked of the system.
- `STRANGE_DISK` names a file: as long as it is there, the disk does not answer when it is asked how much room it has.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from pathlib import Path
from typing import Any


def turn_clock(path: Path) -> None:
    """Make the wall clock be off by what stands in the file."""
    true_ns = time.time_ns

    def off_ns() -> int:
        return int(float(path.read_text() or "0") * 1e9)

    time.time_ns = lambda: true_ns() + off_ns()
    time.time = lambda: (true_ns() + off_ns()) / 1e9


def turn_names(path: Path) -> None:
    """Make the resolver answer from the file."""
    ask = socket.getaddrinfo
    answers: dict[str, list[list[str] | None]] = json.loads(path.read_text())
    one_at_a_time = threading.Lock()

    def answer(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        name = host.decode("ascii") if isinstance(host, bytes) else host
        with one_at_a_time:
            left = answers.get(name)
            if left is None:
                return ask(host, port, *args, **kwargs)
            addresses = left.pop(0) if len(left) > 1 else left[0]
        if addresses is None:
            time.sleep(3600)
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [
            (socket.AF_INET6 if ":" in each else socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port or 0))
            for each in addresses
        ]

    socket.getaddrinfo = answer


def turn_disk(stuck: Path) -> None:
    """Make whoever asks the disk wait, as a network file system does whose server is gone."""
    ask = os.statvfs

    def answer(path: Any) -> os.statvfs_result:
        while stuck.exists():
            time.sleep(0.02)
        return ask(path)

    os.statvfs = answer


if __name__ == "__main__":
    if "STRANGE_CLOCK" in os.environ:
        turn_clock(Path(os.environ["STRANGE_CLOCK"]))
    if "STRANGE_NAMES" in os.environ:
        turn_names(Path(os.environ["STRANGE_NAMES"]))
    if "STRANGE_DISK" in os.environ:
        turn_disk(Path(os.environ["STRANGE_DISK"]))
    # Only now: what is imported may keep the functions that it finds.
    from hookd.cli.main import main

    main()
