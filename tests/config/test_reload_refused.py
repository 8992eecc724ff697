"""What a reload refuses, what it tells of it, and the copy that is kept of what was good."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest
import trio

from hookd.config.load import Rejected, load, load_again
from hookd.config.reload import reloader as reload_module
from hookd.config.reload.guard import judge_start, may_have_vanished
from hookd.config.reload.lastgood import Keeper, open_last_good
from tests.config.following import FILES, MAIN, SOON, House, eventually, following, hook, told, write_all
from tests.config.trees import write_tree

if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from pathlib import Path


@pytest.fixture(autouse=True)
def _no_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave it to the events: a sweep would heal what they miss."""
    monkeypatch.setattr(reload_module, "_SWEEP_S", 1000.0)


async def test_a_mass_removal_waits_for_a_word(tmp_path: Path, logged: list[MutableMapping[str, Any]]) -> None:
    keeper = Keeper(tmp_path, tmp_path / "hookd.yaml")
    async with following(House(write_all(tmp_path, "x"), keeper=keeper)) as house:
        house.pending = frozenset(f"h{number}" for number in range(20))
        for number in range(30):
            (tmp_path / "hooks" / f"h{number}.yaml").unlink()
        for _ in range(2):
            with trio.fail_after(SOON):
                report = await house.reloader.reload()
            assert [problem.code for problem in report.problems] == ["mass_removal"]
            assert "20 of the 20 webhooks" in report.problems[0].message
        assert (report.changed, len(house.live.current.webhooks), house.applied) == (False, FILES, [])
        assert len(told(logged, "config.rejected")) == 1
        assert house.rejected == [(str(house.live.current.revision), 1)]
        # What was refused is no last good config either.
        kept = open_last_good(tmp_path / "last-good" / "config.tar", tmp_path / "hookd.yaml")
        assert len(kept.loaded.config.webhooks) == FILES
        with trio.fail_after(SOON):
            report = await house.reloader.reload(allow_removals=True)
        assert (report.changed, len(report.removed), report.problems) == (True, 30, ())
        assert len(house.live.current.webhooks) == FILES - 30
        # The word was for once.
        house.pending = frozenset(f"h{number}" for number in range(30, 60))
        for number in range(30, 50):
            (tmp_path / "hooks" / f"h{number}.yaml").unlink()
        with trio.fail_after(SOON):
            assert (await house.reloader.reload()).problems


async def test_a_mass_removal_is_applied_when_nobody_waits_any_more(tmp_path: Path) -> None:
    async with following(House(write_all(tmp_path, "x"))) as house:
        house.pending = frozenset({"h1"})
        for number in range(FILES):
            (tmp_path / "hooks" / f"h{number}.yaml").write_text("webhooks: {}\n")
        with trio.fail_after(SOON):
            report = await house.reloader.reload()
        assert "leave no webhook at all" in report.problems[0].message
        house.pending = frozenset()
        with trio.fail_after(SOON):
            report = await house.reloader.reload()
        assert (report.changed, report.problems, len(house.live.current.webhooks)) == (True, (), 0)


async def test_a_tree_that_vanished_is_refused_also_when_nobody_waits(tmp_path: Path) -> None:
    """What is sent meanwhile would be accepted, and go nowhere."""
    async with following(House(write_all(tmp_path, "x"))) as house:
        (tmp_path / "hooks").rename(tmp_path / "away")  # as when a disk is not mounted
        with trio.fail_after(SOON):
            report = await house.reloader.reload()
        assert [problem.code for problem in report.problems] == ["mass_removal"]
        assert f"{FILES} webhooks would go (h0, h1, h10, h11, h12, …)" in report.problems[0].message
        assert (report.changed, len(house.live.current.webhooks), house.applied) == (False, FILES, [])
        (tmp_path / "away").rename(tmp_path / "hooks")
        await eventually(lambda: not house.reloader.last.problems)
        shutil.rmtree(tmp_path / "hooks")
        with trio.fail_after(SOON):
            report = await house.reloader.reload(allow_removals=True)
        assert (report.changed, report.problems, len(house.live.current.webhooks)) == (True, (), 0)


