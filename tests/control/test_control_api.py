"""The control API: real HTTP on a real socket, over the memory store."""

from __future__ import annotations

import json
import textwrap
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
import trio.testing

from hookd.config.load import load_config
from hookd.config.problems import Problem
from hookd.control import patience
from hookd.control.reloading import Reloaded
from hookd.core.config import Place
from hookd.core.instants import format_instant
from hookd.core.model import Delivered, Event, Exchange, WebhookState
from hookd.store.base import Suspend
from tests.control.rooms import NOW, open_room

if TYPE_CHECKING:
    from pathlib import Path

    from hookd.core.config import Config

CONFIG = """
    version: 1
    event_types:
      user.new: {schema: user.json, require: [id, tenant]}
      free: {description: Of no schema}
    webhooks:
      crm:
        url: https://u.example.com/hooks/crm?key=s3cret
        tenant: acme
        events: ["user.*", {event: free, active: false}]
        filter: {data.vip: true}
        headers: {X-Team: crm, X-Api-Key: s3cret, X-File: {file: f}}
        auth: {basic: {username: me, password: s3cret}}
        secrets: {token: {env: TOKEN}}
        sign: {scheme: standard, secrets: [{credential: new}]}
        body: {template: {a: $(data.n?), t: $(secrets.token)}}
        test_event: {type: user.new, id: fixed, data: {n: 1}}
      all:
        url: {file: url}
        tenant: "*"
        events: ["*"]
      plain:
        url: https://example.com/
        events: [free, hookd.webhook.suspended]
        proxy: http://me:s3cret@proxy.example:3128
        http2: true
"""


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "user.json").write_text('{"type": "object", "properties": {"n": {"type": "integer"}}}')
    (tmp_path / "hookd.yaml").write_text(textwrap.dedent(CONFIG))
    return load_config(tmp_path / "hookd.yaml")


def event(event_id: str, kind: str = "free", tenant: str | None = None) -> Event:
    return Event(id=event_id, type=kind, tenant=tenant, data=b"1", accepted_at=NOW, digest=event_id.encode())


# --------------------------------------------------------------------------- definitions


async def test_webhooks_are_listed_and_shown_without_secrets(tmp_path: Path, config: Config) -> None:
    async with open_room(tmp_path, config) as room:
        status, listed = await room.get("/v1/webhooks")
        assert (status, [each["id"] for each in listed]) == (200, ["all", "crm", "plain"])
        assert listed[0]["url"] == {"file": str(tmp_path / "url")}
        assert listed[1]["url"] == "https://u.example.com/hooks/crm"
        status, shown = await room.get("/v1/webhooks/crm")
        assert status == 200
        assert shown["headers"] == {"X-Team": "crm", "X-Api-Key": "***", "X-File": {"file": str(tmp_path / "f")}}
        assert shown["auth"] == {"basic": {"username": "me", "password": "***"}}
        assert shown["sign"] == {"scheme": "standard", "secrets": [{"credential": "new"}]}
        assert shown["secrets"] == {"token": {"env": "TOKEN"}}
        assert shown["body"]["template"] == {"a": "$(data.n?)", "t": "$(secrets.token)"}
        assert shown["test_event"]["id"] == "fixed"
        _, plain = await room.get("/v1/webhooks/plain")
        assert (plain["proxy"], plain["http2"]) == ("http://***@proxy.example:3128", True)
        assert (shown["proxy"], shown["http2"]) == (None, False)
        assert "s3cret" not in json.dumps([listed, shown, plain])
        status, types = await room.get("/v1/event-types")
        assert types[0] == {"type": "free", "description": "Of no schema", "require": []}


@pytest.mark.parametrize("path", ["/v1/webhooks/{}", "/v1/status/{}", "/v1/attempts?webhook={}"])
async def test_a_mistyped_webhook_is_found(tmp_path: Path, config: Config, path: str) -> None:
    async with open_room(tmp_path, config) as room:
        status, problem = await room.get(path.format("crn"))
        assert status == 404
        assert problem["detail"].startswith("there is no webhook `crn` in the running config")
        assert problem["detail"].endswith("; did you mean `crm`?")
        status, problem = await room.get(path.format(quote("\x1b" + "x" * 500)))
        assert len(problem["detail"]) < 200
        assert "\x1b" not in problem["detail"]


