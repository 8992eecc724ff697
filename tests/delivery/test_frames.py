"""Frames are judged by their heads, however the bytes are cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookd.delivery.frames import MOST_BYTES, MOST_HEADERS, FrameJudge

OK = b"\x88"  # `:status: 200`, as HPACK has it
HEADERS, PUSH_PROMISE, CONTINUATION = 1, 5, 9
END_HEADERS, PADDED, PRIORITY = 4, 8, 32


def frame(length: int) -> bytes:
    return framed(0, 0, b"x" * length)


def framed(kind: int, flags: int, payload: bytes, stream: int = 1) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def head(payload: bytes, stream: int = 1) -> bytes:
    return framed(HEADERS, END_HEADERS, payload, stream)


def of_status(text: bytes) -> bytes:
    return b"\x08" + bytes((len(text),)) + text


X_Y = b"\x00\x01x\x01y"  # `x: y`, and not into the table
KEPT = b"\x40\x01a\x01b"  # `a: b`, into the table, where it is 62


@pytest.mark.parametrize("length", [0, 1, 100, MOST_BYTES])
def test_frames_as_long_as_they_may_be(length: int) -> None:
    judge = FrameJudge()
    assert judge.feed(frame(length) * 3)


@pytest.mark.parametrize("length", [MOST_BYTES + 1, 2**24 - 1])
def test_a_frame_that_is_too_long_is_seen_at_its_head(length: int) -> None:
    judge = FrameJudge()
    assert judge.feed(frame(5))
    assert not judge.feed(frame(length)[:9])


def test_http_1_is_no_frame() -> None:
    assert not FrameJudge().feed(b"HTTP/1.1 400 Bad Request\r\n\r\n")


@given(lengths=st.lists(st.integers(0, 300), max_size=6), cuts=st.lists(st.integers(1, 50), min_size=1, max_size=8))
def test_it_makes_no_difference_how_the_bytes_are_cut(lengths: list[int], cuts: list[int]) -> None:
    data = b"".join(map(frame, lengths))
    judge, at, turn = FrameJudge(), 0, 0
    while at < len(data):
        step = cuts[turn % len(cuts)]
        assert judge.feed(data[at : at + step])
        at, turn = at + step, turn + 1
    assert not judge.feed(frame(MOST_BYTES + 1)[:9])


@pytest.mark.parametrize(
    "data",
    [
        head(OK),
        head(OK + X_Y) + frame(5) + head(X_Y),  # with a body and trailers
        head(of_status(b"100")) + head(of_status(b"103") + X_Y) + head(OK),
        head(OK + KEPT) + head(b"\x8d\xbe", 3),  # the second one, a 404, uses the table
        framed(HEADERS, 0, b"\x08\x03") + framed(CONTINUATION, 0, b"") + framed(CONTINUATION, END_HEADERS, b"599"),
        framed(HEADERS, END_HEADERS | PADDED | PRIORITY, b"\x02" + bytes(5) + OK + b"pp"),
        framed(HEADERS, END_HEADERS | PRIORITY, bytes(5) + OK),
        head(OK + b"\x00\x0akeep-alive\x01y"),  # not allowed, and real
    ],
)
def test_heads_with_a_status_pass_however_they_are_cut(data: bytes) -> None:
    assert FrameJudge().feed(data)
    judge = FrameJudge()
    assert all(judge.feed(data[at : at + 1]) for at in range(len(data)))


@pytest.mark.parametrize(
    "data",
    [
        head(b""),
        head(X_Y),
        head(OK + b"\x8d"),
        head(b"\xff\xff\xff\xff\xff"),
        head(OK) + head(X_Y, 3),
        head(of_status(b"100")) + head(X_Y),
        *(head(of_status(text)) for text in (b"", b"20", b"2000", b"+20", b" 20", b"2.0", b"abc", b"\xb2\xb2\xb2")),
        framed(HEADERS, END_HEADERS | PADDED, b""),
        framed(HEADERS, END_HEADERS | PADDED, b"\x01" + OK),
        framed(HEADERS, END_HEADERS | PRIORITY, OK),
        framed(HEADERS, 0, OK) + framed(CONTINUATION, 0, X_Y * 3000) * (MOST_HEADERS // 15_000 + 1),
        framed(PUSH_PROMISE, END_HEADERS, bytes(4) + OK),
    ],
)
def test_what_is_no_head_of_a_response_does_not(data: bytes) -> None:
    assert not FrameJudge().feed(data)
    judge = FrameJudge()
    assert not all(judge.feed(data[at : at + 1]) for at in range(len(data)))


@given(st.lists(st.tuples(st.sampled_from([0, 1, 3, 4, 9]), st.integers(0, 255), st.binary(max_size=60)), max_size=8))
def test_nothing_that_is_sent_breaks_the_judge(frames: list[tuple[int, int, bytes]]) -> None:
    assert FrameJudge().feed(b"".join(framed(*each) for each in frames)) in {True, False}
