"""Sends a `ping` every so many seconds until its standard input ends, in a process of its own.

Run as a program with a socket, the seconds, and the number of the first event. It prints, as JSON, when it wrote each
event, in nanoseconds of the monotonic clock, which all processes of a machine share. Who measures how long deliveries
take must not share an interpreter with who sends, receives, or changes the files: it would measure its own waiting.
"""

from __future__ import annotations

import json
import select
import sys
from itertools import count
from typing import TYPE_CHECKING

from tests.benchmarks.load import pace

if TYPE_CHECKING:
    from collections.abc import Iterator


def build_lines(first: int) -> Iterator[bytes]:
    """Give events by their numbers."""
    for number in count(first):
        yield b'{"type":"ping","data":{"n":%d,"id":"%d"}}\n' % (number, number)


def is_over() -> bool:
    """Tell whether standard input has ended; nothing is ever written to it."""
    return bool(select.select([sys.stdin], [], [], 0)[0])


if __name__ == "__main__":
    path, every, first = sys.argv[1:]
    json.dump(pace(path, build_lines(int(first)), float(every), is_over).sent, sys.stdout)
