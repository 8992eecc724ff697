"""Warnings about keywords of JSON Schemas that are probably mistyped: the validator passes over what it does not know.

Rules of this module:

1. A keyword of one's own is nobody's slip: only what differs from a known one by a letter, or a few of many, and holds
   what that one takes is told. `x-` begins the user's own, here too.
2. Only what is a schema is looked at: what stands under `properties` are names, under `enum` and `default` data.
"""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any, Final

from hookd.config.problems import Problem
from hookd.config.schema.schemafiles import parse_schema_file, path_of
from hookd.config.schema.schemas import CompiledSchema

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hookd.config.snapshot import Snapshot
    from hookd.core.config import Config
    from hookd.core.paths import Steps

#: What a keyword takes, as Python types: of every keyword that asks something of a value, in any draft.
_SCHEMA: Final = (dict, bool)
_NUMBER: Final = (int, float)
_TAKES: Final[Mapping[str, tuple[type, ...]]] = {
    **dict.fromkeys(("properties", "patternProperties", "dependentSchemas", "dependentRequired"), (dict,)),
    **dict.fromkeys(("additionalProperties", "unevaluatedProperties", "propertyNames", "not"), _SCHEMA),
    **dict.fromkeys(("contains", "if", "then", "else", "additionalItems", "unevaluatedItems"), _SCHEMA),
    **dict.fromkeys(("allOf", "anyOf", "oneOf", "prefixItems", "required", "enum"), (list,)),
    **dict.fromkeys(("pattern", "format", "$ref"), (str,)),
    **dict.fromkeys(("maximum", "minimum", "multipleOf"), _NUMBER),
    **dict.fromkeys(("exclusiveMaximum", "exclusiveMinimum"), _NUMBER),
    **dict.fromkeys(("maxLength", "minLength", "maxItems", "minItems", "maxProperties", "minProperties"), (int,)),
    **dict.fromkeys(("maxContains", "minContains"), (int,)),
    "dependencies": (dict,),
    "items": (dict, bool, list),
    "type": (str, list),
    "uniqueItems": (bool,),
}
#: Keywords that ask nothing, or that are of other vocabularies and near to one that does.
_OTHERS: Final = frozenset(
    {
        "$schema", "$id", "id", "$anchor", "$dynamicRef", "$dynamicAnchor", "$recursiveRef", "$recursiveAnchor",
        "$vocabulary", "$comment", "$defs", "definitions", "const", "contentEncoding", "contentMediaType",
        "contentSchema", "title", "description", "default", "deprecated", "readOnly", "writeOnly", "examples",
        "example", "nullable", "discriminator", "xml", "externalDocs", "errorMessage", "enumNames",
        "enumDescriptions", "propertyOrder", "extends", "disallow", "divisibleBy", "requires",
    }
)  # fmt: skip
_BY_NAME: Final = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies")
_ONE: Final = tuple(name for name, kinds in _TAKES.items() if set(kinds) >= set(_SCHEMA))
_MANY: Final = ("allOf", "anyOf", "oneOf", "prefixItems", "items")
#: How like two long words are (difflib's ratio), and how long these are.
_NEAR: Final = 0.85
_LONG: Final = 8
#: In a shorter word any other letter may be meant.
_FEW: Final = 4


def find_misspelt(config: Config, snapshot: Snapshot) -> list[Problem]:
    """Warn of each keyword that is probably mistyped, in the schemas of a config and in what they refer to."""
    judges = [each.validator for each in config.event_types.values()]
    judges += [webhook.body.validator for webhook in config.webhooks.values()]
    values: dict[str, object] = {}
    for validator in dict.fromkeys(judges):
        if isinstance(validator, CompiledSchema):
            values.update(validator.shape.values)
    paths = {path_of(address): value for address, value in values.items()}
    found: list[Problem] = []
    for path, value in paths.items():
        slips = list(_find_slips(value, ())) if path in snapshot.files else []
        if path is None or not slips:
            continue
        file = parse_schema_file(path, snapshot.files[path])
        for at, meant in slips:
            message = f"`{at[-1]}` is no keyword of JSON Schema, so it asks for nothing"
            found.append(Problem(file.key_place(at), message, "unknown_keyword", hint=meant, severity="warning"))
    return found


def _find_slips(schema: object, at: Steps) -> Iterator[tuple[Steps, str]]:
    """Give where each mistyped keyword stands, and which one was meant."""
    if not isinstance(schema, dict):
        return
    for key, value in schema.items():
        meant = meant_keyword(key, value)
        if meant is not None:
            yield (*at, key), meant
    for at_inner, inner in _inside(schema):
        yield from _find_slips(inner, (*at, *at_inner))


def _inside(schema: Mapping[str, Any]) -> Iterator[tuple[Steps, object]]:
    """Give the schemas that a schema holds, with where they are in it."""
    for key in _BY_NAME:
        named = schema.get(key)
        yield from (((key, name), inner) for name, inner in named.items()) if isinstance(named, dict) else ()
    for key in _MANY:
        some = schema.get(key)
        yield from (((key, number), inner) for number, inner in enumerate(some)) if isinstance(some, list) else ()
    yield from (((key,), schema[key]) for key in _ONE if key in schema)


def meant_keyword(word: str, value: object) -> str | None:
    """Give the keyword that a word which is none was meant to be, judged by what it holds as well; None: its own."""
    if word in _TAKES or word in _OTHERS or word.startswith("x-"):
        return None
    for keyword, kinds in _TAKES.items():
        is_of_kind = isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))
        if is_of_kind and _is_slip(word, keyword):
            return keyword
    return None


def _is_slip(word: str, keyword: str) -> bool:
    if re.sub(r"[$_-]", "", word).lower() == keyword.lstrip("$").lower():
        return True
    if word[-1:] == "y" and f"{word[:-1]}ies" == keyword:
        return True
    if len(keyword) < _FEW:
        return False
    if min(len(word), len(keyword)) >= _LONG and SequenceMatcher(None, word, keyword).ratio() >= _NEAR:
        return True
    return _is_one_off(word, keyword)


def _is_one_off(word: str, keyword: str) -> bool:
    """Whether one letter is missing, or too many, or another one, or two next to each other are swapped."""
    if abs(len(word) - len(keyword)) > 1:
        return False
    same = 0
    while same < min(len(word), len(keyword)) and word[same] == keyword[same]:
        same += 1
    mine, its = word[same:], keyword[same:]
    is_other = mine[1:] == its[1:] and len(keyword) > _FEW
    is_swapped = mine[2:] == its[2:] and mine[:2] == its[1::-1]
    return mine[1:] == its or mine == its[1:] or is_other or is_swapped
