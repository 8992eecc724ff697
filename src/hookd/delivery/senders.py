"""Which sender makes a request: the fast one, or httpcore's for proxies and HTTP/2.

Rules of this module:

1. Here alone it is decided. What neither names a proxy nor could become HTTP/2 goes the fast way; HTTP/2 is offered
   inside TLS only, so `http2` on a plain http URL changes nothing.
2. A connector that was given (the demo's, which sends every host to itself) gets everything: no proxy leads past it.
3. Both look up names through the same connector, so its limits hold for them together.
"""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from hookd.delivery.connect import TcpConnector
from hookd.delivery.http1 import open_sender
from hookd.delivery.httpcore_sender import open_httpcore_sender

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine
    from typing import Any

    from hookd.delivery.sender import Connector, Flight, Request, Sender, Sent


class Senders:
    """The sender of the daemon: gives each request to the one that can make it."""

    def __init__(self, fast: Sender, other: Sender) -> None:
        self._fast = fast
        self._other = other

    def start(self, request: Request, timeout: float, landed: Callable[[Flight], None]) -> Flight | None:
        """Begin one request, as `Sender` says."""
        if request.proxy is None and not (request.http2 and request.head.target.scheme == "https"):
            return self._fast.start(request, timeout, landed)
        return None

    def send(self, request: Request, timeout: float) -> Coroutine[Any, Any, Sent]:
        """Make one request, as `Sender` says. No coroutine of its own: every delivery passes here."""
        if request.proxy is None and not (request.http2 and request.head.target.scheme == "https"):
            return self._fast.send(request, timeout)
        return self._other.send(request, timeout)


@asynccontextmanager
async def open_senders(connector: Connector | None = None) -> AsyncGenerator[Sender]:
    """Give the sender for all requests. `connector` None: the real network; else every request goes over it."""
    async with AsyncExitStack() as opened:
        if connector is not None:
            yield await opened.enter_async_context(open_sender(connector))
            return
        network = TcpConnector()
        fast = await opened.enter_async_context(open_sender(network))
        yield Senders(fast, await opened.enter_async_context(open_httpcore_sender(network)))
