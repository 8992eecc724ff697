"""Frames are judged by their heads, however the bytes are cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookd.delivery.frames import MOST_BYTES, FrameJudge


def frame(length: int) -> bytes:
    return length.to_bytes(3, "big") + b"\0\0\0\0\0\1" + b"x" * length


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
