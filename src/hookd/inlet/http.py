"""Events over HTTP: `POST /v1/events`.

Rules of this module:

1. Who may come in, and how large the body may be, is decided before the body is read.
2. One event (`application/json`, `application/cloudevents+json`, or a CloudEvent in binary mode) is answered with 202
   and the reply of the line protocol, or with a problem document (RFC 9457) that carries the same code.
3. Many (`application/x-ndjson`, `application/cloudevents-batch+json`) are answered with 202 if all were accepted or
   duplicates, else with 207, and one reply for each event: as lines to NDJSON, as a JSON array to a batch. Events stand
   alone: one that is refused does not touch the others. Only a batch that is no JSON array is refused whole, as is a
   body of more than `MOST_LINES` lines.
4. A producer over HTTP is not kept waiting for a place in the queue as one on the socket is: after a moment it gets
   `overloaded`, 429. In a body of many, so does all that comes after, since it must not overtake.
5. The events of a request that carries a `traceparent` (W3C Trace Context) belong to its trace, but for those that name
   another themselves.

How a refusal's code becomes a status: `STATUSES`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import trio
from msgspec.structs import replace

from hookd.core.lines import LineFramer, render_reply
from hookd.core.model import Refusal, RefusalCode
from hookd.core.tracing import read_traceparent
from hookd.core.wire import refuse_too_large
from hookd.web.limits import HttpLimits
from hookd.web.messages import Admission, Response
from hookd.web.problem import problem
from hookd.web.server import serve_http
from hookd.web.tokens import Tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hookd.config.references import Secrets
    from hookd.core.daemonconfig import HttpInlet, Limits
    from hookd.core.lines import Line
    from hookd.core.model import Reply
    from hookd.core.wire import Incoming
    from hookd.inlet.intake import Intake, Ticket
    from hookd.web.messages import HeaderList, Request

PATH: Final = b"/v1/events"
#: What the log calls this way in.
INLET: Final = "http"
#: How long an offer may wait for a place in the queue before its events are refused as `overloaded`.
OFFER_WAIT_S: Final = 1.0
#: Judging 64 events takes about a millisecond; then it is the others' turn.
EVENTS_PER_TURN: Final = 64
#: Events of one body that are offered together, so that the first are stored while the last are judged.
EVENTS_PER_OFFER: Final = 512
#: Of a body; 16 MiB of short lines would otherwise become gigabytes of replies.
MOST_LINES: Final = 100_000
#: A batch is one JSON text and judged in one go; above this size a thread does it, since 1 MiB takes 20 ms.
THREAD_BYTES: Final = 256 * 1024

#: Refusals of one event. Those of RFC 9110 where they fit; 507 is WebDAV's (RFC 4918, 11.5), and says what it is.
STATUSES: Final = {
    RefusalCode.MALFORMED_JSON: 400,
    RefusalCode.NOT_ALLOWED: 403,
    RefusalCode.ID_CONFLICT: 409,
    RefusalCode.TOO_LARGE: 413,
    RefusalCode.TOO_DEEP: 422,
    RefusalCode.INVALID_EVENT: 422,
    RefusalCode.UNKNOWN_TYPE: 422,
    RefusalCode.SCHEMA_INVALID: 422,
    RefusalCode.ATTRIBUTE_REQUIRED: 422,
    RefusalCode.OVERLOADED: 429,
    RefusalCode.STORE_FAILED: 503,
    RefusalCode.DISK_LOW: 507,
}
#: Seconds until it may be worth another try: a queue empties in a moment, a daemon restarts, a disk is seen to.
RETRY_AFTER: Final = {RefusalCode.OVERLOADED: b"1", RefusalCode.STORE_FAILED: b"5", RefusalCode.DISK_LOW: b"60"}

_JSON: Final = ((b"content-type", b"application/json"),)
_NDJSON: Final = ((b"content-type", b"application/x-ndjson"),)
_ACCEPT: Final = (
    b"application/json, application/cloudevents+json, application/x-ndjson, application/cloudevents-batch+json"
)
_OVERLOADED: Final = Refusal(code=RefusalCode.OVERLOADED, message="too many events are waiting to be stored; try again")


class _Mode(Enum):
    """How the body holds events."""

    ONE = "one"
    BINARY = "binary"
    LINES = "lines"
    ARRAY = "array"


_MODES: Final = {
    b"application/json": _Mode.ONE,
    b"application/cloudevents+json": _Mode.ONE,
    b"application/x-ndjson": _Mode.LINES,
    b"application/ndjson": _Mode.LINES,
    b"application/cloudevents-batch+json": _Mode.ARRAY,
}


@dataclass(frozen=True, slots=True)
class _Origin:
    """Whose request it is, for the log, and the trace that it belongs to, which is that of its events."""

    uid: int | None
    traceparent: str | None


@dataclass(frozen=True, slots=True)
class _Grant:
    """What admission found out about a request."""

    mode: _Mode
    tenant: str | None


async def serve_events(
    intake: Intake,
    inlet: HttpInlet,
    listeners: Sequence[trio.SocketListener],
    *,
    secrets: Secrets,
    limits: Limits,
    stopping: trio.Event,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Take events over HTTP until `stopping` is set and what was read is answered. The listeners are closed then."""
    door = _Door(intake, inlet, secrets, limits)
    http_limits = HttpLimits(
        body_bytes=limits.event_bytes, bodies_bytes=max(HttpLimits().bodies_bytes, 4 * limits.batch_bytes)
    )
    await serve_http(door.answer, listeners, http_limits, stopping=stopping, admit=door.admit, task_status=task_status)


