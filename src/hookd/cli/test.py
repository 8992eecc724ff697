"""`hookd test`: one event to one webhook, past what would hold it, with the request and the response shown."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import click

from hookd.cli.client import ControlClient
from hookd.cli.errors import CliError, ExitCode
from hookd.cli.given import read_data, write_event
from hookd.cli.output import print_json, styled
from hookd.cli.places import control_options, find_control, output_option
from hookd.cli.show_exchange import print_exchange

if TYPE_CHECKING:
    from pathlib import Path


@click.command("test")
@click.argument("webhook")
@click.option("--type", "event_type", help="Send an event of this type instead of the webhook's test_event.")
@click.option("--data", metavar="JSON|FILE", help="With --type: its data, as JSON, a file of JSON, or - for stdin.")
@click.option("--tenant", help="With --type: its tenant; without it, the webhook's own.")
@click.option("--subject", help="With --type: its subject.")
@control_options
@output_option
def test_command(
    *,
    webhook: str,
    event_type: str | None,
    data: str | None,
    tenant: str | None,
    subject: str | None,
    control: str | None,
    config: Path | None,
    output: str,
) -> int:
    """Send one event to one webhook and show the request and the response.

    The event goes to that webhook alone, past its triggers, its filter and whatever holds it (inactive, paused,
    suspended), under an id of its own, and is attempted once. The catalogue judges it as any event. Exit code 1: it
    was not delivered.
    """
    written: bytes | None = None
    if event_type is not None:
        attributes = {"type": event_type, "tenant": tenant, "subject": subject}
        written = write_event(attributes, None if data is None else read_data(data))
    elif (data, tenant, subject) != (None, None, None):
        raise CliError("--data, --tenant and --subject go with --type", ExitCode.USAGE)
    client = ControlClient(find_control(control, config))
    tested = client.post_text(f"/v1/webhooks/{quote(webhook, safe='')}/test", written)
    good = tested["outcome"] == "delivered"
    if output == "json":
        print_json(tested)
    else:
        print_exchange(tested)
        verdict = styled("delivered", "good") if good else styled(f"{tested['outcome']}: {tested['cause']}", "bad")
        print(f"\n{verdict} in {tested['duration_ms']} ms (event {tested['event_id']})")
    return ExitCode.FINE if good else ExitCode.NOT_SO
