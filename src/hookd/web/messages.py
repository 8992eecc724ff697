"""A request, a response, and what stands between them and bytes.

Rules of this module:

1. A request is complete: its body has been read whole, within limits, before anyone is asked to answer it.
2. The framing of a response is the server's alone: `content-length`, `transfer-encoding`, `connection` and `date`
   are written here, from what the response is, and never taken from whoever made it.
3. No header leaves with a CR, LF or NUL in it: that is a bug of ours, and a `ValueError`, not a second response.
"""

from __future__ import annotations

import string
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from hookd.web.sockets import Peer

PHRASES = {status.value: status.phrase for status in HTTPStatus}
PHRASES[413] = "Content Too Large"  # RFC 9110, 15.5.14; Python 3.11 still has the name of RFC 7231
PHRASES[422] = "Unprocessable Content"  # RFC 9110, 15.5.21

HeaderList: TypeAlias = "tuple[tuple[bytes, bytes], ...]"

_FRAMING = frozenset({b"content-length", b"transfer-encoding", b"connection", b"keep-alive", b"date"})
_WITHOUT_BODY = frozenset({204, 304})  # RFC 9110, 6.4.1
_HEX = frozenset(string.hexdigits.encode())
#: Escapes that stay as they are written: decoded, they would be taken for a separator or for an escape.
_KEEP_ESCAPED = frozenset({*range(0x20), 0x7F, *b"/\\%"})


class Request:
    """A request as the client sent it. Header names are in lower case, their values bytes, in the order they came."""

    __slots__ = (
        "_text_path",
        "body",
        "client",
        "grant",
        "headers",
        "keep_alive",
        "method",
        "peer",
        "query",
        "raw_path",
        "version",
    )

    def __init__(
        self,
        *,
        method: str,
        raw_path: bytes,
        query: bytes,
        headers: HeaderList,
        version: str = "1.1",
        keep_alive: bool = True,
        peer: Peer | None = None,
        client: str = "",
        body: bytes = b"",
    ) -> None:
        self.method = method
        self.raw_path = raw_path  # as it was written, percent-escapes and all
        self.query = query  # without the question mark
        self.headers = headers
        self.version = version
        self.keep_alive = keep_alive
        self.peer = peer
        self.client = client
        self.body = body
        self.grant: object = None  # what admission found out, for who answers
        self._text_path: str | None = None

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.path!r}>"  # no query, no headers, no body: they may hold secrets

    @property
    def path(self) -> str:
        """The path, decoded where that is safe: `%2F`, `%5C`, `%25` and control characters stay escaped."""
        if self._text_path is None:
            self._text_path = decode_path(self.raw_path)
        return self._text_path

    @property
    def target(self) -> bytes:
        """The path and the query as they were written."""
        return self.raw_path + b"?" + self.query if self.query else self.raw_path

    def header(self, name: bytes) -> bytes | None:
        """Give the value of the first header with this (lower case) name."""
        for known, value in self.headers:
            if known == name:
                return value
        return None


@dataclass(frozen=True, slots=True)
class Response:
    """An answer. Header names are in lower case; those that frame the message are not given here."""

    status: int
    headers: HeaderList = ()
    body: bytes = b""
    close: bool = False  # the connection ends after it


#: Who answers requests. What it raises is told as a mistake of ours (500).
Answerer: TypeAlias = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Admission:
    """That the body of a request may be read, how many bytes of it, and what who answers gets as `request.grant`."""

    body_bytes: int
    grant: object = None
    too_large: Response | None = None  # what to answer to a larger body; None: the server's own 413


#: Asked when the headers are there and the body is not: an answer ends the request (and its connection) unread.
Admit: TypeAlias = Callable[[Request], "Admission | Response"]


def decode_path(raw: bytes) -> str:
    """Decode percent-escapes as UTF-8 where that cannot change what the path means; junk stays as it is written."""
    if b"%" not in raw:
        return raw.decode("latin-1")  # the parser let ASCII through only
    first, *rest = raw.split(b"%")
    decoded = bytearray(first)
    for part in rest:
        digits = part[:2]
        code = int(digits, 16) if len(digits) == 2 and _HEX.issuperset(digits) else -1  # noqa: PLR2004  RFC 3986, 2.1
        if code < 0 or code in _KEEP_ESCAPED:
            decoded += b"%" + part
        else:
            decoded.append(code)
            decoded += part[2:]
    try:
        return decoded.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def render_response(
    response: Response, *, date: bytes, keep_alive: bool, head: bool = False, old: bool = False
) -> bytes:
    """Give head and body as the bytes to send. `head`: to a HEAD request; `old`: to HTTP/1.0, where keeping is said.

    Raises `ValueError` for a header that would break out of its line.
    """
    status = response.status
    parts = [b"HTTP/1.1 %d %b\r\n" % (status, PHRASES.get(status, "").encode())]
    for name, value in response.headers:
        line = b"%b: %b\r\n" % (name, value)
        if line.count(b"\n") != 1 or line.count(b"\r") != 1 or b"\0" in line:
            raise ValueError("a response header holds a line break or NUL")
        if name not in _FRAMING:
            parts.append(line)
    parts.append(b"date: %b\r\n" % date)
    body = response.body
    if status in _WITHOUT_BODY:
        body = b""
    else:
        parts.append(b"content-length: %d\r\n" % len(body))
    if not keep_alive:
        parts.append(b"connection: close\r\n")
    elif old:
        parts.append(b"connection: keep-alive\r\n")
    parts.append(b"\r\n")
    if body and not head:
        parts.append(body)
    return b"".join(parts)
