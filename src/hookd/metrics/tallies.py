"""What is counted while deliveries flow: plain numbers, by the batch.

Rules of this module:

1. Nothing here knows prometheus-client, whose counters cost microseconds and a lock each. A recorded batch is walked
   once; an attempt costs about half a microsecond.
2. A test that a person sends is an attempt like any other, and no delivery of the backlog.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Final, get_args

from hookd.core.counting import Names, Spread
from hookd.core.model import AttemptOutcome, Dead, Delivered
from hookd.metrics.names import DURATION_BOUNDS, LAG_BOUNDS, MOST_WEBHOOKS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from hookd.core.model import Result

OUTCOMES: Final[tuple[AttemptOutcome, ...]] = get_args(AttemptOutcome)


class Ends:
    """What became of one webhook's attempts and deliveries since the start."""

    __slots__ = ("dead", "delivered", "outcomes")

    def __init__(self) -> None:
        self.outcomes = dict.fromkeys(OUTCOMES, 0)
        self.delivered = 0
        self.dead = 0


class Tallies:
    """The counts of a run. One task counts; whoever reads may be another thread."""

    def __init__(self, webhooks: Iterable[str] = ()) -> None:
        self.names = Names(MOST_WEBHOOKS, webhooks)
        self.ends: dict[str, Ends] = {}
        self.durations = {outcome: Spread(DURATION_BOUNDS) for outcome in OUTCOMES}
        self.causes: dict[str, int] = {}
        self.lag = Spread(LAG_BOUNDS)
        self.applied = 0
        self.rejected = 0
        self.apply_s = 0.0

    def ends_of(self, webhook: str) -> Ends:
        """Give the counts of a webhook, or of those that share one."""
        label = self.names.label(webhook)
        ends = self.ends.get(label)
        if ends is None:
            ends = self.ends[label] = Ends()
        return ends

    def record(self, results: Sequence[Result]) -> None:
        """Count a batch of what was recorded."""
        durations, causes, known = self.durations, self.causes, self.ends
        for result in results:
            claim, attempt = result.claim, result.attempt
            ends = known.get(claim.webhook) or self.ends_of(claim.webhook)
            outcome = attempt.outcome
            ends.outcomes[outcome] += 1
            spread, seconds = durations[outcome], attempt.duration_ms * 0.001
            spread.counts[bisect_left(DURATION_BOUNDS, seconds)] += 1  # `Spread.add`, without its call
            spread.total += seconds
            if attempt.cause is not None:
                causes[attempt.cause] = causes.get(attempt.cause, 0) + 1
            if claim.once:
                continue
            ending = type(result.verdict)
            if ending is Delivered:
                ends.delivered += 1
            elif ending is Dead:
                ends.dead += 1

    def overflow(self, counts: Mapping[str, int]) -> None:
        """Count deliveries that were dead at once, since their webhook had too many."""
        for webhook, count in counts.items():
            self.ends_of(webhook).dead += count

    def keep(self, webhooks: Iterable[str]) -> None:
        """Forget webhooks that are gone for good."""
        for name in self.names.keep(webhooks):
            self.ends.pop(name, None)
