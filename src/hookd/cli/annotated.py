"""A definition as YAML for people, with a note at the end of each line.

Rules of this module:

1. What is written reads back as the same value, the notes being comments.
2. Mappings of settings stand in lines of their own; what is short, and lists, stand on one line, since a list is one
   value that comes from one place.
3. The notes stand under each other, as far as the lines are short.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from hookd.config.comparing.compare import is_reference
from hookd.config.text.yamltext import escape_json, quote_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Path = tuple[str, ...]
    Note = Callable[[Path], str | None]

#: A longer value is broken into lines.
_WIDTH: Final = 88
#: Notes stand no further to the right than this, unless their line is longer.
_NOTES_AT: Final = 56
_INDENT: Final = "  "


def write_annotated(value: Mapping[str, object], note: Note, *, indent: str = "") -> list[str]:
    """Give the lines of a mapping; `note` gives the comment for the value at a path, or None."""
    written = list(_lines_of(value, (), note, indent))
    column = max((len(line) for line, comment in written if comment and len(line) < _NOTES_AT), default=0)
    return [f"{line.ljust(column)}  # {comment}" if comment else line for line, comment in written]


def _lines_of(value: Mapping[str, object], at: Path, note: Note, indent: str) -> Iterator[tuple[str, str | None]]:
    for key, inner in value.items():
        path = (*at, key)
        head = f"{indent}{quote_text(key)}:"
        if isinstance(inner, dict) and inner and not is_reference(inner):
            yield head, note(path)
            yield from _lines_of(inner, path, note, indent + _INDENT)
            continue
        flow = write_flow(inner)
        if isinstance(inner, list) and len(inner) > 1 and len(head) + len(flow) > _WIDTH:
            yield head, note(path)
            for entry in inner:
                yield f"{indent}{_INDENT}- {write_flow(entry)}", None
        else:
            yield f"{head} {flow}", note(path)


def write_flow(value: object) -> str:
    """Write a value on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{quote_text(str(key))}: {write_flow(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(write_flow, value)) + "]"
    if isinstance(value, str):
        return quote_text(value)
    return escape_json(json.dumps(value))
