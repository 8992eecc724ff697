"""Requests that nobody waits for: what comes of them is what comes of those that are waited for."""

from __future__ import annotations

import os
import socket
import time
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing
import trustme
from msgspec.structs import replace

from hookd.core.config import Tls
from hookd.core.model import Cause, NoResponse, Response
from hookd.delivery import attempt
from hookd.delivery.connect import TcpConnector
from hookd.delivery.http1 import HttpSender, open_sender
from tests.delivery.receivers import OK, PATIENCE_S, Caller, Receiver, open_receiver, request_to
from tests.delivery.relays import context_of
from tests.stopwatch import Stopwatch

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from pathlib import Path

    from hookd.core.model import Outcome
    from hookd.delivery.sender import Flight, Request

#: The deadline of what hangs until it strikes. What ends by itself has `PATIENCE_S`.
LIMIT = 0.4
HANGING = {"silent", "drips its head"}
HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n"


async def answer_in_pieces(caller: Caller) -> None:
    for piece in (HEAD[:9], HEAD[9:30], HEAD[30:], b"pi", b"ec"):
        await caller.write(piece)
        await trio.testing.wait_all_tasks_blocked(0.003)


async def answer_with_a_large_body(caller: Caller) -> None:
    await caller.write(b"HTTP/1.1 200 OK\r\ncontent-length: 60000\r\n\r\n" + b"x" * 60000)


