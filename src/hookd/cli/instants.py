"""Instants and ages as people type them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from hookd.cli.errors import CliError, ExitCode

_AGE: Final = re.compile(r"([0-9]{1,9})(s|m|h|d)")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_PRECISE_S: Final = 10.0
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def parse_when(text: str | None, option: str, *, now: datetime | None = None) -> int | None:
    """Give milliseconds since the epoch of an RFC 3339 instant, a date, or an age (`2h`: two hours ago).

    Without an offset an instant is in UTC, as the log is. `now` is for ages; None: the clock. None gives None.
    """
    if text is None:
        return None
    age = _AGE.fullmatch(text)
    try:
        if age is not None:
            moment = (now or datetime.now(UTC)) - timedelta(**{_UNITS[age[2]]: int(age[1])})
        else:
            moment = datetime.fromisoformat(text)
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=UTC)
        return (moment - _EPOCH) // timedelta(milliseconds=1)
    except (ValueError, OverflowError):
        message = f"{option} takes an instant like 2026-11-21T16:00:00Z, a date, or an age like 2h: not {text!r}"
        raise CliError(message, ExitCode.USAGE) from None


def format_age(instant: str | None, *, now: datetime | None = None) -> str | None:
    """Give how long ago an RFC 3339 instant was, in its largest unit: `3d`, `5h`, `12m`, `7s`."""
    if instant is None:
        return None
    seconds = int(((now or datetime.now(UTC)) - datetime.fromisoformat(instant)).total_seconds())
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{max(seconds, 0)}s"


def format_age_precisely(instant: str, *, now: datetime | None = None) -> str:
    """Give how long ago an RFC 3339 instant was, with tenths of a second as long as these tell something: `0.3 s`."""
    seconds = ((now or datetime.now(UTC)) - datetime.fromisoformat(instant)).total_seconds()
    if seconds < _PRECISE_S:
        return f"{max(seconds, 0.0):.1f} s"
    return format_age(instant, now=now) or ""
