"""Conditions that no event can meet: told when it is certain, where they stand, and never when an event could."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hookd.config.checking.fruitless import find_fruitless
from hookd.config.load import Rejected, load_again
from hookd.config.schema.allowed import ANYTHING, NOTHING, find_allowed, may_hold
from hookd.config.schema.shapes import Shape
from hookd.core.filters import compile_filter
from hookd.core.model import Event
from tests.config.trees import write_tree

if TYPE_CHECKING:
    from pathlib import Path

USER = {
    "type": "object",
    "properties": {
        "amount": {"type": "number"},
        "id": {"type": "integer"},
        "state": {"enum": ["active", "gone", None]},
        "vip": {"type": "boolean"},
        "name": {"type": "string"},
        "zip": {"type": ["string", "null"]},
        "tags": {"type": "array"},
        "kind": {"const": "person"},
        "home": {"$ref": "#/$defs/address"},
        "more": {"anyOf": [{"type": "integer"}, {"enum": ["none"]}]},
    },
    "$defs": {"address": {"properties": {"number": {"type": "integer"}}}},
}
MAIN = """\
version: 1
event_types:
  user.updated: {schema: schemas/user.json}
  user.created: {schema: schemas/user.json}
  order.paid: {schema: schemas/order.json}
  user.free: {}
