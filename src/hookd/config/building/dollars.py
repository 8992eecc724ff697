"""Where in the files the `$(…)` of a template stands that is at fault.

Rules of this module:

1. A text may hold many of them, over many lines, so a problem points at its own dollar sign and not at the text.
2. They are counted, by the bytes `$(`: an escape or an indentation moves them in a text, and changes their number not.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from hookd.config.building.reader import Reader
    from hookd.core.config import Place
    from hookd.core.paths import Steps

_MARK: Final = "$("
_TEMPLATE: Final = ("body", "template")


def place_numbered(reader: Reader, at: Steps, number: int | None) -> Place:
    """Give the place of a `$(` of the text at `at` of a webhook's template, counted from 0; None: of the text."""
    path = (*_TEMPLATE, *at)
    return reader.places.place(path) if number is None else reader.places.place_within(path, _MARK, number)


def place_named(reader: Reader, path: str) -> Place:
    """Give the place of the first `$(PATH)` or `$(PATH?)` in a webhook's template; of the template if it has none."""
    found = _find(reader.find(*_TEMPLATE), re.compile(re.escape(f"{_MARK}{path}") + r"\??\)"))
    return reader.places.place(_TEMPLATE) if found is None else place_numbered(reader, *found)


def _find(node: object, wanted: re.Pattern[str]) -> tuple[Steps, int] | None:
    if isinstance(node, str):
        match = wanted.search(node)
        return None if match is None else ((), node.count(_MARK, 0, match.start()))
    members = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for step, inner in members:
        found = _find(inner, wanted)
        if found is not None:
            at, number = found
            return (step, *at), number
    return None
