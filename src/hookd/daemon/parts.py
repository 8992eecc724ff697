"""What runs in a daemon, how the parts know each other, and what they lend to the control API.

Rules of this module:

1. Every part gets what it needs when it is made, and the running config as a function: nobody keeps a config, so a
   reload is one reference that is swapped.
2. Here is wiring and nothing else. Opening, starting in order and ending is `running`'s; deciding is the parts'.
"""

from __future__ import annotations

import os
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from hookd.config.reload.around import LiveConfig, Surroundings
from hookd.config.reload.lastgood import Keeper
from hookd.config.reload.reloader import Reloader
from hookd.config.reload.report import describe_not_moved
from hookd.control.reloading import Reloaded
from hookd.control.service import ControlRefused, Lent
from hookd.core.attributes import ID_BYTES, build_id
from hookd.core.model import Owed
from hookd.daemon.gauges import CountedNews, Gauges, Looked, Watched
from hookd.delivery.dispatcher import Dispatcher, NotAttempted
from hookd.inlet.intake import Intake
from hookd.inlet.own import OwnEvents
from hookd.metrics.tallies import Tallies
from hookd.store.base import New
from hookd.store.binding import bind_config
from hookd.store.queries import EVERY_WEBHOOK, Backlog

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hookd.config.load import Loaded, Rejected
    from hookd.config.references import Secrets
    from hookd.config.reload.guard import HeldBack
    from hookd.config.reload.report import Report
    from hookd.config.snapshot import Snapshot
    from hookd.core.config import Config, NotMoved, Webhook
    from hookd.core.model import Event, Result
    from hookd.delivery.sender import Connector, Sender
    from hookd.logs import Log
    from hookd.store.base import Store
    from hookd.systemd import Descriptor, Notifier

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """Where a config came from: its main file, and what was read of all of them.

    `refused`: what is wrong with the files on disk, or what they lack, when `loaded` is the last good copy of them.
    """

    main: Path
    loaded: Loaded
    refused: Rejected | HeldBack | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a run is given. `files` None: the config stands in no file and is never reloaded."""

    config: Config
    files: Files | None
    secrets: Secrets
    log: Log
    notifier: Notifier
    connector: Connector | None = None
    descriptors: tuple[Descriptor, ...] = ()  # sockets that were opened for us


def make_id() -> str:
    """Give an id for an event without one."""
    return build_id(read_clock(), os.urandom(ID_BYTES))


def read_clock() -> int:
    """Give the wall clock in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


