"""The dispatcher: claims in, attempts out, what became of them to the store.

Rules of this module:

1. It is made of parts that each hold one idea: `Lanes` (who waits, who is next), `Crew` (who makes attempts),
   `Attempter` (one attempt), `Recorder` (what became of it), `Watch` (what the world taught us of a webhook), `Feeder`
   (what else is due). Here they meet.
2. A claim is always in exactly one place: a lane, the crew, the recorder. So a drain can say what became of each.
3. When the store becomes unavailable everything here stops quietly: the daemon ends the process.
4. A drain has an end. A store that waits for room on its disk may never take the last results; after `RECORDING_S` they
   are left, as after a crash: what was answered and is not recorded is sent again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog
import trio

from hookd.core.model import RetryAt
from hookd.core.retry import succeeded
from hookd.delivery.attempter import Attempter, Withheld
from hookd.delivery.crew import Crew
from hookd.delivery.feeder import Feeder
from hookd.delivery.lanes import Lanes
from hookd.delivery.news import NO_NEWS
from hookd.delivery.recorder import Receipt, Recorder
from hookd.delivery.timeline import Timeline
from hookd.delivery.watch import Lesson, Watch
from hookd.store.base import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence

    from hookd.config.references import Secrets
    from hookd.core.config import Config, Move, Webhook
    from hookd.core.daemonconfig import Limits
    from hookd.core.model import Claim, Result
    from hookd.delivery.attempter import Attempted
    from hookd.delivery.lane import Figures, Lane
    from hookd.delivery.news import News
    from hookd.delivery.recorder import Finished
    from hookd.delivery.sender import Sender
    from hookd.logs import AttemptLine
    from hookd.store.base import Store

#: What the store may take to record the last results, in seconds: what it takes in a drain, many times over.
RECORDING_S: Final = 10.0

log = structlog.get_logger()


class NotAttempted(Exception):  # noqa: N818  a fact for the person who asked for a test
    """A test was not sent; the message says why. Its delivery is given back to the store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """How the dispatcher stands, in deliveries; `memory` in bytes."""

    queued: int
    in_flight: int
    unrecorded: int
    memory: int


