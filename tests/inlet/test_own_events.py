"""hookd's own events: told to those who name them, bounded, and never with a payload."""
# ruff: noqa: ARG001  pytest-trio takes the clock of a test from its arguments, and from nowhere else

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import trio

from hookd.config.building.webhooks import OWN_TYPES
from hookd.core.filters import compile_filter
from hookd.core.model import Attempt, Cause, Claim, Dead, Event, Result, RetryAt, WebhookState
from hookd.inlet import own as own_module
from hookd.inlet.own import DEAD, REJECTED, RESUMED, SUSPENDED, OwnEvents
from tests.inlet.door import NOW, Door, make_config, make_webhook, open_door

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import pytest
    from trio.testing import MockClock

    from hookd.core.config import Webhook
    from hookd.core.model import Verdict

SCHEMAS = Path(__file__).parents[2] / "schemas/hookd"
SECRET = b'{"secret":"payload"}'


@asynccontextmanager
async def open_told(*webhooks: Webhook) -> AsyncIterator[tuple[Door, OwnEvents]]:
    async with open_door(make_config(*webhooks)) as door, trio.open_nursery() as nursery:
        numbers = iter(range(100_000))
        own = OwnEvents(current_config=lambda: door.config, now=lambda: NOW, new_id=lambda: f"own-{next(numbers)}")
        nursery.start_soon(own.serve, door.intake)
        yield door, own
        nursery.cancel_scope.cancel()


def result(
    webhook: str = "crm", verdict: Verdict | None = None, *, n: int = 1, kind: str = "x", once: bool = False
) -> Result:
    event = Event(id=f"e{n}", type=kind, tenant="acme", data=SECRET, subject="mail@example.com", accepted_at=NOW)
    claim = Claim(lease=n, delivery_id=f"dlv_{n}", webhook=webhook, event=event, attempts=2, aging_since=NOW, once=once)
    attempt = Attempt(
        number=3, started_at=NOW, duration_ms=1.0, outcome="rejected", cause=Cause.STATUS, status=500,
        url="https://example.com/", excerpt=b"payload too",
    )  # fmt: skip
    return Result(claim=claim, attempt=attempt, verdict=verdict or Dead(cause=Cause.EXHAUSTED))


async def told(door: Door, seconds: float = 30.0) -> list[tuple[str, str | None, str | None, Any]]:
    """Give what was stored after some time, each held to its published schema."""
    await trio.sleep(seconds)
    found = []
    for event in door.store.given:
        assert event.type in OWN_TYPES
        assert event.data is not None
        assert b"payload" not in event.data
        assert b"mail@" not in event.data
        data = json.loads(event.data)
        schema = json.loads((SCHEMAS / f"{event.type.removeprefix('hookd.')}.json").read_text())
        jsonschema.Draft202012Validator(schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER).validate(
            data
        )
        assert (event.source, event.time) == ("hookd", "2023-11-14T22:13:20.000Z")
        found.append((event.type, event.subject, event.tenant, data))
    return found


def test_every_type_has_a_schema() -> None:
    assert {SUSPENDED, RESUMED, DEAD, REJECTED} == set(OWN_TYPES)
    assert {f"hookd.{path.stem}" for path in SCHEMAS.glob("*.json")} == set(OWN_TYPES)


async def test_each_is_told_to_who_names_it(autojump_clock: MockClock) -> None:
    async with open_told(make_webhook("ops", "hookd.*"), make_webhook("crm", "*"), make_webhook("x", "y")) as (
        door,
        own,
    ):
        state = WebhookState(
            webhook="crm",
            suspended_at=NOW,
            suspended_cause="gone",
            failures=3,
            failing_since=NOW,
            last_error="status 410",
        )
        own.suspended(state)
        await trio.sleep(2)
        own.resumed(state)
        own.rejected("abc", [{"file": "f", "line": 1, "column": 2, "code": "c", "message": "m"}] * 50)
        own.died([result()])
        kinds = await told(door)
        assert [each[:3] for each in kinds] == [
            (SUSPENDED, "crm", None), (RESUMED, "crm", None), (REJECTED, None, None), (DEAD, "crm", None),
        ]  # fmt: skip
        assert kinds[0][3]["cause"] == "gone"
        assert kinds[1][3]["suspended_cause"] == "gone"
        assert (kinds[2][3]["count"], len(kinds[2][3]["problems"])) == (50, 20)
        assert kinds[3][3]["deliveries"][0]["tenant"] == "acme"
        assert {claim.webhook for claim in door.claims} == {"ops"}


