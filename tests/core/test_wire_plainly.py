"""The short ways of reading against the long ones: whatever the bytes, both must tell the same."""

from __future__ import annotations

from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hookd.core import strictjson, wire
from hookd.core.model import Refusal
from hookd.core.strictjson import parse_json
from hookd.core.wire import parse_event

if TYPE_CHECKING:
    from hookd.core.wire import Incoming

# Texts that are JSON, or nearly: the same key twice, colons and escapes wherever they may stand, odd numbers.
WHITE = st.sampled_from(["", "", "", " ", "\n", "\t ", "\r\n", "\x0b"])
NUMBERS = (
    st.sampled_from(
        [
            "0",
            "-0",
            "-0.0",
            "1",
            "01",
            "1.",
            "1e5",
            "1E+5",
            "1e999",
            "-1e999",
            "1e308",
            "2e-324",
            "0e999999",
            "NaN",
            "Infinity",
            "-Infinity",
            "9007199254740993",
            "0.1",
            "+1",
            "0x1",
            "18446744073709551616",
            "-9223372036854775809",
            "123456789012345678901234567890.5",
            "1.7976931348623159e308",
            "1_0",
            "--1",
        ]
    )
    | st.sampled_from(["1" * 4300, "1" * 4301])
    | st.integers().map(str)
)
FLOATS = st.floats(allow_nan=False, allow_infinity=False).map(repr)
PIECES = [
    r"a",
    r"b",
    r":",
    r"\":",
    r"\\",
    r"\n",
    r"\/",
    r"/",
    r"\u003a",
    r"\u003A",
    r"\u00e9",
    r"é",
    r"😀",
    r",",
    r"{",
    r"]",
    r"\ud83d\ude00",
    r"\ud83d",
    r"\uDE00",
    r"\ud83dx",
    r"\u12",
    r"\x",
]
INSIDE = st.lists(st.sampled_from([*PIECES, " :", "\x01", "\x7f", "\u2028", "\ufeff"]), max_size=4).map("".join)
STRINGS = INSIDE.map(lambda inside: f'"{inside}"')
LEAVES = st.sampled_from(["null", "true", "false", "nul", "''", ""]) | NUMBERS | FLOATS | STRINGS
KEYS = st.sampled_from(['"a"', '"b"', '"a:"', '"\\u0061"', '""']) | STRINGS


TEXTS = st.recursive(
    LEAVES,
    lambda inner: (
        st.tuples(WHITE, st.lists(inner, max_size=3)).map(lambda it: f"[{it[0]}{','.join(it[1])}{it[0]}]")
        | st.lists(
            st.tuples(KEYS, WHITE, WHITE, inner).map(lambda it: f"{it[0]}{it[1]}:{it[2]}{it[3]}"), max_size=4
        ).map(lambda members: "{" + ",".join(members) + "}")
    ),
    max_leaves=12,
)


@settings(max_examples=500, deadline=None)
@given(text=TEXTS.map(str.encode) | st.binary(max_size=12))
@example(text=b'{"a":1,"a":2}')
@example(text=b'{"a":1,"a" :2}')
@example(text=b'{"a":1,"b\\u003a":{"c":1,"c":2}}')
@example(text=b'{"a:":1,"a:":2}')
@example(text=b'["\xff"]')
@example(text=b'["\xed\xa0\x80"]')
@example(text=b'\xef\xbb\xbf{"a":1}')
@example(text=b'{"a":"\\ud800","b":1}')
@example(text=b"[" * 64 + b"]" * 64)
@example(text=b"[" * 65 + b"]" * 65)
def test_json_is_read_alike(text: bytes) -> None:
    # A repr tells 1, 1.0 and true apart, and the zeros.
    with patch.object(strictjson, "_decode", side_effect=ValueError):
        slowly = repr(parse_json(text))
    assert repr(parse_json(text)) == slowly


def test_most_texts_are_read_the_short_way() -> None:
    with patch.object(strictjson, "_parse_slowly", side_effect=AssertionError):
        assert parse_json(b'{"at": "2030-01-31T12:00:00Z", "n": [1, 2.5, {"n": null}], "\\u00e9": "a\\/b :"}')


