"""The composition root: open everything in order, say ready, and close it in reverse.

Rules of this module:

1. Whoever is needed by others is opened before them and closed after them: store, sender, delivery, intake, then
   control and reload, then the inlets. Inner nurseries stop first.
2. Ready is said when every part has returned from its start: all that listens, listens.
3. The end: inlets stop at a line boundary (what was read is committed and answered), attempts in flight get
   `drain_timeout`, the rest stays pending. A second signal stops at once. A store that is unavailable ends the process
   with a failure, so that the service manager starts another, which reads from the disk what is true.
4. What cannot be opened is a `StartFailed` with a message for people, before anything else has begun.
5. `daemon:` is read at start. A reload never changes it; what differs is reported as "needs a restart".
"""

from __future__ import annotations

import os
import signal
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog
import trio

from hookd import __version__
from hookd.config.reload.around import LiveConfig
from hookd.core.daemonconfig import HttpInlet, UnixInlet
from hookd.daemon.managing import Managing
from hookd.daemon.parts import bind, build_parts, read_clock
from hookd.daemon.pressing import events_go_first
from hookd.daemon.telling import Telling
from hookd.delivery.senders import open_senders
from hookd.inlet.http import serve_events
from hookd.inlet.unix import serve_unix
from hookd.store.base import StoreLocked, StoreUnusable
from hookd.store.retention import prune_for_ever
from hookd.store.sqlite import open_sqlite_store
from hookd.systemd import take_hangups
from hookd.web.inherited import Inherited, Unclaimed
from hookd.web.sockets import AddressUnusable, inode_of, open_tcp_listeners, open_unix_listener, remove_unix_socket
from hookd.web.vitals import answer_vitals, serve_vitals

if TYPE_CHECKING:
    from hookd.core.config import NotMoved
    from hookd.daemon.parts import Parts, Setting
    from hookd.inlet.intake import Intake
    from hookd.store.base import Store

log = structlog.get_logger()

#: How long the inlets may take to answer what they have read, once the end has begun.
INLETS_S: Final = 10.0
#: How long a drain may take when the store is gone: nothing can be recorded any more.
LOST_S: Final = 1.0
#: What the store may take to record the last results and close.
CLOSING_S: Final = 15.0
#: A test waits for an attempt, which may take as long as a webhook's timeout allows; a reload for the files to settle.
CONTROL_REPLY_S: Final = 110.0


class StartFailed(Exception):  # noqa: N818  a fact, told to a person
    """The daemon cannot start. `again`: it may be able to later (something is taken); else somebody must mend it."""

    def __init__(self, message: str, *, again: bool) -> None:
        super().__init__(message)
        self.again = again


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """The open sockets."""

    inlets: tuple[tuple[UnixInlet | HttpInlet, list[trio.SocketListener]], ...]
    control: trio.SocketListener
    tenants: list[trio.SocketListener]  # the control API over HTTP
    vitals: list[trio.SocketListener]


