"""`hookd put`: a definition into the managed directory, judged by the daemon, live when the verb ends."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from hookd.cli.client import ControlClient, Refused
from hookd.cli.errors import CliError, ExitCode
from hookd.cli.output import print_json, print_problems
from hookd.cli.places import control_options, find_control, output_option

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hookd.config.problems import Problem
    from hookd.config.text.document import Document

Steps = tuple[str | int, ...]

REVISION_OPTION = click.option(
    "--revision", metavar="REVISION", help="Only if the webhook is at this revision still, as `put` printed it."
)


@click.command("put")
@click.argument("webhook")
@click.option("--file", "file", metavar="FILE|-", required=True, help="Its definition, YAML or JSON; - for stdin.")
@REVISION_OPTION
@click.option("--new", is_flag=True, help="Only if there is no such webhook yet.")
@control_options
@output_option
def put_command(
    *, webhook: str, file: str, revision: str | None, new: bool, control: str | None, config: Path | None, output: str
) -> None:
    """Create or replace a webhook: WEBHOOK is an id, or TENANT/ID.

    FILE holds what stands under the id in `webhooks:`, or a whole file with this one webhook. The daemon tries it with
    the running config, writes it into `managed_dir`, and has it live before this ends. A webhook with a tenant's id
    gets a signing secret of its own, which is shown once, unless the definition has `sign`.
    """
    if new and revision is not None:
        raise CliError("--new and --revision exclude each other", ExitCode.USAGE)
    from hookd.config.problems import describe_problem

    document, at, definition = _read_definition(webhook, file, output)
    headers = {"if-none-match": "*"} if new else {} if revision is None else {"if-match": f'"{revision}"'}
    client = ControlClient(find_control(control, config))
    try:
        done = client.put(f"/v1/webhooks/{quote(webhook, safe='/')}", definition, headers)
    except Refused as refused:
        problems = [_find_problem(document, at, error) for error in refused.errors]
        refused.errors = tuple(
            {**describe_problem(problem), **error} for problem, error in zip(problems, refused.errors, strict=True)
        )
        if output == "json" or not problems:
            raise
        print_problems(problems, {document.file: document.text})
        raise CliError(f"{webhook}: the definition is not right; nothing was changed", refused.code) from None
    if output == "json":
        print_json(done)
        return
    print(f"{done['id']} is live, revision {done['revision']}, in config {done['config_revision']}")
    if "secret" in done:
        print(f"its signing secret, shown this once: {done['secret']}")


def _read_definition(webhook: str, file: str, output: str) -> tuple[Document, Steps, object]:
    """Give the file, where in it the definition stands, and the definition."""
    from hookd.config.problems import ConfigInvalid, describe_problem
    from hookd.config.text.strictyaml import parse_yaml

    name = "standard input" if file == "-" else file
    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise CliError(f"cannot read {name}: {error.strerror}", ExitCode.USAGE) from None
    try:
        document = parse_yaml(content, name)
    except ConfigInvalid as invalid:
        message = f"{name} is not YAML as it must be; nothing was sent"
        if output == "human":
            print_problems(invalid.problems, invalid.sources)
        raise CliError(message, ExitCode.NOT_SO, [describe_problem(it) for it in invalid.problems]) from None
    value = document.value
    inner = value.get("webhooks") if isinstance(value, dict) and len(value) == 1 else None
    if not isinstance(inner, dict):
        return document, (), value
    if list(inner) != [webhook]:
        raise CliError(f"{name} holds other webhooks than {webhook} alone", ExitCode.USAGE)
    return document, ("webhooks", webhook), inner[webhook]


def _find_problem(document: Document, at: Steps, error: Mapping[str, Any]) -> Problem:
    """Give an error of the daemon's as a problem of the file: at what its JSON Pointer (RFC 6901) leads to."""
    from hookd.config.problems import Problem

    path = at
    value: object = document.value
    for step in at:
        value = value.get(str(step)) if isinstance(value, dict) else None
    for part in str(error["pointer"]).split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            path, value = (*path, int(key)), value[int(key)]
        elif isinstance(value, dict):
            path, value = (*path, key), value.get(key)
    place = document.key_place(path) if error.get("of_key") else document.place(path)
    return Problem(place, str(error["message"]), str(error["code"]))
