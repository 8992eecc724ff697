"""`POST /v1/events` over real sockets, with a foreign HTTP client and the CloudEvents SDK."""

from __future__ import annotations

import itertools
import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import httpx
import pytest
import structlog
import trio
import trio.lowlevel
import trio.testing
from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent

from hookd.config.references import SecretReader
from hookd.core.config import (
    Body,
    Config,
    EventType,
    Fault,
    Place,
    Reference,
    ReferenceKind,
    Revision,
    Trigger,
    Webhook,
)
from hookd.core.daemonconfig import DaemonConfig, HttpInlet, Limits, Token
from hookd.core.model import Page, RefusalCode
from hookd.core.routing import build_index
from hookd.core.template import DEFAULT_TEMPLATE, compile_template
from hookd.inlet import http, intake
from hookd.inlet.http import STATUSES, serve_events
from hookd.inlet.intake import Intake
from hookd.store.base import Failed, StoreUnavailable
from hookd.store.memory import MemoryStore
from hookd.store.queries import Deliveries
from hookd.web.sockets import open_tcp_listeners, open_unix_listener

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path

    from hookd.core.model import Event
    from hookd.store.base import Entry, EntryResult

NOW = 1_700_000_000_000
CANARY = "never-show-this"
LIMITS = Limits(event_bytes=2000, batch_bytes=1_000_000)


class PositiveAmount:
    """A schema of the tests' own."""

    def fault(self, value: object) -> Fault | None:
        good = isinstance(value, dict) and isinstance(value.get("amount"), int)
        return None if good else Fault(path="/amount", message="an integer is needed")


def make_config() -> Config:
    webhook = Webhook(
        id="crm",
        place=Place(file="hookd.yaml"),
        url="http://127.0.0.1:9/",
        tenant="*",
        triggers=(Trigger(pattern="user.*"),),
        body=Body(template=compile_template(DEFAULT_TEMPLATE)),
    )
    types = [
        EventType(name="user.updated"),
        EventType(name="user.paid", validator=PositiveAmount()),
        EventType(name="company.new", require=("tenant",)),
    ]
    return Config(
        revision=Revision(hash="0"),
        daemon=DaemonConfig(limits=LIMITS),
        event_types={kind.name: kind for kind in types},
        webhooks={"crm": webhook},
        index=build_index([webhook]),
    )


@dataclass
class Door:
    """A running inlet, and what is behind it."""

    client: httpx.AsyncClient
    store: MemoryStore
    intake: Intake
    stopping: trio.Event = field(default_factory=trio.Event)
    ended: trio.Event = field(default_factory=trio.Event)

    async def post(
        self, content: str | bytes, content_type: str = "application/json", **headers: str
    ) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.post("/v1/events", content=content, headers={"content-type": content_type, **named})

    async def events(self) -> list[Event]:
        rows = await self.store.read(Deliveries(), Page(limit=100_000))
        return [row.event for row in rows]


class OpenDoor(Protocol):
    async def __call__(
        self,
        *,
        tokens: tuple[Token, ...] | None = None,
        store: MemoryStore | None = None,
        unix: Path | None = None,
        serving: bool = True,
    ) -> Door: ...


