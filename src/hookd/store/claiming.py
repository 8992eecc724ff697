"""Claiming: which due deliveries go out next. It reads what was committed and writes nothing.

The cost follows the webhooks that have something due and the deliveries that are handed out: the ledger's heap tells
the former, a partial index over pending rows the latter. What is claimed already is skipped by its number, before
the event is read; the event of what was accepted a moment ago is not read at all (`recent`).
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, TypeAlias

import apsw
import msgspec

from hookd.core.model import Claim
from hookd.store.base import Claimed
from hookd.store.batches import ask
from hookd.store.deliveryids import write_delivery_id
from hookd.store.ledger import Draft, Lease
from hookd.store.tables import EVENT_COLUMNS, EVENT_TEXTS, EVENT_WIDTH, read_event, read_events
from hookd.store.turns import take_turns

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hookd.core.model import Event
    from hookd.store.base import Wants
    from hookd.store.ledger import Lane

# One row for all: between two rows APSW gives the interpreter's lock up, and a busy event loop takes it each time.
_FIND_DUE = (
    "SELECT json_group_array(json_array(seq, bytes, due_at, attempts, order_key, once, born) ORDER BY due_at, seq)"
    " FROM ("
    "SELECT d.seq, e.bytes, d.due_at, d.attempts, d.order_key, d.once, d.born"
    " FROM deliveries d INDEXED BY deliveries_due CROSS JOIN events e ON e.seq = d.event"
    " WHERE d.webhook = ? AND d.state = 0 AND d.due_at <= ? AND d.seq NOT IN carray(?)"
    " ORDER BY d.due_at, d.seq LIMIT ?)"
)
_FIND_NEXT_DUE = (
    "SELECT d.due_at FROM deliveries d INDEXED BY deliveries_due"
    " WHERE d.webhook = ? AND d.state = 0 AND d.due_at IS NOT NULL AND d.seq NOT IN carray(?)"
    " ORDER BY d.due_at LIMIT 1"
)
_FROM_CHOSEN = "FROM carray(?) c CROSS JOIN deliveries d ON d.seq = c.value CROSS JOIN events e ON e.seq = d.event"
_LOAD = f"SELECT {EVENT_COLUMNS}, d.seq {_FROM_CHOSEN}"
#: The same as one row, for events that are small: a text is made of it, and taken apart.
_LOAD_SMALL = f"SELECT json_group_array(json_array({EVENT_TEXTS}, d.seq)) {_FROM_CHOSEN}"
SMALL_BYTES = 1 << 20

_Due: TypeAlias = "tuple[int, int, int, int, str | None, int, int]"
_read_due = msgspec.json.Decoder(list[tuple[int, int, int, int, str | None, int, int]]).decode


def numbers(values: Iterable[int]) -> apsw.CArrayBinding:
    """Bind row numbers as one value. APSW takes no empty array; 0 is the number of no row."""
    return apsw.carray(array("q", values) or array("q", (0,)), flags=apsw.SQLITE_CARRAY_INT64)


def claim_due(connection: apsw.Connection, draft: Draft, wants: Wants, max_bytes: int, now: int) -> Claimed:
    """Claim what is due, at most `max_bytes` of data; a larger event goes out alone."""
    return _Claiming(connection, draft, max_bytes, now).claim(wants)


class _Claiming:
    def __init__(self, connection: apsw.Connection, draft: Draft, max_bytes: int, now: int) -> None:
        self._connection = connection
        self._draft = draft
        self._left = max_bytes
        self._now = now
        self._alone = not draft.ledger.leases  # nothing is handed out: even what is too large may go
        self._chosen: dict[int, list[int]] = {}  # by webhook
        self._rows: dict[int, tuple[int, _Due]] = {}  # what claims are made of, with the webhook's key

    def claim(self, wants: Wants) -> Claimed:
        ledger, now = self._draft.ledger, self._now
        ready = ledger.find_ready(now)
        if wants.total > 0 and ready:
            room = {key: wants.but.get(ledger.lanes[key].name, wants.each) for key in ready}
            chosen, ledger.last_turn = take_turns(room, wants.total, ledger.last_turn, self._take)
            claims = self._hand_out(chosen)
            for key in self._chosen:
                lane = self._draft.lane(key)
                lane.next_due = find_next_due(self._connection, self._draft, lane.key)
        else:
            claims = ()
        self._draft.apply()
        ledger.find_ready(now)
        return Claimed(claims=claims, next_due_at=ledger.next_due_at(now))

    def _take(self, key: int, n: int) -> list[int] | None:
        mine = self._chosen.setdefault(key, [])
        taken = numbers([*self._draft.taken(key), *mine])
        took: list[int] = []
        [(found,)] = ask(self._connection, _FIND_DUE, (key, self._now, taken, n))
        for row in _read_due(found):
            seq, size = row[:2]
            if size > self._left and not self._alone:
                mine += took
                return took or None
            self._alone = False
            self._left -= size
            self._rows[seq] = key, row
            took.append(seq)
        mine += took
        return took

    def _hand_out(self, chosen: list[int]) -> tuple[Claim, ...]:
        draft, now, rows, uid = self._draft, self._now, self._rows, self._draft.ledger.uid
        events = self._find_events(chosen)
        claims: list[Claim] = []
        for seq in chosen:
            key, (_, _, due_at, attempts, order_key, once, born) = rows[seq]
            lane: Lane = draft.look(key)
            claims.append(
                Claim(
                    lease=draft.give(Lease(seq, key, due_at, order_key)),
                    delivery_id=write_delivery_id(uid, seq),
                    webhook=lane.name,
                    event=events[seq],
                    attempts=attempts,
                    aging_since=born + lane.held_ms(now),
                    order_key=order_key,
                    once=bool(once),
                )
            )
        return tuple(claims)

    def _find_events(self, chosen: list[int]) -> dict[int, Event]:
        """Give the events of deliveries, those of a moment ago from memory."""
        recent = self._draft.ledger.recent
        found = {seq: event for seq in chosen if (event := recent.take(seq)) is not None}
        missing = [seq for seq in chosen if seq not in found]
        if missing:
            found.update(self._read_events(missing))
        return found

    def _read_events(self, missing: list[int]) -> dict[int, Event]:
        bound = (numbers(missing),)
        if sum(self._rows[seq][1][1] for seq in missing) > SMALL_BYTES:
            return {row[EVENT_WIDTH]: read_event(row) for row in ask(self._connection, _LOAD, bound)}
        [(text,)] = ask(self._connection, _LOAD_SMALL, bound)
        return read_events(text)


def find_next_due(connection: apsw.Connection, draft: Draft, key: int) -> int | None:
    """Give when the next unclaimed delivery of a webhook is due."""
    found = ask(connection, _FIND_NEXT_DUE, (key, numbers(draft.taken(key))))
    return found[0][0] if found else None
