"""What runs in a daemon, how the parts know each other, and what they lend to the control API.

Rules of this module:

1. Every part gets what it needs when it is made, and the running config as a function: nobody keeps a config, so a
   reload is one reference that is swapped.
2. Here is wiring and nothing else. Opening, starting in order and ending is `daemon`'s; deciding is the parts'.
"""

from __future__ import annotations

import os
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from hookd.config.reload import LiveConfig, Reloader
from hookd.control.service import ControlRefused, Fault, Lent, Reloaded
from hookd.core.model import Owed
from hookd.delivery.dispatcher import Dispatcher, NotAttempted
from hookd.inlet.intake import Intake
from hookd.inlet.own import OwnEvents
from hookd.store.base import New
from hookd.store.binding import bind_config

if TYPE_CHECKING:
    from pathlib import Path

    from hookd.config.load import Loaded
    from hookd.config.references import Secrets
    from hookd.config.reload import Report
    from hookd.core.config import Config, Webhook
    from hookd.core.model import Event, Result
    from hookd.delivery.sender import Connector, Sender
    from hookd.logs import Log
    from hookd.store.base import Store
    from hookd.systemd import Notifier

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """Where a config came from: its main file, and what was read of all of them."""

    main: Path
    loaded: Loaded


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a run is given. `files` None: the config stands in no file and is never reloaded."""

    config: Config
    files: Files | None
    secrets: Secrets
    log: Log
    notifier: Notifier
    connector: Connector | None = None


def make_id() -> str:
    """Give an id for an event without one: its time comes first, so that the store's index grows at one end."""
    return f"evt_{time.time_ns() // 1_000_000:012x}{os.urandom(10).hex()}"


def read_clock() -> int:
    """Give the wall clock in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


async def bind(store: Store, config: Config) -> None:
    """Tell the store which webhooks there are, and people which could not be moved."""
    for webhook, reason in await bind_config(store, config, read_clock):
        log.warning("webhook.not_moved", webhook=webhook, reason=reason)


def describe_state(config: Config) -> str:
    """Give the state in words, for a service manager."""
    return f"{len(config.webhooks)} webhooks, revision {config.revision}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What runs, and what the control API asks of it."""

    live: LiveConfig
    store: Store
    dispatcher: Dispatcher
    intake: Intake
    own: OwnEvents
    reloader: Reloader | None

    def last_look(self) -> Reloaded | None:
        """Give what the last look at the files came to."""
        return None if self.reloader is None else _reloaded(self.reloader.last)

    async def reload(self) -> Reloaded:
        """Look at the files now."""
        if self.reloader is None:
            raise ControlRefused(409, "this daemon's config stands in no file")
        return _reloaded(await self.reloader.reload())

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
            reload=self.reload,
            attempt=self.attempt,
            suspend=self.dispatcher.suspend,
            resume=self.dispatcher.resume,
        )


def build_parts(setting: Setting, live: LiveConfig, store: Store, sender: Sender) -> Parts:
    """Make the parts and let them know each other. Nothing runs yet."""

    def current() -> Config:
        return live.current

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
        news=own,
    )
    intake = Intake(
        store,
        current_config=current,
        now=read_clock,
        new_id=make_id,
        room=dispatcher.room,
        hand_over=dispatcher.take,
    )

    async def apply(_old: Config, new: Config) -> None:
        with setting.notifier.reloading():
            # The store learns first: what the new config owes can be claimed from the moment it runs.
            await bind(store, new)
            live.current = new
            dispatcher.config_changed()
        setting.notifier.status(describe_state(new))

    files = setting.files
    reloader = None if files is None else Reloader(files.main, live, apply, files.loaded, own.rejected)
    return Parts(live=live, store=store, dispatcher=dispatcher, intake=intake, own=own, reloader=reloader)


def _reloaded(report: Report) -> Reloaded:
    return Reloaded(
        changed=report.changed,
        revision=report.revision,
        problems=tuple(Fault(place=each.place, message=each.message, code=each.code) for each in report.problems),
        restart_required=report.restart_required,
    )
