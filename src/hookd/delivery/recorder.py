"""What became of attempts goes to the store by the batch, and then to the log.

Rules of this module:

1. An attempt does not wait for its record: while one batch is being written the next one gathers, and when there is
   much to do a moment longer, unless somebody waits for a record (the next of an order, a test, a drain). What is
   unrecorded is bounded, in number and bytes; beyond it workers wait (`room`).
2. A state goes into the same transaction as the results that taught it, or an earlier one, and before the claims that
   it sends back: else the store would hand those out again.
3. Log lines are written after the record, so a line says what is on disk. A batch is one write.
4. Masked exchanges are built here, for as many of each webhook in a batch as are kept: nobody will see the others.
5. When the store is unavailable the recorder ends, and with it everything that waits. It logs nothing: the process
   ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import structlog
import trio

from hookd.core.addresses import host_of
from hookd.core.instants import format_instant
from hookd.core.model import EXCHANGES_KEPT, Attempt, Dead, Response, Result, RetryAt
from hookd.core.retry import DELIVERED, REDIRECTION, classify
from hookd.core.tracing import trace_ids
from hookd.delivery.mask import build_exchange
from hookd.delivery.request import url_of
from hookd.logs import AttemptLine
from hookd.store.base import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hookd.core.config import Webhook
    from hookd.core.model import Cause, Claim, Outcome, Phases, Verdict, WebhookState
    from hookd.delivery.request import Prepared
    from hookd.delivery.sender import Request
    from hookd.store.base import Store

UNRECORDED: Final = 4096
UNRECORDED_BYTES: Final = 16 * 1024 * 1024
#: Rows of one transaction: a longer one would keep the intake waiting for its commit.
BATCH: Final = 1000
#: After a batch of at least `BUSY` attempts the next one gathers for `GATHER_S`, or until it has `GATHERED`: a
#: transaction costs as much as a hundred rows, and no receiver waits for it.
BUSY: Final = 32
GATHERED: Final = 400
GATHER_S: Final = 0.02

log = structlog.get_logger()


class Finished(msgspec.Struct, kw_only=True, eq=False):
    """An attempt that is over. `prepared` and `request` are None when it did not get so far."""

    claim: Claim
    outcome: Outcome
    verdict: Verdict
    started_at: int
    duration_ms: float
    phases: Phases | None = None  # of a flight nobody asks
    webhook: Webhook
    revision: str
    prepared: Prepared | None = None
    request: Request | None = None
    receipt: Receipt | None = None
    size: int = 0  # bytes of request and response, once it is with the recorder


class Receipt:
    """Somebody waits for the record of one attempt. State: the result, once there is one."""

    __slots__ = ("_result", "_told")

    def __init__(self) -> None:
        self._told = trio.Event()
        self._result: Result | None = None

    def tell(self, result: Result | None) -> None:
        """Give the result, or None: it will never be known."""
        self._result = result
        self._told.set()

    async def result(self) -> Result:
        """Wait for the record. Raises `StoreUnavailable`."""
        await self._told.wait()
        if self._result is None:
            raise StoreUnavailable("hookd ended before the attempt was recorded")
        return self._result


class Recorder:
    """Gathers and records. State: what is unrecorded, changed states, and claims on their way back."""

    def __init__(
        self,
        store: Store,
        *,
        now: Callable[[], int],
        attempted: Callable[[Sequence[AttemptLine]], None],
        recorded: Callable[[Sequence[Result]], None],
        released: Callable[[Sequence[Claim]], None],
    ) -> None:
        """Take whom to tell: `recorded` and `released` of what the store has done, `attempted` of the log lines."""
        self._store = store
        self._now = now
        self._attempted = attempted
        self._recorded = recorded
        self._released = released
        self._finished: list[Finished] = []
        self._size = 0
        self._states: dict[str, WebhookState] = {}
        self._returns: dict[Cause | None, list[Claim]] = {}
        self._work = trio.Event()
        self._room = trio.Event()
        self._gathered = trio.Event()
        self._urgent = False
        self._closing = False
        self._dead = False

    @property
    def unrecorded(self) -> int:
        """How many attempts wait for their record."""
        return len(self._finished)

    @property
    def full(self) -> bool:
        """Whether workers must wait before they begin another attempt."""
        return len(self._finished) >= UNRECORDED or self._size >= UNRECORDED_BYTES

    async def room(self) -> None:
        """Wait until there is room for another attempt."""
        while self.full:
            await self._room.wait()

    def add(self, finished: Finished) -> None:
        """Take an attempt that is over."""
        if self._dead:
            if finished.receipt is not None:
                finished.receipt.tell(None)
            return
        self._finished.append(finished)
        finished.size = _size(finished)
        self._size += finished.size
        if finished.claim.order_key is not None or finished.receipt is not None:
            self._hurry()
        elif len(self._finished) >= GATHERED:
            self._gathered.set()
        self._work.set()

    def learn(self, state: WebhookState) -> None:
        """Take a webhook's changed state; only its last one is written."""
        self._states[state.webhook] = state
        self._work.set()

    def give_back(self, claims: Sequence[Claim], hold: Cause | None = None) -> None:
        """Take claims that are to be released; with `hold`, to be held for that cause."""
        self._returns.setdefault(hold, []).extend(claims)
        self._hurry()
        self._work.set()

    def close(self) -> None:
        """Make `serve` return once all is written."""
        self._closing = True
        self._hurry()
        self._work.set()

    def _hurry(self) -> None:
        self._urgent = True
        self._gathered.set()

    async def serve(self) -> None:
        """Record until closed. Raises `StoreUnavailable`, after telling all who wait."""
        try:
            while True:
                await self._work.wait()
                self._work = trio.Event()
                while self._finished or self._states or self._returns:
                    if await self._record() >= BUSY:
                        await self._gather()
                if self._closing:
                    return
        finally:
            self._dead = True
            for finished in self._finished:
                if finished.receipt is not None:
                    finished.receipt.tell(None)

    async def _gather(self) -> None:
        if self._urgent or len(self._finished) >= GATHERED:
            return
        self._gathered = trio.Event()
        with trio.move_on_after(GATHER_S):
            await self._gathered.wait()

    async def _record(self) -> int:
        """Record what is there, at most a batch; give how many attempts that were."""
        self._urgent = False
        batch = self._finished[:BATCH]
        states = list(self._states.values())
        returns, self._returns = self._returns, {}
        self._states = {}
        del self._finished[:BATCH]
        if batch or states:
            results = build_results(batch)
            try:
                lost = await self._store.record(results, states, self._now())
            except BaseException:
                for finished in batch:
                    if finished.receipt is not None:
                        finished.receipt.tell(None)
                raise
            self._size -= sum([finished.size for finished in batch])
            self._room.set()
            self._room = trio.Event()
            self._tell(batch, results, lost)
        for hold, claims in returns.items():
            await self._store.release(claims, self._now(), hold)
            if hold is None:
                self._released(claims)
        return len(batch)

    def _tell(self, batch: Sequence[Finished], results: Sequence[Result], lost: Sequence[Claim]) -> None:
        if results:
            self._attempted(list(map(describe, results)))
        for result in [each for each in results if each.verdict is not DELIVERED]:
            if isinstance(result.verdict, Dead) and not result.claim.once:
                log.warning("delivery.dead", **_name(result), cause=result.verdict.cause)
        for claim in lost:
            log.warning("delivery.lost", webhook=claim.webhook, delivery_id=claim.delivery_id)
        self._recorded(results)
        if any([finished.receipt is not None for finished in batch]):  # noqa: C419  a list is faster, and it is small
            for finished, result in zip(batch, results, strict=True):
                if finished.receipt is not None:
                    finished.receipt.tell(result)


