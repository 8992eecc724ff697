"""The request log of a period, whole: read page by page, and written as CSV.

Rules of this module:

1. A period is as long as it is: its rows are asked for page by page, newest first, and written as they come, so that
   a year of attempts needs the memory of a page. What is recorded meanwhile is newer than the first, and not in it.
2. CSV is that of RFC 4180, in UTF-8. A cell that begins as a formula does (ids and tenants come from outside) gets an
   apostrophe in front, since spreadsheets run formulas that they read (owasp.org/www-community/attacks/CSV_Injection).
"""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any, Final, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hookd.cli.client import ControlClient

#: Rows of a page: the control API gives no more in one answer.
PAGE: Final = 10_000
CSV_COLUMNS: Final = (
    "started_at",
    "webhook",
    "tenant",
    "event_type",
    "event_id",
    "delivery_id",
    "attempt",
    "outcome",
    "cause",
    "status",
    "duration_ms",
    "url",
    "next_attempt_at",
    "state",
    "revision",
)
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def read_period(client: ControlClient, asked: dict[str, object]) -> Iterator[dict[str, Any]]:
    """Give every row that is asked for, newest first."""
    after: int | None = None
    while True:
        rows = client.get("/v1/attempts", **asked, limit=PAGE, after=after)
        yield from rows
        if len(rows) < PAGE:
            return
        after = rows[-1]["seq"]


def write_csv(rows: Iterable[dict[str, Any]], out: TextIO) -> None:
    """Write a head and a line per row; None is an empty cell."""
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(CSV_COLUMNS)
    writer.writerows([_cell(row[name]) for name in CSV_COLUMNS] for row in rows)


def _cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
