"""The table of what httptools lets pass and we do not, byte by byte and all at once."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hookd.delivery.response import BODY_LIMIT, ResponseReader

END = b""


def read(*parts: bytes) -> ResponseReader:
    reader = ResponseReader()
    for part in parts:
        if reader.feed(part):
            break
    return reader


GOOD = [
    (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", 200, b"ok", True),
    (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", True),
    (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 10\r\n\r\n", 304, b"", True),
    (b"HTTP/1.1 599 Odd\r\ncontent-length: 0\r\n\r\n", 599, b"", True),
    (b"HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n", 200, b"", True),
    (b"HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n", 302, b"", True),
    (b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok", 200, b"ok", False),
    (b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok", 200, b"ok", False),
    (b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nok", 200, b"ok", True),
    (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 200, b"ok", True),
    (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;x=y\r\nok\r\n0\r\nx-t: v\r\n\r\n", 200, b"ok", True),
    (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", 200, b"ok", True),
    (b"HTTP/1.1 104 U\r\nlink: x\r\n\r\nHTTP/1.1 199 O\r\n\r\nHTTP/1.1 204 No\r\n\r\n", 204, b"", True),
    (b"HTTP/1.1 102 P\r\n\r\nHTTP/1.1 103 E\r\nlink: x\r\n\r\nHTTP/1.1 204 No\r\n\r\n", 204, b"", True),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "status", "body", "reusable"), GOOD)
@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_a_response_is_read_however_it_is_cut(
    raw: bytes, status: int, body: bytes, size: int, *, reusable: bool
) -> None:
    reader = read(*(raw[at : at + size] for at in range(0, len(raw), size)))
    response = reader.response()
    assert (response.status, response.body, response.truncated) == (status, body, False)
    assert reader.reusable is reusable
    assert "link" not in dict(response.headers)
    assert "x-t" not in dict(response.headers)


def test_headers_are_lowered_and_keep_their_order_and_doubles() -> None:
    reader = read(b"HTTP/1.1 200 OK\r\nX-A: 1\r\nx-a: \xe9\r\nX-B:\r\ncontent-length: 0\r\n\r\n")
    assert reader.response().headers == (("x-a", "1"), ("x-a", "é"), ("x-b", ""), ("content-length", "0"))


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 000 Zero\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 099 Low\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 99 Low\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nframes",
        b"HTTP/1.1 600 High\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 999 High\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 2000 High\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 -20 Low\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/0.9 200 OK\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/2.0 200 OK\r\ncontent-length: 0\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"<html>hello</html>",
        b"POST / HTTP/1.1\r\nhost: x\r\n\r\n",
        b"\x15\x03\x01\x00\x02\x02\x50",
        b"HTTP/1.1 200 OK\r\n folded: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: \x00\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 9,
        b"HTTP/1.1 200 OK\r\n" + b"x-long: " + b"a" * 70_000,
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 20_000,
    ],
)
@pytest.mark.parametrize("size", [1, 16_384, 1_000_000])
def test_what_is_no_response_is_a_fault(raw: bytes, size: int) -> None:
    reader = read(*(raw[at : at + size] for at in range(0, min(len(raw), 80_000), size)))
    assert reader.fault
    assert reader.status == 0
    assert not reader.reusable


@pytest.mark.parametrize(("length", "status"), [(65_000, 200), (65_600, 0), (80_000, 0)])
@pytest.mark.parametrize("interim", [b"", b"HTTP/1.1 103 Early\r\n\r\n"])
def test_a_head_that_ends_in_the_piece_that_makes_it_too_large(interim: bytes, length: int, status: int) -> None:
    raw = interim + b"HTTP/1.1 200 OK\r\nx: " + b"a" * length + b"\r\ncontent-length: 0\r\n\r\n"
    reader = read(*(raw[at : at + 16_384] for at in range(0, len(raw), 16_384)))
    assert reader.status == status
    assert (reader.fault is None) == (status == 200)


@pytest.mark.parametrize(
    ("rest", "body", "truncated"),
    [
        (b"content-length: 2\r\n\r\nokHTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n", b"ok", False),
        (b"content-length: 2\r\n\r\nok\x00\xffgarbage", b"ok", False),
        (b"connection: close\r\ncontent-length: 2\r\n\r\nok!", b"ok", False),
        (b"transfer-encoding: chunked\r\n\r\nzz\r\n", b"", True),
        (b"transfer-encoding: chunked\r\n\r\n2\r\nok\r\nzz\r\n", b"ok", True),
    ],
)
def test_what_comes_after_the_head_does_not_undo_it(rest: bytes, body: bytes, *, truncated: bool) -> None:
    reader = read(b"HTTP/1.1 200 OK\r\n" + rest)
    response = reader.response()
    assert (response.status, response.body, response.truncated) == (200, body, truncated)
    assert not reader.reusable


@pytest.mark.parametrize(
    ("parts", "body", "truncated"),
    [
        ((b"HTTP/1.1 200 OK\r\n\r\nto the", b" end"), b"to the end", False),
        ((b"HTTP/1.1 200 OK\r\n\r\n",), b"", False),
        ((b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n", b"cut"), b"cut", True),
        ((b"HTTP/1.1 500 No\r\ntransfer-encoding: chunked\r\n\r\n9\r\ncut",), b"cut", True),
    ],
)
def test_the_end_of_the_stream_ends_a_body_or_cuts_it(
    parts: tuple[bytes, ...], body: bytes, *, truncated: bool
) -> None:
    reader = read(*parts, END)
    assert (reader.response().body, reader.response().truncated) == (body, truncated)
    assert not reader.reusable


@pytest.mark.parametrize("frame", [b"\r\n", b"content-length: 1000000\r\n\r\n"])
def test_a_body_is_kept_up_to_its_limit(frame: bytes) -> None:
    reader = read(b"HTTP/1.1 200 OK\r\n" + frame, *([b"a" * 10_000] * 100))
    assert len(reader.response().body) == BODY_LIMIT
    assert reader.response().truncated
    assert not reader.reusable


def test_a_body_of_exactly_the_limit_is_whole() -> None:
    reader = read(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % BODY_LIMIT, b"a" * BODY_LIMIT)
    assert not reader.response().truncated
    assert reader.reusable


def test_one_reader_reads_the_responses_of_a_connection() -> None:
    reader = ResponseReader()
    for status in (200, 500, 204):
        reader.begin()
        assert reader.feed(b"HTTP/1.1 %d X\r\n%s\r\n" % (status, b"" if status == 204 else b"content-length: 0\r\n"))
        assert reader.status == status
        assert reader.reusable


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=300), st.sampled_from([b"", b"HTTP/1.1 ", b"HTTP/1.1 200 OK\r\n", GOOD[0][0], GOOD[9][0][:-9]])
)
def test_no_bytes_break_the_reader(noise: bytes, before: bytes) -> None:
    reader = ResponseReader()
    if not reader.feed(before + noise or b"x"):
        assert reader.feed(END)
    assert reader.status in {0, *range(200, 600)}
    if reader.status:
        assert len(reader.response().body) <= BODY_LIMIT


def test_trailers_without_an_end_are_not_read_on() -> None:
    reader = read(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n")
    fed = 0
    while not reader.feed(b"x-trailer: value\r\n" * 100):
        fed += 1
        assert fed < 1000
    assert reader.response().truncated
    assert not reader.reusable
