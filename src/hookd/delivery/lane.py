"""One lane: the deliveries of one webhook that are in memory, and what they weigh.

Rules of this module:

1. A lane is a record. Only `Lanes` and its `Slots` change it, so that sums over all lanes stay true.
2. The weight of a claim is its data and what stands around it; events without data weigh something too.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hookd.core.schedule import Bucket

if TYPE_CHECKING:
    from hookd.core.config import Webhook
    from hookd.core.model import Claim
    from hookd.delivery.request import Preparation

#: What a claim weighs beside its data: the objects around it, as measured (about 1 KiB in CPython 3.11).
CLAIM_WEIGHT: Final = 1024
#: For how many seconds a success vouches for a webhook, and for how many of its timeouts at least: a receiver that
#: may take minutes is not doubted after one.
PROVEN: Final = 60.0
PROVEN_TIMEOUTS: Final = 2.0


def weigh(claim: Claim) -> int:
    """Give the bytes that a claim takes in memory."""
    data = claim.event.data
    return CLAIM_WEIGHT if data is None else CLAIM_WEIGHT + len(data)


class Lane:
    """The deliveries of one webhook that are in memory. Only `Lanes` changes it."""

    __slots__ = (
        "allowance",
        "aside",
        "bucket",
        "claims",
        "concurrency",
        "fingerprint",
        "flying",
        "group",
        "id",
        "offered",
        "preparation",
        "probed",
        "proven_at",
        "proven_for",
        "queued",
        "raised",
        "short",
        "trial",
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
        self.allowance = 1  # how many slots it may have by now
        self.raised = 0  # successes since the allowance was raised
        self.proven_at = float("-inf")  # the last success
        self.proven_for = 0.0  # for how many seconds it vouches
        self.trial = False  # its attempt in flight counts among those of the unproven
        self.aside = 0  # its ticket while it stands aside, waiting for more slots to be free
        self.probed: str | None = None  # the delivery whose failure closed the gate last
        self.fingerprint: str | None = None  # of the definition that it was made for
        self.bucket: Bucket | None = None
        self.weight = 0  # of what waits and of what is in flight
        self.queued = False  # waits for a turn
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


def is_proven(lane: Lane, clock: float) -> bool:
    """Whether its last success is recent enough to vouch for it."""
    return clock - lane.proven_at <= lane.proven_for


def take_probe(lane: Lane) -> Claim:
    """Take the delivery that is to ask whether an endpoint is back.

    It is the one that was attempted least, but not the one whose failure closed the gate, if there is another.
    """
    others = [claim for claim in lane.claims if claim.delivery_id != lane.probed]
    probe = min(others or lane.claims, key=lambda claim: claim.attempts)
    lane.claims.remove(probe)
    return probe


def adopt_definition(lane: Lane, webhook: Webhook, clock: float, *, idle: float) -> bool:
    """Take over what a definition says; tell whether the requests are others than before.

    `idle`: for how many seconds nothing was sent, as far as is known.
    """
    lane.group = webhook.tenant
    lane.concurrency = webhook.concurrency
    lane.proven_for = max(PROVEN, PROVEN_TIMEOUTS * webhook.timeout)
    if webhook.rate is None:
        lane.bucket = None
    elif lane.bucket is None:
        lane.bucket = Bucket(webhook.rate, clock, idle=idle)
    elif lane.bucket.rate != webhook.rate:
        lane.bucket.change(webhook.rate, clock)
    changed = lane.fingerprint != webhook.fingerprint
    lane.fingerprint = webhook.fingerprint
    return changed
