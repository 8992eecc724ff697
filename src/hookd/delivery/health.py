"""What an attempt teaches about its webhook: the one place where a `WebhookState` comes from an outcome.

Rules of this module:

1. `learn` is pure: state and outcome in, state out. Who keeps states and tells the store is the dispatcher.
2. A 410 suspends (RFC 9110 section 15.5.11: gone, likely for good), and so does `suspend_after` of failures without a
   success between. A suspension ends by a person or by another definition, never by a late success.
3. 429 and 503 with a Retry-After pause the webhook. A pause only grows: the answers of requests that were in flight
   together come in any order, and the longest wish is the one to keep.
4. A mistake of ours (`internal`) and a test say nothing about the receiver.
5. A healthy webhook's success is worth a row only every `SUCCESS_NOTED_MS`: what changes then is one time stamp.
6. The breaker decides by itself (`core.breaker`); its `open_until` and `opened` stand in the state, to be kept.
7. A pause or an opening that ends later than any can last was written by a clock that was wrong: nobody waits for it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from hookd.core.breaker import open_for
from hookd.core.model import Cause, Response
from hookd.core.retry import GONE, PAUSE_CAP, classify, pause_of, succeeded

if TYPE_CHECKING:
    from hookd.core.breaker import Breaker
    from hookd.core.config import Webhook
    from hookd.core.model import Outcome, WebhookState

SUCCESS_NOTED_MS: Final = 10_000

#: `suspended_cause` of a webhook that answered 410, and of one that failed for `suspend_after`.
SUSPENDED_GONE: Final = "gone"
SUSPENDED_FAILING: Final = "failing"

FOREVER: Final = float("inf")


def has_gates(state: WebhookState) -> bool:
    """Whether there is anything in a state that may close a webhook: asked often, and without reading a clock."""
    return state.suspended_at is not None or state.paused_until is not None or state.open_until is not None


def closed_for(state: WebhookState | None, now: int) -> float:
    """Give the seconds until attempts of a webhook may start; 0: now; `FOREVER`: not before somebody resumes it."""
    if state is None:
        return 0.0
    if state.suspended_at is not None:
        return FOREVER
    wait = 0.0
    if state.paused_until is not None and state.paused_until > now:
        left = (state.paused_until - now) / 1000.0
        wait = left if left <= PAUSE_CAP else 0.0
    return wait if state.open_until is None else max(wait, open_for(state.open_until, now))


def idle_for(state: WebhookState | None, now: int) -> float:
    """Give the seconds since the last success that is known, which lags by up to `SUCCESS_NOTED_MS`; `FOREVER`: none.

    Nor does one that is still to come count: the clock was wrong.
    """
    last = None if state is None else state.last_success_at
    return FOREVER if last is None or last > now else (now - last) / 1000.0


def learn(webhook: Webhook, state: WebhookState, outcome: Outcome, now: int, breaker: Breaker) -> WebhookState:
    """Give the state after an outcome and what the breaker made of it; the very same object if nothing changed."""
    if succeeded(outcome):
        return _succeed(state, now, breaker)
    if isinstance(outcome, Response):
        error = f"status {outcome.status}"
    elif outcome.cause is Cause.INTERNAL:
        return state
    else:
        error = f"{outcome.cause}: {outcome.detail}" if outcome.detail else str(outcome.cause)
    since = now if state.failing_since is None else state.failing_since
    paused_until = state.paused_until
    pause = pause_of(outcome, now)
    if pause:
        paused_until = max(paused_until or 0, now + round(pause * 1000.0))
    suspended_at, suspended_cause = state.suspended_at, state.suspended_cause
    if suspended_at is None:
        if isinstance(outcome, Response) and outcome.status == GONE:
            suspended_at, suspended_cause = now, SUSPENDED_GONE
        elif webhook.suspend_after is not None and now - since >= webhook.suspend_after * 1000.0:
            suspended_at, suspended_cause = now, SUSPENDED_FAILING
    return replace(
        state,
        suspended_at=suspended_at,
        suspended_cause=suspended_cause,
        paused_until=paused_until,
        failing_since=since,
        failing_cause=classify(outcome)[1],
        failures=state.failures + 1,
        open_until=breaker.open_until,
        opened=breaker.opened,
        last_error=error,
    )


def _succeed(state: WebhookState, now: int, breaker: Breaker) -> WebhookState:
    healthy = state.failing_since is None and not state.failures
    same = state.opened == breaker.opened and state.open_until == breaker.open_until
    fresh = state.last_success_at is not None and 0 <= now - state.last_success_at < SUCCESS_NOTED_MS
    if healthy and same and fresh:
        return state
    return replace(
        state,
        failing_since=None,
        failing_cause=None,
        failures=0,
        last_success_at=now,
        open_until=breaker.open_until,
        opened=breaker.opened,
    )
