"""Paths that no event can have: what a schema rules out, and what it leaves open."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hookd.config.load import Loaded, Rejected, load_again
from hookd.config.schema.shapes import Shape
from tests.config.trees import problems_of, write_tree

if TYPE_CHECKING:
    from pathlib import Path

CLOSED = {"type": "object", "properties": {"a": {}, "n": {"type": "integer"}}, "additionalProperties": False}
ROOT = "http://config.invalid/a.json"


def can_have(schema: Any, *steps: str | int) -> bool:
    return Shape(ROOT, {ROOT: schema, "http://config.invalid/b.json": {"$defs": {"c": CLOSED}}}).can_have(steps)


@pytest.mark.parametrize(
    ("schema", "steps"),
    [
        (CLOSED, ("b",)),
        (CLOSED, ("n", "x")),  # a number has nothing inside it
        (CLOSED, (0,)),
        (False, ("a",)),
        ({"type": "string"}, ("a",)),
        ({"type": ["string", "null"]}, ("a",)),
        ({"properties": {"o": CLOSED}}, ("o", "b")),
        ({"properties": {"o": False}}, ("o",)),
        ({"additionalProperties": CLOSED}, ("any", "b")),
        ({"patternProperties": {"^x": CLOSED}}, ("xy", "b")),
        ({"$ref": "#/$defs/c", "$defs": {"c": CLOSED}}, ("b",)),
        ({"$ref": "b.json#/$defs/c"}, ("b",)),
        ({"allOf": [{}, CLOSED]}, ("b",)),
        ({"anyOf": [CLOSED, {"type": "string"}]}, ("b",)),
        ({"oneOf": [CLOSED, CLOSED]}, ("b",)),
        ({"items": CLOSED}, (3, "b")),
        ({"prefixItems": [CLOSED], "items": False}, (1,)),
        ({"prefixItems": [CLOSED]}, (0, "b")),
        ({"items": [CLOSED], "additionalItems": False}, (1,)),
        ({"maxItems": 2}, (2,)),
    ],
)
def test_what_is_ruled_out(schema: Any, steps: tuple[str | int, ...]) -> None:
    assert not can_have(schema, *steps)


@pytest.mark.parametrize(
    ("schema", "steps"),
    [
        (CLOSED, ()),
        (CLOSED, ("a",)),
        (CLOSED, ("a", "b", 0)),
        (True, ("a",)),
        ({}, ("a", 0)),
        ({"properties": {"a": {}}}, ("b",)),  # not closed
        ({"type": ["object", "null"]}, ("a",)),
        ({"patternProperties": {"^x": {}}, "additionalProperties": False}, ("xy",)),
        ({"patternProperties": {"\\p{L}": {}}, "additionalProperties": False}, ("xy",)),  # of another dialect
        ({"anyOf": [CLOSED, {}]}, ("b",)),
        ({"oneOf": []}, ("b",)),
        ({"$ref": "#/nowhere"}, ("b",)),
        ({"$ref": "other.json"}, ("b",)),
        ({"$ref": "#anchor"}, ("b",)),
        ({"$ref": "#/$defs/open", "additionalProperties": False, "$defs": {"open": {}}}, ("b",)),  # draft 7 ignores it
        ({"$ref": "#"}, ("b",)),  # a schema that is itself says nothing
        ({"if": CLOSED}, ("b",)),
        ({"not": CLOSED}, ("b",)),
        ({"dependentSchemas": {"a": CLOSED}}, ("b",)),
        ({"properties": [], "allOf": {}, "items": "x", "$ref": 5, "type": 5}, ()),  # nonsense is told elsewhere
        ({"prefixItems": [CLOSED], "items": {}}, (5, "b")),
        ({"maxItems": 2}, (1,)),
    ],
)
def test_what_stays_open(schema: Any, steps: tuple[str | int, ...]) -> None:
    assert can_have(schema, *steps)


def test_a_schema_that_unfolds_without_end_is_left_alone() -> None:
    tree = {"properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}}, "additionalProperties": False}
    assert can_have(tree, *["left", "right"] * 20)
    assert not can_have(tree, "left", "right", "up")
    assert can_have({"allOf": [{"$ref": "#"}, {"$ref": "#"}]}, "a")


NAMES = st.sampled_from(["a", "b"])
LEAVES = st.sampled_from([True, {}, {"type": "integer"}, {"type": "object"}, {"type": "array"}])
SCHEMAS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.fixed_dictionaries(
            {},
            optional={
                "properties": st.dictionaries(NAMES, inner, max_size=2),
                "additionalProperties": st.one_of(st.booleans(), inner),
                "type": st.sampled_from(["object", ["object", "array"]]),
                "allOf": st.lists(inner, min_size=1, max_size=2),
                "anyOf": st.lists(inner, min_size=1, max_size=2),
                "oneOf": st.lists(inner, min_size=1, max_size=2),
                "not": inner,
                "items": inner,
                "maxItems": st.integers(0, 2),
            },
        )
    ),
    max_leaves=8,
)
VALUES = st.recursive(
    st.integers(0, 2) | st.none(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=2),
    max_leaves=6,
)


def paths_of(value: Any, at: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(path for step, inner in members for path in paths_of(inner, (*at, step)))]


@settings(max_examples=300, deadline=None)
@given(SCHEMAS, VALUES)
def test_nothing_that_a_valid_value_has_is_ruled_out(schema: Any, value: Any) -> None:
    if jsonschema_rs.is_valid(schema, value):
        for path in paths_of(value):
            assert can_have(schema, *path)


# --------------------------------------------------------------------------- in a config

MAIN = """
version: 1
event_types: {user.new: {schema: new.json}, user.old: {schema: old.json}, open: {}}
webhooks:
  w:
    url: https://example.com/
    events: [%s]
    filter: {%s}
    body: {template: {a: %s}}
