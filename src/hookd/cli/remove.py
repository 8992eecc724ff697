"""`hookd remove`: a definition out of the managed directory, and its backlog ended."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import click

from hookd.cli.client import ControlClient
from hookd.cli.output import print_json
from hookd.cli.places import control_options, find_control, output_option
from hookd.cli.put import REVISION_OPTION

if TYPE_CHECKING:
    from pathlib import Path


@click.command("remove")
@click.argument("webhook")
@REVISION_OPTION
@control_options
@output_option
def remove_command(
    *, webhook: str, revision: str | None, control: str | None, config: Path | None, output: str
) -> None:
    """Remove a webhook that `put` or the API wrote; what is pending for it is dead then.

    WEBHOOK is an id, or TENANT/ID. One that stands in your own files is removed there, and holds its backlog. Once it
    is gone from them, this gives that backlog up: it is dead then, and can be redriven while its events are kept.
    """
    headers = {} if revision is None else {"if-match": f'"{revision}"'}
    done = ControlClient(find_control(control, config)).delete(f"/v1/webhooks/{quote(webhook, safe='/')}", headers)
    ended = None if done is None else int(done["ended"])
    if output == "json":
        print_json({"id": webhook, "removed": True} | ({} if ended is None else {"ended": ended}))
    elif ended is not None:
        deliveries = "1 delivery that was" if ended == 1 else f"{ended} deliveries that were"
        print(f"{webhook} is in no file; {deliveries} held for it {'is' if ended == 1 else 'are'} dead now")
    else:
        print(f"{webhook} is removed, its backlog is dead")
