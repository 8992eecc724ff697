"""SQLite does what the memory store does, step by step, whatever is asked in whatever order."""

from __future__ import annotations

import queue
import tempfile
import threading
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from hookd.core.model import Cause, Dead, Delivered, Owed, RetryAt, WebhookState
from hookd.store.base import Bind, Binding, Entry, Kill, MoveWebhook, Policy, Redrive, Replay, Resume, Suspend, Wants
from hookd.store.memory import open_memory_store
from hookd.store.queries import Attempts, Backlog, Deliveries, Kept, Redrivable
from hookd.store.sqlite import open_sqlite_store
from tests.store.making import ALL, NOW, make_event, result_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hookd.core.model import Claim, Verdict
    from hookd.store.base import Change, Store

NAMES = st.sampled_from(["a", "b", "c"])
VERDICTS = st.sampled_from([Delivered(), Dead(cause=Cause.EXHAUSTED), RetryAt(due_at=0)])
KEEP = 1 << 60


def _of_test(verdict: Verdict, claim: Claim) -> Verdict:
    """Give the verdict as `retry.decide` would: a test is never tried again."""
    return Dead(cause=Cause.TEST) if claim.once and isinstance(verdict, RetryAt) else verdict


def plain(claim: Claim) -> tuple[object, ...]:
    """Give a claim without what is a store's own."""
    number = int(claim.delivery_id[12:], 16)
    return (number, claim.webhook, claim.event, claim.attempts, claim.aging_since, claim.order_key, claim.once)


