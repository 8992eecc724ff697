"""Changes through the control API, made one batch after the other, put to work, and answered.

Rules of this module:

1. Changes that come while one batch is at work are the next batch: one trial, one build and one swap for all of them,
   however many wait. Of one webhook a batch takes one change, so that the next sees what it did.
2. What is answered is live. Whoever asked may be gone: a change that has begun is made.
3. After the swap come the things that only follow: the backlog of what was removed is ended, secrets that nothing names
   any more go, the repository gets its commits, the log its lines. What of it a crash prevents is done at the start.
4. The number of changes that wait is bounded. A fault in here is told and answered, and ends nobody else's work.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog
import trio

from hookd.config.managing.managed import Written, etag_of, file_of
from hookd.config.managing.managedgit import Commit, GitFailed, commit_changes, commit_rest
from hookd.control.batch import Work, make_batch
from hookd.control.callers import Caller
from hookd.control.management import (
    Act,
    Directory,
    ManagementRefused,
    Plan,
    Wish,
    find_expired,
    make_plan,
    secret_paths,
)
from hookd.store.base import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from hookd.config.load import Loaded
    from hookd.control.batch import Shelves
    from hookd.core.config import Config

log = structlog.get_logger()

#: Changes that may wait, of all and of one tenant, and those that one batch takes.
MOST_WAITING: Final = 1_024
MOST_OF_ONE: Final = 512
MOST_TOGETHER: Final = 256
#: How often old secrets are looked for.
EXPIRE_EVERY_S: Final = 600.0
_HOOKD: Final = Caller(name="hookd")
_FAILED: Final = ManagementRefused(500, "failed", "something went wrong here; the log says what")


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What the daemon lends for changes.

    `accepted` gives the running config and its files. `amend(change)` has `change` make another of them, puts it to
    work and returns when it runs; None means nothing is to be put to work. Nothing else changes the config meanwhile.
    `kill` ends the backlog of a webhook and gives how many deliveries that were. `now` is in ms since the epoch.
    """

    accepted: Callable[[], Loaded | None]
    amend: Callable[[Callable[[Loaded], Awaitable[Loaded | None]]], Awaitable[None]]
    kill: Callable[[str], Awaitable[int]]
    now: Callable[[], int]
    shelves: Shelves


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A change that was made, or was there already. `secret` is shown this once.

    `ended` is how many deliveries were given up, if nothing but the backlog of a webhook was left to remove.
    """

    plan: Plan
    written: Written | None
    config: Config
    changed: bool
    secret: str | None = None
    ended: int | None = None


@dataclass(eq=False, slots=True)
class _Ticket:
    """A wish that waits, and what became of it once `ready` is set."""

    wish: Wish
    ready: trio.Event = field(default_factory=trio.Event)
    result: Done | ManagementRefused = _FAILED


class Writer:
    """Makes changes, batch by batch. State: what waits."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._waiting: deque[_Ticket] = deque()
        self._news = trio.Event()

    def directory(self) -> Directory:
        """Give the managed webhooks as they are now. Raises `ManagementRefused`: the config stands in no file."""
        base = self._desk.accepted()
        if base is None:
            raise ManagementRefused(409, "not_managed", "this daemon's config stands in no file")
        return Directory(base)

    async def submit(self, wish: Wish) -> Done:
        """Have a change made; return when it is live. Raises `ManagementRefused`. Needs `serve` to run."""
        tenant = wish.caller.tenant
        mine = sum(ticket.wish.caller.tenant == tenant for ticket in self._waiting)
        if len(self._waiting) >= MOST_WAITING or mine >= MOST_OF_ONE:
            raise ManagementRefused(503, "overloaded", "too many changes wait; try again in a moment")
        ticket = _Ticket(wish)
        self._waiting.append(ticket)
        self._news.set()
        await ticket.ready.wait()
        if isinstance(ticket.result, ManagementRefused):
            raise ticket.result
        return ticket.result

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Make changes until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._finish)
            nursery.start_soon(self._expire_secrets)
            task_status.started()
            while True:
                await self._news.wait()
                self._news = trio.Event()
                while batch := self._take_batch():
                    await self._make(batch)

    def _take_batch(self) -> list[_Ticket]:
        batch: dict[str, _Ticket] = {}
        later: list[_Ticket] = []
        while self._waiting and len(batch) < MOST_TOGETHER:
            ticket = self._waiting.popleft()
            if batch.setdefault(ticket.wish.id, ticket) is not ticket:
                later.append(ticket)
        self._waiting.extendleft(reversed(later))
        return list(batch.values())

    async def _make(self, batch: Sequence[_Ticket]) -> None:
        works: list[tuple[_Ticket, Work]] = []
        try:
            if self._desk.accepted() is not None:
                await self._desk.amend(partial(self._change, batch, works))
                await self._follow_up([work for _, work in works if work.refused is None])
        except StoreUnavailable:
            for ticket in batch:
                ticket.result = ManagementRefused(503, "store_failed", "the store failed; the daemon is stopping")
        except Exception:  # one bad change must not end the control API, and the daemon with it
            log.exception("management.failed")
        finally:
            for ticket in batch:
                ticket.ready.set()

    async def _change(self, batch: Sequence[_Ticket], works: list[tuple[_Ticket, Work]], base: Loaded) -> Loaded | None:
        """Give the config with the changes of a batch in it, which are on disk then; `works` gets the changes."""
        directory = Directory(base)
        for ticket in batch:
            try:
                plan = make_plan(ticket.wish, directory, self._desk.shelves.keyring)
            except ManagementRefused as refused:
                ticket.result = refused
                continue
            if plan.only_backlog:
                ticket.result = await self._give_up(plan, base.config)
            elif plan.changes:
                works.append((ticket, Work(plan)))
            else:
                ticket.result = Done(plan=plan, written=plan.before, config=base.config, changed=False)
        if not works:
            return None
        only = [work for _, work in works]
        make = partial(make_batch, only, base, directory.root, self._desk.shelves, now=self._desk.now())
        made = await trio.to_thread.run_sync(make)
        for ticket, work in works:
            ticket.result = work.refused or self._done(work)
        return made

    async def _give_up(self, plan: Plan, config: Config) -> Done | ManagementRefused:
        """End the backlog of a webhook that is in no file. It cannot come back meanwhile: no look falls in between."""
        ended = await self._desk.kill(plan.wish.id)
        if not ended:
            message = "there is no such webhook, and nothing is held for one of this id"
            return ManagementRefused(404, "not_found", message)
        self._tell(plan, config)
        return Done(plan=plan, written=None, config=config, changed=True, ended=ended)

    def _tell(self, plan: Plan, config: Config | None) -> None:
        log.info(
            "webhook.changed",
            webhook=plan.wish.id,
            change=plan.word,
            by=plan.wish.caller.title,
            revision="" if config is None else str(config.revision),
        )

    def _done(self, work: Work) -> Done | ManagementRefused:
        if work.config is None:
            return _FAILED
        definition = work.plan.definition
        written = None
        if definition is not None:
            written = Written(id=work.id, definition=definition, etag=etag_of(definition))
        return Done(plan=work.plan, written=written, config=work.config, changed=True, secret=work.secret)

    # ----------------------------------------------------------------- what follows

    async def _follow_up(self, works: Sequence[Work]) -> None:
        for work in works:
            if work.plan.definition is None:
                await self._end(work.id)
        await trio.to_thread.run_sync(self._tidy, works)
        for work in works:
            self._tell(work.plan, work.config)

    async def _end(self, webhook_id: str) -> None:
        """End the backlog of a webhook that was removed, and forget its removal."""
        await self._desk.kill(webhook_id)
        await trio.to_thread.run_sync(self._desk.shelves.removals.end, webhook_id)

    def _tidy(self, works: Sequence[Work]) -> None:
        """Drop secrets that nothing names any more, and commit. Blocks. What fails is told, and changes nothing."""
        for work in works:
            try:
                self._desk.shelves.keyring.drop(work.id, keep=secret_paths(work.plan.definition))
            except OSError as error:
                log.warning("management.untidy", webhook=work.id, reason=f"a secret is left: {error.strerror}")
        config = works[0].config if works else None
        if config is None or config.managed_dir is None or not config.managed_git:
            return
        root = config.managed_dir
        commits = [_commit_of(work, root) for work in works]
        try:
            commit_changes(root, commits)
        except (GitFailed, OSError) as error:
            log.warning("management.untidy", reason=f"not committed: {error}")

    # ----------------------------------------------------------------- at the start, and now and then

    async def _finish(self) -> None:
        """Do what a crash kept from following: end backlogs, commit."""
        base = self._desk.accepted()
        if base is None:
            return
        try:
            for webhook_id in await trio.to_thread.run_sync(self._desk.shelves.removals.pending):
                if webhook_id not in base.config.webhooks:
                    await self._end(webhook_id)
                else:
                    await trio.to_thread.run_sync(self._desk.shelves.removals.end, webhook_id)
            if base.config.managed_git and base.config.managed_dir is not None:
                await trio.to_thread.run_sync(commit_rest, base.config.managed_dir)
        except (GitFailed, OSError) as error:
            log.warning("management.untidy", reason=f"what a crash left is left: {error}")
        except StoreUnavailable:
            return  # whoever watches the store ends the daemon

    async def _expire_secrets(self) -> None:
        """Have secrets that were rotated a day ago sign no longer."""
        while True:
            base = self._desk.accepted()
            if base is not None:
                find = partial(find_expired, Directory(base), self._desk.shelves.keyring, self._desk.now() / 1_000)
                for webhook_id in await trio.to_thread.run_sync(find):
                    try:
                        await self.submit(Wish(act=Act.EXPIRE, id=webhook_id, caller=_HOOKD))
                    except ManagementRefused as refused:
                        log.warning("management.untidy", webhook=webhook_id, reason=refused.message)
            await trio.sleep(EXPIRE_EVERY_S)


def _commit_of(work: Work, root: str) -> Commit:
    file = file_of(root, work.id).rpartition("/")[2]
    return Commit(file=file, subject=f"{work.plan.word} {work.id}", author=work.plan.wish.caller.title)
