"""What is wrong with a file as text, and what libyaml's complaints mean to a person.

Rules of this module:

1. What YAML cannot show well is looked for first, with its own message: size, encoding, control characters, and
   conflict markers, which libyaml reports as something else altogether.
2. A complaint of libyaml is translated when its wording is known, and given as it is otherwise: none is lost.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from hookd.config.problems import ConfigInvalid, Problem
from hookd.config.text.hidden import explain_hidden
from hookd.config.text.slips import explain_slip
from hookd.core.config import Place
from hookd.core.units import MIB

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from yaml.error import MarkedYAMLError

#: Far more than a person writes; it bounds what a mistaken include can cost.
MAX_FILE_BYTES: Final = MIB

# YAML 1.2, 5.1: what is not c-printable; and the three characters that are line ends in YAML 1.1, and so for libyaml,
# which makes them spaces in a text, and ordinary ones in YAML 1.2. Escapes in double quotes can write them all.
_CONTROL = re.compile(
    "[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]",
)
_ORDINARY: Final = bytes([*b"\t\n\r", *range(0x20, 0x7F)])
_MARKS: Final = ("<<<<<<<", "|||||||", "=======", ">>>>>>>")
_CONFLICT = re.compile(r"^(?:<{7}|\|{7}|={7}|>{7})(?=[ \r\n]|\Z)", re.MULTILINE)
_NO_PLAIN_START = frozenset("%@`")

# The same, where the place to look at is where it began.
_UNFINISHED: Final = {
    "did not find expected ',' or ']'": "this `[` is never closed, or a comma or quotes are missing in it",
    "did not find expected ',' or '}'": "this `{` is never closed, or a comma or quotes are missing in it",
    "could not find expected ':'": "this should be a key, and has no `:` behind it",
    "found unexpected end of stream": "the quotes that open here are never closed",
}

# What libyaml (0.2) says, and what it means; the place is that of the problem.
_MEANINGS: Final = {
    "mapping values are not allowed in this context": (
        "a `:` is not expected here: check the indentation, and put a text that holds `: ` in quotes"
    ),
    "did not find expected key": "a key is expected here: check the indentation, and quotes and brackets above",
    "did not find expected '-' indicator": (
        "a list stands above, and this line is none of its entries: check the indentation"
    ),
    "did not find expected node content": "a value is expected here",
    "block sequence entries are not allowed in this context": (
        "a list cannot begin here: its first `- ` goes on a line of its own"
    ),
    "block mapping keys are not allowed in this context": "a mapping cannot begin here: check the indentation",
    "found undefined alias": (
        "no anchor of this name stands above; an anchor ends with its file, and what files share is a profile"
    ),
    "found unknown escape character": (
        "this escape is not known in double quotes: use single quotes, or write the backslash twice"
    ),
    "found invalid Unicode character escape code": (
        "this escape stands for no character: write the character itself (one escape for it, not a pair of them)"
    ),
    "did not find expected <document start>": "nothing may stand after the end of the document",
    "found incompatible YAML document": "only YAML 1.1 and 1.2 are known",
    "did not find expected comment or line break": (
        "behind `|` or `>` the line ends; the text begins on the next one, indented"
    ),
    "found an indentation indicator equal to 0": "the indentation of a text is a number from 1 to 9",
    "found unexpected document indicator": "`---` or `...` stands inside quotes that are not closed above",
    "mapping keys are not allowed in this context": "a key cannot begin here: check the indentation",
    "found unexpected ':'": "a `:` is not expected here: put a text that holds one in quotes",
    "found duplicate %YAML directive": "`%YAML` stands twice",
    "found duplicate %TAG directive": "`%TAG` stands twice",
    "found undefined tag handle": "tags are not used here; put a text that begins with `!` in quotes",
}

# The beginnings of what libyaml was at when it found a character that it did not want, and what that means.
_WHILE: Final = {
    "while scanning an alias": "a text that begins with `*` must be in quotes: '*'",
    "while scanning an anchor": "a text that begins with `&` must be in quotes",
    "while scanning a tag": "a text that begins with `!` must be in quotes",
    "while parsing a tag": "a text that begins with `!` must be in quotes",
    "while scanning a directive": "a line cannot begin with `%`: put the text in quotes",
    "while scanning a %": "a line cannot begin with `%`: put the text in quotes",
}


def decode_text(content: bytes, file: str) -> str:
    """Give the text of a config file; raise ConfigInvalid if it is too large, not UTF-8, or holds what YAML may not."""
    if len(content) > MAX_FILE_BYTES:
        message = "the file is larger than 1 MiB, the most that a config file may be; split it"
        raise ConfigInvalid([Problem(Place(file=file), message, "too_large")])
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # utf-8-sig counts from behind the byte order mark
        mark = 3 if content.startswith(b"\xef\xbb\xbf") else 0
        before = content[mark : mark + error.start].decode("utf-8", "replace")
        message = "this byte is not UTF-8; save the file as UTF-8"
        raise ConfigInvalid([Problem(_place_after(before, file), message, "not_utf8")]) from None
    if content.count(0) * 4 > len(content):
        message = "every other byte is zero, which looks like UTF-16; save the file as UTF-8"
        raise ConfigInvalid([Problem(Place(file=file), message, "not_utf8")])
    # Nearly every file is of these characters alone, and holds no such line: that takes a tenth of the search.
    if not content.translate(None, _ORDINARY) and not any(mark in text for mark in _MARKS):
        return text
    problems = _find_conflicts(text, file)
    problems += [
        Problem(
            place,
            f"the character U+{ord(found.group()):04X} cannot stand here as it is; use an escape in double quotes",
            "control_character",
        )
        for place, found in _place_each(_CONTROL.finditer(text), text, file)
    ]
    if problems:
        raise ConfigInvalid(problems, {file: text})
    return text


def explain_syntax(error: MarkedYAMLError, text: str, file: str) -> Problem:
    """Say what an error of libyaml means, and where."""
    place = _place_of(error.problem_mark or error.context_mark, file)
    start = _place_of(error.context_mark, file) if error.context_mark else place
    said = error.problem or "unknown reason"
    lines = text.splitlines()
    line = lines[place.line - 1] if place.line <= len(lines) else ""
    known = _explain_spaces(lines, place, start, said)
    known = known or explain_slip(said, lines, start if said == "could not find expected ':'" else place)
    if known is not None:
        return known
    character = line[place.column - 1 : place.column]
    if said == "found character that cannot start any token" and character in _NO_PLAIN_START:
        named = "a backtick" if character == "`" else f"`{character}`"
        return Problem(place, f"a text that begins with {named} must be in quotes", "yaml_syntax")
    return _explain_said(said, error.context or "", place, start, is_inside=place.line <= len(lines))


def _explain_said(said: str, context: str, place: Place, start: Place, *, is_inside: bool) -> Problem:
    """Translate a complaint. `start` is where what it is about begins; `is_inside`: the file does not end there."""
    if said == "but found another document":
        return Problem(place, "a config file holds one YAML document; this begins a second one", "several_documents")
    if said == "second occurrence":
        message = f"the same anchor stands twice, first in line {start.line}"
        return Problem(place, message, "yaml_syntax")
    if said in _UNFINISHED or said in _MEANINGS:
        if said not in _UNFINISHED:
            return Problem(place, _MEANINGS[said], "yaml_syntax")
        also = place if is_inside and said.startswith("did not find") else None
        return Problem(start, _UNFINISHED[said], "yaml_syntax", also=also)
    # Most often the `*` of `events: [*]`; the place to look at is where the alias, anchor or tag began.
    meaning = next((it for begin, it in _WHILE.items() if context.startswith(begin)), None)
    return Problem(start if meaning else place, meaning or f"this is not YAML: {said}", "yaml_syntax")


def _explain_spaces(lines: list[str], place: Place, start: Place, said: str) -> Problem | None:
    """Say that what stands where YAML has spaces is none."""
    line = lines[place.line - 1] if place.line <= len(lines) else ""
    if "\t" in line[: len(line) - len(line.lstrip())] or "tab character" in said:
        return explain_tab(place, line)
    # Also in the line above: what is no key there makes a text of two lines.
    above = next((it for it in range(min(place.line - 1, len(lines)), 0, -1) if lines[it - 1].strip()), 0)
    numbers = dict.fromkeys(it for it in (place.line, start.line, above) if 1 <= it <= len(lines))
    found = (explain_hidden(lines[number - 1], place.file, number) for number in numbers)
    return next((problem for problem in found if problem is not None), None)


def explain_tab(place: Place, line: str) -> Problem:
    """Say that a line is indented with a tab."""
    tab = Place(file=place.file, line=place.line, column=line.find("\t") + 1 or place.column)
    return Problem(tab, "YAML is indented with spaces; a tab stands here", "tab")


def _find_conflicts(text: str, file: str) -> list[Problem]:
    """Give one problem for each conflict: its first marker, or stray ones if no conflict is opened at all."""
    found = list(_CONFLICT.finditer(text))
    opened = [marker for marker in found if marker.group() == "<<<<<<<"]
    message = "a merge conflict was left here: choose a side and remove the markers"
    return [Problem(place, message, "conflict_marker") for place, _ in _place_each(opened or found[:1], text, file)]


def _place_each(found: Iterable[re.Match[str]], text: str, file: str) -> Iterator[tuple[Place, re.Match[str]]]:
    """Give each of the matches in a text, which come in their order, with its place: lines are counted once."""
    line, counted = 1, 0
    for match in found:
        at = match.start()
        line, counted = line + text.count("\n", counted, at), at
        yield Place(file=file, line=line, column=at - text.rfind("\n", 0, at)), match


def _place_after(before: str, file: str) -> Place:
    line = before.count("\n") + 1
    return Place(file=file, line=line, column=len(before) - before.rfind("\n"))


def _place_of(mark: object, file: str) -> Place:
    return Place(file=file, line=getattr(mark, "line", 0) + 1, column=getattr(mark, "column", 0) + 1)
