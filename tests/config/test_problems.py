"""Problems: how they are ordered, and what was meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hookd.config.problems import CODES, ConfigInvalid, Problem, did_you_mean
from hookd.core.config import Place
from tests.config.trees import problems_of

if TYPE_CHECKING:
    from pathlib import Path


def at(line: int, column: int, file: str = "hookd.yaml") -> Place:
    return Place(file=file, line=line, column=column)


def test_problems_are_ordered_and_stand_once() -> None:
    late, early = Problem(at(9, 1), "late", "tag"), Problem(at(2, 7), "early", "tag")
    other = Problem(at(1, 1, "other.yaml"), "other", "tag")
    invalid = ConfigInvalid([late, other, early, late])
    assert invalid.problems == (early, late, other)
    assert str(invalid) == "hookd.yaml:2:7: early\nhookd.yaml:9:1: late\nother.yaml:1:1: other"


def test_a_mistyped_key_of_an_anchor_is_told_once(tmp_path: Path) -> None:
    main = "version: 1\nx-slow: &slow\n  timout: 9s\nwebhooks:\n"
    for name in ("a", "b", "c"):
        main += f"  {name}: {{<<: *slow, url: 'https://example.com/', events: [x]}}\n"
    problems = problems_of(tmp_path, main=main + "  d: {timout: 9s, url: 'https://example.com/', events: [x]}\n")
    assert [(problem.code, problem.hint, problem.place.line, problem.place.column) for problem in problems] == [
        ("unknown_key", "timeout", 3, 3),
        ("unknown_key", "timeout", 8, 7),
    ]


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
