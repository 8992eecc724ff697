"""Reading a checked mapping with types: each value once, with a problem at its place when it is not what it should be.

Rules of this module:

1. The schema check has spoken before. Where it has found something, nothing more is said about the same place, so
   that building can go on after a failed check and find what only building can find.
2. What is wrong reads as what is absent: the default stands in until all problems are known, and then no config is
   made. So a hole in the schema becomes a problem here and never a key that is accepted and ignored.
"""

from __future__ import annotations

import os.path
from typing import TYPE_CHECKING, Final, TypeVar, cast

from hookd.config.building.merge import place_whole
from hookd.config.building.values import ValueInvalid
from hookd.config.problems import LACKING, Problem
from hookd.config.references import is_credential_name
from hookd.core.config import Reference, ReferenceKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from hookd.config.building.merge import Path, Places
    from hookd.core.config import Place, Text

T = TypeVar("T")

#: The codes of what a part that is missing in a definition may solve.
MAY_COME: Final = frozenset({"missing_key", "exactly_one", "undeclared_secret", "impossible_path"})
_KINDS: Final = {kind.value: kind for kind in ReferenceKind}


class Findings:
    """The problems of one config, those of the schema check first."""

    def __init__(self, checked: Iterable[Problem]) -> None:
        self._problems = list(checked)
        self._spoken = {problem.place for problem in self._problems}
        self._misspelt = {(it.hint, it.place.file) for it in self._problems if it.code == "unknown_key"}
        self.heard = 0  #: how many problems were found, those included about whose place the check had spoken

    def apart(self) -> Findings:
        """Give findings of their own, about files of which the schema check has said the same."""
        found = Findings(())
        found._spoken, found._misspelt = self._spoken, self._misspelt
        return found

    def add(self, problem: Problem) -> None:
        """Take a problem, unless the schema check has spoken about its place."""
        self.heard += 1
        if problem.place not in self._spoken:
            self._problems.append(problem)

    def has_spoken(self, place: Place) -> bool:
        """Tell whether the check of the schema has found something at a place."""
        return place in self._spoken

    def report(
        self, place: Place, message: str, code: str, *, hint: str | None = None, also: Place | None = None
    ) -> None:
        """Take a problem in parts."""
        self.add(Problem(place, message, code, hint=hint, also=also))

    def misspelt(self, key: str, file: str) -> bool:
        """Tell whether a key of this file was probably meant to be `key`: then its absence is said already."""
        return (key, file) in self._misspelt

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All of them, as they came."""
        return tuple(self._problems)


class Certain(Findings):
    """The findings about a definition of which a part is missing: what that part may bring is not missed.

    `may_come` are the codes of the problems that it may solve.
    """

    def __init__(self, findings: Findings, may_come: frozenset[str] = MAY_COME) -> None:
        self._all = findings
        self._may_come = may_come

    def add(self, problem: Problem) -> None:
        """Take a problem, unless what is missing may solve it."""
        if problem.code not in self._may_come:
            self._all.add(problem)

    def has_spoken(self, place: Place) -> bool:
        """Tell what the findings tell."""
        return self._all.has_spoken(place)

    def misspelt(self, key: str, file: str) -> bool:
        """Tell what the findings tell."""
        return self._all.misspelt(key, file)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All of the findings."""
        return self._all.problems


