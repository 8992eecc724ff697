"""What the control API can be asked, in values: no HTTP here.

Rules: every answer is made of the running config, the store and what the daemon lends (`Lent`); nothing is kept
here. What is refused is a `ControlRefused` with a status, for people to read.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Final, TypeVar

import trio.lowlevel

from hookd import __version__
from hookd.config.managing.managed import is_inside
from hookd.control.describe import (
    describe_attempt,
    describe_backlog,
    describe_exchange,
    describe_log_line,
    describe_phases,
    describe_webhook,
)
from hookd.control.needs import list_needs
from hookd.control.patience import Patience, Silent
from hookd.control.reloading import describe_not_moved, describe_reloaded, wait_reloaded
from hookd.control.replay import replay_slice
from hookd.control.trial import build_test, write_test_event
from hookd.core.instants import format_instant
from hookd.core.model import Page, Refusal, State, WebhookState
from hookd.core.paths import did_you_mean, shown
from hookd.store.queries import EVERY_WEBHOOK, AttemptRow, Attempts, Backlog, BacklogRow, Exchanges, Redrivable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping

    from hookd.config.snapshot import Snapshot
    from hookd.control.reloading import Reloaded
    from hookd.control.replay import Wanted
    from hookd.core.config import Config, Webhook
    from hookd.core.model import Event, Result
    from hookd.store.base import Redrive, Store

T = TypeVar("T")

#: Rows that one request may list.
MOST_ROWS: Final = 10_000
#: Rows of one chunk of a redrive: small enough that deliveries flow between the chunks.
CHUNK: Final = 1_000
#: What the status adds up over the webhooks.
_SUMS: Final = ("pending", "held", "dead", "delivered", "in_flight")
#: Rows that are described before others have their turn: a millisecond or two.
TURN: Final = 100


class ControlRefused(Exception):  # noqa: N818  a fact
    """What was asked is not so; `status` is HTTP's word for it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class Lent:
    """What the daemon lends to the control API."""

    store: Store
    current_config: Callable[[], Config]
    now: Callable[[], int]
    new_id: Callable[[], str]
    started_at: int
    pid: int
    in_flight: Callable[[str], int]
    wake: Callable[[], None]
    last_look: Callable[[], Reloaded | None]  # at the files; None: the config stands in none
    reload: Callable[[bool], Awaitable[Reloaded]]  # whether it may remove most of what has a backlog
    attempt: Callable[[Webhook, Event], Awaitable[Result]]
    suspend: Callable[[str, str], Awaitable[None]]
    resume: Callable[[str], Awaitable[None]]
    files: Callable[[], Snapshot | None] = lambda: None  # that the running config was made of
    ill: Callable[[], str | None] = lambda: None  # why the store's writer makes no progress
    short: Callable[[], str] = lambda: ""  # why the store takes no events


