"""A control API over a memory store, served on a real socket, for its tests."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

import httpx
import trio

from hookd.control.app import build_app
from hookd.control.reloading import Reloaded
from hookd.control.service import Lent, Service
from hookd.core.model import Attempt, Cause, Dead, Delivered, Exchange, Owed, Result, RetryAt
from hookd.store.base import Bind, Binding, Entry, New, Resume, Suspend
from hookd.store.memory import MemoryStore
from hookd.web.asgi import answer_by_app
from hookd.web.server import serve_http
from hookd.web.sockets import open_unix_listener

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from hookd.config.snapshot import Snapshot
    from hookd.core.config import Config, Webhook
    from hookd.core.model import Claim, Event, Verdict

NOW = 1_795_276_800_000


@dataclass
class Room:
    """A service, its store and a client. Tests attempt with `outcome`."""

    config: Config
    client: httpx.AsyncClient
    store: MemoryStore = field(default_factory=MemoryStore)
    at: int = NOW
    rejected: Reloaded | None = None
    reloaded: Reloaded = field(default_factory=lambda: Reloaded(changed=False, revision="r"))
    attempted: list[tuple[str, Event]] = field(default_factory=list)
    woken: int = 0
    removals_allowed: list[bool] = field(default_factory=list)
    files: Snapshot | None = None
    ill: str | None = None
    short: str = ""
    reload_takes: float = 0.0  # seconds

    def lent(self) -> Lent:
        numbers = count(1)

        def wake() -> None:
            self.woken += 1

        async def reload(allow_removals: bool) -> Reloaded:  # noqa: FBT001  as it is lent
            await trio.sleep(self.reload_takes)
            self.removals_allowed.append(allow_removals)
            return self.reloaded

        return Lent(
            store=self.store,
            current_config=lambda: self.config,
            now=lambda: self.at,
            new_id=lambda: f"evt_{next(numbers)}",
            started_at=NOW - 1_000,
            pid=7,
            in_flight=lambda _webhook: 0,
            wake=wake,
            last_look=lambda: self.rejected,
            reload=reload,
            attempt=self.attempt,
            suspend=self.suspend,
            resume=self.resume,
            files=lambda: self.files,
            ill=lambda: self.ill,
            short=lambda: self.short,
        )

    async def bind(self) -> None:
        bindings = {name: Binding(fingerprint="f", rules="r") for name in self.config.webhooks}
        await self.store.revise(Bind(webhooks=bindings), 1_000, self.at)

    async def suspend(self, webhook: str, cause: str) -> None:
        await self.store.revise(Suspend(webhook=webhook, cause=cause), 1_000, self.at)

    async def resume(self, webhook: str) -> None:
        await self.store.revise(Resume(webhook=webhook), 1_000, self.at)

    async def attempt(self, webhook: Webhook, event: Event) -> Result:
        self.attempted.append((webhook.id, event))
        (claim,) = await self.accept(event, webhook.id, once=True)
        return await self.record(claim, Delivered())

    async def accept(self, event: Event, *webhooks: str, once: bool = False) -> tuple[Claim, ...]:
        """Store an event and claim its deliveries."""
        entry = Entry(event=event, owed=tuple(Owed(webhook=name, once=once) for name in webhooks))
        (result,) = await self.store.accept([entry], dict.fromkeys(webhooks, 1_000), self.at)
        assert isinstance(result, New)
        return result.claims

    async def record(self, claim: Claim, verdict: Verdict, exchange: Exchange | None = None) -> Result:
        """Record what became of a claim."""
        good = isinstance(verdict, Delivered)
        attempt = Attempt(
            number=claim.attempts + 1,
            started_at=self.at,
            duration_ms=1.234,
            outcome="delivered" if good else "rejected",
            cause=None if good else Cause.STATUS,
            status=200 if good else 500,
            url="http://example.com/",
            revision="r",
        )
        result = Result(claim=claim, attempt=attempt, verdict=verdict, exchange=exchange)
        assert not await self.store.record([result], [], self.at)
        return result

    async def kill(self, claim: Claim) -> None:
        await self.record(claim, Dead(cause=Cause.EXHAUSTED))

    async def retry(self, claim: Claim, due_at: int) -> None:
        await self.record(claim, RetryAt(due_at=due_at))

    async def get(self, path: str, **asked: object) -> tuple[int, Any]:
        response = await self.client.get(path, params={name: str(value) for name, value in asked.items()} or None)
        return self._read(response)

    async def post(self, path: str, content: bytes = b"") -> tuple[int, Any]:
        return self._read(await self.client.post(path, content=content))

    def _read(self, response: httpx.Response) -> tuple[int, Any]:
        kind = "application/json" if response.is_success else "application/problem+json"
        assert response.headers["content-type"] == kind, response.text
        return response.status_code, response.json()


@asynccontextmanager
async def open_room(folder: Path, config: Config) -> AsyncIterator[Room]:
    """Serve the control API of a config on a Unix socket in `folder`."""
    path = str(folder / "control.sock")
    transport = httpx.AsyncHTTPTransport(uds=path)
    async with httpx.AsyncClient(transport=transport, base_url="http://control", trust_env=False) as client:
        room = Room(config, client)
        await room.bind()
        service = Service(room.lent())
        answer = answer_by_app(build_app(service))
        listener = open_unix_listener(path, 0o600)
        async with trio.open_nursery() as nursery:
            await nursery.start(service.patience.serve)
            await nursery.start(_serve, answer, listener)
            yield room
            nursery.cancel_scope.cancel()


async def _serve(answer: Any, listener: trio.SocketListener, *, task_status: trio.TaskStatus[None]) -> None:
    await serve_http(answer, [listener], stopping=trio.Event(), task_status=task_status)
