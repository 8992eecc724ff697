"""Working beside an event loop: quick changes of threads while it lasts, and memory that goes back."""

from __future__ import annotations

import sys
import threading

from hookd.config.beside import beside_others
from hookd.config.trim import give_back


def test_threads_change_quickly_until_the_last_is_done() -> None:
    before = sys.getswitchinterval()
    inside, leave = threading.Event(), threading.Event()

    def work() -> None:
        with beside_others():
            inside.set()
            leave.wait(30)

    thread = threading.Thread(target=work)
    with beside_others():
        thread.start()
        assert inside.wait(30)
        assert sys.getswitchinterval() < before
    assert sys.getswitchinterval() < before
    leave.set()
    thread.join()
    assert sys.getswitchinterval() == before


def test_giving_memory_back_does_no_harm() -> None:
    kept = [bytes(1000) for _ in range(1000)]
    give_back()
    assert all(each == bytes(1000) for each in kept)
