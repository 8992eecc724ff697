"""Problems: what is wrong in the files, where, and what would be right.

Rules of this module:

1. A problem is a value with a place. All that can be found are collected and shown at once; nobody edits, runs,
   and edits again to see the next one.
2. A message says what is expected in words of the contract, never a regular expression or the name of a Python type,
   and never what stands in the file: that may be a secret.
3. A code is short and stable, for machines; `CODES` is the only table of them.
4. The source line that is shown with a caret is masked where it looks like a secret, since it ends up in CI logs.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hookd.core.config import Place

#: Every code that a problem may carry, with what it means.
CODES: Final[Mapping[str, str]] = MappingProxyType(
    {
        # reading the files
        "missing_file": "A file that is named is not there.",
        "unreadable_file": "A file is there and cannot be read.",
        "unsettled": "The files kept changing while they were read.",
        "too_large": "A file is larger than a config file may be.",
        # reading YAML
        "not_utf8": "The bytes are not UTF-8.",
        "control_character": "A character stands in the text that YAML does not allow.",
        "conflict_marker": "A merge conflict was left in the file.",
        "yaml_syntax": "This is not YAML.",
        "tab": "A tab indents a line; YAML indents with spaces.",
        "several_documents": "There is a second YAML document in the file.",
        "duplicate_key": "The same key stands twice in one mapping.",
        "key_not_text": "A key is not a text.",
        "tag": "A YAML tag; values are what they look like here.",
        "bad_merge": "`<<` takes a mapping or a list of mappings.",
        "cycle": "A value contains itself.",
        "too_deep": "Values are nested deeper than a config needs.",
        "too_many_values": "The file holds too many values, those that aliases repeat included.",
        "bad_number": "A number that cannot be kept: infinite, not a number, or far too long.",
        # the schema of the config
        "unknown_key": "No such key belongs here.",
        "missing_key": "A key that must be there is not.",
        "wrong_type": "The value is of another type than the key takes.",
        "bad_value": "The value is of the right type and not one that the key takes.",
        "bad_name": "An id or a name has characters or a length that it may not have.",
        "exactly_one": "Exactly one of several keys must be there.",
        "not_supported_yet": "The contract has this key and this release does not do what it asks.",
        # what the parts say about each other
        "duplicate_id": "The same id stands in two places.",
        "unknown_profile": "There is no profile of that name.",
        "profile_cycle": "A profile builds on itself.",
        "unknown_event_type": "A pattern matches no event type of the catalogue.",
        "duplicate_pattern": "The same pattern stands twice in `events`.",
        "undeclared_secret": "A template names a secret that the webhook does not declare.",
        "bad_url": "The URL cannot be delivered to.",
        "bad_header": "The header cannot be sent.",
        "bad_filter": "The filter cannot be compiled.",
        "bad_template": "The template cannot be compiled.",
        "bad_schema": "The JSON Schema cannot be compiled.",
        "bad_secret": "The secret has not the shape that its use asks for.",
        "bad_network": "This is not a network.",
        "bad_move": "`moved` names a webhook that it may not name.",
        "test_failed": "A test that stands in the config does not hold.",
    }
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
        r"(?<![\w/.$-])(?P<it>(?=[A-Za-z+/_-]*[0-9])(?=[0-9+/_-]*[A-Za-z])[A-Za-z0-9+/_-]{20,}={0,2})",
    )
)

#: How like two words are of which one is probably meant (difflib's ratio), and what counts as the beginning of one.
_NEAR = 0.7
_BEGINNING = 3

_SHORT_WORD = 4
_NEAR_SHORT = 0.6

#: A longer line is cut around the caret.
_LINE_WIDTH = 120
#: As much on both sides of the caret is looked at for secrets: more than one is long, and little for a regex.
_MASK_WIDTH = 1000


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    `expected` is the rule in short ("a duration like 10s, 5m or 72h"), `hint` what was probably meant ("timeout"),
    `also` the second place of a problem that has two, such as the first of two equal keys.
    """

    place: Place
    message: str
    code: str
    expected: str | None = None
    hint: str | None = None
    also: Place | None = None

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


