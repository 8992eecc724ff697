"""Whether a JSON Schema allows that anything is at a path: for telling a misspelt path before the first event.

Rules of this module:

1. It says no only when no valid value can have anything there. What it does not understand it lets pass, since a path
   that is refused though it is right would keep a good config out.
2. A property is ruled out by `additionalProperties: false` (or a type that has no properties), in the schema itself
   or through `$ref` and `allOf`, or in every branch of `anyOf` and `oneOf`. `if`, `not`, `dependentSchemas`,
   `unevaluatedProperties` and dynamic references are not followed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urldefrag, urljoin

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hookd.core.paths import Steps

#: More schemas than this on the way of one path are a cycle or a maze; then anything may be.
_MOST_STEPS: Final = 200


@dataclass(frozen=True, slots=True)
class Shape:
    """The schema at `root`, and those that it refers to, by address. Two shapes are equal if they are the same."""

    root: str
    values: Mapping[str, object] = field(repr=False, compare=False)
    _known: dict[Steps, bool] = field(default_factory=dict, repr=False, compare=False)

    def can_have(self, steps: Steps) -> bool:
        """Whether a valid value may have something at `steps`."""
        if steps not in self._known:
            self._known[steps] = Walk(self.values).can_have(self.values[self.root], self.root, steps)
        return self._known[steps]

    def names_at(self, steps: Steps) -> tuple[str, ...]:
        """Give the names of the properties that the schema lists for the value at `steps`, sorted."""
        return tuple(sorted(Walk(self.values).names_at(self.values[self.root], self.root, steps)))


class Walk:
    """One question to a schema. `left` bounds what it may cost."""

    def __init__(self, values: Mapping[str, object]) -> None:
        self._values = values
        self.left = _MOST_STEPS

    def can_have(self, schema: object, base: str, steps: Steps) -> bool:
        """Whether a value that fits may have something at `steps`. `base` is the address that references start at."""
        self.left -= 1
        if isinstance(schema, bool):
            return schema
        if not isinstance(schema, dict) or self.left < 0:
            return True
        base = base_of(schema, base)
        referred = schema.get("$ref")
        if isinstance(referred, str):
            # Up to draft 7 nothing else in the schema counts beside it, so nothing else is looked at.
            found = self.resolve(referred, base)
            return found is None or self.can_have(*found, steps)
        if not has_inside(schema, steps) or (steps and not self._can_step(schema, base, steps)):
            return False
        every, *choices = (listed(schema, keyword) for keyword in ("allOf", "anyOf", "oneOf"))
        return all(self.can_have(each, base, steps) for each in every) and all(
            any(self.can_have(each, base, steps) for each in some) for some in choices if some
        )

    def _can_step(self, schema: dict[str, object], base: str, steps: Steps) -> bool:
        step, rest = steps[0], steps[1:]
        inner = members_of(schema, step) if isinstance(step, str) else entries_of(schema, step)
        return all(self.can_have(each, base, rest) for each in inner)

    def resolve(self, reference: str, base: str) -> tuple[object, str] | None:
        """Give the schema that a reference leads to, and its address; None: it is not to be found."""
        address, fragment = urldefrag(urljoin(base, reference))
        value = self._values.get(address)
        if value is None or (fragment and not fragment.startswith("/")):
            return None  # an anchor, or a part with an $id of its own
        for part in unquote(fragment).split("/")[1:]:
            step = part.replace("~1", "/").replace("~0", "~")
            if isinstance(value, dict) and step in value:
                value = value[step]
            elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
                value = value[int(step)]
            else:
                return None
        return value, address

    def names_at(self, schema: object, base: str, steps: Steps) -> set[str]:
        """Give the names of the properties that are listed for the value at `steps`."""
        self.left -= 1
        if not isinstance(schema, dict) or self.left < 0:
            return set()
        base = base_of(schema, base)
        names: set[str] = set()
        properties = schema.get("properties")
        if not steps:
            names.update(properties if isinstance(properties, dict) else ())
        else:
            step, rest = steps[0], steps[1:]
            for each in members_of(schema, step) if isinstance(step, str) else entries_of(schema, step):
                names |= self.names_at(each, base, rest)
        referred = schema.get("$ref")
        if isinstance(referred, str) and (found := self.resolve(referred, base)) is not None:
            names |= self.names_at(*found, steps)
        for keyword in ("allOf", "anyOf", "oneOf"):
            for each in listed(schema, keyword):
                names |= self.names_at(each, base, steps)
        return names


def listed(schema: dict[str, object], keyword: str) -> list[object]:
    """Give the list under a keyword; an empty one if there is none."""
    value = schema.get(keyword)
    return value if isinstance(value, list) else []


def base_of(schema: dict[str, object], base: str) -> str:
    """Give the address that references in a schema start at."""
    named = schema.get("$id")
    return urldefrag(urljoin(base, named))[0] if isinstance(named, str) and not named.startswith("#") else base


def has_inside(schema: dict[str, object], steps: Steps) -> bool:
    """Whether the `type` of a schema allows what has something at `steps`."""
    if not steps:
        return True
    types = schema.get("type")
    wanted = "object" if isinstance(steps[0], str) else "array"
    return types is None or wanted == types or (isinstance(types, list) and wanted in types)


def members_of(schema: dict[str, object], name: str) -> Iterable[object]:
    """Give the schemas that the member of this name has to fit."""
    found: list[object] = []
    properties, patterns = schema.get("properties"), schema.get("patternProperties")
    if isinstance(properties, dict) and name in properties:
        found.append(properties[name])
    for pattern, inner in patterns.items() if isinstance(patterns, dict) else ():
        try:
            matches = re.search(pattern, name) is not None
        except re.error:
            return []  # another dialect than Python's
        if matches:
            found.append(inner)
    if not found and "additionalProperties" in schema:
        found.append(schema["additionalProperties"])
    return found


def entries_of(schema: dict[str, object], index: int) -> Iterable[object]:
    """Give the schemas that the entry of an array has to fit."""
    most = schema.get("maxItems")
    if isinstance(most, int) and index >= most:
        return [False]
    items, first, more = schema.get("items"), schema.get("prefixItems"), schema.get("additionalItems")
    if isinstance(items, list):  # before 2020-12
        items, first = more, items
    if isinstance(first, list) and index < len(first):
        return [first[index]]
    return [] if items is None else [items]
