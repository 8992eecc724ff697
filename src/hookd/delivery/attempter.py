"""One attempt of a claim, from the question whether it may go out to what is to be recorded.

Rules of this module:

1. Attempt and verdict use one config snapshot, taken when the attempt begins. A reload meanwhile neither cancels the
   request nor judges its answer.
2. Whether the delivery may go out at all is asked now, not when it was accepted: its webhook must be there and not be
   held, its event's tenant must be allowed, its trigger must be on. A test (`once`) is asked for its tenant only: it is
   sent past triggers and holds, but never to somebody else.
3. What can be sent at once is started, and nobody waits for it (`start`, then `finish`). All else, whatever fails
   before it is sent included, is waited for by a task (`attempt`).
4. A mistake in our own code costs the delivery an attempt, cause `internal`, and nobody else anything. The log tells
   where; nothing of the exception's text goes anywhere, since it may quote a payload.
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec
import structlog
import trio

from hookd.core.model import Cause, NoResponse, RetryAt
from hookd.core.retry import DELIVERED, decide, succeeded
from hookd.core.routing import tenant_allows, trigger_for
from hookd.delivery.recorder import Finished
from hookd.delivery.request import Preparation, build_request

if TYPE_CHECKING:
    from collections.abc import Callable

    from hookd.config.references import Secrets
    from hookd.core.config import Config, Webhook
    from hookd.core.model import Claim, Outcome, Phases, Verdict
    from hookd.delivery.lane import Lane
    from hookd.delivery.request import Prepared
    from hookd.delivery.sender import Flight, Request, Sender

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


class Begun(msgspec.Struct, eq=False):
    """An attempt that has begun: `request` is to be sent, or `failure` says why there is none."""

    lane: Lane
    claim: Claim
    webhook: Webhook
    revision: str
    started_at: int
    prepared: Prepared | None = None
    request: Request | None = None
    failure: NoResponse | None = None


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

    def begin(self, lane: Lane, claim: Claim) -> Begun | Withheld:
        """Make the request of a claim, or say why it must not be made."""
        config = self._current_config()
        if config is not self._config:
            self._config, self._revision = config, str(config.revision)
        webhook = config.webhooks.get(claim.webhook)
        if webhook is None:
            return GONE
        begun = Begun(lane, claim, webhook, self._revision, self._now())
        try:
            withheld = _withheld(lane, claim, webhook)
            if withheld is not None:
                return withheld
            preparation = lane.preparation
            if preparation is None or preparation.webhook is not webhook:
                preparation = lane.preparation = Preparation(webhook)
            prepared = preparation.current(self._secrets)
            if isinstance(prepared, NoResponse):
                begun.failure = prepared
                return begun
            begun.prepared = prepared
            built = build_request(prepared, claim, timestamp=begun.started_at // 1000)
            if isinstance(built, NoResponse):
                begun.failure = built
            else:
                begun.request = built
        except Exception as error:  # noqa: BLE001  a mistake of ours must not take the lane down
            begun.failure = _tell_mistake(claim, error, sent=False)
        return begun

    def start(self, begun: Begun, landed: Callable[[Flight], None]) -> Flight | None:
        """Send a request without waiting, if that can be done; None: it is to be waited for (`attempt`)."""
        request = begun.request
        if request is None:
            return None
        try:
            return self._sender.start(request, begun.webhook.timeout, landed)
        except Exception as error:  # noqa: BLE001  the same
            begun.failure = _tell_mistake(begun.claim, error, sent=True)
            return None

    async def attempt(self, lane: Lane, claim: Claim, begun: Begun | None = None) -> Attempted:
        """Send a claim and judge what comes back. Always a checkpoint. `begun`: a moment ago."""
        started = perf_counter()
        made = self.begin(lane, claim) if begun is None else begun
        if isinstance(made, Withheld):
            await trio.lowlevel.checkpoint()
            return made
        if made.failure is None and made.request is not None:
            try:
                sent = await self._sender.send(made.request, made.webhook.timeout)
            except Exception as error:  # noqa: BLE001  the same
                made.failure = _tell_mistake(claim, error, sent=True)
            else:
                return self.finish(made, sent.outcome, sent.duration_ms, sent.phases)
        await trio.lowlevel.checkpoint()
        if made.failure is None:
            raise AssertionError("an attempt has neither a request nor a failure")
        return self.finish(made, made.failure, (perf_counter() - started) * 1000.0)

    def finish(self, begun: Begun, outcome: Outcome, duration_ms: float, phases: Phases | None = None) -> Finished:
        """Judge an outcome, and give what is to be recorded."""
        webhook, claim = begun.webhook, begun.claim
        return Finished(
            claim=claim,
            outcome=outcome,
            verdict=DELIVERED if succeeded(outcome) else self._judge(webhook, claim, outcome),
            started_at=begun.started_at,
            duration_ms=duration_ms,
            phases=phases,
            webhook=webhook,
            revision=begun.revision,
            prepared=begun.prepared,
            request=begun.request,
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


def _tell_mistake(claim: Claim, error: Exception, *, sent: bool) -> NoResponse:
    log.error("attempt.failed", webhook=claim.webhook, delivery_id=claim.delivery_id, exc_info=error)
    return NoResponse(cause=Cause.INTERNAL, detail=f"a mistake in hookd: {type(error).__name__}", sent=sent)


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
