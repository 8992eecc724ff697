"""One webhook definition out of its layers: defaults, then the profiles it builds on, then its own keys.

Rules of this module:

1. Mappings merge, everything else is replaced, and null takes a key away again. In what is data rather than settings
   (a template, a filter, a test event) null is a value, since JSON has one.
2. A reference is one value: `{file: a}` over `{env: B}` is `{file: a}`. So is a choice: `basic` over `bearer` leaves
   `basic` alone. Header names are compared as HTTP does, without case.
3. Every value keeps the place it came from, because that is where a person must edit, and because a relative path is
   relative to the file that names it.
4. Layers are never changed: a thousand webhooks share the merged defaults and profiles below them.
"""

from __future__ import annotations

import os.path
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

from hookd.config.problems import Problem, did_you_mean
from hookd.config.text.document import ANY_KEY, NO_DOUBT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hookd.core.config import Place

Path = tuple[str | int, ...]

#: What is data: null is a value from here on inwards.
_DATA: Final = frozenset({("body", "template"), ("filter",), ("test_event",)})
#: What may be a reference, which looks like a mapping and is one value. `*` is any key.
_TEXTS: Final = frozenset(
    {
        ("url",),
        ("proxy",),
        ("headers", "*"),
        ("secrets", "*"),
        ("auth", "bearer"),
        ("auth", "basic", "username"),
        ("auth", "basic", "password"),
        ("tls", "key"),
    }
)
#: Settings with a built-in value that null takes away too; the null is kept, so that it can be told from nothing.
_UNSETTABLE: Final = frozenset({("suspend_after",)})
#: Mappings of which one key is chosen.
_CHOICES: Final = frozenset({("auth",)})


class Places(Protocol):
    """Where the values of a mapping stand. Paths are relative to the mapping."""

    def place(self, path: Path) -> Place:
        """Give where a value stands, or the nearest around it."""

    def key_place(self, path: Path) -> Place:
        """Give where a value's key stands."""

    def place_within(self, path: Path, mark: str, number: int) -> Place:
        """Give where in a text its `mark` of this number stands, counted from 0."""

    def directory(self, path: Path) -> str:
        """Give the directory of the file that holds a value: relative paths in it start there."""

    def doubtful(self, path: Path) -> frozenset[str]:
        """Give the keys of a mapping of which the value may be another one; `*` if any key may come."""


class WrittenFile(Protocol):
    """A parsed file, of which parts are merged. Paths are from its top."""

    @property
    def file(self) -> str:
        """What its places call it."""

    def place(self, path: Path) -> Place:
        """Give where a value stands, or the nearest around it."""

    def key_place(self, path: Path) -> Place:
        """Give where a value's key stands."""

    def place_within(self, path: Path, mark: str, number: int) -> Place:
        """Give where in a text its `mark` of this number stands, counted from 0."""

    def doubtful(self, path: Path) -> frozenset[str]:
        """Give the keys of the mapping at a path of which the value may be another one; `*` if any key may come."""


def place_whole(places: Places | WrittenFile, path: Path) -> Place:
    """Give where a mapping is named that lacks something: its `{`, or its key if it is written below it."""
    place, key = places.place(path), places.key_place(path)
    return key if key.line < place.line else place


@dataclass(frozen=True, slots=True)
class Section:
    """A part of one file."""

    document: WrittenFile
    at: Path

    def place(self, path: Path) -> Place:
        """Give where a value stands."""
        return self.document.place(self.at + path)

    def key_place(self, path: Path) -> Place:
        """Give where a value's key stands."""
        return self.document.key_place(self.at + path)

    def place_within(self, path: Path, mark: str, number: int) -> Place:
        """Give where in a text its `mark` of this number stands."""
        return self.document.place_within(self.at + path, mark, number)

    def directory(self, _path: Path) -> str:
        """Give the directory of the file."""
        return _directory_of(self.document.file)

    def doubtful(self, path: Path) -> frozenset[str]:
        """Give the keys of a mapping that are in doubt."""
        return self.document.doubtful(self.at + path)

    def inner(self, *steps: str | int) -> Section:
        """Give a part of this part."""
        return Section(self.document, self.at + steps)


def _directory_of(file: str) -> str:
    return os.path.dirname(os.path.abspath(file))  # noqa: PTH100, PTH120  texts, for every reference


@dataclass(frozen=True, slots=True)
class Merged:
    """A merged definition. `origins` says of the paths where a layer begins which section they came from.

    `complete` is False when a profile that it builds on is not there, so that what is missing is no second problem.
    `doubts` are the keys of which the value may be another one once a flaw of a file is mended, `*` if any may come.
    """

    value: Mapping[str, object]
    home: Section
    origins: Mapping[Path, Section]
    complete: bool = True
    doubts: frozenset[str] = NO_DOUBT

    def says(self, key: str) -> bool:
        """Whether the definition itself, and no layer below it, says what the value of a key is, beyond doubt."""
        said = self.origins.get((key,))
        is_own = said is not None and said.document is self.home.document and said.at[:-1] == self.home.at
        return is_own and self.home.doubtful(()).isdisjoint({ANY_KEY, key})

    def place(self, path: Path) -> Place:
        """Give where a value stands; what is nowhere would stand in the definition itself."""
        section, rest = self.origin(path)
        return section.place(rest)

    def key_place(self, path: Path) -> Place:
        """Give where a value's key stands."""
        section, rest = self.origin(path)
        return section.key_place(rest)

    def place_within(self, path: Path, mark: str, number: int) -> Place:
        """Give where in a text its `mark` of this number stands."""
        section, rest = self.origin(path)
        return section.place_within(rest, mark, number)

    def directory(self, path: Path) -> str:
        """Give the directory of the file that a value came from."""
        return self.origin(path)[0].directory(())

    def doubtful(self, path: Path) -> frozenset[str]:
        """Give the keys of a mapping that are in doubt where it came from."""
        section, rest = self.origin(path)
        return section.doubtful(rest)

    def origin(self, path: Path) -> tuple[Section, Path]:
        """Give the section that a value came from, and where in it the value stands."""
        for length in range(len(path), 0, -1):
            section = self.origins.get(path[:length])
            if section is not None:
                return section, path[length:]
        return self.home, path


