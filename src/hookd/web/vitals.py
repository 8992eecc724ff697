"""What a machine asks a daemon: `/metrics`, `/healthz`, `/readyz`.

Rules of this module:

1. `/healthz` is for whoever would restart it: 200 for as long as it makes progress, also while it drains. `/readyz` is
   for whoever would send to it: 200 while it takes events. Both say in a line why not.
2. Nothing here is secret, and nothing can be changed here: no tokens are asked for. What is served names webhooks.
3. Scrapes share one reading while it is fresh, and there is one at a time: a scraper in a loop costs one of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from hookd.web.limits import HttpLimits
from hookd.web.messages import Response
from hookd.web.server import serve_http

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from hookd.web.messages import Answerer, Request

#: Connections: a few scrapers, a load balancer, a person.
_LIMITS: Final = HttpLimits(connections=32)
#: For how many seconds a text is good for the next scraper.
FRESH_S: Final = 1.0

_TEXT: Final = (b"content-type", b"text/plain; charset=utf-8")
_NO_STORE: Final = (b"cache-control", b"no-store")
_PATHS: Final = b"/metrics\n/healthz\n/readyz\n"


class Scrapes:
    """Gives the text of a scrape. State: the last text for each kind of scraper, while it is fresh."""

    def __init__(self, read: Callable[[str], Awaitable[tuple[bytes, str]]]) -> None:
        self._read = read
        self._turn = trio.Lock()
        self._texts: dict[str, tuple[float, bytes, str]] = {}

    async def text(self, accept: str) -> tuple[bytes, str]:
        """Give the text and its media type for what a scraper accepts."""
        async with self._turn:
            at, body, media_type = self._texts.get(accept, (float("-inf"), b"", ""))
            if trio.current_time() - at > FRESH_S:
                body, media_type = await self._read(accept)
                self._texts = {accept: (trio.current_time(), body, media_type)}
            return body, media_type


def answer_vitals(
    read: Callable[[str], Awaitable[tuple[bytes, str]]],
    *,
    ill: Callable[[], str | None],
    unready: Callable[[], str | None],
) -> Answerer:
    """Give what answers. `ill` and `unready` say why not, in a line, or None; `read` makes a scrape's text."""
    scrapes = Scrapes(read)

    async def answer(request: Request) -> Response:
        await trio.lowlevel.checkpoint()
        if request.path not in {"/metrics", "/healthz", "/readyz", "/"}:
            return Response(404, (_TEXT,), _PATHS)
        if request.method not in {"GET", "HEAD"}:
            return Response(405, (_TEXT, (b"allow", b"GET, HEAD")), b"GET only\n")
        if request.path == "/metrics":
            body, media_type = await scrapes.text((request.header(b"accept") or b"").decode("latin-1"))
            return Response(200, ((b"content-type", media_type.encode()), _NO_STORE), body)
        if request.path == "/":
            return Response(200, (_TEXT,), _PATHS)
        reason = ill() if request.path == "/healthz" else unready()
        status, text = (200, "ok") if reason is None else (503, reason)
        return Response(status, (_TEXT, _NO_STORE), f"{text}\n".encode())

    return answer


async def serve_vitals(
    answer: Answerer,
    listeners: Sequence[trio.SocketListener],
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled: to the last moment of a drain somebody may want to see it."""
    await serve_http(answer, listeners, _LIMITS, stopping=trio.Event(), task_status=task_status)
