"""Lines and replies: the same lines however the bytes are cut, and replies as the contract writes them."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hookd.core.lines import TOO_LONG, Line, LineFramer, render_reply
from hookd.core.model import Accepted, Duplicate, Refusal, RefusalCode, Reply

LIMIT = 5


def _frame(chunks: list[bytes], *, finish: bool = False) -> list[Line]:
    framer = LineFramer(LIMIT)
    lines = [line for chunk in chunks for line in framer.feed(chunk)]
    return lines + framer.finish() if finish else lines


@settings(max_examples=200)
@given(text=st.text(alphabet="ab\r\n", max_size=60), cuts=st.lists(st.integers(0, 60)), finish=st.booleans())
def test_lines_do_not_depend_on_the_cuts(text: str, cuts: list[int], finish: bool) -> None:  # noqa: FBT001  drawn
    whole = text.encode()
    edges = [0, *sorted(cuts), len(whole)]
    chunks = [whole[start:end] for start, end in pairwise(edges)]
    assert _frame(chunks, finish=finish) == _frame([whole], finish=finish)


@settings(max_examples=200)
@given(text=st.text(alphabet="ab\r\n", max_size=60))
def test_lines_are_what_stands_between_the_ends(text: str) -> None:
    *ended, rest = text.encode().split(b"\n")
    expected = [line if len(line) <= LIMIT else TOO_LONG for line in (one.removesuffix(b"\r") for one in ended) if line]
    assert _frame([text.encode()]) == expected
    last = rest.removesuffix(b"\r")
    expected += [last if len(last) <= LIMIT else TOO_LONG] if last else []
    assert _frame([text.encode()], finish=True) == expected


@pytest.mark.parametrize(
    ("chunks", "lines"),
    [
        ([b"a\nb\r\n"], [b"a", b"b"]),
        ([b"\n\r\n\n"], []),
        ([b"half"], []),
        ([b"12345\n"], [b"12345"]),
        ([b"12345\r\n"], [b"12345"]),
        ([b"12345\r", b"\n"], [b"12345"]),
        ([b"123456\n7\n"], [TOO_LONG, b"7"]),
        ([b"12345\r6", b"\n"], [TOO_LONG]),
        ([b"1234567", b"890", b"\n", b"a\n"], [TOO_LONG, b"a"]),
        ([b"1234567", b"890"], []),
    ],
)
def test_framing(chunks: list[bytes], lines: list[Line]) -> None:
    assert _frame(chunks) == lines


def test_a_long_line_is_not_kept() -> None:
    framer = LineFramer(1000)
    for _ in range(100):
        assert framer.feed(b"x" * 999) == []
    assert len(framer._begun) <= 1001  # what it holds cannot be seen from outside
    assert framer.feed(b"\nnext\n") == [TOO_LONG, b"next"]


def test_a_line_in_chunks_of_one_byte_is_cheap_and_whole() -> None:
    framer = LineFramer(1 << 20)
    line = b"x" * 200_000
    for position in range(len(line)):
        framer.feed(line[position : position + 1])
    assert framer.feed(b"\n") == [line]


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        (Accepted(id="e1", deliveries=2), '{"status":"accepted","id":"e1","deliveries":2}'),
        (Duplicate(id='"é\\'), '{"status":"duplicate","id":"\\"é\\\\"}'),
        (
            Refusal(code=RefusalCode.SCHEMA_INVALID, message="is required", path="/data/x"),
            '{"status":"refused","code":"schema_invalid","message":"is required","path":"/data/x","retry":false}',
        ),
        (
            Refusal(code=RefusalCode.STORE_FAILED, message="m", id="e1", type="user.updated"),
            '{"status":"refused","code":"store_failed","message":"m","id":"e1","retry":true}',
        ),
    ],
)
def test_a_reply_is_one_line(reply: Reply, text: str) -> None:
    assert render_reply(reply) == text.encode() + b"\n"


@pytest.mark.parametrize("code", list(RefusalCode))
def test_a_refusal_says_whether_to_try_again(code: RefusalCode) -> None:
    fields = json.loads(render_reply(Refusal(code=code, message="m")))
    assert fields["code"] == code.value
    assert fields["retry"] is (code.value in {"overloaded", "disk_low", "store_failed"})
