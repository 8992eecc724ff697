"""The verbs that ask the running daemon about its config, or tell it to do something: list, show, reload, redrive."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING
from urllib.parse import quote

import click

from hookd.cli.client import ControlClient
from hookd.cli.errors import CliError, ExitCode
from hookd.cli.instants import parse_when
from hookd.cli.output import print_fields, print_json, print_table
from hookd.cli.places import control_options, find_control, output_option
from hookd.cli.status import format_problem

if TYPE_CHECKING:
    from pathlib import Path


@click.command("list")
@control_options
@output_option
def list_command(control: str | None, config: Path | None, output: str) -> None:
    """List the webhooks of the running config."""
    webhooks = ControlClient(find_control(control, config)).get("/v1/webhooks")
    if output == "json":
        print_json(webhooks)
        return
    rows = []
    for each in webhooks:
        word = "inactive" if not each["active"] else "paused" if each["paused"] else "active"
        events = ", ".join(event["event"] + ("" if event["active"] else " (off)") for event in each["events"])
        rows.append((each["id"], word, each["tenant"], _reference(each["url"]), events, each["name"] or None))
    print_table(("webhook", "state", "tenant", "url", "events", "name"), rows, empty="no webhooks")


def _reference(value: object) -> object:
    if isinstance(value, dict):
        return " ".join(f"{{{kind}: {name}}}" for kind, name in value.items())
    return value


@click.command("show")
@click.argument("webhook")
@control_options
@output_option
def show_command(webhook: str, control: str | None, config: Path | None, output: str) -> None:
    """Show a webhook as it is in force: defaults and profile merged in, secrets masked."""
    shown = ControlClient(find_control(control, config)).get(f"/v1/webhooks/{quote(webhook, safe='')}")
    if output == "json":
        print_json(shown)
        return
    fields = []
    for key, value in shown.items():
        plain = isinstance(value, str | int | float) and not isinstance(value, bool)
        empty = value in ("", [], {})
        shown_value = None if empty else value if plain or value is None else json.dumps(value, ensure_ascii=False)
        fields.append((key, shown_value))
    print_fields(fields)


@click.command("reload")
@control_options
@output_option
def reload_command(*, control: str | None, config: Path | None, output: str) -> int:
    """Read the config again and wait for the result.

    Exit code 78: it is refused, with every problem and its place, and what ran before keeps running.
    """
    reloaded = ControlClient(find_control(control, config)).post("/v1/reload", {})
    if output == "json":
        print_json(reloaded)
    elif reloaded["problems"]:
        for problem in reloaded["problems"]:
            print(format_problem(problem), file=sys.stderr)
        print(f"refused; {reloaded['revision']} keeps running", file=sys.stderr)
    else:
        print(f"{'now running' if reloaded['changed'] else 'unchanged:'} {reloaded['revision']}")
        if reloaded["restart_required"]:
            print(f"needs a restart: {', '.join(reloaded['restart_required'])}")
    return ExitCode.BAD_CONFIG if reloaded["problems"] else ExitCode.FINE


@click.command("redrive")
@click.argument("webhook", required=False)
@click.option("--delivery", "delivery_id", metavar="ID", help="One delivery, by its id (the `webhook-id` header).")
@click.option("--since", help="Dead since (inclusive): an instant (2026-11-21T16:00:00Z), a date, or an age (2h).")
@click.option("--until", help="Dead until (exclusive): an instant, a date, or an age.")
@click.option("--tenant", help="Of this tenant's events only.")
@click.option("--type", "event_type", help="Of this event type only.")
@click.option("--all", "everything", is_flag=True, help="All dead deliveries of all webhooks.")
@control_options
@output_option
def redrive_command(
    *,
    webhook: str | None,
    delivery_id: str | None,
    since: str | None,
    until: str | None,
    tenant: str | None,
    event_type: str | None,
    everything: bool,
    control: str | None,
    config: Path | None,
    output: str,
) -> int:
    """Make dead deliveries due again, with the same ids and a fresh schedule.

    Of one webhook, of those that the options name, or of all with --all.
    """
    asked: dict[str, object] = {
        "webhook": webhook,
        "delivery_id": delivery_id,
        "since": parse_when(since, "--since"),
        "until": parse_when(until, "--until"),
        "tenant": tenant,
        "type": event_type,
    }
    body = {key: value for key, value in asked.items() if value is not None}
    if bool(body) == everything:
        raise CliError("say what to redrive: a webhook, --delivery, --since …, or --all alone", ExitCode.USAGE)
    redriven = ControlClient(find_control(control, config)).post("/v1/redrive", {"all": True} if everything else body)
    count = redriven["redriven"]
    if output == "json":
        print_json(redriven)
    elif count:
        print("1 dead delivery is due again" if count == 1 else f"{count} dead deliveries are due again")
    else:
        print("there is no such dead delivery")
    return ExitCode.NOT_SO if delivery_id is not None and not count else ExitCode.FINE
