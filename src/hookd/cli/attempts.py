"""`hookd attempts`: the request log, as a table, whole, or followed (see `following`)."""

from __future__ import annotations

import sys
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import click

from hookd.cli.client import ControlClient
from hookd.cli.errors import CliError, ExitCode
from hookd.cli.following import follow_attempts
from hookd.cli.instants import parse_when
from hookd.cli.output import print_json, print_json_line, print_table, styled
from hookd.cli.overview import read_period, write_csv
from hookd.cli.places import control_options, find_control
from hookd.cli.readable import make_visible
from hookd.cli.show_exchange import print_exchange

if TYPE_CHECKING:
    from pathlib import Path

_COLUMNS: Final = ("started", "webhook", "event type", "event", "#", "outcome", "status", "ms", "next attempt")
#: Widths of the columns of a line that is followed: what comes next is not known.
_WIDTHS: Final = (24, 16, 20, 36, 2, 10, 6, 8, 24)


@click.command("attempts")
@click.argument("webhook", required=False)
@click.option("--last", type=click.IntRange(1, 10_000), default=10, show_default=True, help="How many at most.")
@click.option("--all", "everything", is_flag=True, help="As many as there are, in place of --last.")
@click.option("--since", help="From (inclusive): an instant (2026-11-21T16:00:00Z), a date, or an age (2h).")
@click.option("--until", help="To (exclusive): an instant, a date, or an age.")
@click.option("--tenant", help="Of this tenant's events only.")
@click.option("--type", "event_type", help="Of this event type only.")
@click.option("--event-id", help="Of this event only.")
@click.option("--follow", is_flag=True, help="Show the last ones, oldest first, and each new one as it comes.")
@click.option("--full", is_flag=True, help="Show each request and response whole (the last 10 of a webhook are kept).")
@control_options
@click.option(
    "--output",
    type=click.Choice(["human", "json", "csv"]),
    default="human",
    show_default=True,
    help="For people, for programs, or for a spreadsheet.",
)
def attempts_command(
    *,
    webhook: str | None,
    last: int,
    everything: bool,
    since: str | None,
    until: str | None,
    tenant: str | None,
    event_type: str | None,
    event_id: str | None,
    follow: bool,
    full: bool,
    control: str | None,
    config: Path | None,
    output: str,
) -> None:
    """Show the request log, newest first; with WEBHOOK and --full, the whole requests and responses.

    With WEBHOOK, --output json holds them too. The overview of a period: --all --since … --until … --output csv.
    """
    _expect_sense(webhook, follow=follow, full=full, everything=everything, output=output)
    asked: dict[str, object] = {
        "webhook": webhook,
        "since": parse_when(since, "--since"),
        "until": parse_when(until, "--until"),
        "tenant": tenant,
        "type": event_type,
        "event_id": event_id,
    }
    client = ControlClient(find_control(control, config))
    if everything and output == "csv":
        write_csv(read_period(client, asked), sys.stdout)
        return
    rows = list(read_period(client, asked)) if everything else client.get("/v1/attempts", **asked, limit=last)
    if follow:
        _follow(client, asked, rows, full=full, output=output)
    elif output == "csv":
        write_csv(rows, sys.stdout)
    elif output == "json":
        print_json(rows)
    elif full:
        if not rows:
            print("no attempts")
        for row in rows:
            _print_whole(row)
    else:
        print_table(_COLUMNS, [_cells(row) for row in rows], empty="no attempts")


def _expect_sense(webhook: str | None, *, follow: bool, full: bool, everything: bool, output: str) -> None:
    """Refuse options that cannot go together."""
    if full and webhook is None:
        raise CliError("--full goes with a webhook: whole exchanges are kept per webhook", ExitCode.USAGE)
    if follow and (everything or output == "csv"):
        raise CliError("--follow has no end: it goes with --last, and with --output human or json", ExitCode.USAGE)
    if full and output == "csv":
        raise CliError("a table has no room for whole exchanges: --full goes with human or json", ExitCode.USAGE)


def _cells(row: dict[str, Any]) -> tuple[object, ...]:
    outcome = row["outcome"]
    if row["cause"] not in {None, "status"}:
        outcome = f"{outcome} ({row['cause']})"
    return (
        row["started_at"],
        row["webhook"],
        row["event_type"],
        row["event_id"],
        row["attempt"],
        outcome,
        row["status"],
        row["duration_ms"],
        row["next_attempt_at"],
    )


def _print_whole(row: dict[str, Any]) -> None:
    title = f"{row['started_at']}  {row['event_type']}  {row['event_id']}  attempt {row['attempt']}"
    print(styled(make_visible(f"── {title}  {row['outcome']} in {row['duration_ms']} ms", one_line=True), "strong"))
    print_exchange(row)
    print()


def _print_line(cells: tuple[object, ...]) -> None:
    texts = ["-" if cell is None else make_visible(str(cell), one_line=True) for cell in cells]
    print("  ".join(text.ljust(width) for text, width in zip(texts, _WIDTHS, strict=True)).rstrip())


def _follow(
    client: ControlClient, asked: dict[str, object], newest: list[dict[str, Any]], *, full: bool, output: str
) -> None:
    """Show the newest rows, oldest first, then each as it comes."""
    if output != "json" and not full:
        _print_line(tuple(column.upper().replace(" ", "_") for column in _COLUMNS))
    for rows in chain([newest[::-1]], follow_attempts(client, asked, newest[0]["seq"] if newest else 0)):
        for row in rows:
            if output == "json":
                print_json_line(row)
            elif full:
                _print_whole(row)
            else:
                _print_line(_cells(row))
        sys.stdout.flush()
