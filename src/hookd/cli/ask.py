"""The verbs that ask the running daemon about its config, or tell it what to do with its webhooks and what is dead."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import click

from hookd.cli.client import ControlClient
from hookd.cli.errors import CliError, ExitCode
from hookd.cli.narrowing import Narrowed, narrowing_options
from hookd.cli.output import print_json, print_table
from hookd.cli.places import control_options, find_control, output_option

if TYPE_CHECKING:
    from pathlib import Path

#: How many deliveries one request of a redrive brings back: about a second's work, after which a person sees progress.
SLICE: Final = 50_000
#: What a resume ended, of a webhook that was not suspended.
_ENDED: Final = {"pause": "the wait that its receiver asked for is over", "breaker": "its breaker is closed"}


@click.command("list")
@control_options
@output_option
def list_command(control: str | None, config: Path | None, output: str) -> None:
    """List the webhooks of the running config.

    The managed ones stand in `managed_dir`: `put`, `remove` and the API over HTTP change them.
    """
    print_list(ControlClient(find_control(control, config)).get("/v1/webhooks"), output)


def print_list(webhooks: list[dict[str, Any]], output: str) -> None:
    """Print the webhooks that the daemon listed."""
    if output == "json":
        print_json(webhooks)
        return
    rows = []
    for each in webhooks:
        word = "inactive" if not each["active"] else "paused" if each["paused"] else "active"
        events = ", ".join(event["event"] + ("" if event["active"] else " (off)") for event in each["events"])
        managed = "yes" if each.get("managed") else None
        rows.append((each["id"], word, each["tenant"], managed, _reference(each["url"]), events, each["name"] or None))
    columns = ("webhook", "state", "tenant", "managed", "url", "events", "name")
    print_table(columns, rows, empty="no webhooks")


def _reference(value: object) -> object:
    if isinstance(value, dict):
        return " ".join(f"{{{kind}: {name}}}" for kind, name in value.items())
    return value


@click.command("suspend")
@click.argument("webhook")
@click.option("--cause", help="Why, for the log and the status: one line.")
@control_options
@output_option
def suspend_command(webhook: str, cause: str | None, control: str | None, config: Path | None, output: str) -> None:
    """Hold a webhook until it is resumed: its events are matched and kept, nothing is attempted.

    A change of what decides its request (its URL, say) lifts the suspension too. To hold it by the files: `paused`.
    """
    body = {} if cause is None else {"cause": cause}
    row = ControlClient(find_control(control, config)).post(f"/v1/webhooks/{quote(webhook, safe='')}/suspend", body)
    if output == "json":
        print_json(row)
    elif row["changed"]:
        print(f"{webhook} is suspended; {_count_pending(row, 'held')}")
    else:
        print(f"{webhook} was suspended already, at {row['suspended_at']}: {row['suspended_cause']}")


@click.command("resume")
@click.argument("webhook")
@control_options
@output_option
def resume_command(webhook: str, control: str | None, config: Path | None, output: str) -> None:
    """Lift a webhook's suspension; what is pending is due now.

    Of one that is not suspended, it ends the wait after failures or a Retry-After.
    """
    row = ControlClient(find_control(control, config)).post(f"/v1/webhooks/{quote(webhook, safe='')}/resume", {})
    if output == "json":
        print_json(row)
    else:
        print(f"{webhook} {_resumed(row['lifted'])}; {_tell_backlog(row)}")


def _count_pending(row: dict[str, Any], what: str) -> str:
    one = row["pending"] == 1
    return f"{row['pending']} pending deliver{'y is' if one else 'ies are'} {what}"


def _tell_backlog(row: dict[str, Any]) -> str:
    """Say what becomes of what is pending: held with the webhook, held one by one, or due."""
    if not row["held"]:
        return _count_pending(row, "due now")
    if row["state"] not in {"ok", "failing"}:
        return _count_pending(row, f"held, since it is {row['state']}")
    held = f"{row['held']} of them held (their tenant or event type is no longer its own)"
    return f"{_count_pending(row, 'there')}, {held}"


def _resumed(lifted: list[str]) -> str:
    if "suspension" in lifted:
        return "is resumed"
    ended = [_ENDED[gate] for gate in lifted]
    return f"was not suspended; {' and '.join(ended)}" if ended else "was not suspended"


@click.command("redrive")
@click.argument("webhook", required=False)
@click.option("--delivery", "delivery_id", metavar="ID", help="One delivery, by its id (the `webhook-id` header).")
@narrowing_options(what="All dead deliveries of all webhooks", happened="Dead", told="how many would be due again")
@control_options
@output_option
def redrive_command(
    *,
    webhook: str | None,
    delivery_id: str | None,
    narrowed: Narrowed,
    control: str | None,
    config: Path | None,
    output: str,
) -> int:
    """Make dead deliveries due again, with the same ids and a fresh schedule.

    Of one webhook, of those that the options name, or of all with --all. A failed `hookd test` is not brought back.
    When it is interrupted, what was redriven so far stays so.
    """
    body = narrowed.ask(webhook=webhook, delivery_id=delivery_id)
    if bool(body) == narrowed.everything:
        raise CliError("say what to redrive: a webhook, --delivery, --since …, or --all alone", ExitCode.USAGE)
    if narrowed.everything:
        body["all"] = True
    client = ControlClient(find_control(control, config))
    redriven: dict[str, Any] = (
        client.post("/v1/redrive", {**body, "dry_run": True}) if narrowed.dry_run else _redrive_in_slices(client, body)
    )
    count = redriven["redriven"]
    if output == "json":
        print_json(redriven)
    elif count:
        subject = "1 dead delivery" if count == 1 else f"{count} dead deliveries"
        verb = "would be" if narrowed.dry_run else "is" if count == 1 else "are"
        print(f"{subject} {verb} due again")
        for webhook_id, some in redriven.get("webhooks", {}).items():
            print(f"  {webhook_id}  {some}")
    else:
        print("there is no such dead delivery")
    return ExitCode.NOT_SO if delivery_id is not None and not count else ExitCode.FINE


def _redrive_in_slices(client: ControlClient, body: dict[str, object]) -> dict[str, Any]:
    """Ask for slice after slice, with progress on a terminal; give how many are due again."""
    total = 0
    shown = False
    while True:
        part: dict[str, Any] = client.post("/v1/redrive", {**body, "limit": SLICE})
        total += part["redriven"]
        if not part["more"]:
            if shown:
                print(file=sys.stderr)
            return {"redriven": total}
        # What dies again meanwhile is not meant.
        body = {**{key: value for key, value in body.items() if key != "all"}, "until": part["until"]}
        if sys.stderr.isatty():
            shown = True
            print(f"\r{total} redriven", end="", file=sys.stderr, flush=True)
