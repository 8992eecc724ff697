"""What is counted of recorded batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hookd.core.counting import OTHER
from hookd.core.model import Attempt, Cause, Claim, Dead, Delivered, Event, Result, RetryAt
from hookd.metrics.names import MOST_WEBHOOKS
from hookd.metrics.tallies import Tallies

if TYPE_CHECKING:
    from hookd.core.model import Verdict


def make_result(webhook: str, verdict: Verdict, *, once: bool = False) -> Result:
    good = isinstance(verdict, Delivered)
    event = Event(id="1", type="a")
    return Result(
        claim=Claim(lease=1, delivery_id="d", webhook=webhook, event=event, attempts=0, aging_since=0, once=once),
        attempt=Attempt(
            number=1,
            started_at=0,
            duration_ms=30.0,
            outcome="delivered" if good else "unknown",
            cause=None if good else Cause.TIMEOUT,
        ),
        verdict=verdict,
    )


def test_attempts_deliveries_causes_and_durations() -> None:
    tallies = Tallies(["crm"])
    tallies.record(
        [
            make_result("crm", Delivered()),
            make_result("crm", RetryAt(due_at=5)),
            make_result("crm", Dead(cause=Cause.EXHAUSTED)),
            make_result("crm", Dead(cause=Cause.TEST), once=True),
            make_result("shop", Delivered(), once=True),
        ]
    )
    crm, shop = tallies.ends["crm"], tallies.ends["shop"]
    assert crm.outcomes == {"delivered": 1, "rejected": 0, "not_sent": 0, "unknown": 3}
    assert (crm.delivered, crm.dead) == (1, 1)
    assert (shop.outcomes["delivered"], shop.delivered, shop.dead) == (1, 0, 0)
    assert tallies.causes == {"timeout": 3}
    assert sum(tallies.durations["unknown"].counts) == 3
    assert tallies.durations["delivered"].total == 0.06


def test_webhooks_beyond_the_bound_share_a_count() -> None:
    tallies = Tallies(f"w{number}" for number in range(MOST_WEBHOOKS))
    tallies.record(
        [make_result("late", Delivered()), make_result("later", Delivered()), make_result("w0", Delivered())]
    )
    assert tallies.ends[OTHER].delivered == 2
    assert tallies.ends["w0"].delivered == 1
    tallies.overflow({"late": 4, "w0": 1})
    assert (tallies.ends[OTHER].dead, tallies.ends["w0"].dead) == (4, 1)


def test_a_webhook_that_is_gone_is_forgotten() -> None:
    tallies = Tallies()
    tallies.record([make_result("a", Delivered()), make_result("b", Delivered())])
    tallies.keep(["b"])
    assert set(tallies.ends) == {"b"}
