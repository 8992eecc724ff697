"""Which files a main file asks for, and where they lie now.

Rules of this module:

1. A file counts once, however many patterns and links lead to it, under the first name in the order of the entries.
2. What is asked for and cannot be read is told where it is asked for: a plain name that is not there, and a link that
   leads nowhere, also if only a pattern matches it. Passed over, it would take its webhooks away without a word.
3. So would a directory that is closed to us. One that an entry names is told; what a pattern meets on its way may be
   anybody's (`lost+found`), and matters only if webhooks stood there (`config.reload.guard`).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hookd.config.meant import meant_file, meant_main
from hookd.config.patterns import LOST, RealPaths, is_pattern, list_files, pattern_root, why_closed
from hookd.config.problems import Problem
from hookd.config.reading import Moved
from hookd.core.config import Place

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hookd.config.text.document import Document


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a main file asks for: entries of `include` and the managed directory, each with its place.

    It is kept instead of the parsed file, which takes 60 times as much memory for as long as the config runs.
    """

    include: tuple[tuple[str, Place], ...] = ()
    managed: tuple[str, Place] | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """The files of a config other than the main one, by name, with the place that asks for each; where they lie."""

    files: Mapping[str, Place]
    roots: tuple[str, ...] = ()


def read_wanted(document: Document) -> Wanted:
    """Read what a main file asks for. Values of a wrong type are left to the check of the schema."""
    value = document.value if isinstance(document.value, dict) else {}
    include, managed = value.get("include"), value.get("managed_dir")
    entries = enumerate(include if isinstance(include, list) else ())
    return Wanted(
        tuple((it, document.place(("include", number))) for number, it in entries if isinstance(it, str) and it),
        (managed, document.place(("managed_dir",))) if isinstance(managed, str) and managed else None,
    )


def list_wanted(main: str, wanted: Wanted) -> Listed:
    """List the files that are asked for, as they lie on disk now; links that lead nowhere are among them."""
    directory = str(Path(main).parent)
    files: dict[str, Place] = {}
    roots: list[str] = []
    paths = RealPaths()
    seen = {paths.real(main)}

    def take(names: Mapping[str, str | None], place: Place) -> None:
        for name, kind in names.items():
            if kind == LOST:  # two of them may lead to the same nowhere
                files.setdefault(name, place)
                continue
            real = paths.real(name, is_link=None if kind is None else kind == "link")
            if real not in seen:
                seen.add(real)
                files[name] = place

    for entry, place in wanted.include:
        roots.append(pattern_root(directory, entry))
        # The path of one file is taken as it is: that it is not there is told, and not that nothing matched.
        take(
            _list_below(roots[-1], directory, entry) if is_pattern(entry) else {_beside(directory, entry): None}, place
        )
    if wanted.managed is not None:
        managed = _beside(directory, wanted.managed[0])
        roots.append(managed)
        take(_list_below(managed, managed, "*.yaml"), wanted.managed[1])
    return Listed(files, tuple(roots))


def _list_below(root: str, directory: str, pattern: str) -> Mapping[str, str | None]:
    """List what matches; if that is nothing since its root is closed to us, the root: reading it tells why."""
    found = list_files(directory, pattern)
    return found if found or why_closed(root) is None else {root: LOST}


def _beside(directory: str, path: str) -> str:
    return str(Path(directory) / path)


def tell_unreadable(name: str, error: OSError | Moved, place: Place | None) -> Problem:
    """Say that a file cannot be read, at the place that names it; None: nothing does, it is the main file."""
    if place is None and isinstance(error, IsADirectoryError):
        message = f"{name} is a directory, and a config begins with a file"
        return Problem(Place(file=name), message, "unreadable_file", hint=meant_main(name))
    place = place or Place(file=name)
    if isinstance(error, Moved):
        return Problem(place, f"{name} changed while it was read", "unsettled")
    if isinstance(error, FileNotFoundError) and os.path.islink(name):  # noqa: PTH114  a text
        target = os.path.realpath(name)
        return Problem(place, f"{name} is a link that leads nowhere: there is nothing at {target}", "missing_file")
    if isinstance(error, FileNotFoundError):
        return Problem(place, f"there is no file at {name}", "missing_file", hint=meant_file(name))
    if isinstance(error, IsADirectoryError):
        message = f"{name} is a directory; `{name.rstrip('/')}/**/*.yaml` names the files in it"
        return Problem(place, message, "unreadable_file")
    reason = os.strerror(error.errno) if error.errno else str(error)
    return Problem(place, f"{name} cannot be read: {reason}", "unreadable_file")
