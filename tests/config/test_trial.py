"""The `tests:` of a config: what passes, and what is said about what does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hookd.config.checking.trial import TrialResult, run_trials
from tests.config.trees import load_tree

if TYPE_CHECKING:
    from pathlib import Path

MAIN = """
version: 1
event_types:
  user.updated: {schema: user.json, require: [tenant]}
  user.deleted: {}
webhooks:
  w:
    tenant: acme
    url: https://example.com/
    events: ["user.*", {event: user.deleted, active: false}, hookd.delivery.dead]
    filter: {data.amount: {gte: 100}, any: [{data.country: [NL, BE]}, {type: hookd.delivery.dead}]}
    secrets: {token: {credential: never-read}}
    body: {%(body)s}
    tests:
      - %(test)s
"""
FILES = {
    "user.json": '{"properties": {"amount": {"type": "integer"}}}',
    "out.json": '{"properties": {"n": {"maximum": 150}}}',
}
TEMPLATE = 'template: {n: $(data.amount), "on": $(data.country), t: $(secrets.token), o: "$(data.o?)", l: [1, true]}'
NL = "event: {type: user.updated, tenant: acme, data: {country: NL, amount: 150}}"


def run(tmp_path: Path, test: str, body: str = TEMPLATE) -> TrialResult:
    config = load_tree(tmp_path, main=MAIN % {"test": f"{{{test}}}", "body": body}, **FILES)
    (result,) = run_trials(config, now=0)
    return result


@pytest.mark.parametrize(
    "test",
    [
        f"{NL}, expect: delivered",
        "event: {type: user.updated, tenant: acme, data: {country: DE, amount: 150}}, expect: ignored",
        "event: {type: user.updated, tenant: other, data: {country: NL, amount: 150}}, expect: ignored",
        "event: {type: user.deleted, data: {country: NL, amount: 150}}, expect: ignored",
        "event: {type: user.updated, tenant: acme, data: {country: NL, amount: x}}, expect: refused",
        "event: {type: user.updated, data: {country: NL, amount: 150}}, expect: refused",
        "event: {type: user.create, tenant: acme}, expect: refused",
        "event: {type: hookd.delivery.dead, tenant: acme, data: {amount: 100, country: x}}, expect: delivered",
        f"{NL}, expect: delivered, body: {{n: 150, 'on': NL, t: <secrets.token>, l: [1, true]}}",
    ],
)
def test_what_holds_passes(tmp_path: Path, test: str) -> None:
    result = run(tmp_path, test)
    assert result.message == ""
    assert result.passed
    assert result.problem is None


@pytest.mark.parametrize(
    ("test", "message"),
    [
        (f"{NL}, expect: ignored", "expected ignored, but the event was delivered"),
        (f"{NL}, expect: refused", "expected refused, but the event was delivered"),
        (
            "event: {type: user.updated, tenant: acme, data: {country: NL, amount: 1}}, expect: delivered",
            "expected delivered, but the event was ignored: the filter does not hold at `data.amount.gte`",
        ),
        (
            "event: {type: user.updated, tenant: other, data: {}}, expect: delivered",
            "expected delivered, but the event was ignored: it belongs to another tenant than the webhook",
        ),
        (
            "event: {type: user.deleted, tenant: acme}, expect: delivered",
            "expected delivered, but the event was ignored: `user.deleted` in `events` is not active",
        ),
        (
            "event: {type: user.updated, tenant: acme, data: {amount: x}}, expect: delivered",
            "expected delivered, but the event was refused (schema_invalid at /data/amount: must be an integer)",
        ),
        (
            "event: {type: hookd.webhook.resumed, tenant: acme}, expect: delivered",
            "expected delivered, but the event was ignored: no entry of `events` matches its type",
        ),
        (f"{NL}, expect: delivered, body: {{n: 151}}", "`body.n` is 150 instead of 151"),
        (f"{NL}, expect: delivered, body: {{n: '150'}}", '`body.n` is 150 instead of "150"'),
        (f"{NL}, expect: delivered, body: {{x: 1}}", "`body.x` is not in the body"),
        (
            f"{NL}, expect: delivered, body: {{n: 150, 'on': NL, l: [1, true]}}",
            '`body.t` is in the body, "<secrets.token>", and is not expected',
        ),
        (
            f"{NL}, expect: delivered, body: {{n: 150, 'on': NL, t: <secrets.token>, l: [1, 1]}}",
            "`body.l[1]` is true instead of 1",
        ),
        (f"{NL}, expect: delivered, body: null", "`body` is {"),
        (
            "event: {type: user.updated, tenant: acme, data: {amount: 150, country: null}}, expect: delivered",
            "expected delivered, but the event was ignored: the filter does not hold at `any`",
        ),
    ],
)  # fmt: skip
def test_what_does_not_hold_is_explained(tmp_path: Path, test: str, message: str) -> None:
    result = run(tmp_path, test)
    assert not result.passed
    assert result.message.startswith(message)
    problem = result.problem
    assert problem is not None
    assert str(problem.place) == f"{tmp_path}/hookd.yaml:15:9"
    assert problem.code == "test_failed"


def test_a_body_that_cannot_be_rendered_fails(tmp_path: Path) -> None:
    result = run(tmp_path, f"{NL}, expect: delivered", "template: {a: $(data.absent)}")
    assert result.message == "the body cannot be rendered: data.absent is missing"


def test_a_body_that_its_schema_refuses_fails(tmp_path: Path) -> None:
    test = "event: {type: user.updated, tenant: acme, data: {country: NL, amount: 151}}, expect: delivered"
    result = run(tmp_path, test, "schema: out.json, template: {n: $(data.amount)}")
    assert result.message == "the body does not fit its schema: /n must be at most 150"


@pytest.mark.parametrize(
    ("body", "passed"),
    [
        ("{n: 150, b: true, u: {a: [x, y]}}", True),
        ("{n: '150', b: '1', 'u[a][0]': x, 'u[a][1]': y}", True),
        ("{n: 150, b: true}", False),
        ("{n: 151, b: true, u: {a: [x, y]}}", False),
    ],
)
def test_a_form_is_compared_by_its_parameters(tmp_path: Path, body: str, passed: bool) -> None:  # noqa: FBT001  a table
    form = "format: form, template: {n: $(data.amount), b: true, none: null, u: {a: [x, y]}}"
    assert run(tmp_path, f"{NL}, expect: delivered, body: {body}", form).passed == passed


def test_tests_are_counted_within_their_webhook(tmp_path: Path) -> None:
    main = """
    version: 1
    webhooks:
      a: {url: "https://a", events: [a], tests: [{event: {type: a}, expect: delivered},
          {event: {type: b}, expect: delivered}]}
      b: {url: "https://b", events: [b], tests: [{event: {type: b}, expect: delivered}]}
      off: {url: "https://b", events: [b], active: false, tests: [{event: {type: b}, expect: delivered}]}
    """
    results = run_trials(load_tree(tmp_path, main=main), now=0)
    assert [(it.webhook, it.number, it.passed) for it in results] == [
        ("a", 1, True),
        ("a", 2, False),
        ("b", 1, True),
        ("off", 1, False),
    ]
    assert results[3].message.endswith("the webhook is not active")


def test_a_body_that_differs_is_shown_line_by_line(tmp_path: Path) -> None:
    result = run(
        tmp_path, f"name: the amount, {NL}, expect: delivered, body: {{n: 151, 'on': NL, l: [1], extra: true}}"
    )
    assert result.label == "w/the amount"
    assert result.difference == (
        "--- expected",
        "+++ sent",
        "@@ -1,8 +1,9 @@",
        " {",
        '-  "extra": true,',
        '   "l": [',
        "-    1",
        "+    1,",
        "+    true",
        "   ],",
        '-  "n": 151,',
        '-  "on": "NL"',
        '+  "n": 150,',
        '+  "on": "NL",',
        '+  "t": "<secrets.token>"',
        " }",
    )
    problem = result.problem
    assert problem is not None
    assert problem.message.startswith("test `the amount` of webhook `w`: ")
    assert problem.notes == result.difference


def test_a_long_difference_is_cut(tmp_path: Path) -> None:
    body = "{" + ", ".join(f"k{number}: 1" for number in range(100)) + "}"
    result = run(tmp_path, f"{NL}, expect: delivered, body: {body}")
    assert len(result.difference) == 61
    assert result.difference[-1].endswith(" more lines")


def test_a_form_is_compared_line_by_line_as_its_parameters(tmp_path: Path) -> None:
    form = "format: form, template: {n: $(data.amount), b: true}"
    result = run(tmp_path, f"{NL}, expect: delivered, body: {{n: 151, b: true}}", form)
    assert '-  "n": "151"' in result.difference
    assert '+  "n": "150"' in result.difference


@pytest.mark.parametrize(
    ("pattern", "ran"),
    [
        ("a", ["a/1", "a/x y"]),
        ("a/2", ["a/x y"]),
        ("a/x*", ["a/x y"]),
        ("x y", ["a/x y"]),
        ("?", ["a/1", "a/x y", "b/1"]),
    ],
)
def test_a_pattern_chooses_tests(tmp_path: Path, pattern: str, ran: list[str]) -> None:
    main = """
    version: 1
    webhooks:
      a: {url: "https://a", events: [a], tests: [{event: {type: a}, expect: delivered},
          {name: x y, event: {type: b}, expect: ignored}]}
      b: {url: "https://b", events: [b], tests: [{event: {type: b}, expect: delivered}]}
    """
    results = run_trials(load_tree(tmp_path, main=main), now=0, pattern=pattern)
    assert [result.label for result in results] == ran
