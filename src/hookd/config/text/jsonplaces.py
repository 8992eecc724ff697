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
    return place_of_offset(text, file, _find(text, path))


def key_place_in_json(text: str, file: str, path: Sequence[str | int]) -> Place:
    """Give the place of the key of the value at `path`; of an entry of a list, and of what is not there, as above."""
    around = _find(text, path[:-1])
    found = _member(text, around, path[-1]) if path and isinstance(path[-1], str) else None
    return place_of_offset(text, file, _find(text, path) if found is None else found[0])


def place_of_offset(text: str, file: str, offset: int) -> Place:
    """Give the line and column of a character, both from 1."""
    return Place(file=file, line=text.count("\n", 0, offset) + 1, column=offset - text.rfind("\n", 0, offset))


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return at if match is None else match.end()


def _find(text: str, path: Sequence[str | int]) -> int:
    at = _skip(text, 0)
    for step in path:
        if isinstance(step, str):
            found = _member(text, at, step)
            inner = None if found is None else found[1]
        else:
            inner = _item(text, at, step)
        if inner is None:
            break
        at = inner
    return at


def _member(text: str, at: int, name: str) -> tuple[int, int] | None:
    """Give where the key of a member begins, and where its value does."""
    if text[at] != "{":
        return None
    at = _skip(text, at + 1)
    while text[at] == '"':
        begin = at
        key, at = _DECODER.raw_decode(text, at)
        at = _skip(text, _skip(text, at) + 1)  # over the colon
        if key == name:
            return begin, at
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
