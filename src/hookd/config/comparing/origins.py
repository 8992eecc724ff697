"""Where each value of a merged definition came from: the layer that set it, and the line of the file.

Rules of this module:

1. It costs a load nothing: a config that runs keeps no parsed files. Whoever asks hands in the bytes that the config
   was made of (its snapshot), and they are parsed again, only those files that can matter to the question.
2. The merge is the loader's own (`merge`), so what is told is what happened. The files are known to be good: they have
   become a config before.
3. A value that no layer sets is built in. What is asked for and stands nowhere has the place of its definition, which
   is where a person would write it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hookd.config.building.merge import Profiles, Section, merge_webhook, overlay
from hookd.config.text.strictyaml import parse_yaml

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from hookd.config.building.merge import Merged, Path
    from hookd.config.problems import Problem
    from hookd.config.snapshot import Snapshot
    from hookd.config.text.document import Document
    from hookd.core.config import Place, Webhook

BUILT_IN: Final = "built-in"
#: A file in which this word does not occur sets no profile: a key of the contract is never written with escapes there.
_PROFILES: Final = b"profiles"

_Entry = tuple["Mapping[str, object]", Section]


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a value came from. `layer` is `built-in`, `defaults`, `profile NAME` or `webhook`."""

    layer: str
    place: Place | None  # None: built in


class Origins:
    """The origins of the definitions that stand in some files of a config; made by `walk_origins`."""

    def __init__(self, profiles: Profiles, webhooks: Mapping[str, _Entry]) -> None:
        self._profiles = profiles
        self._webhooks = webhooks
        self._merged: dict[str, Merged] = {}

    @property
    def webhooks(self) -> tuple[str, ...]:
        """The ids of the webhooks that it knows."""
        return tuple(self._webhooks)

    def origin(self, webhook: str, path: Path) -> Origin:
        """Give where the value at a path came from: the line of its key. The webhook must be in the files."""
        merged = self._merge(webhook)
        section, rest = merged.origin(path)
        if not _is_there(merged.value, path):
            return Origin(layer=BUILT_IN, place=None)
        return Origin(layer=_layer_of(section), place=section.key_place(rest))

    def place(self, webhook: str, path: Path) -> Place:
        """Give where a path of a definition stands: its key, if it has one; if it is absent, what is around it."""
        merged = self._merge(webhook)
        while path and not _is_there(merged.value, path):
            path = path[:-1]
        if not path:
            return self._webhooks[webhook][1].key_place(())
        return merged.key_place(path)

    def has(self, webhook: str, path: Path) -> bool:
        """Tell whether something is written at a path of a merged definition."""
        return _is_there(self._merge(webhook).value, path)

    def value_place(self, webhook: str, path: Path) -> Place:
        """Give where the value at a path of a definition stands, or the nearest around it."""
        return self._merge(webhook).place(path)

    def value(self, webhook: str, path: Path) -> object:
        """Give what is written at a path of a merged definition; None if nothing is."""
        value: object = self._merge(webhook).value
        for step in path:
            value = value.get(str(step)) if isinstance(value, dict) else None
        return value

    def _merge(self, webhook: str) -> Merged:
        if webhook not in self._merged:
            value, section = self._webhooks[webhook]
            self._merged[webhook] = merge_webhook(self._profiles, value, section)
        return self._merged[webhook]


def walk_origins(snapshot: Snapshot, files: Collection[str]) -> Iterator[Origins]:
    """Give the origins of the webhooks of each file, one file after another. Blocks.

    What was parsed of a file can be let go before the next: a million nodes that are freed in one step hold everything
    else up. A file may be named as the config names it, or by its absolute path: a daemon that started from its last
    good config has the latter, and the same files under other names once the disk is good again.
    """
    base = _read_base(snapshot)
    profiles = _read_profiles(base)
    known = {os.path.abspath(name): name for name in (snapshot.main, *snapshot.included)}  # noqa: PTH100  links stay
    for file in files:
        name = known[os.path.abspath(file)]  # noqa: PTH100  the same
        yield Origins(profiles, _entries([base.get(name) or _read(snapshot, name)], "webhooks"))


def find_places(snapshot: Snapshot, wanted: Iterable[tuple[Webhook, Path]]) -> list[Place]:
    """Give where values of webhooks stand, in the order in which they are asked for. Blocks.

    What is absent is shown at the key of what lacks it.
    """
    asked = list(wanted)
    if not asked:
        return []  # nearly always, and no file need be parsed for it
    by_file: dict[str, list[int]] = {}
    for number, (webhook, _) in enumerate(asked):
        by_file.setdefault(webhook.place.file, []).append(number)
    found: dict[int, Place] = {}
    for numbers, origins in zip(by_file.values(), walk_origins(snapshot, by_file), strict=True):
        for number in numbers:
            webhook, path = asked[number]
            find = origins.value_place if origins.has(webhook.id, path) else origins.place
            found[number] = find(webhook.id, path)
    return [found[number] for number in range(len(asked))]


def _read(snapshot: Snapshot, name: str) -> Document:
    return parse_yaml(snapshot.files[name], name)


def _read_base(snapshot: Snapshot) -> dict[str, Document]:
    """Parse the files that may hold what others build on: the main one, and those with profiles."""
    named = [name for name in snapshot.included if _PROFILES in snapshot.files[name]]
    return {name: _read(snapshot, name) for name in (snapshot.main, *named)}


def _read_profiles(base: Mapping[str, Document]) -> Profiles:
    main = next(iter(base.values()))
    written = _mapping(main, "defaults")
    defaults = None if written is None else overlay(None, written, Section(main, ("defaults",)))
    return Profiles(defaults, _entries(base.values(), "profiles"), _ignore)


def _ignore(_problem: Problem) -> None:
    """Files that have become a config have no problems."""


def _entries(documents: Iterable[Document], key: str) -> dict[str, _Entry]:
    return {
        name: (value if isinstance(value, dict) else {}, Section(document, (key, name)))
        for document in documents
        for name, value in (_mapping(document, key) or {}).items()
        if not name.startswith("x-")
    }


def _mapping(document: Document, key: str) -> dict[str, object] | None:
    value = document.value.get(key) if isinstance(document.value, dict) else None
    return value if isinstance(value, dict) else None


def _is_there(value: object, path: Path) -> bool:
    for step in path:
        known = isinstance(value, dict) and step in value
        if not known and not (isinstance(value, list) and isinstance(step, int) and step < len(value)):
            return False
        value = value[step]  # type: ignore[index]  # one of the two it is
    return True


def _layer_of(section: Section) -> str:
    kind = section.at[0] if section.at else ""
    if kind == "profiles":
        return f"profile {section.at[1]}"
    return "defaults" if kind == "defaults" else "webhook"
