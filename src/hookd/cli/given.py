"""An event given on the command line, by options; its data is JSON, the name of a file of JSON, or `-` for stdin.

Rules: what was written is what is sent, byte for byte, since an event's data is its producer's own; so it is checked
here with the daemon's own strict reader, and never written anew. It may be a payload, so no message repeats it.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass, field
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from hookd.cli.errors import CliError, ExitCode
from hookd.core.strictjson import JsonFault, parse_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What was typed of an event. Its data may be a payload, and is not shown."""

    attributes: Mapping[str, str | None]  # `type` is one of them
    data: str | None = field(repr=False)

    @property
    def is_there(self) -> bool:
        """Whether there is an event: it has a type."""
        return self.attributes["type"] is not None

    def write(self) -> bytes | None:
        """Give the event as one line of JSON, None if there is none. Reads what `--data` names."""
        if self.is_there:
            return write_event(self.attributes, None if self.data is None else read_data(self.data))
        if self.data is not None or any(value is not None for value in self.attributes.values()):
            *names, last = (f"--{name}" for name in ("data", *self.attributes) if name != "type")
            raise CliError(f"{', '.join(names)} and {last} go with --type", ExitCode.USAGE)
        return None


def event_options(**helps: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add --type, --data and the attributes that `helps` names, with these helps; the command takes them as `given`."""
    options = [
        click.option("--type", "event_type", help=helps.pop("type")),
        click.option(
            "--data", metavar="JSON|FILE", help="With --type: its data, as JSON, a file of JSON, or - for stdin."
        ),
        *(click.option(f"--{name}", f"event_{name}", help=f"With --type: {text}.") for name, text in helps.items()),
    ]

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(command)
        def give(*, data: str | None, **typed: Any) -> Any:
            attributes = {name: typed.pop(f"event_{name}") for name in ("type", *helps)}
            return command(given=Given(attributes=attributes, data=data), **typed)

        for option in reversed(options):
            give = option(give)
        return give

    return add


def read_data(text: str) -> bytes:
    """Give the JSON that `--data` names, as one line; a text that is JSON is not taken for a file name."""
    inline = os.fsencode(text)
    if text != "-" and not isinstance(parse_json(inline), JsonFault):
        return as_one_line(inline)
    where = "standard input" if text == "-" else text
    try:
        if text == "-":
            raw = sys.stdin.buffer.read()
        else:
            with open(text, "rb") as opened:  # noqa: PTH123  what is no path is no file either, and no error of Path
                raw = opened.read()
    except (OSError, ValueError) as error:
        if text.lstrip()[:1] in {"{", "[", '"'}:
            fault = parse_json(inline)
            message = f"--data: {fault.message}" if isinstance(fault, JsonFault) else "--data: not JSON"
        else:
            why = getattr(error, "strerror", None) or "no such file"
            message = f"--data is neither JSON nor a file that can be read ({why})"
        raise CliError(message, ExitCode.USAGE) from None
    fault = parse_json(raw)
    if isinstance(fault, JsonFault):
        raise CliError(f"{where}: {fault.message}", ExitCode.USAGE)
    return as_one_line(raw)


def write_event(attributes: Mapping[str, str | None], data: bytes | None) -> bytes:
    """Give an event as one line of JSON: the attributes that are not None, and `data` as it was written."""
    head = json.dumps({name: value for name, value in attributes.items() if value is not None}).encode("ascii")
    return head if data is None else b'%s, "data": %s}' % (head[:-1], data)


def as_one_line(text: bytes) -> bytes:
    """Give a JSON text without line ends, which in JSON stand between values only."""
    return text.replace(b"\r", b" ").replace(b"\n", b" ").strip()