class Stores(RuleBasedStateMachine):
    """Runs two stores side by side, in one event loop that is entered for each step."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.made = 0
        self.flying: list[tuple[Claim, Claim]] = []
        self.folder = tempfile.TemporaryDirectory()
        self.both, self.done = self.start()

    def start(self) -> tuple[Callable[[Callable[[Store], Awaitable[Any]]], tuple[Any, Any]], Callable[[], None]]:
        """Run an event loop in a thread; give how to ask both stores, and how to end it."""
        asked: queue.Queue[Callable[[Store], Awaitable[Any]] | None] = queue.Queue()
        answers: queue.Queue[tuple[Any, Any] | BaseException] = queue.Queue()

        async def main() -> None:
            async with AsyncExitStack() as stack:
                one = await stack.enter_async_context(open_memory_store())
                path = Path(self.folder.name) / "state"
                two = await stack.enter_async_context(open_sqlite_store(path, disk_free=0, ballast=0))
                while True:
                    step = await trio.to_thread.run_sync(asked.get)
                    if step is None:
                        return
                    try:
                        answers.put((await step(one), await step(two)))
                    except Exception as error:  # noqa: BLE001  it is raised where the step was asked for
                        answers.put(error)

        thread = threading.Thread(target=trio.run, args=(main,))
        thread.start()

        def call(step: Callable[[Store], Awaitable[Any]]) -> tuple[Any, Any]:
            asked.put(step)
            answer = answers.get(timeout=120)
            if isinstance(answer, BaseException):
                raise answer
            return answer

        def stop() -> None:
            asked.put(None)
            thread.join(20)

        return call, stop

    def teardown(self) -> None:
        self.done()
        self.folder.cleanup()

    def fly(self, one: Any, two: Any) -> None:
        assert [plain(claim) for claim in one] == [plain(claim) for claim in two]
        self.flying += zip(one, two, strict=True)

    @rule(
        owed=st.lists(
            st.tuples(st.lists(NAMES, unique=True, min_size=1), st.sampled_from([None, "x", "y"])),
            min_size=1,
            max_size=4,
        ),
        room=st.dictionaries(NAMES, st.integers(0, 3)),
        repeat=st.booleans(),
        most=st.sampled_from([0, 0, 4]),
        once=st.sampled_from([False, False, False, True]),
    )
    def accept(
        self, owed: list[tuple[list[str], str | None]], room: dict[str, int], *, repeat: bool, most: int, once: bool
    ) -> None:
        self.accept_entries(owed, room, repeat=repeat, most=most, once=once)

    def accept_entries(
        self,
        owed: list[tuple[list[str], str | None]],
        room: dict[str, int],
        *,
        repeat: bool = False,
        most: int = 0,
        once: bool = False,
    ) -> None:
        entries = []
        for names, key in owed:
            self.made += not repeat
            targets = tuple(Owed(webhook=name, order_key=key, max_pending=most, once=once) for name in names)
            event = make_event(f"e{self.made}", data=b"%d" % (self.made % 5), at=self.now)
            entries.append(Entry(event=event, owed=targets))
        one, two = self.both(lambda store: store.accept(entries, room, self.now))
        assert [type(result) for result in one] == [type(result) for result in two]
        for left, right in zip(one, two, strict=True):
            self.fly(getattr(left, "claims", ()), getattr(right, "claims", ()))

    @rule(name=NAMES, n=st.integers(2, 5), key=st.sampled_from(["x", "x", "y", None]), room=st.integers(0, 2))
    def accept_line(self, name: str, n: int, key: str | None, room: int) -> None:
        self.accept_entries([([name], key)] * n, {name: room})

    @rule(name=NAMES, rounds=st.integers(2, 4), key=st.sampled_from(["x", "y", None]), verdict=VERDICTS)
    def run_through(self, name: str, rounds: int, key: str | None, verdict: Verdict) -> None:
        self.revise(Bind(webhooks={each: Binding(fingerprint="f", rules="r") for each in "abc"}))
        self.revise(Resume(webhook=name))
        self.accept_entries([([name], key)] * 3, {name: 1})
        for _ in range(rounds):
            self.claim_some(9, 4, {})
            self.record_some(9, verdict, 1, None)
            self.they_show_the_same()

    @rule(verdict=VERDICTS, wait=st.integers(1, 5))
    def work_off(self, verdict: Verdict, wait: int) -> None:
        self.claim_some(9, 4, {})
        self.record_some(9, verdict, wait, None)

    @rule(total=st.integers(0, 9), each=st.integers(0, 4), but=st.dictionaries(NAMES, st.integers(0, 2), max_size=1))
    def claim(self, total: int, each: int, but: dict[str, int]) -> None:
        self.claim_some(total, each, but)

    def claim_some(self, total: int, each: int, but: dict[str, int]) -> None:
        one, two = self.both(lambda store: store.claim(Wants(total=total, each=each, but=but), 1000, self.now))
        assert one.next_due_at == two.next_due_at
        self.fly(sorted(one.claims, key=plain_number), sorted(two.claims, key=plain_number))

    @rule(
        n=st.integers(1, 4),
        verdict=VERDICTS,
        wait=st.integers(1, 5),
        suspend=st.sampled_from([None, None, None, "a", "b"]),
    )
    def record(self, n: int, verdict: Verdict, wait: int, suspend: str | None) -> None:
        self.record_some(n, verdict, wait, suspend)

    def record_some(self, n: int, verdict: Verdict, wait: int, suspend: str | None) -> None:
        pairs, self.flying = self.flying[:n], self.flying[n:]
        if isinstance(verdict, RetryAt):
            verdict = RetryAt(due_at=self.now + wait * 1000)
        states = [] if suspend is None else [WebhookState(webhook=suspend, suspended_at=self.now, failures=n)]
        sides = iter((0, 1))

        async def step(store: Store) -> Any:
            side = next(sides)
            results = [result_of(pair[side], _of_test(verdict, pair[side]), at=self.now) for pair in pairs]
            return await store.record(results, states, self.now)

        one, two = self.both(step)
        assert [plain(claim) for claim in one] == [plain(claim) for claim in two]

    @rule(n=st.integers(1, 3), hold=st.sampled_from([None, None, Cause.TENANT_CHANGED]))
    def release(self, n: int, hold: Cause | None) -> None:
        pairs, self.flying = self.flying[:n], self.flying[n:]
        sides = iter((0, 1))

        async def step(store: Store) -> Any:
            side = next(sides)
            await store.release([pair[side] for pair in pairs], self.now, hold)

        self.both(step)

    @initialize()
    def bind_all(self) -> None:
        self.revise(Bind(webhooks={name: Binding(fingerprint="f", rules="r") for name in "abc"}))

    @rule(
        bound=st.dictionaries(
            NAMES,
            st.tuples(st.sampled_from(["f", "f", "g"]), st.sampled_from("rs"), st.sampled_from([0, 0, 1])),
            min_size=2,
        )
    )
    def bind(self, bound: dict[str, tuple[str, str, int]]) -> None:
        change = {name: Binding(fingerprint=f, rules=r, held=bool(held)) for name, (f, r, held) in bound.items()}
        self.revise(Bind(webhooks=change))

    @rule(name=NAMES, what=st.sampled_from(["suspend", "resume", "resume", "redrive", "kill"]))
    def step_in(self, name: str, what: str) -> None:
        changes: dict[str, Change] = {
            "suspend": Suspend(webhook=name, cause="c"),
            "resume": Resume(webhook=name),
            "redrive": Redrive(webhook=name),
            "kill": Kill(webhook=name, cause=Cause.WEBHOOK_DELETED),
        }
        self.revise(changes[what])

    @rule(name=NAMES, key=st.sampled_from([None, "x"]), after=st.integers(0, 3), n=st.integers(1, 4))
    def replay(self, name: str, key: str | None, after: int, n: int) -> None:
        async def step(store: Store) -> Any:
            rows = await store.read(Kept(webhook=name), ALL)
            events = tuple((row.seq, key) for row in rows[after : after + n])
            return await store.revise(Replay(webhook=name, events=events), 1000, self.now)

        one, two = self.both(step)
        assert one == two

    @rule(source=NAMES, to=NAMES)
    def move(self, source: str, to: str) -> None:
        self.revise(MoveWebhook(source=source, target=to))

    def revise(self, change: Change) -> None:
        one, two = self.both(lambda store: store.revise(change, 1000, self.now))
        assert one == two

    @rule(events=st.sampled_from([KEEP, 20_000]), held=st.sampled_from([KEEP, 20_000]))
    def prune(self, events: int, held: int) -> None:
        policy = Policy(events_ms=events, attempts_ms=KEEP, held_ms=held, bytes=KEEP)
        one, two = self.both(lambda store: store.prune(policy, 1000, self.now))
        assert one == two

    @rule(seconds=st.integers(1, 8))
    def wait(self, seconds: int) -> None:
        self.now += seconds * 1000

    @invariant()
    def they_show_the_same(self) -> None:
        for query in (Backlog(), Deliveries(), Attempts(), Kept(webhook="a"), Redrivable(redrive=Redrive())):
            one, two = self.both(lambda store, query=query: store.read(query, ALL))  # type: ignore[misc]
            assert [shown(row) for row in one] == [shown(row) for row in two]


def plain_number(claim: Claim) -> int:
    """Give the number of a delivery."""
    return int(claim.delivery_id[12:], 16)


def shown(row: Any) -> dict[str, object]:
    """Give what a row shows, without what is a store's own."""
    fields = {name: getattr(row, name) for name in row.__dataclass_fields__}
    fields.pop("delivery_id", None)
    fields.pop("seq", None)
    return fields


TestStores = Stores.TestCase
TestStores.settings = settings(
    max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
