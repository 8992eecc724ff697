"""`hookd route`: where an event would go, what exactly would be sent, and why. Nothing is sent and nothing is stored.

Rules of this module:

1. It works on the files, offline and without their secrets; with --running, or a --control that is typed, the daemon
   answers: its config, and what is suspended or full there.
2. Exit code 1: the event would be refused, or one of its requests cannot be made.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import click
import trio

from hookd.cli.client import ControlClient
from hookd.cli.errors import CliError, ExitCode
from hookd.cli.given import Given, event_options
from hookd.cli.loading import is_typed, load_files
from hookd.cli.output import print_json, styled
from hookd.cli.places import control_options, find_config, find_control, output_option
from hookd.cli.readable import format_body, make_visible
from hookd.cli.reports import shorten_place
from hookd.cli.source import open_source

if TYPE_CHECKING:
    from pathlib import Path


@click.command("route")
@click.argument("file", required=False, metavar="[FILE|-]")
@event_options(
    type="An event of this type, instead of one from a file.", id="its id", tenant="its tenant", subject="its subject"
)
@click.option("--explain", is_flag=True, help="Of every webhook, the lines that let it in or kept it out.")
@click.option("--webhook", metavar="ID", help="Of this webhook only.")
@click.option("--running", is_flag=True, help="Ask the running daemon instead of the files.")
@control_options
@output_option
def route_command(
    *,
    file: str | None,
    given: Given,
    explain: bool,
    webhook: str | None,
    running: bool,
    control: str | None,
    config: Path | None,
    output: str,
) -> int:
    """Show which webhooks an event would go to, and the exact request of each, secrets masked. Nothing is sent.

    The event is that of a FILE (or -), or of --type and --data. It is judged as an inlet would judge it. With
    --explain every webhook is told, with the file and line of what decided: the tenant, the entry of `events`, each
    line of the filter.

    Exit code 1: the event would be refused, or a request cannot be made of it.
    """
    if (file is None) is not given.is_there:
        raise CliError("name a file with an event (or -), or an event with --type", ExitCode.USAGE)
    event = given.write() or _read_one(str(file))
    if running or (control is not None and is_typed("control")):
        answer = _ask(ControlClient(find_control(control, config)), event, explain=explain, webhook=webhook)
    else:
        answer = _read_files(find_config(config), event, explain=explain, webhook=webhook)
    if output == "json":
        print_json(answer)
    else:
        _print_answer(answer, explain=explain)
    problems = any(each.get("request") and each["request"]["problem"] for each in answer["webhooks"])
    return ExitCode.NOT_SO if answer["refused"] or problems else ExitCode.FINE


def _read_one(name: str) -> bytes:
    source = open_source(name)

    async def read() -> list[bytes]:
        found: list[bytes] = []
        async for line in source.lines():
            found.append(line)
            if len(found) > 1:
                break
        return found

    lines = trio.run(read)
    if len(lines) != 1:
        many = "several events" if lines else "no event"
        raise CliError(f"{source.name} holds {many}; `hookd route` takes one", ExitCode.USAGE)
    return lines[0]


def _ask(client: ControlClient, event: bytes, *, explain: bool, webhook: str | None) -> dict[str, Any]:
    asked = {"explain": "true" if explain else "false", **({} if webhook is None else {"webhook": webhook})}
    answer: dict[str, Any] = client.post_text(f"/v1/route?{urlencode(asked)}", event)
    return answer


def _read_files(main: Path, event: bytes, *, explain: bool, webhook: str | None) -> dict[str, Any]:
    """Make the daemon's answer of the files on disk."""
    from hookd.control.explain import UNMADE, add_places, choose_webhooks, describe_event, describe_routed
    from hookd.core.explaining import read_event
    from hookd.core.model import Refusal
    from hookd.core.paths import did_you_mean, shown

    loaded = load_files(main)
    config = loaded.config
    if webhook is not None and webhook not in config.webhooks:
        hint = did_you_mean(webhook, config.webhooks)
        raise CliError(f"there is no webhook `{shown(webhook)}` in {main}{hint}", ExitCode.NOT_SO)
    incoming = read_event(config, event, now=time.time_ns() // 1_000_000, new_id=lambda: UNMADE)
    answer = describe_event(config, incoming)
    if isinstance(incoming, Refusal):
        return answer
    names = choose_webhooks(config, incoming, explained=explain, webhook=webhook)
    listed = [each for name in names for each in describe_routed(config.webhooks[name], incoming, explained=explain)]
    if explain:
        add_places(loaded.snapshot, config, {each["webhook"]: each for each in listed})
    return {**answer, "webhooks": listed}


# --------------------------------------------------------------------------- for people


def _print_answer(answer: dict[str, Any], *, explain: bool) -> None:
    refused = answer["refused"]
    if refused:
        where = f" at {refused['path']}" if refused["path"] else ""
        text = f"it would be refused: {refused['code']}{where}: {refused['message']}"
        print(styled(make_visible(text), "bad"))
        return
    taken = [each for each in answer["webhooks"] if each["taken"]]
    event = answer["event"]
    of = f" of tenant {event['tenant']}" if event.get("tenant") else ""
    count = f"{len(taken) or 'no'} webhook{'s get' if len(taken) > 1 else ' gets'} it"
    print(make_visible(f"{event['type']}{of}: {count}", one_line=True))
    if not taken and not explain:
        print("with --explain: why")
    for each in answer["webhooks"]:
        _print_webhook(each)


def _print_webhook(each: dict[str, Any]) -> None:
    verdict = styled("gets it", "good") if each["taken"] else styled(_why(each["reason"]), "faint")
    print(f"\n{styled(each['webhook'], 'strong')}: {verdict}  {styled(shorten_place(each['defined_at']), 'faint')}")
    _print_clauses(each.get("clauses", ()))
    for note in _notes(each):
        print(f"  {styled(note, 'bad')}")
    request = each.get("request")
    if request is not None:
        _print_request(request)


def _why(reason: str) -> str:
    words = {
        "inactive": "does not get it: it is inactive",
        "tenant": "does not get it: another tenant",
        "events": "does not get it: another type",
        "filter": "does not get it: its filter",
    }
    return words.get(reason, "does not get it")


def _print_clauses(clauses: Any) -> None:
    """Print the lines that decided, places and texts under each other; what is nested in a filter is indented."""
    rows = []
    branches: set[tuple[Any, ...]] = set()
    for clause in clauses:
        at = tuple(clause["at"])
        if isinstance(at[-1], int):
            branches.add(at)
        around = [at[:length] for length in range(2, len(at))]
        depth = sum(outer[-1] in {"any", "all", "not"} or outer in branches for outer in around)
        deeper = "  " * depth if at[0] == "filter" else ""
        place = shorten_place(clause["place"]) if clause["place"] else ""
        mark = styled("✓", "good") if clause["holds"] else styled("✗", "bad")
        rows.append((mark, place, f"{deeper}{make_visible(clause['text'], one_line=True)}"))
    width = max((len(place) for _, place, _ in rows), default=0)
    for mark, place, text in rows:
        print(f"  {mark} {place.ljust(width)}  {text}")


def _notes(each: dict[str, Any]) -> list[str]:
    notes = []
    if each["held"] == "suspended":
        notes.append(f"held: it is suspended since {each['suspended_at']}: {make_visible(each['suspended_cause'])}")
    elif each["held"] == "paused":
        notes.append("held: it is paused")
    if each.get("overflow"):
        notes.append(f"dead at once: it has {each['pending']} pending, which is max_pending")
    request = each.get("request")
    if request is not None and request["problem"]:
        notes.append(make_visible(request["problem"]))
    return notes


def _print_request(request: dict[str, Any]) -> None:
    url = request["url"]
    if isinstance(url, dict):
        url = "".join(f"{{{kind}: {name}}}" for kind, name in url.items())
    print(f"  {styled(make_visible(request['method'] + ' ' + url), 'strong')}")
    for name, value in request["headers"]:
        print(f"  {styled(make_visible(name) + ':', 'faint')} {make_visible(value)}")
    if request["body"] is None:
        return
    kind = next((value for name, value in request["headers"] if name.lower() == "content-type"), "")
    text = format_body(kind, request["body"]) if request["body"] != "" else json.dumps("")
    print()
    for line in text.split("\n"):
        print(f"  {line}".rstrip())
