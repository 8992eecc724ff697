"""What needs a person: which webhooks nothing but somebody's hand will mend, why, and what that hand can do.

Rules of this module:

1. A webhook needs a person when waiting mends nothing: it is suspended; it failed last for a reason on our side
   (`OURS_TO_MEND`); or it is gone from the config with deliveries held for it, which die after `retention.held`.
2. One whose receiver fails needs nobody: that is retried. Nor do dead deliveries, which may be what was asked for.
3. It is said here, once: exit codes, the JSON and the screen are made of it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final, Literal

from hookd.core.model import Cause

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from hookd.core.states import Standing

#: Failures before anything was sent that the receiver has no part in: the definition, a secret or an event is at fault.
OURS_TO_MEND: Final = frozenset(
    {
        Cause.RENDER_FAILED,
        Cause.BODY_SCHEMA,
        Cause.SECRET_UNREADABLE,
        Cause.REQUEST_INVALID,
        Cause.BLOCKED_ADDRESS,
    }
)
#: How many webhooks of a kind are named.
MOST_NAMES: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What somebody has to see to: webhooks that need the same, what is the matter, and what to do."""

    reason: Literal["suspended", "not_sent", "missing"]
    webhooks: tuple[str, ...]
    message: str
    advice: str


def find_need(standing: Standing, *, pending: int, failing_cause: Cause | None) -> str | None:
    """Give why a webhook needs a person: `suspended`, `missing`, or what it failed of; None: it needs nobody."""
    match standing:
        case "suspended":
            return "suspended"
        case "missing":
            return "missing" if pending else None
        case "failing" if failing_cause in OURS_TO_MEND:
            return failing_cause
        case _:
            return None


def list_needs(rows: Sequence[Mapping[str, object]]) -> list[dict[str, object]]:
    """Give what needs a person, as JSON, of described backlogs."""
    found: dict[str, list[Mapping[str, object]]] = {"suspended": [], "not_sent": [], "missing": []}
    for row in rows:
        need = row["needs_person"]
        if need is not None:
            found[need if need in ("suspended", "missing") else "not_sent"].append(row)
    tellers = zip((_tell_suspended, _tell_not_sent, _tell_missing), found.values(), strict=True)
    return [asdict(tell(needy)) for tell, needy in tellers if needy]


def _tell_suspended(rows: Sequence[Mapping[str, object]]) -> Need:
    names = _names(rows)
    webhooks = "1 webhook is" if len(names) == 1 else f"{len(names)} webhooks are"
    return Need(
        reason="suspended",
        webhooks=names,
        message=f"{webhooks} suspended: {_join(names)}",
        advice=f"once it is mended: `hookd resume {_only(names)}`",
    )


def _tell_not_sent(rows: Sequence[Mapping[str, object]]) -> Need:
    names = _names(rows)
    webhooks = "1 webhook fails" if len(names) == 1 else f"{len(names)} webhooks fail"
    told = _join(f"{row['webhook']} ({row['needs_person']})" for row in rows)
    return Need(
        reason="not_sent",
        webhooks=names,
        message=f"{webhooks} for a reason on our side: {told}",
        advice=f"`hookd status {_only(names)}` says what to mend; then it heals with the next attempt",
    )


def _tell_missing(rows: Sequence[Mapping[str, object]]) -> Need:
    names = _names(rows)
    held = sum(int(str(row["pending"])) for row in rows)
    deliveries = "1 delivery is" if held == 1 else f"{held} deliveries are"
    told = _join(f"{row['webhook']} ({row['pending']})" for row in rows)
    return Need(
        reason="missing",
        webhooks=names,
        message=f"{deliveries} held for webhooks that are gone: {told}",
        advice=f"put it back, name its successor under `moved:`, or `hookd remove {_only(names)}` to give them up",
    )


def _names(rows: Iterable[Mapping[str, object]]) -> tuple[str, ...]:
    return tuple(str(row["webhook"]) for row in rows)


def _only(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else "WEBHOOK"


def _join(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - MOST_NAMES} more" if len(listed) > MOST_NAMES else ""
    return ", ".join(listed[:MOST_NAMES]) + more
