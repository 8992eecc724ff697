"""`hookd send`: events to the daemon's socket, and nothing lost on the way.

The exit code is the daemon's answer: 0 all accepted (or duplicates), 1 some refused, 75 some may succeed later, or the
daemon went away and did not come back; 69 nobody is there, 77 it is not for this user.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import trio

from hookd.cli.errors import CliError, ExitCode
from hookd.cli.given import Given, event_options
from hookd.cli.places import config_option, find_inlet, output_option
from hookd.cli.sending import Sending
from hookd.cli.source import Source, open_source

if TYPE_CHECKING:
    from pathlib import Path


@click.command("send")
@click.argument("file", required=False, metavar="[FILE|-]")
@event_options(
    type="Send one event of this type.",
    id="its id; without it, one is made",
    tenant="its tenant",
    subject="its subject",
)
@click.option("--socket", metavar="PATH", envvar="HOOKD_SOCKET", help="The event socket.")
@click.option(
    "--wait",
    default=30.0,
    type=click.FloatRange(min=0),
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for a daemon that went away.",
)
@config_option
@output_option
def send_command(
    *,
    file: str | None,
    given: Given,
    socket: str | None,
    wait: float,
    config: Path | None,
    output: str,
) -> int:
    """Send events: from a FILE, from standard input (-), or one of --type and --data.

    A file holds one event, or one per line (NDJSON). Lines of standard input are sent as they come. What got no reply
    is sent again when the daemon is back; an event without an id gets one first, so that this is safe. To send a whole
    file again is safe too if its events have ids of their own.

    Exit code 0: all accepted, or known already. 1: some refused. 75: some may succeed later.
    """
    if (file is None) is not given.is_there:
        raise CliError("name a file (or -), or an event with --type", ExitCode.USAGE)
    line = given.write()
    source = open_source(str(file)) if line is None else Source(name="the command line", head=line)
    sending = Sending(find_inlet(socket, config), source, wait_s=wait, output=output)
    try:
        trio.run(sending.run)
    except* KeyboardInterrupt:
        sending.wrong = CliError(f"interrupted{sending.left}", ExitCode.INTERRUPTED)
    return sending.conclude()
