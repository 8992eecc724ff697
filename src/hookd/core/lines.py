"""The line protocol of the Unix socket and of NDJSON: an event is a line, and so is its reply.

Rules of this module:

1. A line ends with LF or CR LF. An empty line is nothing and gets no reply. Bytes without an end are not a line: a
   sender that died in the middle of an event did not send it.
2. A line longer than the limit is not kept while it arrives: it is told once, when it ends, and the next one is read.
3. However the bytes are cut into chunks, the same lines come out, at a cost that follows the bytes.
4. A reply is one line, compact JSON, its keys as the contract writes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec

from hookd.core.model import Accepted, Duplicate

if TYPE_CHECKING:
    from hookd.core.model import Reply


class TooLong:
    """Stands where a line of more bytes than the limit was."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "TOO_LONG"


TOO_LONG: Final = TooLong()

Line: TypeAlias = "bytes | TooLong"


class LineFramer:
    """Bytes in, lines out; it does no I/O. `limit` is what a line may hold, its end not counted."""

    __slots__ = ("_begun", "_limit", "_skipping")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._begun = bytearray()  # of the line that has not ended
        self._skipping = False  # that line is too long already, and what comes of it is dropped

    def feed(self, chunk: bytes) -> list[Line]:
        """Take the next bytes; give the lines that they end, without their ends."""
        pieces = chunk.split(b"\n")
        rest = pieces.pop()
        lines: list[Line] = []
        if pieces:
            if self._skipping or self._begun:
                self._begin(pieces[0])
                pieces[0] = b""
                self._end_into(lines)
            limit = self._limit
            for piece in pieces:
                line = piece[:-1] if piece.endswith(b"\r") else piece
                if line:
                    lines.append(line if len(line) <= limit else TOO_LONG)
        if rest:
            self._begin(rest)
        return lines

    def finish(self) -> list[Line]:
        """Give the line that has not ended, where the end is known: of a body, or of a stream that was ended."""
        lines: list[Line] = []
        self._end_into(lines)
        return lines

    def _begin(self, piece: bytes) -> None:
        if self._skipping:
            return
        self._begun += piece
        if len(self._begun) > self._limit + 1:  # one more byte may be the CR of the line's end
            self._skipping = True
            self._begun = bytearray()

    def _end_into(self, lines: list[Line]) -> None:
        begun, skipped = self._begun, self._skipping
        self._begun, self._skipping = bytearray(), False
        if begun.endswith(b"\r"):
            del begun[-1:]
        if skipped or len(begun) > self._limit:
            lines.append(TOO_LONG)
        elif begun:
            lines.append(bytes(begun))


_encode: Final = msgspec.json.Encoder().encode


def render_reply(reply: Reply) -> bytes:
    """Give the line that answers an event: the JSON object of the contract and LF."""
    if isinstance(reply, Accepted):
        return b'{"status":"accepted","id":%b,"deliveries":%d}\n' % (_encode(reply.id), reply.deliveries)
    if isinstance(reply, Duplicate):
        return _encode({"status": "duplicate", "id": reply.id}) + b"\n"
    fields: dict[str, object] = {"status": "refused", "code": reply.code, "message": reply.told}
    if reply.path is not None:
        fields["path"] = reply.path
    if reply.id is not None:
        fields["id"] = reply.id
    fields["retry"] = reply.retry
    return _encode(fields) + b"\n"
