"""The managed directory's own repository: one commit for each change, in the name of who made it.

Rules of this module:

1. git records what happened; it decides nothing. What it cannot do is told, and the change stands: the next commit of
   the same file, or the next start, takes it along.
2. Nothing of the machine's or the repository's own settings is run: no hooks, no signing, no editor, no system config.
3. It is the directory's own repository. One that lies above it is somebody else's, and is left alone.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_WITHIN_S: Final = 30.0
_ADDRESS: Final = "hookd@localhost"
_QUIET: Final = (
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "core.fsmonitor=false",
    "-c",
    "commit.gpgSign=false",
    "-c",
    "core.autocrlf=false",
    "-c",
    "gc.autoDetach=false",
    "-c",
    "safe.directory=*",
)


class GitFailed(Exception):  # noqa: N818  a fact, told in the log
    """git did not do what it was asked; the message says which command and how it ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """One change: the file as it lies in the directory, what happened to it, and who made it."""

    file: str
    subject: str
    author: str


def commit_changes(directory: str, commits: Sequence[Commit]) -> None:
    """Commit changes one by one, in order; the repository is made if there is none. Blocks. Raises `GitFailed`."""
    if not Path(directory, ".git").exists():
        _git(directory, "init", "--quiet", "--initial-branch=main")
    for commit in commits:
        if not os.path.lexists(f"{directory}/{commit.file}") and not _git(directory, "ls-files", "--", commit.file):
            continue  # it came and went without a commit
        _git(directory, "add", "--all", "--force", "--", commit.file)
        _commit(directory, commit.subject, commit.author, "--only", "--", commit.file)


def commit_rest(directory: str) -> None:
    """Commit what is written and in no commit: a crash came between the two. Blocks. Raises `GitFailed`."""
    if not Path(directory, ".git").exists():
        return
    _git(directory, "add", "--all", "--", ".")
    if _git(directory, "status", "--porcelain", "--untracked-files=no"):
        _commit(directory, "what was written and not committed before", "hookd")


def _commit(directory: str, subject: str, author: str, *which: str) -> None:
    # A change that changes nothing (written, removed, written again) is a commit too: somebody made it.
    who = "".join(character for character in author if character.isprintable() and character not in "<>") or "hookd"
    options = ("--quiet", "--allow-empty", "--no-verify", f"--author={who} <{_ADDRESS}>", f"--message={subject}")
    _git(directory, "commit", *options, *which)


def _git(directory: str, *command: str) -> bytes:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environ |= {
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_COMMITTER_NAME": "hookd",
        "GIT_COMMITTER_EMAIL": _ADDRESS,
        "LC_ALL": "C",
    }
    try:
        answer = subprocess.run(  # noqa: S603  fixed words, a directory and a file name of ours; no shell
            ["git", *_QUIET, "-C", directory, *command],  # noqa: S607  the user's git
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_WITHIN_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise GitFailed(f"git {command[0]} could not be run: {type(error).__name__}") from None
    if answer.returncode:
        said = answer.stderr.decode("utf-8", "replace").strip().splitlines()
        raise GitFailed(f"git {command[0]} ended with {answer.returncode}: {said[0][:200] if said else 'no word'}")
    return answer.stdout
