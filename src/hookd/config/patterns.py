"""Which files an `include:` entry names.

Rules of this module:

1. `*`, `?` and `[…]` match within a name, `**` any number of directories, none included. Names that begin with a dot
   are matched by a pattern that begins with a dot only: `.git`, editors' swap files and locks stay out.
2. Symbolic links are followed, since configs are published through them; a directory is entered once however many
   links lead to it, so a loop of links ends. (`glob` of the standard library enters a loop forty times.)
3. A link that leads nowhere is no file. It is listed as lost where its name is one that a file would be taken by, or
   that a step of the pattern spells out; what `*` matches on the way to a file need not lead anywhere.
4. The result is sorted by path: the order of a directory is not the same on two machines.
"""

from __future__ import annotations

import os
import re
from fnmatch import translate
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: What has the name of a file: one, a link to one, or a link that leads nowhere.
Kind: TypeAlias = Literal["file", "link", "lost"]
LOST: Final = "lost"

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


def why_closed(directory: str) -> str | None:
    """Give why a directory that is there cannot be looked into; None: it can, or it is not there."""
    try:
        with os.scandir(directory):
            return None
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return error.strerror


def find_files(directory: str, pattern: str) -> list[str]:
    """Give the paths of the files (not directories) that match, sorted; a directory that cannot be read is empty.

    A pattern that does not begin with `/` is relative to `directory`, whose own name may hold any characters.
    """
    return [path for path, kind in list_files(directory, pattern).items() if kind != LOST]


def list_files(directory: str, pattern: str) -> dict[str, Kind]:
    """Give the files that match, as `find_files`, and the links that lead nowhere, with what each of them is."""
    start, steps = _start(directory, pattern)
    return dict(sorted(_match(start, steps, set())))


def _start(directory: str, pattern: str) -> tuple[str, list[str]]:
    steps = [step for step in pattern.split("/") if step not in {"", "."}]
    return ("/" if pattern.startswith("/") else directory), steps


def _match(directory: str, steps: list[str], entered: set[tuple[int, ...]]) -> Iterator[tuple[str, Kind]]:
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
        if rest and _is(found.is_dir):
            yield from _match(path, rest, entered)
        elif not rest and _is(found.is_file):
            yield path, "link" if _is(found.is_symlink) else "file"
        elif _is_meant(found.name, step, is_last=not rest) and _is_lost(path, found):
            yield path, LOST


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


def _is_meant(name: str, step: str, *, is_last: bool) -> bool:
    """Whether what has this name is meant by a step of a pattern. `.#name.yaml` is how an editor locks `name.yaml`."""
    return not is_pattern(step) or (is_last and not name.startswith("."))


def _is_lost(path: str, found: os.DirEntry[str] | Path) -> bool:
    return _is(found.is_symlink) and not os.path.exists(path)  # noqa: PTH110  a text


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