async def test_a_daemon_that_started_from_the_last_good_config_follows_the_disk(
    tmp_path: Path, logged: list[MutableMapping[str, Any]]
) -> None:
    main = write_all(tmp_path, "good", count=3)
    keeper = Keeper(tmp_path, main)
    loaded = load(main)
    keeper.keep(loaded.snapshot, loaded.config.revision)
    write_tree(tmp_path, hooks__h1="webhooks: {h1: {url: 5}}\n")
    refused = load_again(main, None)
    assert isinstance(refused, Rejected)
    running = open_last_good(tmp_path / "last-good" / "config.tar", main).loaded.config
    async with following(House(main, seen=refused, running=running, keeper=keeper)) as house:
        (line,) = told(logged, "config.last_good")
        assert (line["log_level"], line["file"], line["line"]) == ("error", f"{tmp_path}/hooks/h1.yaml", 1)
        assert house.rejected[0][0] == str(running.revision)
        assert house.reloader.last.last_good
        assert house.reloader.last.problems
        assert not told(logged, "config.rejected")  # that was said already
        write_tree(tmp_path, hooks__h1=hook("h1", "mended"))
        await house.until(lambda: bool(house.applied))
        await eventually(lambda: not house.reloader.last.last_good)
        assert house.reloader.last.problems == ()
        archive = tmp_path / "last-good" / "config.tar"
        mended = house.live.current.revision
        await eventually(lambda: open_last_good(archive, main).loaded.config.revision == mended)


async def test_a_tree_that_has_vanished_at_the_start_is_held_back_until_it_returns_or_is_meant(
    tmp_path: Path, logged: list[MutableMapping[str, Any]]
) -> None:
    main = write_all(tmp_path, "good")
    good = load(main)
    (tmp_path / "hooks").rename(tmp_path / "away")
    held = judge_start(good.config, load(main), str(main))
    assert held is not None
    for meant in (False, True):
        logged.clear()
        async with following(House(main, seen=held, running=good.config)) as house:
            (line,) = told(logged, "config.last_good")
            assert (line["code"], house.reloader.last.last_good) == ("mass_removal", True)
            with trio.fail_after(SOON):
                report = await house.reloader.reload()
            assert ([each.code for each in report.problems], house.applied) == (["mass_removal"], [])
            assert not told(logged, "config.rejected")  # that was said already
            if meant:
                with trio.fail_after(SOON):
                    report = await house.reloader.reload(allow_removals=True)
                assert (report.problems, len(house.live.current.webhooks)) == ((), 0)
            else:
                (tmp_path / "away").rename(tmp_path / "hooks")
                await eventually(lambda: not house.reloader.last.problems)
                assert (house.reloader.last.last_good, len(house.live.current.webhooks)) == (False, FILES)
                (tmp_path / "hooks").rename(tmp_path / "away")


def test_a_start_asks_for_the_last_good_config_when_there_is_nothing_or_a_directory_is_gone(tmp_path: Path) -> None:
    main = write_all(tmp_path, "good", count=3)
    good = load(main)
    assert not may_have_vanished(good.config)
    assert judge_start(good.config, good, str(main)) is None
    for file in (tmp_path / "hooks").iterdir():
        file.write_text("webhooks: {}\n")  # somebody has emptied them by hand
    assert may_have_vanished(load(main).config)
    assert judge_start(good.config, load(main), str(main)) is None
    main.write_text(main.read_text() + "managed_dir: managed\n")
    (tmp_path / "hooks" / "one.yaml").write_text(hook("one", "x"))
    assert may_have_vanished(load(main).config)


async def test_a_copy_that_cannot_be_kept_is_told_once(tmp_path: Path, logged: list[MutableMapping[str, Any]]) -> None:
    (tmp_path / "last-good").write_text("a file where the directory should be")
    async with following(
        House(write_all(tmp_path, "0", count=2), keeper=Keeper(tmp_path, tmp_path / "hookd.yaml"))
    ) as house:
        for note in ("1", "2"):
            write_all(tmp_path, note, count=2)
            await house.runs(note)
        (tmp_path / "last-good").unlink()
        write_all(tmp_path, "3", count=2)
        await eventually((tmp_path / "last-good" / "config.tar").exists)
    (line,) = told(logged, "config.not_kept")
    assert line["reason"]


async def test_a_report_says_since_when_it_runs(tmp_path: Path) -> None:
    async with following(House(write_tree(tmp_path, main=MAIN, hooks__a=hook("a", "0")))) as house:
        started = house.reloader.last.applied_at
        write_tree(tmp_path, hooks__a=hook("a", "1"))
        await house.runs("1")
        with trio.fail_after(SOON):
            report = await house.reloader.reload()  # the watch was quicker
        assert (report.changed, report.altered) == (False, ("a",))
        assert report.applied_at > started
