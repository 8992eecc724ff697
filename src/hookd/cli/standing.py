"""How one webhook stands, for people: what waits, what failed, what happens next.

Rule: every instant is told as it is and as people count, "in 40s" or "3h ago"; what does not apply has no line.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from hookd.cli.instants import format_age
from hookd.cli.output import print_fields, styled

_ENDINGS: Final = {2: "nd", 3: "rd"}
_STYLES: Final = {"ok": "good", "suspended": "bad"}


def print_standing(row: dict[str, Any], *, now: datetime | None = None) -> None:
    """Print a row of the backlog as a screen of its own."""
    now = now or datetime.now(UTC)
    name, state = row["webhook"], row["state"]
    print(f"{name}: {styled(state, _STYLES.get(state, 'strong'))}{_why(row, now)}")
    advice = _advice(row)
    if advice:
        print(f"  {advice}")
    print_fields(
        [
            ("pending", _pending(row, now)),
            ("next attempt", _next(row, now)),
            ("delivered", row["delivered"] or None),
            ("last success", _ago(row["last_success_at"], now)),
            ("dead", f"{row['dead']}: {_redrive(row)}" if row["dead"] else 0),
            ("breaker", _breaker(row, now)),
            ("last error", error_of(row)),
        ]
    )


def error_of(row: dict[str, Any]) -> str | None:
    """Give the last error, unless it is over: a success has followed, or somebody resumed the webhook."""
    return row["last_error"] if row["failures"] or row["suspended_at"] else None


def format_not_moved(refused: dict[str, Any]) -> str:
    """Give a move that was refused as one line: which, where it stands, why, and what to do."""
    place = f" ({refused['file']}:{refused['line']}:{refused['column']})" if "file" in refused else ""
    return f"{refused['from']} to {refused['to']}{place}: {refused['reason']}"


def _why(row: dict[str, Any], now: datetime) -> str:
    if row["state"] == "suspended":
        return f" since {_ago(row['suspended_at'], now)}: {row['suspended_cause']}"
    if row["state"] == "missing":
        return ": it is not in the running config"
    if row["failures"]:
        times = "once" if row["failures"] == 1 else f"{row['failures']} times in a row"
        return f" {times}, since {_ago(row['failing_since'], now)}"
    return ""


def _advice(row: dict[str, Any]) -> str:
    count = "1 delivery is" if row["held"] == 1 else f"{row['held']} deliveries are"
    held = f"; {count} held for it" if row["held"] else ""
    name, need = row["webhook"], row.get("needs_person")  # an older daemon says nothing of it
    match row["state"]:
        case "suspended":
            return f"once it is mended: `hookd resume {name}`, or change its definition{held}"
        case "failing" if need:
            return f"nothing but a person mends that (`hookd explain {need}`); then `hookd resume {name}` tries at once"
        case "paused" | "inactive" as state:
            written = "paused: true" if state == "paused" else "active: false"
            return f"its definition says `{written}`{held}"
        case "missing" if row["held"]:
            return f"put it back, name its successor under `moved:`, or give it up: `hookd remove {name}`{held}"
        case _ if row["held"]:
            return f"it no longer takes the tenant or the type of some events; {count} held until it does"
        case _:
            return ""


def _pending(row: dict[str, Any], now: datetime) -> str:
    told = [str(row["pending"])]
    if row["pending"]:
        counts = [f"{row['held']} held"] if row["held"] else []
        counts += [f"{row['in_flight']} in flight"] if row["in_flight"] else []
        if row["oldest_pending_at"]:
            counts.append(f"the oldest of {row['oldest_pending_at']}, {_away(row['oldest_pending_at'], now)}")
        told.append(f"({', '.join(counts)})" if counts else "")
    return " ".join(told).rstrip()


def _redrive(row: dict[str, Any]) -> str:
    redrive = f"`hookd redrive {row['webhook']}` makes them due again"
    return f"once it is back, {redrive}" if row["state"] == "missing" else redrive


def _next(row: dict[str, Any], now: datetime) -> str | None:
    if not row["pending"] or row["held"] == row["pending"]:
        return None
    gates = [row[key] for key in ("paused_until", "breaker_until") if row[key] and _at(row[key]) > now]
    moments = [moment for moment in (row["next_due_at"], *gates) if moment]
    if not moments:
        return "now" if row["in_flight"] else None
    latest = max(moments, key=_at)
    if _at(latest) <= now:
        return "now"
    why = ""
    if gates and latest == row["paused_until"]:
        why = ": its receiver asked to wait until then"
    elif gates and latest == row["breaker_until"]:
        why = ": a probe"
    return f"{_ago(latest, now)}{why}"


def _breaker(row: dict[str, Any], now: datetime) -> str | None:
    if row["state"] == "missing":
        return None
    if row["breaker"] == "closed":
        return "closed"
    if row["state"] not in ("ok", "failing"):
        return "open; nothing probes while it is held"
    probing = "a probe is next" if _at(row["breaker_until"]) <= now else f"a probe {_ago(row['breaker_until'], now)}"
    opened = row["breaker_opened"]
    times = "" if opened <= 1 else f" for the {opened}{_ENDINGS.get(opened, 'th')} time in a row"
    return f"open{times}; {probing}"


def _at(instant: str) -> datetime:
    return datetime.fromisoformat(instant)


def _ago(instant: str | None, now: datetime) -> str | None:
    """Give an instant with how far away it is."""
    if instant is None:
        return None
    return f"{instant} ({_away(instant, now)})"


def _away(instant: str, now: datetime) -> str:
    if _at(instant) > now:  # an age is counted backwards: as if that were now, and now were then
        return f"in {format_age(now.isoformat(), now=_at(instant))}"
    return f"{format_age(instant, now=now)} ago"