class Daemon:
    """One run of hookd: `run` it, `stop` it, `stopped` is set when it is over."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._live = LiveConfig(setting.config)
        self._daemon = setting.config.daemon
        self._started_at = read_clock()
        self._stop = trio.Event()
        self._failed = False
        self.stopped = trio.Event()

    def stop(self) -> None:
        """Begin the end: drain and return from `run`."""
        self._stop.set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> bool:
        """Run until stopped; tell whether it ended well. Raises `StartFailed`."""
        try:
            async with AsyncExitStack() as opened:
                with self._setting.notifier.taking_time():
                    store, not_moved = await self._open_store(opened)
                opened.enter_context(events_go_first(store))
                sender = await opened.enter_async_context(open_senders(self._setting.connector))
                parts = build_parts(self._setting, self._live, store, sender, not_moved)
                inherited = Inherited([(each.fd, each.name) for each in self._setting.descriptors])
                listening = await self._open_sockets(opened, inherited)
                telling = Telling(self._setting.notifier, parts, read_clock, _end_inherited(inherited))
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._watch_signals, telling, nursery.cancel_scope)
                    nursery.start_soon(self._watch_store, store)
                    nursery.start_soon(parts.gauges.watch_loop)
                    if listening.vitals:
                        await nursery.start(parts.gauges.patience.serve)
                        answer = answer_vitals(parts.gauges.read, ill=parts.gauges.ill, unready=parts.gauges.unready)
                        await nursery.start(serve_vitals, answer, listening.vitals)
                    await self._serve(parts, listening, telling, nursery, task_status)
                    nursery.cancel_scope.cancel()
            log.info("daemon.stopped", good=not self._failed)
            self._setting.notifier.status("stopped")
            return not self._failed
        finally:
            self.stopped.set()

    # ----------------------------------------------------------------- opening

    async def _open_store(self, opened: AsyncExitStack) -> tuple[Store, tuple[NotMoved, ...]]:
        try:
            store = await opened.enter_async_context(
                open_sqlite_store(Path(self._daemon.state_dir), disk_free=self._daemon.limits.disk_free)
            )
        except StoreLocked as locked:
            raise StartFailed(str(locked), again=True) from None
        except StoreUnusable as unusable:
            raise StartFailed(str(unusable), again=False) from None
        return store, await bind(store, self._live.current)

    async def _open_sockets(self, opened: AsyncExitStack, inherited: Inherited) -> Listening:
        """Open what was not opened for us. Those files go away first of all at the end: who connects is told so."""

        def open_unix(path: str, mode: int) -> trio.SocketListener:
            listener = inherited.take_unix(path)
            if listener is not None:
                return listener
            listener = open_unix_listener(path, mode)
            opened.callback(remove_unix_socket, path, inode_of(path))
            return listener

        async def open_tcp(host: str, port: int) -> list[trio.SocketListener]:
            return await inherited.take_tcp(host, port) or await open_tcp_listeners(host, port)

        inlets: list[tuple[UnixInlet | HttpInlet, list[trio.SocketListener]]] = []
        try:
            for inlet in self._daemon.inlets:
                if isinstance(inlet, UnixInlet):
                    inlets.append((inlet, [open_unix(inlet.path, inlet.mode)]))
                else:
                    inlets.append((inlet, await open_tcp(inlet.host, inlet.port)))
            control = open_unix(self._daemon.control.unix, self._daemon.control.mode)
            http = self._daemon.control.http
            tenants = [] if http is None else await open_tcp(*http)
            metrics = self._daemon.metrics
            vitals = [] if metrics is None else await open_tcp(metrics.host, metrics.port)
        except AddressUnusable as unusable:
            raise StartFailed(str(unusable), again=unusable.taken) from None
        return Listening(inlets=tuple(inlets), control=control, tenants=tenants, vitals=vitals)

    # ----------------------------------------------------------------- running

    async def _serve(
        self,
        parts: Parts,
        listening: Listening,
        telling: Telling,
        root: trio.Nursery,
        task_status: trio.TaskStatus[None],
    ) -> None:
        """Start delivery, intake, control and inlets, in this order; say ready; end them in reverse."""
        inlets_end = trio.Event()
        async with trio.open_nursery() as delivery:
            await delivery.start(parts.dispatcher.serve)
            delivery.start_soon(prune_for_ever, parts.store, self._daemon.retention, read_clock)
            async with trio.open_nursery() as intake:
                await intake.start(parts.intake.serve)
                intake.start_soon(parts.own.serve, parts.intake)
                async with trio.open_nursery() as control:
                    if parts.reloader is not None:
                        await control.start(parts.reloader.serve)
                    managing = Managing(parts, self._daemon, self._started_at, CONTROL_REPLY_S)
                    await control.start(managing.serve_changes)
                    await control.start(partial(managing.serve_operator, listening.control))
                    if listening.tenants:
                        await control.start(partial(managing.serve_tenants, listening.tenants, self._setting.secrets))
                    async with trio.open_nursery() as inlets:
                        for inlet, listeners in listening.inlets:
                            await inlets.start(partial(self._serve_inlet, parts.intake, inlet, listeners, inlets_end))
                        parts.gauges.say_ready()
                        self._say_ready(telling)
                        root.start_soon(telling.serve)  # to the very end: a drain gives signs of life too
                        task_status.started()
                        await self._stop.wait()
                        parts.gauges.say_draining()
                        self._setting.notifier.stopping(INLETS_S + self._daemon.drain_timeout + CLOSING_S)
                        log.info("daemon.stopping", drain_timeout_s=self._daemon.drain_timeout)
                        inlets_end.set()
                        inlets.cancel_scope.deadline = trio.current_time() + INLETS_S
                    control.cancel_scope.cancel()
                intake.cancel_scope.cancel()
            await parts.dispatcher.drain(LOST_S if self._failed else self._daemon.drain_timeout)
            delivery.cancel_scope.cancel()

    async def _serve_inlet(
        self,
        intake: Intake,
        inlet: UnixInlet | HttpInlet,
        listeners: list[trio.SocketListener],
        stopping: trio.Event,
        *,
        task_status: trio.TaskStatus[None],
    ) -> None:
        limits = self._daemon.limits
        if isinstance(inlet, UnixInlet):
            await serve_unix(
                intake, listeners[0], allow=inlet.allow, limits=limits, stopping=stopping, task_status=task_status
            )
            return
        secrets = self._setting.secrets
        await serve_events(
            intake, inlet, listeners, secrets=secrets, limits=limits, stopping=stopping, task_status=task_status
        )

    def _say_ready(self, telling: Telling) -> None:
        config = self._live.current
        log.info(
            "daemon.ready",
            version=__version__,
            pid=os.getpid(),
            revision=str(config.revision),
            webhooks=len(config.webhooks),
            event_types=len(config.event_types),
        )
        self._setting.notifier.ready(telling.describe())

    async def _watch_signals(self, telling: Telling, everything: trio.CancelScope) -> None:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
            take_hangups()
            async for number in signals:
                if number == signal.SIGHUP:
                    telling.hang_up()
                elif self._stop.is_set():
                    log.warning("daemon.cut", reason="a second signal")
                    everything.cancel()
                else:
                    self._stop.set()

    async def _watch_store(self, store: Store) -> None:
        reason = await store.wait_failed()
        log.error("store.failed", reason=reason)
        self._failed = True
        self._stop.set()


def _end_inherited(inherited: Inherited) -> list[Unclaimed]:
    """Say which of the sockets that were opened for us nobody listens at."""
    unclaimed = inherited.end()
    for each in unclaimed:
        log.error("socket.unclaimed", name=each.name, address=each.address, reason=each.reason)
    return unclaimed
