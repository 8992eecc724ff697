"""Counting in plain numbers: where a value falls, and that names are bounded without any count falling."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hookd.core.counting import OTHER, Names, Spread


def test_a_value_falls_into_the_first_bucket_that_holds_it() -> None:
    spread = Spread((1.0, 5.0))
    for value in (0.0, 1.0, 1.1, 5.0, 5.1, 100.0):
        spread.add(value)
    assert spread.counts == [2, 2, 2]
    assert spread.total == 112.2


def test_a_copy_stays_as_it_was() -> None:
    spread = Spread((1.0,))
    spread.add(0.5)
    taken = spread.copy()
    spread.add(0.5)
    assert (taken.counts, taken.total, taken.bounds) == ([1, 0], 0.5, (1.0,))


def test_names_beyond_the_limit_are_one() -> None:
    names = Names(2, ["a"])
    assert [names.label(name) for name in ("b", "c", "a", "b", "d")] == ["b", OTHER, "a", "b", OTHER]
    assert (names.known("a"), names.known("c")) == (True, False)


def test_a_name_that_shared_a_count_does_not_leave_it_when_there_is_room_again() -> None:
    names = Names(1, ["a"])
    assert names.label("b") == OTHER
    assert names.keep(["b"]) == ["a"]
    assert names.label("b") == OTHER
    assert names.label("c") == "c"


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.booleans()), max_size=60), st.integers(0, 4))
def test_no_count_ever_falls_while_its_name_lives(steps: list[tuple[str, bool]], limit: int) -> None:
    names = Names(limit)
    counts: dict[str, int] = {}
    for name, look in steps:
        label = names.label(name)
        counts[label] = counts.get(label, 0) + 1
        if look:
            alive = {"a", "b", name}
            before = dict(counts)
            for gone in names.keep(alive):
                assert gone not in alive
                del counts[gone]
            assert {key: counts.get(key) for key in before if key in {*alive, OTHER}} == {
                key: before[key] for key in before if key in {*alive, OTHER}
            }
        assert len(counts) <= limit + 1
