"""The control API over HTTP: a small Starlette app, served on the control socket.

Rules: a refusal is an RFC 9457 problem document, also where there is no such route; a body is JSON, read strictly, and
every value of it is checked here; nothing else is decided here, `service` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from hookd.control.explain_api import ExplainRoutes
from hookd.control.reloading import describe_reloaded
from hookd.control.replay import Wanted
from hookd.control.service import ControlRefused, Service
from hookd.control.strictly import expect_known, read_object, read_path_id
from hookd.core.model import Page
from hookd.logs import encode_json
from hookd.store.base import Redrive, StoreUnavailable
from hookd.store.queries import Attempts, Kept
from hookd.web.problem import MEDIA_TYPE, problem

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from starlette.requests import Request

_DEFAULT_ROWS: Final = 10
#: The store keeps 64 bits with a sign.
_LARGEST: Final = 2**63 - 1
#: What a body may hold, and of which kind it is.
_REDRIVE: Final = {
    "webhook": str,
    "delivery_id": str,
    "tenant": str,
    "type": str,
    "since": int,
    "until": int,
    "all": bool,
    "dry_run": bool,
    "limit": int,
}
_REPLAY: Final = {
    "tenant": str,
    "type": str,
    "since": int,
    "until": int,
    "after": int,
    "all": bool,
    "dry_run": bool,
}
_RELOAD: Final = {"allow_removals": bool}
_SUSPEND: Final = {"cause": str}
_KINDS: Final = {str: "a string", int: "a whole number of 64 bits", bool: "true or false"}
#: What is suspended without a word; and how long a word may be: it stands in the log and on the screen.
_BY_HAND: Final = "by hand"
_CAUSE_LENGTH: Final = 200
_ATTEMPTS: Final = frozenset({"webhook", "tenant", "type", "event_id", "since", "until", "order", "limit", "after"})


def build_app(service: Service, more: Sequence[Route] = ()) -> Starlette:
    """Give the ASGI app of the control API; `more` are routes that others answer."""
    api = _Api(service)
    explain = ExplainRoutes(service.lent)
    return Starlette(
        routes=[
            Route("/v1/route", _answer(explain.route), methods=["POST"]),
            Route("/v1/definitions", _answer(explain.definitions), methods=["GET"]),
            Route("/v1/definitions", _answer(explain.definitions_of), methods=["POST"]),
            Route("/v1/status", _answer(api.status)),
            Route("/v1/status/{id:path}", _answer(api.webhook_status)),
            Route("/v1/event-types", _answer(api.event_types)),
            Route("/v1/webhooks", _answer(api.webhooks)),
            Route("/v1/webhooks/{id:path}/test", _answer(api.test), methods=["POST"]),
            Route("/v1/webhooks/{id:path}/suspend", _answer(api.suspend), methods=["POST"]),
            Route("/v1/webhooks/{id:path}/resume", _answer(api.resume), methods=["POST"]),
            Route("/v1/webhooks/{id:path}/replay", _answer(api.replay), methods=["POST"]),
            Route("/v1/webhooks/{id:path}", _answer(api.webhook)),
            Route("/v1/attempts", _answer(api.attempts)),
            Route("/v1/reload", _answer(api.reload), methods=["POST"]),
            Route("/v1/redrive", _answer(api.redrive), methods=["POST"]),
            *more,
        ],
        exception_handlers={HTTPException: _explain},
    )


class _Api:
    """What each route asks of the service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def status(self, _request: Request) -> object:
        return await self._service.status()

    async def webhook_status(self, request: Request) -> object:
        return await self._service.webhook_status(read_path_id(request))

    async def webhooks(self, _request: Request) -> object:
        return await self._service.webhooks()

    async def webhook(self, request: Request) -> object:
        return self._service.webhook(read_path_id(request))

    async def event_types(self, _request: Request) -> object:
        return self._service.event_types()

    async def attempts(self, request: Request) -> object:
        asked = request.query_params
        expect_known(asked, _ATTEMPTS)
        _expect_type(asked.get("type"))
        order = asked.get("order", "newest")
        if order not in {"newest", "oldest"}:
            raise ControlRefused(422, "order is newest or oldest")
        query = Attempts(
            webhook=asked.get("webhook"),
            tenant=asked.get("tenant"),
            type=asked.get("type"),
            event_id=asked.get("event_id"),
            since=_number(asked.get("since"), "since"),
            until=_number(asked.get("until"), "until"),
            order="oldest" if order == "oldest" else "newest",
        )
        limit = _number(asked.get("limit"), "limit", least=1)
        page = Page(limit=_DEFAULT_ROWS if limit is None else limit, after=_number(asked.get("after"), "after"))
        return await self._service.attempts(query, page)

    async def test(self, request: Request) -> object:
        return await self._service.test(read_path_id(request), await request.body() or None)

    async def reload(self, request: Request) -> object:
        body = _read_body(await request.body() or b"{}", _RELOAD)
        return describe_reloaded(await self._service.reload(allow_removals=body.get("allow_removals", False)))

    async def suspend(self, request: Request) -> object:
        body = _read_body(await request.body() or b"{}", _SUSPEND)
        cause = body.get("cause", _BY_HAND)
        if not (isinstance(cause, str) and cause.isprintable() and 0 < len(cause) <= _CAUSE_LENGTH):
            raise ControlRefused(422, f"cause must be one line of 1 to {_CAUSE_LENGTH} characters")
        return await self._service.suspend(read_path_id(request), cause)

    async def resume(self, request: Request) -> object:
        return await self._service.resume(read_path_id(request))

    async def redrive(self, request: Request) -> object:
        body = _read_body(await request.body(), _REDRIVE)
        _expect_type(body.get("type"))
        dry_run, limit = body.pop("dry_run", False), body.pop("limit", None)
        change = Redrive(**_narrowed(body, "what to redrive: webhook, delivery_id, since …"))
        if dry_run:
            return await self._service.count_dead(change)
        return await self._service.redrive(change, limit)

    async def replay(self, request: Request) -> object:
        body = _read_body(await request.body(), _REPLAY)
        if "*" in body.get("type", "")[:-1]:
            raise ControlRefused(422, "type is an event type, or the beginning of some with `*` at the end")
        after, dry_run = body.pop("after", None), body.pop("dry_run", False)
        body = _narrowed(body, "which events to replay: since, until, type, tenant")
        kept = Kept(webhook=read_path_id(request), **body)
        return await self._service.replay(Wanted(kept=kept, after=after, dry_run=dry_run))


