"""Whether a config would take away so much that it was hardly meant: a wrong branch, a disk that is not mounted.

Rules of this module:

1. What counts are webhooks that have pending deliveries: those are somebody's, and are held when their webhook is gone.
2. It is refused to remove at least `MOST` of them and more than half, or to leave no webhook at all. Whoever means it
   says so: `hookd reload --allow-removals`.
3. A webhook that is moved to another id is not removed.
4. A tree of which every file with a webhook is gone has vanished, and a managed directory that is no longer there was
   not emptied by anybody who manages webhooks: what stood in them is not removed, whoever waits. What comes in would
   be accepted, and go nowhere. That holds at a start too, when the last good config tells what stood there.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hookd.config.load import Loaded, Rejected
from hookd.config.problems import Problem
from hookd.core.config import Place

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    from hookd.core.config import Config

#: Fewer than this many is an edit; more is more than one wants to lose by a slip.
MOST: Final = 10
_NAMED: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldBack:
    """A config that is good, and that is not put to work since it takes away what was hardly meant to go."""

    loaded: Loaded
    problem: Problem


async def judge_removals(
    old: Config, new: Config, pending: Callable[[], Awaitable[Collection[str]]], main: str
) -> Problem | None:
    """Give the problem that `new` would remove too much, or None. Who has pending deliveries is asked if it matters."""
    vanished = find_vanished(old, new) or find_vanished_tree(old, new, main)
    if vanished is not None or not may_be_mass_removal(old, new):
        return vanished
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
    problem = find_vanished(good, found.config) or find_vanished_tree(good, found.config, main)
    return None if problem is None else HeldBack(loaded=found, problem=problem)


def find_vanished(old: Config, new: Config) -> Problem | None:
    """Give the problem that the managed directory is gone with its webhooks, or None."""
    root = old.managed_dir
    if root is None or new.managed_dir != root or os.path.isdir(root):  # noqa: PTH112  a text, as in the snapshot
        return None
    lost = [name for name in find_removed(old, new) if _is_managed(old, name)]
    if not lost:
        return None
    message = (
        f"the managed directory is not there, and with it {len(lost)} webhook{'s' * (len(lost) > 1)} would go, so it is"
        " not applied; if it is meant: hookd reload --allow-removals"
    )
    return Problem(Place(file=root), message, "mass_removal")


def find_vanished_tree(old: Config, new: Config, main: str) -> Problem | None:
    """Give the problem that none of the files is there any more in which webhooks stood, or None.

    Files that are there and hold no webhooks are an edit. What stands in the managed directory is another matter.
    """
    lost = sorted(name for name in find_removed(old, new) if not _is_managed(old, name))
    files = sorted({old.webhooks[name].place.file for name in lost})
    # Who has webhooks left has a tree; and nobody asks the disk when somebody only takes a webhook out of a file.
    if not lost or any(not _is_managed(new, name) for name in new.webhooks):
        return None
    if any(os.path.exists(file) for file in files):  # noqa: PTH110  a text
        return None
    named = ", ".join(lost[:_NAMED]) + (", …" if len(lost) > _NAMED else "")
    message = (
        f"every file in which webhooks stood is gone, and with them {len(lost)} webhook{'s' * (len(lost) > 1)} would go"
        f" ({named}), so it is not applied; if it is meant: hookd reload --allow-removals"
    )
    return Problem(Place(file=main), message, "mass_removal")


def _is_managed(config: Config, name: str) -> bool:
    root = config.managed_dir
    return root is not None and config.webhooks[name].place.file.startswith(f"{root}/")


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
    lost = find_removed(old, new) & owed
    if not lost or (new.webhooks and not (len(lost) >= MOST and 2 * len(lost) > len(owed))):
        return None
    named = ", ".join(sorted(lost)[:_NAMED]) + (", …" if len(lost) > _NAMED else "")
    left = "" if new.webhooks else "and leave no webhook at all, "
    message = (
        f"this would remove {len(lost)} of the {len(owed)} webhooks that have pending deliveries ({named}), {left}"
        "so it is not applied; if it is meant: hookd reload --allow-removals"
    )
    return Problem(Place(file=main), message, "mass_removal")
