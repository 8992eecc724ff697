"""Waiting for a moment at which the files of a config are worth reading.

Rules of this module:

1. While git is at work in a work tree that holds a file of the config, the tree is half of one commit and half of
   another, however quiet it is. Once it is done the tree is whole, however much has just happened.
2. Else quiet: nothing has been heard of the files for a moment. An editor's save and a copy of some files are single
   bursts, and a slow writer pauses for less than that.
3. Each wait is bounded. The snapshot reads twice, so what is read is never torn; a merge may wait for its person for
   days, and is waited for once.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

import structlog
import trio

from hookd.config.beside import beside_others, give_way
from hookd.config.git import find_git_directories, git_busy, is_writing, path_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable
    from pathlib import Path

log = structlog.get_logger()

#: Seconds.
_QUIET_S: Final = 0.2
_QUIET_AT_MOST_S: Final = 5.0
_GIT_AT_MOST_S: Final = 30.0
_GIT_STEP_S: Final = 0.02
#: git writes its HEAD some milliseconds after the last file and the index. Who is faster is told of the commit later.
_HEAD_S: Final = 0.03
#: So long files may keep moving while they are read before that is a problem to tell.
_MOVING_AT_MOST_S: Final = 30.0
#: A lock that is held for less may be that of a `git status`, which some prompts run all the time.
_CHECKOUT_STEPS: Final = 5
_CHECKOUT_AT_MOST_S: Final = 10.0


class Settling:
    """Waits until the files are quiet and git is done.

    State: the mark of git that was waited for in vain, and since when the files have been moving.
    `heard_at` gives when the last hint of a change came (trio's clock), `directories` where files of the config lie.
    `meanwhile` runs while git writes, and is cancelled then.
    """

    def __init__(
        self,
        heard_at: Callable[[], float],
        directories: Callable[[], Iterable[str]],
        meanwhile: Callable[[], Awaitable[None]],
    ) -> None:
        self._heard_at = heard_at
        self._directories = directories
        self._meanwhile = meanwhile
        self._waited_for: str | None = None
        self._moving_since: float | None = None

    async def wait(self) -> None:
        """Wait, within bounds."""
        trees = await trio.to_thread.run_sync(self._find_trees, abandon_on_cancel=True)
        if await self._wait_for_git(trees):
            return
        with trio.move_on_after(_QUIET_AT_MOST_S):
            while (left := self._heard_at() + _QUIET_S - trio.current_time()) > 0:  # noqa: ASYNC110  time passes, nobody tells
                await trio.sleep(left)
        await self._wait_for_git(trees)

    async def _wait_for_git(self, trees: Collection[Path]) -> bool:
        """Wait while git is at work; tell whether that was long enough for a checkout, and nobody else's moment."""
        steps = 0
        with trio.move_on_after(_GIT_AT_MOST_S):
            async with trio.open_nursery() as beside:
                while (mark := await _mark_in(trees)) is not None and mark != self._waited_for:
                    steps += 1
                    if is_writing(mark) and not beside.child_tasks:
                        beside.start_soon(self._meanwhile)
                    await trio.sleep(_GIT_STEP_S)
                if steps >= _CHECKOUT_STEPS:
                    await trio.sleep(_HEAD_S)
                beside.cancel_scope.cancel()
            return steps >= _CHECKOUT_STEPS
        self._waited_for = await _mark_in(trees)
        log.warning("config.deferred", reason=_tell_mark(self._waited_for), seconds=_GIT_AT_MOST_S)
        return True

    def goes_on(self) -> bool:
        """Take note that files moved while they were read; tell whether to wait for them still, and not complain."""
        now = trio.current_time()
        if self._moving_since is None:
            self._moving_since = now
            log.warning("config.deferred", reason="the files keep changing", seconds=_MOVING_AT_MOST_S)
        return now - self._moving_since < _MOVING_AT_MOST_S

    def over(self) -> None:
        """Take note that the files stood still while they were read."""
        self._moving_since = None

    @beside_others()
    def _find_trees(self) -> tuple[Path, ...]:
        give_way()
        return find_git_directories(os.path.realpath(directory) for directory in self._directories())


def _tell_mark(mark: str | None) -> str:
    """Say what was waited for in vain. A git that was killed leaves its lock, and goes on being waited for by git."""
    if mark is None:
        return "git is at work in the tree"
    advice = ", which is to be removed if no git runs there any more" if is_writing(mark) else ""
    return f"git is at work in the tree: there is {path_of(mark)}{advice}; the files are read as they lie"


async def _mark_in(trees: Collection[Path]) -> str | None:
    return await trio.to_thread.run_sync(git_busy, trees, abandon_on_cancel=True) if trees else None


def wait_for_checkout(main: Path, *, at_most: float = _CHECKOUT_AT_MOST_S) -> None:
    """Wait while git writes the work tree that holds `main`, for a daemon that is just starting. Blocks."""
    trees = find_git_directories([os.path.dirname(os.path.realpath(main))])  # noqa: PTH120  a text
    deadline = time.monotonic() + at_most
    # Only the lock: what waits for a person is read as it lies, and judged as it is.
    while is_writing(git_busy(trees) or "") and time.monotonic() < deadline:
        time.sleep(_GIT_STEP_S)
