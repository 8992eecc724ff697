"""JSON Schemas of the config: nothing is fetched, faults name rules and never values."""

from __future__ import annotations

import json
import timeit
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hookd.config.problems import ConfigInvalid, Problem
from hookd.config.schema.schemas import CompiledSchema, SchemaSet
from hookd.config.text.jsonplaces import place_in_json
from hookd.core.config import Place

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

HERE = Place(file="/tree/hookd.yaml", line=7, column=13)


class Shelf:
    """Files that a test names, as if they were on disk."""

    def __init__(self, files: Mapping[str, object]) -> None:
        self._files = {
            path: value if isinstance(value, bytes) else json.dumps(value).encode() for path, value in files.items()
        }
        self.asked: list[str] = []

    def read(self, path: str, named_at: Place) -> bytes:
        self.asked.append(path)
        if path not in self._files:
            raise ConfigInvalid([Problem(named_at, f"there is no file at {path}", "missing_file")])
        return self._files[path]

    def beside(self, path: str) -> Iterable[str]:
        return sorted(other for other in self._files if Path(other).parent == Path(path).parent)


def compile_one(schema: object, **others: object) -> tuple[CompiledSchema | None, list[Problem]]:
    shelf = Shelf({"/tree/s/root.json": schema} | {f"/tree/s/{name}.json": value for name, value in others.items()})
    schemas = SchemaSet(shelf, "/tree")
    return schemas.compile("/tree/s/root.json", HERE), schemas.problems


def compiled(schema: object, **others: object) -> CompiledSchema:
    result, problems = compile_one(schema, **others)
    assert problems == []
    assert result is not None
    return result


SECRET = "s3cr3t-payload"

FAULTS = [
    ({"type": "string"}, 1, "", "must be a string"),
    ({"type": ["string", "null"]}, 1, "", "must be a string or null"),
    ({"properties": {"a": {"type": "integer"}}}, {"a": SECRET}, "/a", "must be an integer"),
    ({"properties": {"a/b~c": {"type": "null"}}}, {"a/b~c": SECRET}, "/a~1b~0c", "must be null"),
    ({"required": ["amount"]}, {}, "/amount", "is required"),
    ({"properties": {"a": {"required": ["b"]}}}, {"a": {}}, "/a/b", "is required"),
    ({"additionalProperties": False}, {SECRET: 1}, "", "has a property that the schema does not allow"),
    ({"unevaluatedProperties": False}, {SECRET: 1}, "", "has a property that the schema does not allow"),
    ({"additionalProperties": {"type": "string"}}, {SECRET: 1}, "/*", "must be a string"),
    ({"propertyNames": {"maxLength": 3}}, {SECRET: 1}, "", "has a property whose name the schema does not allow"),
    ({"enum": ["NL", "BE"]}, SECRET, "", 'must be one of "NL", "BE"'),
    ({"enum": ["x" * 50, "y" * 50]}, SECRET, "", "must be what the schema lists"),
    ({"const": 3}, SECRET, "", "must be 3"),
    ({"pattern": "^a+$"}, SECRET, "", "must match the pattern ^a+$"),
    ({"format": "date-time"}, SECRET, "", "must be in the format date-time"),
    ({"format": "email"}, SECRET, "", "must be in the format email"),
    ({"minLength": 64}, SECRET, "", "must have at least 64 characters"),
    ({"maxLength": 1}, SECRET, "", "must have at most 1 character"),
    ({"minItems": 1}, [], "", "must have at least 1 item"),
    ({"maxItems": 1}, [SECRET, SECRET], "", "must have at most 1 item"),
    ({"minProperties": 2}, {}, "", "must have at least 2 properties"),
    ({"maxProperties": 0}, {SECRET: 1}, "", "must have at most 0 properties"),
    ({"minimum": 0}, -1, "", "must be at least 0"),
    ({"maximum": 0.5}, 1, "", "must be at most 0.5"),
    ({"exclusiveMinimum": 0}, 0, "", "must be more than 0"),
    ({"exclusiveMaximum": 0}, 0, "", "must be less than 0"),
    ({"multipleOf": 5}, 7, "", "must be a multiple of 5"),
    ({"items": {"type": "string"}}, ["a", 4711], "/1", "must be a string"),
    ({"uniqueItems": True}, [SECRET, SECRET], "", "must not have the same item twice"),
    ({"contains": {"const": 1}}, [SECRET], "", "must contain as many items of a kind as the schema asks for"),
    ({"prefixItems": [{}], "items": False}, [1, SECRET], "", None),
    ({"unevaluatedItems": False}, [SECRET], "", "has an item that the schema does not allow"),
    ({"not": {"type": "string"}}, SECRET, "", "is one of the things that the schema excludes"),
    ({"properties": {"a": False}}, {"a": SECRET}, "/a", "is not allowed"),
    ({"dependentRequired": {"a": ["b"]}}, {"a": SECRET}, "/b", "is required"),
    ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, [SECRET], "", "must be a string or an integer"),
    ({"oneOf": [{"type": "string"}, {"minimum": 3}]}, 4711, "", None),
    ({"oneOf": [{"minimum": 1}, {"minimum": 3}]}, 4711, "", "fits more than one of the forms of which the schema"),
    (
        {"anyOf": [{"type": "null"}, {"type": "object", "properties": {"a": {"type": "string"}}}]},
        {"a": 4711},
        "/a",
        "must be a string",
    ),
    (
        {"anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
        {},
        "",
        "must have one of the forms that the schema allows",
    ),
]


