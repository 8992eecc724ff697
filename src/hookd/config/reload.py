"""Reload: when the files change, the whole config is built anew and one reference is swapped, or nothing is.

Rules of this module:

1. Whatever asks (an event of the directory, SIGHUP, the sweep, `hookd reload`) only says "look again". One task looks,
   one look at a time; what comes meanwhile is one more look.
2. A look begins when the files have been quiet for a moment and git is not at work in their tree; each wait is bounded,
   since the snapshot reads twice and so never takes a torn tree.
3. A config that is not good changes nothing: the old one stays, whole. It is told once, with all its problems, and
   again only when it is not good in another way. Files that hold what they held are no change.
4. `daemon:` is read at start. A change there is reported by its keys and waits for a restart; the rest is applied.
5. Building runs in a thread that can be abandoned: it only reads.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Final

import structlog
import trio

from hookd.config.git import git_busy
from hookd.config.load import Loaded, Rejected, load_again, missing_came
from hookd.config.watch import Watch, WatchPlan, plan_watch

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

    from hookd.config.problems import Problem
    from hookd.core.config import Config, DaemonConfig

log = structlog.get_logger()

#: Seconds. An editor's save and a copy of some files are single bursts, shorter than this.
_QUIET_S: Final = 0.1
_QUIET_AT_MOST_S: Final = 5.0
_GIT_AT_MOST_S: Final = 30.0
_GIT_STEP_S: Final = 0.05
#: Prometheus looks this often, and nothing else. While the files cannot even be listed nobody knows what to watch.
_SWEEP_S: Final = 30.0
_SWEEP_BLIND_S: Final = 0.5
#: Names in a log line; the counts are whole.
_NAMES: Final = 20


class LiveConfig:
    """The running config: one reference, swapped and never changed."""

    __slots__ = ("current",)

    def __init__(self, current: Config) -> None:
        self.current = current


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a look at the files came to. `revision` is that of the config that runs now.

    With `problems` the files are not good and the old config runs on. `restart_required` names the keys of `daemon:`
    that differ from what the daemon was started with.
    """

    changed: bool
    revision: str
    problems: tuple[Problem, ...] = ()
    restart_required: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    altered: tuple[str, ...] = ()


