"""Problems as people read them: the place, the source line with a caret, what was probably meant.

Rules of this module:

1. What is shown of a source line is masked where it looks like a secret, since it ends up in the logs of a CI.
2. A source line is somebody's text: control characters and those that turn the direction of writing are replaced, so
   that no file can clear a screen, or show something else than what it holds.
3. The caret stands under its character on a terminal: a wide character takes two columns, a combining one none, and a
   tab is shown as four spaces.
4. The first line of a problem is `FILE:LINE:COLUMN: error: MESSAGE [CODE]`, with or without colour: that is what
   editors and `grep` know how to read.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from hookd.config.problems import Problem
    from hookd.core.config import Place

# A path or a name of plain words and short numbers, which is no secret: /run/app2/events, crm-production-4711.
_PLAIN_WORDS: Final = (
    r"(?!/?(?:[a-z]{1,15}[0-9]{0,3}|[0-9]{1,6})(?:[/_-](?:[a-z]{1,15}[0-9]{0,3}|[0-9]{1,6}))+(?![\w+/=-]))"
)

# What is masked in a source line (the group named `it`): signing secrets, user info and query of URLs, the value after
# a telling key, and any long run of letters and digits without a separator.
_SECRETS: Final = tuple(
    re.compile(pattern)
    for pattern in (
        r"whsec_(?P<it>[^\s\"'\],}]+)",
        r"://(?P<it>[^\s\"'/@]+)@",
        # Of whatever scheme, or of none: what is no proper URL is what gets shown.
        r"//[^\s\"'?]*\?(?P<it>[^\"'\],}#]+)",
        r"\?(?P<it>[\w.~%-]+=[^\s\"'\],}]+)",
        (
            r"(?i)[\"']?[\w-]*(?:authorization|bearer|cookie|key|passw(?:or)?d|secret|token)[\"']?\s*:\s+"
            r"(?P<it>\"[^\"]*\"?|'[^']*'?|[^\s\[{\"'&*|>#][^#,\]}]*)"
        ),
        r"(?<![\w/.$-])"
        + _PLAIN_WORDS
        + r"(?P<it>(?=[A-Za-z+/_-]*[0-9])(?=[0-9+/_-]*[A-Za-z])[A-Za-z0-9+/_-]{20,}={0,2})",
    )
)

#: A list of secrets on one line, and its entries: references, which may be seen, and whatever else.
_SECRET_LIST: Final = re.compile(r"(?i)(?P<head>(?:secrets|tokens)[\"']?\s*:\s*\[)(?P<entries>[^\]]*)")
_ENTRY: Final = re.compile(r"\s*(?P<reference>\{[^{}]*\})\s*(?=,|$)|[^,]+")

#: A longer line is cut around the caret, on a wider screen too.
LINE_WIDTH: Final = 120
_LEAST_WIDTH: Final = 40
#: As much on both sides of the caret is looked at for secrets: more than one is long, and little for a regex.
_MASK_WIDTH: Final = 1000

_LINE_END: Final = re.compile(r"\r\n|\r|\n")
_TAB: Final = " " * 4
#: What is underlined: the path of a template, a reference or another short mapping, a quoted text, or what stands up to
#: the next separator.
_WORD: Final = re.compile(
    r"\$\([^()]*\)|\$\{[^{}]*\}|\{[^{}\[\]]*\}|\"[^\"]*\"|'[^']*'|(?:[^\s,:\[\]{}#]|:(?=[^\s,\]}]))+"
)
#: Of these problems the value itself is a secret, or was meant to be one.
_ABOUT_SECRETS: Final = frozenset({"bad_secret", "inline_secret"})
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
#: Joins emoji; the one character of category Cf that a line may need.
_JOINER: Final = "\N{ZERO WIDTH JOINER}"

_ALSO: Final = {
    "duplicate_key": "first defined here",
    "duplicate_id": "first defined here",
    "duplicate_pattern": "first defined here",
    "yaml_syntax": "it breaks off here",
    "bad_merge": "what it takes stands here",
    "cycle": "what it takes stands here",
}


#: Gives a text in a style: strong, bad, warn, good or faint.
Paint: TypeAlias = "Callable[[str, str], str]"


def plain(text: str, _style: str) -> str:
    """Give the text as it is."""
    return text


def render_problems(
    problems: Iterable[Problem], sources: Mapping[str, str], *, paint: Paint = plain, width: int = LINE_WIDTH
) -> str:
    """Show each problem with its source line and a caret under the column; each line ended.

    `sources` maps a file, as `Place.file` names it, to its text. Files that are not in it are shown without a line.
    `width` is that of the screen, in columns.
    """
    masked = _MaskedLines(sources)
    parts: list[str] = []

    def show(place: Place, style: str, *, is_secret: bool = False) -> None:
        found = masked.find(place)
        if found is None:
            return
        number, bar = str(place.line), paint("|", "faint")
        room = min(max(width, _LEAST_WIDTH), LINE_WIDTH) - len(number) - len("   | ")
        shown, lead, caret = _cut_line(*found, room, is_secret=is_secret)
        parts.append(f"  {paint(number, 'faint')} {bar} {shown}\n")
        parts.append(f"  {' ' * len(number)} {bar} {lead}{paint(caret, style)}\n")

    for problem in problems:
        style = "bad" if problem.severity == "error" else "warn"
        parts.append(
            f"{paint(f'{_clean(str(problem.place))}:', 'strong')} {paint(f'{problem.severity}:', style)} "
            f"{_clean(problem.message)} {paint(f'[{problem.code}]', 'faint')}\n"
        )
        show(problem.place, style, is_secret=problem.code in _ABOUT_SECRETS)
        if problem.hint is not None:
            parts.append(f"  {paint('help:', 'good')} did you mean `{_clean(problem.hint)}`?\n")
        elif problem.code == "unknown_key" and problem.expected is not None:
            parts.append(f"  {paint('help:', 'good')} expected {problem.expected}\n")
        if problem.also is not None:
            parts.append(f"  {label_also(problem)}: {_clean(str(problem.also))}\n")
            show(problem.also, "faint")
        parts.extend(f"  {_paint_note(_clean(note), paint)}\n" for note in problem.notes)
    return "".join(parts)


class _MaskedLines:
    """The lines of files with stars for their secrets: looked for once in each line, however many problems it has.

    A long line is looked at in pieces, each with as much as that on both sides.
    """

    def __init__(self, sources: Mapping[str, str]) -> None:
        self._sources = sources
        self._lines: dict[str, list[str]] = {}
        self._masked: dict[tuple[str, int, int], str] = {}

    def find(self, place: Place) -> tuple[str, int] | None:
        """Give what stands around a place, and which character of it is meant, from 0; None: there is no such line."""
        if place.file in self._sources and place.file not in self._lines:
            self._lines[place.file] = _LINE_END.split(self._sources[place.file].removeprefix("\ufeff"))
        lines = self._lines.get(place.file, [])
        if not 1 <= place.line <= len(lines):
            return None
        at = max(place.column - 1, 0)
        piece = at // _MASK_WIDTH
        first = max(0, piece - 1) * _MASK_WIDTH
        key = place.file, place.line, piece
        if key not in self._masked:
            self._masked[key] = mask_line(lines[place.line - 1][first : (piece + 2) * _MASK_WIDTH])
        return self._masked[key], at - first


def label_also(problem: Problem) -> str:
    """Say what the second place of a problem is."""
    return _ALSO.get(problem.code, "the other one")


def mask_line(line: str) -> str:
    """Give a line of YAML, as long as it was, with stars for what looks like a secret. It errs on masking."""
    line = _SECRET_LIST.sub(lambda found: found["head"] + _ENTRY.sub(_mask_entry, found["entries"]), line)
    for pattern in _SECRETS:
        line = pattern.sub(_put_stars, line)
    return line


def columns_of(text: str) -> int:
    """Give how many columns of a terminal a text takes, as it is shown here."""
    return len(text) if _is_narrow(text) else sum(map(_columns, text))


def _mask_entry(found: re.Match[str]) -> str:
    return found.group() if found["reference"] else re.sub(r"\S", "*", found.group())


def _put_stars(found: re.Match[str]) -> str:
    whole, start = found.group(), found.start()
    return f"{whole[: found.start('it') - start]}{'*' * len(found['it'])}{whole[found.end('it') - start :]}"


def _cut_line(line: str, at: int, room: int, *, is_secret: bool) -> tuple[str, str, str]:
    """Give what is shown of a masked line, in at most `room` columns, and the spaces and carets below it.

    `at` is the character that the problem is at; `is_secret`: its word is masked, whatever it looks like.
    """
    word = _WORD.match(line, at)
    end = word.end() if word else min(at + 1, len(line))
    if is_secret and not line.startswith(("{", "["), at):
        line = f"{line[:at]}{'*' * (end - at)}{line[end:]}"
    # From the beginning if the word is in sight then, else with some of what stands before it.
    start, shown = 0, _take_columns(line, room)
    if len(shown) < end:
        start = max(0, at - room // 3)
        shown = _take_columns(line[start:], room)
    caret = "^" * max(1, columns_of(line[at : min(end, start + len(shown))]))
    return _clean(shown), " " * columns_of(line[start:at]), caret


def _take_columns(line: str, room: int) -> str:
    """Give the beginning of a line that fits into `room` columns."""
    if _is_narrow(line):
        return line[:room]
    for index, character in enumerate(line):
        room -= _columns(character)
        if room < 0:
            return line[:index]
    return line


def _is_narrow(text: str) -> bool:
    """Whether each character of a text takes one column: told at a glance, as nearly all are."""
    return text.isascii() and "\t" not in text


def _columns(character: str) -> int:
    if character == "\t":
        return len(_TAB)
    if character == _JOINER or unicodedata.category(character) in {"Mn", "Me"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1


def _clean(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    return "".join(_TAB if each == "\t" else _visible(each) for each in text)


def _visible(character: str) -> str:
    hidden = character != _JOINER and unicodedata.category(character) in _INVISIBLE
    return "\N{REPLACEMENT CHARACTER}" if hidden else character


def _paint_note(note: str, paint: Paint) -> str:
    """Colour a line of a difference between two bodies by its first character."""
    return paint(note, {"-": "bad", "+": "good"}.get(note[:1], "faint"))
