r"""Bodies as people read them: JSON indented, forms one parameter a line, nothing that a terminal would obey.

Rules of this module:

1. What a receiver or a producer wrote is shown as it is: the digits of a number and the order and number of keys are
   not changed by showing them (`1E2` stays `1E2`, a key that stands twice is seen twice). Only the escapes of a text
   are read, since `\u00e9` is nothing to read.
2. Control characters come from strangers: they are escaped, so that a response cannot clear the screen or retitle it.
"""

from __future__ import annotations

import json
import re
from typing import Final
from urllib.parse import parse_qsl

_TOKEN: Final = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\],:]|[^\s{}\[\],:"]+')
#: All controls but line feed and tab, and those that turn the direction of writing.
_CONTROL: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def make_visible(text: str, *, one_line: bool = False) -> str:
    r"""Escape control characters, as `\x1b`; line feeds and tabs too if it must stay on one line."""
    shown = _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
    return shown.replace("\n", "\\n").replace("\t", "\\t") if one_line else shown


def format_body(kind: str, body: object) -> str:
    """Give a body as people read it. `kind` is its content type, `body` a text, or `{"base64": …}` of bytes."""
    if not isinstance(body, str):
        return json.dumps(body)
    kind = kind.lower()
    if "json" in kind:
        body = indent_json(body) or body
    elif "x-www-form-urlencoded" in kind:
        pairs = [
            (make_visible(name, one_line=True), make_visible(value, one_line=True))
            for name, value in parse_qsl(body, keep_blank_values=True)
        ]
        width = max((len(name) for name, _ in pairs), default=0)
        return "\n".join(f"{name.ljust(width)} = {value}".rstrip() for name, value in pairs)
    return make_visible(body)


def indent_json(text: str) -> str | None:
    """Give a JSON text with its parts on lines of their own, two spaces a level; None if it is not JSON."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return None
    parts: list[str] = []
    depth = 0
    before = ""
    for token in _TOKEN.findall(text):
        if token in {"}", "]"}:
            depth -= 1
            if before not in {"{", "["}:
                parts.append("\n" + "  " * depth)
        elif before in {"{", "[", ","}:
            parts.append("\n" + "  " * depth)
        elif before == ":":
            parts.append(" ")
        parts.append(json.dumps(json.loads(token), ensure_ascii=False) if token.startswith('"') else token)
        if token in {"{", "["}:
            depth += 1
        before = token
    return "".join(parts)
