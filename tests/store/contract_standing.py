"""What every store promises of what is asked at each scrape: how webhooks stand, and how the store does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hookd.core.model import Cause, Dead, Page, WebhookState
from hookd.store.base import Suspend
from hookd.store.queries import Backlog, Standings
from tests.store.making import ALL, NOW, accept_one, accept_stored, bind, claims_of, make_event, owe, record, revise

if TYPE_CHECKING:
    from hookd.store.base import Store
    from hookd.store.queries import StandingRow


class StandingContract:
    """Of `Standings`, `vitals` and `busy_s`."""

    async def test_only_those_with_something_to_say(self, store: Store) -> None:
        await bind(store, *"abcdefg")
        await accept_stored(store, owe(make_event("1", at=NOW - 7), "a"), now=NOW - 7)
        [claim] = claims_of(await accept_one(store, owe("2", "b")))
        await record(store, [claim], Dead(cause=Cause.EXHAUSTED))
        await store.record(
            [],
            [
                WebhookState(webhook="c", failing_since=NOW, failures=1),
                WebhookState(webhook="d", paused_until=NOW + 5),
                WebhookState(webhook="e", open_until=NOW + 9, opened=1),
                WebhookState(webhook="f", last_success_at=NOW),
            ],
            NOW,
        )
        await revise(store, Suspend(webhook="a", cause="by hand"))
        rows = await store.read(Standings(), ALL)
        assert [row.webhook for row in rows] == ["a", "b", "c", "d", "e"]
        a, b, c, d, e = rows
        assert (a.pending, a.held, a.oldest_pending_at, a.suspended_at) == (1, 1, NOW - 7, NOW)
        assert (b.pending, b.dead, b.oldest_pending_at) == (0, 1, None)
        assert (c.failing_since, d.paused_until, e.open_until) == (NOW, NOW + 5, NOW + 9)
        assert await store.read(Standings(), Page(limit=2, after=3)) == [d, e]

    async def test_it_says_what_the_backlog_says(self, store: Store) -> None:
        await bind(store, "a", "b")
        for number in range(3):
            await accept_stored(store, owe(make_event(str(number), at=NOW + number), "a", "b"), now=NOW + number)
        told = {row.webhook: self._of(row) for row in await store.read(Standings(), ALL)}
        backlog = await store.read(Backlog(), ALL)
        assert told == {row.webhook: (row.pending, row.held, row.dead, row.oldest_pending_at) for row in backlog}

    def _of(self, row: StandingRow) -> tuple[int, int, int, int | None]:
        return (row.pending, row.held, row.dead, row.oldest_pending_at)

    async def test_a_store_at_rest_is_not_busy(self, store: Store) -> None:
        await bind(store, "a")
        vitals = await store.vitals()
        assert store.busy_s() == vitals.busy_s == 0
        assert sum(vitals.commits.counts) == sum(vitals.batches.counts)
