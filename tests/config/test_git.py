"""Real repositories: which commit a tree stands at, whether git is at work in it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from hookd.config.git import find_git_directories, find_git_directory, git_busy, read_checkout, stamp_heads

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


def read(*paths: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in paths}


def busy(directory: Path) -> str | None:
    return git_busy(find_git_directories([str(directory)]))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    top = tmp_path / "tree"
    (top / "webhooks.d").mkdir(parents=True)
    (top / "hookd.yaml").write_text("version: 1\n")
    (top / "webhooks.d" / "a.yaml").write_text("webhooks: {}\n")
    git(top, "init", "-q")
    git(top, "add", ".")
    git(top, "commit", "-q", "-m", "one")
    return top


def test_the_commit_is_read_from_any_directory_of_the_tree(tree: Path) -> None:
    head = git(tree, "rev-parse", "HEAD")
    for main in (tree / "hookd.yaml", tree / "webhooks.d" / "x.yaml"):
        found = read_checkout(main, read(tree / "hookd.yaml"))
        assert found is not None
        assert (found.commit, found.dirty) == (head, False)


@pytest.mark.parametrize("how", ["changed", "untracked", "staged", "deleted", "ignored"])
def test_a_config_that_differs_from_its_commit_is_dirty(tree: Path, how: str) -> None:
    files = [tree / "hookd.yaml"]
    if how == "changed":
        (tree / "hookd.yaml").write_text("version: 1 # changed\n")
    elif how == "deleted":
        (tree / "webhooks.d" / "a.yaml").unlink()
    else:
        (tree / "new.yaml").write_text("x\n")
        files.append(tree / "new.yaml")
    if how == "staged":
        git(tree, "add", ".")
    if how == "ignored":
        (tree / ".git" / "info" / "exclude").write_text("new.yaml\n")
    found = read_checkout(tree / "hookd.yaml", read(*files))
    assert found is not None
    assert found.dirty


def test_what_is_not_of_the_config_does_not_make_it_dirty(tree: Path, tmp_path: Path) -> None:
    (tree / "notes.txt").write_text("x\n")  # like the daemon's own state directory beside its config
    (tree / "README").write_text("other\n")
    elsewhere = tmp_path / "managed.yaml"
    elsewhere.write_text("webhooks: {}\n")
    nested = tree / "managed"
    nested.mkdir()
    git(nested, "init", "-q")
    (nested / "m.yaml").write_text("webhooks: {}\n")
    found = read_checkout(tree / "hookd.yaml", read(tree / "hookd.yaml", elsewhere, nested / "m.yaml"))
    assert found is not None
    assert not found.dirty


def test_the_bytes_that_were_read_are_judged_and_not_those_on_disk_now(tree: Path) -> None:
    before = read(tree / "hookd.yaml")
    (tree / "hookd.yaml").write_text("version: 1 # changed\n")
    for files, dirty in ((before, False), (read(tree / "hookd.yaml"), True)):
        found = read_checkout(tree / "hookd.yaml", files)
        assert found is not None
        assert found.dirty is dirty


def test_a_config_that_is_reached_by_a_link_is_of_the_tree_that_it_lies_in(tree: Path, tmp_path: Path) -> None:
    link = tmp_path / "hookd.yaml"
    link.symlink_to(tree / "hookd.yaml")
    found = read_checkout(link, {str(link): (tree / "hookd.yaml").read_bytes()})
    assert found is not None
    assert not found.dirty


def test_a_repository_of_the_other_hash_is_read(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--object-format=sha256")
    (tmp_path / "hookd.yaml").write_text("version: 1\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "one")
    found = read_checkout(tmp_path / "hookd.yaml", read(tmp_path / "hookd.yaml"))
    assert found is not None
    assert (len(found.commit), found.dirty) == (64, False)


def test_without_a_tree_or_a_commit_there_is_nothing(tmp_path: Path) -> None:
    assert read_checkout(tmp_path / "hookd.yaml", {}) is None
    git(tmp_path, "init", "-q")
    assert read_checkout(tmp_path / "hookd.yaml", {}) is None
    assert read_checkout(tmp_path / "absent" / "hookd.yaml", {}) is None
    (tmp_path / ".git" / "HEAD").write_text("junk")
    assert read_checkout(tmp_path / "hookd.yaml", {}) is None


def test_without_git_there_is_nothing(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert read_checkout(tree / "hookd.yaml", {}) is None


def test_a_git_that_hangs_is_not_waited_for(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = tmp_path / "bin" / "git"
    slow.parent.mkdir()
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{slow.parent}:{os.environ['PATH']}")
    began = time.monotonic()
    assert read_checkout(tree / "hookd.yaml", {}) is None
    assert time.monotonic() - began < 10


def test_the_environment_of_a_hook_does_not_mislead(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    found = read_checkout(tree / "hookd.yaml", read(tree / "hookd.yaml"))
    assert found is not None
    assert found.commit == git(tree, "rev-parse", "HEAD")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to give a tree to somebody else")
def test_the_tree_of_somebody_else_is_read(tree: Path) -> None:
    for path in (tree, *tree.rglob("*")):
        os.chown(path, 65534, 65534)
    assert read_checkout(tree / "hookd.yaml", {}) is not None


@pytest.fixture
def trap(tmp_path: Path) -> tuple[Path, Path]:
    """Give a program and the file that tells that it ran."""
    ran, script = tmp_path / "ran", tmp_path / "script"
    script.write_text(f"#!/bin/sh\ntouch {ran}\ncat\n")
    script.chmod(0o755)
    return script, ran


def test_nothing_of_the_repository_is_run(tree: Path, trap: tuple[Path, Path]) -> None:
    script, ran = trap
    hooks = tree.parent / "hooks"
    hooks.mkdir()
    for name in ("post-index-change", "post-checkout", "reference-transaction", "fsmonitor-watchman", "pre-auto-gc"):
        (hooks / name).symlink_to(script)
        (tree / ".git" / "hooks").mkdir(exist_ok=True)
        (tree / ".git" / "hooks" / name).symlink_to(script)
    for key in (
        "core.fsmonitor", "filter.evil.clean", "filter.evil.smudge", "filter.evil.process", "filter.a=b.clean",
        "filter.a=b.process", "core.pager", "pager.ls-tree", "pager.rev-parse", "core.editor", "core.sshCommand",
        "diff.external", "diff.evil.textconv", "alias.ls-tree", "alias.rev-parse", "gpg.program", "credential.helper",
        "core.alternateRefsCommand", "uploadpack.packObjectsHook",
    ):  # fmt: skip
        git(tree, "config", key, str(script) if not key.startswith("alias") else f"!{script}")
    git(tree, "config", "core.hooksPath", str(hooks))
    git(tree, "config", "log.showSignature", "true")
    (tree / ".gitattributes").write_text("*.yaml filter=evil diff=evil\nwebhooks.d/* filter=a=b\n")
    (tree / "hookd.yaml").write_text("version: 2\n")  # as long as it was, so that a status would have to look inside
    os.utime(tree / "webhooks.d" / "a.yaml")
    found = read_checkout(tree / "hookd.yaml", read(tree / "hookd.yaml", tree / "webhooks.d" / "a.yaml"))
    assert found is not None
    assert found.dirty
    assert not ran.exists()
    # The trap works: this is what a status would have come to.
    with contextlib.suppress(subprocess.CalledProcessError):
        git(tree, "status")
    assert ran.exists()


@pytest.fixture
def submodule(tree: Path, tmp_path: Path) -> Path:
    """Give the directory of a submodule with one file, as it was committed."""
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    (other / "o.yaml").write_text("webhooks: {}\n")
    git(other, "add", ".")
    git(other, "commit", "-q", "-m", "one")
    git(tree, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(other), "sub")
    git(tree, "commit", "-q", "-am", "sub")
    return tree / "sub"


def test_nothing_of_a_submodule_is_run(tree: Path, submodule: Path, trap: tuple[Path, Path]) -> None:
    script, ran = trap
    git(submodule, "config", "core.fsmonitor", str(script))
    (submodule / "o.yaml").write_text("webhooks: {a: 1}\n")
    found = read_checkout(tree / "hookd.yaml", read(tree / "hookd.yaml", submodule / "o.yaml"))
    assert found is not None
    assert found.dirty
    assert not ran.exists()


@pytest.mark.parametrize(
    ("how", "dirty"), [("clean", False), ("changed", True), ("ahead", True), ("taken over", False)]
)
def test_a_file_of_a_submodule_is_held_against_what_the_commit_names(
    tree: Path, submodule: Path, how: str, *, dirty: bool
) -> None:
    if how != "clean":
        (submodule / "o.yaml").write_text("webhooks: {a: 1}\n")
    if how in {"ahead", "taken over"}:
        git(submodule, "commit", "-q", "-am", "two")
    if how == "taken over":
        git(tree, "commit", "-q", "-am", "sub is two")
    found = read_checkout(tree / "hookd.yaml", read(tree / "hookd.yaml", submodule / "o.yaml"))
    assert found is not None
    assert (found.commit, found.dirty) == (git(tree, "rev-parse", "HEAD"), dirty)


def test_a_submodule_of_which_nothing_is_read_does_not_count(tree: Path, submodule: Path) -> None:
    (submodule / "o.yaml").write_text("webhooks: {a: 1}\n")
    found = read_checkout(tree / "hookd.yaml", read(tree / "hookd.yaml"))
    assert found is not None
    assert not found.dirty


def test_what_a_partial_clone_has_not_got_is_not_fetched(tree: Path, trap: tuple[Path, Path]) -> None:
    """Asking for an object that is missing makes git run what the repository calls its remote."""
    script, ran = trap
    script.write_text(f"#!/bin/sh\ntouch {ran}\nexit 1\n")
    for key, value in (
        ("remote.origin.url", f"ext::{script}"), ("remote.origin.promisor", "true"), ("protocol.ext.allow", "always"),
        ("remote.origin.uploadpack", str(script)), ("extensions.partialClone", "origin"),
        ("core.repositoryFormatVersion", "1"),
    ):  # fmt: skip
        git(tree, "config", key, value)
    missing = git(tree, "rev-parse", "HEAD^{tree}")
    (tree / ".git" / "objects" / missing[:2] / missing[2:]).unlink()
    found = read_checkout(tree / "hookd.yaml", read(tree / "hookd.yaml"))
    assert not ran.exists()
    assert found is None or found.dirty  # nothing is called clean that could not be compared
    with contextlib.suppress(subprocess.CalledProcessError):
        git(tree, "ls-tree", "-r", "HEAD")
    assert ran.exists()


def test_replaced_objects_do_not_mislead(tree: Path) -> None:
    head = git(tree, "rev-parse", "HEAD")
    clean = read(tree / "hookd.yaml")
    (tree / "hookd.yaml").write_text("version: 1 # other\n")
    git(tree, "commit", "-q", "-am", "other")
    git(tree, "replace", head, "HEAD")
    git(tree, "checkout", "-q", head)
    found = read_checkout(tree / "hookd.yaml", clean)
    assert found is not None
    assert (found.commit, found.dirty) == (head, False)


@pytest.mark.parametrize("mark", ["index.lock", "MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "sequencer"])
def test_a_mark_says_that_git_is_at_work(tree: Path, mark: str) -> None:
    assert busy(tree / "webhooks.d") is None
    (tree / ".git" / mark).write_text("")
    assert mark in str(busy(tree / "webhooks.d"))
    (tree / ".git" / mark).unlink()
    assert busy(tree) is None


def test_a_conflict_and_a_stopped_rebase_are_at_work(tree: Path) -> None:
    git(tree, "checkout", "-q", "-b", "other")
    (tree / "hookd.yaml").write_text("version: 1 # other\n")
    git(tree, "commit", "-q", "-am", "other")
    git(tree, "checkout", "-q", "main")
    (tree / "hookd.yaml").write_text("version: 1 # main\n")
    git(tree, "commit", "-q", "-am", "main")
    with pytest.raises(subprocess.CalledProcessError):
        git(tree, "merge", "other")
    assert "MERGE_HEAD" in str(busy(tree))
    git(tree, "merge", "--abort")
    assert busy(tree) is None
    with pytest.raises(subprocess.CalledProcessError):
        git(tree, "rebase", "other")
    assert "rebase-" in str(busy(tree))
    git(tree, "rebase", "--abort")
    assert busy(tree) is None


def test_a_lock_that_was_left_behind_is_not_waited_for(tree: Path) -> None:
    lock = tree / ".git" / "index.lock"
    lock.write_text("")
    os.utime(lock, (time.time() - 3600, time.time() - 3600))
    assert busy(tree) is None


def test_a_linked_work_tree_has_its_own_marks(tree: Path, tmp_path: Path) -> None:
    linked = tmp_path / "linked"
    git(tree, "worktree", "add", "-q", str(linked))
    found = find_git_directory(linked)
    assert found is not None
    assert found.is_dir()
    (found / "index.lock").write_text("")
    assert busy(linked) is not None
    assert busy(tree) is None
    assert read_checkout(linked / "hookd.yaml", {}) is not None


def test_a_commit_is_another_stamp_and_an_edit_is_not(tree: Path, tmp_path: Path) -> None:
    main = tree / "hookd.yaml"
    before = stamp_heads(main)
    main.write_text("version: 1 # changed\n")
    assert stamp_heads(main) == before
    git(tree, "commit", "-q", "-am", "changed")
    assert stamp_heads(main) != before
    assert stamp_heads(tmp_path / "hookd.yaml") == ()
