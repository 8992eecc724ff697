"""Idle connections: who is given, who goes."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from hookd.delivery.connection import Connection
from hookd.delivery.pool import BAY_LIMIT, IDLE_SECONDS, LIFE_SECONDS, TOTAL_LIMIT, Pool

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    Connect = Callable[[float], Connection]


@pytest.fixture
def connect() -> Generator[Connect]:
    with ExitStack() as stack:

        def make(born: float) -> Connection:
            ours, theirs = socket.socketpair()
            stack.enter_context(theirs)
            connection = Connection(ours)
            connection.born = born
            stack.callback(connection.close)
            return connection

        yield make


def is_closed(connection: Connection) -> bool:
    return connection._socket.fileno() < 0


def test_the_last_one_back_is_the_first_one_out(connect: Connect) -> None:
    pool = Pool()
    first, second = connect(0), connect(0)
    for connection in (first, second):
        pool.put(pool.bay("a"), connection, 1)
    assert pool.take(pool.bay("b"), 1) is None
    assert pool.take(pool.bay("a"), 1) is second
    assert pool.take(pool.bay("a"), 1) is first
    assert pool.take(pool.bay("a"), 1) is None


def test_one_that_waited_too_long_is_closed_and_not_given(connect: Connect) -> None:
    pool = Pool()
    connection = connect(0)
    pool.put(pool.bay("a"), connection, 1)
    assert pool.take(pool.bay("a"), 1 + IDLE_SECONDS + 0.1) is None
    assert is_closed(connection)
    assert len(pool) == 0


def test_one_that_lived_too_long_is_not_kept(connect: Connect) -> None:
    pool = Pool()
    connection = connect(0)
    pool.put(pool.bay("a"), connection, LIFE_SECONDS + 1)
    assert is_closed(connection)
    assert (len(pool), pool.bays) == (0, 0)


def test_one_that_has_something_to_say_is_not_given() -> None:
    pool = Pool()
    ours, theirs = socket.socketpair()
    with theirs:
        connection = Connection(ours)
        pool.put(pool.bay("a"), connection, connection.born)
        theirs.send(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
        assert pool.take(pool.bay("a"), connection.born) is None
        assert is_closed(connection)


def test_a_lane_keeps_the_youngest(connect: Connect) -> None:
    pool = Pool()
    connections = [connect(0) for _ in range(BAY_LIMIT + 2)]
    for at, connection in enumerate(connections):
        pool.put(pool.bay("a"), connection, at / 1000)
    assert len(pool) == BAY_LIMIT
    assert [is_closed(each) for each in connections[:3]] == [True, True, False]


def test_the_pool_keeps_the_youngest(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hookd.delivery.pool.TOTAL_LIMIT", 10)
    assert TOTAL_LIMIT == 1024
    pool = Pool()
    connections = [connect(0) for _ in range(12)]
    for at, connection in enumerate(connections):
        pool.put(pool.bay(at % 7), connection, at / 1000)
    assert len(pool) == 10
    assert [is_closed(each) for each in connections[:3]] == [True, True, False]


def test_a_sweep_closes_the_old_and_forgets_empty_bays(connect: Connect) -> None:
    pool = Pool()
    old, young = connect(0), connect(0)
    bay = pool.bay("old")
    pool.put(bay, old, 1)
    pool.put(pool.bay("young"), young, 3)
    pool.sweep(1 + IDLE_SECONDS + 0.1)
    assert (is_closed(old), is_closed(young)) == (True, False)
    assert (len(pool), pool.bays) == (1, 1)
    # A request that was under way when its bay was forgotten brings its connection back all the same.
    late = connect(0)
    pool.put(bay, late, 5)
    assert pool.take(pool.bay("old"), 5) is late


def test_a_closed_pool_takes_nothing_back(connect: Connect) -> None:
    pool = Pool()
    waiting, late = connect(0), connect(0)
    bay = pool.bay("a")
    pool.put(bay, waiting, 1)
    pool.close()
    pool.put(bay, late, 1)
    assert is_closed(waiting)
    assert is_closed(late)
    assert pool.take(bay, 1) is None
