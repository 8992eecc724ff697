"""`hookd status`: one screen of health, whatever the number of webhooks, and an exit code for scripts.

Rule: exit 1 means that something waits for a person and nothing else will mend it: a suspended webhook, or files that
are refused. A webhook that fails is being retried, and dead deliveries may be what was asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import click

from hookd.cli.client import ControlClient
from hookd.cli.errors import ExitCode
from hookd.cli.instants import format_age
from hookd.cli.output import print_json, print_table, styled
from hookd.cli.places import control_options, find_control, output_option
from hookd.cli.standing import print_standing
from hookd.cli.watching import watch_screen

if TYPE_CHECKING:
    from pathlib import Path

_COLUMNS: Final = ("webhook", "state", "pending", "held", "dead", "delivered", "oldest", "next", "last error")
#: Rows of the screen; the rest are webhooks that have less to tell.
MOST_ROWS: Final = 30
#: What is shown first.
_ORDER: Final = {word: place for place, word in enumerate(("suspended", "failing", "missing", "paused", "inactive"))}


@click.command("status")
@click.argument("webhook", required=False)
@click.option("--watch", is_flag=True, help="Show it again every two seconds, until Ctrl-C.")
@control_options
@output_option
def status_command(*, webhook: str | None, watch: bool, control: str | None, config: Path | None, output: str) -> int:
    """Show health, backlog and the last config error, of all or of one webhook.

    Exit code 1 says that something needs a person: a webhook is suspended, or the files on disk are refused.
    """
    client = ControlClient(find_control(control, config))
    if watch:
        watch_screen(lambda: _show(client, webhook, output))
    return _show(client, webhook, output)


def _show(client: ControlClient, webhook: str | None, output: str) -> int:
    if webhook is not None:
        row = client.get(f"/v1/status/{quote(webhook, safe='')}")
        if output == "json":
            print_json(row)
        else:
            print_standing(row)
        return ExitCode.NOT_SO if row["state"] == "suspended" else ExitCode.FINE
    whole = client.get("/v1/status")
    if output == "json":
        print_json(whole)
    else:
        _print_whole(whole)
    return ExitCode.FINE if whole["healthy"] else ExitCode.NOT_SO


def _print_whole(whole: dict[str, Any]) -> None:
    word = styled("healthy", "good") if whole["healthy"] else styled("needs a person", "bad")
    print(f"hookd {whole['version']}, pid {whole['pid']}, since {whole['started_at']}: {word}")
    age = format_age(whole["applied_at"])
    print(f"config {whole['revision']}, {whole['webhooks']} webhooks, applied {age} ago")
    print(
        f"pending {whole['pending']} (held {whole['held']}), in flight {whole['in_flight']}, "
        f"delivered {whole['delivered']}, dead {whole['dead']}"
    )
    rejected = whole["config_rejected"]
    if whole["last_good"]:
        print(styled("this daemon started from its copy of the last good config, since the files were not good", "bad"))
    if rejected:
        print(styled("the files on disk are refused; the config above is still the one that runs:", "bad"))
        for problem in rejected["problems"]:
            print(f"  {format_problem(problem)}")
    if whole["restart_required"]:
        print(f"needs a restart: {', '.join(whole['restart_required'])}")
    if any(row["state"] == "suspended" for row in whole["backlog"]):
        print("once a suspended webhook is mended: `hookd resume WEBHOOK`")
    print()
    rows = sort_rows(whole["backlog"])
    print_table(_COLUMNS, [_cells(row) for row in rows[:MOST_ROWS]], empty="no webhooks")
    if len(rows) > MOST_ROWS:
        print(f"… and {len(rows) - MOST_ROWS} more: `hookd status WEBHOOK`, or --output json for all")


def sort_rows(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give the rows with what needs a look first, then what has most to do, then by name."""
    last = len(_ORDER)
    return sorted(rows, key=lambda row: (_ORDER.get(row["state"], last), -row["pending"], -row["dead"], row["webhook"]))


def _cells(row: dict[str, Any]) -> tuple[object, ...]:
    return (
        row["webhook"],
        row["state"],
        row["pending"],
        row["held"],
        row["dead"],
        row["delivered"],
        format_age(row["oldest_pending_at"]),
        row["next_due_at"],
        row["suspended_cause"] or row["last_error"],
    )


def format_problem(problem: dict[str, Any]) -> str:
    """Give a problem of the config as one line."""
    return f"{problem['file']}:{problem['line']}:{problem['column']}: {problem['message']}"