@pytest.mark.parametrize(("schema", "value", "path", "message"), FAULTS, ids=lambda it: json.dumps(it)[:40])
def test_a_fault_says_where_and_which_rule(schema: object, value: object, path: str, message: str | None) -> None:
    fault = compiled(schema).fault(value)
    if schema == {"oneOf": [{"type": "string"}, {"minimum": 3}]}:
        assert fault is None  # one of them fits
        return
    assert fault is not None
    assert fault.path == path or message is None
    if message is not None:
        assert fault.message.startswith(message)
    assert SECRET not in str(fault)
    assert "4711" not in str(fault)


@pytest.mark.parametrize("value", [SECRET, [SECRET], {SECRET: SECRET}, {"a": {SECRET: [SECRET]}}])
@pytest.mark.parametrize("schema", [schema for schema, *_ in FAULTS], ids=lambda it: json.dumps(it)[:40])
def test_no_fault_shows_anything_of_the_value(schema: object, value: object) -> None:
    fault = compiled(schema).fault(value)
    assert SECRET not in str(fault)


CLOSED = {"properties": {"email": {}, "a/b": {}}, "additionalProperties": False}


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["emial"], "has the property `emial`, which the schema does not allow"),
        (["street-line2"], "has the property `street-line2`, which the schema does not allow"),
        (["oauth2Token"], "has the property `oauth2Token`, which the schema does not allow"),
        (["größe", "$ref"], "has the properties `größe`, `$ref`, which the schema does not allow"),
        (["a", "b", "c", "d"], "has the properties `a`, `b`, `c` and others, which the schema does not allow"),
        (["a", "jan@example.com"], "has the properties `a` and others, which the schema does not allow"),
        (["jan@example.com"], "has a property that the schema does not allow"),
        (["example.com"], "has a property that the schema does not allow"),
        (["Jan de Vries"], "has a property that the schema does not allow"),
        (["+31612345678"], "has a property that the schema does not allow"),
        (["a1b2c3d4"], "has a property that the schema does not allow"),
        (["4f9c"], "has a property that the schema does not allow"),
        (["card4111"], "has a property that the schema does not allow"),
        (["a\u202eb"], "has a property that the schema does not allow"),
        (["a\nb"], "has a property that the schema does not allow"),
        (["x" * 41], "has a property that the schema does not allow"),
        ([""], "has a property that the schema does not allow"),
    ],
)
def test_a_property_that_is_not_allowed_is_named_if_it_looks_like_a_fields(names: list[str], told: str) -> None:
    value = dict.fromkeys(names)
    fault = compiled(CLOSED).fault(value)
    assert fault is not None
    assert (fault.path, fault.told) == ("", told)
    assert fault.message == "has a property that the schema does not allow"  # what a log may hold
    last = {"properties": {"email": {}}, "unevaluatedProperties": False}
    assert compiled(last).fault(value) == fault
    within = compiled({"properties": {"user": CLOSED}}).fault({"user": value})
    assert within is not None
    assert (within.path, within.told) == ("/user", told)


def test_names_are_the_payloads_own_where_a_schema_takes_them_by_a_pattern() -> None:
    inner = {"patternProperties": {"^[a-z]+$": {}}, "additionalProperties": False}
    for schema in (inner, {"properties": {"a": CLOSED, "b": inner}}, {"properties": {"a": {"$ref": "by.json"}}}):
        judge = compiled(schema, by=inner)
        for value in ({"Jan": 1}, {"a": {"Jan": 1}}, {"b": {"Jan": 1}}):
            assert "Jan" not in str(judge.fault(value))


