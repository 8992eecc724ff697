"""`hookd replay`: kept events to a webhook, new or old, slice by slice, with progress on a terminal."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import click

from hookd.cli.client import ControlClient
from hookd.cli.errors import CliError, ExitCode
from hookd.cli.narrowing import Narrowed, narrowing_options
from hookd.cli.output import print_json
from hookd.cli.places import control_options, find_control, output_option

if TYPE_CHECKING:
    from pathlib import Path

#: What adds up over the slices.
_COUNTS: Final = ("seen", "new", "again", "pending", "unwanted", "replayed")


@click.command("replay")
@click.argument("place", metavar="[WEBHOOK]", required=False)
@click.option("--webhook", help="The webhook to replay to, as WEBHOOK.")
@narrowing_options(what="All events that are kept", happened="Accepted", told="what would be replayed")
@control_options
@output_option
def replay_command(
    *,
    place: str | None,
    webhook: str | None,
    narrowed: Narrowed,
    control: str | None,
    config: Path | None,
    output: str,
) -> None:
    """Give kept events to WEBHOOK, also those that it had already.

    The running config decides which are for it: its tenant, its triggers and its filter. --type takes a pattern too, as
    `events` does: 'user.*'. A webhook has at most one delivery of an event: one that is delivered or dead begins anew
    under its id, one that is pending stays as it is. Events that were new to an ordered webhook go out in their order,
    those that begin anew outside of it. When it is interrupted, what was replayed so far stays so.
    """
    webhook = webhook if place is None else place if webhook in {None, place} else None
    if webhook is None:
        raise CliError("say which webhook the events are for, once: hookd replay WEBHOOK …", ExitCode.USAGE)
    body = narrowed.ask()
    if bool(body) == narrowed.everything:
        raise CliError("say which events: --since …, --until, --tenant, --type, or --all alone", ExitCode.USAGE)
    dry_run = narrowed.dry_run
    totals = _replay(ControlClient(find_control(control, config)), webhook, body, dry_run=dry_run)
    if output == "json":
        print_json({"webhook": webhook, "dry_run": dry_run, **totals})
        return
    count = totals["new"] + totals["again"] if dry_run else totals["replayed"]
    events = "1 event" if count == 1 else f"{count} events"
    print(f"{'would replay ' if dry_run else ''}{events}{'' if dry_run else ' replayed'} to {webhook}")
    if not totals["seen"]:
        print("  no kept event is of that time, tenant and type")
        return
    print(f"  {totals['new']} for the first time, {totals['again']} anew")
    print(f"  passed over: {totals['pending']} pending already, {totals['unwanted']} not for this webhook")


def _replay(client: ControlClient, webhook: str, body: dict[str, object], *, dry_run: bool) -> dict[str, int]:
    """Ask for slice after slice; give the totals."""
    totals: Counter[str] = Counter(dict.fromkeys(_COUNTS, 0))
    path = f"/v1/webhooks/{quote(webhook, safe='')}/replay"
    asked: dict[str, object] = {**(body or {"all": True}), "dry_run": dry_run}
    shown = False
    while True:
        part: dict[str, Any] = client.post(path, asked)
        totals.update({name: part[name] for name in _COUNTS})
        if part["after"] is None:
            if shown:
                print(file=sys.stderr)
            return dict(totals)
        # Where the first slice ended in time, the others do: what came later was routed when it came.
        asked = {**body, "dry_run": dry_run, "after": part["after"], "until": part["until"]}
        if sys.stderr.isatty():
            shown = True
            print(
                f"\r{totals['seen']} events looked at, {totals['replayed']} replayed",
                end="",
                file=sys.stderr,
                flush=True,
            )
