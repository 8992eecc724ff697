"""The filter language: a table of every operator against every kind of value, and what a person is told."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hookd.core.filters import FilterInvalid, compile_filter
from hookd.core.jsonvalues import same_json
from hookd.core.model import Event
from hookd.core.paths import ABSENT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hookd.core.filters import Clause
    from hookd.core.paths import Steps

EVENT = Event(
    id="evt_1",
    type="user.updated",
    source="/crm",
    tenant="acme",
    traceparent="00-aa-bb-01",
    extensions=b'{"region":"eu","level":3}',
    data=b"not looked at: the parsed value is",
    accepted_at=1_700_000_000_000,
)
DATA: dict[str, Any] = {
    "s": "hello",
    "empty": "",
    "n": 5,
    "f": 5.5,
    "one": 1,
    "zero": 0,
    "yes": True,
    "no": False,
    "null": None,
    "list": ["a", 1, None, {"k": [1]}, "hello"],
    "none": [],
    "obj": {"k": 1, "deep": {"x": [10, {"y": "z"}]}},
    "odd key": "o",
    "a.b": "dotted",
    "at": "2026-03-01T10:00:00Z",
    "big": 2**53 + 1,
    "ones": [True, 1.0],
}

HOLDS: list[tuple[dict[str, Any], bool]] = [
    ({}, True),
    # equal, and no conversion
    ({"data.s": "hello"}, True),
    ({"data.s": "Hello"}, False),
    ({"data.n": 5}, True),
    ({"data.n": 5.0}, True),
    ({"data.n": "5"}, False),
    ({"data.s": 5}, False),
    ({"data.one": True}, False),
    ({"data.yes": 1}, False),
    ({"data.yes": True}, True),
    ({"data.zero": False}, False),
    ({"data.no": False}, True),
    ({"data.no": 0}, False),
    ({"data.empty": ""}, True),
    ({"data.empty": None}, False),
    ({"data.null": None}, True),
    ({"data.null": False}, False),
    ({"data.missing": None}, False),
    ({"data.s": None}, False),
    ({"data.big": 2**53}, False),
    ({"data.big": float(2**53)}, False),
    ({"data.big": 2**53 + 1}, True),
    ({"data.obj": {"eq": {"deep": {"x": [10, {"y": "z"}]}, "k": 1.0}}}, True),
    ({"data.obj": {"eq": {"deep": {"x": [10, {"y": "z"}]}, "k": True}}}, False),
    ({"data.obj": {"eq": {"k": 1}}}, False),
    ({"data.ones": {"eq": [True, 1]}}, True),
    ({"data.ones": {"eq": [1, 1]}}, False),
    ({"data.ones": {"eq": [True]}}, False),
    ({"data.none": {"eq": []}}, True),
    ({"data.none": {"eq": {}}}, False),
    ({"data.list": {"eq": "a"}}, False),
    # ne: there, and not equal
    ({"data.s": {"ne": "x"}}, True),
    ({"data.s": {"ne": "hello"}}, False),
    ({"data.s": {"ne": 5}}, True),
    ({"data.null": {"ne": "x"}}, True),
    ({"data.missing": {"ne": "x"}}, False),
    ({"tenant": {"ne": "other"}}, True),
    ({"subject": {"ne": "other"}}, False),
    # any of these
    ({"data.s": ["x", "hello"]}, True),
    ({"data.s": {"in": ["x", "hello"]}}, True),
    ({"data.s": ["x", 5]}, False),
    ({"data.n": ["5", 5]}, True),
    ({"data.yes": [1, "true"]}, False),
    ({"data.null": [None]}, True),
    ({"data.missing": [None]}, False),
    ({"data.list": ["a"]}, False),
    ({"data.none": [[]]}, True),
    # order: numbers with numbers, texts with texts
    ({"data.n": {"gt": 5}}, False),
    ({"data.n": {"gte": 5}}, True),
    ({"data.n": {"lt": 5.01}}, True),
    ({"data.n": {"lte": 4}}, False),
    ({"data.f": {"gt": 5, "lt": 6}}, True),
    ({"data.f": {"gt": 5, "lt": 5.5}}, False),
    ({"data.s": {"gt": 1}}, False),
    ({"data.n": {"gt": "1"}}, False),
    ({"data.yes": {"gte": 0}}, False),
    ({"data.null": {"lte": 0}}, False),
    ({"data.list": {"gt": 0}}, False),
    ({"data.missing": {"lt": 9}}, False),
    ({"data.big": {"gt": 2**53}}, True),
    ({"data.at": {"gte": "2026-03-01T00:00:00Z", "lt": "2026-03-02"}}, True),
    ({"data.at": {"gt": "2026-03-01T10:00:00Z"}}, False),
    # texts
    ({"data.s": {"prefix": "he"}}, True),
    ({"data.s": {"prefix": "lo"}}, False),
    ({"data.s": {"suffix": "lo"}}, True),
    ({"data.s": {"suffix": "he"}}, False),
    ({"data.n": {"prefix": "5"}}, False),
    ({"data.list": {"prefix": "a"}}, False),
    ({"data.missing": {"prefix": ""}}, False),
    # contains
    ({"data.list": {"contains": "a"}}, True),
    ({"data.list": {"contains": "hell"}}, False),
    ({"data.list": {"contains": 1.0}}, True),
    ({"data.list": {"contains": True}}, False),
    ({"data.list": {"contains": None}}, True),
    ({"data.list": {"contains": {"k": [1]}}}, True),
    ({"data.list": {"contains": {"k": [True]}}}, False),
    ({"data.none": {"contains": "a"}}, False),
    ({"data.s": {"contains": "ell"}}, True),
    ({"data.s": {"contains": "x"}}, False),
    ({"data.s": {"contains": 1}}, False),
    ({"data.obj": {"contains": "k"}}, False),
    # regex: RE2, unanchored
    ({"data.s": {"regex": "ell"}}, True),
    ({"data.s": {"regex": "^ell"}}, False),
    ({"data.s": {"regex": "^h.*o$"}}, True),
    ({"data.s": {"regex": "(?i)HELLO"}}, True),
    ({"data.empty": {"regex": "^$"}}, True),
    ({"data.n": {"regex": "5"}}, False),
    ({"data.list": {"regex": "a"}}, False),
    ({"data.missing": {"regex": ""}}, False),
    # exists
    ({"data.s": {"exists": True}}, True),
    ({"data.s": {"exists": False}}, False),
    ({"data.null": {"exists": True}}, True),
    ({"data.missing": {"exists": True}}, False),
    ({"data.missing": {"exists": False}}, True),
    ({"data.s.x": {"exists": False}}, True),
    ({"subject": {"exists": False}}, True),
    ({"tenant": {"exists": True}}, True),
    ({"data.missing": {"exists": False, "eq": 1}}, False),
    # paths
    ({"data.obj.deep.x[1].y": "z"}, True),
    ({"data.obj.deep.x[2].y": {"exists": False}}, True),
    ({"data.obj[0]": {"exists": False}}, True),
    ({"data.list.0": {"exists": False}}, True),
    ({"data.list[0]": "a"}, True),
    ({'data["odd key"]': "o"}, True),
    ({'data["a.b"]': "dotted"}, True),
    ({"data.a.b": {"exists": False}}, True),
    ({"data": {"exists": True}}, True),
    ({"type": "user.updated"}, True),
    ({"type": {"prefix": "user."}}, True),
    ({"id": "evt_1", "source": "/crm", "traceparent": {"prefix": "00-"}}, True),
    ({"partitionkey": {"exists": True}}, False),
    ({"time": "2023-11-14T22:13:20.000Z"}, True),
    ({"time": {"exists": True}}, True),
    ({"extensions.region": "eu"}, True),
    ({"extensions.level": {"gte": 3}}, True),
    ({"extensions.other": {"exists": False}}, True),
    # several lines: all
    ({"data.s": "hello", "data.n": 5}, True),
    ({"data.s": "hello", "data.n": 6}, False),
    # any, all, not
    ({"any": [{"data.n": 6}, {"data.s": "hello"}]}, True),
    ({"any": [{"data.n": 6}, {"data.s": "x"}]}, False),
    ({"any": [{"data.n": 5, "data.s": "x"}]}, False),
    ({"all": [{"data.n": 5}, {"data.s": "hello"}]}, True),
    ({"all": [{"data.n": 5}, {"data.s": "x"}]}, False),
    ({"not": {"data.n": 6}}, True),
    ({"not": {"data.n": 5}}, False),
    ({"not": {"data.n": 5, "data.s": "x"}}, True),
    ({"not": {"data.missing": 5}}, True),
    ({"not": {"data.missing": {"ne": 5}}}, True),
    ({"not": {"not": {"data.n": 5}}}, True),
    ({"data.n": 5, "any": [{"not": {"data.s": "hello"}}, {"all": [{"data.yes": True}]}]}, True),
    ({"data.n": 4, "any": [{"data.s": "hello"}]}, False),
]


@pytest.mark.parametrize(("spec", "expected"), HOLDS)
def test_filter(spec: dict[str, Any], expected: bool) -> None:  # noqa: FBT001  a column of the table
    assert compile_filter(spec).matches(EVENT, DATA) is expected
    assert compile_filter({"not": spec} if spec else {"not": {"type": {"exists": True}}}).matches(EVENT, DATA) is not (
        expected
    )


@pytest.mark.parametrize(
    ("data", "spec", "expected"),
    [
        (ABSENT, {"data": {"exists": False}}, True),
        (ABSENT, {"data.x": {"exists": False}}, True),
        (ABSENT, {"data": None}, False),
        (ABSENT, {"data[0].x": {"ne": 1}}, False),
        (None, {"data": {"exists": True}}, True),
        (None, {"data": None}, True),
        ("text", {"data": {"contains": "ex"}}, True),
        (["a"], {"data": {"contains": "a"}}, True),
        (["a"], {"data[0]": "a"}, True),
        (7, {"data": {"gt": 6}}, True),
        (7, {"data.x": 7}, False),
    ],
)
def test_data_of_any_kind_or_none(data: object, spec: dict[str, Any], expected: bool) -> None:  # noqa: FBT001  a column
    assert compile_filter(spec).matches(EVENT, data) is expected


INVALID: list[tuple[object, list[tuple[tuple[str | int, ...], str]]]] = [
    (None, [((), "expected a filter")]),
    (["data.x"], [((), "expected a filter")]),
    ({"tennant": "x"}, [(("tennant",), "did you mean `tenant`")]),
    ({"country": "NL"}, [(("country",), "written `data.country`")]),
    ({"nott": {"eq": 1}}, [(("nott",), "did you mean `not`")]),
    ({"secrets.x": "y"}, [(("secrets.x",), "secrets")]),
    ({"data.x?": "y"}, [(("data.x?",), "`exists`")]),
    ({"data.x": {"gtt": 1}}, [(("data.x", "gtt"), "did you mean `gt")]),
    ({"data": {"country": "NL"}}, [(("data", "country"), "`data.country`")]),
    ({"data.x": {}}, [(("data.x",), "no operator")]),
    ({"data.x": []}, [(("data.x",), "matches nothing")]),
    ({"data.x": {"in": []}}, [(("data.x", "in"), "matches nothing")]),
    ({"data.x": {"in": "a"}}, [(("data.x", "in"), "list")]),
    ({"data.x": {"gt": True}}, [(("data.x", "gt"), "number or a text")]),
    ({"data.x": {"lt": None}}, [(("data.x", "lt"), "number or a text")]),
    ({"data.x": {"prefix": 1}}, [(("data.x", "prefix"), "expected a text")]),
    ({"data.x": {"suffix": None}}, [(("data.x", "suffix"), "expected a text")]),
    ({"data.x": {"regex": 1}}, [(("data.x", "regex"), "expected a text")]),
    ({"data.x": {"regex": "(?=a)"}}, [(("data.x", "regex"), "RE2 has no look-around")]),
    ({"data.x": {"regex": "(a"}}, [(("data.x", "regex"), "missing )")]),
    ({"data.x": {"exists": "yes"}}, [(("data.x", "exists"), "true or false")]),
    ({"data.x": {"exists": 1}}, [(("data.x", "exists"), "true or false")]),
    ({"data.x": math.nan}, [(("data.x",), "no such number")]),
    ({"data.x": ["a", math.inf]}, [(("data.x", 1), "no such number")]),
    ({"data.x": {"eq": {"k": [object()]}}}, [(("data.x", "eq", "k", 0), "expected a JSON value")]),
    ({"data.x": {"eq": "\ud800"}}, [(("data.x", "eq"), "not Unicode")]),
    ({1: "x"}, [((), "quote it")]),
    ({"data.x": {1: "x"}}, [(("data.x",), "quote it")]),
    ({"any": {"data.x": 1}}, [(("any",), "list of filters")]),
    ({"any": []}, [(("any",), "no filter")]),
    ({"all": []}, [(("all",), "no filter")]),
    ({"not": {}}, [(("not",), "says nothing")]),
    ({"not": [{"data.x": 1}]}, [(("not",), "expected a filter")]),
    ({"any": [{}, "x"]}, [(("any", 0), "says nothing"), (("any", 1), "expected a filter")]),
    (
        {"typ": "x", "data.x": {"gtt": 1, "regex": "("}, "any": [{"not": {"data..y": 1}}]},
        [
            (("typ",), "did you mean `type`"),
            (("data.x", "gtt"), "unknown operator"),
            (("data.x", "regex"), "RE2"),
            (("any", 0, "not", "data..y"), "odd characters"),
        ],
    ),
]


@pytest.mark.parametrize(("spec", "expected"), INVALID)
def test_all_problems_are_told_with_their_places(
    spec: object, expected: list[tuple[tuple[str | int, ...], str]]
) -> None:
    with pytest.raises(FilterInvalid) as caught:
        compile_filter(spec)
    problems = caught.value.problems
    assert [at for at, _ in problems] == [at for at, _ in expected]
    for (_, message), (_, told) in zip(problems, expected, strict=True):
        assert told in message
        assert message in str(caught.value)


def test_an_invalid_regex_writes_nothing_to_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(FilterInvalid):
        compile_filter({"data.x": {"regex": "(?<bad"}})
    assert capfd.readouterr().err == ""


def test_regex_is_linear_on_what_makes_others_explode() -> None:
    pattern = compile_filter({"data.x": {"regex": "^(a+)+$"}})
    assert not pattern.matches(EVENT, {"x": "a" * 50_000 + "b"})


def test_regex_sees_characters_and_not_bytes() -> None:
    assert compile_filter({"data.x": {"regex": "^.é.$"}}).matches(EVENT, {"x": "aé€"})


def test_frozen_mappings_and_later_changes_do_not_matter() -> None:
    wanted = ["a"]
    compiled = compile_filter(MappingProxyType({"data.x": MappingProxyType({"eq": wanted})}))
    wanted.append("b")
    assert compiled.matches(EVENT, {"x": ["a"]})


def ask_all(clauses: Sequence[Clause]) -> list[tuple[Steps, bool]]:
    """Give of every clause, parts after what they are parts of, where it stands and whether it holds."""
    return [told for clause in clauses for told in [(clause.at, clause.matches(EVENT, DATA)), *ask_all(clause.parts)]]


def test_every_clause_can_be_asked_and_stands_in_the_order_of_the_file() -> None:
    compiled = compile_filter(
        {
            "data.s": {"regex": "^h", "ne": "hello"},
            "any": [{"data.n": 6}, {"data.n": 5, "type": "x"}],
            "not": {"data.missing": 1},
        }
    )
    assert ask_all(compiled.clauses) == [
        (("data.s", "regex"), True),
        (("data.s", "ne"), False),
        (("any",), False),
        (("any", 0), False),
        (("any", 0, "data.n"), False),
        (("any", 1), False),
        (("any", 1, "data.n"), True),
        (("any", 1, "type"), False),
        (("not",), True),
        (("not", "data.missing"), False),
    ]
    assert compiled.matches(EVENT, DATA) is False


def test_a_filter_shows_nothing_of_itself_and_can_be_a_key() -> None:
    compiled = compile_filter({"data.s": "hello"})
    assert "hello" not in repr(compiled)
    assert {compiled: 1}[compiled] == 1


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
    max_leaves=6,
)


def typed(value: object) -> object:
    """Give a form of a JSON value that Python itself compares as JSON does."""
    if isinstance(value, bool):
        return ("bool", value)
    if isinstance(value, dict):
        return {key: typed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [typed(item) for item in value]
    return value


@given(JSON_VALUES, JSON_VALUES)
@settings(max_examples=200)
def test_equality_is_that_of_json(one: object, other: object) -> None:
    same = typed(one) == typed(other)
    assert same_json(one, other) is same
    assert same_json(one, one)
    for spec in ({"data.x": {"eq": other}}, {"data.x": {"in": [other]}}):
        assert compile_filter(spec).matches(EVENT, {"x": one}) is same
    assert compile_filter({"data.x": {"contains": other}}).matches(EVENT, {"x": [one]}) is same
    assert compile_filter({"data.x": {"ne": other}}).matches(EVENT, {"x": one}) is not same


@given(JSON_VALUES)
@settings(max_examples=200)
def test_no_value_makes_an_operator_raise(value: object) -> None:
    for spec in (
        {"gt": 1},
        {"lte": "a"},
        {"prefix": "a"},
        {"suffix": "a"},
        {"contains": "a"},
        {"regex": "a"},
        {"in": ["a", 1, None, [], {}]},
    ):
        assert compile_filter({"data": spec}).matches(EVENT, value) in (True, False)
        assert compile_filter({"data.a": spec}).matches(EVENT, value) in (True, False)
