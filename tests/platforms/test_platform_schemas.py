"""The schemas of the three platforms, judged by foreign code; and their samples."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from referencing import Registry, Resource

from tests.e2e.house import ROOT
from tests.platforms.platforms import EXAMPLE, PLATFORMS, read_bad, read_good, types_of

if TYPE_CHECKING:
    from collections.abc import Iterator

FILES = sorted(path for platform in PLATFORMS for path in (ROOT / "schemas" / platform).glob("*.json"))
SCHEMAS: dict[str, dict[str, Any]] = {
    f"https://hookd.example/{path.relative_to(ROOT)}": json.loads(path.read_text()) for path in FILES
}
REGISTRY: Registry[Any] = Registry().with_resources(
    (uri, Resource.from_contents(schema)) for uri, schema in SCHEMAS.items()
)


def walk(node: object, at: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Give every object of a schema with its place."""
    if isinstance(node, dict):
        yield at, node
        for key, value in node.items():
            yield from walk(value, f"{at}/{key}")
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from walk(value, f"{at}/{number}")


@pytest.mark.parametrize("uri", SCHEMAS)
def test_a_schema_is_one_is_called_by_its_place_and_says_what_it_is(uri: str) -> None:
    schema = SCHEMAS[uri]
    jsonschema.Draft202012Validator.check_schema(schema)
    assert (schema["$schema"], schema["$id"]) == ("https://json-schema.org/draft/2020-12/schema", uri)
    assert schema["title"]
    for at, node in walk(schema):
        for name, value in node.get("properties", {}).items():
            assert "$ref" in value or value["description"], f"{at}: {name} has no description"


@pytest.mark.parametrize("uri", SCHEMAS)
def test_texts_and_lists_are_bounded_and_digits_are_ascii(uri: str) -> None:
    for at, node in walk(SCHEMAS[uri]):
        kinds = node.get("type", ())
        kinds = {kinds} if isinstance(kinds, str) else set(kinds)
        if "string" in kinds:
            bounded = "maxLength" in node or ("$" in node.get("pattern", "") and "*" not in node["pattern"])
            assert bounded, f"{at}: a text without a bound"
        if "array" in kinds and "items" in node:
            assert "maxItems" in node, f"{at}: a list without a bound"
        pattern = node.get("pattern", "")
        assert "\\d" not in pattern, f"{at}: \\d means other scripts' digits in some validators"
        assert not pattern or (pattern[0], pattern[-1]) == ("^", "$"), f"{at}: not anchored"


@pytest.mark.parametrize("platform", PLATFORMS)
def test_definitions_are_referred_to_and_not_copied(platform: str) -> None:
    said = Counter(
        json.dumps({key: value for key, value in node.items() if key != "description"}, sort_keys=True)
        for uri, schema in SCHEMAS.items()
        if f"/{platform}/" in uri
        for at, node in walk(schema)
        if len(node.keys() & {"type", "pattern", "maxLength", "minimum", "required"}) > 1 and "$id" not in node
    )
    assert [text for text, count in said.items() if count > 1] == []


def validator_of(event_type: str) -> jsonschema.Draft202012Validator:
    uri = f"https://hookd.example/{EXAMPLE['event_types'][event_type]['schema']}"
    return jsonschema.Draft202012Validator(SCHEMAS[uri], registry=REGISTRY)


@pytest.mark.parametrize("platform", PLATFORMS)
def test_each_event_type_has_a_schema_of_its_name_a_good_sample_and_three_bad_ones(platform: str) -> None:
    good = Counter(event["type"] for event in read_good(platform))
    bad = Counter(each.event["type"] for each in read_bad(platform))
    assert set(good) == set(bad) == set(types_of(platform))
    assert min(bad.values()) >= 3
    for name in good:
        assert EXAMPLE["event_types"][name]["schema"] == f"schemas/{platform}/{name}.json"


@pytest.mark.parametrize("platform", PLATFORMS)
def test_foreign_code_agrees_about_the_samples(platform: str) -> None:
    for event in read_good(platform):
        assert list(validator_of(event["type"]).iter_errors(event["data"])) == [], event
    for each in read_bad(platform):
        if each.code == "schema_invalid" and "data" in each.event:
            assert not validator_of(each.event["type"]).is_valid(each.event["data"]), each
