"""What needs a person: which webhooks, what is said of them, and what the status comes to."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from hookd.config.load import load
from hookd.control.needs import MOST_NAMES, OURS_TO_MEND, find_need, list_needs
from hookd.core.breaker import OURS
from hookd.core.causes import CAUSES
from hookd.core.model import Cause, Delivered, Event, WebhookState
from hookd.store.base import Suspend
from tests.control.rooms import NOW, open_room

if TYPE_CHECKING:
    from pathlib import Path

    from hookd.core.config import Config

CONFIG = """
version: 1
webhooks:
  crm: {url: "https://crm.example.com/", events: ["*"]}
  sales: {url: "https://sales.example.com/", events: ["*"]}
"""


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "hookd.yaml").write_text(CONFIG)
    return load(tmp_path / "hookd.yaml").config


def event(event_id: str) -> Event:
    return Event(id=event_id, type="x", data=b"1", accepted_at=NOW, digest=event_id.encode())


def without(config: Config, name: str) -> Config:
    return replace(config, webhooks={known: it for known, it in config.webhooks.items() if known != name})


def row(webhook: str, need: str | None, pending: int = 0) -> dict[str, object]:
    return {"webhook": webhook, "needs_person": need, "pending": pending}


def test_what_no_waiting_mends_needs_a_person() -> None:
    assert find_need("suspended", pending=0, failing_cause=None) == "suspended"
    assert find_need("missing", pending=1, failing_cause=None) == "missing"
    assert find_need("missing", pending=0, failing_cause=Cause.SECRET_UNREADABLE) is None
    for cause in Cause:
        need = find_need("failing", pending=0, failing_cause=cause)
        assert need == (cause if cause in OURS_TO_MEND else None)
        # A webhook that nobody attempts fails nobody; paused and inactive are what its definition asks for.
        for state in ("ok", "paused", "inactive"):
            assert find_need(state, pending=3, failing_cause=cause) is None


def test_what_is_ours_to_mend_was_never_sent_and_no_receiver_is_blamed_for_it() -> None:
    assert {CAUSES[cause].kind for cause in OURS_TO_MEND} == {"not_sent"}
    assert OURS - {Cause.INTERNAL} == OURS_TO_MEND - {Cause.BLOCKED_ADDRESS}


def test_each_need_is_told_with_its_advice() -> None:
    needs = list_needs(
        [
            row("a", "suspended", 9),
            row("b", None, 4),
            row("c", "missing", 2),
            row("d", Cause.RENDER_FAILED, 1),
        ]
    )
    assert needs == [
        {
            "reason": "suspended",
            "webhooks": ("a",),
            "message": "1 webhook is suspended: a",
            "advice": "once it is mended: `hookd resume a`",
        },
        {
            "reason": "not_sent",
            "webhooks": ("d",),
            "message": "1 webhook fails for a reason on our side: d (render_failed)",
            "advice": "`hookd status d` says what to mend; then it heals with the next attempt",
        },
        {
            "reason": "missing",
            "webhooks": ("c",),
            "message": "2 deliveries are held for webhooks that are gone: c (2)",
            "advice": "put it back, name its successor under `moved:`, or `hookd remove c` to give them up",
        },
    ]


def test_of_many_some_are_named_and_all_are_listed() -> None:
    names = [f"w{number}" for number in range(MOST_NAMES + 2)]
    (need,) = list_needs([row(name, "missing", 1) for name in names])
    assert need["webhooks"] == tuple(names)
    assert need["message"] == (
        "7 deliveries are held for webhooks that are gone: w0 (1), w1 (1), w2 (1), w3 (1), w4 (1) and 2 more"
    )
    assert "`hookd remove WEBHOOK`" in str(need["advice"])
    (one,) = list_needs([row("crm", "missing", 1)])
    assert one["message"] == "1 delivery is held for webhooks that are gone: crm (1)"


# --------------------------------------------------------------------------- on the screen


async def test_a_backlog_of_a_webhook_that_is_gone_is_not_healthy(tmp_path: Path, config: Config) -> None:
    async with open_room(tmp_path, config) as room:
        first, second = await room.accept(event("1"), "crm", "sales")
        await room.record(first, Delivered())
        await room.retry(second, NOW + 5_000)
        _, whole = await room.get("/v1/status")
        assert (whole["healthy"], whole["needs"], whole["delivered"]) == (True, [], 1)
        room.config = without(config, "sales")
        _, whole = await room.get("/v1/status")
        assert (whole["healthy"], [need["reason"] for need in whole["needs"]]) == (False, ["missing"])
        assert whole["needs"][0]["webhooks"] == ["sales"]
        _, sales = await room.get("/v1/status/sales")
        assert (sales["state"], sales["needs_person"]) == ("missing", "missing")


async def test_to_remove_a_suspended_webhook_mends_nothing(tmp_path: Path, config: Config) -> None:
    async with open_room(tmp_path, config) as room:
        await room.retry((await room.accept(event("1"), "crm"))[0], NOW)
        await room.store.revise(Suspend(webhook="crm", cause="gone"), 100, NOW)
        _, whole = await room.get("/v1/status")
        assert (whole["healthy"], [need["reason"] for need in whole["needs"]]) == (False, ["suspended"])
        room.config = without(config, "crm")
        _, whole = await room.get("/v1/status")
        assert (whole["healthy"], [need["reason"] for need in whole["needs"]]) == (False, ["missing"])


async def test_what_fails_on_our_side_needs_a_person_and_a_receiver_does_not(tmp_path: Path, config: Config) -> None:
    async with open_room(tmp_path, config) as room:
        for cause, need in ((Cause.SECRET_UNREADABLE, "secret_unreadable"), (Cause.STATUS, None)):
            state = WebhookState(webhook="crm", failures=1, failing_since=NOW, failing_cause=cause, last_error="why")
            await room.store.record([], [state], NOW)
            _, whole = await room.get("/v1/status")
            assert whole["healthy"] is (need is None)
            assert [each["reason"] for each in whole["needs"]] == ([] if need is None else ["not_sent"])
            _, crm = await room.get("/v1/status/crm")
            assert (crm["state"], crm["needs_person"]) == ("failing", need)


async def test_what_was_delivered_stays_counted_when_its_webhook_goes(tmp_path: Path, config: Config) -> None:
    async with open_room(tmp_path, config) as room:
        for claim in await room.accept(event("1"), "crm", "sales"):
            await room.record(claim, Delivered())
        room.config = without(config, "sales")
        _, whole = await room.get("/v1/status")
        assert [each["webhook"] for each in whole["backlog"]] == ["crm"]
        assert (whole["healthy"], whole["delivered"]) == (True, 2)
