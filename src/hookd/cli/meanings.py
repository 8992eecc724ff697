"""Every word of hookd's that `hookd explain` explains, whatever it is said of: one table of them all.

Rule: a meaning stands beside what it explains (a code of a check in `config`, a cause in `core`, …), once; here they
are only brought together. A word may be said of several things, and then has several meanings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

Kind: TypeAlias = Literal["code", "refusal", "answer", "cause", "state", "line", "ending"]

#: What each kind is, over its part of the list and over one of several meanings.
TITLES: Final[dict[Kind, str]] = {
    "code": "Of a config (`hookd check`)",
    "refusal": "Of an event that was refused (`code` of the reply)",
    "answer": "Of an answer over HTTP (`code` of the problem document)",
    "cause": "Of an attempt or a delivery (`cause` in the log and in `hookd attempts`)",
    "state": "Of how something stands (`hookd status`, the log)",
    "line": "Of a line of the log (its `msg`)",
    "ending": "Of a verb that failed (`error.code` with --output json)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A word of one kind. `beside` is what else is known of it, under the name `column`.

    `more` is empty for the codes of a check, which have examples instead.
    """

    kind: Kind
    word: str
    means: str
    more: str = ""
    column: str | None = None
    beside: object = None


def read_entries() -> list[Entry]:
    """Give all entries, kind by kind."""
    return [*_codes(), *_refusals(), *_answers(), *_causes(), *_states(), *_lines(), *_endings()]


def _codes() -> Iterator[Entry]:
    from hookd.config.problems import CODES

    for word, means in CODES.items():
        yield Entry(kind="code", word=word, means=means)


def _refusals() -> Iterator[Entry]:
    from hookd.core.model import RETRYABLE
    from hookd.core.refusals import REFUSALS

    for code, meaning in REFUSALS.items():
        again = code in RETRYABLE
        yield Entry(
            kind="refusal", word=code.value, means=meaning.means, more=meaning.more, column="retry", beside=again
        )


def _answers() -> Iterator[Entry]:
    from hookd.control.codes import API_CODES
    from hookd.web.answers import ANSWERS
    from hookd.web.problem import code_of

    for status, (means, more) in ANSWERS.items():
        yield Entry(kind="answer", word=code_of(status), means=means, more=more, column="status", beside=status)
    for word, (means, more) in API_CODES.items():
        yield Entry(kind="answer", word=word, means=means, more=more, column="status", beside=None)


def _causes() -> Iterator[Entry]:
    from hookd.core.causes import CAUSES

    for cause, meaning in CAUSES.items():
        yield Entry(
            kind="cause",
            word=cause.value,
            means=meaning.means,
            more=meaning.more,
            column="outcome",
            beside=meaning.kind,
        )


def _states() -> Iterator[Entry]:
    from hookd.core.states import STATES

    for word in STATES:
        yield Entry(kind="state", word=word.word, means=word.means, more=word.more, column="of", beside=word.of)


def _lines() -> Iterator[Entry]:
    from hookd.cli.loglines import read_lines

    for word, means, more in read_lines():
        yield Entry(kind="line", word=word, means=means, more=more)


def _endings() -> Iterator[Entry]:
    from hookd.cli.errors import ENDINGS

    for code, (means, more) in ENDINGS.items():
        yield Entry(kind="ending", word=code.word, means=means, more=more, column="exit", beside=int(code))
