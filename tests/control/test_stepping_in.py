"""What a person can do to webhooks and their backlogs, over the control API and the memory store."""

from __future__ import annotations

import json
import textwrap
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from hookd.config.load import load_config
from hookd.control import replay
from hookd.core.model import Cause, Dead, Delivered, Event, WebhookState
from hookd.store.base import Bind, Binding, Wants
from tests.control.rooms import NOW, open_room

if TYPE_CHECKING:
    from pathlib import Path

    from hookd.core.config import Config
    from tests.control.rooms import Room

CONFIG = """
    version: 1
    webhooks:
      crm:
        url: https://example.com/
        tenant: acme
        events: ["user.*", {event: user.gone, active: false}]
        filter: {data.vip: true}
      old:
        url: https://example.com/
        events: [free]
      off:
        url: https://example.com/
        active: false
        events: [free]
      row:
        url: https://example.com/
        ordered: true
        events: [free]
"""


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "hookd.yaml").write_text(textwrap.dedent(CONFIG))
    return load_config(tmp_path / "hookd.yaml")


def event(event_id: str, kind: str = "free", tenant: str | None = None, data: bytes | None = b"1") -> Event:
    return Event(id=event_id, type=kind, tenant=tenant, data=data, accepted_at=NOW, digest=event_id.encode())


async def ask(room: Room, path: str, **body: object) -> dict[str, Any]:
    status, answer = await room.post(path, json.dumps(body).encode())
    assert status == 200, answer
    assert isinstance(answer, dict)
    return answer


async def claimed(room: Room) -> list[tuple[str, str]]:
    claims = (await room.store.claim(Wants(total=100, each=100), 1 << 30, room.at)).claims
    return sorted((claim.webhook, claim.event.id) for claim in claims)


# --------------------------------------------------------------------------- suspend, resume


async def test_suspend_and_resume_say_what_they_changed(tmp_path: Path, config: Config) -> None:
    async with open_room(tmp_path, config) as room:
        await room.retry((await room.accept(event("1"), "old"))[0], NOW + 5_000)
        row = await ask(room, "/v1/webhooks/old/suspend", cause="they asked us to")
        assert (row["changed"], row["state"], row["held"], row["suspended_cause"]) == (
            True, "suspended", 1, "they asked us to",
        )  # fmt: skip
        row = await ask(room, "/v1/webhooks/old/suspend", cause="another")
        assert (row["changed"], row["suspended_cause"]) == (False, "they asked us to")
        row = await ask(room, "/v1/webhooks/old/resume")
        assert (row["changed"], row["held"], row["suspended_cause"]) == (True, 0, None)
        assert (await ask(room, "/v1/webhooks/old/resume"))["changed"] is False
        assert await claimed(room) == [("old", "1")]
        status, row = await room.post("/v1/webhooks/old/suspend")
        assert (status, row["suspended_cause"]) == (200, "by hand")


@pytest.mark.parametrize(
    ("state", "lifted"),
    [
        ({"failures": 2, "failing_since": NOW}, []),
        ({"paused_until": NOW - 1}, []),  # it is over
        ({"paused_until": NOW + 1}, ["pause"]),
        ({"open_until": NOW + 1, "opened": 1}, ["breaker"]),
        ({"open_until": NOW - 1, "opened": 1}, ["breaker"]),  # open until a probe succeeds
        ({"paused_until": NOW + 1, "open_until": NOW + 1}, ["pause", "breaker"]),
        ({"suspended_at": NOW, "suspended_cause": "gone", "open_until": NOW + 1}, ["suspension", "breaker"]),
    ],
)
async def test_a_resume_says_what_it_lifted(
    tmp_path: Path, config: Config, state: dict[str, Any], lifted: list[str]
) -> None:
    async with open_room(tmp_path, config) as room:
        await room.store.record([], [WebhookState(webhook="old", **state)], NOW)
        row = await ask(room, "/v1/webhooks/old/resume")
        assert (row["changed"], row["lifted"], row["breaker"]) == (bool(lifted), lifted, "closed")
        assert (row["paused_until"], row["suspended_at"]) == (None, None)


