"""An ASGI 3 app as one that answers requests: the house's pages and its control API are Starlette apps.

Rules of this module:

1. Only the `http` scope; no lifespan, no WebSocket. A request is there whole, a response leaves whole.
2. What an app collects is bounded: these are tables and pages, not downloads.
3. The peer of a Unix socket stands in `scope["state"]["peer"]` (Starlette: `request.state.peer`), from the kernel, and
   what admission found out in `scope["state"]["grant"]`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any, TypeAlias

import trio

from hookd.web.messages import Response

if TYPE_CHECKING:
    from hookd.web.messages import Answerer, Request

MOST_BYTES = 64 * 1024 * 1024

Message: TypeAlias = MutableMapping[str, Any]
AsgiApp: TypeAlias = Callable[
    [MutableMapping[str, Any], Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]],
    Awaitable[None],
]


class AsgiBroken(Exception):  # noqa: N818  a bug of the app, told as such
    """The app did not keep to ASGI, or gave more than `MOST_BYTES`."""


def answer_by_app(app: AsgiApp) -> Answerer:
    """Give what answers as `app` does. It raises what the app raises, and `AsgiBroken`."""

    async def answer(request: Request) -> Response:
        exchange = _Exchange(request)
        await app(_scope_of(request), exchange.receive, exchange.send)
        return exchange.response()

    return answer


def _scope_of(request: Request) -> MutableMapping[str, Any]:
    host, _, port = request.client.rpartition(":")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": request.version,
        "method": request.method,
        "scheme": "http",
        "path": request.path,
        "raw_path": request.raw_path,
        "query_string": request.query,
        "root_path": "",
        "headers": list(request.headers),
        "client": (host, int(port)) if port.isdigit() else None,
        "server": None,
        "state": {"peer": request.peer, "grant": request.grant},
        "extensions": {},
    }


class _Exchange:
    """One request and its response, message by message."""

    def __init__(self, request: Request) -> None:
        self._body: bytes | None = request.body
        self._status = 0
        self._headers: list[tuple[bytes, bytes]] = []
        self._parts: list[bytes] = []
        self._size = 0
        self._done = trio.Event()

    async def receive(self) -> Message:
        """Give the body once; after that, nothing happens until the response is complete."""
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._done.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Take the next part of the response."""
        kind = message["type"]
        if kind == "http.response.start" and not self._status:
            self._status = message["status"]
            self._headers = [(bytes(name).lower(), bytes(value)) for name, value in message.get("headers", ())]
        elif kind == "http.response.body" and self._status and not self._done.is_set():
            part = bytes(message.get("body", b""))
            self._size += len(part)
            if self._size > MOST_BYTES:
                raise AsgiBroken(f"a response may have {MOST_BYTES} bytes")
            self._parts.append(part)
            if not message.get("more_body", False):
                self._done.set()
        else:
            raise AsgiBroken(f"{kind} at the wrong moment")
        await trio.lowlevel.checkpoint()

    def response(self) -> Response:
        """Give the whole response."""
        if not self._done.is_set():
            raise AsgiBroken("the app ended without a whole response")
        close = any(name == b"connection" and value.lower() == b"close" for name, value in self._headers)
        return Response(self._status, tuple(self._headers), b"".join(self._parts), close)
