"""The thread that writes: one thing after another, what it raises is raised, and it ends."""

from __future__ import annotations

import threading

import pytest
import trio
import trio.testing

from hookd.store.thread import WritingThread


async def test_calls_are_done_one_after_another_in_one_thread_of_their_own() -> None:
    thread = WritingThread()
    done: list[tuple[int, int]] = []

    async def call(number: int) -> None:
        await thread.run(lambda: done.append((number, threading.get_ident())))

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            for number in range(50):
                nursery.start_soon(call, number)
    thread.stop()
    assert sorted(number for number, _ in done) == list(range(50))
    assert len({ident for _, ident in done}) == 1
    assert done[0][1] != threading.get_ident()


async def test_what_a_call_raises_is_raised_and_the_next_is_done() -> None:
    thread = WritingThread()
    with trio.fail_after(10), pytest.raises(ZeroDivisionError):
        await thread.run(lambda: [][1 // 0])
    came: list[int] = []
    with trio.fail_after(10):
        await thread.run(lambda: came.append(1))
    thread.stop()
    assert came == [1]


async def test_a_call_that_was_begun_is_ended_although_its_caller_is_cancelled() -> None:
    thread = WritingThread()
    begun, go = threading.Event(), threading.Event()
    came: list[int] = []

    def work() -> None:
        begun.set()
        assert go.wait(10)
        came.append(1)

    async def release() -> None:
        await trio.to_thread.run_sync(begun.wait, 10)
        scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        go.set()

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(release)
            with trio.CancelScope() as scope:
                await thread.run(work)
    thread.stop()
    assert came == [1]
    assert not scope.cancelled_caught
