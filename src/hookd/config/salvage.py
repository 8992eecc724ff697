"""What is certainly wrong in a tree of which a part cannot be read.

Rules of this module:

1. One file that is not YAML, or is not there, hides nothing that is wrong in the others: they are put together without
   it, and every problem that this shows is told, but for those that the missing part may solve. A profile, an event
   type, a secret or a webhook that is not found may stand in the file that cannot be read, so it is not missed.
   The same is true of a file that is YAML and was read without a part of it, and of what stands in that file itself.
2. Of a main file that is not YAML, `include` and `managed_dir` are read by themselves, since they say where the
   others are.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from hookd.config.patterns import find_files, is_pattern
from hookd.config.problems import ConfigInvalid, Problem
from hookd.config.snapshot import Snapshot
from hookd.config.text.strictyaml import parse_anyway
from hookd.config.text.syntax import MAX_FILE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hookd.config.building.sheets import Sheet

#: What a part that is missing may solve; when it is the main file, it may hold defaults as well.
_MAY_COME: Final = frozenset(
    {"unknown_profile", "unknown_event_type", "undeclared_secret", "exactly_one", "impossible_path"}
)
_MAY_BE_DEFAULT: Final = frozenset({"missing_key", "bad_name"})


def keep_certain(problems: Iterable[Problem], *, has_main: bool, flawed: Iterable[Sheet] = ()) -> list[Problem]:
    """Give the problems that no file which could not be read can solve. `has_main`: the main file could be.

    `flawed` are files that were read in spite of something, which may be what solves it.
    """
    within = {sheet.file for sheet in flawed if sheet.flaws}
    has_main = has_main and not any(map(_has_flawed_base, flawed))
    return [
        problem
        for problem in problems
        if problem.code not in _MAY_COME
        # A move that clashes names the other place; one whose webhook is not found does not.
        and (problem.code != "bad_move" or problem.also is not None)
        and (has_main or problem.code not in _MAY_BE_DEFAULT)
        and (problem.code != "test_failed" or (has_main and problem.place.file not in within))
    ]


def _has_flawed_base(sheet: Sheet) -> bool:
    """Tell whether a part was left out of what webhooks build on: the defaults, the profiles, or values to merge."""
    sections = (*sheet.rest, *(("webhooks",) if sheet.ids else ()))
    heads = [(sheet.key_place((key,)), key) for key in sections] if sheet.flaws else []
    for flaw in sheet.flaws:
        at = (flaw.also or flaw.place).line, (flaw.also or flaw.place).column
        above = [(head.line, head.column, key) for head, key in heads if (head.line, head.column) <= at]
        if above and max(above)[2].startswith(("defaults", "profiles", "x-")):
            return True
    return False


def read_rest(main: Path) -> Snapshot | None:
    """Read what can be read of a tree: the main file, and of the files that it names those that are there."""
    content = _read(str(main))
    if content is None:
        return None
    files = {str(main): content}
    sections = _read_sections(content)
    for name in _find_included(main, sections):
        inner = _read(name)
        if inner is not None and name not in files:
            files[name] = inner
    return Snapshot(str(main), files)


def find_managed_dir(main: Path) -> Path | None:
    """Give the managed directory that a main file names, also a broken one; None if it names none."""
    managed = _read_sections(_read(str(main)) or b"").get("managed_dir")
    return main.absolute().parent / managed if isinstance(managed, str) and managed else None


def _find_included(main: Path, sections: dict[str, object]) -> Iterator[str]:
    include, managed = sections.get("include"), sections.get("managed_dir")
    for entry in include if isinstance(include, list) else ():
        if isinstance(entry, str) and entry:
            yield from find_files(str(main.parent), entry) if is_pattern(entry) else [str(main.parent / entry)]
    if isinstance(managed, str) and managed:
        yield from find_files(str(main.parent / managed), "*.yaml")


def _read(name: str) -> bytes | None:
    try:
        path = Path(name)
        is_readable = path.is_file() and path.stat().st_size <= MAX_FILE_BYTES
        return path.read_bytes() if is_readable else None
    except OSError:
        return None


def _read_sections(content: bytes) -> dict[str, object]:
    """Give what a main file says at its top, or, if it is broken, the two sections that name other files."""
    found: dict[str, object] = {}
    for part in (content, _cut(content, b"include:"), _cut(content, b"managed_dir:")):
        try:
            value = parse_anyway(part, "").value
        except ConfigInvalid:
            continue
        if isinstance(value, dict):
            found = {**value, **found}
    return found


def _cut(content: bytes, head: bytes) -> bytes:
    """Give the lines of one section at the top, nothing if there is none. Entries of its list need not be indented."""
    section: list[bytes] = []
    for line in content.splitlines(keepends=True):
        if section and line[:1] not in {b" ", b"#", b"-", b"]", b"\r", b"\n"}:
            break
        if section or line.startswith(head):
            section.append(line)
    return b"".join(section)