async def test_nothing_is_made_where_nobody_listens(autojump_clock: MockClock) -> None:
    async with open_told(make_webhook("crm", "*"), make_webhook("ops", DEAD, tenant="zeta")) as (door, own):
        own.suspended(WebhookState(webhook="crm", suspended_at=NOW, suspended_cause="gone"))
        own.died([result(n=n) for n in range(100)])
        own.rejected("abc", [{"file": "f", "line": 1, "column": 2, "code": "c", "message": "m"}])
        assert await told(door) == []


async def test_a_tenant_hears_of_its_own_webhooks_alone(autojump_clock: MockClock) -> None:
    webhooks = (
        make_webhook("acme", "x", tenant="acme"),
        make_webhook("all", "x", tenant="*"),
        make_webhook("acme-ops", "hookd.*", tenant="acme"),
        make_webhook("zeta-ops", "hookd.*", tenant="zeta"),
        make_webhook("ops", "hookd.*", tenant="*"),
    )
    async with open_told(*webhooks) as (door, own):
        own.died([result("acme"), result("all"), result("left-the-files")])
        assert [each[1:3] for each in await told(door)] == [("acme", "acme"), ("all", None), ("left-the-files", None)]
        heard = [(claim.webhook, claim.event.subject) for claim in door.claims]
        assert heard == [("acme-ops", "acme"), ("ops", "acme"), ("ops", "all"), ("ops", "left-the-files")]


async def test_own_deliveries_tests_and_what_lives_are_not_told_of(autojump_clock: MockClock) -> None:
    async with open_told(make_webhook("ops", "hookd.*")) as (door, own):
        own.died([result(kind=DEAD), result(once=True), result(verdict=RetryAt(due_at=NOW))])
        assert await told(door) == []


async def test_a_storm_of_deaths_is_one_event_per_webhook_and_turn(autojump_clock: MockClock) -> None:
    async with open_told(make_webhook("ops", "hookd.*")) as (door, own):
        for second in range(10):
            for n in range(1000):
                own.died([result("one", Dead(cause=Cause.EXPIRED) if n % 4 == 0 else None, n=n)])
            await trio.sleep(1)
            assert len(door.store.given) <= second + 2
        dead = await told(door)
        assert sum(each[3]["count"] for each in dead) == 10_000
        assert sum(each[3]["causes"]["expired"] for each in dead) == 2_500
        assert max(len(each[3]["deliveries"]) for each in dead) == own_module.MOST_NAMED


async def test_many_webhooks_share_the_rate(autojump_clock: MockClock) -> None:
    async with open_told(make_webhook("ops", "hookd.*")) as (door, own):
        own.died([result(f"w{n}", n=n) for n in range(95)])
        start = trio.current_time()
        own.suspended(WebhookState(webhook="late", suspended_at=NOW, suspended_cause="gone"))
        counts = []
        for _ in range(10):
            await trio.sleep(0.999)
            counts.append(len(door.store.given))
        assert counts == [10, 20, 30, 40, 50, 60, 70, 80, 90, 96]
        assert door.store.given[0].type == SUSPENDED  # a suspension does not wait behind deaths
        assert trio.current_time() - start < 10
        assert len({each[1] for each in await told(door)}) == 96


async def test_the_latest_of_a_kind_stands_for_all(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_module, "PER_SECOND", 1)
    async with open_told(make_webhook("ops", "hookd.*")) as (door, own):
        own.rejected("r", [{"file": "f", "line": 1, "column": 2, "code": "c", "message": "m"}])
        await trio.sleep(0.5)
        for cause in ("a", "b"):
            state = WebhookState(webhook="crm", suspended_at=NOW, suspended_cause=cause)
            own.suspended(state)
            own.resumed(state)
        own.suspended(WebhookState(webhook="crm", suspended_at=NOW, suspended_cause="c"))
        assert [each[0] for each in await told(door)] == [REJECTED, RESUMED, SUSPENDED]
        assert json.loads(door.store.given[2].data or b"")["cause"] == "c"


async def test_filters_are_asked(autojump_clock: MockClock) -> None:

    picky = replace(make_webhook("ops", "hookd.*"), filter=compile_filter({"data.causes.expired": {"gt": 1}}))
    async with open_told(picky) as (door, own):
        own.died([result("one", Dead(cause=Cause.EXPIRED)), result("one", Dead(cause=Cause.EXPIRED)), result("two")])
        await told(door)
        assert [claim.event.subject for claim in door.claims] == ["one"]
