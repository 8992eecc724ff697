"""Problems: how they are ordered, and what was meant."""

from __future__ import annotations

import pytest

from hookd.config.problems import CODES, ConfigInvalid, Problem, did_you_mean
from hookd.core.config import Place


def at(line: int, column: int, file: str = "hookd.yaml") -> Place:
    return Place(file=file, line=line, column=column)


def test_problems_are_ordered_and_stand_once() -> None:
    late, early = Problem(at(9, 1), "late", "tag"), Problem(at(2, 7), "early", "tag")
    other = Problem(at(1, 1, "other.yaml"), "other", "tag")
    invalid = ConfigInvalid([late, other, early, late])
    assert invalid.problems == (early, late, other)
    assert str(invalid) == "hookd.yaml:2:7: early\nhookd.yaml:9:1: late\nother.yaml:1:1: other"


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("timout", "timeout"),
        ("max-pending", "max_pending"),
        ("MaxPending", "max_pending"),
        ("user", "username"),
        ("zzz", None),
        ("u", None),
    ],
)
def test_did_you_mean(word: str, meant: str | None) -> None:
    assert did_you_mean(word, ["timeout", "max_pending", "username"]) == meant


def test_each_code_says_what_it_means() -> None:
    for code, sentence in CODES.items():
        assert code.islower()
        assert sentence.endswith(".")
