"""What a reload came to, as values for the control API and as JSON for who asked.

Rules of this module:

1. An answer tells what runs and since when, also when nothing changed: whoever saves a file and then asks must not read
   "unchanged" because the daemon was quicker.
2. What is applied is written first, and a full disk may stay full for days: who waits for that is told, and the reload
   goes on without them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import trio

from hookd.config.problems import describe_problem
from hookd.core.instants import format_instant

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hookd.config.problems import Problem
    from hookd.core.config import NotMoved

#: Seconds between two looks at whether the store is in trouble.
_LOOK_S: Final = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reloaded:
    """What a reload came to.

    `applied_at`, in milliseconds since the epoch, is when what runs was put to work, and `added`, `removed` and
    `altered` are the webhooks that this changed. `last_good`: what runs is the copy that the daemon started from, since
    the files were not good.
    """

    changed: bool
    revision: str
    applied_at: int = 0
    problems: tuple[Problem, ...] = ()
    last_good: bool = False
    restart_required: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    altered: tuple[str, ...] = ()
    not_moved: tuple[NotMoved, ...] = ()


async def wait_reloaded(reload: Callable[[], Awaitable[Reloaded]], trouble: Callable[[], str]) -> Reloaded | str:
    """Reload and give what it came to; a text: it waits, for this `trouble` of the store."""
    with trio.CancelScope() as waiting:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_tire, waiting, trouble)
            reloaded = await reload()
            nursery.cancel_scope.cancel()
        return reloaded
    return f"the files are read, and what they say is applied as soon as it can be written: {trouble()}"


async def _tire(waiting: trio.CancelScope, trouble: Callable[[], str]) -> None:
    await trio.sleep(_LOOK_S)
    while not trouble():  # noqa: ASYNC110  a disk tells nobody that it is full
        await trio.sleep(_LOOK_S)
    waiting.cancel()


def describe_reloaded(reloaded: Reloaded) -> dict[str, object]:
    """Give what a reload came to."""
    return {
        "changed": reloaded.changed,
        "revision": reloaded.revision,
        "applied_at": format_instant(reloaded.applied_at),
        "added": list(reloaded.added),
        "removed": list(reloaded.removed),
        "altered": list(reloaded.altered),
        "problems": [describe_problem(problem) for problem in reloaded.problems],
        "last_good": reloaded.last_good,
        "restart_required": list(reloaded.restart_required),
        "not_moved": [describe_not_moved(each) for each in reloaded.not_moved],
    }


def describe_not_moved(refused: NotMoved) -> dict[str, object]:
    """Give a move that was refused, in the words of `moved:`, with where it stands."""
    move = refused.move
    place = (
        {} if move.place is None else {"file": move.place.file, "line": move.place.line, "column": move.place.column}
    )
    return {"from": move.source, "to": move.target, **place, "reason": refused.reason}
