"""What a receiver says in HTTP/2, judged frame by frame before httpcore's engine gets it.

Rules of this module:

1. A frame may be no longer than we allow (RFC 9113 section 4.2). h2 waits for the whole of a frame before it finds that
   it is too long, and a length has 24 bits: twenty receivers that announce 16 MiB and stop one byte short would hold
   320 MiB of ours. What is no HTTP/2 at all shows here, too, as a length that makes no sense.
2. A response has one `:status`, of three digits (RFC 9113 section 8.3.2). h2 could see to it, but with checks that real
   servers do not pass (`keep-alive` headers, say), so httpcore switches all of them off; and then takes a head without
   a status for a 200 (seen with httpcore 1.0.9): a delivery would count as made that nobody has confirmed.
3. Nothing is pushed to us: httpcore says so in its settings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hpack import Decoder, HPACKError

if TYPE_CHECKING:
    from collections.abc import Iterable

#: RFC 9113, 4.1: length (24 bits), type, flags, stream.
_HEAD_BYTES: Final = 9
#: RFC 9113, 4.2: what may be sent to whom has not allowed more. hookd never does.
MOST_BYTES: Final = 16_384
#: A block of headers, compressed, over all its frames; the fast sender reads as much.
MOST_HEADERS: Final = 64 * 1024

# RFC 9113 section 6.
_HEADERS: Final = 0x1
_PUSH_PROMISE: Final = 0x5
_CONTINUATION: Final = 0x9
_END_HEADERS: Final = 0x4
_PADDED: Final = 0x8
_PRIORITY: Final = 0x20
_PRIORITY_BYTES: Final = 5
_STATUS_DIGITS: Final = 3


class FrameJudge:
    """Follows the frames from a receiver. State: where it is in them, its header table, and who has been answered."""

    __slots__ = ("_answered", "_block", "_decoder", "_head", "_left", "_payload")

    def __init__(self) -> None:
        self._head = bytearray()
        self._left = 0  # bytes of the current frame that are still to come
        self._payload: bytearray | None = None  # what came of it, if it holds headers
        self._block = bytearray()
        self._decoder = Decoder()  # every block passes through it, since each changes its table
        self._answered: set[int] = set()  # streams with a final head; a connection lives for a minute, so they are few

    def feed(self, data: bytes) -> bool:
        """Take the next bytes; tell whether all that they begin and end is as it must be."""
        at = 0
        while at < len(data):
            if len(self._head) < _HEAD_BYTES:
                need = _HEAD_BYTES - len(self._head)
                self._head += data[at : at + need]
                at += need
                if len(self._head) == _HEAD_BYTES and not self._begin():
                    return False
            else:
                step = min(self._left, len(data) - at)
                if self._payload is not None:
                    self._payload += data[at : at + step]
                self._left -= step
                at += step
            if not self._left and len(self._head) == _HEAD_BYTES and not self._end():
                return False
        return True

    def _begin(self) -> bool:
        self._left = int.from_bytes(self._head[:3], "big")
        kind = self._head[3]
        self._payload = bytearray() if kind in {_HEADERS, _CONTINUATION} else None
        return self._left <= MOST_BYTES and kind != _PUSH_PROMISE

    def _end(self) -> bool:
        payload, self._payload = self._payload, None
        kind, flags, stream = self._head[3], self._head[4], int.from_bytes(self._head[5:], "big") & 0x7FFFFFFF
        self._head.clear()
        if payload is None:
            return True
        if kind == _HEADERS:
            self._block = _unwrap(payload, flags)
        else:
            self._block += payload
        if len(self._block) > MOST_HEADERS:
            return False
        return not flags & _END_HEADERS or self._judge(stream)

    def _judge(self, stream: int) -> bool:
        try:
            headers = self._decoder.decode(bytes(self._block), raw=True)
        except (HPACKError, UnicodeDecodeError):
            return False
        if stream in self._answered:
            return True  # trailers
        status = _status(headers)
        if status is None:
            return False
        if not status.startswith(b"1"):
            self._answered.add(stream)
        return True


def _unwrap(payload: bytearray, flags: int) -> bytearray:
    """Take padding and priority off (RFC 9113 section 6.2). What is too short for them gives nothing, so no status."""
    padding = 0
    if flags & _PADDED and payload:
        padding = payload[0]
        payload = payload[1:]
    if flags & _PRIORITY:
        payload = payload[_PRIORITY_BYTES:]
    return payload[: max(0, len(payload) - padding)]


def _status(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """Give the one status that a head has."""
    found = [value for name, value in headers if name == b":status"]
    if len(found) != 1 or len(found[0]) != _STATUS_DIGITS or not found[0].isdigit():
        return None
    return found[0]