NAMES = st.sampled_from(
    [
        r"id",
        r"type",
        r"source",
        r"subject",
        r"time",
        r"tenant",
        r"partitionkey",
        r"traceparent",
        r"data",
        r"tennant",
        r"i\u0064",
        r"specversion",
        r"datacontenttype",
        r"a:",
    ]
)
GOOD = {
    "id": ["1", "a:b", "x" * 256],
    "type": ["a.b", "b:c"],
    "source": ["/s", "https://x/y"],
    "time": ["2030-01-31T12:00:00Z", "2028-02-29T23:59:60.123+01:00", "2030-12-28t00:00:00z"],
    "tenant": ["t"],
    "traceparent": ["00-" + "a" * 32 + "-" + "b" * 16 + "-01"],
}
DAYS = ["2030-02-30", "0000-01-01", "2030-00-10", "2030-13-10", "2030-01-00", "2029-02-29"]
ODD = ["", "x" * 257, "x" * 1025, "hookd.x", "a\u2028", "\u200b", r"\u0000", r"\u007f", "é", "00-0", "1.0"]
VALUES = st.sampled_from([*ODD, *(f"{day}T00:00:00Z" for day in DAYS)]).map(lambda text: f'"{text}"')


@st.composite
def lines(draw: st.DrawFn) -> bytes:
    """Give lines that are events, or nearly."""
    members = []
    for name in draw(st.lists(NAMES, max_size=6)):
        good = st.sampled_from(GOOD.get(name, ["1.0"])).map(lambda text: f'"{text}"')
        value = draw(TEXTS if name == "data" else st.one_of(good, good, good, VALUES, LEAVES))
        members.append(f'"{name}"{draw(WHITE)}:{draw(WHITE)}{value}')
    if draw(st.booleans()):
        members.append('"type":"a.b"')
    return ("{" + ",".join(members) + "}").encode()


def _read(line: bytes, tenant: str | None) -> Incoming | Refusal:
    return parse_event(line, limit=4096, now=7, new_id=lambda: "made", tenant=tenant)


@settings(max_examples=600, deadline=None)
@given(line=lines(), tenant=st.sampled_from([None, None, "t"]))
@example(line=b'{"type":"a","type":"b"}', tenant=None)
@example(line=b'{"type":"a","type" :"b"}', tenant=None)
@example(line=b'{"type":"a","data":{"b":1,"b":2}}', tenant=None)
@example(line=b'{"type":"a","data":1,"data":2}', tenant=None)
@example(line=b'{"type":null}', tenant=None)
@example(line=b'{"type":"a","data":null}', tenant=None)
@example(line=b'{"type":"a","data":' + b"[" * 63 + b"]" * 63 + b"}", tenant=None)
@example(line=b'{"type":"a","data":' + b"[" * 64 + b"]" * 64 + b"}", tenant=None)
@example(line=b'{"type":"a","id":"\xff"}', tenant=None)
def test_events_are_read_alike(line: bytes, tenant: str | None) -> None:
    with patch.object(wire, "_read_plainly", return_value=None):
        slowly = _read(line, tenant)
    quickly = _read(line, tenant)
    assert quickly == slowly
    if not isinstance(quickly, Refusal) and not isinstance(slowly, Refusal):
        assert repr(quickly.data) == repr(slowly.data)


@pytest.mark.parametrize(
    "line",
    [
        b'{"type":"a"}',
        b'{"id": "1", "type": "a", "time": "2030-01-31T12:00:00Z", "data": {"at": "12:00", "n": [1.5]}}',
        b'{"tenant":"t","source":"/s","subject":"x","partitionkey":"p","type":"a","data":null}',
    ],
)
def test_ordinary_events_are_read_the_short_way(line: bytes) -> None:
    with patch.object(wire, "parse_json", side_effect=parse_json) as parsed:
        assert not isinstance(_read(line, None), Refusal)
    assert all(call.args[0] != line for call in parsed.call_args_list)
