"""Explaining: the reason that is told is the one that routing had, whatever the event and the webhook."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hookd.core.config import Body, Config, EventType, Fault, Place, Revision, Trigger, Webhook
from hookd.core.explaining import Clause, Explained, explain, explain_filter, read_event, show_value
from hookd.core.filters import compile_filter
from hookd.core.model import Event, Refusal, RefusalCode
from hookd.core.paths import ABSENT
from hookd.core.routing import build_index, route
from hookd.core.template import DEFAULT_TEMPLATE, compile_template

if TYPE_CHECKING:
    from collections.abc import Iterator

BODY = Body(template=compile_template(DEFAULT_TEMPLATE))


def make(*patterns: str, spec: object = None, **more: Any) -> Webhook:
    """Give a webhook; a pattern that begins with `-` is an inactive trigger."""
    return Webhook(
        id="w",
        place=Place(file="x.yaml"),
        url="https://x.example",
        triggers=tuple(Trigger(pattern=each.removeprefix("-"), active=not each.startswith("-")) for each in patterns),
        filter=None if spec is None else compile_filter(spec),
        body=BODY,
        **more,
    )


def told(webhook: Webhook, kind: str = "user.new", tenant: str | None = None, data: object = ABSENT) -> Explained:
    return explain(webhook, Event(id="1", type=kind, tenant=tenant), data)


@pytest.mark.parametrize(
    ("webhook", "tenant", "reason", "at", "text"),
    [
        (make("user.new", active=False), None, "inactive", ("active",), "active: false"),
        (make("user.new", tenant="a"), "b", "tenant", ("tenant",), 'tenant: "a"; this event is of "b"'),
        (make("user.new", tenant="a"), None, "tenant", ("tenant",), 'tenant: "a"; this event has none'),
        (
            make("user.new"),
            "a",
            "tenant",
            ("tenant",),
            'no tenant, so it takes only events without one; this event is of "a"',
        ),
        (make("user", "b.*"), None, "events", ("events",), 'no entry of `events` matches "user.new": user, b.*'),
        (make(), None, "events", ("events",), 'no entry of `events` matches "user.new": nothing'),
        (make("a", "-user.*"), None, "events", ("events", 1), "events: user.* is not active"),
        (
            make("*", "-user.*"),
            None,
            "events",
            ("events", 1),
            "events: user.* is not active, which beats the other entries that match",
        ),
    ],
)
def test_what_keeps_an_event_out(
    webhook: Webhook, tenant: str | None, reason: str, at: tuple[object, ...], text: str
) -> None:
    found = told(webhook, tenant=tenant)
    assert (found.reason, found.taken) == (reason, False)
    assert found.clauses == (Clause(at=at, holds=False, text=text),)  # type: ignore[arg-type]  # columns of a table


def test_what_lets_an_event_in_is_told_whole() -> None:
    webhook = make("a", "user.*", tenant="*", spec={"data.n": {"gt": 1, "lt": 9}, "data.c": ["NL"]}, paused=True)
    found = told(webhook, tenant="t", data={"n": 5, "c": "NL"})
    assert found.taken
    assert found.paused
    assert [(clause.at, clause.holds, clause.text) for clause in found.clauses] == [
        (("tenant",), True, 'tenant: "*", so it takes the events of all'),
        (("events", 1), True, "events: user.*"),
        (("filter", "data.n", "gt"), True, "data.n gt 1; the event has 5"),
        (("filter", "data.n", "lt"), True, "data.n lt 9; the event has 5"),
        (("filter", "data.c"), True, 'data.c in ["NL"]; the event has "NL"'),
        (("paused",), True, "paused: true; it is kept and held, not attempted"),
    ]


NESTED = {
    "data.ok": True,
    "any": [{"data.a": 1}, {"data.b": {"gte": 2}, "data.c": {"exists": True}}],
    "not": {"data.d": "x"},
    "all": [{"type": {"prefix": "user"}}, {"subject": None}],
}


def test_the_lines_of_a_filter_that_fail_are_told_with_what_is_inside_of_them() -> None:
    found = told(make("*", spec=NESTED), data={"ok": True, "a": 2, "b": 3, "d": "x"})
    assert found.reason == "filter"
    assert [(clause.at[1:], clause.holds, clause.text) for clause in found.clauses] == [
        (("any",), False, "any of 2: none holds"),
        (("any", 0, "data.a"), False, "data.a eq 1; the event has 2"),
        (("any", 1), False, "branch 2"),
        (("any", 1, "data.b", "gte"), True, "data.b gte 2; the event has 3"),
        (("any", 1, "data.c", "exists"), False, "data.c exists true; there is none in the event"),
        (("not",), False, "not: what is in it holds"),
        (("not", "data.d"), True, 'data.d eq "x"; the event has "x"'),
        (("all",), False, "all of 2: not all of them hold"),
        (("all", 0, "type", "prefix"), True, 'type prefix "user"; the event has "user.new"'),
        (("all", 1, "subject"), False, "subject eq null; there is none in the event"),
    ]


@pytest.mark.parametrize("value", ["y" * 10_000, list(range(10_000)), {"a": "y" * 10_000}])
def test_a_long_value_is_cut(value: object) -> None:
    (clause,) = explain_filter(compile_filter({"data": {"ne": "x"}}), Event(id="1", type="t"), value)
    assert clause.text.endswith("…")
    assert len(clause.text) < 200


def test_no_more_of_a_value_is_written_than_is_shown() -> None:
    class Counting(list[int]):
        seen = 0

        def __iter__(self) -> Iterator[int]:
            for each in super().__iter__():
                Counting.seen += 1
                yield each

    assert show_value(Counting(range(10_000))).startswith("[0, 1, 2")
    assert 0 < Counting.seen < 100


def test_why_a_star_does_not_match_hookds_own() -> None:
    (clause,) = told(make("*"), kind="hookd.delivery.dead").clauses
    assert clause.text.endswith(": *; a prefix must begin with `hookd.` to match hookd's own events")


def test_what_does_not_match_hookds_own_is_not_beaten_there_either() -> None:
    (clause,) = told(make("*", "-hookd.delivery.dead"), kind="hookd.delivery.dead").clauses
    assert clause.text == "events: hookd.delivery.dead is not active"


def test_a_null_is_there() -> None:
    (clause,) = explain_filter(compile_filter({"data.a": None}), Event(id="1", type="t"), {"a": None})
    assert clause == Clause(at=("filter", "data.a"), holds=True, text="data.a eq null; the event has null")


# --------------------------------------------------------------------------- the same as routing

PATTERNS = st.lists(
    st.sampled_from(["*", "user.*", "user.new", "-user.*", "-user.new", "hookd.*", "-*", "u*"]), max_size=4, unique=True
)
VALUES = st.sampled_from([1, 2, "x", None, True, ["x"], {"k": 1}])
LINES: st.SearchStrategy[dict[str, Any]] = st.dictionaries(
    st.sampled_from(["data.a", "data.b", "subject", "type"]),
    st.one_of(
        VALUES.filter(lambda value: not isinstance(value, dict)),
        st.dictionaries(st.sampled_from(["eq", "ne", "in", "contains"]), st.just(["x"]), min_size=1, max_size=2),
        st.just({"exists": False}),
    ),
    min_size=1,
    max_size=3,
)
SPECS = st.recursive(
    LINES,
    lambda inner: st.one_of(
        st.builds(lambda branches: {"any": branches}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda branches: {"all": branches}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda lines: {"not": lines}, inner),
    ),
    max_leaves=6,
)


WEBHOOKS = st.builds(
    lambda patterns, spec, tenant, active: make(*patterns, spec=spec, tenant=tenant, active=active),
    PATTERNS,
    st.none() | SPECS,
    st.sampled_from([None, "a", "*"]),
    st.booleans(),
)
EVENTS = st.builds(
    lambda kind, tenant: Event(id="1", type=kind, tenant=tenant),
    st.sampled_from(["user.new", "user.old", "company", "hookd.delivery.dead"]),
    st.sampled_from([None, "a", "b"]),
)


@settings(max_examples=300, deadline=None)
@given(webhook=WEBHOOKS, event=EVENTS, data=st.just(ABSENT) | st.dictionaries(st.sampled_from(["a", "b"]), VALUES))
def test_what_is_explained_is_what_is_routed(webhook: Webhook, event: Event, data: object) -> None:
    found = explain(webhook, event, data)
    assert found.taken == bool(route(build_index([webhook]), event, data))
    assert found.taken or not found.clauses[0].holds
    assert found.taken == (found.reason == "taken")


# --------------------------------------------------------------------------- letting it in


class NumbersOnly:
    """A validator that wants a number `n`."""

    def fault(self, value: object) -> Fault | None:
        fine = isinstance(value, dict) and isinstance(value.get("n"), int)
        return None if fine else Fault(path="/n", message="must be a number")


CONFIG = Config(
    revision=Revision(hash="0"),
    event_types={"user.new": EventType(name="user.new", validator=NumbersOnly(), require=("subject",))},
    index=build_index([]),
)


@pytest.mark.parametrize(
    ("written", "code", "path"),
    [
        (b'{"type": "user.new"', RefusalCode.MALFORMED_JSON, None),
        (b'{"type": "user.new", "tennant": "x"}', RefusalCode.INVALID_EVENT, "/tennant"),
        (b'{"type": "user.nev"}', RefusalCode.UNKNOWN_TYPE, "/type"),
        (b'{"type": "user.new", "data": {"n": 1}}', RefusalCode.ATTRIBUTE_REQUIRED, "/subject"),
        (b'{"type": "user.new", "subject": "s", "data": {"n": "1"}}', RefusalCode.SCHEMA_INVALID, "/data/n"),
    ],
)
def test_an_event_that_an_inlet_would_refuse_is_refused(written: bytes, code: RefusalCode, path: str | None) -> None:
    found = read_event(CONFIG, written, now=0, new_id=lambda: "made")
    assert isinstance(found, Refusal)
    assert (found.code, found.path) == (code, path)


def test_an_event_comes_in_as_at_an_inlet_and_hookds_own_as_it_makes_them() -> None:
    found = read_event(CONFIG, b'{"type": "user.new", "subject": "s", "data": {"n": 1}}', now=7, new_id=lambda: "made")
    assert not isinstance(found, Refusal)
    assert (found.event.id, found.event.accepted_at, found.event.data) == ("made", 7, b'{"n": 1}')
    own = read_event(CONFIG, b'{"type": "hookd.delivery.dead", "data": {}}', now=7, new_id=lambda: "made")
    assert not isinstance(own, Refusal)
    assert own.event.type == "hookd.delivery.dead"