class Reloader:
    """Keeps `live` equal to the files below `main`.

    `apply(old, new)` puts a good config to work: when it returns, the new one runs. It is not called concurrently.
    `rejected(revision, problems)` is told when the log is told that the files are refused, and the same.
    """

    def __init__(
        self,
        main: Path,
        live: LiveConfig,
        apply: Callable[[Config, Config], Awaitable[None]],
        seen: Loaded | None = None,
        rejected: Callable[[str, Sequence[Mapping[str, object]]], None] | None = None,
    ) -> None:
        self._rejected = rejected
        self._main = main
        self._live = live
        self._apply = apply
        self._started = live.current.daemon
        self._seen: Loaded | Rejected | None = seen  # at the last look, or when the daemon started
        self._last = Report(changed=False, revision=str(live.current.revision))
        self._asked = 0
        self._answered = 0
        self._asked_at = 0.0
        self._wake = trio.Event()
        self._lot = trio.lowlevel.ParkingLot()
        self._waited_for: str | None = None  # the mark of git that was waited for in vain
        self._watch = Watch(self._plan_watch, self.request)

    @property
    def last(self) -> Report:
        """The report of the last look, or of the start."""
        return self._last

    def request(self) -> None:
        """Say that the files may have changed."""
        self._asked += 1
        self._asked_at = trio.current_time()
        self._wake.set()

    async def reload(self) -> Report:
        """Look at the files now, and give what it came to. Needs `serve` to run."""
        self.request()
        number = self._asked
        while self._answered < number:
            await self._lot.park()
        return self._last

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Follow the files until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch.serve)
            nursery.start_soon(self._sweep)
            task_status.started()
            while True:
                await self._wake.wait()
                await self._settle()
                self._wake = trio.Event()
                number = self._asked
                await self._look()
                self._answered = number
                self._lot.unpark_all()
                await self._watch.renew()

    # ----------------------------------------------------------------- when to look

    async def _settle(self) -> None:
        """Wait until the files are quiet and git is done, within bounds."""
        with trio.move_on_after(_QUIET_AT_MOST_S):
            while (left := self._asked_at + _QUIET_S - trio.current_time()) > 0:  # noqa: ASYNC110  time passes, nobody tells
                await trio.sleep(left)
        with trio.move_on_after(_GIT_AT_MOST_S):
            while (mark := await self._git_mark()) is not None and mark != self._waited_for:  # noqa: ASYNC110  a file goes
                await trio.sleep(_GIT_STEP_S)
            return
        # A merge may wait for its person for days; its mark is not waited for twice.
        self._waited_for = await self._git_mark()
        log.warning("config.deferred", reason="git is at work in the tree", seconds=_GIT_AT_MOST_S)

    async def _git_mark(self) -> str | None:
        return await trio.to_thread.run_sync(git_busy, self._main.parent, abandon_on_cancel=True)

    async def _sweep(self) -> None:
        """Ask for a look when the files are others than those of the last one, whatever the watch saw."""
        while True:
            blind = self._seen is None or self._seen.snapshot is None
            await trio.sleep(_SWEEP_BLIND_S if blind else _SWEEP_S)
            if not await trio.to_thread.run_sync(self._is_settled, abandon_on_cancel=True):
                self.request()
            await self._watch.renew()

    def _is_settled(self) -> bool:
        seen = self._seen
        return seen is not None and seen.snapshot is not None and seen.snapshot.settled() and not missing_came(seen)

    def _plan_watch(self) -> WatchPlan:
        seen = self._seen
        missing = seen.missing if isinstance(seen, Rejected) else ()
        return plan_watch(str(self._main), None if seen is None else seen.snapshot, missing)

    # ----------------------------------------------------------------- what a look comes to

    async def _look(self) -> None:
        result = await trio.to_thread.run_sync(load_again, self._main, self._seen, abandon_on_cancel=True)
        if result is None:
            self._last = replace(self._last, changed=False)
            return
        self._seen = result
        self._last = await self._take(result.config) if isinstance(result, Loaded) else self._refuse(result)

    async def _take(self, new: Config) -> Report:
        old = self._live.current
        restart = find_differences(self._started, new.daemon)
        if new.revision.hash == old.revision.hash:
            if self._last.problems:
                log.info("config.restored", revision=str(old.revision))
            return Report(changed=False, revision=str(old.revision), restart_required=restart)
        # What was read at start stays until the restart, so that every part sees one and the same.
        new = replace(new, daemon=old.daemon)
        await self._apply(old, new)
        self._live.current = new
        report = Report(
            changed=True,
            revision=str(new.revision),
            restart_required=restart,
            added=tuple(name for name in new.webhooks if name not in old.webhooks),
            removed=tuple(name for name in old.webhooks if name not in new.webhooks),
            altered=tuple(
                name
                for name, webhook in new.webhooks.items()
                if name in old.webhooks and webhook.digest != old.webhooks[name].digest
            ),
        )
        log.info(
            "config.reloaded",
            revision=report.revision,
            webhooks=len(new.webhooks),
            **_counted("added", report.added),
            **_counted("removed", report.removed),
            **_counted("changed", report.altered),
            restart_required=list(restart),
        )
        return report

    def _refuse(self, rejected: Rejected) -> Report:
        problems = rejected.error.problems
        revision = str(self._live.current.revision)
        if problems != self._last.problems:
            listed = [describe_problem(problem) for problem in problems]
            log.error("config.rejected", **listed[0], revision=revision, problems=listed)
            if self._rejected is not None:
                self._rejected(revision, listed)
        return Report(changed=False, revision=revision, problems=problems)


def find_differences(one: DaemonConfig, other: DaemonConfig) -> tuple[str, ...]:
    """Give the keys of `daemon:` in which two differ, as `daemon.limits.concurrency`."""
    return tuple(f"daemon.{_KEYS.get(name, name)}" for name in _differences(one, other))


#: What is not named in the dataclasses as in the files.
_KEYS: Final[Mapping[str, str]] = {"log_level": "log.level"}


def _differences(one: object, other: object) -> Sequence[str]:
    found: list[str] = []
    for field in fields(one):  # type: ignore[arg-type]  # both are of one dataclass
        left, right = getattr(one, field.name), getattr(other, field.name)
        if left == right:
            continue
        inner = _differences(left, right) if is_dataclass(left) and type(left) is type(right) else ()
        found.extend([f"{field.name}.{name}" for name in inner] or [field.name])
    return found


def describe_problem(problem: Problem) -> dict[str, object]:
    """Give a problem as fields of a log line."""
    place = problem.place
    return {
        "file": place.file,
        "line": place.line,
        "column": place.column,
        "code": problem.code,
        "message": problem.message,
    }


def _counted(name: str, names: Sequence[str]) -> dict[str, object]:
    return {name: len(names), f"{name}_webhooks": list(names[:_NAMES])}
