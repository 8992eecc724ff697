"""Directories that cannot be read: what stood in them stays, is told once, and is there again at once.

A link that leads to itself binds everybody; modes do not bind root, whom tests may be run by. What modes do is tried
with a daemon of another user (`tests/e2e/test_reload_rights.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from hookd.config.load import Loaded, Rejected, load_again
from hookd.config.reload import reloader as reload_module
from tests.config.following import SOON, House, eventually, following, hook, told
from tests.config.trees import write_tree

if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from pathlib import Path

OWN = "webhooks: {own: {url: 'https://example.com/', events: [a]}}\n"
WHY = "Too many levels of symbolic links"


def shut(directory: Path) -> None:
    directory.rename(directory.with_name("away"))
    directory.symlink_to(directory.name)


def open_again(directory: Path) -> None:
    directory.unlink()
    directory.with_name("away").rename(directory)


@pytest.fixture(autouse=True)
def _no_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave it to the events: a sweep would heal what they miss."""
    monkeypatch.setattr(reload_module, "_SWEEP_S", 1000.0)


@pytest.mark.parametrize(
    ("include", "closed", "file"),
    [
        ("hooks/*.yaml", "hooks", "hookd.yaml"),  # it is named: told where that is
        ("hooks/**/*.yaml", "hooks", "hookd.yaml"),
        ("hooks/team/*.yaml", "hooks", "hookd.yaml"),  # a directory above it
        ("hooks/team/b.yaml", "hooks/team", "hookd.yaml"),
        ("hooks/[s-u]*/*.yaml", "hooks/team", "hooks/team"),  # a pattern met it: told since webhooks stood there
        ("*s/t*/b.yaml", "hooks/team", "hooks/team"),
    ],
)
async def test_what_stood_in_a_directory_that_is_closed_stays(
    tmp_path: Path, logged: list[MutableMapping[str, Any]], include: str, closed: str, file: str
) -> None:
    main = write_tree(tmp_path, main=f"version: 1\ninclude: ['{include}']\n{OWN}")
    write_tree(tmp_path, hooks__a=hook("a"), hooks__team__b=hook("b"))
    async with following(House(main)) as house:
        before = house.live.current
        shut(tmp_path / closed)
        await eventually(lambda: bool(house.reloader.last.problems))
        for _ in range(2):
            with trio.fail_after(SOON):
                (problem,) = (await house.reloader.reload()).problems
        assert (problem.code, problem.place.file) == ("unreadable_file", str(tmp_path / file))
        assert f"cannot be read: {WHY}" in problem.message
        assert (house.live.current, house.applied, len(told(logged, "config.rejected"))) == (before, [], 1)
        open_again(tmp_path / closed)
        await eventually(lambda: not house.reloader.last.problems)
        assert (house.applied, len(told(logged, "config.restored"))) == ([], 1)


async def test_a_directory_that_is_closed_may_be_given_up(tmp_path: Path) -> None:
    main = write_tree(tmp_path, main=f"version: 1\ninclude: ['hooks/*/*.yaml']\n{OWN}")
    write_tree(tmp_path, hooks__team__b=hook("b"))
    async with following(House(main)) as house:
        shut(tmp_path / "hooks" / "team")
        (tmp_path / "hooks" / "away").rename(tmp_path / "away")
        with trio.fail_after(SOON):
            message = (await house.reloader.reload()).problems[0].message
            report = await house.reloader.reload(allow_removals=True)
        assert "1 webhook would go (b), so it is not applied; if it is meant: hookd reload --allow-removals" in message
        assert (report.removed, report.problems, set(house.live.current.webhooks)) == (("b",), (), {"own"})


def test_a_managed_directory_that_is_closed_is_told_at_a_start_too(tmp_path: Path) -> None:
    main = write_tree(tmp_path, main="version: 1\nmanaged_dir: hooks\n", hooks__a=hook("a"))
    assert isinstance(load_again(main, None), Loaded)
    shut(tmp_path / "hooks")
    found = load_again(main, None)
    assert isinstance(found, Rejected)
    (problem,) = found.error.problems
    assert (problem.code, problem.place.line, problem.place.column) == ("unreadable_file", 2, 14)
    assert problem.message == f"{tmp_path}/hooks cannot be read: {WHY}"
