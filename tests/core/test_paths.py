"""The grammar of paths: what is one, what it says, and what a person is told when it is none."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hookd.core.model import Event
from hookd.core.paths import ATTRIBUTES, PathInvalid, event_time, parse_path

GOOD = [
    ("type", "type", (), False),
    ("tenant?", "tenant", (), True),
    ("traceparent", "traceparent", (), False),
    ("data", "data", (), False),
    ("data?", "data", (), True),
    ("data.id", "data", ("id",), False),
    ("data.items[0].sku", "data", ("items", 0, "sku"), False),
    ("data[3]", "data", (3,), False),
    ("data.a[0][12].b?", "data", ("a", 0, 12, "b"), True),
    ('data["odd key"]', "data", ("odd key",), False),
    ('data["a.b"].c["]"]', "data", ("a.b", "c", "]"), False),
    ('data["q\\"u"]["\\u00e9"]', "data", ('q"u', "é"), False),
    ('data[""]', "data", ("",), False),
    ('data["what?"]', "data", ("what?",), False),
    ("data.user-id", "data", ("user-id",), False),
    ("data.0", "data", ("0",), False),
    ("data.größe", "data", ("größe",), False),
    ("extensions", "extensions", (), False),
    ("extensions.comexample", "extensions", ("comexample",), False),
    ("secrets.token", "secrets", ("token",), False),
    ('secrets["my token"]', "secrets", ("my token",), False),
]

BAD = [
    ("", "empty"),
    ("?", "begins with an attribute"),
    (".data", "begins with an attribute"),
    ("typ", "did you mean `type`"),
    ("Tenant", "did you mean `tenant`"),
    ("country", "written `data.country`"),
    ("type.x", "nothing inside it"),
    ("tenant[0]", "nothing inside it"),
    ("secrets", "secrets.NAME"),
    ("secrets.a.b", "secrets.NAME"),
    ("secrets[0]", "secrets.NAME"),
    ("data.", "a name is missing"),
    ("data..x", "odd characters"),
    ("data.a b", "no spaces, functions"),
    (" data", "begins with an attribute"),
    ("data ", "no spaces, functions"),
    ("data[-1]", "counts from 0"),
    ("data[*]", "no wildcards"),
    ("data.*", "odd characters"),
    ("data[]", "counts from 0"),
    ("data[01]", "expected an index"),
    ("data[x]", "expected an index"),
    ("data['x']", "double quotes"),
    ('data["x]', "expected an index"),
    ('data["\\x"]', "JSON string"),
    ("data[0", "expected an index"),
    ("data??", "unexpected `?`"),
    ("data[12345678901]", "expected an index"),
]


@pytest.mark.parametrize(("text", "attribute", "steps", "optional"), GOOD)
def test_path_says(text: str, attribute: str, steps: tuple[str | int, ...], optional: bool) -> None:  # noqa: FBT001  a column of the table
    path = parse_path(text)
    assert (path.attribute, path.steps, path.optional) == (attribute, steps, optional)
    assert str(path) == path.text == text.removesuffix("?")


@pytest.mark.parametrize(("text", "told"), BAD)
def test_what_is_no_path_is_told(text: str, told: str) -> None:
    with pytest.raises(PathInvalid) as caught:
        parse_path(text)
    assert told in str(caught.value)


def test_every_attribute_is_a_path() -> None:
    for attribute in ATTRIBUTES:
        text = "secrets.x" if attribute == "secrets" else attribute
        assert parse_path(text).attribute == attribute


def test_a_long_wrong_path_is_cut_in_the_message() -> None:
    with pytest.raises(PathInvalid) as caught:
        parse_path("data." + "x" * 500 + " ")
    assert len(str(caught.value)) < 200


@given(st.text(st.characters(codec="utf-8")))
@settings(max_examples=100)
def test_every_key_can_be_quoted(key: str) -> None:
    assert parse_path(f"data[{json.dumps(key)}]").steps == (key,)


@given(st.text(st.characters(codec="utf-8", include_characters='.[]"?$'), max_size=20))
@settings(max_examples=200)
def test_any_text_is_a_path_or_told(text: str) -> None:
    try:
        path = parse_path("data" + text)
    except PathInvalid:
        return  # told; anything else that is raised fails the test
    assert path.attribute == "data"
    assert path == parse_path(path.text + ("?" if path.optional else ""))


@pytest.mark.parametrize(
    ("time", "accepted_at", "expected"),
    [
        ("2026-01-01T00:00:00+02:00", 5, "2026-01-01T00:00:00+02:00"),
        (None, 0, "1970-01-01T00:00:00.000Z"),
        (None, 1_700_000_000_007, "2023-11-14T22:13:20.007Z"),
        (None, 1_700_000_000_999, "2023-11-14T22:13:20.999Z"),
    ],
)
def test_event_time(time: str | None, accepted_at: int, expected: str) -> None:
    assert event_time(Event(id="1", type="t", time=time, accepted_at=accepted_at)) == expected
