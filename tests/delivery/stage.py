"""A stage for the dispatcher: a memory store, a config, a sender that plays a script, and a log that is kept."""

from __future__ import annotations

import time
from collections import deque
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
import trio

from hookd.config.references import SecretReader
from hookd.core.config import Body, Config, Place, Revision, Trigger, Webhook
from hookd.core.daemonconfig import Limits
from hookd.core.model import Event, Outcome, Owed, Page, Phases, Response
from hookd.core.routing import build_index
from hookd.core.template import DEFAULT_TEMPLATE, compile_template
from hookd.delivery.dispatcher import Dispatcher
from hookd.delivery.sender import Request, Sent
from hookd.store.base import Bind, Binding, Entry, New
from hookd.store.memory import MemoryStore
from hookd.store.queries import Attempts, Backlog

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Sequence

    from hookd.core.model import Claim
    from hookd.delivery.sender import Flight, Sender
    from hookd.logs import AttemptLine
    from hookd.store.queries import AttemptRow, BacklogRow

OK = Response(status=200)
PLACE = Place(file="hookd.yaml")
EPOCH = 1_800_000_000_000


def make_webhook(webhook_id: str = "crm", *, template: object = None, **fields: Any) -> Webhook:
    """Give a webhook for every event, with the default body."""
    fields.setdefault("url", f"https://{webhook_id}.example.com/hooks")
    fields.setdefault("triggers", (Trigger(pattern="*"),))
    fields.setdefault("body", Body(template=compile_template(DEFAULT_TEMPLATE if template is None else template)))
    fields.setdefault("fingerprint", "same")
    return Webhook(id=webhook_id, place=PLACE, **fields)


def make_config(*webhooks: Webhook, revision: str = "0123456789ab") -> Config:
    return Config(revision=Revision(hash=revision), webhooks={w.id: w for w in webhooks}, index=build_index(webhooks))


def make_event(number: int = 1, **fields: Any) -> Event:
    fields.setdefault("type", "user.updated")
    fields.setdefault("data", b'{"n":%d}' % number)
    return Event(id=f"evt-{number}", accepted_at=EPOCH, digest=b"%d" % number, **fields)


class Script:
    """A sender that answers as it is told. State: what was sent, and what is in flight."""

    def __init__(self, answer: Callable[[Request], Outcome] | Sequence[Outcome] = (OK,)) -> None:
        if callable(answer):
            self.answer = answer
        else:
            answers = deque(answer)
            self.answer = lambda _: answers.popleft() if len(answers) > 1 else answers[0]
        self.requests: list[Request] = []
        self.times: list[float] = []
        self.flying = 0
        self.most_flying = 0
        self.took = 0.0
        self.hang: Callable[[Request], bool] = lambda _: False
        self.go = trio.Event()
        self._changed = trio.Condition()

    def start(self, request: Request, timeout: float, landed: Callable[[Flight], None]) -> Flight | None:
        """Start nothing: each request is waited for."""

    async def send(self, request: Request, timeout: float) -> Sent:  # noqa: ASYNC109  as the protocol has it
        self.requests.append(request)
        self.times.append(trio.current_time())
        self.flying += 1
        self.most_flying = max(self.most_flying, self.flying)
        try:
            async with self._changed:
                self._changed.notify_all()
            if self.hang(request):
                await self.go.wait()
            elif self.took:
                await trio.sleep(min(self.took, timeout))
            return Sent(outcome=self.answer(request), duration_ms=1.0, phases=Phases())
        finally:
            self.flying -= 1

    async def sent(self, number: int) -> None:
        """Wait until so many requests were sent."""
        async with self._changed:
            while len(self.requests) < number:
                await self._changed.wait()

    @property
    def hosts(self) -> list[str]:
        """To whom requests went, in order, without the domain."""
        return [request.head.target.host.partition(".")[0] for request in self.requests]

    @property
    def bodies(self) -> list[bytes]:
        return [request.body for request in self.requests]


class Asked(MemoryStore):
    """The memory store, that counts how often it is asked for claims."""

    asked = 0

    async def claim(self, *args: Any) -> Any:
        self.asked += 1
        return await super().claim(*args)


