"""Bytes into requests, without a socket: however they are cut, the same requests come out, within the limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hookd.web.http1 import RequestReader
from hookd.web.limits import BodyBudget, HttpLimits
from hookd.web.messages import Admission, Response, decode_path, render_response
from hookd.web.problem import problem

if TYPE_CHECKING:
    from hookd.web.messages import Request

MANY = (
    b"POST /a?x=1 HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"
    b"\r\nPOST /b HTTP/1.1\r\nhost: h\r\nTransfer-Encoding: chunked\r\nX-Long: "
    + b"v"
    * 300
    + b"\r\n\r\n3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: t\r\n\r\n"
    b"GET /c HTTP/1.1\r\nHost: h\r\n\r\n"
    b"POST /d HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 4\r\n\r\nlast"
)


def new_reader(limits: HttpLimits | None = None, *, most: int = 1 << 30) -> RequestReader:
    return RequestReader(limits or HttpLimits(), BodyBudget(most))


def feed(reader: RequestReader, raw: bytes, size: int) -> RequestReader:
    for start in range(0, len(raw), size):
        if reader.fault is None:
            reader.feed(raw[start : start + size])
    return reader


def told(request: Request) -> tuple[object, ...]:
    return request.method, request.path, request.query, request.body, request.keep_alive, request.headers


WHOLE = [told(request) for request in feed(new_reader(), MANY, len(MANY)).requests]


def test_many_requests_in_one_read() -> None:
    assert [(method, path, query, body, goes_on) for method, path, query, body, goes_on, _ in WHOLE] == [
        ("POST", "/a", b"x=1", b"hello", True),
        ("POST", "/b", b"", b"abcde", True),
        ("GET", "/c", b"", b"", True),
        ("POST", "/d", b"", b"last", False),
    ]
    assert WHOLE[1][5] == ((b"host", b"h"), (b"transfer-encoding", b"chunked"), (b"x-long", b"v" * 300))


@given(st.lists(st.integers(1, len(MANY) - 1), max_size=40).map(sorted))
@settings(max_examples=200, deadline=None)
def test_it_does_not_matter_how_the_bytes_are_cut(cuts: list[int]) -> None:
    reader = new_reader()
    for start, end in zip([0, *cuts], [*cuts, len(MANY)], strict=True):
        if start < end:
            reader.feed(MANY[start:end])
    assert reader.fault is None
    assert [told(request) for request in reader.requests] == WHOLE


@given(st.binary(max_size=300), st.booleans())
@settings(max_examples=200, deadline=None)
def test_no_bytes_raise(junk: bytes, begun: bool) -> None:  # noqa: FBT001  Hypothesis gives it by position
    reader = new_reader()
    feed(reader, (MANY[:200] if begun else b"") + junk, 7)
    assert reader.fault is None or reader.fault.status >= 400


HEAD = b"POST / HTTP/1.1\r\nHost: h\r\n"
SMALL = HttpLimits(header_bytes=1000, headers=10, target_bytes=200, body_bytes=100)


@pytest.mark.parametrize("size", [1, 100, 1 << 16])
@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"GET /" + b"a" * 300 + b" HTTP/1.1\r\n", 414),
        (HEAD + b"X: " + b"a" * 2000 + b"\r\n\r\n", 431),
        (HEAD + b"X" * 2000 + b": a\r\n\r\n", 431),
        (HEAD + b"".join(b"X%d: a\r\n" % number for number in range(20)) + b"\r\n", 431),
        (HEAD + b"".join(b"X%d: %b\r\n" % (number, b"a" * 300) for number in range(8)) + b"\r\n", 431),
        (HEAD + b"Content-Length: 101\r\n\r\n", 413),
        (HEAD + b"Content-Length: 18446744073709551615\r\n\r\n", 413),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"a\r\n0123456789\r\n" * 11, 413),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: " + b"a" * 2000 + b"\r\n\r\n", 431),
        (HEAD + b"Expect: miracles\r\n\r\n", 417),
    ],
)
def test_limits_hold_however_slowly_the_bytes_come(raw: bytes, status: int, size: int) -> None:
    reader = feed(new_reader(SMALL), raw, size)
    assert reader.fault is not None
    assert reader.fault.status == status
    assert not reader.requests


@pytest.mark.parametrize(
    "endless",
    [
        HEAD + b"X: ",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n5;",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: ",
    ],
)
def test_a_line_without_an_end_is_not_kept(endless: bytes) -> None:
    reader = new_reader(SMALL)
    reader.feed(endless)
    for _ in range(20):
        if reader.fault is None:
            reader.feed(b"a" * 100)
    assert reader.fault is not None
    assert reader.fault.status == 431


@pytest.mark.parametrize("size", [1, 3, 1 << 16])
def test_what_is_within_the_limits_passes(size: int) -> None:
    chunks = b"1;e=" + b"f" * 200 + b"\r\na\r\n"
    raw = HEAD + b"X: " + b"a" * 900 + b"\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks * 100 + b"0\r\n\r\n"
    reader = feed(new_reader(SMALL), raw * 3, size)
    assert reader.fault is None
    assert [request.body for request in reader.requests] == [b"a" * 100] * 3


def test_the_bodies_of_all_connections_are_bounded() -> None:
    budget = BodyBudget(150)
    one, two = (RequestReader(HttpLimits(), budget) for _ in range(2))
    raw = HEAD + b"Content-Length: 100\r\n\r\n" + b"b" * 100
    one.feed(raw)
    two.feed(raw)
    assert len(one.requests) == 1
    assert two.fault is not None
    assert two.fault.status == 503
    two.release()
    assert budget.used == 100
    one.settle(one.requests.popleft())
    assert budget.used == 0
    one.feed(raw[:-1])
    one.release()
    assert budget.used == 0


def test_admission_is_asked_before_the_body_and_has_the_last_word() -> None:
    asked: list[str] = []

    def admit(request: Request) -> Admission | Response:
        asked.append(request.path)
        if request.path == "/no":
            return problem(401, "who are you?")
        return Admission(3, grant="known", too_large=problem(413, "three bytes, no more"))

    def reader() -> RequestReader:
        return RequestReader(HttpLimits(), BodyBudget(1000), admit=admit)

    no, yes, much, chunked = reader(), reader(), reader(), reader()
    no.feed(b"POST /no HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n")
    yes.feed(b"POST /yes HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc")
    much.feed(b"POST /much HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n")
    chunked.feed(b"POST /chunked HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd")
    assert asked == ["/no", "/yes", "/much", "/chunked"]
    assert no.fault is not None
    assert no.fault.status == 401
    assert (yes.requests[0].body, yes.requests[0].grant) == (b"abc", "known")
    for large in (much, chunked):
        assert large.fault is not None
        assert b"three bytes" in large.fault.body


def test_100_is_expected_only_while_a_body_is_to_come() -> None:
    for raw, expects in (
        (b"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-Continue\r\nContent-Length: 3\r\n\r\n", True),
        (b"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc", False),
        (b"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n\r\n", False),
        (b"POST / HTTP/1.0\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n", False),
    ):
        reader = new_reader()
        reader.feed(raw)
        assert reader.expects_continue is expects, raw


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b"/v1/events", "/v1/events"),
        (b"/a%20b", "/a b"),
        (b"/caf%C3%A9", "/café"),
        (b"/a%2fb%5Cc", "/a%2fb%5Cc"),
        (b"/100%25", "/100%25"),
        (b"/%00%0a%7f", "/%00%0a%7f"),
        (b"/%", "/%"),
        (b"/%4", "/%4"),
        (b"/%zz%41", "/%zzA"),
        (b"/%+1", "/%+1"),
        (b"/%FF", "/%FF"),
        (b"/%2e%2e/", "/../"),
    ],
)
def test_a_path_is_decoded_where_that_is_safe(raw: bytes, path: str) -> None:
    assert decode_path(raw) == path


@given(st.binary(max_size=40).filter(bytes.isascii))
def test_a_decoded_path_has_no_more_slashes(raw: bytes) -> None:
    assert decode_path(raw).count("/") == raw.count(b"/")


def test_a_repr_shows_no_secret() -> None:
    [request] = feed(new_reader(), b"GET /p?key=topsecret HTTP/1.1\r\nHost: h\r\nX: topsecret\r\n\r\n", 999).requests
    assert "topsecret" not in repr(request)
    assert request.target == b"/p?key=topsecret"


def test_the_framing_of_a_response_is_ours() -> None:
    theirs = ((b"content-length", b"99"), (b"transfer-encoding", b"chunked"), (b"connection", b"x"), (b"x-own", b"1"))
    raw = render_response(Response(202, theirs, b"abc"), date=b"now", keep_alive=True)
    assert raw == b"HTTP/1.1 202 Accepted\r\nx-own: 1\r\ndate: now\r\ncontent-length: 3\r\n\r\nabc"


def test_no_body_where_none_may_be() -> None:
    head = render_response(Response(200, (), b"abc"), date=b"now", keep_alive=False, head=True)
    assert head.endswith(b"content-length: 3\r\nconnection: close\r\n\r\n")
    for status in (204, 304):
        assert b"content-length" not in render_response(Response(status, (), b""), date=b"now", keep_alive=True)


@pytest.mark.parametrize("junk", [b"a\r\nx: y", b"a\nb", b"a\rb", b"a\0b"])
def test_a_header_cannot_break_out(junk: bytes) -> None:
    for header in ((b"x", junk), (junk, b"x")):
        with pytest.raises(ValueError, match="line break"):
            render_response(Response(200, (header,)), date=b"now", keep_alive=True)
