"""One attempt of a claim, from the question whether it may go out to what is to be recorded.

Rules of this module:

1. Attempt and verdict use one config snapshot, taken when the attempt starts. A reload meanwhile neither cancels the
   request nor judges its answer.
2. Whether the delivery may go out at all is asked now, not when it was accepted: its webhook must be there and not be
   held, its event's tenant must be allowed, its trigger must be on. A test (`once`) is asked for its tenant only: it is
   sent past triggers and holds, but never to somebody else.
3. A mistake in our own code costs the delivery an attempt, cause `internal`, and nobody else anything. The log tells
   where; nothing of the exception's text goes anywhere, since it may quote a payload.
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Final, TypeAlias

import structlog
import trio

from hookd.core.model import Cause, NoResponse, RetryAt
from hookd.core.retry import DELIVERED, decide
from hookd.core.routing import tenant_allows, trigger_for
from hookd.delivery.health import succeeded
from hookd.delivery.recorder import Finished
from hookd.delivery.request import Preparation, build_request

if TYPE_CHECKING:
    from collections.abc import Callable

    from hookd.config.references import Secrets
    from hookd.core.config import Config, Webhook
    from hookd.core.model import Claim, Outcome, Verdict
    from hookd.delivery.lane import Lane
    from hookd.delivery.request import Prepared
    from hookd.delivery.sender import Request, Sender

#: Types may be made up by producers: what a lane remembers of them is bounded.
TYPES_REMEMBERED: Final = 1024

log = structlog.get_logger()


class Withheld:
    """Why a claim is not attempted: given back, and held for `hold` if that is said."""

    __slots__ = ("hold", "reason")

    def __init__(self, reason: str, hold: Cause | None = None) -> None:
        self.reason = reason
        self.hold = hold


GONE: Final = Withheld("there is no such webhook")
HELD: Final = Withheld("the webhook is paused or inactive")
TENANT: Final = Withheld("the webhook does not take events of this tenant", Cause.TENANT_CHANGED)
TRIGGER: Final = Withheld("the webhook does not listen to this event type", Cause.TRIGGER_OFF)

Attempted: TypeAlias = "Finished | Withheld"


class Attempter:
    """Makes attempts. State: the revision's text, of the config that was used last."""

    def __init__(
        self,
        *,
        sender: Sender,
        current_config: Callable[[], Config],
        secrets: Secrets,
        now: Callable[[], int],
        ahead: Callable[[], int],
        random: Callable[[], float],
    ) -> None:
        """`ahead`: by how many milliseconds due times are ahead of `now`; `random` is uniform in [0, 1)."""
        self._sender = sender
        self._current_config = current_config
        self._secrets = secrets
        self._now = now
        self._ahead = ahead
        self._random = random
        self._config: Config | None = None
        self._revision = ""

    async def attempt(self, lane: Lane, claim: Claim) -> Attempted:
        """Send a claim and judge what comes back. Always a checkpoint."""
        config = self._current_config()
        if config is not self._config:
            self._config, self._revision = config, str(config.revision)
        revision = self._revision
        webhook = config.webhooks.get(claim.webhook)
        if webhook is None:
            await trio.lowlevel.checkpoint()
            return GONE
        started_at = self._now()
        started = perf_counter()
        duration_ms: float | None = None
        prepared: Prepared | None = None
        request: Request | None = None
        outcome: Outcome
        try:
            withheld = _withheld(lane, claim, webhook)
            if withheld is not None:
                await trio.lowlevel.checkpoint()
                return withheld
            prepared, built = self._build(lane, claim, webhook, started_at)
            if isinstance(built, NoResponse):
                outcome = built
                await trio.lowlevel.checkpoint()
            else:
                request = built
                sent = await self._sender.send(request, webhook.timeout)
                outcome, duration_ms = sent.outcome, sent.duration_ms
        except Exception as error:  # a mistake of ours must not take the lane down
            log.exception("attempt.failed", webhook=claim.webhook, delivery_id=claim.delivery_id)
            outcome = NoResponse(
                cause=Cause.INTERNAL, detail=f"a mistake in hookd: {type(error).__name__}", sent=request is not None
            )
            await trio.lowlevel.checkpoint()
        if duration_ms is None:
            duration_ms = (perf_counter() - started) * 1000.0
        return Finished(
            claim=claim,
            outcome=outcome,
            verdict=DELIVERED if succeeded(outcome) else self._judge(webhook, claim, outcome),
            started_at=started_at,
            duration_ms=duration_ms,
            webhook=webhook,
            revision=revision,
            prepared=prepared,
            request=request,
        )

    def _judge(self, webhook: Webhook, claim: Claim, outcome: Outcome) -> Verdict:
        verdict = decide(
            webhook.retry,
            claim.attempts + 1,
            outcome,
            aging_since=claim.aging_since,
            once=claim.once,
            now=self._now(),
            jitter=2.0 * self._random() - 1.0,
        )
        ahead = self._ahead()
        if ahead and isinstance(verdict, RetryAt):
            verdict = RetryAt(due_at=verdict.due_at + ahead)
        return verdict

    def _build(
        self, lane: Lane, claim: Claim, webhook: Webhook, now: int
    ) -> tuple[Prepared | None, Request | NoResponse]:
        preparation = lane.preparation
        if preparation is None or preparation.webhook is not webhook:
            preparation = lane.preparation = Preparation(webhook)
        prepared = preparation.current(self._secrets)
        if isinstance(prepared, NoResponse):
            return None, prepared
        return prepared, build_request(prepared, claim, timestamp=now // 1000)


def _withheld(lane: Lane, claim: Claim, webhook: Webhook) -> Withheld | None:
    event = claim.event
    if not tenant_allows(webhook, event.tenant):
        return TENANT
    if claim.once:
        return None
    if webhook.held:
        return HELD
    return None if _listens(lane, webhook, event.type) else TRIGGER


def _listens(lane: Lane, webhook: Webhook, event_type: str) -> bool:
    if lane.triggers_of is not webhook:
        lane.triggers_of = webhook
        lane.triggers = {}
    listens = lane.triggers.get(event_type)
    if listens is None:
        trigger = trigger_for(webhook, event_type)
        listens = trigger is not None and trigger.active
        if len(lane.triggers) >= TYPES_REMEMBERED:
            lane.triggers.clear()
        lane.triggers[event_type] = listens
    return listens
