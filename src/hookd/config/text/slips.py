"""What a person probably did where YAML breaks off: often a line or more above the one that a parser complains of.

Rules of this module:

1. A guess is told only where the text bears it out, and in its place then; else the parser's own complaint stands.
2. What is looked at are lines, since the parser has no tokens of what it does not take: the line complained of, the
   nearest one above it that says something, and, for quotes, the one in which they open.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hookd.config.problems import Problem
from hookd.core.config import Place

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: The indentation, and the dashes of entries.
_LEAD: Final = re.compile(r"[ \t]*(?:- +)*")
#: A key of one word with its value right behind the colon. `//` is a URL's.
_GLUED: Final = re.compile(r"[ \t]*(?:- +)*[A-Za-z_][\w.-]*:(?=[^\s:/]|/[^/])")
_DASHED: Final = re.compile(r"[ \t]*-(?=[^\s-])")
_COLON: Final = re.compile(r":(?: |$)")
_BLOCK_HEAD: Final = re.compile(r"[|>][-+0-9]{0,2}[ \t]*(?:#.*)?$")
_KEY_AND_VALUE: Final = re.compile(r"(?P<key>[^\s#'\"\[{&*!|>%@][^:#]*):[ \t]+[^\s#&|>]")
_OPENING: Final = re.compile(r"[ \t]*(?:- +)*(?:[^\s'\"#\[{][^'\"#]*?:[ \t]+)?(?P<quote>['\"])")
_CLOSING: Final = {'"': re.compile(r'(?:[^"\\]|\\.)*?"'), "'": re.compile(r"(?:[^']|'')*?'(?!')")}

_COMMENT_INSIDE: Final = re.compile(r"[\[{,][ \t]*#")

_NO_SPACE: Final = "behind this `:` belongs a space"
_NO_COLON: Final = "this should be a key, and has no `:` behind it"


@dataclass(frozen=True, slots=True)
class _Spot:
    """Where YAML breaks off: the lines of the file, and the place (from 1)."""

    lines: Sequence[str]
    file: str
    line: int
    column: int

    @property
    def text(self) -> str:
        return self.lines[self.line - 1] if 1 <= self.line <= len(self.lines) else ""

    def above(self) -> int:
        """Give the number of the nearest line above that says something; 0: there is none."""
        numbers = range(min(self.line - 1, len(self.lines)), 0, -1)
        return next((it for it in numbers if self.lines[it - 1].strip() and self.lines[it - 1].lstrip()[0] != "#"), 0)

    def problem(self, number: int, index: int, message: str, also: Place | None = None) -> Problem:
        place = Place(file=self.file, line=number, column=index + 1)
        return Problem(place, message, "yaml_syntax", also=also)


def explain_slip(said: str, lines: Sequence[str], place: Place) -> Problem | None:
    """Give what probably went wrong where libyaml said `said` at `place`; None if nothing is known."""
    spot = _Spot(lines, place.file, place.line, place.column)
    quotes = _find_open_quotes(spot)
    if quotes is not None:
        return quotes
    explain = _EXPLAINERS.get(said)
    return None if explain is None else explain(spot)


def _find_open_quotes(spot: _Spot) -> Problem | None:
    """Find quotes that run into the line at fault: what comes behind them there was meant to be inside others."""
    number = 1
    while number < min(spot.line, len(spot.lines) + 1):
        opening = _OPENING.match(spot.lines[number - 1])
        if opening is None:
            number += 1
            continue
        closing, rest, end = _CLOSING[opening["quote"]], spot.lines[number - 1][opening.end() :], number
        while (closed := closing.match(rest)) is None:
            if end >= min(spot.line, len(spot.lines), number + _MOST_LINES):
                return None
            end += 1
            rest = f"{rest}\n{spot.lines[end - 1]}"
        if end > number and end == spot.line and rest[closed.end() :].strip():
            message = f"the quotes that open here are closed in line {end} only; their end is probably missing here"
            also = Place(file=spot.file, line=end, column=len(closed.group().rpartition("\n")[2]))
            return spot.problem(number, opening.end() - 1, message, also)
        number = end + 1
    return None


def _explain_colon(spot: _Spot) -> Problem | None:
    """Of a colon where none is expected: the line above is none of a mapping, or this one is indented too far."""
    first = _COLON.search(spot.text)
    above = spot.above()
    if first is None or first.start() + 1 != spot.column or not above:
        return None
    line, lead, lead_above = spot.lines[above - 1], _indent(spot.text), _indent(spot.lines[above - 1])
    if lead == lead_above and not _COLON.search(line) and not line.rstrip().endswith(_ENDS):
        return _explain_line(spot, above) or spot.problem(above, lead_above, _NO_COLON)
    pair = _KEY_AND_VALUE.match(line, lead_above)
    if lead > lead_above and pair is not None:
        message = (
            f"this is indented further than `{pair['key'].strip()[:_SHOWN]}` above, which has its value already:"
            " give both the same indentation"
        )
        return spot.problem(spot.line, lead, message)
    return None


def _explain_line(spot: _Spot, number: int | None = None) -> Problem | None:
    """Of a line that should be a key and is none, or an entry and is none."""
    number = number or spot.line
    line = spot.lines[number - 1] if number <= len(spot.lines) else ""
    lead = _indent(line)
    above = _Spot(spot.lines, spot.file, number, 1).above()
    line_above = spot.lines[above - 1] if above else ""
    at = lead
    if glued := _GLUED.match(line):
        at, message = glued.end() - 1, _NO_SPACE
    elif dashed := _DASHED.match(line):
        at, message = dashed.end() - 1, "behind the `-` of an entry belongs a space"
    elif line.startswith(("//", "/*"), lead):
        message = "this is no comment: a comment begins with `#`"
    elif line_above.startswith(f"{line[:lead]}- ") and line[:lead].isspace():
        message = "this is no key and no entry: an entry of the list above begins with `- `"
    elif _BLOCK_HEAD.search(line_above):
        message = "the lines of a text behind `|` or `>` are indented further than its key"
    elif "=" in line:
        message = "this is no key with its value; they are written `key: value`"
    else:
        return None
    return spot.problem(number, at, message)


def _explain_no_key(spot: _Spot) -> Problem | None:
    """Of something where a key is expected: its indentation fits nothing, or what stands before it has ended."""
    before, at = spot.text[: spot.column - 1].rstrip(), spot.text[spot.column - 1 : spot.column]
    if at in {"}", "]"}:
        return spot.problem(spot.line, spot.column - 1, f"nothing is open here that this `{at}` could close")
    levels = [] if before else _find_levels(spot)
    if len(levels) > 1 and spot.column - 1 not in levels:
        message = (
            f"this line is indented by {spot.column - 1}, and what stands above by {levels[0]} and {levels[1]}: "
            "give it one of these"
        )
        return spot.problem(spot.line, spot.column - 1, message)
    if before.endswith("'"):
        message = "the quotes end before this; within single quotes an apostrophe is written twice: ''"
        return spot.problem(spot.line, spot.column - 1, message)
    if before.endswith('"') and not before.endswith('\\"'):
        message = 'the quotes end before this; within double quotes a quote is written \\"'
        return spot.problem(spot.line, spot.column - 1, message)
    return None


def _explain_start(spot: _Spot) -> Problem | None:
    """Of a block text inside of brackets, most often since one further up is not closed."""
    at = spot.text[spot.column - 1 : spot.column]
    if at not in {"|", ">"}:
        return None
    message = f"`{at}` cannot stand inside of brackets: put the text in quotes, or close the bracket above"
    return spot.problem(spot.line, spot.column - 1, message)


def _explain_end(spot: _Spot) -> Problem | None:
    """Of a file that ends where a value is expected: its last bracket is open."""
    if spot.text.strip():
        return None
    last = spot.above()
    line = spot.lines[last - 1].rstrip() if last else ""
    if comment := _COMMENT_INSIDE.search(line):
        return spot.problem(last, comment.end() - 1, "a `#` begins a comment here: put the text in quotes")
    if line.endswith(("[", "{")):
        return spot.problem(last, len(line) - 1, f"this `{line[-1]}` is never closed")
    if line.endswith(","):
        return spot.problem(last, len(line) - 1, "nothing follows this comma, and the list or mapping is never closed")
    return None


def _find_levels(spot: _Spot) -> list[int]:
    """Give the indentations between which a line falls: of the nearest above it that is deeper, and what holds that."""
    levels: list[int] = []
    number = spot.line
    while number := _Spot(spot.lines, spot.file, number, 1).above():
        line = spot.lines[number - 1]
        level = len(line) - len(line.lstrip(" "))
        if not levels or level < levels[-1]:
            levels.append(level)
        if level < spot.column - 1:
            break
    return levels[-2:]


def _indent(line: str) -> int:
    match = _LEAD.match(line)
    return 0 if match is None else match.end()


#: As much of a key is repeated.
_SHOWN: Final = 64
#: As many lines are looked at for the end of quotes.
_MOST_LINES: Final = 100
#: What the last line of a value of several lines ends with.
_ENDS: Final = ("]", "}", ",", "'", '"')
_EXPLAINERS: Final[dict[str, Callable[[_Spot], Problem | None]]] = {
    "mapping values are not allowed in this context": _explain_colon,
    "could not find expected ':'": _explain_line,
    "did not find expected key": _explain_no_key,
    "did not find expected node content": _explain_end,
    "found character that cannot start any token": _explain_start,
}
