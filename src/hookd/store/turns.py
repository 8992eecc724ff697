"""Whose turn it is: how the room that a caller has is shared among webhooks with due deliveries.

Rules of this module:

1. Nobody is served twice before everybody was served once: each webhook gets an equal share of the room, and what
   a webhook does not use goes round again. A webhook with a million due deliveries delays another one by its share.
2. The round goes on where the last one stopped, so that a room smaller than the number of webhooks reaches all.
3. Every store shares by the same rule, so that the memory store tells what SQLite does.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Take(Protocol[T_co]):
    """How a store takes deliveries."""

    def __call__(self, key: int, n: int, /) -> Sequence[T_co] | None:
        """Take up to `n` more due deliveries of a webhook, oldest due first. None: stop, the bytes are used up."""


def take_turns(room: Mapping[int, int], total: int, last: int, take: Take[T]) -> tuple[list[T], int]:
    """Share `total` among the webhooks of `room` (by key: how many it can hold), beginning after key `last`.

    Gives what was taken, in the order of taking, and the key to go on after.
    """
    keys = sorted(key for key, n in room.items() if n > 0)
    start = bisect_right(keys, last)
    turns = keys[start:] + keys[:start]
    left = dict(room)
    taken: list[T] = []
    while turns and total > 0:
        share = max(1, total // len(turns))
        hungry: list[int] = []
        for key in turns:
            n = min(share, left[key], total)
            if n == 0:
                break
            got = take(key, n)
            if got is None:  # this webhook is the first of the next round
                return taken, key - 1
            taken += got
            total -= len(got)
            left[key] -= len(got)
            last = key
            if len(got) == n and left[key] > 0:
                hungry.append(key)
        turns = hungry
    return taken, last