"""
FILES = {
    "new.json": json.dumps({"properties": {"id": {}, "new": {}}, "additionalProperties": False}),
    "old.json": json.dumps({"properties": {"id": {}, "old": {"properties": {}}}, "additionalProperties": False}),
}


@pytest.mark.parametrize(
    ("events", "line", "template", "expected"),
    [
        ("user.new", "data.id: 1", "$(data.new)", []),
        ("user.new", "data.old: 1", "x", ["8:14 no event of `user.new` can have `data.old`"]),
        ("user.new", "not: {any: [{data.ne: 1}]}", "x", ["8:27 no event of `user.new` can have `data.ne` -> data.new"]),
        ("user.new", "", "some $(data.neww?) text", ["9:31 no event of `user.new` can have `data.neww` -> data.new"]),
        ("user.new", "", '{"...": $(data.nw)}', ["9:34 no event of `user.new` can have `data.nw` -> data.new"]),
        ('"user.*"', "data.old: 1, data.new: 2", "x", []),  # one of them has it
        ('"user.*"', "data.odl: 1", "x", ["8:14 no event type that `events` names can have `data.odl` -> data.old"]),
        ('"*"', "data.odl: 1", "x", []),  # `open` has no schema
        ("user.new, hookd.delivery.dead", "data.odl: 1", "x", []),  # nor have hookd's own, here
        ("user.new, {event: open, active: false}", "data.open: 1", "x", ["8:14 no event of `user.new` can have"]),
        ("user.old", "data.old.x.y: 1", "x", []),
        ("user.new", "tenant: a, time: b", "$(extensions.x)", []),
    ],
)
def test_a_path_is_told_where_it_stands(
    tmp_path: Path, events: str, line: str, template: str, expected: list[str]
) -> None:
    problems = problems_of(tmp_path, main=MAIN % (events, line, template), **FILES)
    assert [problem.code for problem in problems] == ["impossible_path"] * len(expected)
    for problem, told in zip(problems, expected, strict=True):
        hint = f" -> {problem.hint}" if problem.hint else ""
        message = problem.message.partition(":")[0]
        assert f"{problem.place.line}:{problem.place.column} {message}{hint}".startswith(told)


def test_a_schema_that_is_closed_later_is_noticed_by_a_load_that_goes_on_from_another(tmp_path: Path) -> None:
    main = write_tree(tmp_path, main=MAIN % ("user.new", "data.other: 1", "x"), **{**FILES, "new.json": "{}"})
    before = load_again(main, None)
    assert isinstance(before, Loaded)
    write_tree(tmp_path, **FILES)
    after = load_again(main, before)
    assert isinstance(after, Rejected)
    assert [problem.code for problem in after.error.problems] == ["impossible_path"]