@dataclass
class Stage:
    """Everything that a test looks at."""

    store: MemoryStore
    sender: Script
    config: Config
    limits: Limits
    lines: list[dict[str, object]] = field(default_factory=list)
    started: float = 0.0
    epoch: int = EPOCH
    secrets: SecretReader = field(default_factory=lambda: SecretReader(None, {}))
    jitter: float = 0.5
    news: trio.Event = field(default_factory=trio.Event)
    dispatcher: Dispatcher = field(init=False)

    def now(self) -> int:
        return self.epoch + round((trio.current_time() - self.started) * 1000)

    async def bind(self, config: Config) -> None:
        """Make a config the current one, as the daemon does: the store first, then the dispatcher."""
        bind = Bind(
            webhooks={
                w.id: Binding(fingerprint=w.fingerprint, rules=f"{w.tenant}{w.triggers}", held=w.held)
                for w in config.webhooks.values()
            }
        )
        while not (await self.store.revise(bind, 1000, self.now())).done:
            pass
        self.config = config

    async def change(self, *webhooks: Webhook, revision: str = "ba9876543210") -> None:
        await self.bind(make_config(*webhooks, revision=revision))
        self.dispatcher.config_changed()

    async def accept(self, *events: Event, to: Iterable[str] = ("crm",), hand_over: bool = True, **owed: Any) -> None:
        """Accept events as the intake does; without `hand_over`, they are left to the feeder."""
        targets = tuple(to)
        entries = [Entry(event=e, owed=tuple(Owed(webhook=w, **owed) for w in targets)) for e in events]
        room = self.dispatcher.room(targets) if hand_over else dict.fromkeys(targets, 0)
        results = await self.store.accept(entries, room, self.now())
        claims = [claim for result in results if isinstance(result, New) for claim in result.claims]
        if claims:
            self.dispatcher.take(claims)

    async def prove(self, *webhooks: str, number: int = 15) -> None:
        """Let webhooks succeed so often, one after another, that they have all their slots; then forget it."""
        hang, took = self.sender.hang, self.sender.took
        self.sender.hang, self.sender.took = (lambda _: False), 0.0
        for n in range(number):
            told = len(self.lines)
            await self.accept(make_event(10_000_000 + n, type="warm.up"), to=webhooks or ("crm",))
            await self.told(told + len(webhooks or ("crm",)))
        self.sender.hang, self.sender.took = hang, took
        self.sender.requests.clear()
        self.sender.times.clear()
        self.sender.most_flying = 0
        self.lines.clear()

    async def accept_test(self, event: Event, webhook: str = "crm") -> Claim:
        (result,) = await self.store.accept(
            [Entry(event=event, owed=(Owed(webhook=webhook, once=True),))], {}, self.now()
        )
        assert isinstance(result, New)
        return result.claims[0]

    async def backlog(self, webhook: str = "crm") -> BacklogRow:
        (row,) = await self.store.read(Backlog(webhook=webhook), Page())
        return row

    async def attempts(self, **query: Any) -> Sequence[AttemptRow]:
        return await self.store.read(Attempts(order="oldest", **query), Page(limit=10_000))

    def attempted(self, batch: Sequence[AttemptLine]) -> None:
        for line in batch:
            fields = msgspec.to_builtins(line)
            assert (fields.pop("time"), fields.pop("msg")) == ("", "delivery.attempted")
            assert fields.pop("level") == ("info" if fields["outcome"] == "delivered" else "warning")
            self.lines.append(fields)
        self.news.set()
        self.news = trio.Event()

    async def told(self, number: int) -> None:
        """Wait until so many attempts are recorded and logged."""
        while len(self.lines) < number:
            await self.news.wait()


@asynccontextmanager
async def open_stage(
    *webhooks: Webhook,
    sender: Sender | None = None,
    wall: bool = False,
    limits: Limits | None = None,
    secrets: SecretReader | None = None,
    before: Callable[[Stage], Any] | None = None,
) -> AsyncIterator[Stage]:
    """Run a dispatcher; it is drained at the end. `before` may fill the store before it starts.

    `wall`: its clock shows the present, for signatures that somebody verifies.
    """
    store = Asked()
    script = sender if isinstance(sender, Script) else Script()
    stage = Stage(
        store=store,
        sender=script,
        config=make_config(*(webhooks or (make_webhook(),))),
        limits=limits or Limits(),
        started=trio.current_time(),
        epoch=round(time.time() * 1000) if wall else EPOCH,
    )
    if secrets is not None:
        stage.secrets = secrets
    stage.dispatcher = Dispatcher(
        store=store,
        sender=script if sender is None else sender,
        current_config=lambda: stage.config,
        secrets=stage.secrets,
        now=stage.now,
        random=lambda: stage.jitter,
        attempted=stage.attempted,
        limits=stage.limits,
    )
    await stage.bind(stage.config)
    if before is not None:
        await before(stage)
    async with trio.open_nursery() as nursery:
        await nursery.start(lambda task_status: stage.dispatcher.serve(task_status=task_status))
        yield stage
        stage.sender.go.set()
        await stage.dispatcher.drain(5)
