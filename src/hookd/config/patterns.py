"""Which files an `include:` entry names.

Rules of this module:

1. `*`, `?` and `[…]` match within a name, `**` any number of directories, none included. Names that begin with a dot
   are matched by a pattern that begins with a dot only: `.git`, editors' swap files and locks stay out.
2. Symbolic links are followed, since configs are published through them; a directory is entered once however many
   links lead to it, so a loop of links ends. (`glob` of the standard library enters a loop forty times.)
3. The result is sorted by path: the order of a directory is not the same on two machines.
"""

from __future__ import annotations

import os
import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAGIC = re.compile(r"[*?\[]")


def is_pattern(text: str) -> bool:
    """Whether an entry of `include:` is a pattern, which may match nothing, or the path of one file."""
    return _MAGIC.search(text) is not None


def pattern_root(directory: str, pattern: str) -> str:
    """Give the deepest directory below which everything lies that a pattern, relative to `directory`, can match."""
    start, steps = _start(directory, pattern)
    for step in steps[:-1]:
        if is_pattern(step):
            break
        start = _join(start, step)
    return start


def find_files(directory: str, pattern: str) -> list[str]:
    """Give the paths of the files (not directories) that match, sorted; a directory that cannot be read is empty.

    A pattern that does not begin with `/` is relative to `directory`, whose own name may hold any characters.
    """
    start, steps = _start(directory, pattern)
    return sorted(set(_match(start, steps, set())))


def _start(directory: str, pattern: str) -> tuple[str, list[str]]:
    steps = [step for step in pattern.split("/") if step not in {"", "."}]
    return ("/" if pattern.startswith("/") else directory), steps


def _match(directory: str, steps: list[str], entered: set[tuple[int, ...]]) -> Iterator[str]:
    if not steps:
        return
    step, rest = steps[0], steps[1:]
    if step == "**":
        identity = _identity(directory)
        if identity is None or (*identity, len(steps)) in entered:
            return
        entered.add((*identity, len(steps)))
        yield from _match(directory, rest or ["*"], entered)
        for entry in _entries(directory):
            if not entry.name.startswith(".") and entry.is_dir():
                yield from _match(_join(directory, entry.name), steps, entered)
        return
    names = [entry.name for entry in _entries(directory) if _fits(entry.name, step)] if is_pattern(step) else [step]
    for name in names:
        path = _join(directory, name)
        if rest:
            if Path(path).is_dir():
                yield from _match(path, rest, entered)
        elif Path(path).is_file():
            yield path


def _fits(name: str, step: str) -> bool:
    return fnmatchcase(name, step) and (step.startswith(".") or not name.startswith("."))


def _entries(directory: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as found:
            return sorted(found, key=lambda entry: entry.name)
    except OSError:
        return []


def _identity(directory: str) -> tuple[int, int] | None:
    try:
        status = Path(directory).stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _join(directory: str, name: str) -> str:
    return name if directory == "." else f"{directory.rstrip('/')}/{name}"
