"""The control API explains: real HTTP on a real socket, a config of real files, the memory store."""

from __future__ import annotations

import json
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio

from hookd.config.load import load
from hookd.core.model import Event
from hookd.store.base import Suspend
from tests.control.rooms import NOW, open_room

if TYPE_CHECKING:
    from hookd.config.load import Loaded

CANARY = "c4n4ry-s3cret"
CONFIG = f"""
    version: 1
    event_types:
      user.new: {{schema: user.json, require: [tenant]}}
      free: {{}}
    profiles:
      quick: {{timeout: 3s}}
    webhooks:
      crm:
        profile: quick
        url: https://u.example.com/hooks/crm?key={CANARY}
        tenant: acme
        events: ["user.*"]
        filter: {{data.n: {{gte: 3}}}}
        headers: {{X-Api-Key: {CANARY}}}
        auth: {{bearer: {CANARY}}}
        secrets: {{token: {CANARY}}}
        sign: {{scheme: standard, secrets: [whsec_{"A" * 32}]}}
        body: {{template: {{t: $(secrets.token), n: $(data.n)}}}}
        max_pending: 2
      other:
        url: https://other.example.com/
        tenant: "*"
        events: [user.new]
        paused: true
      none:
        url: https://none.example.com/
        events: [free]
"""


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    (tmp_path / "user.json").write_text('{"type": "object", "properties": {"n": {"type": "integer"}}}')
    (tmp_path / "hookd.yaml").write_text(textwrap.dedent(CONFIG))
    return load(tmp_path / "hookd.yaml")


def event(**more: object) -> bytes:
    return json.dumps({"type": "user.new", "tenant": "acme", "data": {"n": 5}, **more}).encode()


async def test_an_event_is_routed_and_nothing_happens(tmp_path: Path, loaded: Loaded) -> None:
    async with open_room(tmp_path, loaded.config) as room:
        status, answer = await room.post("/v1/route", event(id="e1"))
        assert status == 200
        assert (answer["refused"], answer["event"]) == (None, {"id": "e1", "type": "user.new", "tenant": "acme"})
        assert [(each["webhook"], each["held"]) for each in answer["webhooks"]] == [("crm", None), ("other", "paused")]
        request = answer["webhooks"][0]["request"]
        assert (request["method"], request["url"]) == ("POST", "https://u.example.com/hooks/crm")
        assert request["body"] == '{"t":"***","n":5}'
        assert "clauses" not in answer["webhooks"][0]
        assert CANARY not in json.dumps(answer)
        assert (room.attempted, room.woken) == ([], 0)
        (row,) = [row for row in (await room.get("/v1/status"))[1]["backlog"] if row["webhook"] == "crm"]
        assert row["pending"] == 0


async def test_what_decided_is_told_with_its_place(tmp_path: Path, loaded: Loaded) -> None:
    async with open_room(tmp_path, loaded.config) as room:
        room.files = loaded.snapshot
        # What the disk holds now does not matter.
        (tmp_path / "hookd.yaml").write_text("version: 1\n")
        status, answer = await room.post("/v1/route?explain=true", event(data={"n": 1}))
        assert status == 200
        main = str(tmp_path / "hookd.yaml")
        told = {each["webhook"]: each for each in answer["webhooks"]}
        assert {name: each["reason"] for name, each in told.items()} == {
            "crm": "filter",
            "other": "taken",
            "none": "tenant",
        }
        assert told["crm"]["clauses"] == [
            {
                "at": ["filter", "data.n", "gte"],
                "holds": False,
                "text": "data.n gte 3; the event has 1",
                "place": f"{main}:14:23",
            }
        ]
        assert [clause["place"] for clause in told["other"]["clauses"]] == [
            f"{main}:{n}" for n in ("23:5", "24:14", "25:5")
        ]
        assert told["none"]["clauses"][0]["place"] == f"{main}:26:3"
        status, answer = await room.post("/v1/route?explain=true&webhook=none", event())
        assert [each["webhook"] for each in answer["webhooks"]] == ["none"]


async def test_without_files_there_are_no_places(tmp_path: Path, loaded: Loaded) -> None:
    async with open_room(tmp_path, loaded.config) as room:
        _, answer = await room.post("/v1/route?explain=true&webhook=crm", event())
        assert {clause["place"] for clause in answer["webhooks"][0]["clauses"]} == {None}
        status, refused = await room.post("/v1/definitions", b'{"webhooks": ["crm"], "origins": true}')
        assert (status, refused["detail"]) == (409, "this daemon's config stands in no file")


async def test_what_the_store_knows_is_told(tmp_path: Path, loaded: Loaded) -> None:
    async with open_room(tmp_path, loaded.config) as room:
        await room.store.revise(Suspend(webhook="crm", cause="410 gone"), 10, room.at)
        for number in range(2):
            await room.accept(Event(id=str(number), type="user.new", accepted_at=NOW, digest=b"1"), "crm")
        _, answer = await room.post("/v1/route?webhook=crm", event())
        (told,) = answer["webhooks"]
        assert (told["held"], told["suspended_cause"], told["pending"], told["overflow"]) == (
            "suspended",
            "410 gone",
            2,
            True,
        )


