"""TCP ports for what must be told its port beforehand, so that it cannot ask the kernel for one.

A port that the kernel gave, and got back, may be gone again a moment later: it gives the same ones to every connection
that goes out. Those that are given here it gives to nobody by itself; who else has one has taken it by its number.
"""

from __future__ import annotations

import random
import socket
from pathlib import Path
from typing import Final

_RANGE: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LOWEST: Final = 10_000
_dice = random.SystemRandom()  # not of the seed that two runs side by side may share


def free_port() -> int:
    """Give a port at which nobody listens, at no address of this machine."""
    first = int(_RANGE.read_text().split()[0]) if _RANGE.exists() else 32_768
    while True:
        port = _dice.randrange(_LOWEST, first) if first > 2 * _LOWEST else 0  # 0: where the range leaves no room
        with socket.socket() as probe:
            try:
                probe.bind(("", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
