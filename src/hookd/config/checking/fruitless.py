"""Warnings about conditions of filters that no event can meet: the schemas of its type allow no such value.

Rules of this module:

1. It is said only if it is certain of every event type that the webhook takes (`schema.allowed`), and of the condition
   by itself: in `any` or `not` as well it is not what was meant.
2. Of a list the entries that nothing equals are told, unless nothing equals any of them: then the list is, once.
3. What the schema says may be repeated, what the filter says may not.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from hookd.config.building.impossible import PossiblePaths
from hookd.config.comparing.origins import find_places
from hookd.config.problems import Problem, did_you_mean
from hookd.config.schema.allowed import ANYTHING, NOTHING, find_allowed, kind_of, may_hold
from hookd.config.schema.schemafiles import path_of
from hookd.config.schema.schemas import CompiledSchema
from hookd.config.text.scalars import NumberInvalid, parse_plain
from hookd.core.paths import PathInvalid, parse_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hookd.config.schema.allowed import Allowed
    from hookd.config.snapshot import Snapshot
    from hookd.core.config import Config, Place, Webhook
    from hookd.core.paths import Path, Steps

_CONNECTIVES: Final = frozenset({"any", "all", "not"})
_ARTICLES: Final = {
    "null": "null",
    "boolean": "true or false",
    "integer": "an integer",
    "fraction": "a number with a fraction",
    "string": "a string",
    "object": "an object",
    "array": "an array",
}
_OF_TEXTS: Final = frozenset({"prefix", "suffix", "regex"})
#: How many characters of a list of values, and how many event types that differ, are told.
_SHOWN: Final = 80
_MOST_TYPES: Final = 2


def find_fruitless(config: Config, snapshot: Snapshot) -> list[Problem]:
    """Warn of each condition on `data` that holds of no value which the schemas allow, at what it compares with."""
    catalogue = _Catalogue(config, os.path.dirname(os.path.abspath(snapshot.main)))  # noqa: PTH100, PTH120  texts
    told: list[tuple[Webhook, Steps]] = []
    found: list[tuple[str, str | None]] = []
    for webhook in config.webhooks.values() if config.event_types else ():
        types = () if webhook.filter is None else catalogue.types.types_of(webhook.triggers)
        if webhook.filter is None or not types:
            continue
        for at, path, name, operand in _conditions_of(webhook.filter.spec):
            for inside, message, hint in _judge(catalogue, types, path, name, operand):
                told.append((webhook, ("filter", *at, *inside)))
                found.append((message, hint))
    warnings: dict[Place, Problem] = {}  # a filter of a profile is told once
    for place, (message, hint) in zip(find_places(snapshot, told), found, strict=True):
        warnings.setdefault(place, Problem(place, message, "never_matches", hint=hint, severity="warning"))
    return list(warnings.values())


class _Catalogue:
    """What the event types allow at a path; each is asked once. `top` is the directory of the config."""

    def __init__(self, config: Config, top: str) -> None:
        self.types = PossiblePaths(config.event_types)
        self._validators = {name: each.validator for name, each in config.event_types.items()}
        self._top = top
        self._known: dict[tuple[str, Steps], Allowed] = {}

    def allowed(self, name: str, steps: Steps) -> Allowed:
        key = name, steps
        if key not in self._known:
            validator = self._validators[name]
            self._known[key] = (
                find_allowed(validator.shape, steps) if isinstance(validator, CompiledSchema) else ANYTHING
            )
        return self._known[key]

    def source(self, name: str) -> str:
        """Give the file of an event type's schema, as one finds it from the main file."""
        validator = self._validators[name]
        path = path_of(validator.shape.root) if isinstance(validator, CompiledSchema) else None
        return "" if path is None else os.path.relpath(path, self._top)


def _conditions_of(spec: Mapping[str, object], at: Steps = ()) -> Iterator[tuple[Steps, Path, str, object]]:
    """Give the conditions on paths in `data`: where the operand stands, the path, the operator, the operand."""
    for key, said in spec.items():
        if key in _CONNECTIVES:
            branches = [((*at, key), said)] if key == "not" else []
            branches += [((*at, key, number), it) for number, it in enumerate(said if isinstance(said, list) else ())]
            for inside, branch in branches:
                if isinstance(branch, Mapping):
                    yield from _conditions_of(branch, inside)
            continue
        try:
            path = parse_path(key)
        except PathInvalid:
            continue
        if path.attribute != "data":
            continue
        if isinstance(said, Mapping):
            yield from (((*at, key, name), path, name, operand) for name, operand in said.items())
        else:
            yield (*at, key), path, "in" if isinstance(said, list) else "eq", said


