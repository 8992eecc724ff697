"""What is told of a tree in which a file has flaws, or cannot be read: what is certain, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hookd.config.text.strictyaml import parse_anyway
from tests.config.trees import problems_of

if TYPE_CHECKING:
    from pathlib import Path

MAIN = "version: 1\ninclude: ['hooks/*.yaml']\n"
CLOSED = '{"type": "object", "properties": {"id": {}}, "additionalProperties": false}'
TYPES = "event_types: {user.updated: {schema: ../user.json}, user.gone: {schema: ../user.json}}\n"
#: An error in each line, of a kind that another file may solve.
HOOKS = """\
profiles: {here: {}}
webhooks:
  a: {url: 'https://a.example/', events: [user.updated], profile: gone}
  b: {url: 'https://a.example/', events: [user.updatd]}
  c: {url: 'https://a.example/', events: [user.updated], filter: {data.ident: 1}}
  d: {url: 'https://a.example/', events: ['user.*'], filter: {data.ident: 1}}
  e: {url: 'https://a.example/', events: [user.updated], body: {template: $(secrets.t)}}
  f: {url: 'https://a.example/', events: [hookd.webhook.suspend]}
  g: {profile: here, events: [user.updated]}
moved: [{from: x, to: y}]
"""
ALL = [
    "3:67 unknown_profile",
    "4:43 unknown_event_type",
    "5:67 impossible_path",
    "6:63 impossible_path",
    "7:75 undeclared_secret",
    "8:43 unknown_event_type",
    "9:3 missing_key",
    "10:23 bad_move",
]


def told(top: Path, file: str = "hooks.yaml", **files: str) -> list[str]:
    """Give line, column and code of the problems in the files of this name."""
    found = problems_of(top, **files)
    return [f"{it.place.line}:{it.place.column} {it.code}" for it in found if it.place.file.endswith(file)]


def tree(**files: str) -> dict[str, str]:
    return {"main": MAIN, "hooks__types": TYPES, "hooks__z_hooks": HOOKS, "user.json": CLOSED, **files}


def test_all_of_it_is_told_when_every_file_is_good(tmp_path: Path) -> None:
    assert told(tmp_path, **tree()) == ALL


@pytest.mark.parametrize(
    "flaw",
    [
        "x-note: {a: 1, a: 2}\n",
        "x-note: !important a\n",
        "webhooks: {z: {url: 'https://a.example/', events: [user.gone], timeout: 5s, timeout: 6s}}\n",
        "webhooks: {z: {url: !!str 'https://a.example/', events: [user.gone]}}\n",
        "profiles: {z: {timeout: 5s, timeout: 6s}}\n",
        "event_types: {z: {description: a, description: b}}\n",
        "event_types: {z: {5: a}}\n",
    ],
)
def test_a_file_that_was_read_hides_nothing_in_the_others(tmp_path: Path, flaw: str) -> None:
    assert told(tmp_path, **tree(hooks__flawed=flaw)) == ALL
    assert told(tmp_path, "flawed.yaml")


@pytest.mark.parametrize(
    ("flaw", "solved"),
    [
        ("profiles: {}\nprofiles: {gone: {}}\n", ["unknown_profile"]),
        ("profiles: !here {a: {}}\n", ["unknown_profile"]),
        ("profiles: {5: {}}\n", ["unknown_profile"]),
        ("x-all: &all {{{ a }}: {}}\nprofiles: *all\n", ["unknown_profile"]),
        ("x-all: &all {{{ a }}: {}}\nprofiles: {<<: *all}\n", ["unknown_profile"]),
        ("event_types: {}\nevent_types: {user.updatd: {}}\n", ["4:43 unknown_event_type", "6:63 impossible_path"]),
        ("event_types: !include types.yaml\n", ["4:43 unknown_event_type", "6:63 impossible_path"]),
        ("event_types: {1.5: {}}\n", ["4:43 unknown_event_type", "6:63 impossible_path"]),
        ("webhooks: {5: {url: 'https://a.example/', events: [user.gone]}}\n", ["bad_move"]),
        ("webhooks: {}\nwebhooks: {y: {url: 'https://a.example/', events: [user.gone]}}\n", ["bad_move"]),
        (
            "{{ rest }}: {}\n",
            ["unknown_profile", "4:43 unknown_event_type", "6:63 impossible_path", "bad_move"],
        ),
    ],
)
def test_what_the_part_that_was_left_out_may_solve_is_not_missed(tmp_path: Path, flaw: str, solved: list[str]) -> None:
    expected = [each for each in ALL if not any(each.endswith(code) for code in solved)]
    assert told(tmp_path, **tree(hooks__flawed=flaw)) == expected
    assert told(tmp_path, "flawed.yaml")


def test_an_event_type_that_may_have_another_schema_rules_nothing_out(tmp_path: Path) -> None:
    types = (
        "event_types: {user.updated: {schema: ../user.json, schema: ../open.json}, user.gone: {schema: ../user.json}}\n"
    )
    files = tree(hooks__types=types, **{"open.json": "{}"})
    assert told(tmp_path, **files) == [each for each in ALL if "impossible_path" not in each]


def test_what_a_webhook_says_of_the_event_types_that_it_names_does_not_wait_for_its_profile(tmp_path: Path) -> None:
    hooks = """\
    webhooks:
      a: {profile: gone, events: [user.gone], filter: {data.ident: 1}, body: {template: $(secrets.t)}}
      b: {profile: gone, filter: {data.ident: 1}}
      c: {profile: gone, events: [user.gone], events: [a], filter: {data.ident: 1}}
      d: {profile: gone, events: [user.gone, user.new], filter: {data.ident: 1}}
    """
    files = tree(hooks__z_hooks=hooks, hooks__torn="profiles: [\n")
    assert told(tmp_path, **files) == ["2:52 impossible_path", "4:43 duplicate_key"]


@pytest.mark.parametrize("content", ["webhooks: [\n", "a: b: c\n"])
def test_a_file_that_could_not_be_read_hides_what_it_may_hold_and_no_more(tmp_path: Path, content: str) -> None:
    certain = ["5:67 impossible_path", "7:75 undeclared_secret", "8:43 unknown_event_type", "9:3 missing_key"]
    assert told(tmp_path, **tree(hooks__torn=content)) == certain


def test_so_does_a_second_list_of_files(tmp_path: Path) -> None:
    certain = ["5:67 impossible_path", "7:75 undeclared_secret", "8:43 unknown_event_type", "9:3 missing_key"]
    assert told(tmp_path, **tree(main=f"{MAIN}include: [more.yaml]\n")) == certain


def test_a_main_file_that_could_not_be_read_may_hold_what_every_webhook_lacks(tmp_path: Path) -> None:
    certain = ["5:67 impossible_path", "8:43 unknown_event_type"]
    assert told(tmp_path, **tree(main=f"{MAIN}defaults: [\n")) == certain
    assert told(tmp_path, **tree(main=f"{MAIN}{{{{ defaults }}}}: {{}}\n")) == certain


def test_what_is_in_doubt_in_a_definition_is_not_missed_in_it(tmp_path: Path) -> None:
    hooks = """\
    profiles: {base: {secrets: {t: {file: a}}, secrets: {u: {file: b}}, timeout: 5s, timeout: 6s}}
    webhooks:
      a: {events: [user.updated], timeout: 5s, timeout: 6s}
      b: {url: 'https://a.example/', events: [user.gone], events: [user.updated], filter: {data.ident: 1}}
      c: {url: 'https://a.example/', events: [user.gone], profile: base, body: {template: $(secrets.u)}}
      d: {url: 'https://a.example/', events: [user.gone], body: {template: $(secrets.u)}}
      e: {events: [user.gone], url: , url: 'https://a.example/'}
      f: {events: [user.gone], profile: base, filter: {data.ident: 1}}
    """
    assert told(tmp_path, **tree(hooks__z_hooks=hooks)) == [
        "1:44 duplicate_key",
        "1:82 duplicate_key",
        "3:3 missing_key",
        "3:44 duplicate_key",
        "4:55 duplicate_key",
        "6:72 undeclared_secret",
        "7:35 duplicate_key",
        "8:3 missing_key",
        "8:52 impossible_path",
    ]


@pytest.mark.parametrize(
    ("text", "doubts"),
    [
        ("a: {b: 1, b: 2}\n", [("a", "b")]),
        ("a: [x, {b: 1, b: 2}]\n", [("a", 1, "b")]),
        ("a: 1\na: 2\n", [("a",)]),
        ("a: !x 5\n", [("a",)]),
        ("!x a: 5\n", [("a",)]),
        ("!x\na: 5\n", [()]),
        ("!x {a: 5}\n", [()]),
        ("a: {? [b] : 1}\n", [("a",)]),
        ("a: 1\n5: 2\n", []),  # no key of the contract is a number
        ("webhooks: {5: {}}\n", [("webhooks",)]),
        ("webhooks: {a: {5: {}, headers: {6: a}}}\n", [("webhooks", "a", "headers")]),
        ("x: &x {b: 1, b: 2}\na: *x\nc: {<<: *x}\n", [("x", "b"), ("a", "b"), ("c", "b")]),
        ("x: &x {? [b] : 1}\ny: &y {<<: *x}\nc: {<<: [*y]}\n", [("x",), ("y",), ("c",)]),
    ],
)
def test_the_paths_that_are_in_doubt(text: str, doubts: list[tuple[str | int, ...]]) -> None:
    document = parse_anyway(text.encode(), "f.yaml")
    assert document.flaws
    assert sorted(map(str, document.doubts)) == sorted(map(str, doubts))
