"""The breaker: what weighs, when it opens, for how long, and what closes it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hookd.core.breaker import CLOSED, FIRST, LONGEST, OURS, SETTLED, SPREAD, WINDOW, Breaker, fails, open_for, weigh
from hookd.core.model import Cause, NoResponse, Response

NOW = 1_800_000_000_000


def run(outcomes: str, breaker: Breaker = CLOSED) -> Breaker:
    """Weigh outcomes, `x` a failure and `.` a success, all at the same instant."""
    for outcome in outcomes:
        breaker = weigh(breaker, failed=outcome == "x", now=NOW)
    return breaker


def length(breaker: Breaker, now: int = NOW) -> float:
    assert breaker.open_until is not None
    return (breaker.open_until - now) / 1000


@pytest.mark.parametrize("status", range(100, 600))
def test_every_status_weighs_or_does_not(status: int) -> None:
    assert fails(Response(status=status)) is (status in {408, 429} or status >= 500)


@pytest.mark.parametrize("cause", Cause)
def test_every_way_of_getting_no_response_weighs_unless_it_was_ours(cause: Cause) -> None:
    expected = None if cause in OURS else True
    assert fails(NoResponse(cause=cause, detail="", sent=False)) is expected
    assert fails(NoResponse(cause=cause, detail="", sent=True)) is expected


def test_what_is_ours_is_what_never_left_us_for_a_fault_of_ours() -> None:
    assert {str(cause) for cause in OURS} == {
        "render_failed",
        "body_schema",
        "secret_unreadable",
        "request_invalid",
        "internal",
    }


@pytest.mark.parametrize(
    ("outcomes", "opens"),
    [
        ("xxxx", False),
        ("xxxxx", True),
        ("xxxx.xxxx", False),
        (".xxxxx", True),
        ("x." * 9, False),  # half, but not of 20
        ("x." * 9 + ".x", True),
        ("x.." * 20, False),
        ("." * 100, False),
        ("." * 100 + "xxxxx", True),
    ],
)
def test_it_opens_after_five_in_a_row_or_half_of_twenty(outcomes: str, opens: bool) -> None:  # noqa: FBT001  a table
    breaker = run(outcomes)
    assert (breaker.open_until is not None) is opens
    if opens:
        assert (breaker.opened, length(breaker)) == (1, FIRST)


def test_it_is_open_for_30_s_and_twice_as_long_each_time_up_to_15_minutes() -> None:
    breaker, now, lengths = run("xxxxx"), NOW, []
    for _ in range(40):
        lengths.append(length(breaker, now))
        assert breaker.open_until is not None
        now = breaker.open_until
        breaker = weigh(breaker, failed=True, now=now)
    assert lengths == [30, 60, 120, 240, 480] + [900] * 35


def test_failures_in_flight_when_it_opened_teach_nothing_and_a_success_shows_that_it_was_chance() -> None:
    breaker = run("xxxxx")
    assert run("xxx", breaker) is breaker
    assert run("xxx.", breaker) == CLOSED
    half = run("x." * 10 + "x")
    assert half.open_until is not None
    assert run("xx..", half) is half
    assert breaker.open_until is not None
    probed = weigh(breaker, failed=True, now=breaker.open_until)
    assert weigh(probed, failed=False, now=breaker.open_until + 1) is probed


def test_a_probe_that_succeeds_closes_it_and_one_that_fails_opens_it_for_longer() -> None:
    breaker = run("xxxxx")
    assert breaker.open_until is not None
    again = weigh(breaker, failed=True, now=breaker.open_until)
    assert (again.opened, length(again, breaker.open_until)) == (2, 60)
    assert again.open_until is not None
    assert weigh(again, failed=False, now=again.open_until) == Breaker(opened=2)


def test_a_probe_with_the_same_delivery_again_does_not_double_the_time() -> None:
    breaker = run("xxxxx")
    for _ in range(10):
        assert breaker.open_until is not None
        now = breaker.open_until
        breaker = weigh(breaker, failed=True, now=now, repeated=True)
        assert (breaker.opened, length(breaker, now)) == (1, FIRST)


def test_falling_over_again_soon_lasts_longer_and_settling_forgets() -> None:
    closed = Breaker(opened=3)
    assert length(run("." * (SETTLED - 6) + "xxxxx", closed)) == 240
    assert length(run("." * SETTLED + "xxxxx", closed)) == FIRST
    assert run("." * WINDOW, closed) is CLOSED


@pytest.mark.parametrize(("jitter", "seconds"), [(-1.0, 27.0), (0.0, 30.0), (1.0, 33.0)])
def test_jitter_spreads_what_fell_together(jitter: float, seconds: float) -> None:
    assert length(weigh(run("xxxx"), failed=True, now=NOW, jitter=jitter)) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("open_until", "seconds"),
    [
        (None, 0.0),
        (NOW - 1, 0.0),
        (NOW, 0.0),
        (NOW + 1, 0.001),
        (NOW + 900_000, 900.0),
        (NOW + 86_400_000, 0.0),  # a clock was wrong
    ],
)
def test_how_long_it_is_open(open_until: int | None, seconds: float) -> None:
    assert open_for(open_until, NOW) == seconds


@given(
    steps=st.lists(
        st.tuples(st.booleans(), st.integers(0, 1_000_000), st.booleans(), st.floats(-1, 1)), min_size=1, max_size=80
    )
)
@settings(max_examples=200)
def test_whatever_happens_it_opens_only_by_a_failure_and_never_for_longer_than_it_may(
    steps: list[tuple[bool, int, bool, float]],
) -> None:
    breaker, now = CLOSED, NOW
    for failed, passed, repeated, jitter in steps:
        now += passed
        after = weigh(breaker, failed=failed, now=now, repeated=repeated, jitter=jitter)
        if after.open_until is not None and after.open_until != breaker.open_until:
            assert failed
            assert FIRST * (1 - SPREAD) <= length(after, now) <= LONGEST * (1 + SPREAD)
            assert 0 < after.opened <= breaker.opened + 1
        if not failed and breaker.open_until is not None and breaker.open_until <= now:
            assert after.open_until is None
        assert after.recent.bit_count() <= after.seen <= WINDOW
        breaker = after
