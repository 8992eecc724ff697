"""What a store promises: eight verbs, each one transaction that the domain needs.

Rules that every store keeps and `tests/store/contract.py` checks:

1. `accept` returns after the events are on disk (fsync), never before. Everyone who waits shares one transaction
   and one fsync; a bad event in a batch fails alone.
2. A failure before the commit is a *no* (`Failed`, nothing happened). A failing commit or an I/O error is
   *unknown*: every waiter gets `StoreUnavailable`, the store takes no further call, `wait_failed` returns and the
   process ends. Ids make it safe to send again.
3. A delivery is claimed by one caller at a time. A claim lives in memory: after a crash it is pending again.
4. Webhooks are known by name above this line and by an integer key below it, so that a move is one row.
5. A delivery that is held is not handed out, not lost and does not age: its webhook is unbound (not in the files),
   held by its definition, suspended in its state, or the delivery itself was released with a cause to hold it.
6. With an order key, only the head of the key is due; recording it as delivered or dead makes the next one due in
   the same transaction. A head that is held or waiting blocks its key, and nothing else.
7. No verb is quadratic or unbounded: what can be large works in chunks of `limit` and says whether it is done.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Generic, Protocol, TypeAlias, TypeVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from hookd.core.model import (
        Cause,
        Claim,
        Event,
        Owed,
        Page,
        RefusalCode,
        Result,
        WebhookState,
    )
    from hookd.store.vitals import Vitals


class StoreUnavailable(Exception):  # noqa: N818  a fact, not an error class of a library
    """Whether the transaction happened is unknown, and the store is closed for good."""


class StoreLocked(Exception):  # noqa: N818  the same
    """Another process owns this state directory; the message says which."""


class StoreUnusable(Exception):  # noqa: N818  the same
    """The store cannot be opened, or cannot do what was asked; the message tells a person why."""


# --------------------------------------------------------------------------- accept


class Entry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An event to accept and whom it is owed to (none is fine: the event is kept, and may be replayed)."""

    event: Event
    owed: tuple[Owed, ...] = ()


