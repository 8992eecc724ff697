"""Strict JSON: what is read has one meaning, and a fault shows nothing of the text."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hookd.core.jsonvalues import same_json
from hookd.core.model import RefusalCode
from hookd.core.strictjson import MAX_DEPTH, JsonFault, parse_json

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=20,
)


@settings(max_examples=200, deadline=None)
@given(value=values, spaced=st.booleans(), ascii_only=st.booleans())
def test_what_is_json_is_read_as_the_stdlib_reads_it(value: object, spaced: bool, ascii_only: bool) -> None:  # noqa: FBT001  drawn
    text = json.dumps(value, ensure_ascii=ascii_only, indent=2 if spaced else None)
    assert same_json(parse_json(text.encode()), json.loads(text))


@settings(max_examples=200, deadline=None)
@given(text=st.binary(max_size=40) | st.text(alphabet='[]{}",:\\u0deE1.-+ ntf', max_size=40).map(str.encode))
def test_any_bytes_give_a_value_or_a_fault_and_never_raise(text: bytes) -> None:
    value = parse_json(text)
    if isinstance(value, JsonFault):
        assert value.code in (RefusalCode.MALFORMED_JSON, RefusalCode.TOO_DEEP)
    else:
        assert same_json(value, json.loads(text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "not JSON at line 1 column 1: a value is expected"),
        (b"  ", "not JSON at line 1 column 3: a value is expected"),
        (b"{", "not JSON at line 1 column 2: a key in double quotes is expected"),
        (b'{"a" 1}', "not JSON at line 1 column 6: a colon is expected"),
        (b'{"a":1 "b":2}', "not JSON at line 1 column 8: a comma is expected"),
        (b'{"a":1}\n }', "not JSON at line 2 column 2: the value ended before"),
        (b'{"a":\n\n  hunter2}', "not JSON at line 3 column 3: a value is expected"),
        (b'{"a":"hunter2}', "not JSON at line 1 column 6: a string does not end"),
        (b'"a\tb"', "not JSON at line 1 column 3: a control character stands in a string"),
        (b'"\\x"', "not JSON at line 1 column 2: an escape in a string is not valid"),
        (b'"\\u12g4"', "not JSON at line 1 column 3: an escape in a string is not valid"),
        (b"01", "not JSON at line 1 column 2: the value ended before"),
        (b"1.", "not JSON at line 1 column 2: the value ended before"),
        (b"+1", "not JSON at line 1 column 1: a value is expected"),
        (b"-", "not JSON at line 1 column 1: a value is expected"),
        (b"'a'", "not JSON at line 1 column 1: a value is expected"),
        (b"True", "not JSON at line 1 column 1: a value is expected"),
        (b"1 // one", "not JSON at line 1 column 3: the value ended before"),
        (b"\x0c1", "not JSON at line 1 column 1: a value is expected"),
        (b"1\xc2\xa0", "not JSON at line 1 column 2: the value ended before"),
        (b"\xef\xbb\xbf{}", "begins with a byte order mark"),
        (b'"\xff"', "not UTF-8 at byte 2"),
        (b'"\xed\xa0\x80"', "not UTF-8 at byte 2"),
        ('{"a":1}'.encode("utf-16"), "not UTF-8 at byte 1"),
        (b"NaN", "NaN and Infinity are not JSON"),
        (b'{"a":[-Infinity]}', "NaN and Infinity are not JSON"),
        (b"[1e400]", "a number is too large for a double"),
        (b"[-1E+400]", "a number is too large for a double"),
        (b"1" * 400 + b".5", "a number is too large for a double"),
        (b"9" * 5000, "an integer has too many digits"),
        (b'{"a":1,"a":1}', "an object has the same key twice"),
        (b'[{"b":{"a":1,"\\u0061":2}}]', "an object has the same key twice"),
        (b'"\\ud800"', "a string has half of a surrogate pair"),
        (b'"\\uDC00\\uD800"', "a string has half of a surrogate pair"),
        (b'{"\\udfff":1}', "a string has half of a surrogate pair"),
    ],
)
def test_what_is_refused_and_why(text: bytes, message: str) -> None:
    assert parse_json(text) == JsonFault(RefusalCode.MALFORMED_JSON, message)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b' \t\r\n{"a":[1, 2.5, null]} \r\n', {"a": [1, 2.5, None]}),
        (b'"\\ud83d\\ude00"', "\N{GRINNING FACE}"),
        (b'"\\\\ud800"', "\\ud800"),
        (b'"\\ud83d\\ude00 \\\\ud800"', "\N{GRINNING FACE} \\ud800"),
        (b"12345678901234567890123", 12345678901234567890123),
        (b"1e-400", 0.0),
        (b'"\xf0\x9f\x98\x80"', "\N{GRINNING FACE}"),
        (b'{"":0}', {"": 0}),
    ],
)
def test_what_is_read(text: bytes, value: object) -> None:
    assert parse_json(text) == value


def test_a_negative_zero_stays_one() -> None:
    value = parse_json(b"-0.0")
    assert isinstance(value, float)
    assert math.copysign(1, value) == -1


@pytest.mark.parametrize("pair", [(b"[", b"]"), (b'{"a":', b"}"), (b'[{"k":', b"}]")])
def test_nesting_is_counted_exactly(pair: tuple[bytes, bytes]) -> None:
    opening, closing = pair
    levels = opening.count(b"[") + opening.count(b"{")
    fits = opening * (MAX_DEPTH // levels) + b"1" + closing * (MAX_DEPTH // levels)
    assert not isinstance(parse_json(fits), JsonFault)
    fault = parse_json(b"[" + fits + b"]")
    assert fault == JsonFault(RefusalCode.TOO_DEEP, "nested more than 64 levels deep")


def test_many_that_are_deep_enough_are_not_too_deep() -> None:
    deepest = b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1)
    assert not isinstance(parse_json(b"[" + b",".join([deepest] * 100) + b"]"), JsonFault)


@pytest.mark.parametrize("inside", [b"[" * 500, b'\\"[[{{' * 50, b"\\\\" + b"{" * 100, b'\\\\\\"' + b"[" * 100])
def test_brackets_in_strings_do_not_count(inside: bytes) -> None:
    assert not isinstance(parse_json(b'[{"a":"' + inside + b'"}, "b"]'), JsonFault)


def test_brackets_behind_strings_count() -> None:
    deep = b'["\\\\",' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"]"
    assert parse_json(deep) == JsonFault(RefusalCode.TOO_DEEP, "nested more than 64 levels deep")


@pytest.mark.parametrize("text", [b"[" * 100_000, b'{"a":' * 100_000, b"[" * 100_000 + b"]" * 100_000])
def test_a_tower_of_brackets_does_not_exhaust_the_stack(text: bytes) -> None:
    assert parse_json(text) == JsonFault(RefusalCode.TOO_DEEP, "nested more than 64 levels deep")


@settings(max_examples=200, deadline=None)
@given(value=values, extra=st.integers(1, 70))
def test_the_depth_is_that_of_the_value(value: object, extra: int) -> None:
    # Many shallow brackets make the text run through the exact count.
    nested: object = [value, [[]] * 70]
    for _ in range(extra):
        nested = {"k": nested} if extra % 2 else [nested]
    too_deep = isinstance(parse_json(json.dumps(nested).encode()), JsonFault)
    assert too_deep == (_depth(nested) > MAX_DEPTH)


def _depth(value: object) -> int:
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(_depth, value), default=0) if isinstance(value, list) else 0


def test_no_fault_shows_the_text() -> None:
    for cut in range(1, 60):
        text = b'{"hunter2":["hunter2",{"hunter2":"\\u00e9hunter2"},hunter2,1e400]}'[:cut]
        fault = parse_json(text)
        assert isinstance(fault, JsonFault)
        assert "hunter2" not in fault.message