"""
FILES = {"schemas/user.json": json.dumps(USER), "schemas/order.json": '{"properties": {"id": {"type": "string"}}}'}


def told(top: Path, webhooks: str) -> list[str]:
    """Load such webhooks, and give what is told: the place, what was probably meant, the message."""
    loaded = load_again(write_tree(top, main=f"{MAIN}webhooks:\n{webhooks}", **FILES), None)
    assert not isinstance(loaded, Rejected)
    found = find_fruitless(loaded.config, loaded.snapshot)
    assert {(it.code, it.severity) for it in found} <= {("never_matches", "warning")}
    return [
        f"{it.place.line}:{it.place.column} {it.message}{f' -> {it.hint}' if it.hint else ''}"
        for it in sorted(found, key=lambda it: (it.place.line, it.place.column))
    ]


def told_of(top: Path, lines: str, events: str = "user.updated") -> list[str]:
    return told(top, f"  w: {{url: 'https://a.example/', events: [{events}], filter: {{{lines}}}}}\n")


IN = "in user.updated (schemas/user.json)"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("data.amount: {gte: many}", f"a number {IN}, and `gte` with a string never holds of that"),
        ("data.state: {lt: 4}", f'one of "active", "gone", null {IN}, and `lt` with a number never holds of that'),
        ('data.amount: "100"', f"a number {IN}, and never equals a string; without quotes it is a number"),
        ("data.amount: many", f"a number {IN}, and never equals a string"),
        ('data.id: ["1", "2"]', f"an integer {IN}, and never equals a string; without quotes it is a number"),
        ("data.id: [x, true]", f"an integer {IN}, and never equals any of these"),
        ("data.id: {eq: 1.5}", f"an integer {IN}, and never equals a number with a fraction"),
        ("data.id: {contains: a}", f"an integer {IN}, and `contains` with a string holds of arrays and strings only"),
        ("data.name: {contains: 1}", f"a string {IN}, and `contains` with a number holds of arrays only; quote it"),
        ("data.vip: {prefix: t}", f"true or false {IN}, and `prefix` holds of strings only"),
        ('data.vip: "true"', f"true or false {IN}, and never equals a string; without quotes it is true or false"),
        ("data.name: true", f"a string {IN}, and never equals true or false; quote it"),
        ("data.zip: 1234", f"null or a string {IN}, and never equals an integer; quote it"),
        ("data.state: activ", f'one of "active", "gone", null {IN}, and never equals this value -> active'),
        ("data.state: {prefix: b}", f'one of "active", "gone", null {IN}, and `prefix` never holds of that'),
        ("data.kind: company", f'"person" {IN}, and never equals this value'),
        ("data.home.number: four", f"an integer {IN}, and never equals a string"),
        ("data.more: {eq: true}", f"an integer or a string {IN}, and never equals true or false; quote it"),
        ("data.tags: {regex: x}", f"an array {IN}, and `regex` holds of strings only"),
        ("data: {eq: 1}", f"an object {IN}, and never equals an integer"),
    ],
)  # fmt: skip
def test_what_never_holds_is_told_at_the_value(tmp_path: Path, lines: str, message: str) -> None:
    path, _, said = lines.partition(": ")
    behind = len(said.partition(": ")[0]) + 2 if said.startswith("{") else 0
    column = len(f"  w: {{url: 'https://a.example/', events: [user.updated], filter: {{{path}: ") + behind + 1
    assert told_of(tmp_path, lines) == [f"8:{column} `{path}` is {message}"]


def test_of_a_list_the_entries_that_nothing_equals_are_told(tmp_path: Path) -> None:
    first, second = told_of(tmp_path, "data.id: [1, two, 3.0, {a: 1}]")
    assert first.startswith("8:80 ")
    assert first.endswith("never equals a string")
    assert second.endswith("never equals an object")


def test_inside_of_connectives_too(tmp_path: Path) -> None:
    lines = "any: [{data.id: x}, {not: {data.id: y}}, {all: [{data.vip: 1}, {data.vip: true}]}]"
    assert [each.partition("never ")[2] for each in told_of(tmp_path, lines)] == [
        "equals a string",
        "equals a string",
        "equals an integer",
    ]


@pytest.mark.parametrize(
    ("lines", "events"),
    [
        ("data.amount: {gte: 100, lt: 200.5}", "user.updated"),
        ("data.amount: 100", "user.updated"),
        ("data.id: [1, 2.0]", "user.updated"),
        ("data.state: [active, null]", "user.updated"),
        ("data.state: {ne: x}", "user.updated"),
        ("data.id: {exists: false}", "user.updated"),
        ("data.id: {ne: x}", "user.updated"),
        ("data.tags: {contains: 1}", "user.updated"),
        ("data.name: {contains: x}", "user.updated"),
        ("data.other: x", "user.updated"),  # the schema says nothing of it
        ("type: user.created", "user.updated"),
        ("data.id: x", "user.updated, order.paid"),  # a string in one of them
        ("data.id: x", "user.updated, user.free"),  # anything in one of them
        ("data.id: x", "user.*"),
        ("data.id: x", "'*'"),
        ("data.id: x", "user.updated, hookd.webhook.suspended"),
        ("data.more: 1", "user.updated"),
        ("data.more: none", "user.updated"),
    ],
)
def test_what_may_hold_is_not_told(tmp_path: Path, lines: str, events: str) -> None:
    assert told_of(tmp_path, lines, events) == []


def test_several_event_types_are_told_together_or_by_what_they_say(tmp_path: Path) -> None:
    message = (
        "`data.id` is an integer in user.updated (schemas/user.json) and 1 other event type, a string in order.paid"
        " (schemas/order.json), and never equals true or false; quote it"
    )
    assert told_of(tmp_path, "data.id: true", "user.updated, user.created, order.paid") == [f"8:102 {message}"]


def test_one_that_stands_in_a_profile_is_told_once_there(tmp_path: Path) -> None:
    above = "  a: {url: 'https://a.example/', events: [user.updated], profile: p}\n"
    above += "  b: {url: 'https://a.example/', events: [user.created], profile: p}\n"
    found = told(tmp_path, f"{above}profiles:\n  p: {{filter: {{data.id: x}}}}\n")
    assert [each.partition(" ")[0] for each in found] == ["11:25"]


def test_a_secret_in_a_filter_is_not_repeated(tmp_path: Path) -> None:
    assert "hunter2" not in "".join(told_of(tmp_path, "data.id: hunter2, data.state: {eq: hunter2}, data.zip: [5, 7]"))


# --------------------------------------------------------------------------- what is certain

ROOT = "http://config.invalid/a.json"
VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 1.0, 1.5, 2**53, 2**53 + 1, 1e300, "", "a", "1", "ab", "true", [], [1], ["a"], [1.0],
    {}, {"a": 1}, {"a": "a"}, {"a": None}, {"a": True}, {"a": 1.5}, {"a": []}, {"a": ["a"]}, {"a": {"b": 1}},
    {"a": {"b": "a"}}, {"b": 1}, {"b": {"a": "1"}}, [["a"]], [{"a": 1}], [{"a": "a"}, 1], [1, "a", True],
]  # fmt: skip
SCALARS = st.sampled_from([value for value in VALUES if not isinstance(value, list | dict)])
TYPES = st.sampled_from(["null", "boolean", "integer", "number", "string", "object", "array"])


def _deeper(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    some = st.lists(inner, min_size=1, max_size=3)
    named = st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2)
    return st.fixed_dictionaries(
        {},
        optional={
            "type": TYPES | st.lists(TYPES, min_size=1, max_size=3, unique=True),
            "enum": st.lists(st.sampled_from(VALUES), min_size=1, max_size=4),
            "const": st.sampled_from(VALUES),
            "properties": named,
            "patternProperties": st.dictionaries(st.sampled_from(["^a", "b$", "."]), inner, max_size=1),
            "additionalProperties": inner,
            "items": inner,
            "prefixItems": some,
            "required": st.just(["a"]),
            "allOf": some,
            "anyOf": some,
            "oneOf": some,
            "not": inner,
            "if": inner,
            "then": inner,
            "$ref": st.sampled_from(["#/$defs/x", "#", "#/$defs/y", "#/properties/a"]),
            "minimum": st.integers(-1, 2),
        },
    )


SCHEMAS = st.recursive(st.booleans() | st.fixed_dictionaries({"type": TYPES}), _deeper, max_leaves=6)
OPERATORS = st.one_of(
    st.tuples(st.sampled_from(["eq", "ne", "contains"]), st.sampled_from(VALUES)),
    st.tuples(st.just("in"), st.lists(st.sampled_from(VALUES), min_size=1, max_size=3)),
    st.tuples(st.sampled_from(["gt", "gte", "lt", "lte"]), st.sampled_from([0, 1, 1.5, 2**53, "", "a", "1"])),
    st.tuples(st.sampled_from(["prefix", "suffix", "regex"]), st.sampled_from(["", "a", "1"])),
)
DRAFTS = st.sampled_from(
    [None] * 3 + [f"http://json-schema.org/draft-0{number}/schema#" for number in (4, 6, 7)]
    + ["https://json-schema.org/draft/2019-09/schema"]
)  # fmt: skip
STEPS = st.sampled_from([(), ("a",), ("b",), ("a", "b"), ("b", "a"), (0,), (1,), (0, "a"), ("a", 0)])


@settings(max_examples=600, deadline=None)
@given(SCHEMAS, st.dictionaries(st.sampled_from(["x", "y"]), SCHEMAS), DRAFTS, STEPS, OPERATORS)
def test_no_valid_value_meets_a_condition_that_is_told(
    schema: Any, definitions: dict[str, Any], draft: str | None, steps: tuple[str | int, ...], asked: tuple[str, Any]
) -> None:
    if isinstance(schema, dict):
        schema = {**schema, "$defs": definitions, **({"$schema": draft} if draft else {})}
    name, operand = asked
    allowed = find_allowed(Shape(ROOT, {ROOT: schema}), steps)
    if may_hold(allowed, name, operand):
        return
    try:
        valid = jsonschema_rs.validator_for(schema, offline=True).is_valid
    except (ValueError, jsonschema_rs.ReferencingError):
        return  # a reference that leads nowhere: there is no such config
    path = "data" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    holds = compile_filter({path: {name: operand}}).matches
    event = Event(id="1", type="x")
    assert not [value for value in VALUES if valid(value) and holds(event, value)]


@pytest.mark.parametrize(
    ("schema", "steps", "name", "operand"),
    [
        ({"type": "number"}, (), "eq", "1"),
        ({"type": "integer"}, (), "eq", 1.5),
        ({"type": ["integer", "null"]}, (), "in", ["a", True]),
        ({"enum": [1, 2]}, (), "gt", 2),
        ({"const": "a"}, (), "prefix", "b"),
        ({"allOf": [{"type": "string"}, {"enum": ["a", 1]}]}, (), "eq", 1),
        ({"oneOf": [{"type": "null"}, {"enum": ["a", "b"]}]}, (), "eq", "c"),
        ({"properties": {"a": {"$ref": "#/$defs/x"}}, "$defs": {"x": {"type": "string"}}}, ("a",), "eq", 1),
        ({"patternProperties": {"^a": {"type": "string"}}}, ("ab",), "eq", 1),
        ({"additionalProperties": {"type": "string"}}, ("z",), "eq", 1),
        ({"items": {"properties": {"a": {"type": "string"}}}}, (3, "a"), "eq", 1),
        ({"type": "boolean"}, (), "contains", "a"),
    ],
)
def test_what_cannot_hold_is_found(schema: Any, steps: tuple[str | int, ...], name: str, operand: object) -> None:
    assert not may_hold(find_allowed(Shape(ROOT, {ROOT: schema}), steps), name, operand)


@pytest.mark.parametrize(
    ("schema", "steps"),
    [
        ({}, ()),
        (True, ("a",)),
        ({"$schema": "http://json-schema.org/draft-04/schema#", "type": "integer"}, ()),
        ({"$schema": "https://example.com/mine", "type": "integer"}, ()),
        ({"properties": {"a": {"$schema": "http://json-schema.org/draft-07/schema#", "type": "string"}}}, ("a",)),
        ({"patternProperties": {"^.$": {"type": "string"}}}, ("ö",)),
        ({"$ref": "other.json"}, ()),
        ({"$ref": "#"}, ()),
        ({"$ref": "#anchor"}, ()),
        ({"not": {"type": "string"}}, ()),
        ({"$schema": "http://json-schema.org/draft-07/schema#", "prefixItems": [{"type": "string"}]}, (0,)),
    ],
)
def test_what_is_not_certain_may_be_anything(schema: Any, steps: tuple[str | int, ...]) -> None:
    assert find_allowed(Shape(ROOT, {ROOT: schema}), steps) == ANYTHING


def test_what_cannot_be_there_is_nothing() -> None:
    assert find_allowed(Shape(ROOT, {ROOT: {"type": "string"}}), ("a",)) == NOTHING
    assert find_allowed(Shape(ROOT, {ROOT: {"additionalProperties": False}}), ("a",)) == NOTHING
