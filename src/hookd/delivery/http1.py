"""The sender for plain HTTP/1.1, which is nearly all traffic.

Rules of this module:

1. One deadline for the whole attempt. Connecting runs in a cancel scope; an exchange is watched: one task of the sender
   looks every 50 ms and ends those whose time is over. A scope for each exchange would cost an eighth of it.
2. Nearly all requests go out over a connection that waits, in one write, and their answers come in one read. So `start`
   makes such a request without a task: it is written at once, and who wants to know is called when its answer is
   there. Only what has to wait in between (to connect, to write on) is a task.
3. A connection is used again only after an exchange that ended exactly where it should. If a reused one dies before
   the first byte of a response, the request goes out once more, at once, on a fresh one: receivers close idle
   connections at the very moment we use them. It is the same attempt, and what was sent counts as sent.
4. Redirects are not followed and bodies are not decompressed: what came is given as it came.
5. Cancelled, abandoned or failed, the connection is closed and nothing is left behind.
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
from hookd.delivery.sender import ConnectFailed, Progress, encode_headers

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from hookd.delivery.connection import Connection
    from hookd.delivery.pool import Bay
    from hookd.delivery.sender import Connector, Flight, Request, Sent

#: How late a deadline may strike, in seconds.
WATCH_SECONDS: Final = 0.05
#: A body up to this size is written together with its head.
JOINED: Final = 64 * 1024


class HttpSender:
    """Sends requests over connections that it keeps alive; made by `open_sender`, which also tends and closes it."""

    def __init__(self, connector: Connector, nursery: trio.Nursery) -> None:
        self._connector = connector
        self._nursery = nursery
        self._pool = Pool()
        self._readiness = Readiness()
        self._watched: set[Attempt] = set()
        self._busy = trio.Event()
        self._ended = self._end  # made once: a bound method is an object
        self._dropped = self._drop

    async def send(self, request: Request, timeout: float) -> Sent:  # noqa: ASYNC109  part of the attempt's outcome
        """Make one request, as `Sender` says."""
        now = perf_counter()
        attempt = Attempt(request, timeout, now, now + timeout, self._ended, self._dropped)
        data = _encode(request)
        if data is None:
            attempt.fail(Cause.REQUEST_INVALID, "a header holds a line break or an odd character")
        else:
            bay = self._pool.bay_of(request)
            connection = self._pool.take(bay, attempt.started)
            if connection is not None:
                await self._exchange(connection, bay, data, attempt)
            if connection is None or attempt.died_idle(connection):
                await self._exchange_afresh(bay, data, attempt)
        attempt.ended = perf_counter()
        return attempt.result()

    def start(self, request: Request, timeout: float, landed: Callable[[Flight], None]) -> Attempt | None:
        """Make one request over a connection that waits, as `Sender` says; None: there is none, or it may not fit."""
        bay = self._pool.bay_of(request)
        if not bay.waiting or len(request.body) > JOINED:
            return None
        data = _encode(request)
        if data is None:
            return None
        now = perf_counter()
        connection = self._pool.take(bay, now)
        if connection is None:
            return None
        attempt = Attempt(request, timeout, now, now + timeout, self._ended, self._dropped, landed)
        data += request.body
        self._board(attempt, connection, bay)
        try:
            taken = connection.begin(data)
        except OSError:
            self._nursery.start_soon(self._start_afresh, attempt, connection)
            return attempt
        if taken == len(data):
            attempt.waited_from = now
            connection.listener = attempt
        else:
            self._nursery.start_soon(self._write_on, attempt, connection, data, taken)
        return attempt

    # ------------------------------------------------------------------ an exchange that is waited for

    async def _exchange_afresh(self, bay: Bay, data: bytes, attempt: Attempt) -> None:
        """Connect, send and read. Afterwards there is an outcome."""
        request = attempt.request
        progress = attempt.progress = Progress()
        connection = None
        with trio.move_on_after(max(0.0, attempt.deadline - perf_counter())) as scope:
            try:
                connection = await self._connector.connect(
                    request.head.target, request.networks, request.tls, request.tls_key, progress
                )
            except ConnectFailed as failure:
                attempt.fail(failure.cause, failure.detail)
        if scope.cancelled_caught:
            attempt.time_out()
        if connection is not None:
            connection.attach(self._readiness)
            await self._exchange(connection, bay, data, attempt)

    async def _exchange(self, connection: Connection, bay: Bay, data: bytes, attempt: Attempt) -> None:
        """Send and read over one connection; then it is in the pool, or closed."""
        body = attempt.request.body
        joined = len(body) <= JOINED
        if joined:
            data += body
        self._board(attempt, connection, bay)

        def give_up(_cancel: object) -> trio.lowlevel.Abort:
            attempt.task = None
            return trio.lowlevel.Abort.SUCCEEDED

        try:
            taken = connection.begin(data)
            if taken < len(data):
                await connection.send(data, taken)
            if not joined and connection.whole:
                await connection.send(body)
            attempt.waited_from = perf_counter()
            connection.listen(attempt)
            if attempt.outcome is None:
                attempt.task = trio.lowlevel.current_task()
                await trio.lowlevel.wait_task_rescheduled(give_up)
        except OSError as error:
            attempt.conclude(connection, error)
            self._end(attempt)
        except trio.ClosedResourceError:
            attempt.time_out()
            self._end(attempt)
        except BaseException:
            self._drop(attempt)
            raise

    # ------------------------------------------------------------------ one that nobody waits for

    async def _write_on(self, attempt: Attempt, connection: Connection, data: bytes, taken: int) -> None:
        """Write what one write did not take, for an attempt that was started."""
        try:
            await connection.send(data, taken)
        except OSError as error:
            attempt.conclude(connection, error)
            self._end(attempt)
        except trio.ClosedResourceError:
            if attempt.landed is not None:  # else it was abandoned, and its connection is closed
                attempt.time_out()
                self._end(attempt)
        else:
            attempt.waited_from = perf_counter()
            connection.listen(attempt)

    async def _start_afresh(self, attempt: Attempt, died: Connection | None = None) -> None:
        """Send on a fresh connection what was started on one that `died`."""
        if died is not None:
            attempt.conclude(died)
            self._drop(attempt)
            attempt.died_idle(died)
        data = _encode(attempt.request)
        with trio.CancelScope() as attempt.scope:
            if data is not None and attempt.landed is not None:
                await self._exchange_afresh(self._pool.bay_of(attempt.request), data, attempt)
        attempt.scope = None
        self._land(attempt)

    def _land(self, attempt: Attempt) -> None:
        landed, attempt.landed = attempt.landed, None
        if landed is not None:
            attempt.ended = perf_counter()
            landed(attempt)

    # ------------------------------------------------------------------ its beginning and its end

    def _board(self, attempt: Attempt, connection: Connection, bay: Bay) -> None:
        attempt.connection = connection
        attempt.bay = bay
        if not self._watched:
            self._busy.set()
        self._watched.add(attempt)

    def _end(self, attempt: Attempt) -> None:
        """Go on from an exchange that is over: keep its connection or close it, and tell who waits."""
        connection, bay = attempt.connection, attempt.bay
        if connection is None or bay is None:
            raise AssertionError("an exchange ended that was not begun")
        self._watched.discard(attempt)
        connection.listener = None
        now = perf_counter()
        if connection.reusable:
            self._pool.put(bay, connection, now)
        else:
            connection.close()
        task, attempt.task = attempt.task, None
        if task is not None:
            trio.lowlevel.reschedule(task)
        elif attempt.landed is None or attempt.progress is not None:
            return  # whoever waits for it has not begun to
        elif attempt.died_idle(connection):
            self._nursery.start_soon(self._start_afresh, attempt)
        else:
            attempt.ended = now
            landed, attempt.landed = attempt.landed, None
            landed(attempt)

    def _drop(self, attempt: Attempt) -> None:
        """Close what an attempt has, and forget it."""
        self._watched.discard(attempt)
        if attempt.connection is not None:
            attempt.connection.interrupt()
            attempt.connection.close()

    async def listen(self) -> None:
        """Have answers read when they come, until cancelled."""
        await self._readiness.serve()

    async def tend(self) -> None:
        """Keep deadlines and close connections that nobody uses, until cancelled."""
        swept = 0.0
        while True:
            if not self._watched:
                self._busy = trio.Event()
                with trio.move_on_after(IDLE_SECONDS if self._pool.bays else float("inf")):
                    await self._busy.wait()
            await trio.sleep(WATCH_SECONDS)
            now = perf_counter()
            for attempt in [each for each in self._watched if each.deadline <= now]:
                attempt.strike()
            if now - swept > IDLE_SECONDS / 2:
                swept = now
                self._pool.sweep(swept)

    def close(self) -> None:
        """Close the connections that wait, and those of attempts that nobody waits for."""
        self._pool.close()
        for attempt in [each for each in self._watched if each.landed is not None]:
            attempt.abandon()


def _encode(request: Request) -> bytes | None:
    """Give the head of a request; None if a header would break out of its place."""
    headers = encode_headers(request.headers)
    if headers is None:
        return None
    return b"%bcontent-length: %d\r\n%b\r\n" % (request.head.prefix, len(request.body), headers)


@asynccontextmanager
async def open_sender(connector: Connector | None = None) -> AsyncGenerator[HttpSender]:
    """Give a sender; at the end its idle connections are closed. `connector` None: the real one."""
    async with trio.open_nursery() as nursery:
        sender = HttpSender(TcpConnector() if connector is None else connector, nursery)
        nursery.start_soon(sender.tend)
        nursery.start_soon(sender.listen)
        try:
            yield sender
        finally:
            sender.close()
            nursery.cancel_scope.cancel()
