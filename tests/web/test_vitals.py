"""/metrics, /healthz and /readyz over a real socket, with a daemon that is told to be well or not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import trio

from hookd.web.vitals import answer_vitals, serve_vitals

if TYPE_CHECKING:
    from tests.web.conftest import Reply, Serve, Served


@dataclass
class Body:
    """What the daemon says of itself."""

    ill: str | None = None
    unready: str | None = None
    read: int = 0
    slow: trio.Event | None = None

    async def text(self, accept: str) -> tuple[bytes, str]:
        self.read += 1
        if self.slow is not None:
            await self.slow.wait()
        return f"hookd_x {self.read}\n".encode(), f"text/{accept or 'plain'}"


@pytest.fixture
def daemon() -> Body:
    return Body()


@pytest.fixture
async def served(serve: Serve, daemon: Body) -> Served:
    return await serve(answer_vitals(daemon.text, ill=lambda: daemon.ill, unready=lambda: daemon.unready))


async def get(served: Served, path: str, *headers: str, method: str = "GET") -> Reply:
    head = "".join(f"{header}\r\n" for header in headers)
    [reply] = await served.talk(f"{method} {path} HTTP/1.1\r\nhost: x\r\n{head}connection: close\r\n\r\n".encode())
    return reply


async def test_all_is_well(served: Served) -> None:
    for path in ("/healthz", "/readyz"):
        reply = await get(served, path)
        assert (reply.status, reply.body) == (200, b"ok\n")
        assert reply.headers["cache-control"] == "no-store"


async def test_why_not_is_told(served: Served, daemon: Body) -> None:
    daemon.ill, daemon.unready = "the disk does not answer", "draining"
    ill, unready = await get(served, "/healthz"), await get(served, "/readyz")
    assert (ill.status, ill.body) == (503, b"the disk does not answer\n")
    assert (unready.status, unready.body) == (503, b"draining\n")


async def test_a_scraper_gets_what_it_accepts_and_scrapers_share_a_text(served: Served, daemon: Body) -> None:
    first = await get(served, "/metrics", "accept: x")
    again = await get(served, "/metrics", "accept: x")
    assert (first.status, first.headers["content-type"], first.body) == (200, "text/x", b"hookd_x 1\n")
    assert again.body == first.body
    other = await get(served, "/metrics")
    assert (other.headers["content-type"], other.body) == ("text/plain", b"hookd_x 2\n")
    assert daemon.read == 2


async def test_a_text_grows_old(serve: Serve, daemon: Body, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hookd.web.vitals.FRESH_S", 0.0)
    served = await serve(answer_vitals(daemon.text, ill=lambda: None, unready=lambda: None))
    assert [(await get(served, "/metrics")).body for _ in range(2)] == [b"hookd_x 1\n", b"hookd_x 2\n"]


async def test_health_is_told_while_somebody_scrapes(served: Served, daemon: Body) -> None:
    daemon.slow = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(get, served, "/metrics")
        while not daemon.read:  # noqa: ASYNC110  the reading says nothing when it begins
            await trio.sleep(0.01)
        with trio.fail_after(10):
            assert (await get(served, "/healthz")).status == 200
        daemon.slow.set()


@pytest.mark.parametrize(
    ("path", "method", "status"), [("/x", "GET", 404), ("/metrics", "POST", 405), ("/", "GET", 200)]
)
async def test_what_else_is_asked(served: Served, path: str, method: str, status: int) -> None:
    reply = await get(served, path, method=method)
    assert reply.status == status
    assert status == 405 or b"/metrics" in reply.body


async def test_head_is_answered_without_a_body(served: Served) -> None:
    raw = await trio.open_tcp_stream("127.0.0.1", served.port)
    async with raw:
        await raw.send_all(b"HEAD /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        got = b"".join([part async for part in raw])
    assert got.startswith(b"HTTP/1.1 200 ")
    assert got.endswith(b"\r\n\r\n")


async def test_it_is_served_until_it_is_cancelled(nursery: trio.Nursery, daemon: Body) -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    answer = answer_vitals(daemon.text, ill=lambda: None, unready=lambda: None)
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as inner:
            await inner.start(serve_vitals, answer, listeners)
            async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                await stream.send_all(b"GET /readyz HTTP/1.1\r\nhost: x\r\n\r\n")
                assert b" 200 " in await stream.receive_some()
            scope.cancel()
    with pytest.raises(OSError, match="failed"):
        await trio.open_tcp_stream("127.0.0.1", port)
    assert not nursery.cancel_scope.cancel_called
