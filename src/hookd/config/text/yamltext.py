"""Plain values as YAML that a person reads and a diff shows line by line.

Rules of this module:

1. What is written is read back as the same value, by `strictyaml` and by any YAML 1.2 reader: a text that could be
   taken for something else, by YAML 1.1 too, stands in quotes.
2. One key and one entry of a list a line, so that a change of one is a change of one line. What is empty, or a short
   mapping of one plain value (a reference), stands on its line.
3. The order of keys is that of the value.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: A text that needs no quotes anywhere: it begins with a letter and holds nothing that means something to YAML.
_PLAIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9_./@%+=~-]*(?: [A-Za-z0-9_./@%+=~-]+)*")
#: What YAML 1.1 readers take for a boolean or nothing, besides YAML 1.2's own.
_WORDS: Final = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
#: What may not stand in a text as it is: see `syntax`. Everything else beyond ASCII is shown as it is.
_ESCAPED: Final = re.compile("[^\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_INDENT: Final = "  "


def render_yaml(value: Mapping[str, object]) -> str:
    """Give a mapping of str, int, float, bool, None, lists and mappings as the text of a YAML document."""
    return "".join(f"{line}\n" for line in _lines_of_mapping(value, ""))


def _lines_of_mapping(value: Mapping[str, object], indent: str) -> Iterator[str]:
    for key, inner in value.items():
        yield from _lines_of(f"{indent}{quote_text(key)}:", inner, indent)


def _lines_of(head: str, value: object, indent: str) -> Iterator[str]:
    """Give a value behind its key or its dash."""
    short = _on_one_line(value)
    if short is not None:
        yield f"{head} {short}"
    elif isinstance(value, dict):
        if head.endswith("-"):
            lines = list(_lines_of_mapping(value, indent + _INDENT))
            yield f"{head} {lines[0].lstrip(' ')}"
            yield from lines[1:]
        else:
            yield head
            yield from _lines_of_mapping(value, indent + _INDENT)
    elif isinstance(value, list):
        yield head
        for entry in value:
            yield from _lines_of(f"{indent}{_INDENT}-", entry, indent + _INDENT)


def _on_one_line(value: object) -> str | None:
    """Give what needs no further lines: a scalar, an empty mapping or list, a mapping of one scalar."""
    if isinstance(value, dict):
        if not value:
            return "{}"
        key, inner = next(iter(value.items()))
        if len(value) == 1 and key in {"credential", "file", "env"} and isinstance(inner, str):
            return f"{{{key}: {quote_text(inner)}}}"
        return None
    if isinstance(value, list):
        return None if value else "[]"
    if isinstance(value, str):
        return quote_text(value)
    return json.dumps(value)


def quote_text(text: str) -> str:
    """Give a text as a YAML scalar: plain where nothing can mistake it, else in double quotes."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    return escape_json(json.dumps(text, ensure_ascii=False))


def escape_json(text: str) -> str:
    """Escape what JSON may hold as it is and YAML may not."""
    return _ESCAPED.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    return f"\\u{ord(found.group()):04x}"