async def test_what_the_api_does_not_have_is_a_problem_too(tmp_path: Path, config: Config) -> None:
    async with open_room(tmp_path, config) as room:
        for (status, problem), expected in (
            (await room.get("/v2/x"), (404, "not_found")),
            (await room.post("/v1/status"), (405, "method_not_allowed")),
            (await room.get("/v1/reload"), (405, "method_not_allowed")),
            (await room.post("/v1/reload", b"["), (400, "bad_request")),
            (await room.get("/v1/status/crn"), (404, "not_found")),
            (await room.get("/v1/attempts", tipe="x"), (422, "unprocessable_content")),
            (await room.get("/v1/attempts", type="user.*"), (422, "unprocessable_content")),
            (await room.post("/v1/redrive", b'{"type": "user.*"}'), (422, "unprocessable_content")),
        ):
            assert (status, problem["code"]) == expected
            assert (problem["type"], problem["status"]) == ("about:blank", status)
            assert problem["title"].lower().replace(" ", "_") == problem["code"]


# --------------------------------------------------------------------------- status


async def test_status_counts_and_says_when_a_person_is_needed(tmp_path: Path, config: Config) -> None:
    async with open_room(tmp_path, config) as room:
        first, second = await room.accept(event("1"), "all", "plain")
        await room.record(first, Delivered())
        await room.retry(second, NOW + 5_000)
        await room.kill((await room.accept(event("2"), "plain"))[0])
        status, whole = await room.get("/v1/status")
        assert status == 200
        assert (whole["pending"], whole["held"], whole["dead"], whole["delivered"]) == (1, 0, 1, 1)
        assert (whole["healthy"], whole["pid"], whole["webhooks"]) == (True, 7, 3)
        assert whole["started_at"] == format_instant(NOW - 1_000)
        plain = whole["backlog"][2]
        assert (plain["webhook"], plain["state"], plain["next_due_at"]) == ("plain", "ok", format_instant(NOW + 5_000))
        await room.store.revise(Suspend(webhook="plain", cause="gone"), 100, NOW)
        _, whole = await room.get("/v1/status")
        assert (whole["healthy"], whole["held"], whole["backlog"][2]["state"]) == (False, 1, "suspended")
        _, row = await room.get("/v1/status/plain")
        assert row == whole["backlog"][2]


@pytest.mark.parametrize(
    ("gates", "due", "expected"),
    [
        ({}, 5_000, 5_000),
        ({}, -5_000, -5_000),
        ({"open_until": NOW + 30_000}, -5_000, 30_000),
        ({"open_until": NOW + 30_000}, 40_000, 40_000),
        ({"open_until": NOW - 1}, -5_000, -5_000),  # a probe is due
        ({"open_until": NOW + 10_000_000}, -5_000, -5_000),  # of a wrong clock: nobody waits for it
        ({"paused_until": NOW + 60_000}, -5_000, 60_000),
        ({"paused_until": NOW - 1}, -5_000, -5_000),
        ({"paused_until": NOW + 90_000_000}, -5_000, -5_000),
        ({"open_until": NOW + 30_000, "paused_until": NOW + 20_000}, -5_000, 30_000),
        ({"suspended_at": NOW, "suspended_cause": "gone"}, -5_000, None),
    ],
)
async def test_what_is_due_waits_for_its_webhook(
    tmp_path: Path, config: Config, gates: dict[str, Any], due: int, expected: int | None
) -> None:
    async with open_room(tmp_path, config) as room:
        await room.retry((await room.accept(event("1"), "plain"))[0], NOW + due)
        await room.store.record([], [WebhookState(webhook="plain", **gates)], NOW)
        _, row = await room.get("/v1/status/plain")
        assert row["pending"] == 1
        assert row["next_due_at"] == (None if expected is None else format_instant(NOW + expected))


