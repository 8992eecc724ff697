"""Delivery ids: what stands in the `webhook-id` header, the same over all attempts and redrives.

Rule: an id is `dlv_`, the store's own `uid`, and the number of the row in 12 hexadecimal digits. So ids of two stores
never meet, one that is not ours is known for it, and the row is found without an index.
"""

from __future__ import annotations

from typing import Final

_DIGITS: Final = 12
_HEXADECIMAL: Final = frozenset("0123456789abcdef")


def write_delivery_id(uid: str, seq: int) -> str:
    """Give the id of the delivery whose row has this number."""
    return f"dlv_{uid}{seq:0{_DIGITS}x}"


def read_delivery_id(uid: str, delivery_id: str) -> int:
    """Give the row number in a delivery id; 0, which no row has, if it is not one of ours."""
    prefix = f"dlv_{uid}"
    digits = delivery_id.removeprefix(prefix)
    if not delivery_id.startswith(prefix) or len(digits) < _DIGITS or not _HEXADECIMAL.issuperset(digits):
        return 0
    return int(digits, 16)
