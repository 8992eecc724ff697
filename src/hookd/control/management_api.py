"""Managing webhooks over HTTP: a tenant's own with a token, all that the API wrote on the control socket.

Rules of this module:

1. A request is answered from what the running config holds, or by a change that is live when the answer goes out.
2. A refusal is an RFC 9457 problem document with a code; a definition that is not right has `errors`, each with the
   JSON Pointer of the value that it is about. No value is repeated.
3. What a tenant is shown holds nothing of the operator's: no place in a file, no network, no look-up, no other tenant.
4. `ETag` is the revision of the definition (RFC 9110, 8.8.3); `If-Match` and `If-None-Match: *` are honoured for every
   change. An answer that holds a secret, or anything else of a tenant's, is not for caches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
import trio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from hookd.config.resources import resource
from hookd.control.asked import (
    read_caller,
    read_conditions,
    read_definition,
    read_id,
    read_instant,
    read_limit,
    read_query,
    read_whole,
)
from hookd.control.management import Act, Conditions, ManagementRefused, Wish, refuse_missing
from hookd.control.service import ControlRefused
from hookd.core.model import Cause, Page
from hookd.store.base import StoreUnavailable
from hookd.store.queries import Attempts
from hookd.web.problem import MEDIA_TYPE, problem

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.requests import Request

    from hookd.config.managing.managed import Written
    from hookd.control.callers import Caller
    from hookd.control.service import Service
    from hookd.control.writing import Done, Writer

#: A definition is a screen of text; an event to test with may be larger, but not by much.
MOST_BODY_BYTES: Final = 64 * 1024
OPENAPI: Final = "schemas/control.openapi.json"
OPENAPI_PATH: Final = "/v1/openapi.json"
#: Causes whose detail tells of the receiver alone. Others name addresses, files or settings.
_TELLABLE: Final = frozenset({Cause.DNS, Cause.CONNECT_REFUSED, Cause.CONNECT_TIMEOUT, Cause.CONNECT_FAILED, Cause.TLS})
_TELLABLE_ALWAYS: Final = frozenset(
    {Cause.TIMEOUT, Cause.RESET, Cause.RESPONSE_MALFORMED, Cause.RENDER_FAILED, Cause.BODY_SCHEMA}
)

_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

_encode: Final = msgspec.json.Encoder().encode


def build_tenant_app(service: Service, writer: Writer, make_name: Callable[[], str]) -> Starlette:
    """Give the ASGI app that tenants use; who asks stands in `state.grant` of each request, a `Caller`."""
    api = Api(service, writer, make_name)
    webhook = "/v1/webhooks/{id:path}"
    return Starlette(
        routes=[
            _resource(OPENAPI_PATH, GET=_openapi),
            _resource("/v1/event-types", GET=api.event_types),
            _resource("/v1/webhooks", GET=api.webhooks, POST=api.create),
            _resource(f"{webhook}/test", POST=api.test),
            _resource(f"{webhook}/rotate-secret", POST=api.rotate),
            _resource(f"{webhook}/resume", POST=api.resume),
            _resource(f"{webhook}/attempts", GET=api.attempts),
            _resource(webhook, GET=api.webhook, PUT=api.put, DELETE=api.remove),
        ],
        exception_handlers={HTTPException: _explain},
    )


def _resource(path: str, **methods: Callable[[Request], Awaitable[Response]]) -> Route:
    """Give a route that knows its methods, all of them: what follows an id must not be taken for a part of it."""

    async def endpoint(request: Request) -> Response:
        ask = methods.get("GET" if request.method == "HEAD" else request.method)
        if ask is None:
            raise HTTPException(405, headers={"allow": ", ".join(methods)})
        return await answer(ask)(request)

    return Route(path, endpoint, methods=_METHODS)


def operator_routes(service: Service, writer: Writer, make_name: Callable[[], str]) -> list[Route]:
    """Give what the control socket has besides: the caller is the operator, an id is whole."""
    api = Api(service, writer, make_name)
    webhook = "/v1/webhooks/{id:path}"
    return [
        Route(OPENAPI_PATH, _openapi),
        Route("/v1/managed", answer(api.webhooks)),
        Route("/v1/managed/{id:path}", answer(api.webhook)),
        Route("/v1/webhooks", answer(api.create), methods=["POST"]),
        Route(f"{webhook}/rotate-secret", answer(api.rotate), methods=["POST"]),
        Route(webhook, answer(api.put), methods=["PUT"]),
        Route(webhook, answer(api.remove), methods=["DELETE"]),
    ]


class Api:
    """What each route does. `request.state.grant` is the caller."""

    def __init__(self, service: Service, writer: Writer, make_name: Callable[[], str]) -> None:
        self._service = service
        self._writer = writer
        self._make_name = make_name

    async def event_types(self, _request: Request) -> Response:
        """List the catalogue."""
        return _json({"event_types": self._service.event_types()})

    async def webhooks(self, request: Request) -> Response:
        """List the caller's webhooks, page by page, by id."""
        caller = read_caller(request)
        asked = read_query(request, "limit", "after")
        limit, after = read_limit(asked), asked.get("after", "")
        directory = self._writer.directory()
        shown: list[dict[str, object]] = []
        more = None
        for name in directory.ids(caller):
            written = directory.visible(caller, name) if name > after else None
            if written is None:
                continue
            if len(shown) == limit:
                more = shown[-1]["id"]
                break
            shown.append(_describe(caller, written))
            if len(shown) % 20 == 0:
                await trio.lowlevel.checkpoint()  # each is read from YAML the first time
        return _json({"webhooks": shown, "next": more})

    async def webhook(self, request: Request) -> Response:
        """Give one, with its revision."""
        caller, written = self._find(request)
        return _json(_describe(caller, written), headers={"etag": f'"{written.etag}"'})

    async def create(self, request: Request) -> Response:
        """Create one under an id that is made."""
        caller = read_caller(request)
        given = await read_definition(request)
        name = self._make_name()
        webhook_id = caller.full_id(name) or name
        wish = Wish(act=Act.PUT, id=webhook_id, caller=caller, given=given, conditions=Conditions(absent=True))
        return _answer_change(caller, await self._writer.submit(wish))

    async def put(self, request: Request) -> Response:
        """Create one, or replace it."""
        return await self._change(request, Act.PUT, await read_definition(request))

    async def remove(self, request: Request) -> Response:
        """Remove one, and end its backlog."""
        return await self._change(request, Act.REMOVE)

    async def rotate(self, request: Request) -> Response:
        """Make another signing secret; the one before signs along for a day."""
        return await self._change(request, Act.ROTATE)

    async def _change(self, request: Request, act: Act, given: Mapping[str, object] | None = None) -> Response:
        caller = read_caller(request)
        webhook_id = read_id(request, caller)
        wish = Wish(act=act, id=webhook_id, caller=caller, given=given, conditions=read_conditions(request))
        return _answer_change(caller, await self._writer.submit(wish))

    async def test(self, request: Request) -> Response:
        """Send one event to one webhook, and give the request and the response."""
        _, written = self._find(request)
        body = (await request.body()).strip()
        if not body and self._writer.directory().base.config.webhooks[written.id].test_event is None:
            message = "the webhook has no `test_event`: set one, or send the event with this request, its type and data"
            raise ManagementRefused(422, "no_test_event", message)
        tested = await self._service.test(written.id, body or None)
        return _json(_for_tenant(tested))

    async def resume(self, request: Request) -> Response:
        """Lift a suspension; what is pending is due now."""
        _, written = self._find(request)
        row = await self._service.resume(written.id)
        return _json({key: row[key] for key in ("changed", "state", "pending", "held")})

    async def attempts(self, request: Request) -> Response:
        """Give the request log of one webhook, newest first."""
        _, written = self._find(request)
        asked = read_query(request, "limit", "after", "since", "until", "type")
        query = Attempts(
            webhook=written.id,
            tenant=str(written.definition["tenant"]),
            since=read_instant(asked, "since"),
            until=read_instant(asked, "until"),
            type=asked.get("type"),
        )
        limit, after = read_limit(asked), read_whole(asked, "after")
        rows = await self._service.attempts(query, Page(limit=limit, after=after))
        more = rows[-1]["seq"] if len(rows) == limit else None
        return _json({"attempts": [_for_tenant(row) for row in rows], "next": more})

    def _find(self, request: Request) -> tuple[Caller, Written]:
        caller = read_caller(request)
        written = self._writer.directory().visible(caller, read_id(request, caller))
        if written is None:
            raise refuse_missing()
        return caller, written