async def test_a_store_that_does_not_answer_holds_nobody_up(
    tmp_path: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "PATIENCE_S", 0.2)
    async with open_room(tmp_path, config) as room:
        answer, asked, read = trio.Event(), 0, room.store.read

        async def hang(*what: Any) -> Any:
            nonlocal asked
            asked += 1
            await answer.wait()
            return await read(*what)

        monkeypatch.setattr(room.store, "read", hang)
        status, whole = await room.get("/v1/status")
        assert (status, whole["healthy"], whole["pending"], whole["backlog"]) == (200, False, None, [])
        assert (whole["in_flight"], whole["webhooks"]) == (0, 3)  # what is known without it
        assert "the store has not answered for 0 s" in whole["store_silent"]
        # One question is out, and no other is asked.
        status, problem = await room.get("/v1/status/plain")
        assert (status, asked) == (503, 1)
        assert "the disk hangs" in problem["detail"]
        answer.set()
        await trio.testing.wait_all_tasks_blocked()
        _, whole = await room.get("/v1/status")
        assert (whole["healthy"], whole["pending"], whole["store_silent"]) == (True, 0, None)


async def test_a_writer_that_is_stuck_needs_a_person(tmp_path: Path, config: Config) -> None:
    async with open_room(tmp_path, config) as room:
        room.ill = "the store's writer has been at one batch for 31 s"
        _, whole = await room.get("/v1/status")
        assert (whole["healthy"], whole["pending"], whole["store_silent"]) == (False, 0, room.ill)


async def test_a_full_disk_needs_a_person(tmp_path: Path, config: Config) -> None:
    async with open_room(tmp_path, config) as room:
        _, whole = await room.get("/v1/status")
        assert (whole["healthy"], whole["store_full"]) == (True, None)
        room.short = "the disk has no room"
        _, whole = await room.get("/v1/status")
        assert (whole["healthy"], whole["store_full"]) == (False, "the disk has no room")


async def test_refused_files_need_a_person(tmp_path: Path, config: Config) -> None:
    async with open_room(tmp_path, config) as room:
        also = Place(file="hookd.yaml", line=1, column=1)
        place = Place(file="hookd.yaml", line=3, column=5)
        fault = Problem(place, "unknown key", "unknown_key", expected="one of name", hint="name", also=also)
        room.rejected = room.reloaded = Reloaded(changed=False, revision="r", problems=(fault,))
        _, whole = await room.get("/v1/status")
        assert whole["healthy"] is False
        problem = {
            "file": "hookd.yaml",
            "line": 3,
            "column": 5,
            "severity": "error",
            "code": "unknown_key",
            "message": "unknown key",
            "expected": "one of name",
            "hint": "name",
            "also": {"file": "hookd.yaml", "line": 1, "column": 1},
            "notes": [],
        }
        assert whole["config_rejected"]["problems"] == [problem]
        status, reloaded = await room.post("/v1/reload")
        assert (status, reloaded["problems"]) == (200, [problem])


async def test_a_webhook_that_left_the_files_is_still_told_of(tmp_path: Path, config: Config) -> None:
    async with open_room(tmp_path, config) as room:
        await room.accept(event("1"), "plain")
        room.config = replace(config, webhooks={name: config.webhooks[name] for name in ("all", "crm")})
        status, row = await room.get("/v1/status/plain")
        assert (status, row["state"], row["pending"]) == (200, "missing", 1)
        assert await room.get("/v1/attempts", webhook="plain") == (200, [])
        assert (await room.get("/v1/webhooks/plain"))[0] == 404


# --------------------------------------------------------------------------- the request log


EXCHANGE = Exchange(
    method="POST",
    url="http://example.com/",
    request_headers=(("content-type", "application/json"),),
    request_body=b'{"n":1E2}',
    response_status=200,
    response_headers=(("x", "y"),),
    response_body=b"\xff",
)


