"""Waiting for answers with one epoll: who is woken, who is not, and what a wake-up too many does."""

from __future__ import annotations

import socket
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from hookd.delivery.connection import FRESH, Connection
from hookd.delivery.http1 import open_sender
from hookd.delivery.readiness import Readiness
from tests.delivery.receivers import Caller, open_receiver, request_to

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"


@contextmanager
def joined(readiness: Readiness) -> Iterator[tuple[Connection, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)  # noqa: FBT003  as the socket module has it
    connection = Connection(ours)
    connection.attach(readiness)
    with theirs:
        try:
            yield connection, theirs
        finally:
            connection.close()


async def test_each_is_woken_by_its_own_answer_also_by_a_second_piece() -> None:
    readiness = Readiness()
    with joined(readiness) as (one, at_one), joined(readiness) as (two, at_two), trio.fail_after(10):
        got: list[tuple[str, bytes]] = []

        heard: list[trio.Event] = []

        async def wait(name: str, connection: Connection) -> None:
            connection.begin(b"request")
            for _ in range(2):
                got.append((name, await connection.receive()))
                heard[-1].set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(readiness.serve)
            async with trio.open_nursery() as waiting:
                waiting.start_soon(wait, "one", one)
                waiting.start_soon(wait, "two", two)
                await trio.testing.wait_all_tasks_blocked()
                for name, peer in (("two", at_two), ("one", at_one), ("two", at_two), ("one", at_one)):
                    came = trio.Event()
                    heard.append(came)
                    peer.send(name.encode())
                    await came.wait()
            nursery.cancel_scope.cancel()
    assert got == [("two", b"two"), ("one", b"one"), ("two", b"two"), ("one", b"one")]


async def test_more_than_one_read_takes_is_read_without_another_wake_up() -> None:
    readiness = Readiness()
    with joined(readiness) as (connection, peer), trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(readiness.serve)
            connection.begin(b"request")
            peer.send(b"x" * 60_000)
            size = 0
            while size < 60_000:
                size += len(await connection.receive())
            nursery.cancel_scope.cancel()


async def test_who_is_cancelled_or_interrupted_waits_no_more() -> None:
    readiness = Readiness()
    with joined(readiness) as (connection, peer), trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(readiness.serve)
            connection.begin(b"request")
            with trio.move_on_after(0.05) as scope:
                await connection.receive()
            assert scope.cancelled_caught
            connection.begin(b"request")
            nursery.start_soon(_interrupt_when_blocked, connection)
            with pytest.raises(trio.ClosedResourceError):
                await connection.receive()
            connection.begin(b"request")
            peer.send(b"late")
            assert await connection.receive() == b"late"
            nursery.cancel_scope.cancel()


async def _interrupt_when_blocked(connection: Connection) -> None:
    await trio.testing.wait_all_tasks_blocked()
    connection.interrupt()


@pytest.mark.parametrize("ended", [False, True], ids=["bytes", "end"])
async def test_what_comes_by_itself_makes_a_connection_unfit_at_once(ended: bool) -> None:  # noqa: FBT001  a parameter
    readiness = Readiness()
    with joined(readiness) as (connection, peer), trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(readiness.serve)
            connection.idle_since = perf_counter()
            assert connection.is_quiet(connection.idle_since)
            if ended:
                peer.shutdown(socket.SHUT_WR)
            else:
                peer.send(b"surplus")
            await trio.testing.wait_all_tasks_blocked(0.05)  # until whoever listens has heard of it
            assert not connection.is_quiet(connection.idle_since + FRESH / 2)
            assert not connection.is_quiet(connection.idle_since + 2 * FRESH)
            nursery.cancel_scope.cancel()


async def test_an_answer_in_pieces_leaves_its_connection_fit_for_the_next_request() -> None:
    async def in_pieces(caller: Caller) -> None:
        while await caller.read() is not None:
            for piece in (HEAD[:20], HEAD[20:], b"o", b"k"):
                await caller.write(piece)
                await trio.testing.wait_all_tasks_blocked(0.002)

    async with open_receiver(in_pieces) as receiver, open_sender() as sender:
        request = request_to(receiver.url())
        for _ in range(10):
            with trio.fail_after(10):
                await sender.send(request, 5)
        assert receiver.connections == 1
