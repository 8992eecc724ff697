"""The events of the benchmark: lines for the daemon, and the body that each of them becomes.

Rules: every body is `BODY_BYTES` long, so that figures of different rows compare; `data` has a dozen keys, since a
single long text would flatter a JSON parser; ids are the producer's own and grow, as those of a database do.
"""

from __future__ import annotations

import json
from typing import Final

BODY_BYTES: Final = 500
EVENT_TYPE: Final = "bench.event"
_TIME: Final = "2026-11-21T16:20:05.000Z"


def _build_data(event_id: str, pad: str) -> bytes:
    data = {
        "id": event_id,
        "entity_type": "user",
        "action": "updated",
        "country": "NL",
        "amount": 150,
        "rate": 4.895168,
        "vip": True,
        "infix": None,
        "companies": [5, 17, 42],
        "address": {"street": "Stationsplein", "number": 7, "city": "Utrecht"},
        "tags": ["gold", "newsletter"],
        "note": pad,
    }
    return json.dumps(data, separators=(",", ":")).encode()


def build_body(event_id: str, event_type: str = EVENT_TYPE) -> bytes:
    """Give what the default template makes of an event: `BODY_BYTES` bytes."""
    head = b'{"type":"%s","timestamp":"%s","data":' % (event_type.encode(), _TIME.encode())
    short = len(head) + len(_build_data(event_id, "")) + 1
    return head + _build_data(event_id, "x" * (BODY_BYTES - short)) + b"}"


def build_line(event_id: str, event_type: str = EVENT_TYPE) -> bytes:
    """Give an event as the socket takes it, with its newline."""
    body = build_body(event_id, event_type)
    head = b'{"id":"%s","type":"%s","time":"%s",' % (event_id.encode(), event_type.encode(), _TIME.encode())
    return head + body[body.index(b'"data":') :] + b"\n"


class Source:
    """Makes events with ids that no other event of this source has. State: the last number."""

    def __init__(self) -> None:
        self._last = 0

    def lines(self, count: int, event_type: str = EVENT_TYPE) -> list[bytes]:
        """Give so many new events as lines."""
        first = self._last + 1
        self._last += count
        return [build_line(f"{number:012d}", event_type) for number in range(first, self._last + 1)]


def id_of(line: bytes) -> str:
    """Give the id of an event that this module made."""
    return line[7:19].decode()
