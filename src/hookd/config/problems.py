"""Problems: what is wrong in the files, where, and what would be right.

Rules of this module:

1. A problem is a value with a place. All that can be found are collected and shown at once; nobody edits, runs,
   and edits again to see the next one.
2. A message says what is expected in words of the contract, never a regular expression or the name of a Python type,
   and never what stands in the file: that may be a secret.
3. A code is short and stable, for machines; `CODES` is the only table of them.
4. An error makes the files no config. A warning is about something that works and is probably not meant; `check`
   tells it, and nothing else depends on it.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal

from hookd.core.config import Place

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

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
        "hidden_character": "A character that looks like a space, or like nothing, stands where it does harm.",
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
        # what the parts say about each other
        "duplicate_id": "The same id stands in two places.",
        "unknown_profile": "There is no profile of that name.",
        "secret_for_tenants": "A profile that tenants build on holds a secret.",
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
        "mass_removal": "A reload would take away most of the webhooks that have pending deliveries, or all there are.",
        "impossible_path": "A path names what the schema of the event type does not allow.",
        "test_failed": "A test that stands in the config does not hold.",
        # warnings: it works, and is probably not meant
        "empty_include": "A pattern of `include` matches no file.",
        "denied_address": "A webhook's URL leads to an address that is denied.",
        "foreign_template": "What looks like a template is none here, and is sent as it stands.",
        "foreign_operator": "What looks like a comparison is a text here, and is compared as it stands.",
        "unread_file": "A file lies beside those that a pattern of `include` matches, and is not read.",
        "unknown_keyword": "What looks like a keyword of JSON Schema is none, and asks for nothing.",
        "never_matches": "A filter asks for a value that the schema of the event type does not allow.",
        "foreign_tenant": "A `test_event` is of a tenant whose events the webhook is not given.",
        "refused_test_event": "A `test_event` is one that would be refused.",
        "no_events": "An active webhook listens to nothing.",
        "inline_secret": "A secret stands in the file itself, and so in its history.",
        "secret_exposed": "Others than hookd can read or change a secret.",
        "secret_unchecked": "A secret cannot be looked at from here.",
        # what `check --environment` looks at
        "secret_unreadable": "A secret cannot be read.",
        "bad_tls": "A certificate, a key or a list of trusted certificates cannot be used.",
        "not_writable": "hookd cannot write where it has to.",
        "unknown_account": "There is no such user or group on this machine.",
        # what `check --live` looks at
        "unreachable": "A receiver cannot be reached.",
    }
)

#: The codes of what is not there, where what is there may well be right.
LACKING: Final = frozenset({"missing_key", "exactly_one"})

#: How like two words are of which one is probably meant (difflib's ratio), and what counts as the beginning of one.
_NEAR = 0.7
_BEGINNING = 3

_SHORT_WORD = 4
_NEAR_SHORT = 0.6


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    `expected` is the rule in short ("a duration like 10s, 5m or 72h"), `hint` what was probably meant ("timeout"),
    `also` the second place of a problem that has two, such as the first of two equal keys. `notes` are further lines
    for a person, such as how a body differs from what a test expects.
    """

    place: Place
    message: str
    code: str
    expected: str | None = None
    hint: str | None = None
    also: Place | None = None
    severity: Literal["error", "warning"] = "error"
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


class ConfigInvalid(Exception):  # noqa: N818  a fact about the files, not an error class of a library
    """The files do not make a config: all the problems that were found, in the order of the files.

    `sources` holds the text of the files that the problems name, for `showing`, as far as it is known.
    """

    def __init__(self, problems: Iterable[Problem], sources: Mapping[str, str] | None = None) -> None:
        self.problems: tuple[Problem, ...] = sort_problems(problems)
        self.sources: Mapping[str, str] = dict(sources or {})
        super().__init__("\n".join(map(str, self.problems)))


def sort_problems(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Give each problem once, ordered by file (files in the order in which they first came), line and column.

    A key that does not belong is one slip at one place, however many webhooks an anchor carries it into.
    """
    slips: dict[object, Problem] = {}
    for problem in problems:
        slips.setdefault((problem.place, problem.severity) if problem.code == "unknown_key" else problem, problem)
    unique = tuple(slips.values())
    files = {file: number for number, file in enumerate(dict.fromkeys(problem.place.file for problem in unique))}
    return tuple(sorted(unique, key=lambda it: (files[it.place.file], it.place.line, it.place.column)))


def describe_problem(problem: Problem) -> dict[str, object]:
    """Give a problem for programs. These fields are a contract: others may come, none goes."""
    return {
        **_describe_place(problem.place),
        "severity": problem.severity,
        "code": problem.code,
        "message": problem.message,
        "expected": problem.expected,
        "hint": problem.hint,
        "also": None if problem.also is None else _describe_place(problem.also),
        "notes": list(problem.notes),
    }


def read_problem(fields: Mapping[str, Any]) -> Problem:
    """Give the problem that `describe_problem` has described."""
    also = fields.get("also")
    return Problem(
        place=_read_place(fields),
        message=fields["message"],
        code=fields["code"],
        expected=fields.get("expected"),
        hint=fields.get("hint"),
        also=None if also is None else _read_place(also),
        severity="warning" if fields.get("severity") == "warning" else "error",
        notes=tuple(fields.get("notes", ())),
    )


def _describe_place(place: Place) -> dict[str, object]:
    return {"file": place.file, "line": place.line, "column": place.column}


def _read_place(fields: Mapping[str, Any]) -> Place:
    return Place(file=fields["file"], line=fields["line"], column=fields["column"])


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """Give the known word that `word` most probably stands for, or None if none is near."""
    lowered = {name.lower(): name for name in known}
    meant = word.lower().replace("-", "_")
    # Two letters that changed places are a third of a word like `url`.
    cutoff = _NEAR_SHORT if len(word) <= _SHORT_WORD else _NEAR
    near = difflib.get_close_matches(meant, lowered, n=1, cutoff=cutoff)
    if not near and meant != word.lower():
        near = difflib.get_close_matches(word.lower(), lowered, n=1, cutoff=cutoff)
    near = near or [name for name in lowered if name.startswith(meant) and len(meant) >= _BEGINNING][:1]
    return lowered[near[0]] if near else None