def build_results(batch: Sequence[Finished]) -> list[Result]:
    """Give what the store is to record, with exchanges for the last attempts of each webhook, and all tests."""
    kept: dict[str, int] = {}
    results: list[Result] = []
    for finished in reversed(batch):
        claim, prepared, request = finished.claim, finished.prepared, finished.request
        exchange = None
        if prepared is not None and request is not None:
            number = kept.get(claim.webhook, 0)
            if number < EXCHANGES_KEPT or finished.receipt is not None:
                kept[claim.webhook] = number + 1
                exchange = build_exchange(prepared.mask, prepared.url, request, finished.outcome)
        attempt, verdict, phases = _build_attempt(finished), finished.verdict, finished.phases
        results.append(Result(claim=claim, attempt=attempt, verdict=verdict, exchange=exchange, phases=phases))
    results.reverse()
    return results


def _build_attempt(finished: Finished) -> Attempt:
    outcome, prepared = finished.outcome, finished.prepared
    word, cause = classify(outcome)
    if cause is None and isinstance(outcome, Response):
        return Attempt(
            number=finished.claim.attempts + 1,
            started_at=finished.started_at,
            duration_ms=finished.duration_ms,
            outcome=word,
            status=outcome.status,
            url="" if prepared is None else prepared.url,
            revision=finished.revision,
        )
    response = outcome if isinstance(outcome, Response) else None
    return Attempt(
        number=finished.claim.attempts + 1,
        started_at=finished.started_at,
        duration_ms=finished.duration_ms,
        outcome=word,
        cause=cause,
        detail=_detail(finished),
        status=None if response is None else response.status,
        url=url_of(finished.webhook) if prepared is None else prepared.url,
        revision=finished.revision,
        excerpt=b"" if response is None or prepared is None else prepared.mask.excerpt(response),
    )


