"""What git says about the tree that holds the config: which commit it is, and whether git is at work there.

Rules of this module:

1. git is asked, never trusted to be there: no git, no work tree, no commit or no answer in time gives None.
2. Asking runs nothing of the repository's and changes nothing. So only objects are asked for, never the work tree or
   the index: `git status` would run clean filters and the file-system monitor, look into submodules, and write the
   index. No hooks, no replaced objects, and nothing is fetched that a partial clone has not got (its remote may be a
   command). The daemon may read a tree that belongs to somebody else (`safe.directory`).
3. Whether a config differs from its commit is judged by the bytes that were read, against the object ids in the
   commit's tree: what is called clean is byte for byte what the commit holds, whatever moves meanwhile.
4. git takes `index.lock` before it touches the first file of the work tree and gives it back after the last one
   (git 2.39: checkout, reset, merge, stash). That is the signal that a tree is half written, and a pause in the
   events is not. A merge or rebase that waits for a person shows by its own marks.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_ANSWER_WITHIN: Final = 2.0  # seconds; a repository that takes longer does not hold up a reload

#: An index.lock this old was left behind by a git that died; a merge may wait for its person for days.
_STALE_LOCK_AFTER: Final = 600.0

#: gitrepository-layout(5); `sequencer` stands between two commits of a cherry-pick or revert of several.
_MARKS: Final = (
    "index.lock",
    "MERGE_HEAD",
    "rebase-merge",
    "rebase-apply",
    "CHERRY_PICK_HEAD",
    "REVERT_HEAD",
    "sequencer",
)
#: What changes when the work tree comes to stand at another commit; each linked work tree has its own.
_HEADS: Final = ("HEAD", "logs/HEAD", "index")

_QUIET: Final = (
    "--no-optional-locks",
    "--no-replace-objects",
    "--literal-pathspecs",
    "-c",
    "safe.directory=*",
    "-c",
    "core.fsmonitor=false",
    "-c",
    "core.hooksPath=/dev/null",
)
#: Directories that one question names; more are asked for as the whole tree.
_MOST_DIRECTORIES: Final = 200
_SUFFIXES: Final = (b".yaml", b".yml", b".json")
_SHA1_DIGITS: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """The commit that a tree stands at, 40 or 64 hexadecimal digits, and whether the config differs from it."""

    commit: str
    dirty: bool


def read_checkout(main: Path, files: Mapping[str, bytes]) -> Checkout | None:
    """Give the commit of the work tree that holds the file `main`, or None. Waits at most 2 s and never raises.

    `files` is what was read, by path. It is dirty if a file of it that lies in this work tree is not in the commit or
    holds other bytes there, or if a YAML or JSON file of the commit beside them is gone. A file in a submodule is held
    against the commit that this one names for it. Others do not count: managed webhooks may have a repository inside.
    """
    top = find_work_tree(_directory_of(os.path.realpath(main)))
    if top is None:
        return None  # most directories: no process is worth it
    return _read_checkout(top, files, time.monotonic() + _ANSWER_WITHIN)


def _read_checkout(top: str, files: Mapping[str, bytes], deadline: float) -> Checkout | None:
    answer = _ask(top, deadline, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    if answer is None:
        return None
    commit = answer.decode("ascii", "replace").strip()
    own, inner = _files_in(top, files)
    directories = sorted({os.path.dirname(path) for path in own})  # noqa: PTH120  bytes, many
    named = [] if b"" in directories or len(directories) > _MOST_DIRECTORIES else directories
    listing = _ask(top, deadline, "ls-tree", "-r", "-z", "--full-tree", commit, "--", *map(os.fsdecode, named))
    dirty = listing is None or _differs(top, own, _read_listing(listing), directories)
    if inner and not dirty:
        dirty = _differ_inside(top, commit, inner, files, deadline)
    return Checkout(commit=commit, dirty=dirty)


def _differ_inside(top: str, commit: str, inner: frozenset[str], files: Mapping[str, bytes], deadline: float) -> bool:
    """Whether a submodule stands elsewhere than this commit says, or holds files that differ."""
    below = [os.path.relpath(each, top) for each in sorted(inner)]
    listing = _ask(top, deadline, "ls-tree", "-z", "--full-tree", commit, "--", *below)
    named = {} if listing is None else _read_listing(listing, b" commit ")
    for path in below:
        stands_at = named.get(os.fsencode(path))
        if stands_at is not None:
            found = _read_checkout(os.path.join(top, path), files, deadline)  # noqa: PTH118  texts
            if found is None or found.dirty or found.commit != stands_at:
                return True
    return listing is None


def find_work_tree(directory: str) -> str | None:
    """Give the top of the work tree that holds a directory: where its `.git` is. None: there is none."""
    for parent in (Path(directory), *Path(directory).parents):
        if os.path.lexists(parent / ".git"):
            return str(parent)
    return None


def find_git_directory(directory: Path) -> Path | None:
    """Give the directory in which git keeps the state of the work tree that holds `directory`, or None.

    In a linked work tree `.git` is a file that names it (gitrepository-layout(5)).
    """
    try:
        top = find_work_tree(str(directory.resolve()))
        if top is None:
            return None
        entry = Path(top, ".git")
        if entry.is_dir():
            return entry
        named = entry.read_text(encoding="utf-8", errors="surrogateescape").strip()
    except (OSError, RuntimeError):  # RuntimeError: a loop of symbolic links
        return None
    return Path(top, named.removeprefix("gitdir: ")) if named.startswith("gitdir: ") else None


def find_git_directories(directories: Iterable[str]) -> tuple[Path, ...]:
    """Give those of all work trees that hold one of the directories, each once."""
    found = {find_git_directory(Path(directory)) for directory in dict.fromkeys(directories)}
    return tuple(sorted(each for each in found if each is not None))


def git_busy(git_directories: Iterable[Path]) -> str | None:
    """Give the mark of an operation that is going on in one of the work trees, named by their git directories, or None.

    A mark is its path and the time at which it was made, so that the caller knows a new one from an old one.
    """
    for directory in git_directories:
        for name in _MARKS:
            try:
                made = (directory / name).stat().st_mtime
            except OSError:
                continue
            if name == "index.lock" and time.time() - made > _STALE_LOCK_AFTER:
                continue
            return f"{directory / name}@{made}"
    return None


def is_writing(mark: str) -> bool:
    """Whether a mark says that git writes now, and not that it waits for a person."""
    return "/index.lock@" in mark


def path_of(mark: str) -> str:
    """Give the file or directory that a mark is."""
    return mark.rpartition("@")[0]


def list_heads(git_directory: Path) -> tuple[str, ...]:
    """Give the files that change when the work tree comes to stand at another commit."""
    return tuple(f"{git_directory}/{name}" for name in _HEADS)


def stamp_heads(main: Path) -> tuple[tuple[int, int] | None, ...]:
    """Give what differs once the work tree that holds `main` stands at another commit; without one, nothing."""
    directory = find_git_directory(Path(_directory_of(os.path.realpath(main))))
    return () if directory is None else tuple(map(_stamp, list_heads(directory)))


def _stamp(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


def _directory_of(path: str) -> str:
    return os.path.dirname(path)  # noqa: PTH120  a text


def _files_in(top: str, files: Mapping[str, bytes]) -> tuple[dict[bytes, bytes], frozenset[str]]:
    """Give those of the files that lie in this work tree, by their path below its top, and the work trees inside of it.

    What lies in one of these is not among the files: it is that one's.
    """
    below = len(top.rstrip("/")) + 1
    real_of: dict[str, str] = {}  # the names of directories, of which there are few, by those that they go by
    tops: dict[str, str | None] = {}
    own: dict[bytes, bytes] = {}
    for name, content in files.items():
        directory, slash, base = name.rpartition("/")
        home = real_of.get(directory)
        if home is None:
            home = real_of[directory] = os.path.realpath(directory or slash or ".").rstrip("/")
        real = f"{home}/{base}"
        if os.path.islink(real):  # noqa: PTH114  texts, many
            real = os.path.realpath(real)
            home = _directory_of(real)
        if home not in tops:
            tops[home] = find_work_tree(home or "/")
        if tops[home] == top:
            own[os.fsencode(real[below:])] = content
    start = top.rstrip("/") + "/"
    return own, frozenset(each for each in tops.values() if each is not None and each.startswith(start))


def _read_listing(listing: bytes, kind: bytes = b" blob ") -> dict[bytes, str]:
    """Read `MODE TYPE ID TAB PATH NUL`: the id of each blob, or submodule, by its path."""
    found: dict[bytes, str] = {}
    for entry in listing.split(b"\0"):
        head, _, path = entry.partition(b"\t")
        if kind in head:
            found[path] = head.rpartition(b" ")[2].decode("ascii", "replace")
    return found


def _differs(top: str, own: Mapping[bytes, bytes], blobs: Mapping[bytes, str], directories: Iterable[bytes]) -> bool:
    for path, content in own.items():
        named = blobs.get(path)
        if named is None or named != _blob_id(content, named):
            return True
    below = tuple(directory + b"/" if directory else b"" for directory in directories)
    start = os.fsencode(top) + b"/"
    return any(
        path not in own and path.startswith(below) and path.endswith(_SUFFIXES) and not os.path.lexists(start + path)
        for path in blobs
    )


def _blob_id(content: bytes, like: str) -> str:
    """Give the object id of a content, in the hash that `like` is of (gitformat-index(5): SHA-1 or SHA-256)."""
    kind = "sha1" if len(like) == _SHA1_DIGITS else "sha256"
    return hashlib.new(kind, b"blob %d\0%b" % (len(content), content), usedforsecurity=False).hexdigest()


def ask_git(directory: str, *question: str, within: float, given: bytes = b"") -> bytes | None:
    """Run one git command that reads objects, with something to read; None when it failed or took too long."""
    return _ask(directory, time.monotonic() + within, *question, given=given)


def _ask(directory: str, deadline: float, *question: str, given: bytes = b"") -> bytes | None:
    """Run one git command; None when it failed or took too long."""
    # A hook that runs `hookd check` has GIT_DIR and GIT_INDEX_FILE of its own repository in its environment.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environ.update(
        LC_ALL="C",
        GIT_TERMINAL_PROMPT="0",
        GIT_OPTIONAL_LOCKS="0",
        GIT_NO_LAZY_FETCH="1",  # git 2.44; before it, no protocol is allowed to fetch by
        GIT_ALLOW_PROTOCOL="none",
    )
    try:
        answer = subprocess.run(  # noqa: S603  fixed words and a directory, no shell
            ["git", *_QUIET, "-C", directory, *question],  # noqa: S607  the user's git
            env=environ,
            input=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=max(0.01, deadline - time.monotonic()),
            check=False,
        )
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return answer.stdout if answer.returncode == 0 else None
