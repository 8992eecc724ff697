"""Working beside others: how long a thread rests for them, and that it never rests for long."""

from __future__ import annotations

import sys
import time

from hookd.config import beside
from hookd.config.beside import beside_others, give_way, giving_way_to


def measure() -> float:
    began = time.monotonic()
    give_way()
    return time.monotonic() - began


def test_nobody_rests_when_nobody_asked_or_is_busy() -> None:
    asked = []

    def busy() -> bool:
        asked.append(1)
        return False

    give_way()
    with giving_way_to(busy), beside_others():
        give_way()
    give_way()
    assert len(asked) == 1


def test_one_rests_until_the_others_are_done() -> None:
    left = 3

    def busy() -> bool:
        nonlocal left
        left -= 1
        return left >= 0

    with giving_way_to(busy), beside_others():
        give_way()
        assert left == -1
        assert beside._Others.left < beside.REST_LITTLE_S


def test_one_rest_and_all_rests_of_a_load_are_bounded() -> None:
    with giving_way_to(lambda: True):
        for _ in range(2):
            with beside_others():
                began = time.monotonic()
                for _ in range(10_000):
                    give_way()
                assert beside._Others.left <= 0
                # Ten thousand rests of 3 ms would take half a minute.
                assert time.monotonic() - began < 10
    assert measure() < 1


def test_the_switch_interval_is_what_it_was_before() -> None:
    before = sys.getswitchinterval()
    with beside_others(), beside_others():
        assert sys.getswitchinterval() < before
    assert sys.getswitchinterval() == before
