"""The overview of a period: page by page, and as CSV."""

from __future__ import annotations

import csv
import io
from typing import Any

from hookd.cli.overview import CSV_COLUMNS, PAGE, read_period, write_csv


class Log:
    """A control API that has `count` attempts, newest first, and goes on being written to."""

    def __init__(self, count: int) -> None:
        self.newest = count
        self.asked: list[dict[str, Any]] = []

    def get(self, path: str, **asked: Any) -> list[dict[str, int]]:
        assert path == "/v1/attempts"
        self.asked.append(asked)
        first = self.newest if asked["after"] is None else asked["after"] - 1
        self.newest += 5
        return [{"seq": seq} for seq in range(first, max(0, first - asked["limit"]), -1)]


def test_a_period_is_read_page_by_page_and_whole() -> None:
    for count, pages in ((0, 1), (7, 1), (PAGE, 2), (2 * PAGE + 3, 3)):
        log = Log(count)
        rows = list(read_period(log, {"tenant": "a"}))  # type: ignore[arg-type]  # it is asked like one
        assert [row["seq"] for row in rows] == list(range(count, 0, -1))
        assert len(log.asked) == pages
        assert all(asked["tenant"] == "a" for asked in log.asked)


def test_csv_is_read_back_and_holds_no_formula() -> None:
    row = dict.fromkeys(CSV_COLUMNS, None) | {
        "event_id": '=HYPERLINK("http://evil.example.com")',
        "tenant": "+31",
        "event_type": 'a,"b"\nc',
        "webhook": "crm",
        "status": -1,
        "duration_ms": 12.5,
    }
    out = io.StringIO(newline="")
    write_csv([row], out)
    assert out.getvalue().count("\r\n") == 2
    (read,) = csv.DictReader(io.StringIO(out.getvalue(), newline=""))
    assert read["event_id"] == '\'=HYPERLINK("http://evil.example.com")'
    assert read["tenant"] == "'+31"
    assert (read["event_type"], read["webhook"]) == ('a,"b"\nc', "crm")
    assert (read["status"], read["duration_ms"], read["cause"]) == ("-1", "12.5", "")