class Dispatcher:
    """Delivers what the store holds. State: workers, and its parts' own.

    `now` is the wall clock in milliseconds since the epoch, `random` is uniform in [0, 1), `attempted` writes the
    log lines of a batch of attempts.
    """

    def __init__(
        self,
        *,
        store: Store,
        sender: Sender,
        current_config: Callable[[], Config],
        secrets: Secrets,
        now: Callable[[], int],
        random: Callable[[], float],
        attempted: Callable[[Sequence[AttemptLine]], None],
        limits: Limits,
        news: News = NO_NEWS,
    ) -> None:
        self._current_config = current_config
        self._news = news
        clock = trio.lowlevel.current_clock().current_time  # a third of what `trio.current_time` costs
        self._timeline = Timeline(now, clock, self._leapt)
        due = self._timeline.now
        self._recorder = Recorder(store, now=due, attempted=attempted, recorded=self._recorded, released=self._released)
        self._watch = Watch(
            store, current_config, now=due, write=self._recorder.learn, random=random, news=news, clock=clock
        )
        self._lanes = Lanes(
            limits=limits,
            states=self._watch.states,
            now=due,
            clock=clock,
            return_claims=self._recorder.give_back,
            gate_shut=lambda: self._feeder.gates_changed(),  # noqa: PLW0108  the feeder is made after the lanes
            webhook=self._webhook,
        )
        self._attempter = Attempter(
            sender=sender,
            current_config=current_config,
            secrets=secrets,
            now=now,
            ahead=lambda: self._timeline.ahead,
            random=random,
        )
        self._crew = Crew(self._lanes, self._attempter, self._recorder, limits.concurrency, self._came)
        self._feeder = Feeder(store, self._lanes, now=due, fed=self._fed, kick=self._crew.kick)
        self._workers: trio.CancelScope | None = None
        self._all: trio.CancelScope | None = None
        self._testing = 0
        self._landed = trio.Event()
        self._ended = trio.Event()
        self._serving = False

    # ----------------------------------------------------------------- the life of it

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Deliver until drained, or until the store is unavailable. Started once all that the store knows is read."""
        self._serving = True
        try:
            await self._watch.load()
            self._timeline.reach(self._watch.latest())
            for webhook_id in self._watch.states:
                self._lanes.look_again(self._lanes.lane(webhook_id))
            async with trio.open_nursery() as nursery:
                self._all = nursery.cancel_scope
                nursery.start_soon(_quietly, self._recorder.serve, nursery.cancel_scope)
                async with trio.open_nursery() as workers:
                    self._workers = workers.cancel_scope
                    workers.start_soon(_quietly, self._feeder.serve, nursery.cancel_scope)
                    workers.start_soon(self._feeder.watch_gates)
                    self._crew.open(workers)
                    self._crew.kick()
                    task_status.started()
                    await trio.sleep_forever()
                self._crew.abandon()
                self._recorder.close()
        except StoreUnavailable:
            return
        finally:
            self._workers = None
            self._lanes.close()
            self._crew.abandon()
            self._ended.set()

    async def drain(self, timeout_s: float) -> None:
        """Start nothing more, let what is in flight end within `timeout_s` seconds, record it, give the rest back."""
        self._recorder.give_back(self._lanes.close())
        if not self._serving:
            return
        with trio.move_on_after(timeout_s):
            while self._lanes.flying or self._testing:
                self._landed = trio.Event()
                await self._landed.wait()
        if self._workers is not None:
            await self._feeder.stop()
            self._workers.cancel()
        with trio.move_on_after(RECORDING_S):
            await self._ended.wait()
        if not self._ended.is_set() and self._all is not None:
            log.warning("daemon.cut", reason="the store takes no records: what was answered last is sent again")
            self._all.cancel()
            await self._ended.wait()

    # ----------------------------------------------------------------- what others ask for

    def room(self, webhooks: Iterable[str]) -> Mapping[str, int]:
        """Give how many more deliveries of each webhook may be claimed now."""
        return self._lanes.room(webhooks)

    def take(self, claims: Sequence[Claim]) -> None:
        """Take deliveries that are claimed already. Never waits."""
        if self._lanes.closed:
            self._recorder.give_back(claims)
            return
        if any(self._feeder.wants(lane) for lane in self._lanes.take(claims)):
            self._feeder.ask()
        self._crew.kick()

    def config_changed(self, not_moved: Collection[Move] = ()) -> None:
        """Adopt the current config: heal what was redefined, and see what is due now. After the store was bound.

        `not_moved` are the moves that the store refused.
        """
        self._watch.adopt(not_moved)
        self._lanes.adopt()
        self._feeder.ask()
        self._crew.kick()

    async def suspend(self, webhook: str, cause: str) -> None:
        """Hold a webhook until it is resumed. Raises `StoreUnavailable`."""
        await self._watch.suspend(webhook, cause)
        self._lanes.look_again(self._lanes.lane(webhook))

    async def resume(self, webhook: str) -> None:
        """Lift a webhook's suspension, pause and breaker; what is pending is due now. Raises `StoreUnavailable`."""
        await self._watch.resume(webhook)
        self._lanes.doubt(self._lanes.lane(webhook))
        self._feeder.ask()
        self._crew.kick()

    def wake(self) -> None:
        """See what is due now, since somebody else changed the store (a redrive, a replay)."""
        self._feeder.ask()

    async def attempt_now(self, claim: Claim) -> Result:
        """Attempt a test at once, beside all limits, and give its record.

        Raises `NotAttempted`, or `StoreUnavailable` if the attempt was made and it is unknown whether it is recorded.
        """
        if self._lanes.closed:
            self._recorder.give_back([claim])
            raise NotAttempted("hookd is stopping")
        self._testing += 1
        try:
            attempted = await self._attempter.attempt(self._lanes.lane(claim.webhook), claim)
        except BaseException:
            self._recorder.give_back([claim])
            raise
        finally:
            self._testing -= 1
            self._landed.set()
        if isinstance(attempted, Withheld):
            self._recorder.give_back([claim], attempted.hold)
            raise NotAttempted(attempted.reason)
        attempted.receipt = Receipt()
        self._recorder.add(attempted)
        return await attempted.receipt.result()

    def snapshot(self) -> Snapshot:
        """Give how the dispatcher stands."""
        return Snapshot(
            queued=self._lanes.queued,
            in_flight=self._lanes.flying + self._testing,
            unrecorded=self._recorder.unrecorded,
            memory=self._lanes.weight,
        )

    def figures(self, webhook: str) -> Figures:
        """Give how many deliveries of a webhook wait in memory, and how many are in flight."""
        return self._lanes.figures(webhook)

    # ----------------------------------------------------------------- what came of a claim

    def _came(self, lane: Lane, claim: Claim, attempted: Attempted) -> None:
        """Take what came of an attempt, and count it as over."""
        if isinstance(attempted, Withheld):
            self._recorder.give_back([claim], attempted.hold)
        else:
            self._land(lane, attempted)
        self._lanes.finish(lane, claim)
        if self._lanes.closed:
            self._landed.set()
        elif self._feeder.wants(lane):
            self._feeder.ask()

    def _land(self, lane: Lane, finished: Finished) -> None:
        """Take what came of an attempt: what it teaches, then its record."""
        claim, outcome = finished.claim, finished.outcome
        if not claim.once:
            lesson = self._watch.learn(finished.webhook, outcome, repeated=lane.probed == claim.delivery_id)
            if lesson is Lesson.SHUT:
                lane.probed = claim.delivery_id
                self._lanes.doubt(lane)
            elif lesson is not Lesson.NONE and succeeded(outcome):
                self._lanes.trust(lane)
            if lesson is Lesson.OPEN:
                self._lanes.look_again(lane)
            finished.verdict = self._watch.plan(claim.webhook, finished.verdict)
        self._recorder.add(finished)

    # ----------------------------------------------------------------- between the parts

    def _released(self, claims: Sequence[Claim]) -> None:
        """See that what was given back comes again, if its webhook takes it. Else it waits for another definition."""
        for webhook_id in {claim.webhook for claim in claims}:
            webhook = self._webhook(webhook_id)
            if webhook is None:
                self._feeder.ask()  # it may go by another name since; if it is gone, the store hands out nothing of it
            elif not webhook.held:
                lane = self._lanes.lane(webhook_id)
                lane.short = True
                if self._feeder.wants(lane):
                    self._feeder.ask()

    def _leapt(self, milliseconds: int) -> None:
        self._watch.shift(milliseconds)
        self._feeder.ask()

    def _webhook(self, webhook_id: str) -> Webhook | None:
        return self._current_config().webhooks.get(webhook_id)

    def _fed(self, claims: Sequence[Claim]) -> None:
        if self._lanes.closed:
            self._recorder.give_back(claims)
            return
        self._lanes.take(claims, offered=False)
        self._crew.kick()

    def _recorded(self, results: Sequence[Result]) -> None:
        """See what a recorded batch makes due: a retry at its time, the next of an order at once."""
        self._news.died(results)
        due_at: int | None = None
        follows = False
        for result in results:
            verdict = result.verdict
            if isinstance(verdict, RetryAt):
                if due_at is None or verdict.due_at < due_at:
                    due_at = verdict.due_at
            elif result.claim.order_key is not None:
                follows = True
        if due_at is not None:
            self._feeder.due(due_at)
        if follows:
            self._feeder.ask()


async def _quietly(serve: Callable[[], Awaitable[None]], scope: trio.CancelScope) -> None:
    """Serve; when the store is unavailable, end everything in `scope` instead of raising."""
    try:
        await serve()
    except StoreUnavailable:
        scope.cancel()
