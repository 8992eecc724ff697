"""Mass removals: what is refused, what is an ordinary edit, and where the line between them is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from hookd.config.reload.guard import find_mass_removal, judge_removals, may_be_mass_removal
from hookd.core.config import Move
from tests.config.trees import load_tree

if TYPE_CHECKING:
    from pathlib import Path

    from hookd.core.config import Config


@pytest.fixture(scope="module")
def forty(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """Give a config of the webhooks w0 to w39."""
    hooks = "\n".join(f"  w{number}: {{url: https://example.com/, events: [a]}}" for number in range(40))
    return load_tree(tmp_path_factory.mktemp("forty"), main=f"version: 1\nwebhooks:\n{hooks}\n")


def without(config: Config, gone: int) -> Config:
    """Give the config without its first webhooks."""
    return replace(config, webhooks=dict(list(config.webhooks.items())[gone:]))


def names(count: int, start: int = 0) -> frozenset[str]:
    return frozenset(f"w{number}" for number in range(start, start + count))


@pytest.mark.parametrize(
    ("gone", "pending", "refused"),
    [
        (9, names(9), False),  # all that have pending deliveries, and fewer than ten
        (10, names(10), True),
        (10, names(19), True),
        (10, names(20), False),  # half is not more than half
        (11, names(21), True),
        (30, names(10, start=30), False),  # nobody waits for those that go
        (30, names(0), False),
        (20, names(9) | names(5, start=30), False),
        (40, names(1), True),  # nothing is left, and somebody waits
        (40, names(0), False),
        (10, names(10) | {"long-gone", "held"}, True),  # who was not there before does not count
        (10, names(10) | {f"gone{number}" for number in range(50)}, True),
    ],
)
def test_where_the_line_is(forty: Config, gone: int, pending: frozenset[str], refused: bool) -> None:  # noqa: FBT001  a table
    new = without(forty, gone)
    problem = find_mass_removal(forty, new, pending, "hookd.yaml")
    assert (problem is not None) is refused
    if problem is not None:
        assert may_be_mass_removal(forty, new)  # else nobody would have asked
        assert (problem.code, problem.place.file) == ("mass_removal", "hookd.yaml")
        assert "--allow-removals" in problem.message


def test_the_message_counts_and_names(forty: Config) -> None:
    problem = find_mass_removal(forty, without(forty, 12), names(20), "hookd.yaml")
    assert problem is not None
    assert "12 of the 20 webhooks" in problem.message
    assert "(w0, w1, w10, w11, w2, …)" in problem.message
    assert "no webhook at all" not in problem.message
    problem = find_mass_removal(forty, without(forty, 40), names(2), "hookd.yaml")
    assert problem is not None
    assert "2 of the 2 webhooks" in problem.message
    assert "(w0, w1)" in problem.message
    assert "leave no webhook at all" in problem.message


def test_what_moves_is_not_removed(forty: Config) -> None:
    new = without(forty, 15)
    moved = replace(new, moved=tuple(Move(source=f"w{number}", target="w20") for number in range(15)))
    assert not may_be_mass_removal(forty, moved)
    assert find_mass_removal(forty, moved, names(15), "hookd.yaml") is None
    assert find_mass_removal(forty, new, names(15), "hookd.yaml") is not None


def test_an_ordinary_edit_asks_nobody(forty: Config) -> None:
    assert not may_be_mass_removal(forty, forty)
    assert not may_be_mass_removal(forty, without(forty, 9))
    assert not may_be_mass_removal(without(forty, 40), forty)


async def test_a_managed_directory_that_vanishes_takes_nothing_with_it(tmp_path: Path) -> None:
    async def nobody() -> frozenset[str]:
        return frozenset()

    managed = tmp_path / "managed"
    managed.mkdir()
    (managed / "acme+a.yaml").write_text(
        "webhooks: {acme/a: {tenant: acme, url: 'https://example.com/', events: [a]}}\n"
    )
    main = "version: 1\nmanaged_dir: managed\nwebhooks: {b: {url: 'https://example.com/', events: [a]}}\n"
    old = load_tree(tmp_path, main=main)
    assert set(old.webhooks) == {"acme/a", "b"}
    (managed / "acme+a.yaml").unlink()
    emptied = load_tree(tmp_path, main=main)
    assert await judge_removals(old, emptied, nobody, "hookd.yaml") is None  # by hand: an edit like any other
    managed.rmdir()
    gone = load_tree(tmp_path, main=main)
    problem = await judge_removals(old, gone, nobody, "hookd.yaml")
    assert problem is not None
    assert (problem.code, problem.place.file) == ("mass_removal", str(managed))
    assert await judge_removals(emptied, gone, nobody, "hookd.yaml") is None  # nothing stood in it