class New(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Accepted. `claims` are those of its deliveries that may be attempted at once, already claimed.

    `overflowed` names the webhooks for which its delivery is dead at once, since their `max_pending` is reached.
    """

    claims: tuple[Claim, ...] = ()
    overflowed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The same event is already kept; nothing was written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """The key is already kept with other content; nothing was written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """Nothing was written for this event, for sure."""

    code: RefusalCode  # disk_low or store_failed
    message: str


EntryResult: TypeAlias = New | Seen | Conflict | Failed


# --------------------------------------------------------------------------- claim


@dataclass(frozen=True, slots=True, kw_only=True)
class Wants:
    """How many more deliveries the caller can hold: `total` in all, `each` per webhook, unless `but` says otherwise."""

    total: int
    each: int
    but: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """`next_due_at`: when a delivery that is not due yet (of any webhook that is not held) becomes due; None: never.

    A webhook that had due deliveries but no room in `wants` does not count: the caller knows when it has room.
    """

    claims: tuple[Claim, ...]
    next_due_at: int | None


# --------------------------------------------------------------------------- revise


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """What the store must know of a webhook's definition.

    When `fingerprint` differs from the one it had, its suspension and pause are lifted and its pending
    deliveries are due now. When `rules` (tenant and triggers) differs, deliveries held for
    `tenant_changed` or `trigger_off` are due again.
    """

    fingerprint: str
    rules: str
    held: bool = False  # inactive or paused


@dataclass(frozen=True, slots=True, kw_only=True)
class Bind:
    """The webhooks of the running config, all of them: one that is not named here is held.

    With `gone` it is what changed only: `webhooks` are new or others than before, those named in `gone` are no more.
    """

    webhooks: Mapping[str, Binding]
    gone: Collection[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveWebhook:
    """The backlog and state of `source` become those of `target`; a `target` with a backlog of its own refuses."""

    source: str
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspend:
    """Hold a webhook until it is resumed."""

    webhook: str
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """Lift suspension, pause and breaker, and make what is pending due now."""

    webhook: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Redrive:
    """Dead deliveries become pending and due, with a fresh schedule and the same ids. They are outside the order.

    A test (`once`) was asked for by a person who saw what became of it: it is not redriven.
    """

    webhook: str | None = None
    delivery_id: str | None = None
    since: int | None = None  # by when they died
    until: int | None = None
    tenant: str | None = None
    type: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """Kept events are owed to a webhook, for the first time or again: it has at most one delivery of each.

    `events` are the numbers that `queries.Kept` gave, each with the order key of a delivery that must be made. One
    that is delivered or dead becomes pending, as if redriven; one that is pending stays as it is. Events that are no
    longer kept, and tests, are passed over. It is one chunk, whatever `limit` says: done twice, it would send again
    what was delivered in between.
    """

    webhook: str
    events: tuple[tuple[int, str | None], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """Every pending delivery of a webhook is dead, with `cause`."""

    webhook: str
    cause: Cause


Change: TypeAlias = Bind | MoveWebhook | Suspend | Resume | Redrive | Replay | Kill


@dataclass(frozen=True, slots=True, kw_only=True)
class Revised:
    """How many rows this chunk changed, and whether it was the last."""

    changed: int
    done: bool
    refused: str | None = None  # why nothing was done at all


# --------------------------------------------------------------------------- read

Row_co = TypeVar("Row_co", covariant=True)
Row = TypeVar("Row")


class Query(Generic[Row_co]):
    """What to read; each query says what its rows are."""

    __slots__ = ()


# --------------------------------------------------------------------------- prune


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What may go: by age in milliseconds, and by the bytes of all events. An event with pending deliveries stays."""

    events_ms: int
    attempts_ms: int
    held_ms: int  # held this long: dead, cause held_too_long
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What one chunk removed, and whether there was no more."""

    events: int
    attempts: int
    killed: int
    done: bool


# --------------------------------------------------------------------------- the protocol


class Store(Protocol):
    """The durable outbox. Every verb may raise `StoreUnavailable`. `now` is milliseconds since the epoch."""

    async def accept(self, entries: Sequence[Entry], room: Mapping[str, int], now: int) -> Sequence[EntryResult]:
        """Write events and their deliveries; one result for each entry, in order.

        `room` says how many deliveries of a webhook may be claimed at once; a webhook with stored due deliveries,
        or one that is held, gets none. An `Owed` with `once` is always claimed, and never pending: it is a test that
        failed until it is recorded otherwise, so nobody sends it again after a crash. A webhook whose pending count
        has reached `max_pending` gets a delivery that is dead at once, cause `overflow`.
        """

    async def claim(self, wants: Wants, max_bytes: int, now: int) -> Claimed:
        """Claim due deliveries, oldest due first within a webhook, webhooks in turn; at most `max_bytes` of `data`."""

    async def record(self, results: Sequence[Result], states: Sequence[WebhookState], now: int) -> Sequence[Claim]:
        """Write what became of claims (attempt, exchange, verdict) and the webhooks' states; give the claims lost."""

    async def release(self, claims: Sequence[Claim], now: int, hold: Cause | None = None) -> None:
        """Give claims back unattempted, due as they were; with `hold`, each is held for that cause."""

    async def revise(self, change: Change, limit: int, now: int) -> Revised:
        """Do at most `limit` rows of a change; call again with the same change until it is done."""

    async def read(self, query: Query[Row], page: Page) -> Sequence[Row]:
        """Read a page from a snapshot of what was committed."""

    async def prune(self, policy: Policy, limit: int, now: int) -> Pruned:
        """Remove at most `limit` rows that the policy lets go, oldest first."""

    async def backup(self, path: str) -> None:
        """Write a consistent, fsynced copy while running."""

    def busy_s(self) -> float:
        """Give for how many seconds what is being written has been at it; 0: nothing is."""

    def trouble(self) -> str:
        """Give what keeps it from taking events (a full disk), for people; empty: nothing does."""

    async def vitals(self) -> Vitals:
        """Give how the store itself does."""

    async def wait_failed(self) -> str:
        """Return, with the reason, when the store became unavailable; never return otherwise."""
