"""The data of an event, given on the command line: JSON, the name of a file of JSON, or `-` for standard input.

Rules: what was written is what is sent, byte for byte, since an event's data is its producer's own; so it is checked
here with the daemon's own strict reader, and never written anew. It may be a payload, so no message repeats it.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

from hookd.cli.errors import CliError, ExitCode
from hookd.core.strictjson import JsonFault, parse_json

if TYPE_CHECKING:
    from collections.abc import Mapping


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
