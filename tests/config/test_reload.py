"""Reloading from real edits: what changes is live soon, what is broken changes nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import structlog
import trio
from structlog.testing import capture_logs
from watchfiles._rust_notify import RustNotify

from hookd.config.load import load, load_config
from hookd.config.reload import watch as watch_module
from hookd.config.reload.around import LiveConfig
from hookd.config.reload.reloader import Reloader
from hookd.config.reload.report import find_differences
from hookd.config.reload.watch import plan_watch
from hookd.core.daemonconfig import Control, DaemonConfig, Limits
from tests.config.trees import write_tree
from tests.stopwatch import Stopwatch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, MutableMapping
    from pathlib import Path

    from hookd.core.config import Config, NotMoved

MAIN = "version: 1\ninclude: ['hooks/**/*.yaml']\n"
#: The contract says a second; this is for a machine that does other things as well.
SOON = 20.0


def hook(name: str, note: str = "", keys: str = "") -> str:
    return f'webhooks: {{{name}: {{url: "https://example.com/", events: [a], name: "{note}"{keys}}}}}\n'


class House:
    """A reloader at work on a tree, and what it applied."""

    def __init__(self, main: Path) -> None:
        self.main = main
        self.top = main.parent
        self.live = LiveConfig(load_config(main))
        self.applied: list[tuple[Config, Config]] = []
        self.changed = trio.Event()
        self.reloader = Reloader(main, self.live, self.apply)

    async def apply(self, old: Config, new: Config) -> tuple[NotMoved, ...]:
        assert self.live.current is old
        self.applied.append((old, new))
        self.changed.set()
        return ()

    @property
    def names(self) -> dict[str, str]:
        return {name: webhook.name for name, webhook in self.live.current.webhooks.items()}

    async def until(self, holds: Callable[[], bool]) -> float:
        """Wait until something holds after a config was applied; give how long it took."""
        took = Stopwatch()
        with trio.fail_after(SOON):
            while not holds():
                await self.changed.wait()
                self.changed = trio.Event()
                await trio.lowlevel.checkpoint()
        return took.seconds()


@asynccontextmanager
async def following(main: Path) -> AsyncIterator[House]:
    house = House(main)
    async with trio.open_nursery() as nursery:
        await nursery.start(house.reloader.serve)
        with trio.fail_after(SOON):
            await house.reloader.reload()
        await watching(house)
        yield house
        ending = Stopwatch()
        nursery.cancel_scope.cancel()
    assert ending.seconds() < 1.0


async def watching(house: House) -> None:
    """Wait until the watch covers what it should: then events are the only thing that can tell of a change."""
    with trio.fail_after(SOON):
        # White box: nothing tells from outside that a watch has begun; it asks for a look when it has.
        while house.reloader._watch._plan is None or house.reloader._answered < house.reloader._asked:  # noqa: ASYNC110
            await trio.sleep(0.01)


@pytest.fixture
def logged() -> Iterator[list[MutableMapping[str, Any]]]:
    structlog.reset_defaults()
    with capture_logs() as entries:
        yield entries


def told(logged: list[MutableMapping[str, Any]], event: str) -> list[MutableMapping[str, Any]]:
    return [entry for entry in logged if entry["event"] == event]


def replace_by_rename(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.swp")
    temporary.write_text(text)
    temporary.rename(path)


def edit_like_vim(path: Path, text: str) -> None:
    path.rename(path.with_name(f"{path.name}~"))
    path.write_text(text)
    path.with_name(f"{path.name}~").unlink()


def edit_with_sed(path: Path, text: str) -> None:
    path.with_name("scratch").write_text(text)
    subprocess.run(["sed", "-i", "-e", "r scratch", "-e", "d", path.name], cwd=path.parent, check=True)
    path.with_name("scratch").unlink()


@pytest.mark.parametrize(
    "edit",
    [
        lambda path, text: path.write_text(text),
        replace_by_rename,
        edit_like_vim,
        edit_with_sed,
        lambda path, text: (path.unlink(), path.write_text(text)),
    ],
    ids=["in place", "by rename", "like vim", "sed -i", "like git"],
)
async def test_edits_of_every_kind_are_live_soon_again_and_again(
    tmp_path: Path, edit: Callable[[Path, str], object]
) -> None:
    async with following(write_tree(tmp_path, main=MAIN, hooks__a=hook("a", "0"))) as house:
        path = tmp_path / "hooks" / "a.yaml"
        for number in range(1, 4):
            edit(path, hook("a", str(number)))
            await house.until(lambda number=number: house.names == {"a": str(number)})  # type: ignore[misc]


async def test_a_good_edit_is_live_within_a_second(tmp_path: Path) -> None:
    async with following(write_tree(tmp_path, main=MAIN, hooks__a=hook("a", "0"))) as house:
        took: list[float] = []
        for number in range(3):
            write_tree(tmp_path, hooks__a=hook("a", f"n{number}"))
            took.append(await house.until(lambda number=number: house.names == {"a": f"n{number}"}))  # type: ignore[misc]
        assert min(took) < 1.0


async def test_new_files_in_new_directories_are_seen(tmp_path: Path) -> None:
    async with following(write_tree(tmp_path, main=MAIN)) as house:
        write_tree(tmp_path, hooks__a=hook("a"))  # the directory of the pattern comes into being
        await house.until(lambda: set(house.names) == {"a"})
        await watching(house)
        write_tree(tmp_path, hooks__deep__er__b=hook("b"))
        await house.until(lambda: set(house.names) == {"a", "b"})
        await watching(house)
        write_tree(tmp_path, hooks__deep__er__c=hook("c"))
        await house.until(lambda: set(house.names) == {"a", "b", "c"})
        shutil.rmtree(tmp_path / "hooks" / "deep")
        await house.until(lambda: set(house.names) == {"a"})


async def test_a_schema_that_is_named_is_followed(tmp_path: Path) -> None:
    main = MAIN + "event_types: {a: {schema: s/a.json}}\n"
    async with following(write_tree(tmp_path, main=main, **{"s/a.json": "{}"})) as house:
        write_tree(tmp_path, **{"s/a.json": '{"type": "string"}'})
        await house.until(lambda: len(house.applied) == 1)
        validator = house.live.current.event_types["a"].validator
        assert validator is not None
        assert validator.fault(1) is not None


async def test_a_directory_that_is_replaced_is_followed(tmp_path: Path) -> None:
    top = tmp_path / "conf"
    async with following(write_tree(top, main=MAIN, hooks__a=hook("a", "0"))) as house:
        for number in range(1, 3):
            write_tree(tmp_path / "next", main=MAIN, hooks__a=hook("a", str(number)))
            top.rename(tmp_path / f"old{number}")
            (tmp_path / "next").rename(top)
            await house.until(lambda number=number: house.names == {"a": str(number)})  # type: ignore[misc]
            await watching(house)
        write_tree(top, hooks__a=hook("a", "last"))
        await house.until(lambda: house.names == {"a": "last"})


async def test_a_tree_that_is_published_by_a_symbolic_link_is_followed(tmp_path: Path) -> None:
    def publish(number: int) -> None:
        write_tree(tmp_path / f"release{number}", main=MAIN, hooks__a=hook("a", str(number)))
        (tmp_path / "link").symlink_to(tmp_path / f"release{number}")
        (tmp_path / "link").rename(tmp_path / "current")

    publish(0)
    async with following(tmp_path / "current" / "hookd.yaml") as house:
        for number in range(1, 3):
            publish(number)
            await house.until(lambda number=number: house.names == {"a": str(number)})  # type: ignore[misc]
            await watching(house)
        write_tree(tmp_path / "release2", hooks__a=hook("a", "edited"))
        await house.until(lambda: house.names == {"a": "edited"})


async def test_a_broken_edit_changes_nothing_and_is_told_once(
    tmp_path: Path, logged: list[MutableMapping[str, Any]]
) -> None:
    async with following(write_tree(tmp_path, main=MAIN, hooks__a=hook("a", "0"))) as house:
        before = house.live.current
        write_tree(tmp_path, hooks__a="webhooks:\n  a: {url: 5}\n  b: [\n")
        report = await house.reloader.reload()
        assert house.live.current is before
        assert not report.changed
        assert report.revision == str(before.revision)
        assert house.reloader.last is report
        for _ in range(3):
            os.utime(tmp_path / "hooks" / "a.yaml")
            again = await house.reloader.reload()
            assert again.problems == report.problems
        (line,) = told(logged, "config.rejected")
        assert (line["file"], line["line"], line["column"]) == (f"{tmp_path}/hooks/a.yaml", 3, 6)
        assert line["log_level"] == "error"
        assert [(it["line"], it["column"]) for it in line["problems"]] == [(3, 6)]

        write_tree(tmp_path, hooks__a="webhooks:\n  a: {url: 5}\n  b: {}\n")
        await house.reloader.reload()
        assert len(told(logged, "config.rejected")) == 2
        assert len(told(logged, "config.rejected")[1]["problems"]) > 1

        write_tree(tmp_path, hooks__a="webhooks:\n  a: {ulr: 'https://a.example/', events: ['*']}\n")
        await house.reloader.reload()
        assert told(logged, "config.rejected")[2]["message"].endswith("has no key `ulr`; did you mean `url`?")

        write_tree(tmp_path, hooks__a=hook("a", "good"))
        took = await house.until(lambda: house.names == {"a": "good"})
        assert took < SOON
        assert house.reloader.last.problems == ()
        assert not told(logged, "config.restored")


async def test_a_broken_edit_that_is_taken_back_is_told_as_well(
    tmp_path: Path, logged: list[MutableMapping[str, Any]]
) -> None:
    async with following(write_tree(tmp_path, main=MAIN, hooks__a=hook("a"))) as house:
        write_tree(tmp_path, hooks__a="broken")
        assert (await house.reloader.reload()).problems
        write_tree(tmp_path, hooks__a=hook("a"))
        report = await house.reloader.reload()
        assert (report.changed, report.problems, house.applied) == (False, (), [])
        assert len(told(logged, "config.restored")) == 1


async def test_what_was_missing_is_waited_for(tmp_path: Path) -> None:
    """The schema that is not there yet, and the file that is included by its name, heal the config when they come."""
    async with following(write_tree(tmp_path, main=MAIN)) as house:
        write_tree(tmp_path, main=MAIN + "event_types: {a: {schema: s/a.json}}\n")
        assert (await house.reloader.reload()).problems
        await watching(house)
        write_tree(tmp_path, **{"s/a.json": "{}"})
        await house.until(lambda: "a" in house.live.current.event_types)
        write_tree(tmp_path, main="version: 1\ninclude: [far/away/x.yaml]\n")
        assert (await house.reloader.reload()).problems
        write_tree(tmp_path, far__away__x=hook("x"))
        await house.until(lambda: set(house.names) == {"x"})


async def test_files_that_hold_what_they_held_are_no_change(tmp_path: Path) -> None:
    async with following(write_tree(tmp_path, main=MAIN, hooks__a=hook("a"))) as house:
        os.utime(tmp_path / "hooks" / "a.yaml")
        (tmp_path / "hookd.yaml").write_text(MAIN)
        (tmp_path / "hooks" / "note.txt").write_text("not of the config")
        report = await house.reloader.reload()
        assert not report.changed
        assert house.applied == []


async def test_a_report_tells_what_changed(tmp_path: Path, logged: list[MutableMapping[str, Any]]) -> None:
    tree = {"hooks__a": hook("a"), "hooks__b": hook("b"), "hooks__c": hook("c")}
    async with following(write_tree(tmp_path, main=MAIN, **tree)) as house:
        (tmp_path / "hooks" / "a.yaml").unlink()
        write_tree(tmp_path, hooks__b=hook("b", "", ", timeout: 3s"), hooks__d=hook("d"))
        report = await house.reloader.reload()
        assert (report.added, report.removed, report.altered) == (("d",), ("a",), ("b",))
        (line,) = told(logged, "config.reloaded")
        assert (line["added"], line["removed"], line["changed"]) == (1, 1, 1)
        assert (line["added_webhooks"], line["removed_webhooks"], line["changed_webhooks"]) == (["d"], ["a"], ["b"])
        assert line["revision"] == report.revision == str(house.live.current.revision)
        assert line["restart_required"] == []


async def test_what_is_read_at_start_waits_for_a_restart(tmp_path: Path) -> None:
    main = MAIN + "daemon: {limits: {concurrency: %d}, state_dir: %s}\n"
    async with following(write_tree(tmp_path, main=main % (5, "a"))) as house:
        write_tree(tmp_path, main=main % (6, "b"), hooks__a=hook("a"))
        report = await house.reloader.reload()
        assert report.changed
        assert report.restart_required == ("daemon.state_dir", "daemon.limits.concurrency")
        assert set(house.names) == {"a"}
        assert house.live.current.daemon.limits.concurrency == 5
        write_tree(tmp_path, main=main % (5, "a"))
        assert (await house.reloader.reload()).restart_required == ()


def test_differences_are_named_as_in_the_files() -> None:
    one = DaemonConfig()
    other = DaemonConfig(limits=Limits(concurrency=1), control=Control(unix="/x"), inlets=(), log_level="debug")
    assert find_differences(one, other) == (
        "daemon.inlets",
        "daemon.control.unix",
        "daemon.limits.concurrency",
        "daemon.log.level",
    )
    assert find_differences(one, one) == ()


async def test_many_requests_are_few_looks(tmp_path: Path) -> None:
    async with following(write_tree(tmp_path, main=MAIN)) as house:
        write_tree(tmp_path, hooks__a=hook("a"))
        reports = []

        async def ask() -> None:
            reports.append(await house.reloader.reload())

        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(ask)
        assert len(reports) == 50
        assert len(house.applied) == 1
        assert {report.revision for report in reports} == {str(house.live.current.revision)}


async def test_nothing_is_read_while_git_is_at_work(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    async with following(write_tree(tmp_path, main=MAIN, hooks__a=hook("a", "0"))) as house:
        lock = tmp_path / ".git" / "index.lock"
        lock.write_text("")
        write_tree(tmp_path, hooks__a=hook("a", "half"))
        with trio.move_on_after(0.6) as waited:
            await house.reloader.reload()
        assert waited.cancelled_caught
        assert house.names == {"a": "0"}
        write_tree(tmp_path, hooks__a=hook("a", "whole"))
        lock.unlink()
        await house.until(lambda: house.names == {"a": "whole"})
        assert len(house.applied) == 1


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
async def test_a_checkout_is_applied_whole_and_with_its_commit(tmp_path: Path) -> None:
    def git(*words: str) -> None:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
        subprocess.run(["git", *identity, *words], cwd=tmp_path, check=True, capture_output=True)

    def commit(note: str) -> None:
        for number in range(20):
            write_tree(tmp_path, **{f"hooks__h{number}": hook(f"h{number}", note)})
        git("add", ".")
        git("commit", "-q", "-m", note)

    main = write_tree(tmp_path, main=MAIN)
    git("init", "-q", "-b", "one")
    commit("one")
    git("checkout", "-q", "-b", "two")
    commit("two")
    async with following(main) as house:
        for branch in ("one", "two", "one"):
            await trio.to_thread.run_sync(git, "checkout", "-q", branch)
            await house.until(lambda branch=branch: set(house.names.values()) == {branch})  # type: ignore[misc]
        assert all(len({webhook.name for webhook in new.webhooks.values()}) == 1 for _, new in house.applied)
        assert house.live.current.revision.commit is not None
        assert not house.live.current.revision.dirty


async def test_a_watch_that_dies_is_begun_again_as_a_poll_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logged: list[MutableMapping[str, Any]]
) -> None:
    begun: list[bool] = []
    polls = trio.Event()

    def dying(paths: list[str], debug: bool, polling: bool, *rest: Any) -> Any:  # noqa: FBT001  as the backend has it
        begun.append(polling)
        if polling:
            polls.set()
        else:
            raise OSError(28, "no space left on device")  # what the kernel says when all watches are taken
        return RustNotify(paths, debug, polling, *rest)

    monkeypatch.setattr(watch_module, "_RETRY_S", 0.01)
    monkeypatch.setattr(watch_module, "RustNotify", dying)
    async with following(write_tree(tmp_path, main=MAIN, hooks__a=hook("a", "0"))) as house:
        with trio.fail_after(SOON):
            await polls.wait()
        write_tree(tmp_path, hooks__a=hook("a", "polled"))
        await house.until(lambda: house.names == {"a": "polled"})
    assert len(told(logged, "watch.failed")) == 3
    assert begun[:4] == [False, False, False, True]


def test_the_plan_leaves_out_what_is_not_of_the_config(tmp_path: Path) -> None:
    main = write_tree(
        tmp_path, main="version: 1\ninclude: ['hooks/**/*.yaml', 'sites/*/hook.conf']\n", hooks__deep__a=hook("a"),
        **{"sites/x/hook.conf": hook("x")},
    )  # fmt: skip
    for name in (".git/objects", ".venv/lib", "state", "hooks/.cache", "sites/x/deep"):
        (tmp_path / name).mkdir(parents=True)
    plan = plan_watch(str(main), load(main).snapshot)
    inside = {path.removeprefix(f"{tmp_path}/") for path in plan.directories if path != str(tmp_path)}
    assert inside == {"hooks", "hooks/deep", "sites", "sites/x"}
    counted = ["hookd.yaml", "hooks/new.yaml", "hooks/deep/new", "..data", "sites/x/hook.conf", "schema.json"]
    ignored = ["hookd.db-wal", ".hookd.yaml.swp", "hookd.yaml~", "state/x.yaml", "hooks/.#a.yaml", "log.txt"]
    assert [name for name in counted + ignored if plan.counts(f"{tmp_path}/{name}")] == counted
    assert plan.counts(str(tmp_path))
    assert not plan.counts(str(tmp_path.parent / "other"))
