"""Turns go round among groups first; a bucket keeps its rate."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hookd.core.schedule import Bucket, Turns


def test_groups_take_turns_and_their_members_within() -> None:
    turns: Turns[str] = Turns()
    for group, member in (("a", "a1"), ("a", "a2"), ("a", "a3"), ("b", "b1"), (None, "n1")):
        turns.add(group, member)
    assert [turns.pop() for _ in range(6)] == ["a1", "b1", "n1", "a2", "a3", None]
    assert not turns


def test_a_busy_group_gets_no_more_than_a_lonely_one() -> None:
    turns: Turns[tuple[str, int]] = Turns()
    for number in range(1000):
        turns.add("crowd", ("crowd", number))
    turns.add("lonely", ("lonely", 0))
    served = []
    for _ in range(100):
        member = turns.pop()
        assert member is not None
        served.append(member[0])
        turns.add(member[0], member)
    assert served.count("lonely") == 50


@pytest.mark.parametrize(("rate", "burst"), [(50.0, 50), (1.0, 1), (0.05, 1), (2.5, 2)])
def test_a_bucket_lets_one_second_go_at_once_and_its_rate_after_that(rate: float, burst: int) -> None:
    bucket = Bucket(rate, now=0.0)
    for _ in range(burst):
        assert bucket.wait(0.0) == 0.0
        bucket.take()
    clock = 0.0
    for _ in range(100):
        clock += bucket.wait(clock)
        assert bucket.wait(clock) == 0.0  # a wait that was slept in full is the last one
        bucket.take()
    assert clock == pytest.approx(100 / rate, abs=1 / rate)


@given(st.floats(0.01, 1000), st.lists(st.floats(0, 10), max_size=50))
@settings(max_examples=100)
def test_no_window_of_time_has_more_than_its_share(rate: float, pauses: list[float]) -> None:
    bucket = Bucket(rate, now=0.0)
    taken: list[float] = []
    for clock in itertools.accumulate(pauses):
        while bucket.wait(clock) == 0.0 and len(taken) < 5000:
            bucket.take()
            taken.append(clock)
    for first in range(0, len(taken), 7):
        window = taken[-1] - taken[first]
        assert len(taken) - first <= max(1.0, rate) + window * rate + 1e-3


@pytest.mark.parametrize(("rate", "idle", "wait"), [(1 / 60, 10.0, 50.0), (1 / 60, 60.0, 0.0), (10.0, 0.05, 0.05)])
def test_a_new_bucket_holds_what_has_gathered_since_the_last_request(rate: float, idle: float, wait: float) -> None:
    assert Bucket(rate, 1000.0, idle=idle).wait(1000.0) == pytest.approx(wait)
    full = Bucket(rate, 1000.0, idle=1e9)
    assert full.full(1000.0)
    assert full.burst == max(1.0, rate)


def test_a_changed_rate_keeps_what_was_used() -> None:
    bucket = Bucket(10.0, now=0.0)
    for _ in range(10):
        bucket.take()
    bucket.change(1.0, now=0.0)
    assert bucket.wait(0.0) == pytest.approx(1.0)
    assert not bucket.full(0.5)
    assert bucket.full(1.0)
