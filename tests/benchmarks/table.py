"""The rows of the result, what reaching a bar means, and the table that people read."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure. `beside` is what was measured beside it, `bar` what is to be reached: by `ours` or by the ratio.

    A `most` bar is an upper one. `p` are p50, p95 and p99 in milliseconds, `cpu_us` the daemon's CPU time for each
    event or delivery, `resident_mib` its memory. Without a bar the row only tells.
    """

    what: str
    ours: float
    unit: str
    beside: float | None = None
    beside_what: str = ""
    judged: Literal["ours", "ratio"] = "ours"
    least: float | None = None
    most: float | None = None
    p: tuple[float, float, float] | None = None
    cpu_us: float | None = None
    resident_mib: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Ours to what was measured beside it."""
        return None if self.beside is None else self.ours / self.beside

    @property
    def reached(self) -> bool | None:
        """Whether the bar is reached; None without one."""
        figure = self.ratio if self.judged == "ratio" else self.ours
        if figure is None or (self.least is None and self.most is None):
            return None
        return (self.least is None or figure >= self.least) and (self.most is None or figure <= self.most)

    def as_json(self) -> dict[str, object]:
        """Give all of it, for programs."""
        return {**asdict(self), "ratio": self.ratio, "reached": self.reached}


def percentiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Give p50, p95 and p99 by the nearest rank."""
    ordered = sorted(values)
    last = len(ordered) - 1
    p50, p95, p99 = (ordered[min(last, int(len(ordered) * part))] for part in (0.50, 0.95, 0.99))
    return p50, p95, p99


def format_figure(value: float) -> str:
    """Give a number with the digits that mean something."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _format_bar(row: Row) -> str:
    sign, bar = ("≥", row.least) if row.least is not None else ("≤", row.most)
    if bar is None:
        return ""
    return f"{sign} {format_figure(bar)}" + (" x" if row.judged == "ratio" else f" {row.unit}")


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.what,
        f"{format_figure(row.ours)} {row.unit}",
        "" if row.beside is None else f"{format_figure(row.beside)} ({row.beside_what})",
        "" if row.ratio is None else f"{row.ratio:.2f} x",
        _format_bar(row),
        {True: "yes", False: "NO", None: ""}[row.reached],
        "" if row.p is None else " / ".join(map(format_figure, row.p)),
        "" if row.cpu_us is None else f"{row.cpu_us:,.0f} µs",
        "" if row.resident_mib is None else f"{row.resident_mib:,.0f} MiB",
    )


HEAD = ("what", "ours", "beside", "ratio", "bar", "reached", "p50/p95/p99 ms", "CPU each", "resident")


def render_table(rows: Sequence[Row]) -> str:
    """Give the table as text, and the notes below it."""
    lines = [HEAD, *map(_cells, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    text.insert(1, "  ".join("─" * width for width in widths))
    notes = [f"  {row.what}: {row.note}" for row in rows if row.note]
    return "\n".join([*text, *(["", *notes] if notes else [])]) + "\n"
