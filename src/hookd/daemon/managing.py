"""The management of webhooks through the control API, wired: what it is lent, and its doors.

Rules: a daemon whose config stands in no file has the API too, which then says that nothing can be changed here; the
door over HTTP is there only with tokens, which `config` sees to.
"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

import trio

from hookd.config.managing.managed import Keyring, Removals
from hookd.control.app import build_app
from hookd.control.batch import Shelves
from hookd.control.doors import admit_operator, tenants_door
from hookd.control.management_api import MOST_BODY_BYTES, build_tenant_app, operator_routes
from hookd.control.service import Service
from hookd.control.writing import Desk, Writer
from hookd.core.model import Cause
from hookd.core.signing import generate_secret
from hookd.daemon.parts import read_clock
from hookd.store.base import Kill
from hookd.store.binding import CHUNK
from hookd.web.asgi import answer_by_app
from hookd.web.limits import HttpLimits
from hookd.web.server import serve_http

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hookd.config.load import Loaded
    from hookd.config.references import Secrets
    from hookd.core.daemonconfig import DaemonConfig
    from hookd.daemon.parts import Parts

#: As Standard Webhooks recommends; it takes 24 to 64.
_SECRET_BYTES = 32


class Managing:
    """The control API of one daemon, with its two doors."""

    def __init__(self, parts: Parts, daemon: DaemonConfig, started_at: int, reply_s: float) -> None:
        self._service = Service(parts.lend(started_at))
        self._writer = Writer(_lend_desk(parts, daemon.state_dir))
        self._tokens = daemon.control.tokens
        self._reply_s = reply_s
        self.serve_changes = self._writer.serve

    async def serve_operator(self, listener: trio.SocketListener, *, task_status: trio.TaskStatus[None]) -> None:
        """Serve the Unix socket until cancelled."""
        app = build_app(self._service, operator_routes(self._service, self._writer, _make_name))
        limits = HttpLimits(reply_deadline=self._reply_s)
        async with trio.open_nursery() as nursery:
            await nursery.start(self._service.patience.serve)
            serve = partial(serve_http, answer_by_app(app), [listener], limits, stopping=trio.Event())
            await serve(admit=admit_operator, task_status=task_status)

    async def serve_tenants(
        self, listeners: list[trio.SocketListener], secrets: Secrets, *, task_status: trio.TaskStatus[None]
    ) -> None:
        """Serve HTTP, with tokens, until cancelled."""
        answer = answer_by_app(build_tenant_app(self._service, self._writer, _make_name))
        limits = HttpLimits(reply_deadline=self._reply_s, body_bytes=MOST_BODY_BYTES)
        admit = tenants_door(self._tokens, secrets)
        await serve_http(answer, listeners, limits, stopping=trio.Event(), admit=admit, task_status=task_status)


def _lend_desk(parts: Parts, state_dir: str) -> Desk:
    async def amend(change: Callable[[Loaded], Awaitable[Loaded | None]]) -> None:
        reloader = parts.reloader
        assert reloader is not None  # noqa: S101  without one nothing was accepted

        async def make() -> Loaded | None:
            base = parts.running()  # now: a look may have ended while this one waited for its turn
            return None if base is None else await change(base)

        await reloader.amend(make)

    async def kill(webhook: str) -> int:
        change, ended, done = Kill(webhook=webhook, cause=Cause.WEBHOOK_DELETED), 0, False
        while not done:
            revised = await parts.store.revise(change, CHUNK, read_clock())
            if revised.refused is not None:
                return 0  # the store knows nothing of it
            ended, done = ended + revised.changed, revised.done
        # Nothing is left to resume; but the next webhook of this id begins without the troubles of this one.
        await parts.dispatcher.resume(webhook)
        return ended

    return Desk(
        accepted=parts.running if parts.reloader is not None else lambda: None,
        amend=amend,
        kill=kill,
        now=read_clock,
        shelves=Shelves(
            keyring=Keyring(state_dir, lambda: generate_secret(os.urandom(_SECRET_BYTES))),
            removals=Removals(state_dir),
        ),
    )


def _make_name() -> str:
    """Give an id for a webhook that is created without one."""
    return f"w{os.urandom(8).hex()}"