@pytest.fixture
async def open_door(nursery: trio.Nursery) -> AsyncIterator[OpenDoor]:
    """Open inlets that close with the test."""
    clients: list[httpx.AsyncClient] = []

    async def start(
        *,
        tokens: tuple[Token, ...] | None = None,
        store: MemoryStore | None = None,
        unix: Path | None = None,
        serving: bool = True,
    ) -> Door:
        config = make_config()
        ids = itertools.count()
        held = store or MemoryStore()
        behind = Intake(
            held,
            current_config=lambda: config,
            now=lambda: NOW,
            new_id=lambda: f"made-{next(ids)}",
            room=lambda _webhooks: {},
            hand_over=lambda _claims: None,
        )
        if serving:
            await nursery.start(behind.serve)
        transport = None
        if unix is None:
            listeners = await open_tcp_listeners("127.0.0.1", 0)
            base = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        else:
            listeners = [open_unix_listener(str(unix), 0o600)]
            transport, base = httpx.AsyncHTTPTransport(uds=str(unix)), "http://hookd"
        door = Door(httpx.AsyncClient(base_url=base, transport=transport, timeout=20), held, behind)
        clients.append(door.client)

        async def run(*, task_status: trio.TaskStatus[None]) -> None:
            await serve_events(
                behind,
                HttpInlet(host="127.0.0.1", port=0, tokens=tokens),
                listeners,
                secrets=SecretReader(None, os.environ),
                limits=LIMITS,
                stopping=door.stopping,
                task_status=task_status,
            )
            door.ended.set()

        await nursery.start(run)
        return door

    yield start
    for client in clients:
        await client.aclose()


def event(number: int = 0, **attributes: object) -> dict[str, object]:
    return {"id": f"e{number}", "type": "user.updated", "data": {"n": number}, **attributes}


# --------------------------------------------------------------------------- one


async def test_one_event_is_accepted_once(open_door: OpenDoor) -> None:
    door = await open_door()
    sent = '{"type":"user.updated","id":"e1","data":{"n":1E2,"f":0.10,"u":"\\u00e9\\/"}}'
    reply = await door.post(sent)
    assert (reply.status_code, reply.headers["content-type"]) == (202, "application/json")
    assert reply.json() == {"status": "accepted", "id": "e1", "deliveries": 1}
    again = await door.post(sent.replace("{", "{ "), "application/json; charset=UTF-8")
    assert (again.status_code, again.json()) == (202, {"status": "duplicate", "id": "e1"})
    [kept] = await door.events()
    assert kept.data == b'{"n":1E2,"f":0.10,"u":"\\u00e9\\/"}'
    other = await door.post('{"type":"user.updated","id":"e1","data":{"n":2}}')
    assert (other.status_code, other.json()["code"]) == (409, "id_conflict")


async def test_an_event_without_an_id_gets_one(open_door: OpenDoor) -> None:
    door = await open_door()
    assert (await door.post('{"type":"user.updated"}')).json()["id"] == "made-0"


REFUSALS = [
    ('{"type":', 400, "malformed_json", None),
    ("", 400, "malformed_json", None),
    ('{"type":"user.updated","data":NaN}', 400, "malformed_json", None),
    (b'{"type":"user.updated","data":"\xff"}', 400, "malformed_json", None),
    ("[]", 422, "invalid_event", None),
    ('{"type":"user.updated","tennant":"a"}', 422, "invalid_event", "/tennant"),
    ('{"type":"user.updated","data":' + "[" * 70 + "]" * 70 + "}", 422, "too_deep", None),
    ('{"type":"user.unknown"}', 422, "unknown_type", "/type"),
    ('{"type":"company.new"}', 422, "attribute_required", "/tenant"),
    (f'{{"type":"user.paid","data":{{"amount":"{CANARY}"}}}}', 422, "schema_invalid", "/data/amount"),
    (json.dumps(event(data="x" * 2000)), 413, "too_large", None),
]


@pytest.mark.parametrize(("sent", "status", "code", "path"), REFUSALS)
async def test_a_refusal_is_a_problem_document(
    open_door: OpenDoor, sent: str | bytes, status: int, code: str, path: str | None
) -> None:
    door = await open_door()
    with structlog.testing.capture_logs() as lines:
        reply = await door.post(sent)
    problem = reply.json()
    assert reply.headers["content-type"] == "application/problem+json"
    assert (reply.status_code, problem["status"], problem["code"]) == (status, status, code)
    assert problem["type"] == f"urn:hookd:{code}"
    assert problem["detail"]
    assert problem["title"]
    assert (problem.get("path"), problem["retry"]) == (path, False)
    assert CANARY not in reply.text
    assert CANARY not in str(lines)
    assert await door.events() == []
    assert (await door.post('{"type":"user.updated"}')).status_code == 202  # and the door is open


