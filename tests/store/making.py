"""Short ways to say what the tests of the stores are about."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from hookd.core.model import Attempt, Cause, Delivered, Event, Exchange, NoResponse, Owed, Page, Result, RetryAt
from hookd.store.base import Bind, Binding, Entry, Wants
from hookd.store.queries import Attempts, Backlog, Deliveries

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hookd.core.model import Claim, Verdict
    from hookd.store.base import Change, EntryResult, New, Store
    from hookd.store.queries import AttemptRow, BacklogRow, DeliveryRow

NOW = 1_700_000_000_000
DAY = 86_400_000
ROOM = {"a": 1000, "b": 1000, "c": 1000}
NO_ROOM: dict[str, int] = {}
ALL = Page(limit=10_000)


def make_event(
    event_id: str,
    *,
    data: bytes = b'{"n":1}',
    tenant: str | None = None,
    source: str | None = None,
    kind: str = "user.updated",
    at: int = NOW,
) -> Event:
    """Give an event as the inlet would."""
    digest = hashlib.sha256(repr((event_id, data, tenant, source, kind)).encode()).digest()
    return Event(id=event_id, type=kind, tenant=tenant, source=source, data=data, accepted_at=at, digest=digest)


def owe(event: str | Event, *webhooks: str, key: str | None = None, max_pending: int = 0, once: bool = False) -> Entry:
    """Give an event that is owed to webhooks, all on the same terms."""
    owed = tuple(Owed(webhook=name, order_key=key, max_pending=max_pending, once=once) for name in webhooks)
    return Entry(event=make_event(event) if isinstance(event, str) else event, owed=owed)


def bindings(*names: str, fingerprint: str = "f", rules: str = "r", held: Iterable[str] = ()) -> Bind:
    """Give a binding of webhooks with equal definitions."""
    return Bind(
        webhooks={name: Binding(fingerprint=fingerprint, rules=rules, held=name in set(held)) for name in names}
    )


async def revise(store: Store, change: Change, *, now: int = NOW, limit: int = 1000) -> int:
    """Do a whole change; give how many rows it changed."""
    changed = 0
    while True:
        revised = await store.revise(change, limit, now)
        assert revised.refused is None, revised.refused
        assert revised.changed <= limit
        changed += revised.changed
        if revised.done:
            return changed


async def bind(store: Store, *names: str, now: int = NOW, fingerprint: str = "f", held: Iterable[str] = ()) -> None:
    """Bind webhooks, and only these."""
    await revise(store, bindings(*names, fingerprint=fingerprint, held=held), now=now)


async def accept_one(store: Store, entry: Entry, *, room: dict[str, int] | None = None, now: int = NOW) -> EntryResult:
    """Accept one event; with room for its deliveries unless said otherwise."""
    [result] = await store.accept([entry], ROOM if room is None else room, now)
    return result


async def accept_stored(store: Store, *entries: Entry, now: int = NOW) -> None:
    """Accept events whose deliveries stay stored."""
    for result in await store.accept(entries, NO_ROOM, now):
        assert claims_of(result) == ()


def claims_of(result: EntryResult) -> tuple[Claim, ...]:
    """Give the claims of an event that must be new."""
    new: New = result  # type: ignore[assignment]  # the assertion is the point
    return new.claims


async def claim(store: Store, total: int = 1000, each: int = 1000, *, now: int = NOW, **but: int) -> Sequence[Claim]:
    """Claim what is due."""
    return (await store.claim(Wants(total=total, each=each, but=but), 1 << 30, now)).claims


def ids(claims: Iterable[Claim]) -> list[str]:
    """Give the events of claims, in order."""
    return [one.event.id for one in claims]


def result_of(one: Claim, verdict: Verdict | None = None, *, at: int = NOW, exchange: Exchange | None = None) -> Result:
    """Give what became of a claim: delivered unless said otherwise."""
    verdict = Delivered() if verdict is None else verdict
    good = isinstance(verdict, Delivered)
    return Result(
        claim=one,
        attempt=Attempt(
            number=one.attempts + 1,
            started_at=at,
            duration_ms=12.5,
            outcome="delivered" if good else "rejected",
            cause=None if good else Cause.STATUS,
            detail=None if good else "the receiver said no",
            status=200 if good else 500,
            url="https://example.com/hooks",
            revision="abc",
            excerpt=b"" if good else b"\xff\x00oops",
        ),
        verdict=verdict,
        exchange=exchange,
    )


def make_exchange(n: int) -> Exchange:
    """Give an exchange that tells its number."""
    return Exchange(
        method="POST",
        url="https://example.com/",
        request_headers=(("webhook-id", f"dlv_{n}"),),
        request_body=b"\x00\xff%d" % n,
        response_status=200,
        response_headers=(("server", "x"),),
        response_body=b"",
    )


async def record(store: Store, claims: Iterable[Claim], verdict: Verdict | None = None, *, now: int = NOW) -> None:
    """Record the same verdict for claims that are held."""
    assert await store.record([result_of(one, verdict, at=now) for one in claims], [], now) == []


async def fail(store: Store, claims: Iterable[Claim], due_at: int, *, now: int = NOW) -> None:
    """Record a failure that is tried again at `due_at`."""
    await record(store, claims, RetryAt(due_at=due_at), now=now)


async def backlog(store: Store, webhook: str = "a") -> BacklogRow:
    """Give how a webhook stands."""
    [row] = await store.read(Backlog(webhook=webhook), ALL)
    return row


async def deliveries(store: Store, query: Deliveries | None = None) -> Sequence[DeliveryRow]:
    """Give deliveries, all of them unless said otherwise."""
    return await store.read(query or Deliveries(), ALL)


async def attempts(store: Store, query: Attempts | None = None) -> Sequence[AttemptRow]:
    """Give the request log."""
    return await store.read(query or Attempts(), ALL)


def no_response(cause: Cause = Cause.TIMEOUT) -> NoResponse:
    """Give a failure of the network."""
    return NoResponse(cause=cause, detail="nothing came", sent=True)