def overlay(under: Merged | None, value: Mapping[str, object], section: Section, *, without: str = "") -> Merged:
    """Lay the keys of a section over what is merged so far. `without` names a key that is not laid."""
    origins: dict[Path, Section] = {} if under is None else dict(under.origins)
    layer = {key: inner for key, inner in value.items() if key != without} if without in value else value
    merged = _lay({} if under is None else under.value, layer, (), section, origins)
    doubts = section.doubtful(())
    if under is None:
        return Merged(merged, section, origins, doubts=doubts)
    return Merged(merged, section, origins, complete=under.complete, doubts=under.doubts | doubts)


def _lay(
    under: Mapping[str, object], over: Mapping[str, object], path: Path, section: Section, origins: dict[Path, Section]
) -> dict[str, object]:
    if path in _CHOICES and any(key not in under for key, value in over.items() if value is not None and _is_ours(key)):
        under = {}
    result = dict(under)
    is_data = path in _DATA or path[:1] in _DATA or path[:2] in _DATA
    spelled = {key.lower(): key for key in under} if path == ("headers",) else {}
    for key, value in over.items():
        inner = (*path, key)
        below = under.get(spelled.get(key.lower(), key) if spelled else key)
        if spelled:
            result.pop(spelled.get(key.lower(), key), None)
        if value is None and not is_data:
            result.pop(key, None)
            if inner in _UNSETTABLE:
                _set_origin(origins, inner, section)
                result[key] = None
        elif isinstance(value, dict) and not _is_text(inner):
            mergeable = isinstance(below, dict)
            if not mergeable:
                _set_origin(origins, inner, section)
            result[key] = _lay(below if isinstance(below, dict) else {}, value, inner, section, origins)
        else:
            _set_origin(origins, inner, section)
            result[key] = value
    return result


def _set_origin(origins: dict[Path, Section], path: Path, section: Section) -> None:
    if path in origins:  # what lies deeper was laid under it; nothing does where nothing was
        length = len(path)
        for deeper in [known for known in origins if known[:length] == path]:
            del origins[deeper]
    origins[path] = Section(section.document, section.at + path)


def _is_ours(key: str) -> bool:
    """Whether a key is the contract's; those that begin with `x-` are the user's own."""
    return not key.startswith("x-")


def _is_text(path: Path) -> bool:
    return path in _TEXTS or (len(path) == 2 and (path[0], "*") in _TEXTS)  # noqa: PLR2004  a mapping and its key


class Profiles:
    """The profiles of a config, merged with the defaults below them; each chain is merged once.

    `report` takes the problems: a profile that is not there, and one that builds on itself.
    """

    def __init__(
        self,
        defaults: Merged | None,
        profiles: Mapping[str, tuple[Mapping[str, object], Section]],
        report: Callable[[Problem], None],
    ) -> None:
        self._defaults = defaults
        self._profiles = profiles
        self._report = report
        self._merged: dict[str, Merged | None] = {}
        for name in profiles:
            self._merge(name, ())

    def under(self, value: Mapping[str, object], section: Section) -> tuple[Merged | None, bool]:
        """Give what lies below a definition, and whether all of it is there."""
        name = value.get("profile")
        if not isinstance(name, str):
            return self._defaults, name is None
        if name not in self._profiles:
            hint = did_you_mean(name, self._profiles)
            place = section.place(("profile",))
            self._report(Problem(place, f"there is no profile `{name}`", "unknown_profile", hint=hint))
            return self._defaults, False
        merged = self._merged.get(name)
        return (self._defaults, False) if merged is None else (merged, merged.complete)

    def ground(self, name: str | None) -> tuple[Merged | None, bool]:
        """Give what lies below a definition that names this profile, or none, and whether all of it is there."""
        if name is None:
            return self._defaults, True
        merged = self._merged.get(name)
        return merged, merged is not None and merged.complete

    def _merge(self, name: str, above: tuple[str, ...]) -> Merged | None:
        if name in self._merged:
            return self._merged[name]
        value, section = self._profiles[name]
        below = value.get("profile")
        if name in above:
            circle = " -> ".join((*above[above.index(name) :], name))
            place = section.place(("profile",))
            self._report(Problem(place, f"the profile `{name}` builds on itself: {circle}", "profile_cycle"))
            return None
        if isinstance(below, str) and below in self._profiles:
            under = self._merge(below, (*above, name))
            complete = under is not None and under.complete
        else:
            under, complete = self.under(value, section)
        laid = overlay(under or self._defaults, value, section, without="profile")
        result = replace(laid, complete=complete)
        self._merged[name] = result
        return result


def merge_webhook(profiles: Profiles, value: Mapping[str, object], section: Section) -> Merged:
    """Give a webhook's whole definition."""
    under, complete = profiles.under(value, section)
    laid = overlay(under, value, section)
    return laid if laid.complete is complete else replace(laid, complete=complete)