def test_every_code_has_a_status() -> None:
    assert set(STATUSES) == set(RefusalCode)


class Answering(MemoryStore):
    """A store that answers as it is told."""

    def __init__(self, answer: Failed | StoreUnavailable) -> None:
        super().__init__()
        self.answer = answer

    async def accept(self, entries: Sequence[Entry], room: Mapping[str, int], now: int) -> Sequence[EntryResult]:
        assert now == NOW
        assert not room
        await trio.lowlevel.checkpoint()
        if isinstance(self.answer, StoreUnavailable):
            raise self.answer
        return [self.answer] * len(entries)


@pytest.mark.parametrize(
    ("answer", "status", "code", "retry_after"),
    [
        (Failed(code=RefusalCode.DISK_LOW, message="the disk is short"), 507, "disk_low", "60"),
        (StoreUnavailable("gone"), 503, "store_failed", "5"),
    ],
)
async def test_what_may_succeed_later_says_when(
    open_door: OpenDoor,
    answer: Failed | StoreUnavailable,
    status: int,
    code: str,
    retry_after: str,
) -> None:
    door = await open_door(store=Answering(answer))
    reply = await door.post('{"type":"user.updated"}')
    assert (reply.status_code, reply.json()["code"], reply.headers["retry-after"]) == (status, code, retry_after)
    assert reply.json()["retry"] is True
    assert reply.json()["id"] == "made-0"  # so that it can be sent again with the same one
    batch = await door.post('{"type":"user.updated"}', "application/x-ndjson")
    assert (batch.status_code, batch.json()["code"]) == (207, code)


async def fill(door: Door, count: int) -> None:
    """Put events into the queue of an intake that is not serving."""
    items = [door.intake.judge_line(json.dumps(event(1000 + number)).encode()) for number in range(count)]
    await door.intake.offer(items, inlet="test")


async def test_who_finds_no_place_in_the_queue_is_told_soon(
    open_door: OpenDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "OFFER_WAIT_S", 0.05)
    monkeypatch.setattr(intake, "QUEUED_EVENTS", 2)
    door = await open_door(serving=False)
    await fill(door, 2)
    reply = await door.post(json.dumps(event(9)))
    assert (reply.status_code, reply.headers["retry-after"]) == (429, "1")
    assert (reply.json()["code"], reply.json()["id"], reply.json()["retry"]) == ("overloaded", "e9", True)


@pytest.mark.parametrize("content_type", ["application/x-ndjson", "application/cloudevents-batch+json"])
async def test_what_comes_after_the_overload_does_not_overtake(
    open_door: OpenDoor, monkeypatch: pytest.MonkeyPatch, nursery: trio.Nursery, content_type: str
) -> None:
    monkeypatch.setattr(http, "OFFER_WAIT_S", 0)
    monkeypatch.setattr(http, "EVENTS_PER_OFFER", 2)
    monkeypatch.setattr(intake, "QUEUED_EVENTS", 3)
    door = await open_door(serving=False)
    await fill(door, 1)
    sent = [json.dumps(event(number)) for number in range(5)]
    replies: list[httpx.Response] = []

    async def post() -> None:
        text = "\n".join(sent) if content_type.endswith("ndjson") else f"[{','.join(sent)}]"
        replies.append(await door.post(text, content_type))

    async with trio.open_nursery() as posting:
        posting.start_soon(post)
        await trio.testing.wait_all_tasks_blocked(0.1)  # two are queued, the next two found no place
        await nursery.start(door.intake.serve)
    [reply] = replies
    assert reply.status_code == 207
    told = reply.json() if reply.text.startswith("[") else [json.loads(line) for line in reply.text.splitlines()]
    assert [outcome(one) for one in told] == ["accepted"] * 2 + ["overloaded"] * 3