async def test_a_webhook_that_left_the_files_can_be_resumed(tmp_path: Path, config: Config) -> None:
    async with open_room(tmp_path, config) as room:
        await ask(room, "/v1/webhooks/old/suspend")
        room.config = replace(config, webhooks={"row": config.webhooks["row"]})
        assert (await ask(room, "/v1/webhooks/old/resume"))["state"] == "missing"


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("nowhere/suspend", b"{}", 404),
        ("nowhere/resume", b"", 404),
        ("old/suspend", b'{"cause":7}', 422),
        ("old/suspend", b'{"cause":""}', 422),
        ("old/suspend", b'{"cause":"a\\nb"}', 422),
        ("old/suspend", b'{"cause":"' + b"x" * 201 + b'"}', 422),
        ("old/suspend", b'{"why":"x"}', 422),
        ("old/suspend", b"[", 400),
        ("nowhere/replay", b'{"all":true}', 404),
        ("off/replay", b'{"all":true}', 409),
        ("old/replay", b"{}", 422),
        ("old/replay", b'{"dry_run":true}', 422),
        ("old/replay", b'{"all":true,"since":1}', 422),
        ("old/replay", b'{"since":"x"}', 422),
        ("old/replay", b'{"type":"*.new"}', 422),
        ("old/replay", b'{"since":1,"dry_run":1}', 422),
        ("old/replay", b'{"since":1,"after":true}', 422),
        ("old/replay", b'{"webhook":"old","since":1}', 422),
        ("old/replay", b"", 400),
    ],
)
async def test_what_is_not_clear_does_nothing(
    tmp_path: Path, config: Config, path: str, body: bytes, status: int
) -> None:
    async with open_room(tmp_path, config) as room:
        await room.accept(event("1"))
        assert (await room.post(f"/v1/webhooks/{path}", body))[0] == status
        _, whole = await room.get("/v1/status")
        assert (whole["healthy"], whole["pending"]) == (True, 0)


# --------------------------------------------------------------------------- replay


async def test_the_running_config_decides_what_is_replayed(tmp_path: Path, config: Config) -> None:
    async with open_room(tmp_path, config) as room:
        vip = b'{"vip":true}'
        for kept in (
            event("good", "user.new", "acme", vip),
            event("filtered", "user.new", "acme", b'{"vip":false}'),
            event("no-data", "user.new", "acme", None),
            event("other-tenant", "user.new", "zeta", vip),
            event("no-tenant", "user.new", None, vip),
            event("trigger-off", "user.gone", "acme", vip),
            event("other-type", "company.new", "acme", vip),
            event("own", "hookd.webhook.suspended", "acme", vip),
        ):
            await room.accept(kept)
        expected = {"webhook": "crm", "dry_run": True, "seen": 8, "new": 1, "again": 0, "pending": 0, "unwanted": 7}
        dry = await ask(room, "/v1/webhooks/crm/replay", all=True, dry_run=True)
        assert dry == {**expected, "replayed": 0, "after": None, "until": NOW + 1}
        assert await claimed(room) == []
        done = await ask(room, "/v1/webhooks/crm/replay", all=True)
        assert done == {**expected, "dry_run": False, "replayed": 1, "after": None, "until": NOW + 1}
        assert room.woken == 2
        assert await claimed(room) == [("crm", "good")]


async def test_what_ended_is_replayed_and_what_is_pending_is_not(tmp_path: Path, config: Config) -> None:
    async with open_room(tmp_path, config) as room:
        claims = [(await room.accept(event(name), "old"))[0] for name in ("good", "dead", "flies", "tested")]
        await room.record(claims[0], Delivered())
        await room.kill(claims[1])
        (test,) = await room.accept(event("test"), "old", once=True)
        await room.record(test, Dead(cause=Cause.TEST))
        done = await ask(room, "/v1/webhooks/old/replay", type="free")
        assert {name: done[name] for name in ("seen", "new", "again", "pending", "replayed")} == {
            "seen": 4, "new": 0, "again": 2, "pending": 2, "replayed": 2,
        }  # fmt: skip
        assert await claimed(room) == [("old", "dead"), ("old", "good")]