class Reader:
    """A mapping of the config. Paths are relative to it; `None` stands for what is absent or wrong."""

    __slots__ = ("findings", "places", "value")

    def __init__(self, value: Mapping[str, object], places: Places, findings: Findings) -> None:
        self.value = value
        self.places = places
        self.findings = findings

    def find(self, *path: str | int) -> object:
        """Give the value at `path`, None if it is absent."""
        if len(path) == 1:  # nearly always; a number is no key of a mapping
            return self.value.get(cast("str", path[0]))
        value: object = self.value
        for step in path:
            if isinstance(value, dict) and isinstance(step, str):
                value = value.get(step)
            elif isinstance(value, list) and isinstance(step, int) and step < len(value):
                value = value[step]
            else:
                return None
        return value

    def refuse(self, path: Path, message: str, code: str = "bad_value", *, hint: str | None = None) -> None:
        """Report a value, or what lacks one."""
        place = self.places.place(path)
        if (code in LACKING or self.find(*path) is None) and not self.findings.has_spoken(place):
            place = place_whole(self.places, path)
        self.findings.report(place, message, code, hint=hint)

    def has_spoken_inside(self, *path: str | int) -> bool:
        """Tell whether the check of the schema has found something at a key of the mapping at `path`, or its value.

        What the mapping lacks is then said already: the key was meant to be it, and is mistyped or empty.
        """
        value = self.find(*path)
        inner = [(*path, key) for key in value] if isinstance(value, dict) else []
        spoken, places = self.findings.has_spoken, self.places
        return any(spoken(places.key_place(at)) or spoken(places.place(at)) for at in inner)

    # ----------------------------------------------------------------- plain values

    def string(self, *path: str | int) -> str | None:
        """Give a text."""
        return self._typed(path, str, "a text")

    def boolean(self, *path: str | int, default: bool) -> bool:
        """Give true or false."""
        value = self._typed(path, bool, "true or false")
        return default if value is None else value

    def integer(self, *path: str | int, default: int, least: int, most: int = 2**53) -> int:
        """Give a whole number from `least` to `most`."""
        value = self._typed(path, int, "a whole number")
        if value is None:
            return default
        if isinstance(value, bool) or not least <= value <= most:
            self.refuse(path, f"`{path[-1]}` must be a whole number from {least}")
            return default
        return value

    def mapping(self, *path: str | int) -> dict[str, object] | None:
        """Give a mapping."""
        return self._typed(path, dict, "a mapping")

    def items(self, *path: str | int) -> list[object] | None:
        """Give a list."""
        return self._typed(path, list, "a list")

    def strings(self, *path: str | int) -> tuple[str, ...]:
        """Give a list of texts; a text alone is a list of one."""
        value = self.find(*path)
        if isinstance(value, str):
            return (value,)
        found = [self.string(*path, index) for index in range(len(self.items(*path) or ()))]
        return tuple(text for text in found if text is not None)

    def choice(self, choices: Sequence[T], *path: str | int, default: T) -> T:
        """Give one of several values."""
        value = self.find(*path)
        if value is None:
            return default
        for choice in choices:
            if choice == value:
                return choice
        self.refuse(path, f"`{path[-1]}` must be one of {', '.join(map(str, choices))}")
        return default

    def quantity(self, parse: Callable[[str], T], *path: str | int, default: T) -> T:
        """Give what `parse` of `config.values` makes of a text."""
        text = self.string(*path)
        if text is None:
            return default
        try:
            return parse(text)
        except ValueInvalid as error:
            self.refuse(path, f"`{path[-1]}` {error}" if isinstance(path[-1], str) else str(error))
            return default

    # ----------------------------------------------------------------- references and paths

    def text(self, *path: str | int) -> Text | None:
        """Give a text or the reference that stands in its place; other keys beside the reference are the caller's."""
        value = self.find(*path)
        if isinstance(value, dict):
            return self._reference(value, path)
        return self.string(*path)

    def file_path(self, *path: str | int) -> str | None:
        """Give a path, made absolute against the file that names it."""
        text = self.string(*path)
        return None if text is None else self._absolute(text, path)

    def _reference(self, value: dict[str, object], path: Path) -> Reference | None:
        named = [name for name in _KINDS if value.get(name) is not None]
        if len(named) != 1 and self.has_spoken_inside(*path):
            return None
        if len(named) != 1:
            self.refuse(path, "a reference is one of {credential: NAME}, {file: PATH} and {env: NAME}", "exactly_one")
            return None
        name = self.string(*path, named[0])
        if name is None:
            return None
        kind = _KINDS[named[0]]
        if not name or "\0" in name or (kind is ReferenceKind.CREDENTIAL and not is_credential_name(name)):
            self.refuse((*path, kind.value), f"this is not the name of a {kind} reference")
            return None
        return Reference(kind, self._absolute(name, path) if kind is ReferenceKind.FILE else name)

    def _absolute(self, text: str, path: Path) -> str:
        if "\0" in text:
            self.refuse(path, "a path holds no NUL character")
            return ""
        return os.path.normpath(os.path.join(self.places.directory(path), text))  # noqa: PTH118  texts, many

    def _typed(self, path: Path, kind: type[T], words: str) -> T | None:
        value: object = self.value.get(path[0]) if len(path) == 1 else self.find(*path)  # type: ignore[arg-type]  # see `find`
        if value is None or isinstance(value, kind):
            return value
        quoted = isinstance(value, int | float) and not isinstance(value, bool) and kind is str
        name = f"`{path[-1]}`" if path and isinstance(path[-1], str) else "this"
        self.refuse(path, f"{name} must be {words}{': quote it' if quoted else ''}", "wrong_type")
        return None