class _Door:
    """One HTTP inlet."""

    def __init__(self, intake: Intake, inlet: HttpInlet, secrets: Secrets, limits: Limits) -> None:
        self._intake = intake
        self._tokens = None if inlet.tokens is None else Tokens(inlet.tokens, secrets)
        self._event_bytes = limits.event_bytes
        self._threads = trio.CapacityLimiter(1)
        tenants = {None} if inlet.tokens is None else {token.tenant for token in inlet.tokens}
        self._admissions = {(mode, tenant): _admission(mode, tenant, limits) for mode in _Mode for tenant in tenants}

    # ----------------------------------------------------------------------- before the body

    def admit(self, request: Request) -> Admission | Response:
        """Say whether the body may come, or why not."""
        if request.raw_path != PATH:
            return problem(404, "there is nothing here; events go to POST /v1/events")
        if request.method != "POST":
            return problem(405, "events are sent with POST", headers=((b"allow", b"POST"),))
        tenant = None
        if self._tokens is not None:
            authorization = request.header(b"authorization")
            token = self._tokens.match(authorization)
            if token is None:
                return self._refuse_stranger(request, presented=authorization is not None)
            tenant = token.tenant
        mode = _mode_of(request)
        return mode if isinstance(mode, Response) else self._admissions[mode, tenant]

    def _refuse_stranger(self, request: Request, *, presented: bool) -> Response:
        what = "the bearer token is not one of this inlet's" if presented else "a bearer token is needed"
        uid = None if request.peer is None else request.peer.uid
        self._intake.tell_refusal(Refusal(code=RefusalCode.NOT_ALLOWED, message=what), inlet=INLET, uid=uid)
        challenge = b'Bearer error="invalid_token"' if presented else b"Bearer"  # RFC 6750, 3
        return problem(401, what, headers=((b"www-authenticate", challenge),))

    # ----------------------------------------------------------------------- the body is there

    async def answer(self, request: Request) -> Response:
        """Judge what came, have it stored, and answer."""
        grant = request.grant
        assert isinstance(grant, _Grant)  # noqa: S101  admission gave it
        tenant = grant.tenant
        uid = None if request.peer is None else request.peer.uid
        origin = _Origin(uid, read_traceparent(request.header(b"traceparent")))
        match grant.mode:
            case _Mode.ONE:
                return await self._answer_one(self._intake.judge_line(request.body, tenant), origin)
            case _Mode.BINARY:
                return await self._answer_one(self._intake.judge_headers(request.headers, request.body, tenant), origin)
            case _Mode.LINES:
                return await self._answer_lines(request.body, tenant, origin)
            case _Mode.ARRAY:
                return await self._answer_array(request.body, tenant, origin)

    async def _answer_one(self, item: Incoming | Refusal, origin: _Origin) -> Response:
        ticket = await self._offer([item], origin)
        if ticket is None:
            return _refuse(replace(_OVERLOADED, id=_id_of(item)))
        [reply] = await ticket.replies()
        if isinstance(reply, Refusal):
            return _refuse(reply)
        return Response(202, _JSON, render_reply(reply))

    async def _answer_lines(self, body: bytes, tenant: str | None, origin: _Origin) -> Response:
        if body.count(b"\n") >= MOST_LINES:
            return _refuse(Refusal(code=RefusalCode.TOO_LARGE, message=f"a body may have {MOST_LINES} lines"))
        framer = LineFramer(self._event_bytes)
        lines: list[Line] = [*framer.feed(body), *framer.finish()]  # the end of the body ends its last line
        batch = _Batch()
        for start in range(0, len(lines), EVENTS_PER_OFFER):
            items: list[Incoming | Refusal] = []
            for line in lines[start : start + EVENTS_PER_OFFER]:
                items.append(self._intake.judge_line(line, tenant))
                if len(items) % EVENTS_PER_TURN == 0:
                    await trio.lowlevel.checkpoint()
            if not batch.add(await self._offer(items, origin)):
                break
        replies = await batch.replies(len(lines))
        return Response(_status_of(replies), _NDJSON, b"".join([render_reply(reply) for reply in replies]))

    async def _answer_array(self, body: bytes, tenant: str | None, origin: _Origin) -> Response:
        judge = self._intake.judge_batch
        if len(body) > THREAD_BYTES:
            judged = await trio.to_thread.run_sync(judge, body, tenant, limiter=self._threads)
        else:
            judged = judge(body, tenant)
        if isinstance(judged, Refusal):
            return await self._answer_one(judged, origin)
        batch = _Batch()
        for start in range(0, len(judged), EVENTS_PER_OFFER):
            if not batch.add(await self._offer(judged[start : start + EVENTS_PER_OFFER], origin)):
                break
        replies = await batch.replies(len(judged))
        rendered = b",\n".join([render_reply(reply).rstrip() for reply in replies])
        return Response(_status_of(replies), _JSON, b"[" + rendered + b"]")

    async def _offer(self, items: Sequence[Incoming | Refusal], origin: _Origin) -> Ticket | None:
        """Offer events; None: there was no place for them in time, and none was offered."""
        if origin.traceparent is not None:
            items = [_in_trace(item, origin.traceparent) for item in items]
        with trio.move_on_after(OFFER_WAIT_S):
            return await self._intake.offer(items, inlet=INLET, uid=origin.uid)
        return None


