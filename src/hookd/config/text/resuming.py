"""Where a file is read on behind a mistake of syntax, so that the next mistake is told as well.

Rules of this module:

1. What is told must be there: a second mistake that only follows from the first costs more than one that is told a
   run later. So it goes on only where YAML itself says that nothing from above can reach: what belongs to a key is
   indented further than the key (YAML 1.2, 8.2.2), so a key at the left edge begins anew, and so does one that stands
   at the indentation of the first key of its section, unless a line was less indented since.
2. libyaml is laxer about what stands in brackets, so a line with a comma before or behind it is no such place. The
   lines of a text behind `|` may look like anything; if the line that announces it is broken, only the left edge is
   safe.
3. Lines keep their numbers: those that are passed over become empty.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_KEY: Final = re.compile(r"(?P<lead> *)[\w.\"'/][^\s#:]*:(?: |$)")
_SECTION: Final = re.compile(r"\w[\w-]*:\s*(?:#.*)?$")
_INSIDE: Final = re.compile(r"[,\[{]\s*(?:#.*)?$")
_BLOCK_HEAD: Final = re.compile(r"[|>][-+0-9]{0,2}\s*(?:#.*)?$")


def blank_before_next(lines: Sequence[str], line: int) -> tuple[str, int] | None:
    """Give the text that can be read for itself behind `line` (from 1), and the number of its first line.

    None: there is no place at which it is certain that it can.
    """
    top = next((at for at in range(min(line, len(lines)) - 1, -1, -1) if _is_key(lines[at], 0)), None)
    level = 0 if top is None or _BLOCK_HEAD.search(lines[line - 1]) else _find_level(lines, top)
    above = lines[line - 1] if 1 <= line <= len(lines) else ""
    for at in range(line, len(lines)):
        text = lines[at]
        if not _is_told(text):
            continue
        is_top = _is_key(text, 0)
        if is_top or (level and _is_key(text, level)):
            if _INSIDE.search(above) or text.rstrip().endswith(","):
                return None
            head = [] if is_top or top is None else [*[""] * top, lines[top]]
            return "\n".join([*head, *[""] * (at - len(head)), *lines[at:]]), at + 1
        if _indent(text) < level:
            level = 0
        above = text
    return None


def _find_level(lines: Sequence[str], top: int) -> int:
    """Give the indentation of the keys of a section; 0 if it has none, or is not indented evenly."""
    if not _SECTION.match(lines[top]):
        return 0
    levels: list[int] = []
    for line in lines[top + 1 :]:
        if _is_told(line):
            if not _indent(line):
                break
            levels.append(_indent(line))
    return levels[0] if levels and levels[0] == min(levels) else 0


def _is_key(line: str, level: int) -> bool:
    found = _KEY.match(line)
    return found is not None and len(found["lead"]) == level


def _is_told(line: str) -> bool:
    """Whether a line is neither empty nor a comment."""
    return line.strip() != "" and not line.lstrip().startswith("#")


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))
