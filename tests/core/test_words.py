"""Every word that says why an event was refused, or how something stands, is explained: none can be forgotten."""

from __future__ import annotations

from typing import get_args

from hookd.core.model import RETRYABLE, AttemptOutcome, RefusalCode, State
from hookd.core.refusals import REFUSALS
from hookd.core.states import STATES, Standing, Status


def test_every_code_of_a_refusal_has_a_meaning() -> None:
    assert list(REFUSALS) == list(RefusalCode)
    for meaning in REFUSALS.values():
        assert meaning.means.endswith(".")
        assert meaning.more.endswith(".")


def test_who_reads_of_a_refusal_is_told_what_programs_are() -> None:
    assert {code for code, meaning in REFUSALS.items() if meaning.kind == "later"} == RETRYABLE
    again = {code for code, meaning in REFUSALS.items() if "send it again" in meaning.more}
    never = {code for code, meaning in REFUSALS.items() if "will be refused again" in meaning.more}
    assert again == RETRYABLE
    assert never == set(RefusalCode) - RETRYABLE


def test_every_state_has_a_meaning_of_what_it_is_said_of() -> None:
    words = [(word.of, word.word) for word in STATES]
    assert len(words) == len(set(words))
    told = {of: {word.word for word in STATES if word.of == of} for of, _ in words}
    assert told == {
        "event": set(get_args(Status)),
        "delivery": {*State, "held"},
        "attempt": set(get_args(AttemptOutcome)),
        "webhook": set(get_args(Standing)),
        "breaker": {"open", "closed"},
    }
    for word in STATES:
        assert word.means.endswith(".")
        assert word.more.endswith(".")