async def answer_without_end(caller: Caller) -> None:
    await caller.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    while True:
        await caller.write(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")


async def drip_a_body(caller: Caller) -> None:
    await caller.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
    while True:
        await caller.write(b"x")
        await trio.sleep(0.02)


async def drip_a_head(caller: Caller) -> None:
    for byte in b"HTTP/1.1 200 OK\r\nx-slow: " + b"x" * 1000:
        await caller.write(bytes([byte]))
        await trio.sleep(0.02)


async def say_nothing(caller: Caller) -> None:
    await caller.read()  # until it ends


async def close_before_an_answer(caller: Caller) -> None:
    await caller.reset()


async def close_inside_the_head(caller: Caller) -> None:
    await caller.write(HEAD[:20])
    await caller.picked_up()
    await caller.reset()


async def close_inside_the_body(caller: Caller) -> None:
    await caller.write(HEAD + b"p")
    await caller.stream.aclose()


def answer_with(*parts: bytes) -> Callable[[Caller], Awaitable[None]]:
    async def script(caller: Caller) -> None:
        for part in parts:
            await caller.write(part)

    return script


SCRIPTS: dict[str, Callable[[Caller], Awaitable[None]]] = {
    "ok": answer_with(OK),
    "in pieces": answer_in_pieces,
    "large": answer_with_a_large_body,
    "endless": answer_without_end,
    "drips its body": drip_a_body,
    "drips its head": drip_a_head,
    "silent": say_nothing,
    "resets": close_before_an_answer,
    "cut in its head": close_inside_the_head,
    "cut in its body": close_inside_the_body,
    "garbage": answer_with(b"\x00\x01 nonsense\r\n\r\n"),
    "no status": answer_with(b"HTTP/1.1 99 Odd\r\ncontent-length: 0\r\n\r\n"),
    "interim": answer_with(b"HTTP/1.1 103 Early\r\nlink: x\r\n\r\n", HEAD + b"then"),
    "two at once": answer_with(OK + b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n"),
    "surplus": answer_with(OK + b"surplus"),
    "gone": answer_with(b"HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n"),
    "busy": answer_with(b"HTTP/1.1 503 Busy\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n"),
    "closes": answer_with(b"HTTP/1.1 204 Fine\r\nconnection: close\r\n\r\n"),
}


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


class World:
    """A receiver that answers the first request of each connection well, and the others by a script."""

    def __init__(self, sender: HttpSender, receiver: Receiver, tls: Tls | None) -> None:
        self.sender = sender
        self.receiver = receiver
        self._tls = tls

    def request(self, body: bytes = b"{}") -> Request:
        return request_to(self.receiver.url("/hooks", "crm.example"), body=body, tls=self._tls)

    async def warm(self, number: int = 1) -> None:
        """Have connections that wait."""
        async with trio.open_nursery() as nursery:
            for _ in range(number):
                nursery.start_soon(self.sender.send, self.request(), PATIENCE_S)
        assert len(self.sender._pool) == number

    async def start(self, request: Request, limit: float) -> Outcome:
        landed = trio.Event()
        flights: list[Flight] = []

        def land(flight: Flight) -> None:
            assert not landed.is_set(), "it landed twice"
            flights.append(flight)
            landed.set()

        began, watch = time.perf_counter(), Stopwatch()
        flight = self.sender.start(request, limit, land)
        assert flight is not None
        assert not landed.is_set(), "it landed before `start` returned"
        with trio.fail_after(limit + PATIENCE_S):
            await landed.wait()
        took = watch.seconds()
        assert flights == [flight]
        assert flight.outcome is not None
        assert 0 < flight.duration_ms <= (time.perf_counter() - began) * 1000
        assert took < 3 * LIMIT + 1
        return flight.outcome


@asynccontextmanager
async def open_world(
    script: Callable[[Caller], Awaitable[None]], ca: trustme.CA | None = None, ca_path: str = ""
) -> AsyncGenerator[World]:
    async def serve(caller: Caller) -> None:
        await caller.read()
        await caller.write(OK)
        while await caller.read() is not None:
            if caller.receiver.requests[-1].endswith(b"again"):
                await caller.write(OK)
            else:
                await script(caller)

    async with AsyncExitStack() as opened:
        context = None if ca is None else context_of(ca.issue_cert("crm.example"), "http/1.1")
        receiver = await opened.enter_async_context(open_receiver(serve, context))
        sender = await opened.enter_async_context(open_sender(TcpConnector(lambda _: ("127.0.0.1",))))
        yield World(sender, receiver, None if ca is None else Tls(ca=ca_path))
        assert not sender._watched


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("name", SCRIPTS)
async def test_what_comes_of_a_flight_is_what_comes_of_one_that_is_waited_for(
    name: str,
    secure: bool,  # noqa: FBT001  a parameter
    ca: trustme.CA,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if name == "drips its body":
        monkeypatch.setattr(attempt, "BODY_GRACE", 0.3)
    path = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(str(path))

    limit = 3 * LIMIT if name in HANGING else PATIENCE_S

    async def run(*, wait: bool) -> tuple[Outcome, int, int, int]:
        async with open_world(SCRIPTS[name], ca if secure else None, str(path)) as world:
            await world.warm()
            outcome = (
                (await world.sender.send(world.request(), limit)).outcome
                if wait
                else await world.start(world.request(), limit)
            )
            # What is left must be as fit for the next request, or as unfit.
            await world.sender.send(world.request(b"again"), PATIENCE_S)
            if name == "drips its body" and isinstance(outcome, Response):
                assert 0 < len(outcome.body) < 1000
                outcome = replace(outcome, body=b"")  # how much dripped in is a matter of the moment
            return outcome, world.receiver.connections, len(world.receiver.requests), len(world.sender._pool)

    waited, flown = await run(wait=True), await run(wait=False)
    assert flown == waited
    if name == "resets":  # it died idle, and went out once more
        assert isinstance(flown[0], Response)
        assert flown[1] == 2


async def test_there_is_no_flight_without_a_connection_that_waits() -> None:
    async with open_world(SCRIPTS["ok"]) as world:

        def land(_flight: Flight) -> None:
            raise AssertionError

        assert world.sender.start(world.request(), 5, land) is None
        await world.warm()
        assert world.sender.start(world.request(os.urandom(65 * 1024)), 5, land) is None
        assert len(world.receiver.requests) == 1


async def test_flights_share_connections_and_land_each_once() -> None:
    async with open_world(SCRIPTS["ok"]) as world:
        await world.warm(20)
        landed: list[Flight] = []
        left = 400
        done = trio.Event()

        def land(flight: Flight) -> None:
            nonlocal left
            landed.append(flight)
            if left:
                left -= 1
                assert world.sender.start(world.request(), 5, land) is not None
            elif len(landed) == 420:
                done.set()

        for _ in range(20):
            assert world.sender.start(world.request(), 5, land) is not None
        with trio.fail_after(PATIENCE_S):
            await done.wait()
        assert {flight.outcome for flight in landed} == {
            Response(status=200, headers=(("content-length", "2"),), body=b"ok")
        }
        assert len(set(map(id, landed))) == 420
        assert (world.receiver.connections, len(world.receiver.requests)) == (20, 440)


async def test_a_receiver_that_does_not_read_ends_by_the_deadline() -> None:
    gate = trio.Event()

    async def stall(caller: Caller) -> None:
        await caller.read()
        await caller.write(OK)
        await gate.wait()

    async with open_receiver(stall) as receiver, open_sender() as sender:
        request = request_to(receiver.url(), body=b"x" * 60_000)
        await sender.send(request_to(receiver.url()), PATIENCE_S)
        (waiting,) = sender._pool._by_age
        waiting._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        landed = trio.Event()
        began = time.perf_counter()
        # Requests of 60 kB fit into no buffer of 4 kB: the first piece is taken, the rest is waited for.
        flight = sender.start(request, LIMIT, lambda _: landed.set())
        assert flight is not None
        with trio.fail_after(PATIENCE_S):
            await landed.wait()
        assert isinstance(flight.outcome, NoResponse)
        assert (flight.outcome.cause, flight.outcome.sent) == (Cause.TIMEOUT, True)
        assert time.perf_counter() - began >= LIMIT
        assert not sender._watched
        gate.set()


@pytest.mark.parametrize("name", ["silent", "resets", "drips its head"])
async def test_an_abandoned_flight_never_lands(name: str) -> None:
    async with open_world(SCRIPTS[name]) as world:
        await world.warm()

        def land(_flight: Flight) -> None:
            raise AssertionError

        flight = world.sender.start(world.request(), LIMIT, land)
        assert flight is not None
        flight.abandon()
        assert not world.sender._watched
        await trio.sleep(LIMIT + 0.1)  # past its deadline
        assert len(world.sender._pool) == 0


async def test_one_that_died_idle_and_is_abandoned_while_it_connects_is_not_sent() -> None:
    asked = trio.Event()

    class Slow(TcpConnector):
        first = True

        async def connect(self, *args: object) -> object:  # type: ignore[override]  # as it comes
            if not self.first:
                asked.set()
                await trio.sleep_forever()
            self.first = False
            return await super().connect(*args)  # type: ignore[arg-type]

    async def once(caller: Caller) -> None:
        await caller.read()
        await caller.write(OK)
        await caller.read()
        await caller.reset()

    async with open_receiver(once) as receiver, open_sender(Slow()) as sender:  # type: ignore[arg-type]
        await sender.send(request_to(receiver.url()), PATIENCE_S)

        def land(_flight: Flight) -> None:
            raise AssertionError

        flight = sender.start(request_to(receiver.url()), 5, land)
        assert flight is not None
        with trio.fail_after(PATIENCE_S):
            await asked.wait()
        flight.abandon()
        await trio.testing.wait_all_tasks_blocked()
        assert receiver.connections == 1


async def test_the_sender_ends_while_flights_are_under_way() -> None:
    async with open_world(SCRIPTS["silent"]) as world:
        await world.warm(3)
        flights = [world.sender.start(world.request(), 5, lambda _: None) for _ in range(3)]
        assert None not in flights
        world.sender.close()
        assert not world.sender._watched
