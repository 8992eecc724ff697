"""The states of webhooks in memory: suspended, paused, failing since when.

Rules of this module:

1. Memory leads and the store follows: a state is changed here first, then written. Whatever is recorded after that
   carries the new state, so a late record cannot undo what a person decided.
2. Only states that say something are kept; a webhook that never failed has none but its last success.
3. An outcome under a definition that is no longer the current one teaches nothing: the fault may be mended.
4. A changed fingerprint lifts suspension, pause and breaker, as the store does when it is bound. The blank state is
   written once more, since a record may have come between.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import structlog

from hookd.core.model import Page, WebhookState
from hookd.delivery.health import FOREVER, closed_for, learn
from hookd.store.base import Backlog, Resume, Suspend

if TYPE_CHECKING:
    from collections.abc import Callable

    from hookd.core.config import Config, Webhook
    from hookd.core.model import Outcome
    from hookd.store.base import Change, Store

#: One page holds every webhook: backlogs have no row number to go on from.
EVERYTHING: Final = Page(limit=1_000_000)
#: Rows of one chunk of a change.
CHUNK: Final = 1000

log = structlog.get_logger()


class Watch:
    """Keeps the states. `write` takes one that the store is to keep; `states` is read by the lanes' gates."""

    def __init__(
        self,
        store: Store,
        current_config: Callable[[], Config],
        *,
        now: Callable[[], int],
        write: Callable[[WebhookState], None],
    ) -> None:
        self._store = store
        self._current_config = current_config
        self._config = current_config()
        self._now = now
        self._write = write
        self.states: dict[str, WebhookState] = {}

    async def load(self) -> None:
        """Read what the store knows. Raises `StoreUnavailable`."""
        self._config = self._current_config()
        for row in await self._store.read(Backlog(), EVERYTHING):
            if row.state != WebhookState(webhook=row.webhook):
                self.states[row.webhook] = row.state

    def learn(self, webhook: Webhook, outcome: Outcome) -> bool:
        """Take what an outcome teaches; tell whether the webhook's gates may have closed."""
        current = self._config.webhooks.get(webhook.id)
        if current is not webhook and (current is None or current.fingerprint != webhook.fingerprint):
            return False
        before = self.states.get(webhook.id)
        if before is None:
            before = WebhookState(webhook=webhook.id)
        now = self._now()
        after = learn(webhook, before, outcome, now)
        if after is before:
            return False
        self.states[webhook.id] = after
        self._write(after)
        if after.suspended_at is not None and before.suspended_at is None:
            log.warning("webhook.suspended", webhook=webhook.id, cause=after.suspended_cause)
        return closed_for(after, now) > closed_for(before, now)

    def adopt(self) -> None:
        """Go over to the current config: states of what was redefined are blank, those of what was moved go along."""
        before, after = self._config, self._current_config()
        self._config = after
        for move in after.moved:
            state = self.states.pop(move.source, None)
            if state is not None:
                self.states.setdefault(move.target, replace(state, webhook=move.target))
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
        await self._revise(Suspend(webhook=webhook, cause=cause))
        log.warning("webhook.suspended", webhook=webhook, cause=cause)

    async def resume(self, webhook: str) -> None:
        """Resume by hand."""
        self._lift(webhook)
        await self._revise(Resume(webhook=webhook))

    def _lift(self, webhook: str) -> None:
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

    async def _revise(self, change: Change) -> None:
        while not (await self._store.revise(change, CHUNK, self._now())).done:
            pass
