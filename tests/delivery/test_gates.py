"""Gates: when the next one opens, on a clock that goes on between two looks at it."""

from __future__ import annotations

from hookd.delivery.gates import RECHECK, Gates
from hookd.delivery.health import FOREVER
from hookd.delivery.lane import Lane


class Clock:
    """A clock that shows what it is told to, one reading after another; the last one stays."""

    def __init__(self, *readings: float) -> None:
        self.readings = list(readings)

    def __call__(self) -> float:
        return self.readings.pop(0) if len(self.readings) > 1 else self.readings[0]


def test_a_gate_that_opens_between_two_looks_at_the_clock_opens_now() -> None:
    told: list[None] = []
    clock = Clock(0.0)
    gates = Gates(clock, lambda: told.append(None))
    gates.shut(Lane("w"), 1.0)
    assert told == [None]
    # Popping finds it shut, a hair before its time; when asked how long that is, its time has come.
    clock.readings = [0.999_999, 1.000_001, 2.0]
    assert gates.pop() is None
    assert gates.opens_in() == 0.0
    lane = gates.pop()
    assert lane is not None
    assert lane.id == "w"
    assert not lane.waiting


def test_the_next_gate_is_told_and_none_is_never() -> None:
    clock = Clock(5.0)
    gates = Gates(clock, lambda: None)
    assert gates.opens_in() == FOREVER
    gates.shut(Lane("late"), 1000.0)
    assert gates.opens_in() == RECHECK  # the wall clock may jump meanwhile
    gates.shut(Lane("soon"), 0.25)
    assert gates.opens_in() == 0.25
    gates.shut(Lane("never"), FOREVER)
    clock.readings = [5.25]
    soon = gates.pop()
    assert soon is not None
    assert soon.id == "soon"
    assert gates.pop() is None
