"""Reads one HTTP/1.1 response out of bytes: no socket, no clock.

httptools parses; what it lets pass is judged here (each seen with httptools 0.9, llhttp 9):

1. The status counts when the headers are complete. Whatever comes after it (a drip, a cut, garbage, a second
   response in the same bytes) does not undo it, and makes the connection unfit for another request.
2. Only 200 to 599 is a status. 1xx are interim and skipped, unknown ones too (RFC 9110 section 15.2), at most 8 of
   them; 101 was never asked for.
3. Everything before the final headers are complete is at most 64 KiB.
4. At most 64 KiB of the body are kept and waited for, and at most 512 KiB of what carries it: chunk extensions and
   trailers have no end of their own.
5. `on_message_complete` comes for interim responses too, and never for a body that ends with the connection: the
   end of the stream is ours to judge.
6. A 101 with the headers of an upgrade raises `HttpParserUpgrade`, which is no `HttpParserError`.
"""

from __future__ import annotations

from typing import Any, Final

import httptools

from hookd.core.model import Response
from hookd.core.retry import SUCCESS

HEAD_LIMIT: Final = 64 * 1024
BODY_LIMIT: Final = 64 * 1024
CARRIED_LIMIT: Final = 8 * BODY_LIMIT
INTERIM_LIMIT: Final = 8

_TOO_LARGE: Final = f"the response head is larger than {HEAD_LIMIT // 1024} KiB"
_INTERIM: Final = frozenset(range(100, 200)) - {101}
_STATUSES: Final = range(200, 600)
_VERSIONS: Final = frozenset({"1.0", "1.1"})
_FRAMED_BY: Final = frozenset({"content-length", "transfer-encoding"})


class ResponseReader:
    """Reads the responses of one connection, one after another: `begin`, then `feed` until it says True.

    `status` is 0 until the final headers are complete. `fault` says why this is no HTTP response (it quotes no
    bytes of it). `reusable` tells whether the connection is at the start of a next exchange.
    """

    __slots__ = (
        "_body",
        "_carried",
        "_done",
        "_headers",
        "_interim",
        "_interims",
        "_kept_alive",
        "_over",
        "_parser",
        "_received",
        "_size",
        "_surplus",
        "fault",
        "status",
    )

    def __init__(self) -> None:
        self._parser: Any = httptools.HttpResponseParser(self)
        self.begin()

    def begin(self) -> None:
        """Forget the last response."""
        self.status = 0
        self.fault: str | None = None
        self._headers: list[tuple[str, str]] = []
        self._body: list[bytes] = []
        self._size = 0
        self._received = 0
        self._carried = 0
        self._interim = False
        self._interims = 0
        self._done = False
        self._kept_alive = False
        self._surplus = False
        self._over = False

    def close(self) -> None:
        """Let go of the parser, which holds this reader's methods."""
        self._parser = None

    # ------------------------------------------------------------------ bytes in

    def feed(self, data: bytes) -> bool:
        """Take bytes, b"" at the end of the stream; True when there is no more to wait for."""
        if not data:
            # The end of a body that has no other, and a cut in all other cases.
            self._surplus = True
            self._done = self._done or not any(name in _FRAMED_BY for name, _ in self._headers)
            return True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # Judged when the headers were complete; what follows is another protocol.
            self._surplus = True
            return True
        except httptools.HttpParserError as error:
            # After the end it is surplus, inside the body a cut; before the headers are complete it is no response.
            self._surplus = True
            if not self.status and self.fault is None:
                self.fault = str(error)
            return True
        if not self.status and self.fault is None:
            self._received += len(data)
            if self._received > HEAD_LIMIT:
                self.fault = _TOO_LARGE
        elif not self._done:
            self._carried += len(data)
            self._over = self._over or self._carried > CARRIED_LIMIT
        return self._done or self._over or self.fault is not None

    # ------------------------------------------------------------------ what came out

    @property
    def succeeded(self) -> bool:
        """Whether the status is 2xx."""
        return self.status in SUCCESS

    @property
    def reusable(self) -> bool:
        """Whether another request may be sent over the connection."""
        return self._done and self._kept_alive and not self._surplus and self.fault is None

    def response(self) -> Response:
        """Give the response as far as it came; `status` must not be 0."""
        return Response(
            status=self.status,
            headers=tuple(self._headers),
            body=b"".join(self._body),
            truncated=self._over or not self._done,
        )

    # ------------------------------------------------------------------ called by httptools

    def on_message_begin(self) -> None:
        """Note a response that nobody asked for."""
        if self._done:
            self._surplus = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header of the head; trailers and headers of a second response are let go."""
        if not self.status:
            self._headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        """Judge the status, which a second response in the same bytes would overwrite later."""
        if self.status or self.fault is not None:
            return
        status = self._parser.get_status_code()
        if self._parser.get_http_version() not in _VERSIONS:
            self.fault = "the response is not HTTP/1.1"
        elif self._received and self._head_size() > HEAD_LIMIT:  # it came in pieces, and the last one ended it
            self.fault = _TOO_LARGE
        elif status in _STATUSES:
            self.status = status
        elif status in _INTERIM:
            self._interim = True
            self._interims += 1
            self._headers.clear()
            if self._interims > INTERIM_LIMIT:
                self.fault = f"more than {INTERIM_LIMIT} interim responses"
        else:
            self.fault = f"{status} is not a status that answers a request"

    def _head_size(self) -> int:
        """Give the bytes of the headers of this head, as far as they are kept: name, colon, value, line break."""
        return sum(len(name) + len(value) + 3 for name, value in self._headers)

    def on_body(self, data: bytes) -> None:
        """Keep what there is room for."""
        if self._done or not self.status:
            return
        room = BODY_LIMIT - self._size
        if len(data) > room:
            self._over = True
            data = data[:room]
        self._size += len(data)
        self._body.append(data)

    def on_message_complete(self) -> None:
        """End the response, unless it was an interim one."""
        if self._interim:
            self._interim = False
        elif not self._done:
            self._done = True
            self._kept_alive = self._parser.should_keep_alive()
