"""What a look at the files came to, in values and in the fields of a log line.

Rules: a report tells what runs, since when, and what is wrong with the files; it never has to be asked twice. Log
lines name at most `NAMES` webhooks each way; the counts are whole.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hookd.config.problems import Problem
    from hookd.core.config import Config, NotMoved, Revision
    from hookd.core.daemonconfig import DaemonConfig

#: Names in a log line.
NAMES: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a look at the files came to. `revision` is that of the config that runs now.

    `applied_at` is when that config was put to work, in milliseconds since the epoch. With `problems` the files are
    not good and the old config runs on; `last_good`: what runs is the copy of another run. `restart_required` names
    the keys of `daemon:` that differ from what the daemon was started with. `added`, `removed` and `altered` are of the
    reload that made what runs; `not_moved` are the moves of what runs that were refused.
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


def compare(old: Config, new: Config) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Give the webhooks that were added, removed and altered, each in the order of the files."""
    before, after = old.webhooks, new.webhooks
    # What did not change is the same object (`reuse`), and nearly nothing does: 10,000 looks take the loop 1 ms.
    others = [(name, webhook) for name, webhook in after.items() if before.get(name) is not webhook]
    return (
        tuple(name for name, _ in others if name not in before),
        tuple(name for name in before if name not in after),
        tuple(name for name, webhook in others if name in before and webhook.digest != before[name].digest),
    )


def describe_report(report: Report) -> dict[str, object]:
    """Give the webhooks that changed as fields of a log line."""
    described: dict[str, object] = {}
    for name, names in (("added", report.added), ("removed", report.removed), ("changed", report.altered)):
        described[name] = len(names)
        described[f"{name}_webhooks"] = list(names[:NAMES])
    described["not_moved"] = [each.move.source for each in report.not_moved[:NAMES]]
    return described


def describe_not_moved(refused: NotMoved) -> dict[str, object]:
    """Give a move that was refused as fields of a log line."""
    place = refused.move.place
    where = {} if place is None else {"file": place.file, "line": place.line, "column": place.column}
    return {"to": refused.move.target, "reason": refused.reason, **where}


def describe_revision(revision: Revision) -> dict[str, object]:
    """Give a revision as fields of a log line: as it stands in every attempt, and its parts where it has them."""
    described: dict[str, object] = {"revision": str(revision)}
    if revision.commit is not None:
        described.update(commit=revision.commit, dirty=revision.dirty)
    return described


def describe_problem(problem: Problem) -> dict[str, object]:
    """Give a problem as fields of a log line."""
    place = problem.place
    return {
        "file": place.file,
        "line": place.line,
        "column": place.column,
        "code": problem.code,
        "message": f"{problem.message}; did you mean `{problem.hint}`?" if problem.hint else problem.message,
    }


def find_differences(one: DaemonConfig, other: DaemonConfig) -> tuple[str, ...]:
    """Give the keys of `daemon:` in which two differ, as `daemon.limits.concurrency`."""
    return tuple(f"daemon.{_KEYS.get(name, name)}" for name in _differences(one, other))


#: What is not named in the dataclasses as in the files.
_KEYS: Final[Mapping[str, str]] = {"log_level": "log.level"}


def _differences(one: object, other: object) -> Sequence[str]:
    found: list[str] = []
    for field in fields(one):  # type: ignore[arg-type]  # both are of one dataclass
        left, right = getattr(one, field.name), getattr(other, field.name)
        if left == right:
            continue
        inner = _differences(left, right) if is_dataclass(left) and type(left) is type(right) else ()
        found.extend([f"{field.name}.{name}" for name in inner] or [field.name])
    return found