# --------------------------------------------------------------------------- what is not an event


@pytest.mark.parametrize(
    ("asked", "headers", "status", "says"),
    [
        ("POST /v1/event", {"content-type": "application/json"}, 404, {}),
        ("POST /v1/events/", {"content-type": "application/json"}, 404, {}),
        ("GET /v1/events", {}, 405, {"allow": "POST"}),
        ("PUT /v1/events", {"content-type": "application/json"}, 405, {"allow": "POST"}),
        ("POST /v1/events", {}, 415, {"accept": http._ACCEPT.decode()}),
        ("POST /v1/events", {"content-type": "text/plain"}, 415, {}),
        ("POST /v1/events", {"content-type": "application/json; charset=latin-1"}, 415, {}),
        (
            "POST /v1/events",
            {"content-type": "application/json", "content-encoding": "gzip"},
            415,
            {"accept-encoding": "identity"},
        ),
    ],
)
async def test_what_is_no_event_is_refused_by_its_head(
    open_door: OpenDoor,
    asked: str,
    headers: dict[str, str],
    status: int,
    says: dict[str, str],
) -> None:
    door = await open_door()
    method, path = asked.split()
    body = b'{"type":"user.updated"}' if method != "GET" else b""
    reply = await door.client.request(method, path, content=body, headers=headers)
    assert (reply.status_code, reply.json()["status"]) == (status, status)
    assert {name: reply.headers[name] for name in says} == says
    assert await door.events() == []


# --------------------------------------------------------------------------- tokens


async def test_a_token_is_asked_for_and_binds_its_tenant(open_door: OpenDoor) -> None:
    door = await open_door(tokens=(Token(secret="one"), Token(secret="two", tenant="acme")))
    for wrong, challenge in (
        ({}, "Bearer"),
        ({"authorization": "Bearer three"}, 'Bearer error="invalid_token"'),
        ({"authorization": "Bearer"}, 'Bearer error="invalid_token"'),
        ({"authorization": "Basic one"}, 'Bearer error="invalid_token"'),
        ({"authorization": "one"}, 'Bearer error="invalid_token"'),
    ):
        with structlog.testing.capture_logs() as lines:
            reply = await door.post(json.dumps(event()), **wrong)
        assert (reply.status_code, reply.headers["www-authenticate"]) == (401, challenge)
        assert [(line["event"], line["code"], line["inlet"]) for line in lines] == [
            ("event.refused", "not_allowed", "http")
        ]
        assert "three" not in str(lines)
    assert await door.events() == []
    assert (await door.post(json.dumps(event(1)), authorization="bearer one")).status_code == 202
    assert (await door.post(json.dumps(event(2)), authorization="Bearer two")).status_code == 202
    assert (await door.post(json.dumps(event(3, tenant="acme")), authorization="Bearer two")).status_code == 202
    other = await door.post(json.dumps(event(4, tenant="rival")), authorization="Bearer two")
    assert (other.status_code, other.json()["code"], other.json()["path"]) == (403, "not_allowed", "/tenant")
    assert {kept.id: kept.tenant for kept in await door.events()} == {"e1": None, "e2": "acme", "e3": "acme"}


async def test_a_token_is_read_when_it_is_used(open_door: OpenDoor, tmp_path: Path) -> None:
    path = trio.Path(tmp_path / "token")
    door = await open_door(tokens=(Token(secret=Reference(ReferenceKind.FILE, str(path))),))
    with structlog.testing.capture_logs() as lines:
        for _ in range(3):
            assert (await door.post(json.dumps(event()), authorization="Bearer old")).status_code == 401
        assert (await door.post(json.dumps(event()), authorization="Bearer")).status_code == 401
    told = [line for line in lines if line["event"] == "token.unreadable"]
    assert len(told) == 1
    assert str(path) in told[0]["reason"]
    await path.write_text("old\n")
    assert (await door.post(json.dumps(event()), authorization="Bearer old")).status_code == 202
    await path.write_text("newer\n")
    assert (await door.post(json.dumps(event()), authorization="Bearer old")).status_code == 401
    assert (await door.post(json.dumps(event()), authorization="Bearer newer")).status_code == 202


