"""Filters: whether a webhook wants an event, by what the event says.

Rules of this module:

1. Every line must hold. A line is a path with a condition, or `any`, `all` (lists of filters) or `not` (a filter).
   A condition is a value (equal), a list (any of these) or a mapping of operators, all of which must hold.
2. On a missing path every operator is false, `ne` too; only `exists: false` and `not` see that nothing is there.
   An attribute that the event does not carry is missing; a null in its data is a value.
3. All problems of a filter are reported at once, each with its place inside it.
4. A filter is compiled once per config. The tree of clauses stays readable, so that `explaining` can tell which line
   of a filter refused an event. The cheap clauses are asked first: the answer is the same in any order.
5. A condition that could never hold for want of anything in it (`in: []`, `any: []`, `{}`) is a mistake of the
   writer's and is refused; an empty filter as a whole says nothing and lets everything pass.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Final, TypeAlias

from hookd.core.conditions import OPERATORS, OperandInvalid, compile_condition
from hookd.core.jsonvalues import Problem, is_key
from hookd.core.paths import ABSENT, Path, PathInvalid, did_you_mean, event_time, parse_path, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hookd.core.model import Event
    from hookd.core.paths import Steps

Test: TypeAlias = "Callable[[Event, object], bool]"
Lookup: TypeAlias = "Callable[[Event, object], object]"

_CONNECTIVES: Final = ("any", "all", "not")
#: What others call them; what is merely mistyped is found without.
_CONNECTIVES_ELSEWHERE: Final = {"or": "any", "and": "all", "none": "not", "$or": "any", "$and": "all", "$not": "not"}
_OPERATORS_ELSEWHERE: Final = {
    "=": "eq",
    "==": "eq",
    "equals": "eq",
    "is": "eq",
    "!=": "ne",
    "<>": "ne",
    "neq": "ne",
    "not": "ne",
    ">": "gt",
    "above": "gt",
    "greater": "gt",
    ">=": "gte",
    "min": "gte",
    "<": "lt",
    "below": "lt",
    "less": "lt",
    "<=": "lte",
    "max": "lte",
    "oneof": "in",
    "anyof": "in",
    "startswith": "prefix",
    "endswith": "suffix",
    "includes": "contains",
    "has": "contains",
    "like": "regex",
    "match": "regex",
    "matches": "regex",
    "pattern": "regex",
    "present": "exists",
}
_CHEAP: Final = 1
_REGEX: Final = 8  # in units of a comparison, measured


class FilterInvalid(ValueError):  # noqa: N818  a fact about a config, told to a person
    """A filter does not compile: `problems` names all of them, as (place inside the filter, message).

    Those in `of_keys` are about the key there, a path or an operator; the others about what stands behind it.
    """

    def __init__(self, problems: tuple[Problem, ...], of_keys: frozenset[Problem] = frozenset()) -> None:
        super().__init__("; ".join(message for _, message in problems))
        self.problems = problems
        self.of_keys = of_keys


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Clause:
    """One thing that a filter asks: where it stands in the filter, whether it holds, and what it is made of."""

    at: Steps
    matches: Test
    parts: tuple[Clause, ...] = ()
    cost: int = _CHEAP


@dataclass(frozen=True, slots=True, weakref_slot=True, kw_only=True, eq=False)
class Filter:
    """A compiled filter. `spec` is what was written; two filters are equal only if they are the same object."""

    spec: Mapping[str, object] = field(repr=False)
    clauses: tuple[Clause, ...] = field(repr=False)
    _tests: tuple[Test, ...] = field(repr=False)

    def matches(self, event: Event, data: object) -> bool:
        """Tell whether every line holds. `data` is `event.data` parsed, or `ABSENT` when the event has none."""
        for test in self._tests:  # noqa: SIM110  a generator costs more than the clauses
            if not test(event, data):
                return False
        return True


def compile_filter(spec: object) -> Filter:
    """Compile the mapping under `filter:`; raise `FilterInvalid` that names all problems."""
    problems = _Problems()
    clauses = _compile_lines(spec, (), problems)
    if problems or not isinstance(spec, Mapping):
        raise FilterInvalid(tuple(problems), frozenset(problems.of_keys))
    return Filter(spec=spec, clauses=clauses, _tests=_cheapest_first(clauses))


def value_at(text: str, event: Event, data: object) -> object:
    """Give what a filter's path finds in an event, `ABSENT` if there is nothing; for telling, not for deciding."""
    return _compile_lookup(parse_path(text))(event, data)


# --------------------------------------------------------------------------- the tree


class _Problems(list[Problem]):
    """The problems of a filter, and those of them that are about a key."""

    def __init__(self) -> None:
        super().__init__()
        self.of_keys: set[Problem] = set()

    def add_of_key(self, at: Steps, message: str) -> None:
        self.append((at, message))
        self.of_keys.add((at, message))


def _compile_lines(spec: object, at: Steps, problems: _Problems) -> tuple[Clause, ...]:
    if not isinstance(spec, Mapping):
        problems.append((at, "expected a filter: a mapping of paths to conditions"))
        return ()
    if at and not spec:
        problems.append((at, "an empty filter says nothing"))
    clauses: list[Clause] = []
    for key, said in spec.items():
        if not is_key(key, at, problems):
            continue
        place = (*at, key)
        if key in _CONNECTIVES:
            clauses.append(_compile_connective(key, said, place, problems))
        else:
            clauses.extend(_compile_line(key, said, place, problems))
    return tuple(clauses)


