"""Which values a JSON Schema allows at a path, and whether a condition of a filter can hold of one of them.

Rules of this module:

1. What is allowed is never less than what is valid: a keyword that is not looked at only takes values away, and where
   it is not certain how the validator reads something (draft 4, a draft inside another one, a name
   beyond ASCII and a pattern) anything is allowed. So a condition that cannot hold here holds of no valid value.
2. `type`, `enum`, `const`, `properties` and the like, `$ref`, `allOf`, `anyOf` and `oneOf` are followed.
3. Whether a condition holds of a value is asked of the condition itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hookd.config.schema.shapes import Walk, base_of, entries_of, has_inside, listed, members_of
from hookd.core.conditions import OperandInvalid, compile_condition
from hookd.core.jsonvalues import same_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from hookd.config.schema.shapes import Shape
    from hookd.core.paths import Steps

#: The kinds of JSON values, the numbers in two: 1.0 is an integer as 1 is (JSON Schema 2020-12, 4.2.3).
_KINDS: Final = frozenset({"null", "boolean", "integer", "fraction", "string", "object", "array"})
_OF_TYPE: Final[Mapping[str, frozenset[str]]] = {
    **{kind: frozenset({kind}) for kind in _KINDS - {"fraction"}},
    "number": frozenset({"integer", "fraction"}),
}
#: The drafts that have all the keywords that are followed here; in draft 4 `const` means nothing.
_DRAFTS: Final = (
    "https://json-schema.org/draft/2020-12/schema",
    "https://json-schema.org/draft/2019-09/schema",
    "http://json-schema.org/draft-07/schema",
    "http://json-schema.org/draft-06/schema",
)
_NUMBERS: Final = frozenset({"integer", "fraction"})
_TEXTS: Final = frozenset({"string"})
_ORDERS: Final = frozenset({"gt", "gte", "lt", "lte"})
_OF_TEXTS: Final = frozenset({"prefix", "suffix", "regex"})
#: From here on not every integer is a float of its own, and two readers may take different ones for equal.
_EXACT: Final = 2**53


@dataclass(frozen=True, slots=True)
class Allowed:
    """Values: those of these kinds, of `values` alone if it is not None."""

    kinds: frozenset[str]
    values: tuple[object, ...] | None = None

    @property
    def is_anything(self) -> bool:
        """Whether nothing is ruled out."""
        return self.kinds == _KINDS and self.values is None

    def both(self, other: Allowed) -> Allowed:
        """Give what is allowed here and there."""
        values, others = self.values, other.values
        if values is None:
            values = others
        elif others is not None:
            values = tuple(value for value in values if any(_is_same(value, each) for each in others))
        return _of(self.kinds & other.kinds, values)

    def either(self, other: Allowed) -> Allowed:
        """Give what is allowed here or there."""
        values = None if self.values is None or other.values is None else (*self.values, *other.values)
        return Allowed(self.kinds | other.kinds, values)


ANYTHING: Final = Allowed(_KINDS)
NOTHING: Final = Allowed(frozenset(), ())


def find_allowed(shape: Shape, steps: Steps) -> Allowed:
    """Give what a valid value may have at `steps`; `NOTHING`: it cannot have anything there."""
    drafts = {value["$schema"] for value in shape.values.values() if isinstance(value, dict) and "$schema" in value}
    if not all(isinstance(draft, str) and draft.rstrip("#") in _DRAFTS for draft in drafts):
        return ANYTHING
    return _Walk(shape.values, drafts <= {_DRAFTS[0]}).allowed(shape.values[shape.root], shape.root, steps)


def may_hold(allowed: Allowed, name: str, operand: object) -> bool:
    """Whether an operator of a filter may hold of one of these values."""
    if name == "in" and isinstance(operand, list):
        return any(may_hold(allowed, "eq", each) for each in operand)
    if allowed.values is None:
        return name not in _HOLDS_OF or not allowed.kinds.isdisjoint(_HOLDS_OF[name](operand))
    try:
        holds = compile_condition(name, operand)
    except OperandInvalid:
        return True
    return any(_is_vague(value) or holds(value) for value in allowed.values)


def kind_of(value: object) -> str:
    """Give the kind of a JSON value: `null boolean integer fraction string object array`."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else "boolean"
    if isinstance(value, int | float):
        return "integer" if isinstance(value, int) or value.is_integer() else "fraction"
    if isinstance(value, str):
        return "string"
    return "object" if isinstance(value, Mapping) else "array"