async def bind(
    store: Store, config: Config, before: Config | None = None, told: Sequence[NotMoved] = ()
) -> tuple[NotMoved, ...]:
    """Tell the store which webhooks there are, and people which could not be moved; give these.

    `before` is what the store knows. What people were `told` already they are not told again.
    """
    refused = await bind_config(store, config, read_clock, before)
    known = {each.move for each in told}
    for each in refused:
        if each.move not in known:
            log.warning("webhook.not_moved", webhook=each.move.source, **describe_not_moved(each))
    return refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What runs, and what the control API asks of it."""

    live: LiveConfig
    store: Store
    dispatcher: Dispatcher
    intake: Intake
    own: OwnEvents
    gauges: Gauges
    reloader: Reloader | None
    files: Files | None = None

    def running_files(self) -> Snapshot | None:
        """Give the files that the running config was made of; None: it stands in none."""
        running = self.running()
        return None if running is None else running.snapshot

    def running(self) -> Loaded | None:
        """Give the running config with its files; None: it stands in none."""
        if self.files is None:
            return None
        return self.files.loaded if self.reloader is None else self.reloader.running(self.files.loaded.snapshot)

    def last_look(self) -> Reloaded | None:
        """Give what the last look at the files came to."""
        return None if self.reloader is None else _reloaded(self.reloader.last)

    async def reload(self, *, allow_removals: bool = False) -> Reloaded:
        """Look at the files now."""
        if self.reloader is None:
            raise ControlRefused(409, "this daemon's config stands in no file")
        return _reloaded(await self.reloader.reload(allow_removals=allow_removals))

    async def attempt(self, webhook: Webhook, event: Event) -> Result:
        """Send a test: stored like any event, owed to this webhook alone, attempted once."""
        stored = await self.intake.submit(event, (Owed(webhook=webhook.id, once=True),))
        if not isinstance(stored, New):
            raise ControlRefused(503, f"the test event was not stored: {getattr(stored, 'message', 'it is known')}")
        try:
            return await self.dispatcher.attempt_now(stored.claims[0])
        except NotAttempted as not_attempted:
            raise ControlRefused(409, f"the test was not sent: {not_attempted}") from None

    def lend(self, started_at: int) -> Lent:
        """Give what the control API may use."""
        return Lent(
            store=self.store,
            current_config=lambda: self.live.current,
            now=read_clock,
            new_id=make_id,
            started_at=started_at,
            pid=os.getpid(),
            in_flight=lambda webhook: self.dispatcher.figures(webhook).in_flight,
            wake=self.dispatcher.wake,
            last_look=self.last_look,
            reload=lambda allow_removals: self.reload(allow_removals=allow_removals),
            attempt=self.attempt,
            suspend=self.dispatcher.suspend,
            resume=self.dispatcher.resume,
            files=self.running_files,
            ill=self.gauges.ill,
            short=self.store.trouble,
        )


def build_parts(
    setting: Setting, live: LiveConfig, store: Store, sender: Sender, not_moved: tuple[NotMoved, ...] = ()
) -> Parts:
    """Make the parts and let them know each other. Nothing runs yet. `not_moved` is what `bind` gave."""

    def current() -> Config:
        return live.current

    tallies = Tallies(setting.config.webhooks)
    own = OwnEvents(current_config=current, now=read_clock, new_id=make_id)
    dispatcher = Dispatcher(
        store=store,
        sender=sender,
        current_config=current,
        secrets=setting.secrets,
        now=read_clock,
        random=random.random,
        attempted=setting.log.attempted,
        limits=setting.config.daemon.limits,
        news=CountedNews(tallies, own),
    )
    intake = Intake(
        store,
        current_config=current,
        now=read_clock,
        new_id=make_id,
        room=dispatcher.room,
        hand_over=dispatcher.take,
    )

    async def apply(old: Config, new: Config) -> tuple[NotMoved, ...]:
        began = time.monotonic()
        with setting.notifier.reloading():
            # The store learns first: what the new config owes can be claimed from the moment it runs.
            refused = await bind(store, new, old, () if reloader is None else reloader.last.not_moved)
            live.current = new
            dispatcher.config_changed(frozenset(each.move for each in refused))
        if new is not old:
            tallies.applied += 1
            tallies.apply_s = time.monotonic() - began
        return refused

    def rejected(revision: str, problems: Sequence[Mapping[str, object]]) -> None:
        tallies.rejected += 1
        own.rejected(revision, problems)

    async def pending() -> frozenset[str]:
        return frozenset(row.webhook for row in await store.read(Backlog(), EVERY_WEBHOOK) if row.pending)

    files = setting.files
    reloader = None
    if files is not None:
        keeper = Keeper(Path(setting.config.daemon.state_dir), files.main)
        around = Surroundings(rejected=rejected, pending=pending, keeper=keeper, now=read_clock, not_moved=not_moved)
        reloader = Reloader(files.main, live, apply, files.refused or files.loaded, around)
    started_at = read_clock()

    def looked() -> Looked:
        last = None if reloader is None else reloader.last
        if last is None:
            return Looked(applied_at=started_at)
        return Looked(
            refused=bool(last.problems), restart_required=len(last.restart_required), applied_at=last.applied_at
        )

    watched = Watched(
        store=store,
        dispatcher=dispatcher,
        events=intake.counts,
        overflows=intake.overflows.take,
        tallies=tallies,
        current_config=current,
        looked=looked,
        dropped_lines=lambda: setting.log.writer.dropped,
        now=read_clock,
    )
    return Parts(
        live=live,
        store=store,
        dispatcher=dispatcher,
        intake=intake,
        own=own,
        gauges=Gauges(watched),
        reloader=reloader,
        files=files,
    )


def _reloaded(report: Report) -> Reloaded:
    return Reloaded(
        changed=report.changed,
        revision=report.revision,
        applied_at=report.applied_at,
        problems=report.problems,
        last_good=report.last_good,
        restart_required=report.restart_required,
        added=report.added,
        removed=report.removed,
        altered=report.altered,
        not_moved=report.not_moved,
    )
