"""Every status and every cause, judged; every form of Retry-After, read."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hookd.core.config import STANDARD_SCHEDULE, RetryPolicy
from hookd.core.model import Cause, Dead, Delivered, NoResponse, Outcome, Response, RetryAt, Verdict
from hookd.core.retry import PAUSE_CAP, classify, decide, parse_retry_after, pause_of

NOW = int(datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC).timestamp() * 1000)
POLICY = RetryPolicy(schedule=(5.0, 300.0), jitter=0.2)

NO_RESPONSE = [
    NoResponse(cause=cause, detail="why", sent=sent)
    for causes, sent in (
        (
            (
                Cause.DNS,
                Cause.CONNECT_REFUSED,
                Cause.CONNECT_TIMEOUT,
                Cause.CONNECT_FAILED,
                Cause.TLS,
                Cause.BLOCKED_ADDRESS,
                Cause.RENDER_FAILED,
                Cause.BODY_SCHEMA,
                Cause.SECRET_UNREADABLE,
                Cause.REQUEST_INVALID,
            ),
            False,
        ),
        ((Cause.TIMEOUT, Cause.RESET, Cause.RESPONSE_MALFORMED, Cause.INTERNAL), True),
    )
    for cause in causes
]


def judge(
    outcome: Outcome,
    *,
    policy: RetryPolicy = POLICY,
    attempt: int = 1,
    aging_since: int = NOW,
    once: bool = False,
    jitter: float = 0.0,
) -> Verdict:
    return decide(policy, attempt, outcome, aging_since=aging_since, once=once, now=NOW, jitter=jitter)


def retry(seconds: float) -> RetryAt:
    return RetryAt(due_at=NOW + round(seconds * 1000))


@pytest.mark.parametrize("status", range(100, 600))
def test_every_status_has_its_word_cause_and_verdict(status: int) -> None:
    response = Response(status=status)
    if 200 <= status <= 299:
        assert classify(response) == ("delivered", None)
        assert judge(response) == Delivered()
        assert judge(response, once=True) == Delivered()
        assert judge(response, policy=RetryPolicy(schedule=())) == Delivered()
        return
    cause = Cause.GONE if status == 410 else Cause.REDIRECT if 300 <= status <= 399 else Cause.STATUS
    assert classify(response) == ("rejected", cause)
    assert judge(response) == retry(5)
    assert judge(response, attempt=2) == retry(300)
    # What is gone is held with its webhook, on the last step too: see the next test.
    assert status == 410 or judge(response, attempt=3) == Dead(cause=Cause.EXHAUSTED)
    assert judge(response, once=True) == Dead(cause=Cause.TEST)
    assert judge(response, policy=RetryPolicy(permanent=frozenset({status}))) == Dead(cause=Cause.PERMANENT)


def test_410_holds_what_another_status_would_end() -> None:
    gone = Response(status=410)
    assert judge(gone, attempt=3) == retry(300)
    assert judge(gone, attempt=99) == retry(300)
    assert judge(gone, policy=RetryPolicy(schedule=())) == retry(0)
    assert judge(gone, policy=RetryPolicy(schedule=(5.0,), jitter=0.0, max_age=1.0)) == retry(5)
    assert judge(Response(status=410, headers=(("webhook-delivery", "abort-message"),))) == Dead(cause=Cause.ABORTED)


@pytest.mark.parametrize("outcome", NO_RESPONSE, ids=lambda outcome: outcome.cause)
def test_every_cause_without_a_response_is_tried_again(outcome: NoResponse) -> None:
    assert classify(outcome) == ("unknown" if outcome.sent else "not_sent", outcome.cause)
    assert judge(outcome) == retry(5)
    assert judge(outcome, attempt=3) == Dead(cause=Cause.EXHAUSTED)
    assert judge(outcome, once=True) == Dead(cause=Cause.TEST)


@pytest.mark.parametrize(
    ("status", "headers", "verdict"),
    [
        (500, (("webhook-delivery", "abort-message"),), Dead(cause=Cause.ABORTED)),
        (404, (("webhook-delivery", " Abort-Message "),), Dead(cause=Cause.ABORTED)),
        (404, (("webhook-delivery", "other, abort-message"),), Dead(cause=Cause.ABORTED)),
        (500, (("webhook-delivery", 'Abort-Message; reason="gone, for good"'),), Dead(cause=Cause.ABORTED)),
        (500, (("webhook-delivery", "other;abort-message"),), retry(5)),
        (500, (("x-other", "abort-message"),), retry(5)),
        (500, (("webhook-delivery", "abort-message-not"),), retry(5)),
        (500, (("webhook-delivery", ""),), retry(5)),
        (200, (("webhook-delivery", "abort-message"),), Delivered()),
    ],
)
def test_a_receiver_may_end_a_delivery_that_failed(
    status: int, headers: tuple[tuple[str, str], ...], verdict: Verdict
) -> None:
    assert judge(Response(status=status, headers=headers)) == verdict


@pytest.mark.parametrize(("jitter", "seconds"), [(-1.0, 4.0), (-0.5, 4.5), (0.0, 5.0), (1.0, 6.0)])
def test_jitter_moves_a_delay_by_at_most_its_share(jitter: float, seconds: float) -> None:
    assert judge(Response(status=500), jitter=jitter) == retry(seconds)


def test_jitter_of_one_is_never_before_now() -> None:
    assert judge(Response(status=500), policy=RetryPolicy(schedule=(5.0,), jitter=1.0), jitter=-1.0) == retry(0)


@pytest.mark.parametrize(
    ("age_s", "verdict"),
    [(0, retry(5)), (55, retry(5)), (56, Dead(cause=Cause.EXPIRED)), (9_999, Dead(cause=Cause.EXPIRED))],
)
def test_a_retry_that_would_be_too_old_is_not_planned(age_s: int, verdict: Verdict) -> None:
    policy = RetryPolicy(schedule=(5.0,), jitter=0.0, max_age=60.0)
    assert judge(Response(status=500), policy=policy, aging_since=NOW - age_s * 1000) == verdict


def test_the_schedule_is_followed_step_by_step() -> None:
    policy = RetryPolicy(jitter=0.0)
    steps = [judge(Response(status=503), policy=policy, attempt=attempt) for attempt in range(1, 11)]
    assert steps == [*(retry(delay) for delay in STANDARD_SCHEDULE), Dead(cause=Cause.EXHAUSTED)]


def test_retry_after_does_not_change_the_schedule() -> None:
    assert judge(Response(status=429, headers=(("retry-after", "3600"),))) == retry(5)


@given(
    attempt=st.integers(1, 10_000),
    schedule=st.lists(st.floats(0, 86_400 * 365), max_size=12),
    share=st.floats(0, 1),
    jitter=st.floats(-1, 1),
    max_age=st.none() | st.floats(0, 86_400 * 365),
    outcome=st.sampled_from(
        [*NO_RESPONSE, Response(status=410), *(Response(status=status) for status in range(200, 600, 7))]
    ),
)
@settings(max_examples=200)
def test_no_verdict_lies_in_the_past_or_beyond_its_bounds(  # noqa: PLR0917  given by name
    attempt: int, schedule: list[float], share: float, jitter: float, max_age: float | None, outcome: Outcome
) -> None:
    policy = RetryPolicy(schedule=tuple(schedule), jitter=share, max_age=max_age)
    verdict = judge(outcome, policy=policy, attempt=attempt, jitter=jitter)
    if isinstance(verdict, RetryAt):
        gone = isinstance(outcome, Response) and outcome.status == 410
        delay = (schedule or [0])[-1] if gone and attempt > len(schedule) else schedule[attempt - 1]
        assert verdict.due_at >= NOW
        assert abs(verdict.due_at - NOW - delay * 1000) <= delay * share * 1000 + 1
        assert gone or max_age is None or verdict.due_at <= NOW + max_age * 1000
    else:
        assert isinstance(verdict, Delivered) or verdict.cause in {Cause.EXHAUSTED, Cause.EXPIRED}


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 120\t", 120.0),
        ("007", 7.0),
        ("1.5", 1.5),
        ("86400", 86_400.0),
        ("86401", PAUSE_CAP),
        ("9" * 400, PAUSE_CAP),
        ("Sun, 01 Mar 2026 12:00:30 GMT", 30.0),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0.0),
        ("Sun, 01 Mar 2026 11:59:60 GMT", 0.0),
        ("Mon, 01 Mar 2027 12:00:00 GMT", PAUSE_CAP),
        ("Wed, 31 Dec 9999 23:59:60 GMT", PAUSE_CAP),
        ("Sunday, 01-Mar-26 12:01:00 GMT", 60.0),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 0.0),
        ("Sun Mar  1 12:02:00 2026", 120.0),
    ],
)
def test_retry_after_is_read(value: str, seconds: float) -> None:
    assert parse_retry_after(value, NOW) == seconds


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "-1",
        "+1",
        "1e3",
        "1.",
        ".5",
        "1,5",
        "0x10",
        "inf",
        "nan",
        "soon",
        "12 s",
        "120\n",
        "١٢",
        "²",
        "9" * 5000,
        "Sun, 30 Feb 2026 12:00:00 GMT",
        "Sun, 01 Mar 2026 25:00:00 GMT",
        "Sun, 01 Mar 2026 12:00:30 PST",
        "Sun, 01 Mar 2026 12:00:30 +0100",
        "Sun, 01 Foo 2026 12:00:30 GMT",
        "Sun, 01 Mar 0000 12:00:30 GMT",
        "2026-03-01T12:00:30Z",
        "Sun, 01 Mar 2026 12:00:61 GMT",
    ],
)
def test_junk_is_no_retry_after(value: str) -> None:
    assert parse_retry_after(value, NOW) is None


@given(st.text(max_size=60))
@settings(max_examples=200)
def test_no_text_breaks_retry_after(value: str) -> None:
    seconds = parse_retry_after(value, NOW)
    assert seconds is None or 0 <= seconds <= PAUSE_CAP


@given(st.integers(-PAUSE_CAP.__int__(), PAUSE_CAP.__int__() * 2))
def test_dates_agree_with_the_standard_library(ahead: int) -> None:
    date = datetime.fromtimestamp(NOW / 1000 + ahead, tz=UTC)
    assert parse_retry_after(format_datetime(date, usegmt=True), NOW) == min(max(0.0, float(ahead)), PAUSE_CAP)


@pytest.mark.parametrize(
    ("outcome", "seconds"),
    [
        (Response(status=429, headers=(("retry-after", "7"),)), 7.0),
        (Response(status=503, headers=(("date", "x"), ("retry-after", "7"))), 7.0),
        (Response(status=503), None),
        (Response(status=503, headers=(("retry-after", "junk"),)), None),
        (Response(status=500, headers=(("retry-after", "7"),)), None),
        (Response(status=200, headers=(("retry-after", "7"),)), None),
        (NoResponse(cause=Cause.TIMEOUT, detail="", sent=True), None),
    ],
)
def test_only_429_and_503_pause_a_webhook(outcome: Outcome, seconds: float | None) -> None:
    assert pause_of(outcome, NOW) == seconds
