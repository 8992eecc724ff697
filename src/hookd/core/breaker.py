"""The breaker of a webhook: when an endpoint that is down is left alone, and how it is asked whether it is back.

Rules of this module:

1. What weighs is whether the endpoint works: no response, 408, 429 and 5xx say that it does not, every other status
   that it does (it is there and judges), and what never left us for a fault of ours says nothing.
2. It opens after `ROW` failures in a row, or when half of the last `WINDOW` outcomes were failures: for `FIRST`
   seconds, doubling from opening to opening up to `LONGEST`. Waiting costs a delivery no attempt.
3. When that time is over, one probe goes out. A success closes the breaker, a failure opens it anew. Failures that
   were still in flight when it opened teach nothing. A success among them shows that five in a row were chance, which
   they are now and then where one in ten fails: it closes a breaker that opened for the row alone.
4. A probe with the delivery that failed last proves no more than that delivery did: the time is not doubled for it.
   So a single body that an endpoint chokes on keeps others waiting for `FIRST` seconds at most.
5. How often it opened is forgotten after `SETTLED` outcomes without a further opening, not with the first success: an
   endpoint that falls over again as soon as traffic returns is given longer each time.
6. Time and randomness are arguments. Instants are milliseconds, lengths are seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hookd.core.model import Cause, Outcome, Response

ROW: Final = 5
WINDOW: Final = 20
FIRST: Final = 30.0
LONGEST: Final = 900.0
SETTLED: Final = 10
#: Each opening is up to this share longer or shorter, so that endpoints which fell together do not return together.
SPREAD: Final = 0.1

_IN_ROW: Final = (1 << ROW) - 1
_KEPT: Final = (1 << WINDOW) - 1
_REQUEST_TIMEOUT: Final = 408
_TOO_MANY: Final = 429
_SERVER_ERRORS: Final = range(500, 600)

#: Failures before anything was sent that the receiver has no part in, and mistakes of ours.
OURS: Final = frozenset(
    {
        Cause.RENDER_FAILED,
        Cause.BODY_SCHEMA,
        Cause.SECRET_UNREADABLE,
        Cause.REQUEST_INVALID,
        Cause.INTERNAL,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """What is remembered of a webhook's last outcomes. `open_until` and `opened` survive a restart."""

    recent: int = 0  # a bit for each outcome, 1 for a failure, the last one lowest
    seen: int = 0  # how many bits of `recent` count
    opened: int = 0  # how often in a row
    open_until: int | None = None  # until the probe after this instant has succeeded, it is not closed
    hasty: bool = False  # it is open for a row alone, while most of what is known succeeded


#: Of a webhook that nothing is held against.
CLOSED: Final = Breaker()


def fails(outcome: Outcome) -> bool | None:
    """Tell whether an outcome weighs against the endpoint (True) or for it (False); None: it says nothing."""
    if isinstance(outcome, Response):
        status = outcome.status
        return status in _SERVER_ERRORS or status in {_REQUEST_TIMEOUT, _TOO_MANY}
    return None if outcome.cause in OURS else True


def weigh(breaker: Breaker, *, failed: bool, now: int, repeated: bool = False, jitter: float = 0.0) -> Breaker:
    """Give the breaker after an outcome that says something; the very same one if nothing changed.

    `repeated`: the delivery is the one whose failure was counted last. `jitter` is uniform in [-1, 1].
    """
    if breaker.open_until is not None:
        if now < breaker.open_until:
            return breaker if failed or not breaker.hasty else Breaker(opened=breaker.opened - 1)
        if not failed:
            return Breaker(opened=breaker.opened)
        return _open(breaker.opened if repeated else breaker.opened + 1, now, jitter)
    recent = (breaker.recent << 1 | failed) & _KEPT
    seen = min(breaker.seen + 1, WINDOW)
    row = recent & _IN_ROW == _IN_ROW
    half = seen == WINDOW and recent.bit_count() * 2 >= WINDOW
    if failed and (row or half):
        return _open(breaker.opened + 1, now, jitter, hasty=not half)
    opened = 0 if seen >= SETTLED else breaker.opened
    if not recent and not opened:
        return CLOSED
    return Breaker(recent=recent, seen=seen, opened=opened)


def _open(opened: int, now: int, jitter: float, *, hasty: bool = False) -> Breaker:
    doublings = min(max(opened - 1, 0), 16)  # bounded, since the number of openings is not
    length = min(FIRST * 2.0**doublings, LONGEST) * (1.0 + SPREAD * jitter)
    return Breaker(opened=opened, open_until=now + round(length * 1000.0), hasty=hasty)


def open_for(open_until: int | None, now: int) -> float:
    """Give the seconds until a probe may go out; 0: now.

    An instant further ahead than any opening lasts was written by a clock that was wrong, and is not waited for.
    """
    if open_until is None or open_until <= now:
        return 0.0
    left = (open_until - now) / 1000.0
    return left if left <= LONGEST * (1.0 + SPREAD) else 0.0
