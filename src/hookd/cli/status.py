"""`hookd status`: one screen of health, whatever the number of webhooks, and an exit code for scripts.

Rule: exit 1 means that something waits for a person and nothing else will mend it: what the daemon lists as `needs`,
files that are refused, a disk that does not answer. A webhook whose receiver fails is being retried, and dead
deliveries may be what was asked for: no exit code, but one that fails and fails is named above the table, and nobody is
told "healthy".
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import click

from hookd.cli.client import ControlClient
from hookd.cli.errors import ExitCode
from hookd.cli.instants import format_age
from hookd.cli.output import print_json, print_table, styled
from hookd.cli.places import control_options, find_control, output_option
from hookd.cli.standing import error_of, format_not_moved, print_standing
from hookd.cli.watching import watch_screen

if TYPE_CHECKING:
    from pathlib import Path

_COLUMNS: Final = ("webhook", "state", "pending", "held", "dead", "delivered", "oldest", "next", "last error")
#: Rows of the screen; the rest are webhooks that have less to tell.
MOST_ROWS: Final = 30
#: Problems of the files on the screen; what a slip in a profile breaks may be a thousand of them.
MOST_PROBLEMS: Final = 10
#: Lines of a screen that are neither head nor rows: around the table, of its own head, what is said of the rest.
_FRAME: Final = 7
#: Failures in a row from which on a webhook is named above the table: fewer come and go.
FAILING_ROW: Final = 4
#: How many of those are named.
MOST_NAMES: Final = 5
#: What is shown first.
_ORDER: Final = {word: place for place, word in enumerate(("suspended", "failing", "missing", "paused", "inactive"))}


@click.command("status")
@click.argument("webhook", required=False)
@click.option("--watch", is_flag=True, help="Show it again every two seconds, until Ctrl-C.")
@control_options
@output_option
def status_command(*, webhook: str | None, watch: bool, control: str | None, config: Path | None, output: str) -> int:
    """Show health, backlog and the last config error, of all or of one webhook.

    Exit code 1 says that something needs a person: a webhook is suspended, or fails for a reason on our side (a secret,
    the template, a blocked address), deliveries are held for one that is gone, the files on disk are refused, or the
    disk does not answer. Webhooks whose receivers keep failing are named; they are being retried, so that is exit 0.
    """
    client = ControlClient(find_control(control, config))
    if watch:
        # What does not fit would push the head off the screen. In a pipe there is no screen.
        watch_screen(
            lambda: _show(client, webhook, output, height=_height() if sys.stdout.isatty() else None),
            as_json=output == "json",
        )
    return _show(client, webhook, output)


def _height() -> int:
    import shutil

    return shutil.get_terminal_size().lines


def _show(client: ControlClient, webhook: str | None, output: str, *, height: int | None = None) -> int:
    if webhook is not None:
        row = client.get(f"/v1/status/{quote(webhook, safe='')}")
        if output == "json":
            print_json(row)
        else:
            print_standing(row)
        # `get`: the daemon may be an older one than this program.
        return ExitCode.NOT_SO if row.get("needs_person") or row["state"] == "suspended" else ExitCode.FINE
    whole = client.get("/v1/status")
    if output == "json":
        print_json(whole)
    else:
        _print_whole(whole, height)
    return ExitCode.FINE if whole["healthy"] else ExitCode.NOT_SO


def _print_whole(whole: dict[str, Any], height: int | None) -> None:
    head = render_head(whole)
    print("\n".join(head))
    if whole["pending"] is None:
        return  # nobody can tell how the webhooks stand
    print()
    rows = sort_rows(whole["backlog"])
    most = MOST_ROWS if height is None else max(1, min(MOST_ROWS, height - len(head) - _FRAME))
    print_table(_COLUMNS, [_cells(row) for row in rows[:most]], empty="no webhooks")
    if len(rows) > most:
        print(f"… and {len(rows) - most} more: `hookd status WEBHOOK`, or --output json for all")


def render_head(whole: dict[str, Any]) -> list[str]:
    """Give the lines above the table."""
    failing = find_failing(whole["backlog"])
    if not whole["healthy"]:
        word = styled("needs a person", "bad")
    else:
        word = styled("webhooks are failing", "bad") if failing else styled("healthy", "good")
    age = format_age(whole["applied_at"])
    webhooks = f"{whole['webhooks']} webhook{'' if whole['webhooks'] == 1 else 's'}"
    lines = [
        f"hookd {whole['version']}, pid {whole['pid']}, since {whole['started_at']}: {word}",
        f"config {whole['revision']}, {webhooks}, applied {age} ago",
        (
            f"pending {whole['pending']} (held {whole['held']}), in flight {whole['in_flight']}, "
            f"delivered {whole['delivered']}, dead {whole['dead']}"
        )
        if whole["pending"] is not None
        else f"in flight {whole['in_flight']}; the backlog is not known",
    ]
    for need in whole.get("needs", ()):
        lines += [styled(need["message"], "bad"), f"  {need['advice']}"]
    if failing:
        lines.append(styled(_name_failing(failing), "bad"))
    lines += [styled(trouble, "bad") for trouble in (whole["store_silent"], whole.get("store_full")) if trouble]
    rejected = whole["config_rejected"]
    if whole["last_good"]:
        why = "this daemon started from its copy of the last good config, since the files were not good"
        lines.append(styled(why, "bad"))
    if rejected:
        lines.append(styled("the files on disk are refused; the config above is still the one that runs:", "bad"))
        problems = rejected["problems"]
        lines += [f"  {format_problem(problem)}" for problem in problems[:MOST_PROBLEMS]]
        if len(problems) > MOST_PROBLEMS:
            lines.append(f"  … and {len(problems) - MOST_PROBLEMS} more: `hookd check`")
    lines += [styled(f"not moved: {format_not_moved(each)}", "bad") for each in whole.get("not_moved", ())]
    if whole["restart_required"]:
        lines.append(f"needs a restart: {', '.join(whole['restart_required'])}")
    return lines


def find_failing(rows: list[dict[str, Any]]) -> list[str]:
    """Give the webhooks whose receivers keep failing, the longest row of failures first, then by name."""
    failing = [
        row
        for row in rows
        if row["state"] in ("ok", "failing")
        and (row["breaker"] == "open" or row["failures"] >= FAILING_ROW)
        and row.get("needs_person") is None  # else it is named for that
    ]
    return [row["webhook"] for row in sorted(failing, key=lambda row: (-row["failures"], row["webhook"]))]


def _name_failing(failing: list[str]) -> str:
    more = f" and {len(failing) - MOST_NAMES} more" if len(failing) > MOST_NAMES else ""
    webhooks = "1 webhook" if len(failing) == 1 else f"{len(failing)} webhooks"
    return f"{webhooks} failing: {', '.join(failing[:MOST_NAMES])}{more}"


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
        next_of(row["next_due_at"]),
        row["suspended_cause"] or error_of(row),
    )


def next_of(due_at: str | None) -> str | None:
    """Give when the next attempt may go out; what is due already waits for its rate, or its turn."""
    if due_at is not None and datetime.fromisoformat(due_at) <= datetime.now(UTC):
        return "now"
    return due_at


def format_problem(problem: dict[str, Any]) -> str:
    """Give a problem of the config as one line."""
    meant = f"; did you mean `{problem['hint']}`?" if problem.get("hint") else ""
    return f"{problem['file']}:{problem['line']}:{problem['column']}: {problem['message']}{meant}"
