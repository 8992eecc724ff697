"""The sender for plain HTTP/1.1, which is nearly all traffic.

Rules of this module:

1. One deadline for the whole attempt, and no task but the caller's. Connecting runs in a cancel scope; an exchange
   is watched: one task of the sender looks every 50 ms and wakes those whose time is over. A scope for each exchange
   would cost an eighth of it.
2. The head decides: once a status is there, the outcome is that response, whatever the rest does. For a 2xx the rest
   gets at most 2 s more, so a receiver that drips does not hold a slot.
3. A connection is used again only after an exchange that ended exactly where it should. If a reused one dies before
   the first byte of a response, the request goes out once more, at once, on a fresh one: receivers close idle
   connections at the very moment we use them. It is the same attempt, and what was sent counts as sent.
4. Redirects are not followed and bodies are not decompressed: what came is given as it came.
5. Cancelled or failed, the connection is closed and nothing is left behind.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from time import perf_counter
from typing import TYPE_CHECKING, Final

import trio

from hookd.core.model import Cause
from hookd.delivery.attempt import Attempt
from hookd.delivery.connect import TcpConnector
from hookd.delivery.pool import IDLE_SECONDS, Pool
from hookd.delivery.readiness import Readiness
from hookd.delivery.sender import ConnectFailed, Progress, Sent, encode_headers

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from hookd.delivery.connection import Connection
    from hookd.delivery.pool import Lane
    from hookd.delivery.sender import Connector, Request

#: How long the body of a 2xx may take after its head, in seconds.
BODY_GRACE: Final = 2.0
#: How late a deadline may strike, in seconds.
WATCH_SECONDS: Final = 0.05
#: A body up to this size is written together with its head.
JOINED: Final = 64 * 1024


class HttpSender:
    """Sends requests over connections that it keeps alive; made by `open_sender`, which also tends and closes it."""

    def __init__(self, connector: Connector) -> None:
        self._connector = connector
        self._pool = Pool()
        self._readiness = Readiness()
        self._watched: set[Connection] = set()
        self._busy = trio.Event()

    async def send(self, request: Request, timeout: float) -> Sent:  # noqa: ASYNC109  part of the attempt's outcome
        """Make one request, as `Sender` says."""
        started = perf_counter()
        attempt = Attempt(request, timeout, started + timeout)
        headers = encode_headers(request.headers)
        if headers is None:
            attempt.fail(Cause.REQUEST_INVALID, "a header holds a line break or an odd character")
        else:
            data = b"%bcontent-length: %d\r\n%b\r\n" % (request.head.prefix, len(request.body), headers)
            lane = self._pool.lane_of(request)
            connection = self._pool.take(lane, started)
            if connection is not None:
                await self._exchange(connection, lane, data, attempt)
            if connection is None or attempt.died_idle(connection):
                connection = await self._connect(attempt)
                if connection is not None:
                    await self._exchange(connection, lane, data, attempt)
        if attempt.outcome is None:
            raise AssertionError("an attempt ended without an outcome")
        return Sent(outcome=attempt.outcome, duration_ms=(perf_counter() - started) * 1000, phases=attempt.phases())

    async def _connect(self, attempt: Attempt) -> Connection | None:
        request = attempt.request
        attempt.progress = Progress()
        connection = None
        with trio.move_on_after(max(0.0, attempt.deadline - perf_counter())) as scope:
            try:
                connection = await self._connector.connect(
                    request.head.target, request.networks, request.tls, request.tls_key, attempt.progress
                )
            except ConnectFailed as failure:
                attempt.fail(failure.cause, failure.detail)
        if scope.cancelled_caught:
            attempt.time_out()
        if connection is not None:
            connection.attach(self._readiness)
        return connection

    async def _exchange(self, connection: Connection, lane: Lane, data: bytes, attempt: Attempt) -> None:
        """Send and read over one connection, then give it to the pool or close it."""
        attempt.connection = connection
        connection.deadline = attempt.deadline
        body = attempt.request.body
        joined = len(body) <= JOINED
        if joined:
            data += body
        if not self._watched:
            self._busy.set()
        self._watched.add(connection)
        reusable = False
        try:
            taken = connection.begin(data)
            if taken < len(data) or not joined:
                await _write_on(connection, data, taken, b"" if joined else body)
            attempt.waited_from = perf_counter()
            received = await connection.receive()
            attempt.waited_to = perf_counter()
            if not connection.reader.feed(received):
                await _read_on(connection, attempt)
        except OSError as error:
            attempt.conclude(connection, error)
        except trio.ClosedResourceError:
            attempt.time_out()
        else:
            attempt.conclude(connection)
            reusable = connection.reusable
        finally:
            self._watched.discard(connection)
            if reusable:
                self._pool.put(lane, connection, perf_counter())
            else:
                connection.close()

    async def listen(self) -> None:
        """Wake the attempts whose answers have come, until cancelled."""
        await self._readiness.serve()

    async def tend(self) -> None:
        """Keep deadlines and close connections that nobody uses, until cancelled."""
        swept = 0.0
        while True:
            if not self._watched:
                self._busy = trio.Event()
                with trio.move_on_after(IDLE_SECONDS if self._pool.lanes else float("inf")):
                    await self._busy.wait()
            await trio.sleep(WATCH_SECONDS)
            now = perf_counter()
            for connection in [each for each in self._watched if each.deadline <= now]:
                connection.interrupt()
            if now - swept > IDLE_SECONDS / 2:
                swept = now
                self._pool.sweep(swept)

    def close(self) -> None:
        """Close the connections that wait; those in use close when their attempts end."""
        self._pool.close()


async def _write_on(connection: Connection, data: bytes, taken: int, body: bytes) -> None:
    """Write what one write did not take, and a body that is too large to be joined."""
    if taken < len(data):
        await connection.send(data, taken)
    if body and connection.whole:
        await connection.send(body)


async def _read_on(connection: Connection, attempt: Attempt) -> None:
    """Read what one read did not bring."""
    reader = connection.reader
    done = False
    while not done:
        if reader.succeeded and not attempt.hurried:
            attempt.hurried = True
            connection.deadline = min(attempt.deadline, perf_counter() + BODY_GRACE)
        done = reader.feed(await connection.receive())


@asynccontextmanager
async def open_sender(connector: Connector | None = None) -> AsyncGenerator[HttpSender]:
    """Give a sender; at the end its idle connections are closed. `connector` None: the real one."""
    sender = HttpSender(TcpConnector() if connector is None else connector)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sender.tend)
        nursery.start_soon(sender.listen)
        try:
            yield sender
        finally:
            sender.close()
            nursery.cancel_scope.cancel()
