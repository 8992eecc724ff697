"""What to do after an attempt: delivered, try again at a time, or dead.

Rules of this module:

1. 2xx is delivered, whatever else the response says. Everything else is a failure and is tried again on the schedule,
   also 4xx: receivers deploy, and a 404 of the morning is a 200 of the afternoon. What is never to be tried again is
   said by the webhook (`permanent`), or by the receiver (`webhook-delivery: abort-message`).
2. The schedule alone delays a delivery. A receiver's Retry-After pauses its webhook (`pause_of`), not this delivery,
   so waiting costs no attempt and a receiver cannot exhaust a schedule by asking us to wait.
3. 410 suspends the webhook and holds the delivery, on the last step too: nobody has looked yet at what is gone.
4. Age counts from `aging_since`, which leaves out the time that a delivery was held. A retry that would come later
   than `max_age` is not planned: the delivery is dead now, with that cause, rather than waiting for nothing.
5. Time and randomness are arguments. Nothing here overflows: an attempt past the schedule is simply past it.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from hookd.core.model import Cause, Dead, Delivered, Response, RetryAt

if TYPE_CHECKING:
    from hookd.core.config import RetryPolicy
    from hookd.core.model import AttemptOutcome, Outcome, Verdict

#: The longest pause a receiver may ask for, in seconds: longer is a mistake or an attempt to silence us.
PAUSE_CAP: Final = 86_400.0

#: Statuses whose Retry-After pauses the webhook (RFC 6585 section 4, RFC 9110 section 15.6.4).
PAUSING: Final = frozenset({429, 503})

#: RFC 9110 section 15.3 and 15.4.
SUCCESS: Final = range(200, 300)
REDIRECTION: Final = range(300, 400)
GONE: Final = 410

#: The header and word with which a receiver ends a delivery for good.
CONTROL_HEADER: Final = "webhook-delivery"
ABORT: Final = "abort-message"

# Delta-seconds (RFC 9110 section 10.2.3); a decimal fraction is no part of the RFC, but servers send it.
_SECONDS: Final = re.compile(r"([0-9]{1,400})(?:\.[0-9]{1,400})?", re.ASCII)

# The three forms of an HTTP date that a recipient must read (RFC 9110 section 5.6.7). The day's name is not judged.
_DATES: Final = (
    re.compile(
        r"[A-Z][a-z]{2}, (?P<day>\d\d) (?P<month>[A-Z][a-z]{2}) (?P<year>\d{4}) (?P<clock>\d\d:\d\d:\d\d) GMT", re.ASCII
    ),
    re.compile(
        r"[A-Z][a-z]{5,8}, (?P<day>\d\d)-(?P<month>[A-Z][a-z]{2})-(?P<year>\d\d) (?P<clock>\d\d:\d\d:\d\d) GMT",
        re.ASCII,
    ),
    re.compile(
        r"[A-Z][a-z]{2} (?P<month>[A-Z][a-z]{2}) (?P<day>[ \d]\d) (?P<clock>\d\d:\d\d:\d\d) (?P<year>\d{4})", re.ASCII
    ),
)
_MONTHS: Final = {
    name: number
    for number, name in enumerate(
        ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"), start=1
    )
}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LEAP_SECOND: Final = 60


def succeeded(outcome: Outcome) -> bool:
    """Whether the receiver took the delivery."""
    return isinstance(outcome, Response) and outcome.status in SUCCESS


def classify(outcome: Outcome) -> tuple[AttemptOutcome, Cause | None]:
    """Give the word for what came back, and the cause if it is a failure."""
    if isinstance(outcome, Response):
        status = outcome.status
        if status in SUCCESS:
            return "delivered", None
        if status == GONE:
            return "rejected", Cause.GONE
        if status in REDIRECTION:
            return "rejected", Cause.REDIRECT
        return "rejected", Cause.STATUS
    return ("unknown" if outcome.sent else "not_sent"), outcome.cause


def decide(
    policy: RetryPolicy,
    attempt: int,
    outcome: Outcome,
    *,
    aging_since: int,
    once: bool,
    now: int,
    jitter: float,
) -> Verdict:
    """Judge the attempt that was just made, number `attempt` (1 is the first).

    `aging_since` and `now` are milliseconds since the epoch; `jitter` is uniform in [-1, 1]. Of several causes of
    death the first of these is given: a test, the receiver's word, a permanent status, no step left, too old.
    """
    if succeeded(outcome):
        return DELIVERED
    response = outcome if isinstance(outcome, Response) else None
    if once:
        return Dead(cause=Cause.TEST)
    ended = None if response is None else _ended(policy, response)
    if ended is not None:
        return Dead(cause=ended)
    held = response is not None and response.status == GONE
    if attempt > len(policy.schedule) and not held:
        return Dead(cause=Cause.EXHAUSTED)
    delay = policy.schedule[min(attempt, len(policy.schedule)) - 1] if policy.schedule else 0.0
    due_at = now + max(0, round(delay * (1.0 + policy.jitter * jitter) * 1000.0))
    if policy.max_age is not None and not held and due_at > aging_since + policy.max_age * 1000.0:
        return Dead(cause=Cause.EXPIRED)
    return RetryAt(due_at=due_at)


def pause_of(outcome: Outcome, now: int) -> float | None:
    """Give the seconds for which a receiver asks the whole webhook to wait, or None: 429 or 503 with Retry-After."""
    if not isinstance(outcome, Response) or outcome.status not in PAUSING:
        return None
    for name, value in outcome.headers:
        if name == "retry-after":
            return parse_retry_after(value, now)
    return None


def parse_retry_after(value: str, now: int) -> float | None:
    """Read a Retry-After: seconds from `now` (milliseconds since the epoch), at least 0, at most `PAUSE_CAP`.

    Junk, a negative number too, is None: the header is then as if absent.
    """
    text = value.strip(" \t")
    if _SECONDS.fullmatch(text):
        return min(float(text), PAUSE_CAP)
    for form in _DATES:
        if match := form.fullmatch(text):
            return _seconds_until(match, now)
    return None


def _seconds_until(match: re.Match[str], now: int) -> float | None:
    moment = _EPOCH + timedelta(milliseconds=now)
    year = int(match["year"])
    if len(match["year"]) == 2:  # noqa: PLR2004  RFC 850's two digits
        # RFC 9110: a date that seems more than 50 years ahead is the past year with the same last two digits.
        year += moment.year // 100 * 100
        if year > moment.year + 50:
            year -= 100
    hour, minute, second = (int(part) for part in match["clock"].split(":"))
    leap = second == _LEAP_SECOND
    try:
        date = datetime(year, _MONTHS[match["month"]], int(match["day"]), hour, minute, second - leap, tzinfo=UTC)
        ahead = (date - moment).total_seconds() + leap
    except (ValueError, KeyError, OverflowError):
        return None
    return min(max(0.0, ahead), PAUSE_CAP)


def _ended(policy: RetryPolicy, response: Response) -> Cause | None:
    """Give why a failure is not to be tried again, by the receiver's word or the webhook's."""
    if response.headers and _aborts(response):
        return Cause.ABORTED
    return Cause.PERMANENT if response.status in policy.permanent else None


def _aborts(response: Response) -> bool:
    return any(
        name == CONTROL_HEADER
        # Parameters (RFC 9110 section 5.6.6) take nothing away from the word.
        and any(word.partition(";")[0].strip(" \t").lower() == ABORT for word in value.split(","))
        for name, value in response.headers
    )


#: The verdict of every success: one value, since it has no content.
DELIVERED: Final = Delivered()
