"""The lengths of HTTP/2 frames, judged before anybody waits for their bytes.

h2 waits for the whole of a frame before it finds that it is too long, and a length has 24 bits: twenty receivers that
announce 16 MiB and stop one byte short would hold 320 MiB of ours. What is no HTTP/2 at all shows here, too, as a
length that makes no sense.
"""

from __future__ import annotations

from typing import Final

#: RFC 9113, 4.1: length (24 bits), type, flags, stream.
_HEAD_BYTES: Final = 9
#: RFC 9113, 4.2: what may be sent to whom has not allowed more. hookd never does.
MOST_BYTES: Final = 16_384


class FrameJudge:
    """Follows the frames of one direction of a connection."""

    __slots__ = ("_head", "_left")

    def __init__(self) -> None:
        self._head = bytearray()
        self._left = 0  # bytes of the current frame that are still to come

    def feed(self, data: bytes) -> bool:
        """Take the next bytes; tell whether all frames that they begin are as short as they must be."""
        at = 0
        while at < len(data):
            if self._left:
                step = min(self._left, len(data) - at)
                self._left -= step
                at += step
                continue
            need = _HEAD_BYTES - len(self._head)
            self._head += data[at : at + need]
            at += need
            if len(self._head) == _HEAD_BYTES:
                self._left = int.from_bytes(self._head[:3], "big")
                self._head.clear()
                if self._left > MOST_BYTES:
                    return False
        return True
