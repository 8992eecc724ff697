"""The options that say which deliveries or events are meant, of the verbs that bring some back: `redrive`, `replay`.

Rule: what changes much is never meant by saying nothing. Something narrows it, or `--all` is said and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from hookd.cli.errors import CliError, ExitCode
from hookd.cli.instants import parse_when

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True, kw_only=True)
class Narrowed:
    """What was typed: `since` and `until` in milliseconds since the epoch; `everything` is --all."""

    since: int | None
    until: int | None
    tenant: str | None
    type: str | None
    everything: bool
    dry_run: bool

    def ask(self, **more: str | None) -> dict[str, object]:
        """Give what narrows it, as the control API takes it."""
        asked = {"since": self.since, "until": self.until, "tenant": self.tenant, "type": self.type, **more}
        return {key: value for key, value in asked.items() if value is not None}


def narrowing_options(*, what: str, happened: str, told: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the options; the command takes them as `narrowed`.

    `what` all of them are, what `happened` to them at the instants that are compared, and what --dry-run has `told`.
    """
    options = (
        click.option(
            "--since", help=f"{happened} since (inclusive): an instant (2026-11-21T16:00:00Z), a date, or an age (2h)."
        ),
        click.option("--until", help=f"{happened} until (exclusive): an instant, a date, or an age."),
        click.option("--tenant", help="Of this tenant's events only."),
        click.option("--type", "event_type", help="Of this event type only."),
        click.option("--all", "everything", is_flag=True, help=f"{what}."),
        click.option("--dry-run", is_flag=True, help=f"Change nothing: tell {told}."),
    )

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(command)
        def narrow(
            *,
            since: str | None,
            until: str | None,
            tenant: str | None,
            event_type: str | None,
            everything: bool,
            dry_run: bool,
            **more: Any,
        ) -> Any:
            first, end = parse_when(since, "--since"), parse_when(until, "--until")
            if first is not None and end is not None and first >= end:
                raise CliError("--since is not before --until: there is nothing between them", ExitCode.USAGE)
            narrowed = Narrowed(
                since=first,
                until=end,
                tenant=tenant,
                type=event_type,
                everything=everything,
                dry_run=dry_run,
            )
            return command(narrowed=narrowed, **more)

        for option in reversed(options):
            narrow = option(narrow)
        return narrow

    return add
