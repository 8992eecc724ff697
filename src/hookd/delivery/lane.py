"""One lane: the deliveries of one webhook that are in memory, and what they weigh.

Rules of this module:

1. A lane is a record. Only `Lanes` changes it, so that sums over all lanes stay true.
2. The weight of a claim is its data and what stands around it; events without data weigh something too.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from hookd.core.config import Webhook
    from hookd.core.model import Claim
    from hookd.core.schedule import Bucket
    from hookd.delivery.request import Preparation

#: What a claim weighs beside its data: the objects around it, as measured (about 1 KiB in CPython 3.11).
CLAIM_WEIGHT: Final = 1024


def weigh(claim: Claim) -> int:
    """Give the bytes that a claim takes in memory."""
    data = claim.event.data
    return CLAIM_WEIGHT if data is None else CLAIM_WEIGHT + len(data)


class Lane:
    """The deliveries of one webhook that are in memory. Only `Lanes` changes it."""

    __slots__ = (
        "bucket",
        "claims",
        "concurrency",
        "flying",
        "group",
        "id",
        "offered",
        "preparation",
        "queued",
        "short",
        "triggers",
        "triggers_of",
        "waiting",
        "weight",
    )

    def __init__(self, webhook_id: str) -> None:
        self.id = webhook_id
        self.group: str | None = None
        self.claims: deque[Claim] = deque()
        self.flying = 0
        self.concurrency = 1
        self.bucket: Bucket | None = None
        self.weight = 0  # of what waits and of what is in flight
        self.queued = False  # stands in the ring of turns
        self.waiting = False  # stands in the heap of gates
        self.short = False  # the store may hold more that is due
        self.offered: int | None = None  # the room that was named to the store, if less than all
        self.preparation: Preparation | None = None
        self.triggers: dict[str, bool] = {}  # which event types it listens to, as far as asked
        self.triggers_of: Webhook | None = None  # the definition that said so

    @property
    def held(self) -> int:
        """How many deliveries it holds."""
        return len(self.claims) + self.flying


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """How many deliveries wait in memory, and how many are being attempted."""

    queued: int
    in_flight: int
