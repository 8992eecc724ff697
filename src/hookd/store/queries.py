"""What can be asked of a store: each query is a value that says what its rows are.

Rule: to look costs the writer nothing. A dry run of a redrive or a replay is a question to a reader as well, and never
a change that holds back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from hookd.core.model import Page
from hookd.store.base import Query

if TYPE_CHECKING:
    from hookd.core.model import Attempt, Cause, Event, Exchange, State, WebhookState
    from hookd.store.base import Redrive


#: One page of every webhook: what is asked of webhooks has no row number to go on from.
EVERY_WEBHOOK: Final = Page(limit=1_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRow:
    """A line of the request log. `seq` orders the log and is what `Page.after` takes."""

    seq: int
    webhook: str
    delivery_id: str
    event_id: str
    event_type: str
    tenant: str | None
    attempt: Attempt
    state: State  # of the delivery, now
    next_attempt_at: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempts(Query[AttemptRow]):
    """The request log, newest first, or oldest first for following; `since` is inclusive, `until` exclusive."""

    webhook: str | None = None
    since: int | None = None
    until: int | None = None
    tenant: str | None = None
    type: str | None = None
    event_id: str | None = None
    order: Literal["newest", "oldest"] = "newest"


@dataclass(frozen=True, slots=True, kw_only=True)
class LastAttempted(Query[int]):
    """The latest instant at which any attempt of the log started, in ms since the epoch; no row: none is kept.

    That is what the wall clock showed once, and it may show less now.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeRow:
    """A whole exchange with the attempt that it belongs to."""

    row: AttemptRow
    exchange: Exchange


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchanges(Query[ExchangeRow]):
    """The last exchanges of a webhook (10 are kept), newest first."""

    webhook: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BacklogRow:
    """How a webhook stands. `held` counts those of `pending` that are held; `dead` leaves tests out."""

    webhook: str
    bound: bool
    pending: int
    held: int
    dead: int
    delivered: int
    oldest_pending_at: int | None  # acceptance of the oldest pending delivery's event
    next_due_at: int | None
    state: WebhookState


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog(Query[BacklogRow]):
    """All webhooks that the store knows, by name; or one."""

    webhook: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingRow:
    """A webhook about which there is something to say: it has a backlog, or its receiver is not well."""

    webhook: str
    pending: int
    held: int
    dead: int
    oldest_pending_at: int | None
    suspended_at: int | None
    paused_until: int | None
    open_until: int | None
    failing_since: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standings(Query[StandingRow]):
    """The webhooks about which there is something to say, by name: a few of ten thousand, to be asked often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRow:
    """A delivery as it stands."""

    seq: int
    delivery_id: str
    webhook: str
    event: Event
    state: State
    attempts: int
    due_at: int | None
    cause: Cause | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliveries(Query[DeliveryRow]):
    """Deliveries, oldest first."""

    webhook: str | None = None
    state: State | None = None
    event_id: str | None = None
    delivery_id: str | None = None


# --------------------------------------------------------------------------- before a change

#: The bytes of events after which a page of `Kept` ends: events may be of a megabyte each.
PAGE_BYTES: Final = 8 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptRow:
    """A kept event. `seq` is its number, for `Page.after` and `Replay`; `state` is of its delivery to the webhook."""

    seq: int
    event: Event
    state: State | None  # None: there is no such delivery


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept(Query[KeptRow]):
    """Kept events, in the order in which they were accepted, and what `webhook` has of each. Tests are left out.

    `since` (inclusive) and `until` (exclusive) are of acceptance. A page may end early, at `PAGE_BYTES`: only one that
    is empty is the last.
    """

    webhook: str
    since: int | None = None
    until: int | None = None
    tenant: str | None = None
    type: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadRow:
    """How many dead deliveries of a webhook a redrive would make pending: one at least."""

    webhook: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Redrivable(Query[DeadRow]):
    """What a redrive would change, by webhook, in the order of their names. The cost follows what is dead."""

    redrive: Redrive
