"""Where a value stands in a JSON text.

The standard decoder forgets positions, and the YAML reader refuses the tabs that JSON may be indented with. Positions
are wanted only when something is wrong, so this reads the text a second time, and only then.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from hookd.core.config import Place

if TYPE_CHECKING:
    from collections.abc import Sequence

_SPACE: Final = re.compile(r"[ \t\r\n]*")
_DECODER: Final = json.JSONDecoder()


def place_in_json(text: str, file: str, path: Sequence[str | int]) -> Place:
    """Give the place of the value at `path`, or of the nearest value around it that exists. `text` is valid JSON."""
    at = _skip(text, 0)
    for step in path:
        inner = _member(text, at, step) if isinstance(step, str) else _item(text, at, step)
        if inner is None:
            break
        at = inner
    return place_of_offset(text, file, at)


def place_of_offset(text: str, file: str, offset: int) -> Place:
    """Give the line and column of a character, both from 1."""
    return Place(file=file, line=text.count("\n", 0, offset) + 1, column=offset - text.rfind("\n", 0, offset))


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return at if match is None else match.end()


def _member(text: str, at: int, name: str) -> int | None:
    if text[at] != "{":
        return None
    at = _skip(text, at + 1)
    while text[at] == '"':
        key, at = _DECODER.raw_decode(text, at)
        at = _skip(text, _skip(text, at) + 1)  # over the colon
        if key == name:
            return at
        at = _next(text, at)
    return None


def _item(text: str, at: int, index: int) -> int | None:
    if text[at] != "[":
        return None
    at = _skip(text, at + 1)
    for _ in range(index):
        if text[at] == "]":
            return None
        at = _next(text, at)
    return None if text[at] == "]" else at


def _next(text: str, at: int) -> int:
    """Give where the next member or item begins, or the bracket that ends them."""
    _, at = _DECODER.raw_decode(text, at)
    at = _skip(text, at)
    return _skip(text, at + 1) if text[at] == "," else at
