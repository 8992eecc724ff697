"""What is certainly wrong in a tree of which a part cannot be read.

Rules of this module:

1. One file that is not YAML, or is not there, hides nothing that is wrong in the others: they are put together without
   it, and every problem that this shows is told, but for those that the missing part may solve. A profile, an event
   type or a webhook that is not found may stand in the file that cannot be read, so it is not missed.
   A file that was read in spite of a flaw is known but for what the flaw leaves out (`doubts`), and no more than that
   is not missed.
2. Of a main file that is not YAML, `include` and `managed_dir` are read by themselves, since they say where the
   others are. What they name and is not there is told as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hookd.config.listing import Wanted, list_wanted, read_wanted, tell_unreadable
from hookd.config.problems import ConfigInvalid
from hookd.config.reading import Moved, read_file
from hookd.config.snapshot import Snapshot
from hookd.config.text.strictyaml import parse_anyway

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from hookd.config.building.sheets import Sheet
    from hookd.config.problems import Problem

_CONFLICT: Final = b"<<<<<<<"

#: The sections in which others look for a name. Included files hold no others.
_LOOKED_UP: Final = frozenset({"event_types", "profiles", "webhooks"})
#: What is told of a name that is not found, and the section that it may stand in.
_NOT_FOUND: Final = {"unknown_profile": "profiles", "bad_move": "webhooks"}


def find_unsure(sheets: Sequence[Sheet], *, has_main: bool, whole: bool) -> frozenset[str]:
    """Give the sections of which something may stand where it could not be read.

    Not `whole`: a file could not be read at all, the main file if not `has_main`. Of the others `sheets` tell what
    their flaws leave out.
    """
    unsure: set[str] = set() if has_main else {"defaults"}
    for sheet in sheets:
        sections = _LOOKED_UP | {"defaults"} if sheet.kind == "main" else _LOOKED_UP
        unsure |= {name for name in sections if () in sheet.doubts or (name,) in sheet.doubts}
        whole = whole and not any(doubt[:1] in _NAMING_FILES for doubt in sheet.doubts)
    return frozenset(unsure if whole else unsure | _LOOKED_UP)


#: The keys of a main file that lead to others.
_NAMING_FILES: Final = frozenset({("include",), ("managed_dir",)})


def keep_certain(problems: Iterable[Problem], unsure: frozenset[str]) -> list[Problem]:
    """Give the problems that nothing which could not be read can solve. `unsure` is what `find_unsure` gives.

    What is wrong with a webhook is held back where it is built.
    """
    return [
        problem
        for problem in problems
        # A move that clashes names the other place; one whose webhook is not found does not.
        if (_NOT_FOUND.get(problem.code) not in unsure or problem.also is not None)
        and ("defaults" not in unsure or problem.code != "missing_key")
    ]


def read_rest(main: Path) -> tuple[Snapshot, list[Problem]] | None:
    """Read what can be read of a tree: the main file, and of the files that it asks for those that are there.

    Gives what is wrong with those that are not, too; None: there is no main file.
    """
    content = _read(str(main))
    if content is None:
        return None
    files, problems = {str(main): content}, []
    for name, place in list_wanted(str(main), _find_wanted(content, str(main))).files.items():
        try:
            files.setdefault(name, read_file(name)[0])
        except OSError as error:
            problems.append(tell_unreadable(name, error, place))
        except Moved:
            continue
    # Of two sides of a conflict either may go, and what it asks for with it.
    return Snapshot(str(main), files), [] if _CONFLICT in content else problems


def find_managed_dir(main: Path) -> Path | None:
    """Give the managed directory that a main file names, also a broken one; None if it names none."""
    managed = _find_wanted(_read(str(main)) or b"", str(main)).managed
    return None if managed is None else main.absolute().parent / managed[0]


def _read(name: str) -> bytes | None:
    try:
        return read_file(name)[0]
    except (Moved, OSError):
        return None


def _find_wanted(content: bytes, file: str) -> Wanted:
    """Give what a main file asks for, as far as it can be read: if it is broken, by its two sections alone."""
    wanted = Wanted()
    for part in (content, _cut(content, b"include:"), _cut(content, b"managed_dir:")):
        try:
            found = read_wanted(parse_anyway(part, file))
        except ConfigInvalid:
            continue
        wanted = Wanted(wanted.include or found.include, wanted.managed or found.managed)
    return wanted


def _cut(content: bytes, head: bytes) -> bytes:
    """Give the lines of one section at the top, with nothing in those above it; nothing at all if there is none.

    Entries of its list need not be indented.
    """
    section: list[bytes] = []
    begun = False
    for line in content.splitlines(keepends=True):
        if begun and line[:1] not in {b" ", b"#", b"-", b"]", b"\r", b"\n"}:
            break
        begun = begun or line.startswith(head)
        section.append(line if begun else b"\n")
    return b"".join(section) if begun else b""
