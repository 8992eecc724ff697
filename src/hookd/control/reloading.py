"""What a reload came to, as values for the control API and as JSON for who asked.

Rule: an answer tells what runs and since when, also when nothing changed: whoever saves a file and then asks must not
read "unchanged" because the daemon was quicker.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hookd.config.problems import describe_problem
from hookd.core.instants import format_instant

if TYPE_CHECKING:
    from hookd.config.problems import Problem


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
    }
