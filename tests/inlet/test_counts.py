"""Events by type and result: bounded, whatever producers make up."""

from __future__ import annotations

from hookd.core.counting import OTHER
from hookd.core.model import Event, Refusal, RefusalCode
from hookd.inlet.counts import MOST_TYPES, EventCounts
from hookd.store.base import Conflict, Entry, New, Seen


def make_entries(*types: str) -> list[Entry]:
    return [Entry(event=Event(id=str(number), type=name)) for number, name in enumerate(types)]


def refuse(code: RefusalCode, name: str | None) -> Refusal:
    return Refusal(code=code, message="", type=name)


def test_what_the_store_took_and_what_it_had() -> None:
    counts = EventCounts()
    counts.store(make_entries("a", "a", "b", "b"), [New(), Seen(), New(), Conflict()])
    assert dict(counts.all()) == {("a", "accepted"): 1, ("a", "duplicate"): 1, ("b", "accepted"): 1}


def test_refusals_name_types_that_are_known_and_no_others() -> None:
    counts = EventCounts()
    counts.store(make_entries("a"), [New()])
    for name in ("a", "made.up", None, "b"):
        counts.refuse(refuse(RefusalCode.SCHEMA_INVALID, name), {"b"})
    assert dict(counts.all()) == {
        ("a", "accepted"): 1,
        ("a", "schema_invalid"): 1,
        (OTHER, "schema_invalid"): 2,
        ("b", "schema_invalid"): 1,
    }


def test_types_without_end_share_a_count() -> None:
    counts = EventCounts()
    types = [f"t{number}" for number in range(MOST_TYPES + 50)]
    counts.store(make_entries(*types), [New()] * len(types))
    found = dict(counts.all())
    assert len(found) == MOST_TYPES + 1
    assert found[OTHER, "accepted"] == 50