def answer(ask: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """Give an endpoint that says in a problem document what it refuses."""

    async def endpoint(request: Request) -> Response:
        try:
            return await ask(request)
        except ManagementRefused as refused:
            return _refusal(refused)
        except ControlRefused as refused:
            return _refusal(ManagementRefused(refused.status, "refused", refused.message))
        except StoreUnavailable:
            return _refusal(ManagementRefused(503, "store_failed", "the store failed; the daemon is stopping"))

    return endpoint


def _refusal(refused: ManagementRefused) -> Response:
    errors = [
        {"pointer": it.pointer or "", "of_key": it.of_key, "code": it.code, "message": it.message}
        for it in refused.errors
    ]
    members = {"errors": errors} if errors else None
    headers = {"retry-after": "1"} if refused.status == 503 else {}  # noqa: PLR2004  HTTP's
    body = problem(refused.status, refused.message, code=refused.code, members=members).body
    return Response(body, refused.status, headers, MEDIA_TYPE)


async def _explain(_request: Request, error: Exception) -> Response:
    """Say that there is no such route, or not with this method."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = error.headers if isinstance(error, HTTPException) else None
    body = problem(status, f"the API has no such thing; {OPENAPI_PATH} says what it has").body
    return Response(body, status, headers, MEDIA_TYPE)


async def _openapi(_request: Request) -> Response:
    return Response(resource(OPENAPI), media_type="application/json")


# --------------------------------------------------------------------------- what is answered


def _answer_change(caller: Caller, done: Done) -> Response:
    if done.ended is not None:
        return _json({"id": done.plan.wish.id, "ended": done.ended})
    if done.written is None:
        return Response(status_code=204)
    shown = _describe(caller, done.written)
    shown["config_revision"] = str(done.config.revision)
    if done.secret is not None:
        shown["secret"] = done.secret
    headers = {"etag": f'"{done.written.etag}"'}
    created = done.plan.before is None
    if created:
        headers["location"] = f"/v1/webhooks/{done.written.id}"
    return _json(shown, status=201 if created else 200, headers=headers)


def _describe(caller: Caller, written: Written) -> dict[str, object]:
    return {
        "id": written.id,
        "tenant": written.definition.get("tenant"),
        "profile": written.definition.get("profile"),
        "revision": written.etag,
        "definition": caller.shown(written.definition),
    }


def _for_tenant(line: Mapping[str, Any]) -> dict[str, object]:
    """Give a line of the request log without what it tells of the operator's settings and networks."""
    shown = {**line}
    shown.pop("revision", None)
    if shown.get("cause") not in _TELLABLE | _TELLABLE_ALWAYS:
        shown["detail"] = None
    return shown


def _json(value: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(_encode(value), status, {"cache-control": "no-store", **(headers or {})}, "application/json")
