"""The states of webhooks in memory: suspended, paused, failing since when, breaker open until when.

Rules of this module:

1. Memory leads and the store follows: a state is changed here first, then written. Whatever is recorded after that
   carries the new state, so a late record cannot undo what a person decided.
2. Only states that say something are kept; a webhook that never failed has none but its last success.
3. An outcome under a definition that is no longer the current one teaches nothing: the fault may be mended.
4. A changed fingerprint lifts suspension, pause and breaker, as the store does when it is bound. The blank state is
   written once more, since a record may have come between.
5. A person reads of a failing webhook once (`TELL_AFTER` failures in a row), and once that it has recovered: what lies
   between are attempts, and each has its own line.
"""

from __future__ import annotations

from dataclasses import replace
from enum import IntEnum
from typing import TYPE_CHECKING, Final

import structlog
import trio

from hookd.core.breaker import CLOSED, Breaker, fails, weigh
from hookd.core.instants import format_instant
from hookd.core.model import Page, RetryAt, WebhookState
from hookd.core.retry import classify, succeeded
from hookd.delivery.health import FOREVER, closed_for, has_gates, learn
from hookd.delivery.news import NO_NEWS
from hookd.store.base import Resume, Suspend
from hookd.store.binding import revise_all
from hookd.store.queries import EVERY_WEBHOOK, Backlog, LastAttempted

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from hookd.core.config import Config, Move, Webhook
    from hookd.core.model import Outcome, Verdict
    from hookd.delivery.news import News
    from hookd.store.base import Store

#: A success of a webhook that something good was just learnt of teaches nothing for this long, in seconds.
CALM_S: Final = 1.0
#: The failure in a row that a person is told of: with the standard schedule it comes after half an hour.
TELL_AFTER: Final = 4

log = structlog.get_logger()


class Lesson(IntEnum):
    """What an outcome was good for."""

    NONE = 0  # it was made under another definition
    LEARNT = 1
    SHUT = 2  # the webhook's gates are closed for longer than before
    OPEN = 3  # they open sooner than before


