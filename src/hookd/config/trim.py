"""Giving memory back to the system, after much was allocated and freed.

glibc keeps what is freed between pieces that are still in use, and a thread that allocates anew takes fresh memory from
an arena of its own: over 1,000 reloads, of which each leaves nothing behind, a daemon grew by a third. `malloc_trim(3)`
takes some milliseconds, in which other threads run. Other C libraries have no such function, and need none.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Callable


def give_back() -> None:
    """Give back what is free. Blocks, but other threads run."""
    _find_trim()(0)


@cache
def _find_trim() -> Callable[[int], object]:
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError):
        return lambda _left: None
    trim.argtypes = [ctypes.c_size_t]
    return cast("Callable[[int], object]", trim)
