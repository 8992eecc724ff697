"""Reloading from what git does to a tree: nothing half is ever applied, and the commit is known."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import trio

from hookd.config.reload import reloader as reload_module
from hookd.config.reload.lastgood import Keeper, open_last_good
from hookd.config.reload.settle import wait_for_checkout
from tests.config.following import SOON, House, eventually, following, hook, told, write_all
from tests.config.trees import write_tree

if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from pathlib import Path

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


@pytest.fixture(autouse=True)
def _no_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave it to the events: a sweep would heal what they miss."""
    monkeypatch.setattr(reload_module, "_SWEEP_S", 1000.0)


class Repository:
    """A work tree with the branches `one` and `two`, in which every file differs."""

    def __init__(self, top: Path) -> None:
        self.top = top
        top.mkdir(exist_ok=True)
        self.git("init", "-q", "-b", "one")
        self.main = write_all(top, "one")
        self.commit("one")
        self.git("checkout", "-q", "-b", "two")
        write_all(top, "two")
        self.commit("two")

    def git(self, *words: str, cwd: Path | None = None, check: bool = True) -> str:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
        done = subprocess.run(["git", *identity, *words], cwd=cwd or self.top, check=check, capture_output=True)
        return done.stdout.decode().strip()

    def commit(self, note: str) -> None:
        self.git("add", ".")
        self.git("commit", "-q", "-m", note)

    async def arun(self, *words: str, cwd: Path | None = None) -> None:
        await trio.to_thread.run_sync(lambda: self.git(*words, cwd=cwd))


async def test_checkouts_stashes_and_resets_are_applied_whole(tmp_path: Path) -> None:
    tree = Repository(tmp_path)
    async with following(House(tree.main)) as house:
        for branch in ("one", "two", "one", "two"):
            await tree.arun("checkout", "-q", branch)
            await house.runs(branch)
            assert str(house.live.current.revision.commit) == tree.git("rev-parse", "HEAD")
            assert not house.live.current.revision.dirty
        write_all(tmp_path, "edited")
        await house.runs("edited")
        assert house.live.current.revision.dirty
        await tree.arun("stash", "-q")
        await house.runs("two")
        await tree.arun("stash", "pop", "-q")
        await house.runs("edited")
        await tree.arun("reset", "-q", "--hard", "one")
        await house.runs("one")
        assert all(len(notes) == 1 for notes in house.notes)


async def test_a_rebase_is_applied_once_it_is_over(tmp_path: Path) -> None:
    tree = Repository(tmp_path)
    for number in range(3):
        write_tree(tmp_path, hooks__extra=hook(f"extra{number}", "two"))
        tree.commit(f"extra {number}")
    tree.git("checkout", "-q", "one")
    write_tree(tmp_path, **{"note.txt": "so that there is something to rebase onto\n"})
    tree.commit("note")
    tree.git("checkout", "-q", "two")
    async with following(House(tree.main)) as house:
        # Between its steps the work tree holds none, one, or two of the extra webhooks.
        await tree.arun("rebase", "-q", "--exec", "sleep 0.3", "one")
        await house.reloader.reload()
        assert [config.webhooks.keys() & {"extra0", "extra1", "extra2"} for config in house.applied] == []
        revision = house.live.current.revision
        assert (revision.commit, revision.dirty) == (tree.git("rev-parse", "HEAD"), False)


async def test_a_conflict_waits_for_its_person_and_a_merge_is_then_applied(tmp_path: Path) -> None:
    tree = Repository(tmp_path)
    tree.git("checkout", "-q", "-b", "three", "one")
    write_all(tmp_path, "three")
    tree.commit("three")
    async with following(House(tree.main)) as house:
        await trio.to_thread.run_sync(lambda: tree.git("merge", "-q", "two", check=False))
        assert (tmp_path / ".git" / "MERGE_HEAD").exists()
        with trio.move_on_after(1.0) as waited:
            await house.reloader.reload()
        assert waited.cancelled_caught  # conflict markers are not even looked at while the merge is open
        await tree.arun("checkout", "-q", "--theirs", ".")
        tree.git("add", ".")
        tree.git("-c", "core.editor=true", "commit", "-q", "--no-edit")
        await house.runs("two")
        assert len(house.applied) == 1
        assert house.reloader.last.problems == ()