class Service:
    """The answers."""

    def __init__(self, lent: Lent) -> None:
        self._lent = lent
        self.patience = Patience()  # whoever serves the answers serves this too

    @property
    def lent(self) -> Lent:
        """What the daemon lends."""
        return self._lent

    def _webhook(self, name: str) -> Webhook:
        webhook = self._lent.current_config().webhooks.get(name)
        if webhook is None:
            raise self._no_webhook(name, "in the running config")
        return webhook

    def _no_webhook(self, name: str, where: str) -> ControlRefused:
        hint = did_you_mean(name, self._lent.current_config().webhooks)
        return ControlRefused(404, f"there is no webhook `{shown(name)}` {where}{hint}")

    async def status(self) -> dict[str, object]:
        """Give the whole daemon on one screen."""
        lent = self._lent
        config = lent.current_config()
        silent = lent.ill()
        webhooks: list[dict[str, object]] = []
        sums: dict[str, int | None] = dict.fromkeys(_SUMS)
        try:
            backlog = await self._backlog(None)
        except Silent as fact:  # what is known without the store is told
            silent = str(fact)
            sums["in_flight"] = sum(map(lent.in_flight, config.webhooks))
        else:
            webhooks = [row for row in backlog if not _is_over(row)]
            sums = {name: sum(int(str(row[name])) for row in backlog) for name in _SUMS}
        look = lent.last_look()
        rejected = look if look is not None and look.problems else None
        needs = list_needs(webhooks)
        return {
            "version": __version__,
            "pid": lent.pid,
            "started_at": format_instant(lent.started_at),
            "revision": str(config.revision),
            "commit": config.revision.commit,
            "dirty": config.revision.dirty,
            "applied_at": format_instant(lent.started_at if look is None else look.applied_at),
            "last_good": look is not None and look.last_good,
            "config_rejected": None if rejected is None else describe_reloaded(rejected),
            "restart_required": [] if look is None else list(look.restart_required),
            "not_moved": [] if look is None else [describe_not_moved(each) for each in look.not_moved],
            "webhooks": len(config.webhooks),
            **sums,
            "store_silent": silent,
            "store_full": (full := lent.short() or None),
            "healthy": rejected is None and not needs and silent is None and full is None,
            "needs": needs,
            "backlog": webhooks,
        }

    async def webhook_status(self, name: str) -> dict[str, object]:
        """Give how one webhook stands; also one that is no longer in the files, if the store knows it."""
        try:
            rows = await self._backlog(name)
        except Silent as fact:
            raise ControlRefused(503, str(fact)) from None
        if not rows:
            raise self._no_webhook(name, "in the running config, nor in the store")
        return rows[0]

    async def _backlog(self, name: str | None) -> list[dict[str, object]]:
        lent = self._lent
        config = lent.current_config()
        read = await self.patience.ask(lambda: lent.store.read(Backlog(webhook=name), EVERY_WEBHOOK))
        rows = {row.webhook: row for row in read}
        for known in config.webhooks if name is None else [name]:
            if known in config.webhooks and known not in rows:
                rows[known] = _empty_backlog(known)
        return [
            describe_backlog(rows[each], config.webhooks.get(each), in_flight=lent.in_flight(each), now=lent.now())
            async for each in _by_turns(sorted(rows))
        ]

    async def webhooks(self) -> list[dict[str, object]]:
        """List the webhooks of the running config."""
        keys = ("id", "name", "active", "paused", "tenant", "url", "events", "profile", "defined_at")
        listed = []
        config = self._lent.current_config()
        async for _, webhook in _by_turns(sorted(config.webhooks.items())):
            described = describe_webhook(webhook)
            managed = is_inside(config.managed_dir, webhook.place.file)
            listed.append({**{key: described[key] for key in keys}, "managed": managed})
        return listed

    def webhook(self, name: str) -> dict[str, object]:
        """Give a definition as it is in force."""
        return describe_webhook(self._webhook(name))

    def event_types(self) -> list[dict[str, object]]:
        """List the catalogue."""
        types = self._lent.current_config().event_types
        return [
            {"type": each.name, "description": each.description, "require": list(each.require)}
            for _, each in sorted(types.items())
        ]

    async def attempts(self, query: Attempts, page: Page) -> list[dict[str, object]]:
        """Give the request log, with the whole exchange of each attempt for which it is kept."""
        rows = list(await self._lent.store.read(query, Page(limit=min(page.limit, MOST_ROWS), after=page.after)))
        kept = {}
        if query.webhook is not None and rows:
            kept = {row.row.seq: row for row in await self._lent.store.read(Exchanges(webhook=query.webhook), Page())}
        elif query.webhook is not None:
            await self._expect_known(query.webhook)
        return [describe_log_line(row, kept.get(row.seq)) async for row in _by_turns(rows)]

    async def _expect_known(self, name: str) -> None:
        if name not in self._lent.current_config().webhooks:
            await self.webhook_status(name)

    async def reload(self, *, allow_removals: bool = False) -> Reloaded:
        """Read the files now, and wait for what comes of it. Raises `ControlRefused` if that waits for a full disk."""
        reloaded = await wait_reloaded(lambda: self._lent.reload(allow_removals), self._lent.short)
        if isinstance(reloaded, str):
            raise ControlRefused(503, reloaded)
        return reloaded

    async def suspend(self, name: str, cause: str) -> dict[str, object]:
        """Hold a webhook until it is resumed. One that is suspended stays as it is."""
        before = await self._standing(name)
        if before.suspended_at is None:
            await self._lent.suspend(name, cause)
        return {"changed": before.suspended_at is None, **await self.webhook_status(name)}

    async def resume(self, name: str) -> dict[str, object]:
        """Lift a webhook's suspension, pause and breaker, and say which there were; what is pending is due now."""
        before = await self._standing(name)
        gates = {
            "suspension": before.suspended_at is not None,
            "pause": before.paused_until is not None and before.paused_until > self._lent.now(),
            "breaker": before.open_until is not None,
        }
        await self._lent.resume(name)
        lifted = [gate for gate, closed in gates.items() if closed]
        return {"changed": bool(lifted), "lifted": lifted, **await self.webhook_status(name)}

    async def _standing(self, name: str) -> WebhookState:
        rows = await self._lent.store.read(Backlog(webhook=name), Page(limit=1))
        if not rows:
            raise self._no_webhook(name, "in the running config, nor in the store")
        return rows[0].state

    async def replay(self, wanted: Wanted) -> dict[str, object]:
        """Make a webhook's deliveries of kept events, or make them anew, for a slice of time."""
        name = wanted.kept.webhook
        if not self._webhook(name).active:
            raise ControlRefused(409, f"webhook `{name}` is inactive: it takes no events")
        try:
            tally, after, until = await replay_slice(
                self._lent.store, lambda: self._webhook(name), wanted, now=self._lent.now
            )
        finally:
            self._lent.wake()
        return {"webhook": name, "dry_run": wanted.dry_run, **asdict(tally), "after": after, "until": until}

    async def count_dead(self, redrive: Redrive) -> dict[str, object]:
        """Give how many deliveries a redrive would make due again, in all and by webhook."""
        if redrive.webhook is not None:
            await self._expect_known(redrive.webhook)
        rows = await self._lent.store.read(Redrivable(redrive=redrive), Page(limit=MOST_ROWS))
        counts = {row.webhook: row.count for row in rows}
        return {"redriven": sum(counts.values()), "dry_run": True, "webhooks": counts}

    async def redrive(self, change: Redrive, limit: int | None = None) -> dict[str, object]:
        """Make dead deliveries due again; give how many.

        What dies while this runs is not meant: a webhook that kills what it gets at once would be redriven for ever.
        With a `limit` it ends after about as many, and gives whether there are `more` and, to go on with, `until`.
        """
        if change.webhook is not None:
            await self._expect_known(change.webhook)
        until = self._lent.now() + 1
        change = replace(change, until=until if change.until is None else min(change.until, until))
        total = 0
        while True:
            revised = await self._lent.store.revise(change, CHUNK, self._lent.now())
            if revised.refused is not None:
                raise ControlRefused(409, revised.refused)
            total += revised.changed
            if revised.done or (limit is not None and total >= limit):
                self._lent.wake()
                more = {} if limit is None else {"more": not revised.done, "until": change.until}
                return {"redriven": total, **more}

    async def test(self, name: str, written: bytes | None) -> dict[str, object]:
        """Send one event to one webhook, past triggers, filters and holds; give the request and the response.

        `written` is the event as a producer would write it; None: the webhook's `test_event`.
        """
        lent = self._lent
        webhook = self._webhook(name)
        event_id = lent.new_id()
        if written is None:
            if webhook.test_event is None:
                raise ControlRefused(422, f"webhook `{name}` has no test_event: name an event with --type and --data")
            written = write_test_event(webhook.test_event, event_id)
        event = build_test(lent.current_config(), webhook, written, now=lent.now(), event_id=event_id)
        if isinstance(event, Refusal):
            where = f" at {event.path}" if event.path else ""
            raise ControlRefused(422, f"the test event is refused: {event.code}{where}: {event.told}")
        if isinstance(event, str):
            raise ControlRefused(422, event)
        result = await lent.attempt(webhook, event)
        row = AttemptRow(
            seq=0,
            webhook=name,
            delivery_id=result.claim.delivery_id,
            event_id=event.id,
            event_type=event.type,
            tenant=event.tenant,
            attempt=result.attempt,
            state=State.DELIVERED if result.attempt.outcome == "delivered" else State.DEAD,
            next_attempt_at=None,
        )
        described = describe_attempt(row)
        del described["seq"]
        if result.exchange is not None:
            described.update(describe_exchange(result.exchange))
        if result.phases is not None:
            described["phases"] = describe_phases(result.phases)
        return described


async def _by_turns(rows: Iterable[T]) -> AsyncIterator[T]:
    """Give rows one by one, and others their turn between: ten thousand take a tenth of a second to describe."""
    for number, row in enumerate(rows):
        if number % TURN == TURN - 1:
            await trio.lowlevel.checkpoint()
        yield row


def _is_over(row: Mapping[str, object]) -> bool:
    """Whether a webhook is gone from the config with nothing left that a person could do about it."""
    return row["state"] == "missing" and not row["pending"] and not row["dead"]


def _empty_backlog(name: str) -> BacklogRow:
    return BacklogRow(
        webhook=name,
        bound=True,
        pending=0,
        held=0,
        dead=0,
        delivered=0,
        oldest_pending_at=None,
        next_due_at=None,
        state=WebhookState(webhook=name),
    )