async def test_a_stranger_is_refused_before_the_body_is_read(open_door: OpenDoor) -> None:
    door = await open_door(tokens=(Token(secret="one"),))
    port = door.client.base_url.port
    assert port is not None
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(
            b"POST /v1/events HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n"
        )
        with trio.fail_after(5):
            got = await stream.receive_some()
    assert got.startswith(b"HTTP/1.1 401 ")


async def test_a_unix_socket_names_the_user_in_the_log(open_door: OpenDoor, tmp_path: Path) -> None:
    door = await open_door(unix=tmp_path / "h.sock")
    with structlog.testing.capture_logs() as lines:
        assert (await door.post("{}")).status_code == 422
    [line] = lines
    assert (line["event"], line["inlet"], line["uid"]) == ("event.refused", "http", os.getuid())


# --------------------------------------------------------------------------- many


MIXED = [
    json.dumps(event(1)),
    "",
    '{"type":"user.updated"',
    json.dumps(event(1)),
    json.dumps(event(1, data=0)),
    json.dumps(event(2, data="x" * 2000)),
    '{"type":"user.paid","data":{}}',
    json.dumps(event(3)),
]
OUTCOMES = ["accepted", "malformed_json", "duplicate", "id_conflict", "too_large", "schema_invalid", "accepted"]


def outcome(reply: dict[str, Any]) -> str:
    return str(reply.get("code", reply["status"]))


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("last", ["", "\n"])
async def test_lines_stand_alone(open_door: OpenDoor, end: str, last: str) -> None:
    door = await open_door()
    reply = await door.post(end.join(MIXED) + last, "application/x-ndjson")
    assert (reply.status_code, reply.headers["content-type"]) == (207, "application/x-ndjson")
    assert [outcome(json.loads(line)) for line in reply.text.splitlines()] == OUTCOMES
    assert reply.text.splitlines()[0] == '{"status":"accepted","id":"e1","deliveries":1}'
    assert [kept.id for kept in await door.events()] == ["e1", "e3"]


async def test_a_batch_stands_alone(open_door: OpenDoor) -> None:
    door = await open_door()
    items = [line for line in MIXED if line and not line.startswith('{"type":"user.updated"')]
    reply = await door.post("[" + ",".join(items) + ",7]", "application/cloudevents-batch+json")
    assert (reply.status_code, reply.headers["content-type"]) == (207, "application/json")
    assert [outcome(one) for one in reply.json()] == [
        *(one for one in OUTCOMES if one != "malformed_json"),
        "invalid_event",
    ]


@pytest.mark.parametrize("content_type", ["application/x-ndjson", "application/ndjson"])
async def test_many_lines_are_all_accepted_in_order(open_door: OpenDoor, content_type: str) -> None:
    door = await open_door()
    lines = "\n".join(json.dumps(event(number)) for number in range(2000))
    reply = await door.post(lines, content_type)
    assert reply.status_code == 202
    assert [json.loads(line)["id"] for line in reply.text.splitlines()] == [f"e{number}" for number in range(2000)]
    again = await door.post(lines, content_type)
    assert again.status_code == 202
    assert {json.loads(line)["status"] for line in again.text.splitlines()} == {"duplicate"}


