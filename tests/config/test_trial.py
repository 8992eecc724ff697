"""The `tests:` of a config: what passes, and what is said about what does not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from hookd.config.checking.trial import TrialResult, place_faults, run_trials
from hookd.config.load import load
from hookd.config.text.strictyaml import parse_yaml
from hookd.core.explaining import explain, read_event
from hookd.core.model import Refusal
from tests.config.trees import load_tree, write_tree

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
IGNORED = "expected delivered, but the event was ignored: "
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
            f"{IGNORED}the filter does not hold: data.amount gte 100; the event has 1",
        ),
        (
            "event: {type: user.updated, tenant: other, data: {}}, expect: delivered",
            'expected delivered, but the event was ignored: tenant: "acme"; this event is of "other"',
        ),
        (
            "event: {type: user.deleted, tenant: acme}, expect: delivered",
            "expected delivered, but the event was ignored: events: user.deleted is not active, which beats",
        ),
        (
            "event: {type: user.updated, tenant: acme, data: {amount: x}}, expect: delivered",
            "expected delivered, but the event was refused (schema_invalid at /data/amount: must be an integer)",
        ),
        (
            "event: {type: hookd.webhook.resumed, tenant: acme}, expect: delivered",
            f'{IGNORED}no entry of `events` matches "hookd.webhook.resumed": user.*, user.deleted, hookd.delivery.dead',
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
            "expected delivered, but the event was ignored: the filter does not hold: any of 2: none holds",
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


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (
            "{country: DE, amount: 150}",
            ("✗ any of 2: none holds", '✗   data.country in ["NL", "BE"]; the event has "DE"'),
        ),
        ("{country: NL, amount: 99}", ()),
    ],
)
def test_why_an_event_is_ignored_is_told_as_route_explains_it(
    tmp_path: Path, data: str, lines: tuple[str, ...]
) -> None:
    event = f"{{type: user.updated, tenant: acme, data: {data}}}"
    result = run(tmp_path, f"event: {event}, expect: delivered")
    assert result.difference[: len(lines)] == lines
    config = load(tmp_path / "hookd.yaml").config
    written = json.dumps(parse_yaml(event.encode(), "e").value).encode()
    incoming = read_event(config, written, now=0, new_id=lambda: "1")
    assert not isinstance(incoming, Refusal)
    told = explain(config.webhooks["w"], incoming.event, incoming.data)
    assert result.message.endswith(f"the filter does not hold: {told.clauses[0].text}")
    if lines:
        assert [line[1:].strip() for line in result.difference] == [clause.text for clause in told.clauses]
        assert [line[0] == "✓" for line in result.difference] == [clause.holds for clause in told.clauses]


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
    assert results[3].message.endswith("but the event was ignored: active: false")


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


PLACED = """\
version: 1
include: [shared.yaml]
webhooks:
  crm:
    url: https://example.com/
    events: [a, "b.*"]
    filter: {data.n: 1}
    body: {template: {n: $(data.n), l: [1, {m: 2}]}}
    tests:
      - event: {type: a, data: {n: 2}}
        expect: §delivered
      - {event: {type: a}, expect: §delivered}
      - event: {type: a, data: {n: 1}}
        expect: delivered
        body:
          n: 1
          l: [1, {m: §3}]
      - {event: {type: a, data: {n: 1}}, expect: delivered, §body: {n: 1}}
      - event: {type: a, data: {n: 1}}
        expect: delivered
        body:
          n: 1
          l: [1, {m: 2}]
          "größer": §{x: 1}
      - {event: {type: a, data: {n: 1}}, expect: delivered, body: {n: 1, l: §[1]}}
  shop: {profile: tested}
"""
SHARED = """\
profiles:
  tested:
    url: https://example.com/
    events: [a]
    body: {format: form, template: {n: $(data.n)}}
    tests:
      - {event: {type: a, data: {n: 1}}, expect: delivered, body: {n: §2}}
      - {event: {type: a}, expect: §delivered}
"""


def places_of(text: str) -> list[str]:
    """Give the places of the marks in a text, counted without them."""
    lines = enumerate(text.split("\n"), 1)
    return [
        f"{number}:{len(before.replace('§', '')) + 1}"
        for number, line in lines
        for before in (line[:at] for at, character in enumerate(line) if character == "§")
    ]


def test_what_does_not_hold_is_told_at_its_value_wherever_the_test_stands(tmp_path: Path) -> None:
    """At `expect`, at what differs in the body, or at `body` if that has not what is sent."""
    loaded = load(write_tree(tmp_path, main=PLACED.replace("§", ""), shared=SHARED.replace("§", "")))
    results = place_faults(run_trials(loaded.config, now=0), loaded.config, loaded.snapshot)
    told = [str(result.problem.place).removeprefix(f"{tmp_path}/") for result in results if result.problem]
    assert told == [
        *(f"hookd.yaml:{at}" for at in places_of(PLACED)),
        *(f"shared.yaml:{at}" for at in places_of(SHARED)),
    ]
    assert {result.place for result in results if result.webhook == "crm"} == {
        test.place for test in loaded.config.webhooks["crm"].tests
    }
