"""A config as it stood in a commit: read out of git, beside the work tree and without touching it.

Rules of this module:

1. Only objects are asked for (`git`, rule 2): nothing of the repository runs, and the work tree may belong to anybody.
2. The files are laid out in a directory for this one purpose and listed there by the loader's own rules; then they get
   the names that they have in the work tree. So a relative path of the config means what it means there, and two
   configs that differ in nothing are equal.
3. A tree is somebody's input. No entry is written outside of the directory, links are made last and only those that
   stay inside, and both the number and the size of what is laid out are bounded.
4. What lies outside of the repository (an absolute `include`, a schema) is read as it is now: git knows nothing of it.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hookd.config.comparing.placed import Placing, load_placed
from hookd.config.git import Checkout, ask_git, find_work_tree
from hookd.config.patterns import is_pattern
from hookd.config.problems import ConfigInvalid
from hookd.config.text.strictyaml import parse_yaml
from hookd.config.text.syntax import MAX_FILE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hookd.config.load import Loaded

#: Seconds for one question: a large repository on a slow disk, and no longer.
_ANSWER_WITHIN: Final = 30.0
_MOST_FILES: Final = 50_000
_MOST_BYTES: Final = 256 * 1024 * 1024
#: What a config and its schemas are made of; below a directory that it includes from, any name may be one.
_SUFFIXES: Final = (".yaml", ".yml", ".json")
_LINK: Final = "120000"
_REGULAR: Final = frozenset({"100644", "100755", "100664"})


class NotInGit(Exception):  # noqa: N818  a fact, told to a person
    """There is no such config in git; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    mode: str
    blob: str
    size: int
    path: str


def load_committed(main: Path, revision: str) -> Loaded:
    """Load the config whose main file is `main`, as it stood at a revision of git. Blocks.

    Raises `NotInGit`, and `ConfigInvalid` with every problem; places are named as in the work tree.
    """
    directory = os.path.dirname(os.path.abspath(main))  # noqa: PTH100, PTH120  links stay: they are how it is named
    top = find_work_tree(os.path.realpath(directory))
    if top is None:
        raise NotInGit(f"{main} lies in no work tree of git")
    commit = _find_commit(top, revision)
    below = os.path.relpath(os.path.realpath(directory), top)
    inside = os.path.normpath(os.path.join(below, main.name))  # noqa: PTH118  a path of git
    entries = _list_tree(top, commit)
    found = next((entry for entry in entries if entry.path == inside), None)
    if found is None or found.mode not in _REGULAR:
        raise NotInGit(f"there is no file {inside} at {revision}")
    with tempfile.TemporaryDirectory(prefix="hookd-") as made:
        folder = os.path.realpath(made)
        _lay_out(folder, top, [found])
        laid = Path(folder, inside)
        wanted = _find_wanted(top, entries, laid, below)
        _lay_out(folder, top, [entry for entry in wanted if entry.path != inside])
        placing = Placing(main=laid, top=folder, as_main=main, as_top=_top_of(directory, below))
        return load_placed(placing, Checkout(commit=commit, dirty=False))


def _find_commit(top: str, revision: str) -> str:
    # An option of git, or a range, is no revision.
    if revision.startswith("-") or ".." in revision or not revision.isprintable():
        raise NotInGit("a revision is a commit, a branch or a tag, such as HEAD~1")
    answer = ask_git(top, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}", within=_ANSWER_WITHIN)
    if answer is None:
        raise NotInGit(f"git knows no revision {revision}")
    return answer.decode("ascii", "replace").strip()


def _list_tree(top: str, commit: str) -> list[_Entry]:
    """List the files of a commit. Lines are `MODE TYPE ID SIZE TAB PATH NUL` (git-ls-tree(1), --long)."""
    answer = ask_git(top, "ls-tree", "-r", "-z", "--long", "--full-tree", commit, within=_ANSWER_WITHIN)
    if answer is None:
        raise NotInGit("git does not list the files of this revision")
    entries: list[_Entry] = []
    for line in answer.split(b"\0"):
        head, tab, path = line.partition(b"\t")
        words = head.decode("ascii", "replace").split()
        if tab and len(words) == 4 and words[1] == "blob" and words[3].isdigit():  # noqa: PLR2004  as above
            entries.append(_Entry(mode=words[0], blob=words[2], size=int(words[3]), path=os.fsdecode(path)))
    return entries


