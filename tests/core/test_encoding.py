"""Encoding: JSON parts as they were written, and forms judged by the PHP that reads them."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hookd.core.encoding import encode_form, parse_for_form, split_json, text_of

if TYPE_CHECKING:
    from collections.abc import Mapping

PHP = shutil.which("php")
needs_php = pytest.mark.skipif(PHP is None, reason="needs PHP on the PATH (Debian: php-cli) to read the forms")

ENCODED: list[tuple[Mapping[str, object], str]] = [
    ({}, ""),
    ({"a": "b"}, "a=b"),
    ({"a": ""}, "a="),
    ({"a": None, "b": "x"}, "b=x"),
    ({"t": True, "f": False}, "t=1&f=0"),
    ({"n": 12, "f": 1.5, "big": 10**25}, "n=12&f=1.5&big=10000000000000000000000000"),
    ({"s": "a b+c&d=e%f"}, "s=a+b%2Bc%26d%3De%25f"),
    ({"s": "é€😀"}, "s=%C3%A9%E2%82%AC%F0%9F%98%80"),
    ({"s": "a\r\nb\0c"}, "s=a%0D%0Ab%00c"),
    ({"é &=": "x"}, "%C3%A9+%26%3D=x"),
    ({"u": {"id": 1, "tags": ["a", "b"]}}, "u%5Bid%5D=1&u%5Btags%5D%5B0%5D=a&u%5Btags%5D%5B1%5D=b"),
    ({"l": [1, None, 2]}, "l%5B0%5D=1&l%5B2%5D=2"),
    ({"l": [[1], [], {}], "e": [], "o": {}, "n": {"x": None}}, "l%5B0%5D%5B0%5D=1"),
    ({"a[b]": "x", "c": {"d[e]": 1}}, "a%5Bb%5D=x&c%5Bd%5Be%5D%5D=1"),
]


@pytest.mark.parametrize(("value", "expected"), ENCODED)
def test_form(value: Mapping[str, object], expected: str) -> None:
    assert encode_form(value) == expected.encode()


def test_numbers_keep_their_digits_in_a_form() -> None:
    text = b'{"n":1E2,"f":0.10,"z":-0,"big":12345678901234567890123,"s":"1.0"}'
    value = parse_for_form(text)
    assert isinstance(value, dict)
    assert encode_form(value) == b"n=1E2&f=0.10&z=-0&big=12345678901234567890123&s=1.0"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b'{"a" : 1E2 , "\\u00e9":[ 1 ]}', {"a": b"1E2", "é": b"[ 1 ]"}),
        (b' \n{"a":-0}', {"a": b"-0"}),
        (b"[1, 2.0 ]", {0: b"1", 1: b"2.0"}),
        (b"{}", {}),
        (b"[]", {}),
        (b"1", {}),
        (b'"{}"', {}),
        (b"null", {}),
        (b"", {}),
    ],
)
def test_one_level_is_taken_apart(text: bytes, expected: dict[str | int, bytes]) -> None:
    assert {step: bytes(part) for step, part in split_json(text).items()} == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b'"a\\u00e9\\/\\n"', "aé/\n"),
        (b"1E2", "1E2"),
        (b" -0 ", "-0"),
        (b"true", "true"),
        (b"false", "false"),
        (b"null", ""),
        (b'{ "a" : [ 1E2 , "\\/" ] }', '{"a":[1E2,"\\/"]}'),
        (b"[ ]", "[]"),
        (b'""', ""),
    ],
)
def test_as_text(value: bytes, expected: str) -> None:
    assert text_of(value) == expected


# --------------------------------------------------------------------------- PHP judges

# One form per line in; what PHP makes of it per line out, every array as an object so that lists show their keys.
READ = r"""
while (($line = fgets(STDIN)) !== false) {
    parse_str(rtrim($line, "\n"), $read);
    echo json_encode($read, JSON_FORCE_OBJECT | JSON_THROW_ON_ERROR), "\n";
}
"""

# One JSON object per line in; the form that PHP makes of it per line out.
BUILD = r"""
while (($line = fgets(STDIN)) !== false) {
    echo http_build_query(json_decode($line, true, 512, JSON_THROW_ON_ERROR)), "\n";
}
"""


def ask_php(script: str, lines: list[bytes]) -> list[bytes]:
    assert PHP is not None
    answer = subprocess.run(
        [PHP, "-n", "-d", "max_input_vars=100000", "-r", script],
        input=b"".join(line + b"\n" for line in lines),
        stdout=subprocess.PIPE,
        check=True,
        timeout=60,
    )
    return answer.stdout.splitlines()


def as_php_means(value: object) -> Any:
    """Give what `$_POST` shall hold for a JSON value; None: nothing."""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, list):
        value = {str(number): item for number, item in enumerate(value)}
    if isinstance(value, dict):
        kept = {key: read for key, item in value.items() if (read := as_php_means(item)) is not None}
        return kept or None
    return value if value is None or isinstance(value, str) else json.dumps(value)


TEXT = st.text(st.characters(codec="utf-8"), max_size=6)
# What PHP can take as a name: see the head of the module for what it cannot.
NAME = st.text(st.characters(codec="utf-8", exclude_characters="\0 .[]"), min_size=1, max_size=5)
NESTED_NAME = st.text(st.characters(codec="utf-8", exclude_characters="\0]"), min_size=1, max_size=5).filter(
    lambda name: not name[0].isspace()
)
LEAF = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | TEXT  # PHP's own integers have 64 bits
VALUE = st.recursive(
    LEAF,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NESTED_NAME, inner, max_size=3),
    max_leaves=8,
)
FORMS = st.lists(st.dictionaries(NAME, VALUE, max_size=4), min_size=1, max_size=30)


@needs_php
@pytest.mark.parametrize(
    "value",
    [
        {"user": "Zoë & co", "code": "1+1=2", "pct": "100%", "q": "a?b#c;d"},
        {"empty": "", "null": None, "yes": True, "no": False, "n": 0, "f": -1.5},
        {"visitors": [{"name": "a", "tags": ["x", None, "y"]}, {"name": "b", "tags": []}]},
        {"redirects": {"a.b": {"c d": "e"}, "x[y": "z"}},
        {"lines": "a\r\nb\tc", "tail": "space ", "emoji": "😀"},
        {"12": "numeric", "l": {"3": "three"}},
    ],
)
def test_php_reads_what_was_meant(value: dict[str, object]) -> None:
    (read,) = ask_php(READ, [encode_form(value)])
    assert json.loads(read) == (as_php_means(value) or {})


@needs_php
@given(FORMS)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_php_reads_any_form(forms: list[dict[str, object]]) -> None:
    read = [json.loads(line) for line in ask_php(READ, [encode_form(form) for form in forms])]
    assert read == [as_php_means(form) or {} for form in forms]


@needs_php
@given(FORMS)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_php_would_have_written_the_same(forms: list[dict[str, object]]) -> None:
    written = ask_php(BUILD, [json.dumps(form).encode() for form in forms])
    for form, theirs in zip(forms, written, strict=True):
        ours = parse_qsl(encode_form(form).decode(), keep_blank_values=True)
        assert ours == parse_qsl(theirs.decode(), keep_blank_values=True)
