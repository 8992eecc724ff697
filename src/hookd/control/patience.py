"""Questions to a store whose disk may hang, for those who would rather know that it does than wait.

Rules of this module:

1. A question that a thread has taken to the disk cannot be taken back. So a task of its own asks, and whoever wants to
   know waits for it for so long only.
2. Every question is asked anew: an answer may be older than what was done just before.
3. A store that is silent is asked nothing further until it has answered: that would take the threads that others
   need, and a person who asks again is told at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import trio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")

#: For how many seconds the store may think: what is asked takes a tenth of one with a million pending.
PATIENCE_S: Final = 4.0


class Silent(Exception):  # noqa: N818  a fact
    """The store does not answer; the message is for people."""


class _Question:
    """A question that is open: `done` is set when it has an `answer`, or went wrong."""

    def __init__(self) -> None:
        self.asked_at = trio.current_time()
        self.done = trio.Event()
        self.answer: Any = None
        self.wrong: Exception | None = None


class Patience:
    """Asks and waits: `serve` must run. State: the questions without an answer, the oldest first."""

    def __init__(self) -> None:
        self._open: list[_Question] = []
        self._nursery: trio.Nursery | None = None

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Be where questions are asked, until cancelled."""
        async with trio.open_nursery() as self._nursery:
            task_status.started()
            await trio.sleep_forever()

    async def ask(self, question: Callable[[], Awaitable[T]]) -> T:
        """Give the answer. Raises `Silent`, and whatever the question raises."""
        assert self._nursery is not None  # noqa: S101  who serves the API serves this
        if self._silent_s() >= PATIENCE_S:
            raise self._tell()
        asked = _Question()
        self._open.append(asked)
        self._nursery.start_soon(self._ask, asked, question)
        with trio.move_on_after(PATIENCE_S):
            await asked.done.wait()
        if not asked.done.is_set():
            raise self._tell()
        if asked.wrong is not None:
            raise asked.wrong
        return cast("T", asked.answer)

    async def _ask(self, asked: _Question, question: Callable[[], Awaitable[T]]) -> None:
        try:
            asked.answer = await question()
        except Exception as error:  # noqa: BLE001  it is for whoever asked, and not the end of the daemon
            asked.wrong = error
        finally:
            self._open.remove(asked)
            asked.done.set()

    def _silent_s(self) -> float:
        return trio.current_time() - self._open[0].asked_at if self._open else 0.0

    def _tell(self) -> Silent:
        return Silent(f"the store has not answered for {self._silent_s():.0f} s: the disk hangs, or is very slow")