@pytest.mark.parametrize(
    ("written", "code", "path"),
    [
        (b"{", "malformed_json", None),
        (event(type="user.nev"), "unknown_type", "/type"),
        (json.dumps({"type": "user.new", "data": {}}).encode(), "attribute_required", "/tenant"),
        (event(data={"n": CANARY}), "schema_invalid", "/data/n"),
    ],
)
async def test_an_event_that_would_be_refused_is_an_answer(
    tmp_path: Path, loaded: Loaded, written: bytes, code: str, path: str | None
) -> None:
    async with open_room(tmp_path, loaded.config) as room:
        status, answer = await room.post("/v1/route", written)
        assert status == 200
        assert (answer["refused"]["code"], answer["refused"]["path"], answer["webhooks"]) == (code, path, [])
        assert CANARY not in json.dumps(answer)


async def test_definitions_are_given_by_digest_and_then_whole(tmp_path: Path, loaded: Loaded) -> None:
    async with open_room(tmp_path, loaded.config) as room:
        room.files = loaded.snapshot
        status, answer = await room.get("/v1/definitions", key="00ff")
        assert status == 200
        assert answer["main"] == str(tmp_path / "hookd.yaml")
        assert answer["digests"] == {name: each.digest for name, each in loaded.config.webhooks.items()}
        assert answer["event_types"]["user.new"]["require"] == ["tenant"]
        assert answer["daemon"]["limits"]["concurrency"] == 256
        body = {"webhooks": ["crm", "none"], "origins": True, "key": "00ff"}
        status, answer = await room.post("/v1/definitions", json.dumps(body).encode())
        assert (status, list(answer["webhooks"])) == (200, ["crm", "none"])
        crm = answer["webhooks"]["crm"]
        assert crm["definition"]["timeout"] == "3s"
        origin = next(each for each in crm["origins"] if each["path"] == ["timeout"])
        assert origin == {"path": ["timeout"], "layer": "profile quick", "place": f"{tmp_path}/hookd.yaml:7:11"}
        assert CANARY not in json.dumps(answer)
        other_key = {"webhooks": ["crm"], "key": "11"}
        _, again = await room.post("/v1/definitions", json.dumps(other_key).encode())
        assert again["webhooks"]["crm"]["definition"]["secrets"] != crm["definition"]["secrets"]


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("/v1/route?explain=yes", b"{}", 422, "explain is true or false"),
        ("/v1/route?explains=true", b"{}", 422, "nothing else"),
        ("/v1/route?webhook=crn", b"{}", 404, "did you mean `crm`"),
        ("/v1/definitions", b"[]", 422, "must be an object"),
        ("/v1/definitions", b"{", 400, "not JSON"),
        ("/v1/definitions", b"{}", 422, "list of ids"),
        ("/v1/definitions", b'{"webhooks": [1]}', 422, "list of ids"),
        ("/v1/definitions", b'{"webhooks": ["nope"]}', 404, "no webhook `nope`"),
        ("/v1/definitions", b'{"webhooks": [], "origins": 1}', 422, "true or false"),
        ("/v1/definitions", b'{"webhooks": [], "key": "xyz"}', 422, "hexadecimal"),
        ("/v1/definitions", b'{"webhooks": [], "key": ""}', 422, "hexadecimal"),
        ("/v1/definitions", b'{"webhooks": [], "all": true}', 422, "nothing else"),
    ],
)
async def test_what_is_not_understood_is_refused(
    loaded: Loaded, path: str, body: bytes, status: int, words: str
) -> None:
    folder = Path(loaded.snapshot.main).parent
    async with open_room(folder, loaded.config) as room:
        found, answer = await room.post(path, body)
        assert found == status
        assert words in answer["detail"]


async def test_too_many_at_once_are_refused(tmp_path: Path, loaded: Loaded) -> None:
    async with open_room(tmp_path, loaded.config) as room:
        status, answer = await room.post("/v1/definitions", json.dumps({"webhooks": ["crm"] * 1_001}).encode())
        assert status == 422
        assert "at most 1000" in answer["detail"]


async def test_explaining_many_webhooks_leaves_others_their_turn(tmp_path: Path) -> None:
    """Two thousand webhooks: the loop goes round often while they are explained."""
    lines = "".join(
        f"  w{n}: {{url: 'https://w{n}.example/', events: ['user.*'], filter: {{data.n: {n}}}}}\n" for n in range(2_000)
    )
    (tmp_path / "hookd.yaml").write_text(f"version: 1\nwebhooks:\n{lines}")
    many = load(tmp_path / "hookd.yaml")
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with open_room(tmp_path, many.config) as room, trio.open_nursery() as nursery:
        written = json.dumps({"type": "user.new", "data": {"n": 7}}).encode()
        await room.post("/v1/route", written)  # whatever is made at first is made
        nursery.start_soon(count_turns)
        started = time.perf_counter()
        _, answer = await room.post("/v1/route?explain=true", written)
        spent = time.perf_counter() - started
        nursery.cancel_scope.cancel()
    assert len(answer["webhooks"]) == 2_000
    assert [each["webhook"] for each in answer["webhooks"] if each["taken"]] == ["w7"]
    assert turns >= 2_000 / 50, (turns, spent)