async def test_a_large_batch_is_accepted_while_others_are_served(open_door: OpenDoor) -> None:
    door = await open_door()
    items = [event(number, data="x" * 1000) for number in range(800)]
    replies: list[httpx.Response] = []

    async def post_batch() -> None:
        replies.append(await door.post(json.dumps(items), "application/cloudevents-batch+json"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(post_batch)
        assert (await door.post('{"type":"user.updated"}')).status_code == 202
    [reply] = replies
    assert reply.status_code == 202
    assert [one["id"] for one in reply.json()] == [f"e{number}" for number in range(800)]


@pytest.mark.parametrize(
    ("sent", "code"), [("{}", "invalid_event"), ("[", "malformed_json"), ("[1,]", "malformed_json")]
)
async def test_what_is_no_batch_is_refused_whole(open_door: OpenDoor, sent: str, code: str) -> None:
    door = await open_door()
    reply = await door.post(sent, "application/cloudevents-batch+json")
    assert (reply.status_code, reply.json()["code"]) == (STATUSES[RefusalCode(code)], code)


async def test_nothing_is_fine(open_door: OpenDoor) -> None:
    door = await open_door()
    lines = await door.post("\n\n", "application/x-ndjson")
    assert (lines.status_code, lines.content) == (202, b"")
    array = await door.post("[]", "application/cloudevents-batch+json")
    assert (array.status_code, array.json()) == (202, [])


async def test_a_body_of_many_is_bounded(open_door: OpenDoor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MOST_LINES", 3)
    door = await open_door()
    assert (await door.post("\n" * 2, "application/x-ndjson")).status_code == 202
    for sent in ("\n" * 3, "x" * 1_000_001):
        reply = await door.post(sent, "application/x-ndjson")
        assert (reply.status_code, reply.json()["code"]) == (413, "too_large")


# --------------------------------------------------------------------------- CloudEvents


def cloud_event(number: int) -> CloudEvent:
    return CloudEvent(
        {
            "id": f"c{number}",
            "source": "/shop?a=1",
            "type": "user.updated",
            "subject": "Jürgen 100%",
            "shard": "7",
            "datacontenttype": "application/json",
        },
        {"n": number},
    )


async def test_what_the_cloudevents_sdk_sends_is_understood(open_door: OpenDoor) -> None:
    door = await open_door()
    for message in (to_structured_event(cloud_event(1)), to_binary_event(cloud_event(2))):
        reply = await door.client.post("/v1/events", content=message.body, headers=message.headers)
        assert reply.status_code == 202, reply.text
    batch = b"[" + b",".join(to_structured_event(cloud_event(number)).body for number in (3, 4)) + b"]"
    reply = await door.post(batch, "application/cloudevents-batch+json")
    assert [outcome(one) for one in reply.json()] == ["accepted", "accepted"]
    kept = await door.events()
    assert [one.id for one in kept] == ["c1", "c2", "c3", "c4"]
    for number, one in enumerate(kept, 1):
        assert (one.source, one.subject) == ("/shop?a=1", "Jürgen 100%")
        assert json.loads(one.data or b"") == {"n": number}
        assert json.loads(one.extensions or b"") == {"shard": "7"}


async def test_binary_mode_without_data_needs_no_content_type(open_door: OpenDoor) -> None:
    door = await open_door()
    headers = {"ce-specversion": "1.0", "ce-id": "b1", "ce-source": "/s", "ce-type": "user.updated"}
    assert (await door.client.post("/v1/events", headers=headers)).status_code == 202
    text = await door.client.post("/v1/events", headers={**headers, "content-type": "text/plain"}, content=b"hello")
    assert (text.status_code, text.json()["code"]) == (422, "invalid_event")
    missing = await door.client.post("/v1/events", headers={"ce-specversion": "1.0", "ce-type": "user.updated"})
    assert (missing.status_code, missing.json()["code"]) == (422, "invalid_event")


# --------------------------------------------------------------------------- the end


async def test_stopping_answers_what_was_read(open_door: OpenDoor) -> None:
    door = await open_door()
    assert (await door.post(json.dumps(event()))).status_code == 202
    door.stopping.set()
    with trio.fail_after(5):
        await door.ended.wait()
    with pytest.raises(httpx.TransportError):
        await door.post(json.dumps(event()))