def _of_order(operand: object) -> frozenset[str]:
    return _TEXTS if isinstance(operand, str) else _NUMBERS


def _of_contains(operand: object) -> frozenset[str]:
    return frozenset({"array", "string"} if isinstance(operand, str) else {"array"})


#: The kinds that an operator can hold of at all. The others, `ne` and `exists`, hold of any.
_HOLDS_OF: Final[Mapping[str, Callable[[object], frozenset[str]]]] = {
    "eq": lambda operand: frozenset({kind_of(operand)}),
    "contains": _of_contains,
    **dict.fromkeys(_ORDERS, _of_order),
    **dict.fromkeys(_OF_TEXTS, lambda _: _TEXTS),
}


class _Walk(Walk):
    """One question to schemas, as `shapes` asks them. `is_newest`: all of them are of the newest draft."""

    def __init__(self, values: Mapping[str, object], is_newest: bool) -> None:  # noqa: FBT001  of this module alone
        super().__init__(values)
        self._is_newest = is_newest

    def allowed(self, schema: object, base: str, steps: Steps) -> Allowed:
        self.left -= 1
        if isinstance(schema, bool):
            return ANYTHING if schema else NOTHING
        if not isinstance(schema, dict) or self.left < 0 or self._is_foreign(schema):
            return ANYTHING
        base = base_of(schema, base)
        referred = schema.get("$ref")
        if isinstance(referred, str):  # what stands beside it may count as well, and only takes away
            found = self.resolve(referred, base)
            return ANYTHING if found is None else self.allowed(*found, steps)
        result = self._inside(schema, base, steps) if steps else _own(schema)
        for each in listed(schema, "allOf"):
            result = result.both(self.allowed(each, base, steps))
        for keyword in ("anyOf", "oneOf"):
            choices = listed(schema, keyword)
            if choices:
                some = NOTHING
                for each in choices:
                    some = some.either(self.allowed(each, base, steps))
                result = result.both(some)
        return result

    def _inside(self, schema: dict[str, object], base: str, steps: Steps) -> Allowed:
        if not has_inside(schema, steps):
            return NOTHING
        step, rest = steps[0], steps[1:]
        if isinstance(step, str):
            is_certain = step.isascii() or "patternProperties" not in schema
            inner = members_of(schema, step)
        else:
            is_certain = self._is_newest or "prefixItems" not in schema
            inner = entries_of(schema, step)
        if not is_certain:
            return ANYTHING
        result = ANYTHING
        for each in inner:
            result = result.both(self.allowed(each, base, rest))
        return result

    def _is_foreign(self, schema: dict[str, object]) -> bool:
        """Whether a schema inside of another one has a draft of its own."""
        return "$schema" in schema and not any(schema is value for value in self._values.values())


def _own(schema: dict[str, object]) -> Allowed:
    """Give what `type`, `enum` and `const` of a schema allow."""
    result = ANYTHING
    types = schema.get("type")
    names = [types] if isinstance(types, str) else types
    if isinstance(names, list) and names:
        result = _of(frozenset[str]().union(*(_OF_TYPE.get(str(name), _KINDS) for name in names)), None)
    if isinstance(schema.get("enum"), list):
        result = result.both(_listed_values(listed(schema, "enum")))
    return result.both(_listed_values([schema["const"]])) if "const" in schema else result


def _listed_values(values: list[object]) -> Allowed:
    return Allowed(frozenset(map(kind_of, values)), tuple(values))


def _of(kinds: frozenset[str], values: tuple[object, ...] | None) -> Allowed:
    """Give the values of these kinds; null and the booleans are few enough to be listed."""
    if values is None and kinds <= {"null", "boolean"}:
        values = (None, True, False)
    if values is not None:
        values = tuple(value for value in values if kind_of(value) in kinds)
        kinds = frozenset(map(kind_of, values))
    return Allowed(kinds, values)


def _is_same(one: object, other: object) -> bool:
    return same_json(one, other) or (_is_vague(one) and _is_vague(other))


def _is_vague(value: object) -> bool:
    """Whether the validator may take other values for equal to this one than we do."""
    if isinstance(value, int | float):
        return not -_EXACT < value < _EXACT
    return isinstance(value, Mapping | list)