def _find_wanted(top: str, entries: Sequence[_Entry], main: Path, below: str) -> list[_Entry]:
    """Give what may belong to the config: by its ending, below a directory that it includes from, or by a link."""
    roots = tuple(_roots(main, below))
    possible = [
        entry
        for entry in entries
        if (entry.mode == _LINK or entry.mode in _REGULAR) and entry.size <= MAX_FILE_BYTES and _is_plain(entry.path)
    ]
    named = {entry.path for entry in possible if entry.path.endswith(_SUFFIXES) or f"{entry.path}/".startswith(roots)}
    led_to = _find_led_to(top, [entry for entry in possible if entry.mode == _LINK and entry.path in named])
    # Links that lead nowhere that matters cost nothing, and one may be a directory on the way to a schema.
    wanted = [
        entry for entry in possible if entry.mode == _LINK or entry.path in named or f"{entry.path}/".startswith(led_to)
    ]
    if len(wanted) > _MOST_FILES or sum(entry.size for entry in wanted) > _MOST_BYTES:
        raise NotInGit(f"the revision holds more than {_MOST_FILES:,} files, or {_MOST_BYTES >> 20} MiB, of YAML")
    return wanted


def _find_led_to(top: str, links: Sequence[_Entry]) -> tuple[str, ...]:
    """Give where links lead, with a `/` at the end of each."""
    targets = zip(links, _read_blobs(top, links), strict=True)
    return tuple(
        os.path.normpath(os.path.join(os.path.dirname(link.path), os.fsdecode(target))) + "/"  # noqa: PTH118, PTH120
        for link, target in targets
    )


def _roots(main: Path, below: str) -> Iterator[str]:
    """Give the paths below the top, each with a `/` at its end, that the main file, in `below`, includes from."""
    try:
        value = parse_yaml(main.read_bytes(), str(main)).value
    except ConfigInvalid:
        return  # what is wrong is told when it is loaded
    named = [value.get("managed_dir"), *_texts(value.get("include"))] if isinstance(value, dict) else []
    for text in named:
        if isinstance(text, str) and text and not text.startswith("/"):
            steps = text.split("/")
            plain = [step for number, step in enumerate(steps) if not any(map(is_pattern, steps[: number + 1]))]
            yield os.path.normpath(os.path.join(below, *plain)).removeprefix(".") + "/"  # noqa: PTH118


def _texts(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _is_plain(path: str) -> bool:
    return not path.startswith("/") and all(step not in {"", ".", "..", ".git"} for step in path.split("/"))


# --------------------------------------------------------------------------- laying out


def _lay_out(folder: str, top: str, entries: Sequence[_Entry]) -> None:
    contents = _read_blobs(top, entries)
    for entry, content in zip(entries, contents, strict=True):
        if entry.mode != _LINK:
            path = Path(folder, entry.path)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    for entry, content in zip(entries, contents, strict=True):
        if entry.mode == _LINK:
            _make_link(folder, entry.path, os.fsdecode(content))
    for entry in entries:
        # What it leads to is not in git, like what lies outside: no commit can tell what that was.
        place = Path(folder, entry.path)
        if entry.mode == _LINK and place.is_symlink() and not os.path.exists(place):  # noqa: PTH110  a loop is no error of it
            place.unlink()


def _make_link(folder: str, path: str, target: str) -> None:
    """Make a link that stays inside; another one is left out, and what needs it is told to be missing."""
    place = os.path.join(folder, path)  # noqa: PTH118  texts
    ends = os.path.normpath(os.path.join(os.path.dirname(place), target))  # noqa: PTH118, PTH120
    if "\0" in target or target.startswith("/") or not f"{ends}/".startswith(f"{folder}/"):
        return
    Path(place).parent.mkdir(parents=True, exist_ok=True)
    if not os.path.lexists(place):
        Path(place).symlink_to(target)


def _read_blobs(top: str, entries: Sequence[_Entry]) -> list[bytes]:
    """Read the contents of blobs. The answer is `ID blob SIZE LF CONTENT LF` for each (git-cat-file(1), --batch)."""
    given = "".join(f"{entry.blob}\n" for entry in entries).encode("ascii")
    answer = ask_git(top, "cat-file", "--batch", within=_ANSWER_WITHIN, given=given) if entries else b""
    if answer is None:
        raise NotInGit("git does not give the files of this revision")
    contents: list[bytes] = []
    at = 0
    for _ in entries:
        end = answer.find(b"\n", at)
        words = answer[at:end].split()
        if end < 0 or len(words) != 3 or not words[2].isdigit():  # noqa: PLR2004  as above
            raise NotInGit("a file of this revision is not in this clone")
        start, size = end + 1, int(words[2])
        contents.append(answer[start : start + size])
        at = start + size + 1
    return contents


def _top_of(directory: str, below: str) -> str:
    """Give the top of the work tree as the directory names it, which may be by way of a link."""
    if below == ".":
        return directory
    if directory.endswith(f"/{below}"):
        return directory[: -len(below) - 1]
    return os.path.realpath(directory)[: -len(below) - 1]
