"""A config that lies in one place, loaded as if it stood in another: a commit laid out, a candidate beside what runs.

Rules of this module:

1. Every file gets the name that it would have there. So a relative path of the config means what it means there, and
   two configs that differ in nothing are equal, fingerprints included.
2. What the files name below their own top is read below it; what lies elsewhere is read where it is.
3. Problems name the files as if they stood there.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from hookd.config.load import Loaded, load_snapshot
from hookd.config.problems import ConfigInvalid, Problem
from hookd.config.snapshot import Snapshot, read_snapshot
from hookd.config.text.syntax import MAX_FILE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from hookd.config.git import Checkout
    from hookd.core.config import Place

_MOST_BESIDE: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Placing:
    """Where the files lie, and where they are to stand: their main file and the top of their tree, in both places.

    The tops are absolute, and each main file lies below its own.
    """

    main: Path
    top: str
    as_main: Path
    as_top: str

    def lies_at(self, path: str) -> str:
        """Give where a file that is named in the other place lies; one from outside of the tree is where it is."""
        if f"{path}/".startswith(f"{self.as_top.rstrip('/')}/"):
            return self.top.rstrip("/") + path[len(self.as_top.rstrip("/")) :]
        return path

    def name(self, path: str) -> str:
        """Give the name that the loader would give to a file in the other place."""
        if path == str(self.main):
            return str(self.as_main)
        below = "" if str(self.main.parent) == "." else f"{str(self.main.parent).rstrip('/')}/"
        if path.startswith("/") and not below.startswith("/"):
            return path
        if not path.startswith(below):
            return path
        return str(self.as_main.parent / path[len(below) :])


def load_placed(placing: Placing, checkout: Checkout | None) -> Loaded:
    """Load a config as if it stood in the other place. Blocks. Raises `ConfigInvalid` with every problem."""
    try:
        lying = read_snapshot(placing.main)
    except ConfigInvalid as error:
        raise _renamed(error, placing) from None
    files = {placing.name(name): content for name, content in lying.files.items()}
    main, included = placing.name(lying.main), [placing.name(name) for name in lying.included]
    shelf = _Shelf(placing)
    config = load_snapshot(Snapshot.of_copies(main, files, included), checkout, shelf)
    # The schemas, which are named inside, count too.
    snapshot = Snapshot.of_copies(main, {**files, **shelf.given}, included)
    return Loaded(config=replace(config, revision=replace(config.revision, hash=snapshot.hash)), snapshot=snapshot)


class _Shelf:
    """Schemas out of the place where they lie, under their names in the other one; `given` is what was read."""

    def __init__(self, placing: Placing) -> None:
        self._placing = placing
        self.given: dict[str, bytes] = {}

    def read(self, path: str, named_at: Place) -> bytes:
        """Give the content of a file. Raises `ConfigInvalid`."""
        try:
            # Not blocking: opening a pipe without a writer would wait for ever.
            descriptor = os.open(self._placing.lies_at(path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(descriptor, "rb") as file:
                content = self.given[path] = file.read(MAX_FILE_BYTES + 1)
        except OSError:
            raise ConfigInvalid([Problem(named_at, f"there is no file at {path}", "missing_file")]) from None
        return content

    def beside(self, path: str) -> Iterable[str]:
        """Give the schema files in the directory of a file, sorted."""
        directory = os.path.dirname(path)  # noqa: PTH120  a text
        try:
            names = sorted(os.listdir(self._placing.lies_at(directory)))  # noqa: PTH208  the same
        except OSError:
            return ()
        return [f"{directory}/{name}" for name in names if name.endswith((".json", ".schema.yaml"))][:_MOST_BESIDE]


def _renamed(error: ConfigInvalid, placing: Placing) -> ConfigInvalid:
    problems = [
        replace(
            problem,
            place=replace(problem.place, file=placing.name(problem.place.file)),
            message=problem.message.replace(f"{placing.main.parent}/", f"{placing.as_main.parent}/"),
        )
        for problem in error.problems
    ]
    return ConfigInvalid(problems, {placing.name(name): text for name, text in error.sources.items()})