def _judge(
    catalogue: _Catalogue, types: tuple[str, ...], path: Path, name: str, operand: object
) -> Iterator[tuple[Steps, str, str | None]]:
    """Give what never holds of a condition: where in its operand, a message, and what was probably meant."""
    allowed = {each: catalogue.allowed(each, path.steps) for each in types}
    if any(it.is_anything for it in allowed.values()) or all(it == NOTHING for it in allowed.values()):
        return  # of the latter the path itself is told
    where = {each: it for each, it in allowed.items() if it != NOTHING}
    odd = _find_odd(where, name, operand)
    what = _tell_allowed(catalogue, where) if odd else ""
    for at, (entry, never) in odd.items():
        message = f"`{path}` is {what}, and {never}{_tell_quotes(where, entry)}"
        yield at, message, _find_meant(where, entry)


def _find_odd(where: Mapping[str, Allowed], name: str, operand: object) -> dict[Steps, tuple[object, str]]:
    """Give what of an operand a condition never holds of, by where in it that stands, each with what never holds."""
    if name != "in" or not isinstance(operand, list):
        return {} if _may_hold(where, name, operand) else {(): (operand, _tell_never(where, name, operand))}
    odd = [number for number, entry in enumerate(operand) if not _may_hold(where, "eq", entry)]
    if len(odd) < len(operand):
        return {(number,): (operand[number], _tell_never(where, "eq", operand[number])) for number in odd}
    are_alike = len(set(map(kind_of, operand))) == 1
    return {(): (operand[0], _tell_never(where, "eq", operand[0]) if are_alike else "never equals any of these")}


def _may_hold(where: Mapping[str, Allowed], name: str, operand: object) -> bool:
    return any(may_hold(allowed, name, operand) for allowed in where.values())


def _tell_allowed(catalogue: _Catalogue, where: Mapping[str, Allowed]) -> str:
    """Say what stands at a path: `a number in user.updated (schemas/user.json) and 2 other event types`."""
    groups: dict[str, list[str]] = {}
    for name, allowed in where.items():
        groups.setdefault(_describe(allowed), []).append(name)
    told = []
    for what, names in list(groups.items())[:_MOST_TYPES]:
        more = len(names) - 1
        others = f" and {more} other event type{'s' if more > 1 else ''}" if more else ""
        told.append(f"{what} in {names[0]} ({catalogue.source(names[0])}){others}")
    return ", ".join(told) + (", and of other kinds elsewhere" if len(groups) > _MOST_TYPES else "")


def _describe(allowed: Allowed) -> str:
    if allowed.values is not None and allowed.kinds != {"boolean"}:
        listed = ", ".join(json.dumps(value, ensure_ascii=False, default=str) for value in allowed.values)
        if len(listed) <= _SHOWN:
            return f"one of {listed}" if len(allowed.values) > 1 else listed
        return "one of what the schema lists"
    words = ["a number" if kind == "fraction" else _ARTICLES[kind] for kind in _ARTICLES if kind in allowed.kinds]
    if "a number" in words and "an integer" in words:
        words.remove("an integer")
    return " or ".join(words)


def _tell_never(where: Mapping[str, Allowed], name: str, operand: object) -> str:
    """Say what never holds, without the value itself."""
    kind = kind_of(operand)
    is_kind = any(kind in allowed.kinds for allowed in where.values())
    if name == "eq":
        return f"never equals {'this value' if is_kind else _ARTICLES[kind]}"
    if is_kind:
        return f"`{name}` never holds of that"
    article = "a number" if kind in {"integer", "fraction"} else _ARTICLES[kind]
    if name == "contains":
        return f"`contains` with {article} holds of arrays{' and strings' if kind == 'string' else ''} only"
    return f"`{name}` holds of strings only" if name in _OF_TEXTS else f"`{name}` with {article} never holds of that"


def _tell_quotes(where: Mapping[str, Allowed], operand: object) -> str:
    """Say that quotes are what is wrong: the value would do with them, or without."""
    if isinstance(operand, str):
        try:
            plain = parse_plain(operand)
        except NumberInvalid:
            return ""
        fits = isinstance(plain, bool | int | float) and _may_hold(where, "eq", plain)
        return f"; without quotes it is {'true or false' if isinstance(plain, bool) else 'a number'}" if fits else ""
    if isinstance(operand, bool):
        return "; quote it" if _may_hold(where, "eq", str(operand).lower()) else ""
    return "; quote it" if isinstance(operand, int | float) and _may_hold(where, "eq", str(operand)) else ""


def _find_meant(where: Mapping[str, Allowed], operand: object) -> str | None:
    """Give the value of the schema that a text was probably meant to be."""
    listed = [value for allowed in where.values() for value in allowed.values or () if isinstance(value, str)]
    return did_you_mean(operand, listed) if isinstance(operand, str) else None
