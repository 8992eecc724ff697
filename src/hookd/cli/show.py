"""`hookd show`: a webhook as it is in force, and where each of its values came from.

The running daemon answers, out of the files that its config was made of; `--files` reads those on disk instead.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import click

from hookd.cli.annotated import write_annotated
from hookd.cli.ask import print_list
from hookd.cli.client import ControlClient
from hookd.cli.errors import CliError, ExitCode
from hookd.cli.output import print_fields, print_json, styled
from hookd.cli.places import control_options, find_config, find_control, output_option
from hookd.cli.reports import shorten_place

if TYPE_CHECKING:
    from pathlib import Path

#: Definitions that are asked for at once.
_PAGE: Final = 500


@click.command("show")
@click.argument("webhook", required=False)
@click.option(
    "--effective", is_flag=True, help="The whole definition as YAML: built-in, defaults, profile, its own keys."
)
@click.option("--origins", is_flag=True, help="The same, with the file and line that each value came from.")
@click.option("--files", "from_files", is_flag=True, help="Of the files on disk, and not of the running daemon.")
@control_options
@output_option
def show_command(
    *,
    webhook: str | None,
    effective: bool,
    origins: bool,
    from_files: bool,
    control: str | None,
    config: Path | None,
    output: str,
) -> None:
    """Show a webhook as it is in force: defaults and profile merged in, secrets masked. Without WEBHOOK: list them.

    With --effective it is YAML, and without WEBHOOK it is all of them. With --origins every line says which layer set
    its value (built-in, defaults, a profile, the webhook), and where.
    """
    if effective or origins or from_files:
        shown = _read_files(webhook, config) if from_files else _ask(webhook, find_control(control, config))
        if output == "json":
            print_json(_for_programs(shown, origins=origins))
        else:
            _print_definitions(shown, origins=origins, files=from_files)
        return
    client = ControlClient(find_control(control, config))
    if webhook is None:
        print_list(client.get("/v1/webhooks"), output)
        return
    described = client.get(f"/v1/webhooks/{quote(webhook, safe='')}")
    if output == "json":
        print_json(described)
        return
    fields = []
    for key, value in described.items():
        plain = isinstance(value, str | int | float) and not isinstance(value, bool)
        empty = value in ("", [], {})
        fields.append(
            (key, None if empty else value if plain or value is None else json.dumps(value, ensure_ascii=False))
        )
    print_fields(fields)


def _ask(webhook: str | None, path: str) -> dict[str, Any]:
    """Ask the running daemon for definitions with their origins."""
    client = ControlClient(path)
    try:
        names = [webhook] if webhook is not None else list(client.get("/v1/definitions")["digests"])
        shown: dict[str, Any] = {}
        revisions = set()
        for start in range(0, len(names), _PAGE):
            page = client.post("/v1/definitions", {"webhooks": names[start : start + _PAGE], "origins": True})
            shown.update(page["webhooks"])
            revisions.add(page["revision"])
    except CliError as error:
        if error.code is ExitCode.NO_DAEMON:
            raise CliError(f"{error}; --files shows what stands in the files", error.code) from None
        raise
    if len(revisions) > 1:
        raise CliError("the config changed while it was read: try again", ExitCode.TRY_AGAIN)
    return {"revision": next(iter(revisions), None), "webhooks": shown}


def _read_files(webhook: str | None, config: Path | None) -> dict[str, Any]:
    """Make the same of the files on disk."""
    from hookd.cli.loading import load_files
    from hookd.control.explain import add_origins, describe_definition
    from hookd.core.paths import did_you_mean, shown

    loaded = load_files(find_config(config))
    webhooks = loaded.config.webhooks
    if webhook is not None and webhook not in webhooks:
        hint = did_you_mean(webhook, webhooks)
        raise CliError(f"there is no webhook `{shown(webhook)}` in the files{hint}", ExitCode.NOT_SO)
    chosen = list(webhooks.values()) if webhook is None else [webhooks[webhook]]
    described = {each.id: describe_definition(each) for each in chosen}
    add_origins(loaded.snapshot, loaded.config, described)
    return {"revision": str(loaded.config.revision), "webhooks": described}


def _for_programs(shown: dict[str, Any], *, origins: bool) -> dict[str, Any]:
    if origins:
        return shown
    kept = {
        name: {key: value for key, value in each.items() if key != "origins"}
        for name, each in shown["webhooks"].items()
    }
    return {**shown, "webhooks": kept}


def _print_definitions(shown: dict[str, Any], *, origins: bool, files: bool) -> None:
    what = "of the files, revision" if files else "in force at revision"
    print(styled(f"# {what} {shown['revision']}; secrets are masked", "faint"))
    if not shown["webhooks"]:
        print("webhooks: {}")
        return
    print("webhooks:")
    for name, each in shown["webhooks"].items():
        told = {tuple(origin["path"]): _tell(origin) for origin in each.get("origins", ())} if origins else {}
        (head,) = write_annotated({name: None}, lambda _path: None, indent="  ")
        place = f"  # {shorten_place(each['defined_at'])}" if origins else ""
        print(head.removesuffix(" null") + place)
        for line in write_annotated(each["definition"], told.get, indent="    "):
            print(line)


def _tell(origin: dict[str, Any]) -> str:
    if origin["place"] is None:
        return str(origin["layer"])
    place = shorten_place(origin["place"])
    return place if origin["layer"] == "webhook" else f"{place} ({origin['layer']})"
