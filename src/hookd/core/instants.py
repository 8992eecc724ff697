"""Instants as text: the one place that writes milliseconds since the epoch the way the contract shows them.

Rule: an instant is RFC 3339 in UTC with milliseconds and `Z`, so that texts sort as the instants do, and what stands
in the log can be given back to `--since`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache


def format_instant(instant: int) -> str:
    """Give milliseconds since the epoch as RFC 3339, like `2026-11-21T16:00:00.123Z`; from the year 1 to 9999."""
    second, ms = divmod(instant, 1000)
    return f"{_format_second(second)}.{ms:03d}Z"


@lru_cache(maxsize=64)  # lines and events of the same second come together, and the date is most of the cost
def _format_second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
