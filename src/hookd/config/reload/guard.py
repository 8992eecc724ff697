"""Whether a config would take away so much that it was hardly meant: a wrong branch, a disk that is not mounted.

Rules of this module:

1. What counts are webhooks that have pending deliveries: those are somebody's, and are held when their webhook is gone.
2. It is refused to remove at least `MOST` of them and more than half, or to leave no webhook at all. Whoever means it
   says so: `hookd reload --allow-removals`.
3. A webhook that is moved to another id is not removed.
4. A tree of which every file with a webhook is gone has vanished, and a managed directory that is no longer there was
   not emptied by anybody who manages webhooks: what stood in them is not removed, whoever waits. What comes in would
   be accepted, and go nowhere. That holds at a start too, when the last good config tells what stood there.
5. A directory that is closed to us (a mode, a disk that fails) was not emptied either.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hookd.config.load import Loaded, Rejected
from hookd.config.patterns import why_closed
from hookd.config.problems import Problem
from hookd.core.config import Place

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping

    from hookd.core.config import Config

#: Fewer than this many is an edit; more is more than one wants to lose by a slip.
MOST: Final = 10
_NAMED: Final = 5
_IF_MEANT: Final = "so it is not applied; if it is meant: hookd reload --allow-removals"


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldBack:
    """A config that is good, and that is not put to work since it takes away what was hardly meant to go."""

    loaded: Loaded
    problem: Problem


async def judge_removals(
    old: Config, new: Config, pending: Callable[[], Awaitable[Collection[str]]], main: str
) -> Problem | None:
    """Give the problem that `new` would remove too much, or None. Who has pending deliveries is asked if it matters."""
    gone = find_gone(files_of_removed(old, new), old.managed_dir, new, main)
    if gone is not None or not may_be_mass_removal(old, new):
        return gone
    return find_mass_removal(old, new, await pending(), main)


def problems_at_start(seen: Loaded | Rejected | HeldBack | None) -> tuple[Problem, ...]:
    """Give what keeps the files on disk from running, when a daemon starts."""
    if isinstance(seen, HeldBack):
        return (seen.problem,)
    return seen.error.problems if isinstance(seen, Rejected) else ()


def may_have_vanished(config: Config) -> bool:
    """Whether a config is of so little that the last good one needs to be asked what stood there."""
    root = config.managed_dir
    return not config.webhooks or (root is not None and not os.path.isdir(root))  # noqa: PTH112  a text


def judge_start(good: Config, found: Loaded, main: str) -> HeldBack | None:
    """Hold back what was found at a start if the tree has vanished in which the webhooks of the last good one stood."""
    problem = find_gone(files_of_removed(good, found.config), good.managed_dir, found.config, main)
    return None if problem is None else HeldBack(loaded=found, problem=problem)


# --------------------------------------------------------------------------- what went with its files


def find_gone(lost: Mapping[str, str], managed_dir: str | None, new: Config, main: str) -> Problem | None:
    """Give the problem that webhooks went since their files cannot be found or read, or None.

    `lost` are the webhooks that `new` has no more, with the files in which they stood, and `managed_dir` was beside
    them. The disk is asked only about these.
    """
    return _find_closed(lost) or _find_unmanaged(lost, managed_dir, new) or _find_vanished(lost, managed_dir, new, main)


def files_of_removed(old: Config, new: Config) -> dict[str, str]:
    """Give the files of the webhooks of `old` that `new` has not."""
    return {name: old.webhooks[name].place.file for name in find_removed(old, new)}


def _find_closed(lost: Mapping[str, str]) -> Problem | None:
    """Give the problem that a directory in which webhooks stood is closed to us."""
    for directory in sorted({os.path.dirname(file) for file in lost.values()}):  # noqa: PTH120  texts
        reason = why_closed(directory or ".")
        if reason is not None:
            names = [name for name, file in lost.items() if os.path.dirname(file) == directory]  # noqa: PTH120
            message = f"this directory cannot be read: {reason}; with it {_tell(names)}, {_IF_MEANT}"
            return Problem(Place(file=directory), message, "unreadable_file")
    return None


def _find_unmanaged(lost: Mapping[str, str], managed_dir: str | None, new: Config) -> Problem | None:
    """Give the problem that the managed directory is gone with its webhooks."""
    if managed_dir is None or new.managed_dir != managed_dir:
        return None
    names = [name for name, file in lost.items() if _is_inside(file, managed_dir)]
    if not names or os.path.isdir(managed_dir):  # noqa: PTH112  a text, as in the snapshot
        return None
    message = f"the managed directory is not there, and with it {_tell(names)}, {_IF_MEANT}"
    return Problem(Place(file=managed_dir), message, "mass_removal")


def _find_vanished(lost: Mapping[str, str], managed_dir: str | None, new: Config, main: str) -> Problem | None:
    """Give the problem that none of the files is there any more in which webhooks stood.

    Files that are there and hold no webhooks are an edit. What stands in the managed directory is another matter.
    """
    names = [name for name, file in lost.items() if not _is_inside(file, managed_dir)]
    # Who has webhooks left has a tree; and nobody asks the disk when somebody only takes a webhook out of a file.
    if not names or any(not _is_inside(each.place.file, new.managed_dir) for each in new.webhooks.values()):
        return None
    if any(os.path.exists(file) for file in sorted({lost[name] for name in names})):  # noqa: PTH110  a text
        return None
    message = f"every file in which webhooks stood is gone, and with them {_tell(names)}, {_IF_MEANT}"
    return Problem(Place(file=main), message, "mass_removal")


def _is_inside(file: str, managed_dir: str | None) -> bool:
    return managed_dir is not None and file.startswith(f"{managed_dir}/")


def _tell(names: Collection[str]) -> str:
    return f"{len(names)} webhook{'s' * (len(names) > 1)} would go ({_name(names)})"


def _name(names: Collection[str]) -> str:
    return ", ".join(sorted(names)[:_NAMED]) + (", …" if len(names) > _NAMED else "")


# --------------------------------------------------------------------------- what would be held


def find_removed(old: Config, new: Config) -> frozenset[str]:
    """Give the webhooks of `old` that `new` has not, also not under another id."""
    return frozenset(old.webhooks.keys() - new.webhooks.keys() - {move.source for move in new.moved})


def may_be_mass_removal(old: Config, new: Config) -> bool:
    """Whether it depends on what is pending: else nobody needs to be asked."""
    removed = len(find_removed(old, new))
    return removed >= MOST or (removed > 0 and not new.webhooks)


def find_mass_removal(old: Config, new: Config, pending: Collection[str], main: str) -> Problem | None:
    """Give the problem that `new` would remove too much, or None. `pending` names who has pending deliveries."""
    owed = old.webhooks.keys() & pending
    return judge_mass_removal(find_removed(old, new) & owed, len(owed), main, none_left=not new.webhooks)


def judge_mass_removal(lost: Collection[str], owed: int, main: str, *, none_left: bool) -> Problem | None:
    """Give the problem that too many of the `owed` webhooks with pending deliveries would go: those in `lost`."""
    if not lost or not (none_left or (len(lost) >= MOST and 2 * len(lost) > owed)):
        return None
    left = "and leave no webhook at all, " if none_left else ""
    message = (
        f"this would remove {len(lost)} of the {owed} webhooks that have pending deliveries ({_name(lost)}),"
        f" {left}{_IF_MEANT}"
    )
    return Problem(Place(file=main), message, "mass_removal")
