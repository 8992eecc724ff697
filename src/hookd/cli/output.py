"""What verbs print: tables and colour on a terminal, plain text in a pipe, JSON when asked.

`NO_COLOR` is honoured. In a pipe nothing is cut to a width, so that grep and awk see it all. Cells may hold what
strangers wrote, so control characters in them are escaped.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any, TextIO

from hookd.cli.readable import make_visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from hookd.config.problems import Problem
    from hookd.core.config import Place


def print_json(value: object) -> None:
    """Print a value for programs, as one document: one line in a pipe."""
    print(json.dumps(value, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None))


def print_json_line(value: object) -> None:
    """Print one of many values for programs, at once: one line each, wherever it goes."""
    print(json.dumps(value, ensure_ascii=False), flush=True)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, empty: str) -> None:
    """Print rows under headings; None is shown as a dash."""
    if not rows:
        print(empty)
        return
    texts = [[_cell(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        from rich.box import SIMPLE_HEAD
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in texts:
            table.add_row(*(Text(cell, style=_STYLES.get(cell.partition(" ")[0], "")) for cell in row))
        Console().print(table)
        return
    for line in align([[column.upper().replace(" ", "_") for column in columns], *texts]):
        print(line)


def align(rows: Sequence[Sequence[str]]) -> list[str]:
    """Give rows as lines whose columns stand under each other, two spaces apart."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def print_fields(fields: Sequence[tuple[str, object]]) -> None:
    """Print names and values, one pair a line, aligned; None is left out."""
    shown = [(name, value) for name, value in fields if value is not None]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        print(f"{name.ljust(width)}  {_cell(value)}")


def print_problems(problems: Iterable[Problem], sources: Mapping[str, str]) -> None:
    """Print what is wrong with a config to standard error, each problem with its line; as wide as the terminal.

    A file below the working directory is named relative to it, whichever way the config was found.
    """
    from dataclasses import replace
    from functools import partial
    from shutil import get_terminal_size

    from hookd.cli.reports import shorten_path
    from hookd.config.checking.showing import LINE_WIDTH, render_problems

    def near(place: Place) -> Place:
        return replace(place, file=shorten_path(place.file))

    problems = [replace(it, place=near(it.place), also=it.also and near(it.also)) for it in problems]
    sources = {shorten_path(file): text for file, text in sources.items()}

    width = get_terminal_size().columns if sys.stderr.isatty() else LINE_WIDTH
    shown = render_problems(problems, sources, paint=partial(styled, to=sys.stderr), width=width)
    print(shown, end="", file=sys.stderr)


def styled(text: str, style: str, *, to: TextIO | None = None) -> str:
    """Give a text in a colour, if it goes to a terminal that wants colours; `to` is standard output if not said."""
    if not (to or sys.stdout).isatty() or os.environ.get("NO_COLOR"):
        return text
    import click

    return click.style(text, **_COLORS[style])


def _cell(value: object) -> str:
    return "-" if value is None else make_visible(str(value), one_line=True)


_STYLES = {
    "ok": "green",
    "active": "green",
    "delivered": "green",
    "failing": "yellow",
    "rejected": "yellow",
    "unknown": "yellow",
    "not_sent": "yellow",
    "paused": "yellow",
    "missing": "yellow",
    "suspended": "red",
    "dead": "red",
}
_COLORS: dict[str, dict[str, Any]] = {
    "good": {"fg": "green"},
    "bad": {"fg": "red"},
    "warn": {"fg": "yellow"},
    "faint": {"dim": True},
    "strong": {"bold": True},
}