def test_one_that_another_part_of_the_schema_names_is_named_in_any_case() -> None:
    keyed = {"patternProperties": {"^x": {}}, "properties": {"line 4711": {}, "in": CLOSED}}
    assert "`line 4711`" in str(compiled(keyed).fault({"in": {"line 4711": 1}}))


def test_to_look_at_a_name_takes_no_longer_than_it_is_long() -> None:
    judge = compiled(CLOSED)
    for name in ("a" * 39 + "!", "a_" * 19 + "!", "aA" * 19 + "!", "a1A" * 13 + "!"):
        value = {name: 1}
        assert min(timeit.repeat(partial(judge.fault, value), number=10, repeat=3)) < 1


def test_a_valid_value_has_no_fault_and_is_judged_quickly() -> None:
    validator = compiled(
        {
            "type": "object",
            "required": ["id", "name"],
            "properties": {
                "id": {"type": "integer"},
                "name": {"type": "string", "maxLength": 200},
                "email": {"format": "email"},
                "at": {"format": "date-time"},
                "tags": {"items": {"type": "string"}},
            },
        }
    )
    value = {"id": 1, "name": "n" * 150, "email": "a@example.com", "at": "2024-01-01T00:00:00Z", "tags": ["t" * 20] * 8}
    assert validator.fault(value) is None
    seconds = min(timeit.repeat(lambda: validator.fault(value), number=1000, repeat=5)) / 1000
    assert seconds < 50e-6  # about 1 µs; the bound is for a busy machine


REFUSED = [
    ({"type": "strin"}, "not a JSON Schema"),
    ({"properties": []}, "not a JSON Schema"),
    ({"required": "a"}, "not a JSON Schema"),
    ({"$schema": "http://example.com/mine"}, "unknown draft"),
    ({"$schema": ["http://example.com/mine"]}, "unknown draft"),
    ({"$schema": "http://json-schema.org/draft-07/schema#", "minLength": -1}, "not a JSON Schema"),
    ({"pattern": "(?=a)b"}, "look-around"),
    ({"patternProperties": {"(?<!x)y": {}}}, "look-around"),
    ({"pattern": r"(a)\1"}, "back-reference"),
    ({"pattern": "("}, "not a regular expression"),
    ({"$ref": "https://example.com/x.json"}, "never fetched"),
    ({"$ref": "//example.com/x.json"}, "never fetched"),
    ({"$ref": "file:///etc/passwd"}, "never fetched"),
    ({"items": {"$dynamicRef": "https://example.com/x.json"}}, "never fetched"),
    ({"$ref": "../../etc/passwd.json"}, "leads out of the config's directory"),
    ({"$ref": "/etc/passwd"}, "leads out of the config's directory"),
    ({"$ref": "absent.json"}, "there is no file at /tree/s/absent.json"),
    ({"$ref": "#/$defs/absent"}, "there is nothing at `#/$defs/absent`"),
    ({"$ref": "other.json#/$defs/absent"}, "cannot be compiled"),
    ({"$ref": "broken.json"}, "this is not JSON"),
    ([1], "a JSON Schema is an object"),
    (b'{"a": 1, "a": 2}', "the key `a` twice"),
    (b'{"a": NaN}', "NaN"),
    (b'{\n  "type": oops\n}', "this is not JSON"),
    (b"\xff", "not UTF-8"),
    (b"[" * 100_000, "nested too deeply"),
    (b'{"a": ' + b"9" * 5000 + b"}", "far too long"),
]


@pytest.mark.parametrize(("schema", "phrase"), REFUSED, ids=lambda it: str(it)[:40])
def test_a_schema_that_cannot_be_used_is_a_problem(schema: object, phrase: str) -> None:
    result, problems = compile_one(schema, other={"type": "string"}, broken=b"{")
    assert result is None
    assert any(phrase in str(problem) for problem in problems), problems
    assert all(problem.place.file.startswith("/tree") for problem in problems)


def test_problems_of_a_schema_are_all_named_with_their_places() -> None:
    text = b"""{
	"type": "strin",
	"properties": {
		"a": {"pattern": "(?!x)"},
		"b": {"minLength": "3"}
	}
}
"""
    result, problems = compile_one(text)
    assert result is None
    assert sorted((it.place.line, it.place.column) for it in problems) == [(2, 10), (4, 20), (5, 22)]


def test_a_missing_schema_is_reported_where_it_is_named() -> None:
    schemas = SchemaSet(Shelf({}), "/tree")
    assert schemas.compile("/tree/absent.json", HERE) is None
    assert [(it.place, it.code) for it in schemas.problems] == [(HERE, "missing_file")]


