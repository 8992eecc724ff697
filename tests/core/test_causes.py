"""Every cause is explained, once, and what is said of what was sent is what the senders say."""

from __future__ import annotations

from hookd.config.problems import CODES
from hookd.core.breaker import OURS
from hookd.core.causes import CAUSES
from hookd.core.model import Cause


def test_every_cause_has_a_meaning() -> None:
    assert list(CAUSES) == list(Cause)
    for meaning in CAUSES.values():
        assert meaning.kind in {"rejected", "not_sent", "unknown", "dead", "held"}
        assert meaning.means.endswith(".")
        assert meaning.more.endswith(".")


def test_the_kinds_stand_together() -> None:
    kinds = [meaning.kind for meaning in CAUSES.values()]
    assert sorted(kinds, key=["rejected", "not_sent", "unknown", "dead", "held"].index) == kinds


def test_a_name_that_is_a_code_of_a_check_too_means_the_same_there() -> None:
    assert set(CAUSES) & set(CODES) == {Cause.SECRET_UNREADABLE}


def test_the_endpoint_is_not_blamed_for_what_is_ours() -> None:
    said = {cause for cause, meaning in CAUSES.items() if "not blamed" in meaning.more}
    assert said == OURS - {Cause.INTERNAL}
