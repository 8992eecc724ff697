"""The thread that writes: it lives as long as the store, and does one thing after another.

Rules of this module:

1. `trio.to_thread` names a thread, copies a context and asks a limiter for every call, and may start a thread; a batch
   of one event costs more by that than by its rows. Here a call is an entry in C's queue, and one wake-up back.
2. What was begun is ended: a call is never given up, whoever is cancelled.
"""

from __future__ import annotations

import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, TypeAlias

import outcome
import trio

if TYPE_CHECKING:
    from collections.abc import Callable

    #: What to do, and who waits for it. None: the end.
    _Call: TypeAlias = tuple[Callable[[], None], trio.lowlevel.Task] | None


class WritingThread:
    """One thread. To be made inside a trio run, and ended by `stop`."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[_Call] = SimpleQueue()
        self._token = trio.lowlevel.current_trio_token()
        self._thread = threading.Thread(target=self._run, name="hookd-store", daemon=True)
        self._thread.start()

    async def run(self, work: Callable[[], None]) -> None:
        """Do `work` in the thread; what it raises is raised here."""
        self._calls.put((work, trio.lowlevel.current_task()))
        await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.FAILED)

    def stop(self) -> None:
        """End the thread, which has nothing to do."""
        self._calls.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            work, task = call
            try:
                self._token.run_sync_soon(trio.lowlevel.reschedule, task, outcome.capture(work))
            except trio.RunFinishedError:  # the run crashed, and nobody waits any more
                return
            del work, task, call
