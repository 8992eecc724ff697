"""What git says about the tree that holds the config: which commit it is, and whether git is at work there.

Rules of this module:

1. git is asked, never trusted to be there: no git, no work tree, no commit or no answer in time gives None.
2. Asking changes nothing and runs nothing of the repository's: no optional locks, no hooks, no file-system monitor,
   no clean filters. The daemon may read a tree that belongs to somebody else (`safe.directory`).
3. git takes `index.lock` before it touches the first file of the work tree and gives it back after the last one
   (git 2.39: checkout, reset, merge, stash). That is the signal that a tree is half written, and a pause in the
   events is not. A merge or rebase that waits for a person shows by its own marks.
"""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

_ANSWER_WITHIN: Final = 2.0  # seconds; a repository that takes longer does not hold up a reload

#: An index.lock this old was left behind by a git that died; a merge may wait for its person for days.
_STALE_LOCK_AFTER: Final = 600.0

_MARKS: Final = ("index.lock", "MERGE_HEAD", "rebase-merge", "rebase-apply", "CHERRY_PICK_HEAD", "REVERT_HEAD")

_QUIET: Final = (
    "--no-optional-locks",
    "-c",
    "safe.directory=*",
    "-c",
    "core.fsmonitor=false",
    "-c",
    "core.hooksPath=/dev/null",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """The commit that a tree stands at, 40 or 64 hexadecimal digits, and whether something differs from it."""

    commit: str
    dirty: bool


def read_checkout(directory: Path) -> Checkout | None:
    """Give the commit of the work tree that holds `directory`, or None. Waits at most 2 s and never raises."""
    if find_git_directory(directory) is None:
        return None  # most directories: no process is worth it
    deadline = time.monotonic() + _ANSWER_WITHIN
    filters = _ask(directory, deadline, "config", "--name-only", "--get-regexp", r"^filter\..*\.(clean|process)$")
    if filters is None:
        return None
    disarmed = [part for name in filters.split() for part in ("-c", f"{name}=")]
    answer = _ask(
        directory,
        deadline,
        "status",
        "--porcelain=v2",
        "--branch",
        "--untracked-files=normal",
        "--ignore-submodules=all",
        options=disarmed,
    )
    if answer is None:
        return None
    commit, dirty = None, False
    for line in answer.splitlines():
        if line.startswith("# branch.oid "):
            commit = line.removeprefix("# branch.oid ")
        elif not line.startswith("#"):
            dirty = True
    if commit is None or commit == "(initial)":
        return None
    return Checkout(commit=commit, dirty=dirty)


def find_git_directory(directory: Path) -> Path | None:
    """Give the directory in which git keeps the state of the work tree that holds `directory`, or None.

    In a linked work tree `.git` is a file that names it (gitrepository-layout(5)).
    """
    try:
        here = directory.resolve()
        for parent in (here, *here.parents):
            entry = parent / ".git"
            if entry.is_dir():
                return entry
            if entry.is_file():
                named = entry.read_text(encoding="utf-8", errors="surrogateescape").strip()
                return parent / named.removeprefix("gitdir: ") if named.startswith("gitdir: ") else None
    except (OSError, RuntimeError):  # RuntimeError: a loop of symbolic links
        return None
    return None


def git_busy(directory: Path) -> str | None:
    """Give the mark of an operation that is going on in the work tree that holds `directory`, or None.

    A mark is its path and the time at which it was made, so that the caller knows a new one from an old one.
    """
    found = find_git_directory(directory)
    if found is None:
        return None
    for name in _MARKS:
        try:
            made = (found / name).stat().st_mtime
        except OSError:
            continue
        if name == "index.lock" and time.time() - made > _STALE_LOCK_AFTER:
            continue
        return f"{found / name}@{made}"
    return None


def _ask(directory: Path, deadline: float, *question: str, options: list[str] | None = None) -> str | None:
    """Run one git command; None when it failed. `git config` without a match answers with status 1 and nothing."""
    # A hook that runs `hookd check` has GIT_DIR and GIT_INDEX_FILE of its own repository in its environment.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environ.update(LC_ALL="C", GIT_TERMINAL_PROMPT="0", GIT_OPTIONAL_LOCKS="0")
    try:
        answer = subprocess.run(  # noqa: S603  fixed words and a directory, no shell
            ["git", *_QUIET, *(options or ()), "-C", str(directory), *question],  # noqa: S607  the user's git
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=max(0.01, deadline - time.monotonic()),
            check=False,
        )
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    if answer.returncode != 0 and not (question[0] == "config" and answer.returncode == 1):
        return None
    return answer.stdout.decode("utf-8", errors="replace")