def _compile_connective(key: str, said: object, at: Steps, problems: _Problems) -> Clause:
    if key == "not":
        lines = _compile_lines(said, at, problems)
        held = _all_of(lines)
        return _clause(at, lambda event, data: not held(event, data), lines)
    if not isinstance(said, list | tuple):
        problems.append((at, f"`{key}` takes a list of filters"))
        said = ()
    elif not said:
        problems.append((at, f"`{key}` has no filter in it"))
    branches: list[Clause] = []
    for number, branch in enumerate(said):
        place = (*at, number)
        lines = _compile_lines(branch, place, problems)
        branches.append(_clause(place, _all_of(lines), lines))
    parts = tuple(branches)
    return _clause(at, _all_of(parts) if key == "all" else _any_of(parts), parts)


def _compile_line(text: str, said: object, at: Steps, problems: _Problems) -> list[Clause]:
    path = _compile_path(text, at, problems)
    lookup: Lookup = _nowhere if path is None else _compile_lookup(path)
    if not isinstance(said, Mapping):
        name = "in" if isinstance(said, list | tuple) else "eq"
        return _compile_operator(name, said, lookup, at, problems)
    if not said:
        problems.append((at, "no operator here; an empty object is written {eq: {}}"))
    clauses: list[Clause] = []
    for name, operand in said.items():
        if not is_key(name, at, problems):
            continue
        place = (*at, name)
        if name in OPERATORS:
            clauses.extend(_compile_operator(name, operand, lookup, place, problems))
        else:
            problems.add_of_key(place, _unknown_operator(name, path))
    return clauses


def _compile_path(text: str, at: Steps, problems: _Problems) -> Path | None:
    try:
        path = parse_path(text)
    except PathInvalid as invalid:
        meant = _CONNECTIVES_ELSEWHERE.get(text.lower())
        near = f"; did you mean `{meant}`?" if meant else did_you_mean(text, _CONNECTIVES)
        problems.add_of_key(at, str(invalid) + (near if "did you mean" not in str(invalid) else ""))
        return None
    if path.attribute == "secrets":
        problems.add_of_key(at, "a filter cannot look at secrets")
        return None
    if path.optional:
        problems.add_of_key(at, "a path in a filter takes no `?`; `exists` asks whether it is there")
        return None
    return path


def _unknown_operator(name: str, path: Path | None) -> str:
    meant = _OPERATORS_ELSEWHERE.get(name.lower().removeprefix("$").replace("_", ""))
    near = f"; did you mean `{meant}`?" if meant else did_you_mean(name, OPERATORS)
    if near:
        return f"unknown operator `{shown(name)}`{near}"
    if path is not None and path.attribute in {"data", "extensions"}:
        near = f"; a deeper path is written in one line: `{shown(path.text)}.{shown(name)}`"
    return f"unknown operator `{shown(name)}`{near}; there are {' '.join(OPERATORS)}"


def _compile_operator(name: str, operand: object, lookup: Lookup, at: Steps, problems: _Problems) -> list[Clause]:
    if name == "exists":
        if not isinstance(operand, bool):
            problems.append((at, "`exists` takes true or false"))
            return []
        return [Clause(at=at, matches=lambda event, data: (lookup(event, data) is not ABSENT) is operand)]
    try:
        condition = compile_condition(name, operand)
    except OperandInvalid as invalid:
        problems.extend(((*at, *inside), f"`{name}`: {message}") for inside, message in invalid.problems)
        return []

    def holds(event: Event, data: object) -> bool:
        value = lookup(event, data)
        return value is not ABSENT and condition(value)

    return [Clause(at=at, matches=holds, cost=_REGEX if name == "regex" else _CHEAP)]


# --------------------------------------------------------------------------- joining


def _clause(at: Steps, matches: Test, parts: tuple[Clause, ...]) -> Clause:
    return Clause(at=at, matches=matches, parts=parts, cost=sum(part.cost for part in parts))


def _cheapest_first(clauses: Sequence[Clause]) -> tuple[Test, ...]:
    return tuple(clause.matches for clause in sorted(clauses, key=attrgetter("cost")))


def _all_of(clauses: Sequence[Clause]) -> Test:
    tests = _cheapest_first(clauses)
    if len(tests) == 1:
        return tests[0]
    return lambda event, data: all(test(event, data) for test in tests)


def _any_of(clauses: Sequence[Clause]) -> Test:
    tests = _cheapest_first(clauses)
    return lambda event, data: any(test(event, data) for test in tests)


# --------------------------------------------------------------------------- looking up


def _nowhere(_event: Event, _data: object) -> object:
    return ABSENT


def _compile_lookup(path: Path) -> Lookup:
    steps = path.steps
    if path.attribute == "data":
        if not steps:
            return lambda _event, data: data
        if len(steps) == 1 and isinstance(steps[0], str):
            key = steps[0]
            return lambda _event, data: data.get(key, ABSENT) if isinstance(data, dict) else ABSENT
        return lambda _event, data: _step_into(data, steps)
    if path.attribute == "extensions":
        return lambda event, _data: (
            ABSENT if event.extensions is None else _step_into(_parse_extensions(event.extensions), steps)
        )
    if path.attribute == "time":
        return lambda event, _data: event_time(event)
    get = attrgetter(path.attribute)

    def attribute(event: Event, _data: object) -> object:
        value = get(event)
        return ABSENT if value is None else value

    return attribute


def _step_into(value: object, steps: Steps) -> object:
    for step in steps:
        if isinstance(step, str):
            if not isinstance(value, dict) or step not in value:
                return ABSENT
            value = value[step]
        else:
            if not isinstance(value, list) or step >= len(value):
                return ABSENT
            value = value[step]
    return value


@lru_cache(maxsize=16)  # the filters of all webhooks ask about the same event, one after another
def _parse_extensions(extensions: bytes) -> object:
    return json.loads(extensions)