async def test_a_linked_work_tree_and_one_that_is_included_are_waited_for(tmp_path: Path) -> None:
    """The main file may lie in one place and the webhooks, from git, in another."""
    tree = Repository(tmp_path / "repo")
    linked = tmp_path / "linked"
    tree.git("worktree", "add", "-q", str(linked), "one")
    main = write_tree(tmp_path / "etc", main=f"version: 1\ninclude: ['{linked}/hooks/*.yaml']\n")
    async with following(House(main)) as house:
        for branch in ("two~0", "one", "two~0"):
            await tree.arun("checkout", "-q", "--detach", branch, cwd=linked)
            await house.runs(branch.removesuffix("~0"))
        lock = tmp_path / "repo" / ".git" / "worktrees" / "linked" / "index.lock"
        lock.touch()
        write_tree(linked, hooks__h0=hook("h0", "half"))
        with trio.move_on_after(1.0) as waited:
            await house.reloader.reload()
        assert waited.cancelled_caught
        write_tree(linked, hooks__h0=hook("h0", "two"))
        lock.unlink()
        with trio.fail_after(SOON):
            await house.reloader.reload()
        assert all(len(notes) == 1 for notes in house.notes)


async def test_what_runs_is_known_by_the_commit_that_it_gets(
    tmp_path: Path, logged: list[MutableMapping[str, Any]]
) -> None:
    tree = Repository(tmp_path)
    keeper = Keeper(tmp_path / ".git", tree.main)
    async with following(House(tree.main, keeper=keeper)) as house:
        write_all(tmp_path, "edited")
        await house.runs("edited")
        dirty = house.live.current.revision
        assert dirty.dirty
        tree.commit("edited")
        head = tree.git("rev-parse", "HEAD")
        await eventually(lambda: house.live.current.revision != dirty)
        revision = house.live.current.revision
        assert (revision.hash, revision.commit, revision.dirty) == (dirty.hash, head, False)
        assert len(house.applied) == 1  # nothing was applied again
        assert house.reloader.last.revision == str(revision)
        (line,) = told(logged, "config.committed")
        assert (line["revision"], line["commit"], line["dirty"]) == (str(revision), head, False)
        archive = tmp_path / ".git" / "last-good" / "config.tar"
        await eventually(lambda: open_last_good(archive, tree.main).loaded.config.revision == revision)


async def test_a_lock_that_a_killed_git_left_is_named_and_waited_for_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logged: list[MutableMapping[str, Any]]
) -> None:
    monkeypatch.setattr("hookd.config.reload.settle._GIT_AT_MOST_S", 0.5)
    tree = Repository(tmp_path)
    async with following(House(tree.main)) as house:
        for mark, advice in (
            ("index.lock", ", which is to be removed if no git runs there any more"),
            ("MERGE_HEAD", ""),
        ):
            logged.clear()
            (tmp_path / ".git" / mark).touch()
            for note in (f"{mark} first", f"{mark} second"):
                write_all(tmp_path, note)
                await house.runs(note)
            (line,) = told(logged, "config.deferred")
            where = f"there is {tmp_path}/.git/{mark}{advice}"
            assert line["reason"] == f"git is at work in the tree: {where}; the files are read as they lie"
            (tmp_path / ".git" / mark).unlink()


def test_a_start_waits_for_a_checkout_and_not_for_a_person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = Repository(tmp_path)
    slept: list[float] = []
    lock = tmp_path / ".git" / "index.lock"

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 5:
            lock.unlink()

    monkeypatch.setattr("hookd.config.reload.settle.time.sleep", sleep)
    (tmp_path / ".git" / "MERGE_HEAD").touch()
    wait_for_checkout(tree.main)
    assert slept == []
    (tmp_path / ".git" / "MERGE_HEAD").unlink()
    lock.touch()
    wait_for_checkout(tree.main)
    assert len(slept) == 5
    lock.touch()
    slept[:] = [0.0] * 10
    wait_for_checkout(tree.main, at_most=0.05)
    assert lock.exists()
