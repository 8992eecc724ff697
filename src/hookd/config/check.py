"""What a parsed file holds, against the schema of the config: every problem, at its place, in words.

Rules of this module:

1. The schema (`schemas/config.schema.json`, draft-07 so that editors can use it) is the only list of keys and shapes.
   What a key expects in words stands in the schema as well, under `errorMessage`, which editors show too.
2. jsonschema-rs says whether a file is right at all, which takes 5 µs per webhook. Only of a file that is not,
   jsonschema tells what is wrong: it takes 60 times as long, and knows which part of the schema each error is of.
3. One mistake is one problem: of what the schema says about one value, the most telling is kept.
4. What stands inside a filter is told by the compiler of filters, which has the better words. The schema describes it
   all the same, for editors, and a test holds the two to the same verdict.
"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import jsonschema_rs

from hookd.config.building.merge import place_whole
from hookd.config.meant import meant_id, meant_key, meant_quantity, tell_odd, tell_parts
from hookd.config.problems import LACKING, Problem, did_you_mean, sort_problems
from hookd.config.resources import resource

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hookd.config.text.document import Document, Path

Kind: TypeAlias = Literal["main", "included"]

_SCHEMA: Final = "schemas/config.schema.json"
_TYPE_WORDS: Final = {
    "object": "a mapping",
    "array": "a list",
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
}
#: The keywords by how much they tell; of one value, only the problems of the first are kept.
_TELLING: Final = ("additionalProperties", "type", "enum", "const", "pattern", "required", "oneOf", "anyOf")
_BOUNDS: Final = {
    "minimum": "must be at least {}",
    "maximum": "must be at most {}",
    "minLength": "must not be empty",
    "minItems": "must have at least {} entry",
    "maxItems": "must have at most {} entries",
}
_CODES: Final = {
    "type": "wrong_type",
    "required": "missing_key",
    "anyOf": "missing_key",
    "oneOf": "exactly_one",
}


def check_document(document: Document, kind: Kind) -> list[Problem]:
    """Give everything that is wrong with the keys and values of one file, in its order; nothing is raised.

    What the parts of a config say about each other (an unknown profile, a missing `url`) is not seen here.
    """
    if _gate(kind).is_valid(document.value):
        return []
    return list(sort_problems(_explain(document, kind)))


def config_schema(kind: Kind = "main") -> dict[str, Any]:
    """Give the JSON Schema of a main or of an included file."""
    schema: dict[str, Any] = json.loads(resource(_SCHEMA))
    if kind == "main":
        return schema
    definitions = schema["definitions"]
    return {"$schema": schema["$schema"], "allOf": [{"$ref": "#/definitions/included"}], "definitions": definitions}


def _judged(kind: Kind) -> dict[str, Any]:
    """Give the part of the schema that is judged by here."""
    schema = config_schema(kind)
    del schema["definitions"]["webhookFilter"]["then"]
    return schema


@cache
def _gate(kind: Kind) -> jsonschema_rs.Draft7Validator:
    return jsonschema_rs.Draft7Validator(_judged(kind))


@cache
def _explainer(kind: Kind) -> Any:
    import jsonschema  # takes 60 ms, which a start with a config that is right need not wait for

    # In Python `$` also matches before a last line feed; in JSON Schema (ECMA 262) it does not.
    def check_pattern(_validator: object, pattern: str, instance: object, _schema: object) -> Iterator[Any]:
        strict = pattern[:-1] + r"\Z" if pattern.endswith("$") else pattern
        if isinstance(instance, str) and not re.search(strict, instance):
            yield jsonschema.ValidationError("pattern")

    extend: Any = jsonschema.validators.extend
    validator = extend(jsonschema.Draft7Validator, {"pattern": check_pattern})
    return validator(_judged(kind))


def _explain(document: Document, kind: Kind) -> list[Problem]:
    by_path: dict[Path, list[Any]] = {}
    problems: list[Problem] = []
    for error in _explainer(kind).iter_errors(document.value):
        if "propertyNames" in error.absolute_schema_path:
            problems.append(_explain_name(document, error))
        else:
            by_path.setdefault(tuple(error.absolute_path), []).append(error)
    for path, errors in by_path.items():
        keyword = min((str(error.validator) for error in errors), key=_rank)
        for error in errors:
            if error.validator == keyword:
                problems += _explain_error(document, path, error)
                if keyword in {"type", "oneOf", "anyOf"}:
                    break  # the same value may be asked for its type by several parts of the schema
            elif keyword == "additionalProperties" and error.validator == "required":
                # Another key is missing as well, unless an unknown one was probably meant to be it.
                meant = {problem.hint for problem in problems if problem.code == "unknown_key"}
                problems += [it for it in _explain_error(document, path, error) if it.expected not in meant]
    if not problems:  # the two engines disagree, and the stricter one decides
        for fault in _gate(kind).iter_errors(document.value):
            at = tuple(fault.instance_path)
            problems.append(Problem(document.place(at), f"{_subject(at)} is not what the schema asks for", "bad_value"))
    return problems


def _rank(keyword: str) -> int:
    return _TELLING.index(keyword) if keyword in _TELLING else len(_TELLING)


def _explain_error(document: Document, path: Path, error: Any) -> Iterator[Problem]:
    schema: dict[str, Any] = error.schema
    keyword = str(error.validator)
    place, whole = document.place(path), place_whole(document, path)
    if keyword == "additionalProperties":
        yield from _explain_unknown(document, path, schema, error.instance)
    elif keyword == "required" and "errorMessage" not in schema:
        for key in error.validator_value:
            if key not in error.instance:
                yield Problem(whole, f"{_subject(path)} lacks `{key}`", "missing_key", expected=key)
    else:
        expected = _expected(keyword, schema)
        advice = _type_advice(path, schema, error.instance) if keyword == "type" else ""
        if keyword in {"const", "enum"} and str(error.instance) in map(str, _choices(schema)):
            advice = ", without quotes" if isinstance(error.instance, str) else ": quote it"
        short = expected.removeprefix("must ").removeprefix("be ")
        hint = meant_quantity(short, error.instance)
        if isinstance(error.instance, str):
            advice += tell_odd(error.instance) if hint is None else tell_parts(error.instance)
        if "enum" in schema and isinstance(error.instance, str):
            hint = did_you_mean(error.instance, [choice for choice in schema["enum"] if isinstance(choice, str)])
        code = _CODES.get(keyword, "bad_value")
        yield Problem(whole if code in LACKING else place, f"{_subject(path)} {expected}{advice}", code, short, hint)


def _explain_unknown(
    document: Document, path: Path, schema: Mapping[str, Any], instance: Mapping[str, object]
) -> Iterator[Problem]:
    known: Mapping[str, object] = schema["properties"]
    own = tuple(schema.get("patternProperties", ()))
    for key in instance:
        if key in known or any(re.search(pattern, key) for pattern in own):
            continue
        hint = meant_key(key, (name for name in known if name not in instance))
        home = _homes().get(key) if hint is None else None
        message = f"{_subject(path)} has no key `{_shorten(key)}`" + (f"; it belongs {home}" if home else "")
        message += tell_odd(key)
        if not path and hint is None and home is None:
            message += "; keys of your own begin with `x-`"
        place = document.key_place((*path, key))
        expected = None if home else f"one of {', '.join(known)}"
        yield Problem(place, message, "unknown_key", expected=expected, hint=hint)


def _choices(schema: Mapping[str, Any]) -> list[object]:
    return [schema["const"]] if "const" in schema else list(schema.get("enum", ()))


def _explain_name(document: Document, error: Any) -> Problem:
    path = (*error.absolute_path, str(error.instance))
    message: str = error.schema.get("errorMessage", "is not a name that may stand here")
    name = str(error.instance)
    hint = meant_id(name) if message.startswith("is not an id") else None
    return Problem(document.key_place(path), f"`{_shorten(name)}` {message}{tell_odd(name)}", "bad_name", hint=hint)


def _expected(keyword: str, schema: Mapping[str, Any]) -> str:
    """Say what a value must be, as a sentence without its subject."""
    if "errorMessage" in schema:
        message: str = schema["errorMessage"]
        return message
    if "enum" in schema:
        choices = [str(choice) for choice in schema["enum"] if choice is not None]
        return f"must be {'one of ' if len(choices) > 1 else ''}{', '.join(choices)}"
    if keyword in _BOUNDS:
        return _BOUNDS[keyword].format(schema[keyword])
    words = [_TYPE_WORDS[one] for one in _types(schema) if one in _TYPE_WORDS]
    return f"must be {' or '.join(words)}" if words else "is not what the schema asks for"


def _type_advice(path: Path, schema: Mapping[str, Any], instance: object) -> str:
    """Say how to write what was probably meant, without repeating it."""
    types = _types(schema)
    if "object" in types and "string" not in types:
        return _mapping_advice(path, schema, instance)
    if instance is None:
        return "; nothing stands here"
    if isinstance(instance, str):
        return _text_advice(types, instance)
    if isinstance(instance, bool | int | float) and "string" in types:
        as_text = str(instance).lower() if isinstance(instance, bool) else str(instance)
        fits = re.search(schema.get("pattern", ""), as_text) and as_text in schema.get("enum", (as_text,))
        return ": quote it" if fits else ""
    return _plain_advice(path, types, instance) if isinstance(instance, dict) else ""


def _plain_advice(path: Path, types: list[str], instance: Mapping[str, object]) -> str:
    """Say what to write where a mapping stands and none belongs."""
    if "array" in types:
        return ": begin each entry with `- `"
    if list(instance) == ["file"]:
        return ": write the path alone"
    return ": a schema stands in a file of its own" if path[-1:] == ("schema",) else ""


def _text_advice(types: list[str], instance: str) -> str:
    if "boolean" in types and instance.lower() in {"yes", "no", "on", "off", "y", "n"}:
        return " (yes, no, on and off are texts in YAML 1.2)"
    if not {"boolean", "integer", "number"}.isdisjoint(types):
        return ", without quotes" if re.fullmatch(r"[0-9.]+|true|false", instance) else ""
    if "array" in types:
        return ": write a space behind its `-`" if instance.startswith("-") else ": put it in [ ]"
    return ""


def _mapping_advice(path: Path, schema: Mapping[str, Any], instance: object) -> str:
    if len(path) == len(("section", "id")) and path[0] in {"webhooks", "profiles"}:
        if path[1] in config_schema()["definitions"]["webhook"]["properties"]:
            return f"; if the key `{path[1]}` is meant, indent it further, below its {str(path[0])[:-1]}"
        if instance is None:
            return "; nothing stands here: its keys go below it, indented further"
    if isinstance(instance, str) and re.match(r"[\w.-]+:\S", instance):
        return ": write a space behind the `:` of its key"
    if instance is None:
        return "; nothing stands here" + ("; write {} if it is meant to be empty" if path else "")
    keys = list(schema.get("properties", ()))
    return f" with keys like {', '.join(keys[:_KEYS_NAMED])}" if keys else ": lines of `name: value`"


def _types(schema: Mapping[str, Any]) -> list[str]:
    types: str | list[str] = schema.get("type", [])
    return [types] if isinstance(types, str) else types


def _subject(path: Path) -> str:
    """Name a value: `retry.schedule[2]` of whichever webhook, as the place says the rest."""
    if not path:
        return "the file"
    sections = {"webhooks": "webhook", "profiles": "profile", "event_types": "event type"}
    if len(path) == len(("section", "id")) and path[0] in sections:
        return f"{sections[str(path[0])]} `{_shorten(str(path[1]))}`"
    steps = path[2:] if path[0] in sections and len(path) > 1 else path
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{_shorten(step)}" for step in steps)
    return text.removeprefix(".")


def _shorten(key: str) -> str:
    return key if len(key) <= _SHOWN else f"{key[:_SHOWN]}…"


#: As much of a key is repeated in a message.
_SHOWN = 64
#: As many keys of a mapping are named to who wrote something else in its place.
_KEYS_NAMED = 4


@cache
def _homes() -> Mapping[str, str]:
    """Give where each key of the contract belongs, for those that belong in one place only."""
    definitions: Mapping[str, Any] = config_schema()["definitions"]
    parents = {
        part["$ref"].rpartition("/")[2]: f"under `{key}`"
        for definition in definitions.values()
        for key, part in definition.get("properties", {}).items()
        if "$ref" in part
    }
    parents |= {"webhook": "in a webhook", "main": "at the top of the main file", "eventType": "in an event type"}
    homes: dict[str, set[str]] = {}
    for name, definition in definitions.items():
        # What profiles and defaults take is what a webhook takes, and included files repeat the main one.
        if name not in {"profile", "defaults", "included"} and name in parents:
            for key in definition.get("properties", {}):
                homes.setdefault(key, set()).add(parents[name])
    return {key: places.pop() for key, places in homes.items() if len(places) == 1}
