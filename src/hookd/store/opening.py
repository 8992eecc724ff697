"""Opening the account: the ledger of a file, as its rows say. The cost follows the webhooks, not their deliveries."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from hookd.core.model import WebhookState
from hookd.store.batches import ask
from hookd.store.ledger import Counters, Lane, Ledger

if TYPE_CHECKING:
    import apsw

_LOAD = (
    "SELECT key, name, merged_into, fingerprint, rules, bound, paused, state, held_since, held_total,"
    " pending, withheld, dead, delivered, exchanges,"
    " (SELECT due_at FROM deliveries d WHERE pending AND d.webhook = w.key AND d.state = 0 AND d.due_at IS NOT NULL"
    "  ORDER BY d.due_at LIMIT 1)"
    " FROM webhooks w"
)

_decode_state = msgspec.json.Decoder(WebhookState).decode


def read_state(text: str) -> WebhookState:
    """Give the state of a webhook from its column."""
    return _decode_state(text)


def load_ledger(connection: apsw.Connection) -> Ledger:
    """Give the ledger of a file that was just opened; nothing is claimed."""
    [(uid,)] = ask(connection, "SELECT value FROM meta WHERE name = 'uid'")
    [counted] = ask(connection, "SELECT event, delivery, attempt, webhook, bytes FROM counters")
    ledger = Ledger(uid=uid, counters=Counters(*counted))
    for row in ask(connection, _LOAD):
        (key, name, merged, fingerprint, rules, bound, paused, state, held_since, held_total, *counts, due) = row
        if merged is not None:
            ledger.merged[key] = merged
            continue
        pending, withheld, dead, delivered, exchanges = counts
        lane = Lane(
            key=key,
            name=name,
            state=read_state(state),
            fingerprint=fingerprint,
            rules=rules,
            bound=bool(bound),
            paused=bool(paused),
            held_since=held_since,
            held_total=held_total,
            pending=pending,
            withheld=withheld,
            dead=dead,
            delivered=delivered,
            exchanges=exchanges,
            next_due=due,
        )
        ledger.lanes[lane.key] = lane
        ledger.names[lane.name] = lane.key
        ledger.schedule(lane)
    return ledger
