"""Keywords of JSON Schemas that are mistyped: told at the key, with the one that was meant; one's own pass."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import validators

from hookd.config.check import config_schema
from hookd.config.checking.keywords import _OTHERS, _TAKES, find_misspelt, meant_keyword
from hookd.config.load import Rejected, load_again
from hookd.config.resources import resource
from tests.config.trees import write_tree

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("word", "value", "meant"),
    [
        ("additionalProperty", False, "additionalProperties"),
        ("additional_properties", False, "additionalProperties"),
        ("aditionalProperties", False, "additionalProperties"),
        ("unevaluatedProperty", False, "unevaluatedProperties"),
        ("requird", ["id"], "required"),
        ("require", ["id"], "required"),
        ("Required", ["id"], "required"),
        ("property", {"a": {}}, "properties"),
        ("proprties", {"a": {}}, "properties"),
        ("tpye", "string", "type"),
        ("types", ["string"], "type"),
        ("fromat", "date", "format"),
        ("item", {}, "items"),
        ("minLenght", 3, "minLength"),
        ("minlength", 3, "minLength"),
        ("max-items", 3, "maxItems"),
        ("maximun", 3.5, "maximum"),
        ("patern", "^a", "pattern"),
        ("ref", "#/$defs/a", "$ref"),
        ("anyof", [{}], "anyOf"),
        ("one_of", [{}], "oneOf"),
        ("enums", ["a"], "enum"),
    ],
)
def test_a_slip_is_known_by_its_letters_and_by_what_it_holds(word: str, value: object, meant: str) -> None:
    assert meant_keyword(word, value) == meant


@pytest.mark.parametrize(
    ("word", "value"),
    [
        *((word, value) for word in ("note", "owner", "tags", "version", "since", "unit", "when", "terms")
          for value in ("text", ["a"], {"a": 1}, 3, True, None)),
        ("requird", "yes"),
        ("requird", True),
        ("minLenght", "3"),
        ("minLenght", True),
        ("x-required", ["id"]),
        ("titel", "A title"),
        ("descripton", "text"),
        ("nto", "text"),
        ("requires", ["id"]),
        ("", {}),
    ],
)  # fmt: skip
def test_what_is_ones_own_is_not_told(word: str, value: object) -> None:
    assert meant_keyword(word, value) is None


def keywords_of_the_drafts() -> set[str]:
    """Give every keyword that the drafts themselves name."""
    known: set[str] = set()
    for name in ("Draft4", "Draft6", "Draft7", "Draft201909", "Draft202012"):
        validator: Any = getattr(validators, f"{name}Validator")
        known |= set(validator.META_SCHEMA.get("properties", ())) | set(validator.VALIDATORS)
    return known


def test_every_keyword_of_every_draft_is_known() -> None:
    known = keywords_of_the_drafts()
    assert {"dependentRequired", "maxLength", "prefixItems", "id", "$dynamicRef"} <= known
    assert known - {"extends", "divisibleBy", "disallow"} <= set(_TAKES) | _OTHERS


def test_our_own_schemas_have_no_slip(tmp_path: Path) -> None:
    for number, schema in enumerate([config_schema(), json.loads(resource("schemas/log.schema.json"))]):
        assert told(tmp_path / str(number), schema) == []


def told(top: Path, schema: object, **files: str) -> list[str]:
    """Give what is told of a config whose event type has such a schema (a text stands as it is)."""
    text = schema if isinstance(schema, str) else json.dumps(schema)
    main = files.pop("main", "version: 1\nevent_types: {a: {schema: s/a.json}, b: {schema: s/a.json}}\n")
    loaded = load_again(write_tree(top, main=main, **{"s/a.json": text}, **files), None)
    assert not isinstance(loaded, Rejected)
    found = find_misspelt(loaded.config, loaded.snapshot)
    assert {(it.code, it.severity) for it in found} <= {("unknown_keyword", "warning")}
    return [f"{it.place}".removeprefix(f"{top}/") + f" {it.message.split()[0]} {it.hint}" for it in found]


def test_it_is_told_at_the_key_once(tmp_path: Path) -> None:
    text = '{"type": "object",\n "requird": ["id"],\n "properties": {"id": {\n  "minmum" : 1}}}'
    assert told(tmp_path, text) == ["s/a.json:2:2 `requird` required", "s/a.json:4:3 `minmum` minimum"]


@pytest.mark.parametrize(
    ("schema", "is_told"),
    [
        ({"properties": {"requird": {"type": "string"}, "tpye": {}}}, False),
        ({"patternProperties": {"item": {}}, "$defs": {"anyof": {}}}, False),
        ({"enum": [{"requird": ["a"]}], "default": {"tpye": "a"}, "const": {"item": {}}}, False),
        ({"examples": [{"item": {}}], "x-mine": {"item": {}}, "mine": {"item": {}}}, False),
        ({"dependentRequired": {"item": ["a"]}}, False),
        ({"$defs": {"a": {"requird": ["a"]}}}, True),
        ({"items": {"requird": ["a"]}}, True),
        ({"prefixItems": [{}, {"requird": ["a"]}]}, True),
        ({"anyOf": [{"not": {"requird": ["a"]}}]}, True),
        ({"properties": {"properties": {"requird": ["a"]}}}, True),
        ({"additionalProperties": {"if": {"requird": ["a"]}}}, True),
        (True, False),
    ],
)
def test_only_where_a_schema_stands(tmp_path: Path, schema: object, *, is_told: bool) -> None:
    assert bool(told(tmp_path, schema)) is is_told


def test_in_what_a_schema_refers_to_and_in_one_of_a_body_and_in_yaml(tmp_path: Path) -> None:
    main = """\
    version: 1
    event_types: {a: {schema: s/a.json}}
    webhooks:
      w: {url: 'https://a.example/', events: [a], body: {schema: out.yaml}}
    """
    files = {"s/b.json": '{"requird": ["a"]}', "out.yaml": "type: object\nproperties:\n  a:\n    minLenght: 3\n"}
    assert told(tmp_path, {"$ref": "b.json"}, main=main, **files) == [
        "s/b.json:1:2 `requird` required",
        "out.yaml:4:5 `minLenght` minLength",
    ]