def describe(result: Result) -> AttemptLine:
    """Give an attempt's canonical log line (DESIGN 2.5), all but its time."""
    claim, attempt, verdict = result.claim, result.attempt, result.verdict
    event = claim.event
    planned_at = verdict.planned_at if isinstance(verdict, RetryAt) else None
    line = AttemptLine(
        "",
        "info" if attempt.cause is None else "warning",
        "delivery.attempted",
        claim.webhook,
        event.tenant,
        event.id,
        event.type,
        claim.delivery_id,
        attempt.number,
        attempt.outcome,
        attempt.cause,
        attempt.status,
        round(attempt.duration_ms, 3),
        None if planned_at is None else format_instant(planned_at),
        attempt.revision,
    )
    if event.traceparent is not None:
        ids = trace_ids(event.traceparent)
        line.trace_id, line.span_id = ids["trace_id"], ids["span_id"]
    if attempt.cause is not None:
        line.detail = attempt.detail
        if attempt.url:
            line.url = attempt.url
    return line


def _name(result: Result) -> dict[str, object]:
    event = result.claim.event
    return {
        "webhook": result.claim.webhook,
        "tenant": event.tenant,
        "event_id": event.id,
        "event_type": event.type,
        "delivery_id": result.claim.delivery_id,
        "attempt": result.attempt.number,
        **trace_ids(event.traceparent),
    }


def _detail(finished: Finished) -> str | None:
    """Give a word for people: why no response came, or where a redirect wanted us to go (its host alone)."""
    outcome = finished.outcome
    if not isinstance(outcome, Response):
        return outcome.detail or None
    if outcome.status in REDIRECTION and finished.prepared is not None:
        location = next((value for name, value in outcome.headers if name == "location"), "")
        host = host_of(location)
        if host is None:
            return None
        return f"redirect to {finished.prepared.mask.text(host)} not followed"
    return None


def _size(finished: Finished) -> int:
    size = 0 if finished.request is None else len(finished.request.body)
    return size + len(finished.outcome.body) if isinstance(finished.outcome, Response) else size
