"""What a store asks of an event: its key, its size, and whether it tells the same when it is sent again.

The digest covers what the producer wrote. When it differs, the two may still say the same (spaces, the order of
keys), and then they are compared as parsed JSON: a sender that builds its line anew must not get an `id_conflict`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hookd.core.wire import same_content

if TYPE_CHECKING:
    from hookd.core.model import Event


def event_key(event: Event) -> tuple[str, str, str]:
    """Give the idempotency key; no tenant and an empty one are the same."""
    return (event.tenant or "", event.source or "", event.id)


def event_bytes(event: Event) -> int:
    """Give what an event counts for against a bound of bytes."""
    return len(event.data or b"") + len(event.extensions or b"")


def tells_the_same(kept: Event, again: Event) -> bool:
    """Compare an event with the one that is kept under its key."""
    return bool(kept.digest and kept.digest == again.digest) or same_content(kept, again)
