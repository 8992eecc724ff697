"""Reloading from what happens to whole trees: publishers, slow writers, floods; what is applied is never half."""

from __future__ import annotations

import os
import shutil
import time
from typing import TYPE_CHECKING, Any

import pytest
import trio

from hookd.config.load import Rejected, load_again
from hookd.config.problems import ConfigInvalid, Problem
from hookd.config.reload import reloader as reload_module
from hookd.config.reload import settle as settle_module
from hookd.config.reload import watch as watch_module
from hookd.core.config import Place
from tests.config.following import FILES, MAIN, SOON, House, eventually, following, hook, told, watched, write_all
from tests.config.trees import write_tree

if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from pathlib import Path


@pytest.fixture(autouse=True)
def _no_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave it to the events: a sweep would heal what they miss."""
    monkeypatch.setattr(reload_module, "_SWEEP_S", 1000.0)


async def test_a_touch_and_a_chmod_change_nothing(tmp_path: Path, logged: list[MutableMapping[str, Any]]) -> None:
    async with following(House(write_all(tmp_path, "same"))) as house:
        for _ in range(3):
            for number in range(FILES):
                path = tmp_path / "hooks" / f"h{number}.yaml"
                os.utime(path)
                path.chmod(0o600)
            with trio.fail_after(SOON):
                report = await house.reloader.reload()
            assert (report.changed, house.applied) == (False, [])
        assert not [line for line in logged if line["event"].startswith("config.")]


async def test_a_slow_writer_is_waited_for(tmp_path: Path) -> None:
    """Each of the pieces is whole YAML, of fewer webhooks."""
    lines = [f'  h{number}: {{url: "https://example.com/", events: [a]}}\n' for number in range(15)]
    async with following(House(write_tree(tmp_path, main=MAIN, hooks__a=hook("old")))) as house:
        pauses: list[float] = []
        with (tmp_path / "hooks" / "a.yaml").open("w") as file:
            for line in ["webhooks:\n", *lines]:
                file.write(line)
                file.flush()
                written = time.monotonic()
                await trio.sleep(0.06)
                pauses.append(time.monotonic() - written)
        await house.until(lambda: len(house.live.current.webhooks) == len(lines))
        # A writer that the machine holds up, or its news, looks like one that is done.
        assert len(house.applied) <= 2 + sum(pause > settle_module._QUIET_S / 2 for pause in pauses)


async def test_a_volume_of_kubernetes_is_followed(tmp_path: Path) -> None:
    """`hookd.yaml -> ..data/hookd.yaml`, `..data -> ..2026_11_21`, which is swapped by a rename."""

    def publish(number: int) -> None:
        version = f"..2026_11_21_{number}"
        write_tree(tmp_path / version, main="version: 1\ninclude: [a.yaml]\n", a=hook("a", f"n{number}"))
        (tmp_path / "..data_tmp").symlink_to(version)
        (tmp_path / "..data_tmp").rename(tmp_path / "..data")
        if number:
            shutil.rmtree(tmp_path / f"..2026_11_21_{number - 1}")

    publish(0)
    for name in ("hookd.yaml", "a.yaml"):
        (tmp_path / name).symlink_to(f"..data/{name}")
    async with following(House(tmp_path / "hookd.yaml")) as house:
        for number in range(1, 4):
            publish(number)
            await house.runs(f"n{number}")
            await watched(house)
        assert len(house.applied) == 3


async def test_files_that_leave_a_volume_of_kubernetes_are_no_problem(tmp_path: Path) -> None:
    """Their links, which a pattern matches, are taken down one by one when the volume is swapped already."""

    def publish(number: int, names: list[str]) -> None:
        files = {f"..v{number}__{name}.yaml": hook(name, f"n{number}") for name in names}
        write_tree(tmp_path, **{f"..v{number}__hookd.yaml": "version: 1\ninclude: ['*.yaml']\n"}, **files)
        (tmp_path / "..data_tmp").symlink_to(f"..v{number}")
        (tmp_path / "..data_tmp").rename(tmp_path / "..data")

    names = ["a", "b", "c", "d"]
    publish(0, names)
    for name in ("hookd", *names):
        (tmp_path / f"{name}.yaml").symlink_to(f"..data/{name}.yaml")
    async with following(House(tmp_path / "hookd.yaml")) as house:
        publish(1, ["a"])
        for name in ("b", "c", "d"):
            await trio.sleep(0.35)  # so long that the files are quiet, and looked at
            (tmp_path / f"{name}.yaml").unlink()
        await house.runs("n1")
        assert (house.rejected, house.notes) == ([], [{"n1"}])


async def test_a_link_that_leads_nowhere_takes_no_webhook_away(tmp_path: Path) -> None:
    write_tree(tmp_path, main=MAIN, hooks__a=hook("a"), shared__b=hook("b"))
    (tmp_path / "hooks" / "b.yaml").symlink_to("../shared/b.yaml")
    async with following(House(tmp_path / "hookd.yaml")) as house:
        assert set(house.live.current.webhooks) == {"a", "b"}
        (tmp_path / "shared").rename(tmp_path / "away")
        with trio.fail_after(SOON):
            report = await house.reloader.reload()
        (problem,) = report.problems
        assert (problem.code, problem.place.line) == ("missing_file", 2)
        assert (
            f"hooks/b.yaml is a link that leads nowhere: there is nothing at {tmp_path}/shared/b.yaml"
            in problem.message
        )
        assert set(house.live.current.webhooks) == {"a", "b"}
        # Nobody watches where it led to; until it leads somewhere again, it is looked for.
        (tmp_path / "away").rename(tmp_path / "shared")
        write_tree(tmp_path, shared__b=hook("b", "new"))
        await house.until(lambda: house.live.current.webhooks["b"].name == "new")
        assert len(house.rejected) == 1


async def test_a_new_directory_full_of_files_is_applied_whole(tmp_path: Path) -> None:
    async with following(House(write_tree(tmp_path, main=MAIN, hooks__a=hook("a")))) as house:
        made = tmp_path / "made"
        for number in range(200):
            write_tree(made, **{f"deep__er__n{number}": hook(f"n{number}")})
        made.rename(tmp_path / "hooks" / "made")
        await house.until(lambda: len(house.live.current.webhooks) == 201)
        assert len(house.applied) == 1


async def test_what_is_deleted_and_comes_back_within_a_moment_was_never_gone(tmp_path: Path) -> None:
    async with following(House(write_all(tmp_path, "same"))) as house:
        (tmp_path / "hooks").rename(tmp_path / "away")
        time.sleep(0.05)  # noqa: ASYNC251  however busy the machine is, this moment is a short one for the reloader
        (tmp_path / "away").rename(tmp_path / "hooks")
        with trio.fail_after(SOON):
            await house.reloader.reload()
        assert house.applied == []
        (tmp_path / "hookd.yaml").rename(tmp_path / "gone.yaml")
        with trio.fail_after(SOON):
            assert [problem.code for problem in (await house.reloader.reload()).problems] == ["missing_file"]
        assert len(house.live.current.webhooks) == FILES
        (tmp_path / "gone.yaml").rename(tmp_path / "hookd.yaml")
        await eventually(lambda: not house.reloader.last.problems)
        assert house.applied == []


@pytest.mark.parametrize("name", ["hooks", "hooks.d"])
async def test_a_directory_that_is_moved_away_and_back_is_noticed_both_times(tmp_path: Path, name: str) -> None:
    """Nothing tells of it but its own name, and the kernel goes on watching what was moved away."""
    main = f"version: 1\ninclude: ['{name}/**/*.yaml']\nwebhooks: {{b: {{url: 'https://example.com/', events: [a]}}}}\n"
    async with following(House(write_tree(tmp_path, main=main, **{f"{name}__a.yaml": hook("a")}))) as house:
        (tmp_path / name).rename(tmp_path / "away")
        await house.until(lambda: set(house.live.current.webhooks) == {"b"})
        await watched(house)
        (tmp_path / "away").rename(tmp_path / name)
        await house.until(lambda: set(house.live.current.webhooks) == {"a", "b"})
        await watched(house)
        write_tree(tmp_path, **{f"{name}__a.yaml": hook("c")})
        await house.until(lambda: set(house.live.current.webhooks) == {"b", "c"})


@pytest.mark.parametrize("name", ["made", "made.d", "v1.2"])
async def test_a_directory_of_any_name_that_is_moved_in_is_noticed(tmp_path: Path, name: str) -> None:
    async with following(House(write_tree(tmp_path, main=MAIN, hooks__a=hook("a")))) as house:
        write_tree(tmp_path / "made", deep__n=hook("n"))
        (tmp_path / "made").rename(tmp_path / "hooks" / name)
        await house.until(lambda: set(house.live.current.webhooks) == {"a", "n"})


async def test_a_tree_that_is_gone_and_comes_back_changed_is_applied(tmp_path: Path) -> None:
    top = tmp_path / "conf"
    async with following(House(write_all(top, "old"))) as house:
        shutil.rmtree(top)
        with trio.fail_after(SOON):
            assert (await house.reloader.reload()).problems
        write_all(top, "new")
        await house.runs("new")
        assert house.notes == [{"new"}]


async def test_an_edit_amid_a_flood_of_other_events_is_seen(tmp_path: Path) -> None:
    """More events than the kernel keeps for us (fs.inotify.max_queued_events): what comes then is dropped silently."""
    async with following(House(write_tree(tmp_path, main=MAIN, hooks__a=hook("a", "0")))) as house:

        def flood() -> None:
            for number in range(30_000):
                (tmp_path / "hooks" / f"x{number}.tmp").touch()
                if number == 20_000:
                    write_tree(tmp_path, hooks__a=hook("a", "edited"))

        await trio.to_thread.run_sync(flood)
        await house.runs("edited")


async def test_more_directories_than_are_watched_are_looked_at_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logged: list[MutableMapping[str, Any]]
) -> None:
    monkeypatch.setattr(watch_module, "_MOST", 5)
    monkeypatch.setattr(reload_module, "CROWDED_SWEEP_S", 0.2)
    files = {f"hooks__d{number}__a": hook(f"w{number}", "0") for number in range(12)}
    async with following(House(write_tree(tmp_path, main=MAIN, **files))) as house:
        write_tree(tmp_path, hooks__d9__a=hook("w9", "edited"))
        await house.until(lambda: house.live.current.webhooks["w9"].name == "edited")
    (line,) = told(logged, "config.polling")
    assert "5 directories" in line["reason"]


async def test_files_that_keep_moving_are_waited_for_and_then_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logged: list[MutableMapping[str, Any]]
) -> None:
    main = write_tree(tmp_path, main=MAIN, hooks__a=hook("a", "0"))
    moving = True

    def look(path: Path, before: Any, ahead: Any) -> Any:
        if not moving:
            return load_again(path, before, ahead)
        problem = Problem(Place(file=str(path)), "the files of the config kept changing", "unsettled")
        return Rejected(error=ConfigInvalid([problem]), snapshot=None)

    house = House(main)
    async with following(house):
        monkeypatch.setattr(reload_module, "load_again", look)
        write_tree(tmp_path, hooks__a=hook("a", "moved"))
        with trio.move_on_after(1.5) as waited:
            await house.reloader.reload()
        assert waited.cancelled_caught
        assert not told(logged, "config.rejected")
        assert len(told(logged, "config.deferred")) == 1
        moving = False
        await house.runs("moved")
        moving = True
        monkeypatch.setattr(settle_module, "_MOVING_AT_MOST_S", 0.3)
        with trio.fail_after(SOON):
            report = await house.reloader.reload()
        assert [problem.code for problem in report.problems] == ["unsettled"]
        assert len(told(logged, "config.rejected")) == 1
