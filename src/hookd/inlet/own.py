"""hookd's own events: what befell webhooks and the config, for the webhooks that name these types.

Rules of this module:

1. They take the road of any event: routed by the running config, stored, delivered. Where nobody listens, nothing is
   made. What they hold stands in `schemas/hookd/`: ids, types, causes, counts, and texts masked as in the log; never a
   payload.
2. An event about a webhook has the webhook's tenant; one about a webhook of every tenant, or about the config, has
   none. So a tenant's webhook hears of its own alone, and who is to hear all says `tenant: "*"`.
3. The death of a delivery of an own event is not told, nor that of a test: what tells must not feed itself. That a
   webhook was suspended is told whatever it failed at, since that ends its attempts: once, until somebody resumes it.
4. At most `PER_SECOND` are made. Deaths wait by webhook for their turn, and are one event then: how many, of which
   causes, and the first `MOST_NAMED` of them. So a storm of deaths costs neither deliveries nor memory.
5. Until it is stored an own event is in memory, mostly for no longer than a second. A crash loses it; the log has it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec
import trio

from hookd.core.instants import format_instant
from hookd.core.model import Dead, Event
from hookd.core.routing import EVERY_TENANT, OWN
from hookd.core.wire import Incoming
from hookd.logs import encode_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from hookd.core.config import Config
    from hookd.core.model import Result, WebhookState
    from hookd.inlet.intake import Intake

SUSPENDED: Final = OWN + "webhook.suspended"
RESUMED: Final = OWN + "webhook.resumed"
DEAD: Final = OWN + "delivery.dead"
REJECTED: Final = OWN + "config.rejected"

#: Enough for a person or a dashboard, and nothing beside the thousands of deliveries a second that may die.
PER_SECOND: Final = 10
#: Deliveries that one event about deaths names.
MOST_NAMED: Final = 10
#: Problems of a config that one event names.
MOST_PROBLEMS: Final = 20

_decode: Final = msgspec.json.Decoder().decode


@dataclass(slots=True)
class _Deaths:
    """What died of a webhook since it was told last."""

    first_at: int
    last_at: int
    causes: Counter[str] = field(default_factory=Counter)
    named: list[dict[str, object]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Fact:
    at: int
    data: Mapping[str, object]


class OwnEvents:
    """Gathers what is to be told, and has it stored by the intake. State: what waits, by type and webhook."""

    def __init__(
        self, *, current_config: Callable[[], Config], now: Callable[[], int], new_id: Callable[[], str]
    ) -> None:
        self._current_config = current_config
        self._now = now
        self._new_id = new_id
        self._facts: dict[tuple[str, str | None], _Fact] = {}
        self._deaths: dict[str, _Deaths] = {}
        self._work = trio.Event()

    # ----------------------------------------------------------------- what happens

    def suspended(self, state: WebhookState) -> None:
        """Tell that a webhook was suspended; `state` is how it stands since."""
        data = {
            "webhook": state.webhook,
            "cause": state.suspended_cause,
            "suspended_at": _instant(state.suspended_at),
            "failing_since": _instant(state.failing_since),
            "failures": state.failures,
            "last_error": state.last_error,
            "last_success_at": _instant(state.last_success_at),
        }
        self._add(SUSPENDED, state.webhook, data)

    def resumed(self, state: WebhookState) -> None:
        """Tell that a suspension was lifted; `state` is how the webhook stood before."""
        data = {
            "webhook": state.webhook,
            "resumed_at": _instant(self._now()),
            "suspended_at": _instant(state.suspended_at),
            "suspended_cause": state.suspended_cause,
        }
        self._add(RESUMED, state.webhook, data)

    def died(self, results: Sequence[Result]) -> None:
        """Tell of the deliveries among these that are dead now."""
        for result in results:
            claim, verdict = result.claim, result.verdict
            if isinstance(verdict, Dead) and not claim.once and not claim.event.type.startswith(OWN):
                self._add_death(result, verdict)

    def rejected(self, revision: str, problems: Sequence[Mapping[str, object]]) -> None:
        """Tell that the files were refused; `revision` runs on. A problem is as in the log."""
        data = {"revision": revision, "count": len(problems), "problems": list(problems[:MOST_PROBLEMS])}
        self._add(REJECTED, None, data)

    def _add(self, kind: str, webhook: str | None, data: Mapping[str, object]) -> None:
        self._facts.pop((kind, webhook), None)  # the latest of a kind stands for all, in the order of what happened
        self._facts[kind, webhook] = _Fact(self._now(), data)
        self._work.set()

    def _add_death(self, result: Result, verdict: Dead) -> None:
        claim, attempt, now = result.claim, result.attempt, self._now()
        deaths = self._deaths.get(claim.webhook)
        if deaths is None:
            deaths = self._deaths[claim.webhook] = _Deaths(now, now)
            self._work.set()
        deaths.last_at = now
        deaths.causes[verdict.cause.value] += 1
        if len(deaths.named) < MOST_NAMED:
            event = claim.event
            deaths.named.append(
                {
                    "delivery_id": claim.delivery_id,
                    "event_id": event.id,
                    "event_type": event.type,
                    "tenant": event.tenant,
                    "attempts": attempt.number,
                    "cause": verdict.cause.value,
                    "last_cause": None if attempt.cause is None else attempt.cause.value,
                    "last_status": attempt.status,
                    "url": attempt.url,
                }
            )

    # ----------------------------------------------------------------- telling it

    async def serve(self, intake: Intake) -> None:
        """Tell, at the rate that is allowed, until cancelled."""
        while True:
            await self._work.wait()
            self._work = trio.Event()
            while self._facts or self._deaths:
                made = self._make()
                if made:
                    await intake.offer(made, inlet="own")
                    await trio.sleep(1.0)

    def _make(self) -> list[Incoming]:
        """Give the events of one second; what nobody listens to is dropped."""
        config = self._current_config()
        made: list[Incoming] = []
        while len(made) < PER_SECOND:
            if self._facts:
                kind, webhook = next(iter(self._facts))
                fact = self._facts.pop((kind, webhook))
                at, data = fact.at, fact.data
            elif self._deaths:
                kind, webhook = DEAD, next(iter(self._deaths))
                deaths = self._deaths.pop(webhook)
                at, data = deaths.last_at, _describe_deaths(webhook, deaths)
            else:
                break
            tenant = _tenant_of(config, webhook)
            if config.index.routes_for(kind, tenant):
                made.append(self._event(kind, webhook, tenant, at, data))
        return made

    def _event(
        self, kind: str, webhook: str | None, tenant: str | None, at: int, data: Mapping[str, object]
    ) -> Incoming:
        encoded = encode_json(data)
        event = Event(
            id=self._new_id(),
            type=kind,
            source="hookd",
            subject=webhook,
            time=format_instant(at),
            tenant=tenant,
            data=encoded,
            accepted_at=self._now(),
        )
        return Incoming(event=event, data=_decode(encoded))


def _tenant_of(config: Config, webhook: str | None) -> str | None:
    found = None if webhook is None else config.webhooks.get(webhook)
    return None if found is None or found.tenant == EVERY_TENANT else found.tenant


def _describe_deaths(webhook: str, deaths: _Deaths) -> dict[str, object]:
    return {
        "webhook": webhook,
        "count": deaths.causes.total(),
        "causes": dict(deaths.causes),
        "first_at": _instant(deaths.first_at),
        "last_at": _instant(deaths.last_at),
        "deliveries": deaths.named,
    }


def _instant(instant: int | None) -> str | None:
    return None if instant is None else format_instant(instant)