class ConfigInvalid(Exception):  # noqa: N818  a fact about the files, not an error class of a library
    """The files do not make a config: all the problems that were found, in the order of the files.

    `sources` holds the text of the files that the problems name, for `render_problems`, as far as it is known.
    """

    def __init__(self, problems: Iterable[Problem], sources: Mapping[str, str] | None = None) -> None:
        self.problems: tuple[Problem, ...] = sort_problems(problems)
        self.sources: Mapping[str, str] = dict(sources or {})
        super().__init__("\n".join(map(str, self.problems)))


def sort_problems(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Give each problem once, ordered by file (files in the order in which they first came), line and column."""
    unique = tuple(dict.fromkeys(problems))
    files = {file: number for number, file in enumerate(dict.fromkeys(problem.place.file for problem in unique))}
    return tuple(sorted(unique, key=lambda it: (files[it.place.file], it.place.line, it.place.column)))


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """Give the known word that `word` most probably stands for, or None if none is near."""
    lowered = {name.lower(): name for name in known}
    meant = word.lower().replace("-", "_")
    # Two letters that changed places are a third of a word like `url`.
    cutoff = _NEAR_SHORT if len(word) <= _SHORT_WORD else _NEAR
    near = difflib.get_close_matches(meant, lowered, n=1, cutoff=cutoff)
    near = near or difflib.get_close_matches(word.lower(), lowered, n=1, cutoff=cutoff)
    near = near or [name for name in lowered if name.startswith(meant) and len(meant) >= _BEGINNING][:1]
    return lowered[near[0]] if near else None


def render_problems(problems: Iterable[Problem], sources: Mapping[str, str]) -> str:
    """Show each problem with its source line and a caret under the column; plain text, each line ended.

    `sources` maps a file, as `Place.file` names it, to its text. Files that are not in it are shown without a line.
    """
    lines_of: dict[str, list[str]] = {}
    parts: list[str] = []
    for problem in problems:
        parts.append(f"{problem}\n")
        parts.append(_render_source(problem.place, sources, lines_of))
        if problem.hint is not None:
            parts.append(f"  did you mean `{problem.hint}`?\n")
        elif problem.code == "unknown_key" and problem.expected is not None:
            parts.append(f"  expected {problem.expected}\n")
        if problem.also is not None:
            parts.append(f"  the other one: {problem.also}\n")
            parts.append(_render_source(problem.also, sources, lines_of))
    return "".join(parts)


def mask_line(line: str) -> str:
    """Give a line of YAML, as long as it was, with stars for what looks like a secret. It errs on masking."""
    for pattern in _SECRETS:
        line = pattern.sub(_put_stars, line)
    return line


def _put_stars(found: re.Match[str]) -> str:
    whole, start = found.group(), found.start()
    return f"{whole[: found.start('it') - start]}{'*' * len(found['it'])}{whole[found.end('it') - start :]}"


def _render_source(place: Place, sources: Mapping[str, str], lines_of: dict[str, list[str]]) -> str:
    if place.file not in sources:
        return ""
    if place.file not in lines_of:
        lines_of[place.file] = sources[place.file].splitlines()
    lines = lines_of[place.file]
    if not 1 <= place.line <= len(lines):
        return ""
    column = max(place.column - 1, 0)
    first = max(0, column - _MASK_WIDTH)
    line = lines[place.line - 1][first : column + _MASK_WIDTH]
    line = mask_line(line.replace("\t", " "))  # the caret would not stand under a tab's column
    start = max(first, column - _LINE_WIDTH // 2)
    margin = " " * len(str(place.line))
    shown = line[start - first :][:_LINE_WIDTH]
    return f"  {place.line} | {shown}\n  {margin} | {' ' * (column - start)}^\n"
