"""What people ask before they change what is kept: the events that a replay may take, the dead that a redrive would.

Rule: to look costs the writer nothing, so a dry run is a question to a reader and never a change that holds back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hookd.store.base import Query

if TYPE_CHECKING:
    from hookd.core.model import Event, State
    from hookd.store.base import Redrive

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
