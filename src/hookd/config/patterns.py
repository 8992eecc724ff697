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
from fnmatch import translate
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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
    return list(list_files(directory, pattern))


def list_files(directory: str, pattern: str) -> dict[str, bool]:
    """Give the files that match, as `find_files`, and of each whether its own name is a symbolic link."""
    start, steps = _start(directory, pattern)
    return dict(sorted(_match(start, steps, set())))


def _start(directory: str, pattern: str) -> tuple[str, list[str]]:
    steps = [step for step in pattern.split("/") if step not in {"", "."}]
    return ("/" if pattern.startswith("/") else directory), steps


def _match(directory: str, steps: list[str], entered: set[tuple[int, ...]]) -> Iterator[tuple[str, bool]]:
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
            if not entry.name.startswith(".") and _is(entry.is_dir):
                yield from _match(_join(directory, entry.name), steps, entered)
        return
    for path, found in _candidates(directory, step):
        if rest:
            if _is(found.is_dir):
                yield from _match(path, rest, entered)
        elif _is(found.is_file):
            yield path, found.is_symlink()


def _candidates(directory: str, step: str) -> Iterator[tuple[str, os.DirEntry[str] | Path]]:
    """Give what a step may mean. Of what is in a listing its kind is known, without a look at each."""
    if not is_pattern(step):
        path = _join(directory, step)
        yield path, Path(path)
        return
    fits = re.compile(translate(step)).match
    hidden = step.startswith(".")
    for entry in _entries(directory):
        if fits(entry.name) and (hidden or not entry.name.startswith(".")):
            yield _join(directory, entry.name), entry


def _is(ask: Callable[[], bool]) -> bool:
    try:
        return ask()
    except OSError:  # a link that leads to itself, or through a directory that is closed to us
        return False


class RealPaths:
    """Follows the links of many paths that lie in few directories: each directory is followed once.

    What it says is true for the moment; who looks again takes another one.
    """

    def __init__(self) -> None:
        self._directories: dict[str, str] = {}

    def real(self, path: str, *, is_link: bool | None = None) -> str:
        """Give a path without links, as `os.path.realpath` does. `is_link`: whether it is one itself, if known."""
        directory, slash, name = path.rpartition("/")
        if is_link is None:
            is_link = name in {"", ".", ".."} or os.path.islink(path)  # noqa: PTH114  texts, and thousands of them
        if is_link:
            return os.path.realpath(path)
        if directory not in self._directories:
            self._directories[directory] = os.path.realpath(directory + slash or ".").rstrip("/")
        return f"{self._directories[directory]}/{name}"


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