async def test_the_request_log_and_its_exchanges(tmp_path: Path, config: Config) -> None:
    async with open_room(tmp_path, config) as room:
        for number in range(12):
            room.at = NOW + number
            (claim,) = await room.accept(event(str(number), tenant="acme"), "crm")
            await room.record(claim, Delivered(), EXCHANGE)
        _, rows = await room.get("/v1/attempts")
        assert [row["event_id"] for row in rows] == [str(number) for number in range(11, 1, -1)]
        assert "request" not in rows[0]
        _, rows = await room.get("/v1/attempts", webhook="crm", limit=12)
        assert rows[0]["request"]["body"] == '{"n":1E2}'
        assert rows[0]["response"] == {"status": 200, "headers": [["x", "y"]], "body": {"base64": "/w=="}}
        assert ["request" in row for row in rows] == [True] * 10 + [False] * 2
        assert (rows[0]["duration_ms"], rows[0]["started_at"]) == (1.2, format_instant(NOW + 11))
        _, rows = await room.get("/v1/attempts", order="oldest", after=rows[1]["seq"])
        assert [row["event_id"] for row in rows] == ["11"]
        cases: list[tuple[dict[str, object], int]] = [
            ({"since": NOW + 10}, 2),
            ({"until": NOW + 1}, 1),
            ({"tenant": "other"}, 0),
            ({"tenant": "acme", "limit": 100}, 12),
            ({"type": "free", "limit": 3}, 3),
            ({"event_id": "7"}, 1),
        ]
        for narrowed, found in cases:
            assert len((await room.get("/v1/attempts", **narrowed))[1]) == found, narrowed


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=-1", "limit=x", "limit=" + "9" * 50, "since=1.5", "after=²", "order=up", "webhok=crm"]
)
async def test_a_query_that_means_nothing_is_refused(tmp_path: Path, config: Config, query: str) -> None:
    async with open_room(tmp_path, config) as room:
        assert (await room.get(f"/v1/attempts?{query}"))[0] == 422


# --------------------------------------------------------------------------- redrive


async def test_redrive_takes_what_is_named(tmp_path: Path, config: Config) -> None:
    async with open_room(tmp_path, config) as room:
        for number in range(4):
            room.at = NOW + number
            for claim in await room.accept(event(str(number), tenant="acme"), "crm", "all"):
                await room.kill(claim)
        room.at = NOW + 10
        for body, count in [
            ({"webhook": "crm", "since": NOW + 1, "until": NOW + 3}, 2),
            ({"tenant": "other"}, 0),
            ({"webhook": "crm"}, 2),
            ({"all": True}, 4),
            ({"all": True}, 0),
        ]:
            assert await room.post("/v1/redrive", json.dumps(body).encode()) == (200, {"redriven": count}), body
        assert room.woken == 5


async def test_a_redrive_may_be_had_in_slices(tmp_path: Path, config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hookd.control.service.CHUNK", 2)
    async with open_room(tmp_path, config) as room:
        for number in range(5):
            for claim in await room.accept(event(str(number)), "plain"):
                await room.kill(claim)
        body: dict[str, object] = {"all": True}
        told = []
        for _ in range(3):
            status, part = await room.post("/v1/redrive", json.dumps({**body, "limit": 2}).encode())
            assert status == 200
            told.append((part["redriven"], part["more"]))
            body = {"until": part["until"]}
        assert told == [(2, True), (2, True), (1, False)]
        assert room.woken == 3


async def test_what_dies_while_it_is_redriven_is_not_redriven_again(tmp_path: Path, config: Config) -> None:
    async with open_room(tmp_path, config) as room:
        (claim,) = await room.accept(event("1"), "plain")
        room.at = NOW + 60_000
        await room.kill(claim)
        room.at = NOW  # what is redriven dies later than it began
        assert (await room.post("/v1/redrive", b'{"all":true}'))[1] == {"redriven": 0}
        room.at = NOW + 60_000
        assert (await room.post("/v1/redrive", b'{"all":true}'))[1] == {"redriven": 1}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b'{"webhook":"a","webhook":"b"}', 400),
        (b"[]", 422),
        (b"{}", 422),
        (b'{"all":false}', 422),
        (b'{"all":1}', 422),
        (b'{"all":true,"webhook":"crm"}', 422),
        (b'{"webhook":7}', 422),
        (b'{"since":"x"}', 422),
        (b'{"since":true}', 422),
        (b'{"since":99999999999999999999}', 422),
        (b'{"webhok":"crm"}', 422),
        (b'{"webhook":"crn"}', 404),
    ],
)
async def test_a_redrive_that_is_not_clear_does_nothing(
    tmp_path: Path, config: Config, body: bytes, status: int
) -> None:
    async with open_room(tmp_path, config) as room:
        await room.kill((await room.accept(event("1"), "crm"))[0])
        assert (await room.post("/v1/redrive", body))[0] == status
        assert (await room.get("/v1/status/crm"))[1]["dead"] == 1


