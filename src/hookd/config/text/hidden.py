"""Characters that look like a space, or like nothing, where YAML wants a space or somebody wrote a name.

Rules of this module:

1. They come by copying from a page or a chat, and look right, so a message names the character and its place.
2. What joins letters in some scripts, and emoji, is not looked for; nor is anything in quotes, where it may be meant.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from hookd.config.problems import Problem
from hookd.core.config import Place

# Spaces other than the one that YAML knows, and what takes no room: Unicode's white space and default ignorables.
_SET: Final = (
    "[\u00a0\u00ad\u034f\u061c\u115f\u1160\u1680\u180e\u2000-\u200b\u200e\u200f"
    "\u202a-\u202f\u205f-\u206f\u3000\u3164\ufeff\uffa0]"
)
_HIDDEN: Final = re.compile(_SET)
_INDENTATION: Final = re.compile(f"[ \t]*(?={_SET})")
#: The dash of an entry, or a key of one word with its colon, and none of YAML's spaces behind it.
_BEHIND: Final = re.compile(f"[ \t]*(?:- +)*(?:-|[\\w.-]+:)(?={_SET})")
_KEY: Final = re.compile(r"[ \t]*(?:- +)*(?![\'\"#&*!|>@%{\[])(?P<key>[^:]+(?::(?! |$)[^:]*)*):(?: |$)")


def find_hidden(text: str) -> tuple[int, str] | None:
    """Give the index of the first such character of a text, and what it is called; None if there is none."""
    found = None if text.isascii() else _HIDDEN.search(text)
    if found is None:
        return None
    character = found.group()
    name = "byte order mark" if character == "\ufeff" else unicodedata.name(character, "character").lower()
    article = "an" if name[0] in "aeiou" else "a"
    return found.start(), f"{article} {name} (U+{ord(character):04X})"


def tell_hidden(text: str) -> str:
    """Give `; a no-break space (U+00A0) stands in it`, or an empty text."""
    found = find_hidden(text)
    return "" if found is None else f"; {found[1]} stands in it"


def explain_hidden_key(key: str, place: Place, line: str) -> Problem | None:
    """Say that such a character stands in a key without quotes, which stands at `place` in a line."""
    found = find_hidden(key)
    if found is None:
        return None
    at = place.column - 1 + found[0]
    where = Place(file=place.file, line=place.line, column=at + 1)
    if not line[:at].strip(" \t"):
        return Problem(where, f"YAML is indented with spaces; {found[1]} stands here", "hidden_character")
    message = f"{found[1]} stands in this key: type the key anew, or put it in quotes if that is meant"
    return Problem(where, message, "hidden_character")


def explain_hidden_space(line: str, file: str, number: int) -> Problem | None:
    """Say that such a character stands in the indentation of a line, or behind the `:` or `-` that it begins with."""
    if line.isascii():
        return None
    found = _INDENTATION.match(line) or _BEHIND.match(line)
    if found is None:
        return None
    at = found.end()
    name = (find_hidden(line[at]) or (0, ""))[1]
    place = Place(file=file, line=number, column=at + 1)
    mark = line[at - 1] if at else " "
    if mark in "-:":
        return Problem(place, f"behind this `{mark}` belongs a space; {name} stands here", "hidden_character")
    return Problem(place, f"YAML is indented with spaces; {name} stands here", "hidden_character")


def explain_hidden(line: str, file: str, number: int) -> Problem | None:
    """Say of a line that YAML does not take that such a character stands in it where it does harm."""
    space = explain_hidden_space(line, file, number)
    key = None if space or line.isascii() else _KEY.match(line)
    if key is None:
        return space
    return explain_hidden_key(key["key"], Place(file=file, line=number, column=key.start("key") + 1), line)
