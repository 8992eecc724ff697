"""What a reload has around it: the reference that it swaps, whom it asks, and whom it tells.

Rule: a reload knows nobody by name. What it asks of the store and of the log's readers is given to it as functions.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

    from hookd.config.reload.lastgood import Keeper
    from hookd.core.config import Config, NotMoved


class LiveConfig:
    """The running config: one reference, swapped and never changed."""

    __slots__ = ("current",)

    def __init__(self, current: Config) -> None:
        self.current = current


async def _nobody() -> frozenset[str]:
    return frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a reload asks of others, and whom it tells.

    `rejected(revision, problems)` is told when the log is told that the files are refused, and the same. `pending`
    gives the webhooks that have pending deliveries. `keeper` keeps what is good. `now` is the wall clock in ms.
    `not_moved` are the moves that were refused at the start.
    """

    rejected: Callable[[str, Sequence[Mapping[str, object]]], None] | None = None
    pending: Callable[[], Awaitable[Collection[str]]] = _nobody
    keeper: Keeper | None = None
    now: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    not_moved: tuple[NotMoved, ...] = ()
