"""`hookd test`: one event to one webhook, past what would hold it, with the request and the response shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import click

from hookd.cli.client import ControlClient
from hookd.cli.errors import ExitCode
from hookd.cli.given import Given, event_options
from hookd.cli.output import print_json, styled
from hookd.cli.places import control_options, find_control, output_option
from hookd.cli.show_exchange import print_exchange

if TYPE_CHECKING:
    from pathlib import Path


#: The parts of an attempt, in their order, as people are told of them.
_PHASES: Final = {"dns_ms": "name", "connect_ms": "connection", "tls_ms": "TLS", "wait_ms": "answer"}


@click.command("test")
@click.argument("webhook")
@event_options(
    type="Send an event of this type instead of the webhook's test_event.",
    tenant="its tenant; without it, the webhook's own",
    subject="its subject",
)
@control_options
@output_option
def test_command(
    *,
    webhook: str,
    given: Given,
    control: str | None,
    config: Path | None,
    output: str,
) -> int:
    """Send one event to one webhook and show the request and the response.

    The event goes to that webhook alone, past its triggers, its filter and whatever holds it (inactive, paused,
    suspended), under an id of its own, and is attempted once. The catalogue judges it as any event. Exit code 1: it
    was not delivered.
    """
    written = given.write()
    client = ControlClient(find_control(control, config))
    tested = client.post_text(f"/v1/webhooks/{quote(webhook, safe='')}/test", written)
    good = tested["outcome"] == "delivered"
    if output == "json":
        print_json(tested)
    else:
        print_exchange(tested)
        verdict = styled("delivered", "good") if good else styled(f"{tested['outcome']}: {_why(tested)}", "bad")
        print(f"\n{verdict} in {tested['duration_ms']} ms{_parts(tested)} (event {tested['event_id']})")
    return ExitCode.FINE if good else ExitCode.NOT_SO


def _parts(tested: dict[str, Any]) -> str:
    """Tell where the time went; nothing of parts that did not happen."""
    phases = tested.get("phases", {})
    told = [f"{word} {phases[name]}" for name, word in _PHASES.items() if phases.get(name) is not None]
    return f": {', '.join(told)}" if told else ""


def _why(tested: dict[str, Any]) -> str:
    cause, status = tested["cause"], tested["status"]
    if status is None:
        return str(cause)
    return f"status {status}" if cause == "status" else f"{cause}, status {status}"
