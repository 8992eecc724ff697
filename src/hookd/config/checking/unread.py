"""Warnings about files that lie where a pattern of `include` looks, and that it does not match: `crm.yml` of `*.yaml`.

Rules of this module:

1. Only a file that would be matched if it ended otherwise, `.yaml` or `.yml`, and that holds what an included file may
   hold: `docker-compose.yml` is nobody's slip. What is hidden, or read by another name, is passed over.
2. It looks at the disk as the listing did, once more, and into the first bytes of few files; nobody but `hookd check`
   asks.
"""

from __future__ import annotations

import re
from fnmatch import translate
from typing import TYPE_CHECKING, Final

from hookd.config.listing import read_wanted
from hookd.config.patterns import LOST, RealPaths, is_pattern, list_files
from hookd.config.problems import ConfigInvalid, Problem
from hookd.config.text.strictyaml import parse_anyway

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hookd.config.snapshot import Snapshot

_ENDINGS: Final = (".yaml", ".yml")
_SECTION: Final = re.compile(rb"^(?:webhooks|profiles|event_types|moved)[ \t]*:", re.MULTILINE)
#: Of how many files, and how many bytes of each, it is asked whether they hold a section.
_MOST_FILES: Final = 200
_MOST_BYTES: Final = 64 * 1024


def find_unread(snapshot: Snapshot) -> list[Problem]:
    """Warn at each entry of `include` of the files that it probably should have matched. Reads files."""
    try:
        wanted = read_wanted(parse_anyway(snapshot.files[snapshot.main], snapshot.main))
    except ConfigInvalid:
        return []
    directory = snapshot.main.rpartition("/")[0] or ("/" if snapshot.main.startswith("/") else ".")
    beside = [(entry, place, list(_find_missed(directory, entry))) for entry, place in wanted.include]
    paths = RealPaths()
    # Nearly always there is nothing that links could lead to.
    known = {paths.real(name) for name in snapshot.files} if any(each for *_, each in beside) else set()
    found: list[Problem] = []
    for entry, place, candidates in beside:
        missed: list[str] = []
        for path in candidates:
            real = paths.real(path)
            if real not in known and _holds_section(path):
                known.add(real)
                missed.append(path if entry.startswith("/") else path.removeprefix(f"{directory}/"))
        if missed:
            one = len(missed) == 1
            others = "" if one else f" and {len(missed) - 1} more"
            told = "lies beside and is not read; name it" if one else "lie beside and are not read; name them"
            message = f"{missed[0]}{others} {told} {entry.rpartition('/')[2]}"
            found.append(Problem(place, message, "unread_file", severity="warning"))
    return found


def _find_missed(directory: str, entry: str) -> Iterator[str]:
    """Give the files that an entry would match if they ended otherwise, as many as are looked into."""
    way, slash, last = entry.rpartition("/")
    if not is_pattern(last) or last == "**":
        return
    fits = re.compile(translate(last)).match
    left = _MOST_FILES
    for path, kind in list_files(directory, f"{way}{slash}*").items():
        name = path.rpartition("/")[2]
        stem, dot, ending = name.rpartition(".")
        if kind == LOST or f"{dot}{ending}".lower() not in _ENDINGS or fits(name):
            continue
        if any(fits(stem + other) for other in _ENDINGS):
            yield path
            left -= 1
            if not left:
                return


def _holds_section(path: str) -> bool:
    try:
        with open(path, "rb") as opened:  # noqa: PTH123  a text
            return _SECTION.search(opened.read(_MOST_BYTES)) is not None
    except OSError:
        return False
