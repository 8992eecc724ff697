"""HTTP/1.1 requests out of bytes: llhttp parses, this module decides what is a request (sans I/O).

Rules of this module:

1. What two readers could understand differently is refused: a missing or second Host, a Host that contradicts the
   target, Transfer-Encoding that is not exactly `chunked` or comes with HTTP/1.0 or with Content-Length, HTTP/0.9, a
   fragment. The rest of the tricks llhttp refuses by itself, in its strict mode; `tests/web/test_smuggling.py` holds
   both to it.
2. A fault ends the connection: nothing after it is read, since where the next request begins is unknown. Requests that
   were complete before it are still answered, in order.
3. Limits hold while bytes come in, not when they are all there: the head, one header, the target, the body, and the
   bodies of all connections together.
4. Nobody is upgraded: the request is answered as if it had not asked, and the connection ends (RFC 9110, 7.8).
   httptools leaves the body of such a request unread, so it goes through a second parser with a head of ours.
5. Trailers are dropped (RFC 9110, 6.5.1: one that is not understood may be).
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

import httptools

from hookd.web.messages import Request, Response
from hookd.web.problem import problem

if TYPE_CHECKING:
    from hookd.web.limits import BodyBudget, HttpLimits
    from hookd.web.messages import Admit
    from hookd.web.sockets import Peer

METHODS = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"})
#: Codings that are registered (RFC 9112, 7) and that we do not undo: 501. Others nobody knows: 400.
CODINGS = frozenset({b"chunked", b"gzip", b"x-gzip", b"compress", b"x-compress", b"deflate"})
#: uri-host [":" port] of RFC 3986, without the comma: a list of hosts is two hosts.
_HOST = re.compile(rb"[A-Za-z0-9._~%!$&'()*+;=\-]*(?::[0-9]*)?|\[[0-9A-Fa-f:.]+\](?::[0-9]*)?")
_ABSOLUTE = re.compile(rb"https?://([^/?#]*)([^#]*)", re.IGNORECASE)


class _Refused(Exception):  # noqa: N818  ends the parsing; `fault` says why
    """Stops llhttp from inside a callback."""


class RequestReader:
    """Bytes in, complete requests out. One for each connection.

    `requests` are complete and in order; `fault` is what to answer after them, and the end. `in_head` and `in_body`
    say where the unfinished one stands.
    """

    __slots__ = (
        "_admit",
        "_body",
        "_budget",
        "_client",
        "_fed",
        "_head_bytes",
        "_headers",
        "_held",
        "_host",
        "_left",
        "_limits",
        "_parser",
        "_peer",
        "_request",
        "_target",
        "_too_large",
        "body_received",
        "expects_continue",
        "fault",
        "in_body",
        "in_head",
        "requests",
    )

    def __init__(
        self,
        limits: HttpLimits,
        budget: BodyBudget,
        *,
        admit: Admit | None = None,
        peer: Peer | None = None,
        client: str = "",
    ) -> None:
        self.requests: deque[Request] = deque()
        self.fault: Response | None = None
        self.in_head = False
        self.in_body = False
        self.body_received = 0
        self.expects_continue = False  # to be put to False by whoever has said it
        self._limits = limits
        self._budget = budget
        self._admit = admit
        self._peer = peer
        self._client = client
        self._parser = httptools.HttpRequestParser(self)
        self._host: bytes | None = None  # the last one that was looked at: it is nearly always the same
        self._held = 0
        self._request: Request | None = None
        self._too_large: Response | None = None
        self._begin()

    def _begin(self) -> None:
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._head_bytes = 0
        self._fed = 0
        self._body: bytes | bytearray = b""
        self._left = 0

    # ----------------------------------------------------------------------- bytes in

    def feed(self, data: bytes) -> None:
        """Take what came in. Not to be called after a fault."""
        unfinished = self.in_head or self.in_body
        before = len(self.requests), self.body_received
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as pause:
            self._feed_after_upgrade(data[pause.args[0] :])
        except httptools.HttpParserError as error:
            self._fail_parsing(error)
        if unfinished and (self.in_head or self.in_body) and before == (len(self.requests), self.body_received):
            # Pieces of a header, a trailer or a chunk's extension, of which the parser tells nothing until it is whole.
            self._fed += len(data)
            if self._fed > self._limits.header_bytes + self._limits.target_bytes and self.fault is None:
                self.fault = problem(431, "the header section is too large", close=True)

    def settle(self, request: Request) -> None:
        """Say that a request is answered and its body gone."""
        size = len(request.body)
        self._held -= size
        self._budget.used -= size

    def release(self) -> None:
        """Say that the connection is over."""
        self._budget.used -= self._held
        self._held = 0

    def _fail_parsing(self, error: httptools.HttpParserError) -> None:
        if self.fault is not None:
            return
        reason = str(error)  # llhttp's own words: they hold nothing of the input
        if reason in {"Invalid HTTP version", "Pause on PRI/Upgrade"}:
            self.fault = problem(505, "this server speaks HTTP/1.1", close=True)
        else:
            self.fault = problem(400, f"this is not an HTTP/1.1 request: {reason}", close=True)

    def _feed_after_upgrade(self, rest: bytes) -> None:
        if self._request is None:
            return  # it had no body, and is complete; what follows is not HTTP
        length = self._request.header(b"content-length")
        framing = b"transfer-encoding: chunked" if length is None else b"content-length: " + length
        self._parser = httptools.HttpRequestParser(_BodyOnly(self))
        self._parser.feed_data(b"POST / HTTP/1.1\r\nconnection: close\r\n" + framing + b"\r\n\r\n")
        if rest:
            try:
                self._parser.feed_data(rest)
            except httptools.HttpParserError as error:
                self._fail_parsing(error)

    # ----------------------------------------------------------------------- callbacks of the parser

    def on_message_begin(self) -> None:
        """Begin the next request."""
        self._begin()
        self.in_head = True

    def on_url(self, part: bytes) -> None:
        """Take the target, or a part of it."""
        self._target += part
        if len(self._target) > self._limits.target_bytes:
            self._refuse(414, "the request target is too long")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, or a trailer."""
        self._head_bytes += len(name) + len(value) + 4
        if self._head_bytes > self._limits.header_bytes:
            self._refuse(431, "the header section is too large")
        if self.in_head:
            self._headers.append((name.lower(), value.rstrip(b" \t")))
            if len(self._headers) > self._limits.headers:
                self._refuse(431, "there are too many headers")

    def on_headers_complete(self) -> None:
        """Judge the head, and ask whether the body may come."""
        version = self._parser.get_http_version()
        if version not in {"1.1", "1.0"}:
            self._refuse(400 if version == "0.9" else 505, "this server speaks HTTP/1.1")
        method = self._parser.get_method()
        if method not in METHODS:
            self._refuse(501, "this method is not known here")
        old = version == "1.0"
        length, expects = self._judge_headers(old=old)
        raw_path, _, query = self._target.partition(b"?")
        upgrade = self._parser.should_upgrade()
        request = Request(
            method=method.decode("latin-1"),
            raw_path=raw_path,
            query=query,
            headers=tuple(self._headers),
            version=version,
            keep_alive=not upgrade and self._parser.should_keep_alive(),
            peer=self._peer,
            client=self._client,
        )
        self._left = self._limits.body_bytes
        self._too_large = None
        if self._admit is not None:
            answer = self._admit(request)
            if isinstance(answer, Response):
                self._stop(answer)
            else:
                self._left = answer.body_bytes
                self._too_large = answer.too_large
                request.grant = answer.grant
        if length > self._left:
            self._refuse_body()
        self.in_head = False
        self.in_body = True
        self._fed = 0
        self.body_received = 0
        self.expects_continue = expects and length != 0
        self._request = request

    def on_body(self, part: bytes) -> None:
        """Take a part of the body."""
        size = len(part)
        self.body_received += size
        self._fed = 0
        self._left -= size
        if self._left < 0:
            self._refuse_body()
        self._held += size
        self._budget.used += size
        if self._budget.used > self._budget.most:
            self._refuse(503, "too many requests are being read; try again", headers=((b"retry-after", b"1"),))
        if not self._body:
            self._body = part
        else:
            if isinstance(self._body, bytes):
                self._body = bytearray(self._body)
            self._body += part

    def on_message_complete(self) -> None:
        """Put the request in line, unless its body is still to come past an upgrade."""
        request = self._request
        if request is None:
            return
        if self._parser.should_upgrade() and self._declares_body(request):
            return
        request.body = bytes(self._body)
        self._body = b""
        self._request = None
        self.in_body = False
        self.expects_continue = False
        self.requests.append(request)

    # ----------------------------------------------------------------------- judging

    def _judge_headers(self, *, old: bool) -> tuple[int, bool]:
        """Judge what frames the message; give how long its body is (-1: chunked), and whether 100 is expected."""
        host: bytes | None = None
        length: int | None = None
        chunked = expects = False
        for name, value in self._headers:
            if name == b"host":
                if host is not None:
                    self._refuse(400, "there is more than one Host header")
                host = value
            elif name == b"content-length":
                length = int(value)  # llhttp let one through, of digits that fit 64 bits
            elif name == b"transfer-encoding":
                self._judge_coding(value, again=chunked, old=old)
                chunked = True
            elif name == b"expect":
                if value.lower() != b"100-continue":
                    self._refuse(417, "the only expectation that is known here is 100-continue")
                expects = not old
        if chunked and length is not None:
            self._refuse(400, "there are both Content-Length and Transfer-Encoding")
        self._judge_target(host, old=old)
        return (-1 if chunked else length or 0), expects

    def _judge_coding(self, value: bytes, *, again: bool, old: bool) -> None:
        if old or again:
            self._refuse(400, "Transfer-Encoding may be there once, and not in HTTP/1.0")
        codings = [coding.strip(b" \t").lower() for coding in value.split(b",")]
        if codings == [b"chunked"]:
            return
        known = CODINGS.issuperset(codings) and codings.count(b"chunked") == 1 and codings[-1] == b"chunked"
        self._refuse(501 if known else 400, "the only Transfer-Encoding that is known here is chunked")

    def _judge_target(self, host: bytes | None, *, old: bool) -> None:
        if host is None:
            if not old:
                self._refuse(400, "there is no Host header")
        elif host != self._host:
            if _HOST.fullmatch(host) is None:
                self._refuse(400, "the Host header is not a host")
            self._host = host
        target = self._target
        if b"#" in target or not target.isascii():
            self._refuse(400, "the request target holds what a target may not")
        if not target.startswith(b"/") and target != b"*":
            absolute = _ABSOLUTE.fullmatch(target)  # RFC 9112, 3.2.2: it must be taken
            if absolute is None or (host is not None and absolute[1].lower() != host.lower()):
                self._refuse(400, "the request target is not a path, or not of this Host")
            rest = absolute[2]
            self._target = rest if rest.startswith(b"/") else b"/" + rest

    @staticmethod
    def _declares_body(request: Request) -> bool:
        length = request.header(b"content-length")
        return int(length) > 0 if length is not None else request.header(b"transfer-encoding") is not None

    def _refuse_body(self) -> NoReturn:
        self._stop(self._too_large or problem(413, "the body is too large"))

    def _refuse(self, status: int, detail: str, headers: tuple[tuple[bytes, bytes], ...] = ()) -> NoReturn:
        self._stop(problem(status, detail, headers=headers, close=True))

    def _stop(self, answer: Response) -> NoReturn:
        self.fault = replace(answer, body=b"") if self._parser.get_method() == b"HEAD" else answer
        raise _Refused


class _BodyOnly:
    """The callbacks of the second parser (rule 4): its head is ours, and says nothing."""

    __slots__ = ("on_body", "on_message_complete")

    def __init__(self, reader: RequestReader) -> None:
        self.on_body = reader.on_body
        self.on_message_complete = reader.on_message_complete