class _Batch:
    """The replies of one body, as they will come, in order."""

    def __init__(self) -> None:
        self._tickets: list[Ticket] = []

    def add(self, ticket: Ticket | None) -> bool:
        """Take the ticket of the next part; say whether there may be another one.

        After a part that was not taken nothing is: what comes later in a body must not overtake what came before.
        """
        if ticket is None:
            return False
        self._tickets.append(ticket)
        return True

    async def replies(self, count: int) -> list[Reply]:
        """Wait for all of them; what was not taken, of `count` events, is refused as `overloaded`."""
        replies: list[Reply] = []
        for ticket in self._tickets:
            replies.extend(await ticket.replies())
        replies.extend([_OVERLOADED] * (count - len(replies)))
        return replies


def _in_trace(item: Incoming | Refusal, traceparent: str) -> Incoming | Refusal:
    """Give an event its request's trace, unless its producer named one."""
    if isinstance(item, Refusal) or item.event.traceparent is not None:
        return item
    return replace(item, event=replace(item.event, traceparent=traceparent))


def _admission(mode: _Mode, tenant: str | None, limits: Limits) -> Admission:
    many = mode in {_Mode.LINES, _Mode.ARRAY}
    limit = limits.batch_bytes if many else limits.event_bytes
    message = f"a body of events may have {limit} bytes" if many else refuse_too_large(limit).message
    refusal = _refuse(Refusal(code=RefusalCode.TOO_LARGE, message=message))
    return Admission(limit, _Grant(mode, tenant), refusal)


def _mode_of(request: Request) -> _Mode | Response:
    """Say how the body holds events, or 415 with what would be taken (RFC 9110, 15.5.16)."""
    coding = request.header(b"content-encoding")
    if coding is not None and coding.lower() != b"identity":
        return problem(415, "bodies are taken as they are, uncompressed", headers=((b"accept-encoding", b"identity"),))
    content_type = request.header(b"content-type")
    media, utf8 = (b"", True) if content_type is None else _media_type(content_type)
    # CloudEvents HTTP binding 1.0, 3: these two say that it is structured or a batch; else the headers hold the event.
    if not media.startswith(b"application/cloudevents") and request.header(b"ce-specversion") is not None:
        return _Mode.BINARY
    mode = _MODES.get(media)
    if mode is None or not utf8:
        accept: HeaderList = ((b"accept", _ACCEPT),)
        return problem(415, f"say in content-type what this is, in UTF-8: {_ACCEPT.decode()}", headers=accept)
    return mode


@lru_cache(maxsize=64)
def _media_type(value: bytes) -> tuple[bytes, bool]:
    """Give type and subtype, and whether the charset, if one is given, is UTF-8 (RFC 8259, 8.1 knows no other)."""
    media, *parameters = value.lower().split(b";")
    charsets = [text.strip()[8:].strip(b'"') for text in parameters if text.strip().startswith(b"charset=")]
    return media.strip(), all(charset in {b"utf-8", b"utf8", b"us-ascii"} for charset in charsets)


def _refuse(refusal: Refusal) -> Response:
    code = refusal.code
    later = RETRY_AFTER.get(code)
    return problem(
        STATUSES[code],
        refusal.told,
        code=code.value,
        members={"path": refusal.path, "id": refusal.id, "retry": refusal.retry},
        headers=((b"retry-after", later),) if later is not None else (),
    )


def _status_of(replies: Sequence[Reply]) -> int:
    return 207 if any(isinstance(reply, Refusal) for reply in replies) else 202


def _id_of(item: Incoming | Refusal) -> str | None:
    return item.id if isinstance(item, Refusal) else item.event.id
