"""What a running daemon shows of itself: it asks its parts, and gives one reading for a scrape.

Rules of this module:

1. The loop is asked for numbers that are there; whatever costs (the backlog, the disk, the text) is done in threads.
   A scrape of ten thousand webhooks holds the loop for a few milliseconds at a time.
2. A store that is gone, or does not answer in time (`control.patience`), leaves its part out: the rest is then wanted
   all the more.
3. Ill is who makes no progress: that this is asked at all shows the loop's, so the store's writer is what is looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, get_args

import trio

from hookd import __version__
from hookd.control.describe import state_word
from hookd.control.patience import Patience, Silent
from hookd.core.states import Standing
from hookd.metrics import names
from hookd.store.base import StoreUnavailable
from hookd.store.queries import EVERY_WEBHOOK, Standings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from hookd.core.config import Config
    from hookd.core.model import Result, WebhookState
    from hookd.delivery.dispatcher import Dispatcher
    from hookd.delivery.news import News
    from hookd.inlet.counts import EventCounts
    from hookd.metrics.exposing import Exposition, Reading, Values
    from hookd.metrics.names import Metric
    from hookd.metrics.tallies import Tallies
    from hookd.store.base import Store
    from hookd.store.queries import StandingRow
    from hookd.store.vitals import Vitals

#: A writer that has been at one batch for longer than this is stuck: a checkpoint on a slow disk takes a few seconds.
STUCK_S: Final = 30.0
#: How often the loop's lag is looked at.
LAG_EVERY_S: Final = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """Whether the files are refused, how many keys of `daemon:` wait for a restart, when what runs was applied."""

    refused: bool = False
    restart_required: int = 0
    applied_at: int


class CountedNews:
    """Counts what was recorded, and passes all news on."""

    def __init__(self, tallies: Tallies, news: News) -> None:
        self._tallies = tallies
        self._news = news

    def suspended(self, state: WebhookState) -> None:
        """Pass on that a webhook was suspended."""
        self._news.suspended(state)

    def resumed(self, state: WebhookState) -> None:
        """Pass on that a suspension was lifted."""
        self._news.resumed(state)

    def died(self, results: Sequence[Result]) -> None:
        """Count recorded results, and pass them on."""
        self._tallies.record(results)
        self._news.died(results)


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What is asked. `looked` gives how the files on disk stand."""

    store: Store
    dispatcher: Dispatcher
    events: EventCounts
    overflows: Callable[[], Mapping[str, int]]
    tallies: Tallies
    current_config: Callable[[], Config]
    looked: Callable[[], Looked]
    dropped_lines: Callable[[], int]
    now: Callable[[], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """What the store said: how its webhooks stand, and how it does itself; None: it is not available."""

    rows: Sequence[StandingRow] = ()
    vitals: Vitals | None = None


class Gauges:
    """Reads what runs. Whoever runs it says `say_ready` and `say_draining`, and serves its `patience`."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        self._exposition: Exposition | None = None
        self._limiter = trio.CapacityLimiter(1)
        self._unready: str | None = "starting"
        self.patience = Patience()  # a scraper gives up after ten seconds, by default: it waits less

    def say_ready(self) -> None:
        """Take note that everything is open."""
        self._unready = None

    def say_draining(self) -> None:
        """Take note that the end has begun."""
        self._unready = "draining"

    def unready(self) -> str | None:
        """Say why no events are taken; None: they are."""
        return self._unready or self.ill()

    def ill(self) -> str | None:
        """Say what makes no progress; None: all is well."""
        busy = self._watched.store.busy_s()
        if busy > STUCK_S:
            return f"the store's writer has been at one batch for {busy:.0f} s: the disk does not answer"
        return None

    async def watch_loop(self) -> None:
        """Measure the loop's lag, for ever."""
        lag = self._watched.tallies.lag
        while True:
            due = trio.current_time() + LAG_EVERY_S
            await trio.sleep_until(due)
            lag.add(max(0.0, trio.current_time() - due))

    async def _ask_store(self) -> _Answer:
        store = self._watched.store
        rows = await store.read(Standings(), EVERY_WEBHOOK)
        return _Answer(rows=rows, vitals=await store.vitals())

    async def _hear_store(self) -> _Answer:
        """Give what the store says, or nothing if it says nothing in time."""
        try:
            return await self.patience.ask(self._ask_store)
        except (Silent, StoreUnavailable):
            return _Answer()

    async def read(self, accept: str) -> tuple[bytes, str]:
        """Give the text of a scrape and its media type."""
        watched = self._watched
        config, now = watched.current_config(), watched.now()
        heard = await self._hear_store()
        rows, vitals = heard.rows, heard.vitals
        reading = self._read_daemon(config)
        self._read_road(reading, config)
        if vitals is not None:
            watched.tallies.keep({*config.webhooks, *(row.webhook for row in rows)})
        # The names are the loop's own: what the thread needs of them is looked up before.
        label = watched.tallies.names.label
        labels = {name: label(name) for name in (*config.webhooks, *(row.webhook for row in rows))}

        def finish() -> tuple[bytes, str]:
            if vitals is not None:
                reading.update(read_webhooks(config, rows, labels, now))
                reading.update(read_store(config, vitals))
            return self._expose(reading, accept)

        return await trio.to_thread.run_sync(finish, limiter=self._limiter)

    def _expose(self, reading: Reading, accept: str) -> tuple[bytes, str]:
        if self._exposition is None:
            from hookd.metrics.exposing import Exposition  # a start without /metrics need not pay for prometheus-client

            self._exposition = Exposition()
        return self._exposition.render(reading, accept)

    def _read_daemon(self, config: Config) -> Reading:
        watched, revision = self._watched, config.revision
        tallies = watched.tallies
        looked = watched.looked()
        commit = revision.commit or ""
        reading: Reading = {
            names.BUILD: {(__version__,): 1},
            names.READY: _one(self._unready is None),
            names.LOOP_LAG: {(): tallies.lag.copy()},
            names.LOG_DROPPED: _one(watched.dropped_lines()),
            names.CONFIG: {(revision.hash, commit, str(revision.dirty).lower()): 1},
            names.CONFIG_GOOD: _one(not looked.refused),
            names.CONFIG_APPLIED: _one(looked.applied_at / 1000),
            names.CONFIG_TOOK: _one(tallies.apply_s),
            names.RELOADS: {("applied",): tallies.applied, ("rejected",): tallies.rejected},
            names.RESTART_REQUIRED: _one(looked.restart_required),
            names.BUSY: _one(watched.store.busy_s()),
        }
        return reading

    def _read_road(self, reading: Reading, config: Config) -> None:
        watched = self._watched
        tallies, snapshot = watched.tallies, watched.dispatcher.snapshot()
        tallies.overflow(watched.overflows())
        for webhook in config.webhooks:
            tallies.ends_of(webhook)  # a count that is there from the start can be seen to rise from nothing
        reading[names.EVENTS] = dict(watched.events.all())
        reading[names.ATTEMPTS] = {
            (webhook, outcome): count
            for webhook, ends in tallies.ends.items()
            for outcome, count in ends.outcomes.items()
        }
        reading[names.DELIVERIES] = {
            key: count
            for webhook, ends in tallies.ends.items()
            for key, count in (((webhook, "delivered"), ends.delivered), ((webhook, "dead"), ends.dead))
        }
        reading[names.FAILURES] = {(cause,): count for cause, count in tallies.causes.items()}
        reading[names.DURATION] = {(outcome,): spread.copy() for outcome, spread in tallies.durations.items()}
        reading[names.IN_FLIGHT] = _one(snapshot.in_flight)
        reading[names.CONCURRENCY] = _one(config.daemon.limits.concurrency)
        reading[names.IN_MEMORY] = _one(snapshot.queued)
        reading[names.UNRECORDED] = _one(snapshot.unrecorded)


def read_webhooks(config: Config, rows: Sequence[StandingRow], labels: Mapping[str, str], now: int) -> Reading:
    """Give how the webhooks stand; those that share a label are summed up, of ages the greatest is told."""
    figures: dict[Metric, dict[tuple[str, ...], float]] = {
        metric: {(label,): 0 for label in labels.values()} for metric in (*_SUMS, *_AGES)
    }
    words: dict[str, int] = dict.fromkeys(get_args(Standing), 0)
    told = {row.webhook for row in rows}
    for name, quiet in config.webhooks.items():
        if name not in told:
            words[state_word(quiet, suspended=False, failing=False)] += 1
    for row in rows:
        suspended, failing = row.suspended_at is not None, row.failing_since is not None
        webhook = config.webhooks.get(row.webhook)
        if webhook is None and not (row.pending or row.dead):
            continue  # it is gone, and nothing is left of it
        words[state_word(webhook, suspended=suspended, failing=failing)] += 1
        key = (labels[row.webhook],)
        paused = row.paused_until is not None and row.paused_until > now
        sums = (row.pending, row.held, row.dead, suspended, paused, row.open_until is not None)
        for metric, value in zip(_SUMS, sums, strict=True):
            values = figures[metric]
            values[key] += value
        for metric, since in zip(_AGES, (row.oldest_pending_at, row.failing_since), strict=True):
            values = figures[metric]
            values[key] = max(values[key], 0 if since is None else max(1, now - since) / 1000)
    figures[names.WEBHOOKS] = {(word,): count for word, count in words.items()}
    return {metric: dict(values) for metric, values in figures.items()}


_SUMS: Final = (names.PENDING, names.HELD, names.DEAD, names.SUSPENDED, names.PAUSED, names.BREAKER)
_AGES: Final = (names.OLDEST, names.FAILING)


def read_store(config: Config, vitals: Vitals) -> Reading:
    """Give how the store itself does."""
    reading: Reading = {
        names.COMMIT: {(): vitals.commits},
        names.BATCH: {(): vitals.batches},
        names.FILES: {(name,): size for name, size in vitals.files.items()},
        names.DISK_RESERVED: _one(config.daemon.limits.disk_free),
    }
    if vitals.disk_free is not None:
        reading[names.DISK_FREE] = _one(vitals.disk_free)
    return reading


def _one(value: float) -> Values:
    return {(): value}
