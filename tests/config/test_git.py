"""Real repositories: which commit a tree stands at, whether git is at work in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from hookd.config.git import find_git_directory, git_busy, read_checkout

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def git(top: Path, *words: str) -> str:
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_SYSTEM": "/dev/null",
    }
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main"]
    done = subprocess.run(["git", *identity, *words], cwd=top, env=environ, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    top = tmp_path / "tree"
    (top / "webhooks.d").mkdir(parents=True)
    (top / "hookd.yaml").write_text("version: 1\n")
    git(top, "init", "-q")
    git(top, "add", ".")
    git(top, "commit", "-q", "-m", "one")
    return top


def test_the_commit_is_read_from_any_directory_of_the_tree(tree: Path) -> None:
    head = git(tree, "rev-parse", "HEAD")
    for directory in (tree, tree / "webhooks.d"):
        found = read_checkout(directory)
        assert found is not None
        assert (found.commit, found.dirty) == (head, False)


@pytest.mark.parametrize("how", ["changed", "untracked", "staged", "deleted"])
def test_a_tree_that_differs_from_its_commit_is_dirty(tree: Path, how: str) -> None:
    if how == "changed":
        (tree / "hookd.yaml").write_text("version: 1 # changed\n")
    elif how == "deleted":
        (tree / "hookd.yaml").unlink()
    else:
        (tree / "new.yaml").write_text("x\n")
    if how == "staged":
        git(tree, "add", ".")
    found = read_checkout(tree)
    assert found is not None
    assert found.dirty


def test_without_a_tree_or_a_commit_there_is_nothing(tmp_path: Path) -> None:
    assert read_checkout(tmp_path) is None
    git(tmp_path, "init", "-q")
    assert read_checkout(tmp_path) is None
    assert read_checkout(tmp_path / "absent") is None


def test_without_git_there_is_nothing(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert read_checkout(tree) is None


def test_a_git_that_hangs_is_not_waited_for(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = tmp_path / "bin" / "git"
    slow.parent.mkdir()
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{slow.parent}:{os.environ['PATH']}")
    began = time.monotonic()
    assert read_checkout(tree) is None
    assert time.monotonic() - began < 10


def test_the_environment_of_a_hook_does_not_mislead(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    found = read_checkout(tree)
    assert found is not None
    assert found.commit == git(tree, "rev-parse", "HEAD")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to give a tree to somebody else")
def test_the_tree_of_somebody_else_is_read(tree: Path) -> None:
    for path in (tree, *tree.rglob("*")):
        os.chown(path, 65534, 65534)
    assert read_checkout(tree) is not None


def test_nothing_of_the_repository_is_run(tree: Path, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    script = tmp_path / "script"
    script.write_text(f"#!/bin/sh\ntouch {ran}\ncat\n")
    script.chmod(0o755)
    git(tree, "config", "core.fsmonitor", str(script))
    git(tree, "config", "filter.evil.clean", str(script))
    git(tree, "config", "filter.evil.process", str(script))
    (tree / ".gitattributes").write_text("*.yaml filter=evil\n")
    (tree / "hookd.yaml").write_text("version: 2\n")  # as long as it was, so that git has to look inside
    assert read_checkout(tree) is not None
    assert not ran.exists()


@pytest.mark.parametrize("mark", ["index.lock", "MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD"])
def test_a_mark_says_that_git_is_at_work(tree: Path, mark: str) -> None:
    assert git_busy(tree / "webhooks.d") is None
    (tree / ".git" / mark).write_text("")
    assert mark in str(git_busy(tree / "webhooks.d"))
    (tree / ".git" / mark).unlink()
    assert git_busy(tree) is None


def test_a_conflict_and_a_stopped_rebase_are_at_work(tree: Path) -> None:
    git(tree, "checkout", "-q", "-b", "other")
    (tree / "hookd.yaml").write_text("version: 1 # other\n")
    git(tree, "commit", "-q", "-am", "other")
    git(tree, "checkout", "-q", "main")
    (tree / "hookd.yaml").write_text("version: 1 # main\n")
    git(tree, "commit", "-q", "-am", "main")
    with pytest.raises(subprocess.CalledProcessError):
        git(tree, "merge", "other")
    assert "MERGE_HEAD" in str(git_busy(tree))
    git(tree, "merge", "--abort")
    assert git_busy(tree) is None
    with pytest.raises(subprocess.CalledProcessError):
        git(tree, "rebase", "other")
    assert "rebase-" in str(git_busy(tree))
    git(tree, "rebase", "--abort")
    assert git_busy(tree) is None


def test_a_lock_that_was_left_behind_is_not_waited_for(tree: Path) -> None:
    lock = tree / ".git" / "index.lock"
    lock.write_text("")
    os.utime(lock, (time.time() - 3600, time.time() - 3600))
    assert git_busy(tree) is None


def test_a_linked_work_tree_has_its_own_marks(tree: Path, tmp_path: Path) -> None:
    linked = tmp_path / "linked"
    git(tree, "worktree", "add", "-q", str(linked))
    found = find_git_directory(linked)
    assert found is not None
    assert found.is_dir()
    (found / "index.lock").write_text("")
    assert git_busy(linked) is not None
    assert git_busy(tree) is None
    assert read_checkout(linked) is not None
