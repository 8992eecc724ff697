"""What a schema says against a value, in our words.

Rules of this module:

1. A message says the rule, which stands in the schema, and never a value, which came from outside. So a message is
   made from the kind of the error, not from the validator's text.
2. A path shows the names that the schema itself names. Another name is the payload's own (a mapping may be keyed by
   e-mail addresses) and shows as `*`. Of a property that is not allowed the name is what is to be mended, so whoever
   wrote it is told it, and no log is (`Fault.named`): if it looks like a field's, and in no schema that takes names by
   a pattern.
3. Of several alternatives the one that fits best speaks, as a person would point at it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from jsonschema_rs import ValidationErrorKind as Kind

from hookd.core.config import Fault
from hookd.core.paths import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jsonschema_rs import ValidationError

_ARTICLES: Final = {
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "object": "an object",
    "array": "an array",
    "boolean": "true or false",
    "null": "null",
}
_LIMITS: Final = {
    "minLength": ("must have at least", "character", "characters"),
    "maxLength": ("must have at most", "character", "characters"),
    "minItems": ("must have at least", "item", "items"),
    "maxItems": ("must have at most", "item", "items"),
    "additionalItems": ("must have at most", "item", "items"),
    "minProperties": ("must have at least", "property", "properties"),
    "maxProperties": ("must have at most", "property", "properties"),
}
_SHOW_VALUE: Final = {
    "minimum": "must be at least",
    "maximum": "must be at most",
    "exclusiveMinimum": "must be more than",
    "exclusiveMaximum": "must be less than",
    "multipleOf": "must be a multiple of",
    "format": "must be in the format",
    "pattern": "must match the pattern",
}
_FIXED: Final = {
    "additionalProperties": "has a property that the schema does not allow",
    "unevaluatedProperties": "has a property that the schema does not allow",
    "unevaluatedItems": "has an item that the schema does not allow",
    "propertyNames": "has a property whose name the schema does not allow",
    "falseSchema": "is not allowed",
    "not": "is one of the things that the schema excludes",
    "contains": "must contain as many items of a kind as the schema asks for",
    "uniqueItems": "must not have the same item twice",
    "oneOf": "fits more than one of the forms of which the schema allows one",
    "contentEncoding": "must be encoded as the schema says",
    "contentMediaType": "must be of the media type that the schema names",
}
#: What a field is called: words, with a figure or two behind them. A person, an address, a number or a token is none.
_FIELD: Final = re.compile(r"[$_]?[^\W\d_]+(?:[0-9]{1,2}(?![0-9])(?:[A-Z][^\W\d_]*)?|[_-][^\W\d_]+)*")
_NAME: Final = 40  # characters of a name that may still be a field's
_NAMED: Final = 3  # as many are named
_MOST_TRIED: Final = 100  # of how many it is asked whether they may be
_SHOWN: Final = 80  # characters of a pattern or a list of values that a message may hold


@dataclass(frozen=True, slots=True)
class Names:
    """The names of properties that a schema names. `by_pattern`: it takes others too, by patterns."""

    known: frozenset[str]
    by_pattern: bool = False

    def show(self, name: str) -> str | None:
        """Give a name that the schema does not allow if it may be told; else None."""
        is_field = len(name) <= _NAME and _FIELD.fullmatch(name) is not None
        return name if name in self.known or (is_field and not self.by_pattern) else None


def explain(error: ValidationError, names: Names) -> Fault:
    """Give the fault that an error of jsonschema-rs stands for."""
    kind = error.kind
    if isinstance(kind, Kind.AnyOf | Kind.OneOfNotValid):
        return _explain_alternatives(error, kind.context, names)
    steps: list[str | int] = list(error.instance_path)
    if isinstance(kind, Kind.Required):
        return Fault(path=pointer([*steps, kind.property], names), message="is required")
    if isinstance(kind, Kind.AdditionalProperties | Kind.UnevaluatedProperties):
        named = _not_allowed(kind.unexpected, names)
        return Fault(path=pointer(steps, names), message=_FIXED["additionalProperties"], named=named)
    keyword = error.schema_path[-1] if isinstance(kind, Kind.FalseSchema) and error.schema_path else kind.name
    return Fault(path=pointer(steps, names), message=_FIXED.get(str(keyword)) or _message(kind))


def pointer(steps: Sequence[str | int], names: Names) -> str:
    """Give a JSON Pointer (RFC 6901) in which a name that the schema does not name shows as `*`."""
    return "".join(f"/{_step(step, names)}" for step in steps)


def _step(step: str | int, names: Names) -> str:
    if isinstance(step, int):
        return str(step)
    return step.replace("~", "~0").replace("/", "~1") if step in names.known else "*"


def _not_allowed(unexpected: Sequence[str], names: Names) -> str:
    told = [name for name in map(names.show, unexpected[:_MOST_TRIED]) if name is not None][:_NAMED]
    if not told:
        return ""
    listed = ", ".join(f"`{shown(name)}`" for name in told)
    others = " and others" if len(unexpected) > len(told) else ""
    several = len(unexpected) > 1
    return f"has the propert{'ies' if several else 'y'} {listed}{others}, which the schema does not allow"


def _explain_alternatives(error: ValidationError, context: Sequence[Sequence[ValidationError]], names: Names) -> Fault:
    firsts = [branch[0] for branch in context if branch]
    here = len(error.instance_path)
    types = [name for first in firsts if isinstance(first.kind, Kind.Type) for name in first.kind.types]
    mismatched = [isinstance(first.kind, Kind.Type) and len(first.instance_path) == here for first in firsts]
    if firsts and all(mismatched):
        return Fault(path=pointer(error.instance_path, names), message=_one_of_types(types))
    # An alternative of another type was not meant; among the others, one alone or one that got further was.
    meant = [first for first, wrong in zip(firsts, mismatched, strict=True) if not wrong]
    depths = sorted((len(first.instance_path) for first in meant), reverse=True)
    if len(meant) == 1 or (len(meant) > 1 and depths[0] > depths[1]):
        return explain(max(meant, key=lambda first: len(first.instance_path)), names)
    return Fault(path=pointer(error.instance_path, names), message="must have one of the forms that the schema allows")


def _message(kind: Kind) -> str:
    name, value = kind.name, kind.value
    if name in _LIMITS:
        begin, one, many = _LIMITS[name]
        return f"{begin} {value} {one if value == 1 else many}"
    if name in _SHOW_VALUE:
        return f"{_SHOW_VALUE[name]} {value if len(str(value)) <= _SHOWN else 'of the schema'}"
    match kind:
        case Kind.Type():
            return _one_of_types(kind.types)
        case Kind.Enum():
            return _one_of_values(kind.options)
        case Kind.Constant():
            return _one_of_values([kind.expected_value])
        case _:
            return _FIXED.get(name, "does not fit the schema")


def tell_rule(error: Any) -> str:
    """Say which rule of JSON Schema a schema breaks, of an error of jsonschema: its own text repeats the value."""
    subject = next((f"`{step}` " for step in reversed(error.absolute_path) if isinstance(step, str)), "it ")
    keyword, value = str(error.validator), error.validator_value
    if keyword == "type":
        return subject + _one_of_types([value] if isinstance(value, str) else value)
    if keyword == "enum":
        return subject + _one_of_values(value)
    if keyword in _LIMITS:
        begin, one, many = _LIMITS[keyword]
        return f"{subject}{begin} {value} {one if value == 1 else many}"
    if keyword in {"format", "pattern"}:
        return f"{subject}is not written as it must be"
    if keyword in _SHOW_VALUE:
        return f"{subject}{_SHOW_VALUE[keyword]} {value}"
    return subject + _FIXED.get(keyword, "is not what JSON Schema allows there")


def _one_of_types(types: Sequence[str]) -> str:
    # The validator sorts them by its own order; a person says null last.
    listed = [_ARTICLES.get(name, name) for name in sorted(dict.fromkeys(types), key="null".__eq__)]
    return f"must be {' or '.join(listed)}"


def _one_of_values(values: Sequence[object]) -> str:
    listed = ", ".join(json.dumps(value, ensure_ascii=False, default=str) for value in values)
    if len(listed) > _SHOWN:
        return "must be what the schema lists"
    return f"must be {listed}" if len(values) == 1 else f"must be one of {listed}"
