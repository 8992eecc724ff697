"""Reload: when the files change, the whole config is built anew and one reference is swapped, or nothing is.

Rules of this module:

1. Whatever asks (an event of the directory, SIGHUP, the sweep, `hookd reload`) only says "look again". One task looks,
   one look at a time; what comes meanwhile is one more look.
2. A look begins when the files have been quiet for a moment and git is not at work in their trees; each wait is
   bounded, since the snapshot reads twice and so never takes a torn tree. Files that keep moving are looked at again.
3. A config that is not good, or that takes away too much (`guard`), changes nothing: the old one stays, whole. It is
   told once, with all its problems, and again only when it is not good in another way. Files that hold what they held
   are no change; that they stand at another commit now is noted, since every attempt tells its commit.
4. `daemon:` is read at start. A change there is reported by its keys and waits for a restart; the rest is applied.
5. Building runs in a thread that can be abandoned: it only reads. A copy of what is good is kept (`lastgood`), beside
   the work and not before it; a daemon that started from that copy follows the disk from its first moment.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import structlog
import trio

from hookd.config.git import read_checkout, stamp_heads
from hookd.config.load import Loaded, Rejected, load_again, missing_came
from hookd.config.reload.anticipating import Anticipating
from hookd.config.reload.around import Surroundings
from hookd.config.reload.guard import HeldBack, judge_removals, problems_at_start
from hookd.config.reload.keeping import Keeping
from hookd.config.reload.report import (
    Report,
    compare,
    describe_problem,
    describe_report,
    describe_revision,
    find_differences,
)
from hookd.config.reload.settle import Settling
from hookd.config.reload.watch import CROWDED_SWEEP_S, Watch, WatchPlan, plan_watch
from hookd.core.config import Revision

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from hookd.config.problems import Problem
    from hookd.config.reload.around import LiveConfig
    from hookd.config.snapshot import Snapshot
    from hookd.core.config import Config, NotMoved

log = structlog.get_logger()

#: Seconds. Prometheus looks this often, and nothing else. While nothing can be listed nobody knows what to watch.
_SWEEP_S: Final = 30.0
_SWEEP_BLIND_S: Final = 0.5


class Reloader:
    """Keeps `live` equal to the files below `main`.

    `apply(old, new)` puts a good config to work: when it returns, the new one runs. It gives the moves that were
    refused, and tries them again when both are the same. It is not called concurrently.
    `seen` is what was read at start; of a `Rejected` or a `HeldBack`, `live` is the last good config.
    """

    def __init__(
        self,
        main: Path,
        live: LiveConfig,
        apply: Callable[[Config, Config], Awaitable[tuple[NotMoved, ...]]],
        seen: Loaded | Rejected | HeldBack | None = None,
        around: Surroundings | None = None,
    ) -> None:
        self._around = around or Surroundings()
        self._main = main
        self._live = live
        self._apply = apply
        self._started = live.current.daemon
        self._seen = seen.loaded if isinstance(seen, HeldBack) else seen  # at the last look, or at the start
        refused = problems_at_start(seen)
        self._last = Report(
            changed=False,
            revision=str(live.current.revision),
            applied_at=self._around.now(),
            problems=refused,
            last_good=bool(refused),
            not_moved=self._around.not_moved,
        )
        self._held_back = seen.loaded.config if isinstance(seen, HeldBack) else None  # good, but takes away too much
        self._removals_allowed = False
        self._asked = 0
        self._answered = 0
        self._asked_at = 0.0
        self._wake = trio.Event()
        self._lot = trio.lowlevel.ParkingLot()
        self._ahead = Anticipating(lambda: self._seen)
        self._settling = Settling(lambda: self._asked_at, self._list_directories, self._ahead.serve)
        self._heads: object = None
        self._applied: Snapshot | None = None
        self._keeping = Keeping(self._around.keeper)
        if isinstance(seen, Loaded):
            self._keeping.soon(seen)
        self._watch = Watch(self._plan_watch, self.request)
        self._looked = trio.Event()
        self._turn = trio.Lock()  # one look, or one amendment

    def running(self, started_with: Snapshot) -> Loaded:
        """Give the running config with its files, those that it started with unless others were applied since."""
        running = Loaded(config=self._live.current, snapshot=self._applied or started_with)
        return running if self._seen is None else replace(running, kept=self._seen.kept)

    @property
    def last(self) -> Report:
        """The report of the last look, or of the start."""
        return self._last

    def request(self) -> None:
        """Say that the files may have changed."""
        self._asked += 1
        self._asked_at = trio.current_time()
        self._wake.set()

    async def reload(self, *, allow_removals: bool = False) -> Report:
        """Look at the files now, and give what it came to. Needs `serve` to run.

        `allow_removals`: this once, take also a config that takes away most of what has pending deliveries.
        """
        self._removals_allowed = self._removals_allowed or allow_removals
        self.request()
        number = self._asked
        while self._answered < number:
            await self._lot.park()
        return self._last

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Follow the files until cancelled."""
        if self._last.last_good:
            self._tell_refused("config.last_good", self._last.problems)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch.serve)
            nursery.start_soon(self._sweep)
            nursery.start_soon(self._keeping.serve)
            task_status.started()
            while True:
                await self._wake.wait()
                await self._settling.wait()
                self._wake = trio.Event()
                number = self._asked
                async with self._turn:
                    looked = await self._look()
                if looked:
                    self._answered = number
                    self._lot.unpark_all()
                else:
                    self.request()
                self._looked.set()
                await self._watch.renew()

    async def amend(self, change: Callable[[], Awaitable[Loaded | None]]) -> None:
        """Put to work what `change` makes of the running config, together with its files; None: nothing is.

        No look falls in between. Files on disk that are not good stay so, and are judged again by the next look.
        """
        async with self._turn:
            seen, last, held_back = self._seen, self._last, self._held_back
            in_step = isinstance(seen, Loaded) and seen.config.revision.hash == self._live.current.revision.hash
            made = await change()
            if made is None:
                return
            report = await self._take(made.config, removals_allowed=True)
            if in_step:
                self._seen = made
            else:
                report = replace(report, problems=last.problems, last_good=last.last_good)
            self._last = replace(report, restart_required=last.restart_required)
            self._held_back = held_back
            self._keep_copy(made)

    # ----------------------------------------------------------------- when to look

    async def _sweep(self) -> None:
        """Ask for a look when the files are others than those of the last one, whatever the watch saw."""
        while True:
            began = trio.current_time()
            while (left := began + self._pace() - trio.current_time()) > 0:
                with trio.move_on_after(left):
                    await self._looked.wait()  # which may have changed the pace
                self._looked = trio.Event()
            if not await trio.to_thread.run_sync(self._is_settled, abandon_on_cancel=True):
                self.request()
            await self._watch.renew()

    def _pace(self) -> float:
        if self._seen is None or self._seen.snapshot is None:
            return _SWEEP_BLIND_S
        return CROWDED_SWEEP_S if self._watch.crowded else _SWEEP_S

    def _is_settled(self) -> bool:
        seen = self._seen
        if seen is None or seen.snapshot is None or not seen.snapshot.settled() or missing_came(seen):
            return False
        return self._heads is None or stamp_heads(self._main) == self._heads

    def _list_directories(self) -> list[str]:
        snapshot = None if self._seen is None else self._seen.snapshot
        main = os.path.realpath(self._main)
        return [os.path.dirname(main), *(() if snapshot is None else snapshot.roots)]  # noqa: PTH120  texts

    def _plan_watch(self) -> WatchPlan:
        seen = self._seen
        missing = seen.missing if isinstance(seen, Rejected) else ()
        return plan_watch(str(self._main), None if seen is None else seen.snapshot, missing)

    # ----------------------------------------------------------------- what a look comes to

    async def _look(self) -> bool:
        """Look once; tell whether it came to something. If not, the files move and must be looked at again."""
        allowed, self._removals_allowed = self._removals_allowed, False
        heads, result = await trio.to_thread.run_sync(self._read, abandon_on_cancel=True)
        if isinstance(result, Rejected) and all(each.code == "unsettled" for each in result.error.problems):
            if self._settling.goes_on():
                self._removals_allowed = allowed or self._removals_allowed
                return False
        else:
            self._settling.over()
        if result is not None:
            self._seen = result
            self._held_back = result.config if isinstance(result, Loaded) else None
        if isinstance(result, Rejected):
            self._last = self._refuse(result.error.problems)
        elif self._held_back is not None:
            self._last = await self._take(self._held_back, removals_allowed=allowed)
        else:
            self._last = replace(self._last, changed=False)
        if heads != self._heads and result is None:
            await self._note_commit()
        if self._last.not_moved and not self._last.changed:  # what stood in the way may be gone
            running = self._live.current
            self._last = replace(self._last, not_moved=await self._apply(running, running))
        self._heads = heads
        return True

    def _read(self) -> tuple[object, Loaded | Rejected | None]:
        # The heads first: a commit that comes meanwhile is seen as another one the next time.
        return stamp_heads(self._main), load_again(self._main, self._seen, self._ahead.take())

    async def _take(self, new: Config, *, removals_allowed: bool) -> Report:
        old = self._live.current
        restart = find_differences(self._started, new.daemon)
        if new.revision.hash == old.revision.hash:
            self._held_back = None
            self._name(new.revision)
            if self._last.problems:
                log.info("config.restored", revision=self._last.revision)
            return replace(self._last, changed=False, problems=(), last_good=False, restart_required=restart)
        main, pending = str(self._main), self._around.pending
        if not removals_allowed and (problem := await judge_removals(old, new, pending, main)) is not None:
            return self._refuse((problem,))
        # What was read at start stays until the restart, so that every part sees one and the same.
        new = replace(new, daemon=old.daemon)
        not_moved = await self._apply(old, new)
        self._live.current = new
        self._held_back = None
        added, removed, altered = compare(old, new)
        report = Report(
            changed=True,
            revision=str(new.revision),
            applied_at=self._around.now(),
            restart_required=restart,
            added=added,
            removed=removed,
            altered=altered,
            not_moved=not_moved,
        )
        log.info(
            "config.reloaded",
            **describe_revision(new.revision),
            webhooks=len(new.webhooks),
            **describe_report(report),
            restart_required=list(restart),
        )
        self._keep_soon()
        return report

    def _refuse(self, problems: tuple[Problem, ...]) -> Report:
        if problems != self._last.problems:
            self._tell_refused("config.rejected", problems)
        return replace(self._last, changed=False, problems=problems)

    def _tell_refused(self, event: str, problems: Sequence[Problem]) -> None:
        revision = str(self._live.current.revision)
        listed = [describe_problem(problem) for problem in problems]
        log.error(event, **listed[0], revision=revision, problems=listed)
        if self._around.rejected is not None:
            self._around.rejected(revision, listed)

    # ----------------------------------------------------------------- what goes with a good config

    async def _note_commit(self) -> None:
        """See at which commit the running config stands now: it may have been committed after it was applied."""
        seen, running = self._seen, self._live.current
        if not isinstance(seen, Loaded) or seen.config.revision.hash != running.revision.hash:
            return
        files = seen.snapshot.files
        checkout = await trio.to_thread.run_sync(read_checkout, self._main, files, abandon_on_cancel=True)
        revision = Revision(hash=running.revision.hash)
        if checkout is not None:
            revision = replace(revision, commit=checkout.commit, dirty=checkout.dirty)
        self._name(revision)

    def _name(self, revision: Revision) -> None:
        """Call the running config by another revision, of the same content."""
        running = self._live.current
        if revision != running.revision:
            self._live.current = replace(running, revision=revision)
            self._last = replace(self._last, revision=str(revision))
            log.info("config.committed", **describe_revision(revision))
        self._keep_soon()

    def _keep_soon(self) -> None:
        """Have a copy kept of the files that the running config was made of."""
        if isinstance(self._seen, Loaded):
            self._keep_copy(self._seen)

    def _keep_copy(self, loaded: Loaded) -> None:
        self._applied = loaded.snapshot
        self._keeping.soon(replace(loaded, config=self._live.current))
