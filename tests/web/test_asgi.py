"""Starlette apps on the server."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import structlog
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

from hookd.web import asgi
from hookd.web.asgi import AsgiBroken, answer_by_app
from hookd.web.messages import Request as WebRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from starlette.requests import Request
    from starlette.responses import Response

    from tests.web.conftest import Serve


async def show(request: Request) -> Response:
    peer = request.state.peer
    return JSONResponse(
        {
            "name": request.path_params["name"],
            "query": dict(request.query_params),
            "body": (await request.body()).decode(),
            "host": request.headers["host"],
            "uid": None if peer is None else peer.uid,
            "client": None if request.client is None else request.client.host,
        }
    )


async def stream(_request: Request) -> Response:
    async def parts() -> AsyncIterator[str]:
        for number in range(3):
            yield f"{number}\n"

    return StreamingResponse(parts(), media_type="text/plain")


async def fail(_request: Request) -> Response:
    raise RuntimeError("no")


async def tag(request: Request, call_next: RequestResponseEndpoint) -> Response:
    response = await call_next(request)
    response.headers["x-tag"] = "1"
    return response


APP = Starlette(
    routes=[Route("/show/{name}", show, methods=["GET", "POST"]), Route("/stream", stream), Route("/fail", fail)],
    middleware=[Middleware(BaseHTTPMiddleware, dispatch=tag)],
)


async def test_an_app_sees_the_request(serve: Serve) -> None:
    served = await serve(answer_by_app(APP))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{served.port}") as client:
        reply = await client.post("/show/caf%C3%A9?a=1&b=", content=b"hello")
        assert reply.json() == {
            "name": "café",
            "query": {"a": "1", "b": ""},
            "body": "hello",
            "host": f"127.0.0.1:{served.port}",
            "uid": None,
            "client": "127.0.0.1",
        }
        assert reply.headers["x-tag"] == "1"
        assert (await client.get("/stream")).text == "0\n1\n2\n"
        assert (await client.get("/nowhere")).status_code == 404
        assert (await client.delete("/show/x")).status_code == 405
        head = await client.head("/show/x")
        assert (head.status_code, head.content) == (200, b"")


async def test_an_app_sees_the_peer(serve: Serve, tmp_path: Path) -> None:
    await serve(answer_by_app(APP), unix=tmp_path / "h.sock")
    transport = httpx.AsyncHTTPTransport(uds=str(tmp_path / "h.sock"))
    async with httpx.AsyncClient(transport=transport, base_url="http://hookd") as client:
        shown = (await client.get("/show/x")).json()
    assert (shown["uid"], shown["client"]) == (os.getuid(), None)


async def test_an_app_that_fails_is_a_500(serve: Serve) -> None:
    served = await serve(answer_by_app(APP))
    with structlog.testing.capture_logs() as lines:
        [reply] = await served.talk(b"GET /fail?k=topsecret HTTP/1.1\r\nHost: h\r\n\r\n")
    assert reply.status == 500
    assert [(line["event"], line["path"]) for line in lines] == [("http.failed", "/fail")]


def request() -> WebRequest:
    return WebRequest(method="GET", raw_path=b"/", query=b"", headers=())


START: dict[str, Any] = {"type": "http.response.start", "status": 200, "headers": []}
BODY: dict[str, Any] = {"type": "http.response.body", "body": b"x"}


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [START],
        [BODY],
        [START, START],
        [START, {**BODY, "more_body": True}],
        [START, BODY, BODY],
        [START, {"type": "http.response.trailers"}],
    ],
)
async def test_an_app_that_breaks_the_rules_is_told(messages: list[dict[str, Any]]) -> None:
    async def app(_scope: object, _receive: object, send: Callable[[Any], Awaitable[None]]) -> None:
        for message in messages:
            await send(message)

    with pytest.raises(AsgiBroken):
        await answer_by_app(app)(request())


async def test_what_an_app_gives_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asgi, "MOST_BYTES", 1000)

    async def app(_scope: object, _receive: object, send: Callable[[Any], Awaitable[None]]) -> None:
        await send(START)
        for _ in range(20):
            await send({**BODY, "body": b"x" * 100, "more_body": True})

    with pytest.raises(AsgiBroken, match="1000 bytes"):
        await answer_by_app(app)(request())
