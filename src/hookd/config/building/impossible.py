"""Paths that no event can have: what a filter or a template asks for, against the schemas of the event types.

Rules of this module:

1. A path is a mistake only if none of the event types that a webhook takes can have it: with several types, a filter
   may well ask for what some of them carry. An event type without a schema, and hookd's own, can have anything.
2. What a schema can have is `shapes`' to say; only closed schemas rule anything out.
3. It costs a look into a table per path of a webhook: schemas are asked once for each path, however many webhooks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from hookd.config.building.dollars import place_named
from hookd.config.problems import did_you_mean
from hookd.config.schema.schemas import CompiledSchema
from hookd.core.paths import PathInvalid, parse_path
from hookd.core.routing import OWN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hookd.config.building.reader import Reader
    from hookd.config.schema.shapes import Shape
    from hookd.core.config import EventType, Place, Trigger
    from hookd.core.paths import Path, Steps
    from hookd.core.template import Template

_CONNECTIVES: Final = frozenset({"any", "all", "not"})


class PossiblePaths:
    """Says of the paths of a webhook whether an event can have them; asked for each webhook of a config.

    Not `whole`: there may be other event types. `doubtful` are those that may have another schema.
    """

    def __init__(
        self, event_types: Mapping[str, EventType], *, whole: bool = True, doubtful: frozenset[str] = frozenset()
    ) -> None:
        self._types = event_types
        self._whole = whole
        self._doubtful = doubtful
        self._matched: dict[tuple[Trigger, ...], tuple[str, ...]] = {}
        self._known: dict[tuple[tuple[str, ...], Steps], bool] = {}

    def check(self, reader: Reader, triggers: tuple[Trigger, ...], template: Template | None) -> None:
        """Report each path of a webhook's filter and template that no event of its types can have."""
        if not self._types:
            return
        types = self.types_of(triggers)
        if not types:
            return
        spec = reader.find("filter")
        for at, path in _paths_of(spec) if isinstance(spec, dict) else ():
            if not self._is_possible(types, path):
                self._report(reader, reader.places.key_place(("filter", *at)), types, path)
        for path in template.paths if template is not None else ():
            if not self._is_possible(types, path):
                self._report(reader, place_named(reader, path.text), types, path)

    def types_of(self, triggers: tuple[Trigger, ...]) -> tuple[str, ...]:
        """Give the event types of the catalogue that a webhook takes; none if it takes others as well."""
        if triggers not in self._matched:
            active = [trigger.pattern for trigger in triggers if trigger.active]
            exact = {pattern for pattern in active if not pattern.endswith("*")}
            prefixes = tuple(pattern[:-1] for pattern in active if pattern.endswith("*"))
            own = any(pattern.startswith(OWN) for pattern in active)
            names = () if own else [name for name in self._types if name in exact or name.startswith(prefixes)]
            if not self._whole and (prefixes or not exact.issubset(self._types)):
                names = ()
            self._matched[triggers] = tuple(names)
        return self._matched[triggers]

    def _shape(self, name: str) -> Shape | None:
        validator = None if name in self._doubtful else self._types[name].validator
        return validator.shape if isinstance(validator, CompiledSchema) else None

    def _is_possible(self, types: tuple[str, ...], path: Path) -> bool:
        if path.attribute != "data" or not path.steps:
            return True
        key = types, path.steps
        if key not in self._known:
            self._known[key] = self._can_have(types, path.steps)
        return self._known[key]

    def _can_have(self, types: tuple[str, ...], steps: Steps) -> bool:
        shapes = map(self._shape, types)
        return any(shape is None or shape.can_have(steps) for shape in shapes)

    def _report(self, reader: Reader, place: Place, types: tuple[str, ...], path: Path) -> None:
        whose = f"event of `{types[0]}`" if len(types) == 1 else "event type that `events` names"
        message = f"no {whose} can have `{path.text}`: the schema allows no such property"
        reader.findings.report(place, message, "impossible_path", hint=self._find_meant(types, path))

    def _find_meant(self, types: tuple[str, ...], path: Path) -> str | None:
        steps = path.steps
        at = next(at for at in range(len(steps)) if not self._can_have(types, steps[: at + 1]))
        wrong = steps[at]
        names = {name for each in types if (shape := self._shape(each)) for name in shape.names_at(steps[:at])}
        near = did_you_mean(wrong, sorted(names)) if isinstance(wrong, str) else None
        if near is None:
            return None
        meant = (*steps[:at], near, *steps[at + 1 :])
        return "data" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in meant)


def _paths_of(spec: Mapping[str, object]) -> Iterator[tuple[Steps, Path]]:
    """Give the paths of a filter, with where each stands in it. What is wrong with it is told by its compiler."""
    for key, said in spec.items():
        if key not in _CONNECTIVES:
            try:
                yield (key,), parse_path(key)
            except PathInvalid:
                continue
        elif isinstance(said, Mapping):
            yield from (((key, *at), path) for at, path in _paths_of(said))
        elif isinstance(said, list):
            for index, branch in enumerate(said):
                if isinstance(branch, Mapping):
                    yield from (((key, index, *at), path) for at, path in _paths_of(branch))