class Watch:
    """Keeps the states. `write` takes one that the store is to keep; `states` is read by the lanes' gates."""

    def __init__(
        self,
        store: Store,
        current_config: Callable[[], Config],
        *,
        now: Callable[[], int],
        write: Callable[[WebhookState], None],
        random: Callable[[], float],
        news: News = NO_NEWS,
        clock: Callable[[], float] = trio.current_time,
    ) -> None:
        """`clock` is monotonic, in seconds; `random` is uniform in [0, 1)."""
        self._store = store
        self._current_config = current_config
        self._config = current_config()
        self._now = now
        self._clock = clock
        self._write = write
        self._random = random
        self._news = news
        self._calm: dict[str, tuple[Webhook, WebhookState, float]] = {}  # until when a success teaches nothing
        self._breakers: dict[str, Breaker] = {}  # of the webhooks that something is held against
        self._attempted_at = 0  # by another run, at last
        self.states: dict[str, WebhookState] = {}

    async def load(self) -> None:
        """Read what the store knows. Raises `StoreUnavailable`."""
        self._config = self._current_config()
        self._attempted_at = max(await self._store.read(LastAttempted(), Page(limit=1)), default=0)
        for row in await self._store.read(Backlog(), EVERY_WEBHOOK):
            if row.state != WebhookState(webhook=row.webhook):
                state = self.states[row.webhook] = row.state
                if state.opened or state.open_until is not None:
                    self._breakers[row.webhook] = Breaker(opened=state.opened, open_until=state.open_until)

    def learn(self, webhook: Webhook, outcome: Outcome, *, repeated: bool = False) -> Lesson:
        """Take what an outcome teaches. `repeated`: the delivery is the one whose failure closed the gate last."""
        calm = self._calm.get(webhook.id)
        if calm is not None and succeeded(outcome):
            known, state, until = calm
            if known is webhook and state is self.states.get(webhook.id) and self._clock() < until:
                return Lesson.LEARNT
        current = self._config.webhooks.get(webhook.id)
        if current is not webhook and (current is None or current.fingerprint != webhook.fingerprint):
            return Lesson.NONE
        now = self._now()
        before = self.states.get(webhook.id)
        if before is None:
            before = WebhookState(webhook=webhook.id)
        after = learn(webhook, before, outcome, now, self._weigh(webhook.id, outcome, now, repeated=repeated))
        if current is webhook and _is_calm(after) and webhook.id not in self._breakers and succeeded(outcome):
            self._calm[webhook.id] = webhook, after, self._clock() + CALM_S
        if after is before:
            return Lesson.LEARNT
        self.states[webhook.id] = after
        self._write(after)
        _tell(before, after, outcome)
        if after.suspended_at is not None and before.suspended_at is None:
            self._news.suspended(after)
        was, wait = closed_for(before, now), closed_for(after, now)
        return Lesson.LEARNT if wait == was else Lesson.SHUT if wait > was else Lesson.OPEN

    def plan(self, webhook: str, verdict: Verdict) -> Verdict:
        """Say in a verdict how long the webhook attempts nothing, as it now stands: for those who read of it."""
        if not isinstance(verdict, RetryAt):
            return verdict
        state = self.states.get(webhook)
        if state is None or not has_gates(state):
            return verdict
        now = self._now()
        wait = closed_for(state, now)
        return RetryAt(due_at=verdict.due_at, opens_at=None if wait == FOREVER else now + round(wait * 1000.0))

    def latest(self) -> int:
        """Give the latest instant at which, as far as is known, anything was attempted; 0: never."""
        learnt = (max(s.last_success_at or 0, s.failing_since or 0) for s in self.states.values())
        return max(self._attempted_at, max(learnt, default=0))

    def shift(self, milliseconds: int) -> None:
        """Let what waits wait on, and what fails not have failed for longer, since the clock has leapt forward."""
        for webhook, state in self.states.items():
            self.states[webhook] = replace(
                state,
                paused_until=_later(state.paused_until, milliseconds),
                failing_since=_later(state.failing_since, milliseconds),
                open_until=_later(state.open_until, milliseconds),
            )
        for webhook, breaker in self._breakers.items():
            self._breakers[webhook] = replace(breaker, open_until=_later(breaker.open_until, milliseconds))

    def adopt(self, not_moved: Collection[Move] = ()) -> None:
        """Go over to the current config: states of what was redefined are blank, those of what was moved go along.

        What was `not_moved`, though the config says so, keeps its own.
        """
        before, after = self._config, self._current_config()
        self._config = after
        self._calm.clear()
        for move in after.moved:
            if move in not_moved:
                continue
            state = self.states.pop(move.source, None)
            if state is not None:
                self.states.setdefault(move.target, replace(state, webhook=move.target))
            breaker = self._breakers.pop(move.source, None)
            if breaker is not None:
                self._breakers.setdefault(move.target, breaker)
        for webhook_id in list(self.states):
            webhook = after.webhooks.get(webhook_id)
            if webhook is None:
                continue
            old = before.webhooks.get(webhook_id)
            if old is not None and old.fingerprint != webhook.fingerprint:
                self._lift(webhook_id)

    async def suspend(self, webhook: str, cause: str) -> None:
        """Suspend by hand."""
        state = self.states.get(webhook) or WebhookState(webhook=webhook)
        self.states[webhook] = replace(state, suspended_at=self._now(), suspended_cause=cause)
        await revise_all(self._store, Suspend(webhook=webhook, cause=cause), self._now)
        log.warning("webhook.suspended", webhook=webhook, cause=cause)
        self._news.suspended(self.states[webhook])

    async def resume(self, webhook: str) -> None:
        """Resume by hand."""
        self._lift(webhook)
        await revise_all(self._store, Resume(webhook=webhook), self._now)

    def _weigh(self, webhook: str, outcome: Outcome, now: int, *, repeated: bool) -> Breaker:
        before = self._breakers.get(webhook, CLOSED)
        failed = fails(outcome)
        if failed is None or (before is CLOSED and not failed):
            return before
        after = weigh(before, failed=failed, now=now, repeated=repeated, jitter=2.0 * self._random() - 1.0)
        if after is CLOSED:
            self._breakers.pop(webhook, None)
        elif after is not before:
            self._breakers[webhook] = after
        return after

    def _lift(self, webhook: str) -> None:
        self._breakers.pop(webhook, None)
        state = self.states.get(webhook)
        if state is None:
            return
        blank = WebhookState(webhook=webhook, last_error=state.last_error, last_success_at=state.last_success_at)
        if state == blank:
            return
        self.states[webhook] = blank
        self._write(blank)
        if closed_for(state, self._now()) == FOREVER:
            log.info("webhook.resumed", webhook=webhook)
            self._news.resumed(state)


def _is_calm(state: WebhookState) -> bool:
    return state.failing_since is None and not state.failures and not state.opened and not has_gates(state)


def _later(instant: int | None, milliseconds: int) -> int | None:
    return None if instant is None else instant + milliseconds


def _tell(before: WebhookState, after: WebhookState, outcome: Outcome) -> None:
    """Tell the log what a person should know."""
    if after.failures == TELL_AFTER and after.failing_since is not None:
        log.warning(
            "webhook.failing",
            webhook=after.webhook,
            failures=after.failures,
            failing_since=format_instant(after.failing_since),
            cause=classify(outcome)[1],
        )
    elif before.failures >= TELL_AFTER and not after.failures and before.failing_since is not None:
        log.info(
            "webhook.recovered",
            webhook=after.webhook,
            failures=before.failures,
            failing_since=format_instant(before.failing_since),
        )
    if after.suspended_at is not None and before.suspended_at is None:
        log.warning("webhook.suspended", webhook=after.webhook, cause=after.suspended_cause)
