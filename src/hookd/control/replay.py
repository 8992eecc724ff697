"""Replaying kept events to a webhook, a slice at a time, so that whoever asks can show how far it is.

Rules of this module:

1. The running config decides, for each event anew: the webhook's tenant, its triggers and its filter, as when an event
   is accepted. There is no way past them: at its attempt a delivery would be held for its tenant or trigger anyhow.
2. What `Replay` does is the store's: at most one delivery of an event, and what ended begins anew under its own id.
   Its bound (`max_pending`) does not hold here, as it does not for a redrive: somebody asks for this backlog.
3. A slice ends after `SLICE_S` seconds and says where to go on. Nothing of a replay is kept here: it ends when nobody
   asks for the next slice.
4. A type that ends with `*` is a pattern, as in `events`. The store knows types only, so it is asked for all of them.
5. Events accepted after its first slice began are not a replay's: they were routed already.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import trio

from hookd.core.model import Page, State
from hookd.core.paths import ABSENT
from hookd.core.routing import build_index, pattern_takes, route
from hookd.core.strictjson import parse_json
from hookd.store.base import Replay

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hookd.core.config import Webhook
    from hookd.store.base import Store
    from hookd.store.queries import Kept, KeptRow

#: How long a slice takes: a person who watches sees it move.
SLICE_S: Final = 2.0
#: Events of one transaction: a few milliseconds of the writer, so that events flow between.
CHUNK: Final = 500
#: What is judged before others have their turn: a millisecond or two. An event without a filter to ask costs little.
TURN_BYTES: Final = 128 * 1024
EVENT_BYTES: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to replay. `after` goes on after an event, as the last slice said."""

    kept: Kept
    after: int | None = None
    dry_run: bool = False


@dataclass(slots=True)
class Tally:
    """What became of the events that were looked at: all but `replayed` are as they were found."""

    seen: int = 0
    new: int = 0  # owed for the first time
    again: int = 0  # delivered or dead
    pending: int = 0  # left alone
    unwanted: int = 0  # by its tenant, triggers or filter
    replayed: int = 0


async def replay_slice(
    store: Store, webhook: Callable[[], Webhook], wanted: Wanted, *, now: Callable[[], int]
) -> tuple[Tally, int | None, int]:
    """Replay for `SLICE_S` seconds; give the tally, what to go on after (None: it is done), and its `until`."""
    until = now() + 1 if wanted.kept.until is None else wanted.kept.until
    pattern = wanted.kept.type if (wanted.kept.type or "").endswith("*") else None
    kept = replace(wanted.kept, until=until, type=None if pattern else wanted.kept.type)
    tally, after = Tally(), wanted.after
    ends = trio.current_time() + SLICE_S
    while True:
        rows = await store.read(kept, Page(limit=CHUNK, after=after))
        if not rows:
            return tally, None, until
        asked = rows if pattern is None else [row for row in rows if pattern_takes(pattern, row.event.type)]
        events = await _choose(webhook(), asked, tally)
        if events and not wanted.dry_run:
            tally.replayed += (await store.revise(Replay(webhook=kept.webhook, events=events), CHUNK, now())).changed
        after = rows[-1].seq
        if trio.current_time() >= ends:
            return tally, after, until


async def _choose(webhook: Webhook, rows: Sequence[KeptRow], tally: Tally) -> tuple[tuple[int, str | None], ...]:
    """Give the events that the webhook is owed, with their order keys, and count what was found."""
    index = build_index([webhook])
    chosen: list[tuple[int, str | None]] = []
    left = TURN_BYTES
    for row in rows:
        event = row.event
        data: object = ABSENT
        left -= EVENT_BYTES
        if webhook.filter is not None and event.data is not None:
            left -= len(event.data)
            data = parse_json(event.data)
        if left <= 0:
            left = TURN_BYTES
            await trio.lowlevel.checkpoint()
        owed = route(index, event, data)
        tally.seen += 1
        if not owed:
            tally.unwanted += 1
        elif row.state is State.PENDING:
            tally.pending += 1
        else:
            chosen.append((row.seq, owed[0].order_key))
            tally.new += row.state is None
            tally.again += row.state is not None
    return tuple(chosen)
