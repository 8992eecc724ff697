"""What is made of files while they are written: a load takes it over, and comes to what it would come to without."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from hookd.config import load as load_module
from hookd.config.ahead import Ahead
from hookd.config.building.sheets import read_sheet
from hookd.config.load import Loaded, load, load_again
from tests.config.following import House, following, hook
from tests.config.test_reload_git import Repository
from tests.config.test_reuse import CHANGES, START, described, put
from tests.config.trees import write_tree

if TYPE_CHECKING:
    from collections.abc import Callable

MAIN = "version: 1\ninclude: [hooks/*.yaml]\n"


def first(count: int) -> Callable[[], bool]:
    """Give what is true so many times."""
    left = iter(range(count))
    return lambda: next(left, None) is not None


@settings(max_examples=150, deadline=None)
@given(CHANGES, st.lists(st.integers(0, 9), min_size=6, max_size=6))
def test_it_comes_to_the_same(changes: list[list[tuple[str, int]]], pauses: list[int]) -> None:
    """Whatever is looked at on the way, and however early that is stopped."""
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder)
        for name, number in START.items():
            put(top, name, number)
        before = load_again(top / "hookd.yaml", None)
        for step, pause in zip(changes, pauses, strict=False):
            ahead = Ahead(before)
            for name, number in step:
                put(top, name, number)
                ahead.look(first(pause))
            after = load_again(top / "hookd.yaml", before, ahead)
            assert described(before if after is None else after) == described(load_again(top / "hookd.yaml", None))
            before = after or before


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Give the names of the files that loads parse."""
    names: list[str] = []

    def read(content: bytes, file: str, kind: Any) -> Any:
        names.append(Path(file).stem)
        return read_sheet(content, file, kind)

    monkeypatch.setattr(load_module, "read_sheet", read)
    return names


def test_what_was_made_ahead_is_not_made_again(tmp_path: Path, read: list[str]) -> None:
    main = write_tree(tmp_path, main=MAIN, **{f"hooks__{name}": hook(name, "old") for name in "abcd"})
    before = load(main)
    ahead = Ahead(before)
    write_tree(tmp_path, hooks__a=hook("a", "new"), hooks__b=hook("b", "half"), hooks__new=hook("new"))
    assert ahead.look(lambda: True) == 3
    assert ahead.look(lambda: True) == 0
    write_tree(tmp_path, hooks__b=hook("b", "whole"), hooks__c=hook("c", "new"))
    read.clear()
    after = load_again(main, before, ahead)
    assert isinstance(after, Loaded)
    assert read == ["b", "c"]
    assert {name: webhook.name for name, webhook in after.config.webhooks.items()} == {
        **dict.fromkeys("ac", "new"),
        "b": "whole",
        "d": "old",
        "new": "",
    }
    assert after.config.webhooks["d"] is before.config.webhooks["d"]
    sheet = after.kept.sheets[str(tmp_path / "hooks/a.yaml")]
    assert sheet.content is after.snapshot.files[str(tmp_path / "hooks/a.yaml")]  # held once


def test_what_is_not_good_or_comes_back_leaves_nothing(tmp_path: Path, read: list[str]) -> None:
    main = write_tree(tmp_path, main=MAIN, hooks__a=hook("a", "old"), hooks__b=hook("b", "old"))
    before = load(main)
    ahead = Ahead(before)
    write_tree(tmp_path, hooks__a="webhooks: {a: [", hooks__b=hook("b", "half"))
    assert ahead.look(lambda: True) == 1
    write_tree(tmp_path, hooks__a=hook("a", "new"), hooks__b=hook("b", "old"))
    read.clear()
    after = load_again(main, before, ahead)
    assert isinstance(after, Loaded)
    assert read == ["a"]
    assert after.config.webhooks["b"] is before.config.webhooks["b"]


def test_other_defaults_hold_for_what_was_made_ahead_of_them(tmp_path: Path) -> None:
    main = write_tree(tmp_path, main=MAIN, hooks__a=hook("a", "old"))
    before = load(main)
    ahead = Ahead(before)
    write_tree(tmp_path, hooks__a=hook("a", "new"))
    assert ahead.look(lambda: True) == 1
    write_tree(tmp_path, main=f"{MAIN}defaults: {{timeout: 3s}}\n")
    after = load_again(main, before, ahead)
    assert isinstance(after, Loaded)
    assert (after.config.webhooks["a"].name, after.config.webhooks["a"].timeout) == ("new", 3.0)


def test_it_stops_at_the_next_file(tmp_path: Path) -> None:
    main = write_tree(tmp_path, main=MAIN, **{f"hooks__w{number}": hook(f"w{number}") for number in range(9)})
    ahead = Ahead(load(main))
    write_tree(tmp_path, **{f"hooks__w{number}": hook(f"w{number}", "new") for number in range(9)})
    assert ahead.look(first(3)) == 2  # it is asked before the first file too
    assert ahead.look(lambda: True) == 7


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
async def test_it_is_done_while_git_holds_its_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is parsed before the lock is gone, nothing of it runs before then, and nothing is left to parse."""
    looked: list[int] = []
    again = trio.Event()
    really = Ahead.look

    def look(self: Ahead, go_on: Callable[[], bool]) -> int:
        looked.append(really(self, go_on))
        trio.from_thread.run_sync(lambda: again.set())  # noqa: PLW0108  which event that is, is known there
        return looked[-1]

    monkeypatch.setattr(Ahead, "look", look)
    tree = Repository(tmp_path)
    async with following(House(tree.main)) as house:
        lock = tmp_path / ".git/index.lock"
        lock.touch()
        hooks = sorted((tmp_path / "hooks").rglob("*.yaml"))
        for path in hooks:
            path.write_text(path.read_text().replace('"two"', '"three"'))
        with trio.fail_after(10):
            while sum(looked) < len(hooks):
                await again.wait()
                again = trio.Event()
        assert house.applied == []
        monkeypatch.setattr(load_module, "read_sheet", None)  # who asks now fails
        lock.unlink()
        await house.runs("three")
        assert len(house.applied) == 1
