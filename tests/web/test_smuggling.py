"""A table of tricks: each is refused and ends the connection, or is one request that cannot be understood twice.

After each trick comes a second request, `/next`. Where the trick is refused, nobody may ever see it: the server cannot
know where it begins. Where the trick is a request, `/next` is seen as what it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from hookd.web.messages import Response

if TYPE_CHECKING:
    from hookd.web.messages import Request
    from tests.web.conftest import Serve

NEXT = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /first HTTP/1.1\r\nHost: a\r\n"
GET = b"GET /first HTTP/1.1\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
LAST = b"0\r\n\r\n"


@dataclass
class Seen:
    """Answers, and keeps what it saw."""

    requests: list[tuple[str, str, bytes]]

    async def __call__(self, request: Request) -> Response:
        self.requests.append((request.method, request.path, request.body))
        return Response(200, body=b"seen")


REFUSED = {
    # who is meant
    "no Host": (GET + b"\r\n", 400),
    "two Hosts": (GET + b"Host: a\r\nHost: b\r\n\r\n", 400),
    "two equal Hosts": (GET + b"Host: a\r\nHost: a\r\n\r\n", 400),
    "a list of Hosts": (GET + b"Host: a, b\r\n\r\n", 400),
    "a Host with a path": (GET + b"Host: a/b\r\n\r\n", 400),
    "a Host with user info": (GET + b"Host: u@a\r\n\r\n", 400),
    "a Host that the target contradicts": (b"GET http://b/first HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a target with user info": (b"GET http://u@a/first HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a target of another scheme": (b"GET ftp://a/first HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a fragment": (b"GET /first#x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a space in the target": (b"GET /first /x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a target in latin-1": (b"GET /f\xefrst HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a control character in the target": (b"GET /f\x01rst HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "no target": (b"GET  HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    # how long it is
    "Content-Length, then Transfer-Encoding": (
        POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + LAST,
        400,
    ),
    "Transfer-Encoding, then Content-Length": (
        POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n" + LAST,
        400,
    ),
    "two Content-Lengths": (POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc", 400),
    "two equal Content-Lengths": (POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400),
    "a list of Content-Lengths": (POST + b"Content-Length: 3, 3\r\n\r\nabc", 400),
    "a signed Content-Length": (POST + b"Content-Length: +3\r\n\r\nabc", 400),
    "a negative Content-Length": (POST + b"Content-Length: -3\r\n\r\nabc", 400),
    "a hexadecimal Content-Length": (POST + b"Content-Length: 0x3\r\n\r\nabc", 400),
    "a Content-Length in two words": (POST + b"Content-Length: 3 4\r\n\r\nabc", 400),
    "an empty Content-Length": (POST + b"Content-Length: \r\n\r\nabc", 400),
    "an overflowing Content-Length": (POST + b"Content-Length: 18446744073709551619\r\n\r\nabc", 400),
    "identity, chunked": (POST + b"Transfer-Encoding: identity, chunked\r\n\r\n" + LAST, 400),
    "chunked, identity": (POST + b"Transfer-Encoding: chunked, identity\r\n\r\n" + LAST, 400),
    "chunked, chunked": (POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n" + LAST, 400),
    "chunked twice": (POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + LAST, 400),
    "chunked, then identity": (POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n" + LAST, 400),
    "xchunked": (POST + b"Transfer-Encoding: xchunked\r\n\r\n" + LAST, 400),
    "quoted chunked": (POST + b'Transfer-Encoding: "chunked"\r\n\r\n' + LAST, 400),
    "chunked after a vertical tab": (POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n" + LAST, 400),
    "gzip": (POST + b"Transfer-Encoding: gzip\r\n\r\n" + LAST, 400),
    "gzip, chunked": (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + LAST, 501),
    "an empty Transfer-Encoding": (POST + b"Transfer-Encoding: \r\n\r\n" + LAST, 400),
    "HTTP/1.0 with Transfer-Encoding": (b"POST /first HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n" + LAST, 400),
    "a signed chunk": (CHUNKED + b"+3\r\nabc\r\n" + LAST, 400),
    "a negative chunk": (CHUNKED + b"-3\r\nabc\r\n" + LAST, 400),
    "a chunk with 0x": (CHUNKED + b"0x3\r\nabc\r\n" + LAST, 400),
    "a chunk size before a space": (CHUNKED + b"3 \r\nabc\r\n" + LAST, 400),
    "an overflowing chunk": (CHUNKED + b"10000000000000003\r\nabc\r\n" + LAST, 400),
    "a chunk without its end": (CHUNKED + b"3\r\nabcX" + LAST, 400),
    "a bare LF after a chunk size": (CHUNKED + b"3\nabc\r\n" + LAST, 400),
    "a bare LF in a chunk extension": (CHUNKED + b"3;a\nabc\r\n" + LAST, 400),
    "a Content-Length among the trailers": (CHUNKED + b"3\r\nabc\r\n0\r\nContent-Length: 9\r\n\r\n", 400),
    # where a line ends
    "bare LF": (b"GET /first HTTP/1.1\nHost: a\n\n", 400),
    "bare LF after a header": (GET + b"Host: a\nX: b\r\n\r\n", 400),
    "bare CR in a header": (GET + b"Host: a\rX: b\r\n\r\n", 400),
    "bare LF at the end": (GET + b"Host: a\r\n\n", 400),
    "a folded header": (GET + b"Host: a\r\nX: b\r\n c\r\n\r\n", 400),
    "a folded first header": (GET + b" X: b\r\nHost: a\r\n\r\n", 400),
    "a header without a colon": (GET + b"Host: a\r\nX\r\n\r\n", 400),
    "a header without a name": (GET + b"Host: a\r\n: x\r\n\r\n", 400),
    "a space before the colon": (POST + b"Content-Length : 3\r\n\r\nabc", 400),
    "a tab before the colon": (POST + b"Transfer-Encoding\t: chunked\r\n\r\n" + LAST, 400),
    "NUL in a header": (GET + b"Host: a\r\nX: a\0b\r\n\r\n", 400),
    "NUL in a name": (POST + b"Content-Length\0: 3\r\n\r\nabc", 400),
    "a name in latin-1": (GET + b"Host: a\r\nX\xe9: b\r\n\r\n", 400),
    # which language it is
    "HTTP/0.9": (b"GET /first\r\n\r\n", 400),
    "HTTP/0.9 by name": (b"GET /first HTTP/0.9\r\nHost: a\r\n\r\n", 400),
    "HTTP/1.2": (b"GET /first HTTP/1.2\r\nHost: a\r\n\r\n", 505),
    "HTTP/2.0": (b"GET /first HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    "the preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "http in lower case": (b"GET /first http/1.1\r\nHost: a\r\n\r\n", 400),
    "a method in lower case": (b"get /first HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a method that is not one": (b"SOURCE /first HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    "TRACE": (b"TRACE /first HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    "CONNECT": (b"CONNECT b:443 HTTP/1.1\r\nHost: b:443\r\n\r\n", 501),
    "a TLS handshake": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    "a tab for a space": (b"GET\t/first HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "words after the version": (b"GET /first HTTP/1.1 x\r\nHost: a\r\n\r\n", 400),
    "a space before all": (b" GET /first HTTP/1.1\r\nHost: a\r\n\r\n", 400),
}

ONE_REQUEST = {
    "an empty line before": (b"\r\n" + GET + b"Host: a\r\n\r\n", ("GET", "/first", b"")),
    "absolute form": (b"GET http://A/first HTTP/1.1\r\nHost: a\r\n\r\n", ("GET", "/first", b"")),
    "absolute form without a path": (b"GET http://a?x HTTP/1.1\r\nHost: a\r\n\r\n", ("GET", "/", b"")),
    "an IPv6 Host": (GET + b"Host: [::1]:80\r\n\r\n", ("GET", "/first", b"")),
    "an empty Host": (GET + b"Host:\r\n\r\n", ("GET", "/first", b"")),
    "Host with white space after it": (GET + b"Host: a \t\r\n\r\n", ("GET", "/first", b"")),
    "a GET with a body": (GET + b"Host: a\r\nContent-Length: 3\r\n\r\nabc", ("GET", "/first", b"abc")),
    "leading zeros": (POST + b"Content-Length: 0003\r\n\r\nabc", ("POST", "/first", b"abc")),
    "no body at all": (POST + b"\r\n", ("POST", "/first", b"")),
    "CHUNKED": (POST + b"Transfer-Encoding: CHUNKED\r\n\r\n3\r\nabc\r\n" + LAST, ("POST", "/first", b"abc")),
    "chunks": (CHUNKED + b"1\r\na\r\n02\r\nbc\r\n" + LAST, ("POST", "/first", b"abc")),
    "a chunk extension": (CHUNKED + b"3;a=b\r\nabc\r\n" + LAST, ("POST", "/first", b"abc")),
    "trailers are dropped": (
        CHUNKED + b"3\r\nabc\r\n0\r\nHost: b\r\nX: y\r\n\r\n",
        ("POST", "/first", b"abc"),
    ),
    "Content_Length is another header": (POST + b"Content_Length: 3\r\n\r\n", ("POST", "/first", b"")),
    "an escaped slash stays escaped": (b"GET /a%2Fb%41 HTTP/1.1\r\nHost: a\r\n\r\n", ("GET", "/a%2FbA", b"")),
    "dots are not resolved": (b"GET /a/../b HTTP/1.1\r\nHost: a\r\n\r\n", ("GET", "/a/../b", b"")),
    "a body that looks like a request": (
        POST + b"Content-Length: %d\r\n\r\n" % len(NEXT) + NEXT,
        ("POST", "/first", NEXT),
    ),
}

LAST_REQUEST = {
    "Connection: close": (GET + b"Host: a\r\nConnection: close\r\n\r\n", ("GET", "/first", b"")),
    "close in a list": (GET + b"Host: a\r\nConnection: keep-alive, close\r\n\r\n", ("GET", "/first", b"")),
    "HTTP/1.0": (b"GET /first HTTP/1.0\r\n\r\n", ("GET", "/first", b"")),
    "an upgrade": (
        GET + b"Host: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        ("GET", "/first", b""),
    ),
    "an upgrade with a body": (
        POST + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\nabc",
        ("POST", "/first", b"abc"),
    ),
    "an upgrade with chunks": (
        POST + b"Connection: Upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n" + LAST,
        ("POST", "/first", b"abc"),
    ),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_a_trick_is_refused_and_nothing_after_it_is_read(serve: Serve, name: str) -> None:
    raw, status = REFUSED[name]
    seen = Seen([])
    served = await serve(seen)
    [reply] = await served.talk(raw + NEXT)
    assert seen.requests == []
    assert (reply.status, reply.headers["connection"]) == (status, "close")
    assert reply.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("name", ONE_REQUEST)
async def test_what_is_unambiguous_is_one_request(serve: Serve, name: str) -> None:
    raw, expected = ONE_REQUEST[name]
    seen = Seen([])
    served = await serve(seen)
    replies = await served.talk(raw + NEXT)
    assert seen.requests == [expected, ("GET", "/next", b"")]
    assert [(reply.status, reply.headers.get("connection")) for reply in replies] == [(200, None), (200, None)]


@pytest.mark.parametrize("name", LAST_REQUEST)
async def test_nothing_is_read_after_the_last_request(serve: Serve, name: str) -> None:
    raw, expected = LAST_REQUEST[name]
    seen = Seen([])
    served = await serve(seen)
    [reply] = await served.talk(raw + NEXT)
    assert seen.requests == [expected]
    assert (reply.status, reply.headers["connection"]) == (200, "close")


async def test_what_was_complete_before_a_trick_is_still_answered(serve: Serve) -> None:
    seen = Seen([])
    served = await serve(seen)
    replies = await served.talk(NEXT + NEXT + GET + b"\r\n" + NEXT)
    assert [reply.status for reply in replies] == [200, 200, 400]
    assert len(seen.requests) == 2


async def test_http_1_0_may_ask_to_go_on(serve: Serve) -> None:
    seen = Seen([])
    served = await serve(seen)
    replies = await served.talk(b"GET /first HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + NEXT)
    assert [reply.headers.get("connection") for reply in replies] == ["keep-alive", None]
    assert len(seen.requests) == 2
