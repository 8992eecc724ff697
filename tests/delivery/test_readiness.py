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
from tests.delivery.receivers import PATIENCE_S, Caller, open_receiver, request_to

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


class Heard:
    """Who listens to a connection. State: what came, and that something did."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.got: list[bytes] = []
        self.calls = 0
        self.came = trio.Event()
        connection.begin(b"request")
        connection.listen(self)

    def read_on(self) -> None:
        self.calls += 1
        while (data := self._connection.take()) is not None:
            self.got.append(data)
            if not data:
                break
        self.came.set()
        self.came = trio.Event()


async def test_each_hears_of_its_own_answer_also_of_a_second_piece() -> None:
    readiness = Readiness()
    with joined(readiness) as (one, at_one), joined(readiness) as (two, at_two), trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(readiness.serve)
            heard = {"one": Heard(one), "two": Heard(two)}
            for name, peer in (("two", at_two), ("one", at_one), ("two", at_two), ("one", at_one)):
                came = heard[name].came
                peer.send(name.encode())
                await came.wait()
            nursery.cancel_scope.cancel()
    assert {name: each.got for name, each in heard.items()} == {"one": [b"one"] * 2, "two": [b"two"] * 2}


async def test_more_than_one_read_takes_is_read_at_once() -> None:
    readiness = Readiness()
    with joined(readiness) as (connection, peer), trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(readiness.serve)
            heard = Heard(connection)
            came = heard.came
            peer.send(b"x" * 60_000)
            await came.wait()
            assert sum(map(len, heard.got)) == 60_000
            nursery.cancel_scope.cancel()


async def test_what_came_before_anybody_listened_is_read_when_somebody_does() -> None:
    readiness = Readiness()
    with joined(readiness) as (connection, peer), trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(readiness.serve)
            connection.begin(b"request")
            peer.send(b"early")
            await trio.testing.wait_all_tasks_blocked(0.05)  # until the edge is over
            heard = Heard.__new__(Heard)
            heard._connection, heard.got, heard.calls, heard.came = connection, [], 0, trio.Event()
            connection.listen(heard)
            assert (heard.got, heard.calls) == ([b"early"], 1)
            nursery.cancel_scope.cancel()


async def test_who_writes_is_interrupted() -> None:
    readiness = Readiness()
    with joined(readiness) as (connection, _), trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_interrupt_when_blocked, connection)
            with pytest.raises(trio.ClosedResourceError):
                await connection.send(b"x" * 50_000_000)


async def _interrupt_when_blocked(connection: Connection) -> None:
    await trio.testing.wait_all_tasks_blocked()
    connection.interrupt()


@pytest.mark.parametrize("ended", [False, True], ids=["bytes", "end"])
async def test_what_comes_by_itself_makes_a_connection_unfit_at_once(ended: bool) -> None:  # noqa: FBT001  a parameter
    readiness = Readiness()
    with joined(readiness) as (connection, peer), trio.fail_after(PATIENCE_S):
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
            with trio.fail_after(PATIENCE_S):
                await sender.send(request, PATIENCE_S)
        assert receiver.connections == 1