def _read_body(text: bytes, kinds: Mapping[str, type]) -> dict[str, Any]:
    """Read an object that holds some of these keys, each of its kind."""
    body = read_object(text, frozenset(kinds))
    for name, value in body.items():
        kind = kinds[name]
        if type(value) is not kind or (isinstance(value, int) and abs(value) > _LARGEST):
            raise ControlRefused(422, f"{name} must be {_KINDS[kind]}")
    return body


def _narrowed(body: dict[str, Any], what: str) -> dict[str, Any]:
    """Expect at least one key that narrows what is meant, or `all: true` and nothing else."""
    if body.pop("all", False) is not (not body):
        raise ControlRefused(422, f"say {what}; or all: true and nothing else")
    return body


def _answer(ask: Callable[[Request], Awaitable[object]]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            return Response(encode_json(await ask(request)), media_type="application/json")
        except ControlRefused as refused:
            return _problem(refused.status, refused.message)
        except StoreUnavailable:
            return _problem(503, "the store is not available; the daemon is stopping")

    return endpoint


async def _explain(_request: Request, error: Exception) -> Response:
    """Say that there is no such route, or not with this method."""
    if not isinstance(error, HTTPException):
        return _problem(500, "something went wrong here; the log says what")
    answer = _problem(error.status_code, f"the control API has no such thing: {error.detail}")
    answer.headers.update(error.headers or {})
    return answer


def _expect_type(name: str | None) -> None:
    """Expect one event type where the store is asked for it, rather than find nothing."""
    if name is not None and name.endswith("*"):
        raise ControlRefused(422, "type is one event type here; a pattern matches none")


def _number(text: str | None, name: str, *, least: int = -_LARGEST) -> int | None:
    if text is None:
        return None
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal()) or len(digits) > len(str(_LARGEST)):
        raise ControlRefused(422, f"{name} must be a whole number")
    number = int(text)
    if not least <= number <= _LARGEST:
        raise ControlRefused(422, f"{name} must be a whole number, {least} at least")
    return number


def _problem(status: int, message: str) -> Response:
    return Response(problem(status, message).body, status_code=status, media_type=MEDIA_TYPE)