# --------------------------------------------------------------------------- test


async def test_a_test_event_goes_out_under_an_id_of_its_own(tmp_path: Path, config: Config) -> None:
    async with open_room(tmp_path, config) as room:
        for number in (1, 2):
            status, tested = await room.post("/v1/webhooks/crm/test")
            assert (status, tested["event_id"], tested["outcome"]) == (200, f"evt_{number}", "delivered")
            assert "seq" not in tested
        name, sent = room.attempted[0]
        assert (name, sent.type, sent.tenant, sent.data) == ("crm", "user.new", "acme", b'{"n": 1}')
        written = b'{"type":"user.new","id":"own","data":{"n":1 , "u":"\\u00e9"}}'
        assert (await room.post("/v1/webhooks/crm/test", written))[0] == 200
        assert room.attempted[2][1].data == b'{"n":1 , "u":"\\u00e9"}'
        assert room.attempted[2][1].id == "evt_3"


async def test_own_events_can_be_tested_and_all_tenants_too(tmp_path: Path, config: Config) -> None:
    async with open_room(tmp_path, config) as room:
        own = b'{"type":"hookd.webhook.suspended","data":{"webhook":"x"}}'
        assert (await room.post("/v1/webhooks/plain/test", own))[0] == 200
        assert room.attempted[0][1].type == "hookd.webhook.suspended"
        assert (await room.post("/v1/webhooks/all/test", b'{"type":"free","tenant":"who"}'))[0] == 200
        assert room.attempted[1][1].tenant == "who"
        cloud = b'{"specversion":"1.0","id":"1","source":"s","type":"free","ext":"e"}'
        assert (await room.post("/v1/webhooks/plain/test", cloud))[0] == 200
        assert room.attempted[2][1].extensions == b'{"ext":"e"}'


@pytest.mark.parametrize(
    ("name", "written", "word"),
    [
        ("crn", b"", "did you mean `crm`?"),
        ("plain", b"", "has no test_event"),
        ("plain", b"{", "malformed_json"),
        ("plain", b"[]", "an event is a JSON object"),
        ("plain", b'{"type":"free","type":"free"}', "the same key twice"),
        ("plain", b'{"type":"fre"}', "unknown_type at /type"),
        ("plain", b'{"type":7}', "invalid_event at /type"),
        ("plain", b'{"type":"free","tenant":"acme"}', "tenant is not that of webhook"),
        ("plain", b'{"type":"hookd.x","tennant":"acme"}', "tennant"),
        ("crm", b'{"type":"free","tenant":"other"}', "tenant is not that of webhook"),
        ("crm", b'{"type":"user.new"}', "data is required"),
        ("crm", b'{"type":"user.new","data":{"n":"s3cret"}}', "schema_invalid at /data/n"),
        ("all", b'{"type":"user.new","data":{}}', "attribute_required at /tenant"),
    ],
)
async def test_a_test_event_is_judged_as_any_other(
    tmp_path: Path, config: Config, name: str, written: bytes, word: str
) -> None:
    async with open_room(tmp_path, config) as room:
        status, problem = await room.post(f"/v1/webhooks/{name}/test", written)
        assert status == (404 if name == "crn" else 422)
        assert word in problem["detail"]
        assert "s3cret" not in problem["detail"]
        assert room.attempted == []
