"""Problems: how they are shown, ordered and masked."""

from __future__ import annotations

import pytest

from hookd.config.problems import CODES, ConfigInvalid, Problem, did_you_mean, mask_line, render_problems
from hookd.core.config import Place

TEXT = "version: 1\nwebhooks:\n  crm:\n    timout: 10s\n    timeout: 5s\n"


def at(line: int, column: int, file: str = "hookd.yaml") -> Place:
    return Place(file=file, line=line, column=column)


def test_a_problem_is_shown_with_its_line_and_a_caret() -> None:
    problem = Problem(at(4, 5), "webhook `crm` has no key `timout`", "unknown_key", "one of timeout", "timeout")
    assert str(problem) == "hookd.yaml:4:5: webhook `crm` has no key `timout`"
    assert render_problems([problem], {"hookd.yaml": TEXT}) == (
        "hookd.yaml:4:5: webhook `crm` has no key `timout`\n"
        "  4 |     timout: 10s\n"
        "    |     ^\n"
        "  did you mean `timeout`?\n"
    )


def test_both_places_of_a_problem_are_shown() -> None:
    problem = Problem(at(5, 5), "the key `timeout` stands twice", "duplicate_key", also=at(4, 5))
    shown = render_problems([problem], {"hookd.yaml": TEXT})
    assert "  5 |     timeout: 5s\n" in shown
    assert "  the other one: hookd.yaml:4:5\n  4 |     timout: 10s\n" in shown


def test_what_was_expected_is_shown_when_nothing_is_near() -> None:
    problem = Problem(at(1, 1), "auth has no key `token`", "unknown_key", "one of bearer, basic")
    assert render_problems([problem], {}) == (
        "hookd.yaml:1:1: auth has no key `token`\n  expected one of bearer, basic\n"
    )


@pytest.mark.parametrize("place", [at(99, 1), at(0, 0), at(1, 1, "other.yaml")])
def test_a_place_that_is_not_in_the_sources_is_shown_without_a_line(place: Place) -> None:
    assert render_problems([Problem(place, "gone", "missing_file")], {"hookd.yaml": TEXT}) == f"{place}: gone\n"


def test_a_long_line_is_cut_around_the_caret() -> None:
    line = "a: [" + "x, " * 200 + "]"
    shown = render_problems([Problem(at(1, 304), "no", "bad_value")], {"hookd.yaml": line}).splitlines()
    source, caret = shown[1], shown[2]
    assert len(source) < 140
    assert source[caret.index("^")] == line[303]


def test_the_caret_stands_under_its_character_although_secrets_before_it_are_masked() -> None:
    line = "a: {token: abcdefghijklmnop, timout: 3}"
    shown = render_problems([Problem(at(1, 30), "no", "unknown_key")], {"hookd.yaml": line}).splitlines()
    assert "abcdefgh" not in shown[1]
    assert shown[1][shown[2].index("^") :].startswith("timout")


@pytest.mark.parametrize(
    ("line", "secret"),
    [
        ("secrets: [whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD, x]", "C2FVsBQ"),
        ("url: https://user:hunter2@crm.example.com/hooks", "hunter2"),
        ("url: https://crm.example.com/hooks?sig=hunter2&a=b", "hunter2"),
        ("url: ftp://crm.example.com/hooks?sig=hunter2", "hunter2"),
        ("url: //crm.example.com/?hunter2", "hunter2"),
        ("url: crm.example.com?sig=hunter2&a=b", "hunter2"),
        ("bearer: hunter2", "hunter2"),
        ("auth: {basic: {username: u, password: hunter2}}", "hunter2"),
        ('  password: "hunter2 is"  # no', "hunter2"),
        ("  password: 'hunter2", "hunter2"),
        ("X-Api-Key: hunter2", "hunter2"),
        ("headers: {Authorization: Basic dTpodW50ZXIy}", "dTpodW50ZXIy"),
        ("any: 0af7651916cd43dd8448eb211c80319c", "0af765"),
    ],
)
def test_what_looks_like_a_secret_is_masked(line: str, secret: str) -> None:
    assert secret in line
    assert secret not in mask_line(line)
    column = line.index(secret) + 1
    assert secret not in render_problems([Problem(at(1, column), "no", "bad_value")], {"hookd.yaml": line})
    assert secret not in render_problems([Problem(at(1, 1), "no", "bad_value")], {"hookd.yaml": line})


@pytest.mark.parametrize(
    "line",
    [
        "timeout: 10 seconds",
        "events: [user.updated.registration.2024, x]",
        "url: https://crm.example.com/hooks",
        "sign: {secrets: [{credential: crm-new}]}",
        "bearer: {file: /etc/hookd/secrets/crm}",
        "allow_networks: [10.1.0.0/16]",
    ],
)
def test_what_is_no_secret_is_shown(line: str) -> None:
    assert mask_line(line) == line


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