async def test_it_is_narrowed_by_time_tenant_and_type(tmp_path: Path, config: Config) -> None:
    async with open_room(tmp_path, config) as room:
        for n in range(4):
            await room.accept(msgspec.structs.replace(event(str(n)), accepted_at=NOW - n))
        cases: list[tuple[dict[str, Any], int]] = [
            ({"since": NOW - 2, "until": NOW}, 2),
            ({"since": NOW + 1}, 0),
            ({"tenant": "acme"}, 0),
            ({"type": "other"}, 0),
            ({"type": "free"}, 4),
            ({"type": "fr*"}, 4),
            ({"type": "*"}, 4),
            ({"type": "other*"}, 0),
        ]
        for body, count in cases:
            assert (await ask(room, "/v1/webhooks/old/replay", **body, dry_run=True))["new"] == count, body


async def test_it_goes_on_slice_by_slice_and_leaves_out_what_came_later(
    tmp_path: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "SLICE_S", 0.0)
    monkeypatch.setattr(replay, "CHUNK", 2)
    async with open_room(tmp_path, config) as room:
        for n in range(5):
            await room.accept(event(str(n)))
        part = await ask(room, "/v1/webhooks/old/replay", all=True)
        assert (part["seen"], part["replayed"]) == (2, 2)
        room.at = NOW + 10
        await room.accept(msgspec.structs.replace(event("later"), accepted_at=room.at))
        seen = []
        while part["after"] is not None:
            part = await ask(room, "/v1/webhooks/old/replay", after=part["after"], until=part["until"])
            seen.append(part["seen"])
        assert seen == [2, 1, 0]
        assert await claimed(room) == [("old", str(n)) for n in range(5)]


async def test_a_held_webhook_holds_what_is_replayed(tmp_path: Path, config: Config) -> None:
    async with open_room(tmp_path, config) as room:
        held = {name: Binding(fingerprint="f", rules="r", held=name == "old") for name in config.webhooks}
        await room.store.revise(Bind(webhooks=held), 100, NOW)
        await room.accept(event("1"))
        assert (await ask(room, "/v1/webhooks/old/replay", all=True))["replayed"] == 1
        assert (await room.get("/v1/status/old"))[1]["held"] == 1
        assert await claimed(room) == []


async def test_an_ordered_webhook_gets_new_ones_in_order(tmp_path: Path, config: Config) -> None:
    async with open_room(tmp_path, config) as room:
        for n in range(3):
            await room.accept(event(str(n)))
        assert (await ask(room, "/v1/webhooks/row/replay", all=True))["new"] == 3
        assert await claimed(room) == [("row", "0")]


# --------------------------------------------------------------------------- redrive


async def test_a_dry_run_of_a_redrive_changes_nothing(tmp_path: Path, config: Config) -> None:
    async with open_room(tmp_path, config) as room:
        for n in range(2):
            for claim in await room.accept(event(str(n)), "old", "row"):
                await room.kill(claim)
        counted = await ask(room, "/v1/redrive", all=True, dry_run=True)
        assert counted == {"redriven": 4, "dry_run": True, "webhooks": {"old": 2, "row": 2}}
        counted = await ask(room, "/v1/redrive", webhook="old", dry_run=True)
        assert counted == {"redriven": 2, "dry_run": True, "webhooks": {"old": 2}}
        assert (room.woken, await claimed(room)) == (0, [])
        assert (await room.post("/v1/redrive", b'{"dry_run":true}'))[0] == 422
        assert (await room.post("/v1/redrive", b'{"webhook":"odl","dry_run":true}'))[0] == 404


async def test_a_failed_test_is_neither_dead_nor_redriven(tmp_path: Path, config: Config) -> None:
    async with open_room(tmp_path, config) as room:
        (test,) = await room.accept(event("1"), "old", once=True)
        await room.record(test, Dead(cause=Cause.TEST))
        assert (await room.get("/v1/status"))[1]["dead"] == 0
        assert (await ask(room, "/v1/redrive", all=True)) == {"redriven": 0}
        assert (await ask(room, "/v1/redrive", delivery_id=test.delivery_id)) == {"redriven": 0}