def test_references_lead_to_files_of_the_config() -> None:
    validator = compiled(
        {"properties": {"a": {"$ref": "other.json"}, "b": {"$ref": "other.json#/$defs/n"}, "c": {"$ref": "#"}}},
        other={"$ref": "third.json", "$defs": {"n": {"type": "null"}}},
        third={"type": "string"},
    )
    assert validator.fault({"a": "x", "b": None, "c": {"a": "y"}}) is None
    assert validator.fault({"a": 1}) is not None
    assert validator.fault({"b": 1}) is not None
    assert validator.fault({"c": {"a": 1}}) is not None


@pytest.mark.parametrize("written", ["other.json", "https://example.com/schemas/other.json"])
@pytest.mark.parametrize("other_id", [None, "https://example.com/schemas/other.json"])
def test_references_of_schemas_with_ids_lead_to_the_file_beside(written: str, other_id: str | None) -> None:
    other = {"type": "string"} | ({"$id": other_id} if other_id else {})
    result, problems = compile_one(
        {"$id": "https://example.com/schemas/root.json", "properties": {"a": {"$ref": written}}}, other=other
    )
    if other_id is None and written.startswith("https"):
        assert result is None
        assert len(problems) == 1
        return
    assert problems == []
    assert result is not None
    assert result.fault({"a": "x"}) is None
    assert result.fault({"a": 1}) is not None


def test_schemas_may_refer_to_each_other_in_a_circle() -> None:
    validator = compiled(
        {"properties": {"a": {"$ref": "other.json"}}, "type": "object"},
        other={"properties": {"b": {"$ref": "root.json"}}},
    )
    assert validator.fault({"a": {"b": {"a": {}}}}) is None
    assert validator.fault({"a": {"b": 1}}) is not None


def test_a_schema_of_schemas_may_refer_to_a_draft() -> None:
    validator = compiled({"$ref": "https://json-schema.org/draft/2020-12/schema"})
    assert validator.fault({"type": "string"}) is None
    assert validator.fault({"type": "strin"}) is not None


def test_what_looks_like_a_reference_in_data_is_none() -> None:
    validator = compiled({"enum": [{"$ref": "https://example.com/x"}], "default": {"pattern": "(?=a)"}})
    assert validator.fault({"$ref": "https://example.com/x"}) is None


def test_a_schema_may_be_yaml() -> None:
    shelf = Shelf({"/tree/s.yaml": b"type: object\nproperties:\n  a: {type: strin}\n"})
    schemas = SchemaSet(shelf, "/tree")
    assert schemas.compile("/tree/s.yaml", HERE) is None
    assert [(it.place.line, it.place.column) for it in schemas.problems] == [(3, 13)]


def test_each_file_is_read_once_and_the_digest_follows_what_it_refers_to() -> None:
    def build(other: object) -> tuple[str, list[str]]:
        shelf = Shelf({"/tree/a.json": {"$ref": "o.json"}, "/tree/b.json": {"$ref": "o.json"}, "/tree/o.json": other})
        schemas = SchemaSet(shelf, "/tree")
        first = schemas.compile("/tree/a.json", HERE)
        assert schemas.compile("/tree/a.json", HERE) is first
        schemas.compile("/tree/b.json", HERE)
        assert first is not None
        return first.digest, shelf.asked

    digest, asked = build({"type": "string"})
    assert sorted(asked) == ["/tree/a.json", "/tree/b.json", "/tree/o.json"]
    assert digest == build({"type": "string"})[0]
    assert digest != build({"type": "null"})[0]


def test_no_regular_expression_is_slow() -> None:
    validator = compiled({"pattern": "^(a+)+$"})
    assert min(timeit.repeat(lambda: validator.fault("a" * 5000 + "!"), number=1, repeat=3)) < 0.5


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(value=JSON, indent=st.sampled_from([None, 2, "\t"]))
def test_every_value_of_a_json_text_is_found_where_it_stands(value: object, indent: str | int | None) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    lines = text.split("\n")

    def walk(inner: object, path: tuple[str | int, ...]) -> None:
        place = place_in_json(text, "f", path)
        rest = "\n".join([lines[place.line - 1][place.column - 1 :], *lines[place.line :]])
        assert json.JSONDecoder().raw_decode(rest)[0] == inner
        if isinstance(inner, dict):
            for key, item in inner.items():
                walk(item, (*path, key))
        elif isinstance(inner, list):
            for index, item in enumerate(inner):
                walk(item, (*path, index))

    walk(value, ())
