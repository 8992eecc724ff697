"""The tables of the SQLite store, and how a connection to them is set up.

Rules of this module:

1. The journal is a WAL that is fsynced on every commit (`synchronous=FULL`): what was committed outlives a power cut
   (sqlite.org/pragma.html#pragma_synchronous; with NORMAL acknowledged commits roll back).
2. An event's content stands once; a delivery is a short row that refers to it. Whatever asks for work reads partial
   indices over pending or dead rows, so that a long history costs nothing.
3. Row numbers are given by the store, which is the only owner, and are never used twice: `counters` keeps them, in
   the same transaction, so that a delivery's id stays its own even when everything was pruned.
4. A webhook's counts are kept in its row, in the same transaction, so that opening reads webhooks, not deliveries.
5. Text that is absent in the idempotency key stands as empty text, because NULLs are never equal in a unique index.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import apsw
import msgspec

from hookd.core.model import Event, State

if TYPE_CHECKING:
    from pathlib import Path

#: "hook" in ASCII, by which we and `file hookd.db` can tell whose it is (sqlite.org/pragma.html#pragma_application_id).
APPLICATION_ID = 0x686F6F6B
SCHEMA_VERSION = 1

#: What a state is in the column `state`; the partial indices name 0 and 2.
PENDING, DELIVERED, DEAD = 0, 1, 2
STATES = (State.PENDING, State.DELIVERED, State.DEAD)
STATE_CODES = {state: code for code, state in enumerate(STATES)}

#: The exchanges of a webhook are a ring of rows, `key * EXCHANGE_STRIDE + slot`, with slots below `EXCHANGES_KEPT`.
EXCHANGE_STRIDE = 16

SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE counters (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    event INTEGER NOT NULL, delivery INTEGER NOT NULL, attempt INTEGER NOT NULL, webhook INTEGER NOT NULL,
    bytes INTEGER NOT NULL
) STRICT;
INSERT INTO counters VALUES (1, 0, 0, 0, 0, 0);

CREATE TABLE webhooks (
    key INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    merged_into INTEGER,
    fingerprint TEXT NOT NULL, rules TEXT NOT NULL,
    bound INTEGER NOT NULL, paused INTEGER NOT NULL,
    state TEXT NOT NULL,
    held_since INTEGER, held_total INTEGER NOT NULL,
    pending INTEGER NOT NULL, withheld INTEGER NOT NULL, dead INTEGER NOT NULL, delivered INTEGER NOT NULL,
    exchanges INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX webhooks_name ON webhooks (name) WHERE merged_into IS NULL;

CREATE TABLE events (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL, source TEXT NOT NULL, tenant TEXT NOT NULL,
    type TEXT NOT NULL, subject TEXT, time TEXT, partitionkey TEXT, traceparent TEXT,
    accepted_at INTEGER NOT NULL, bytes INTEGER NOT NULL, digest BLOB NOT NULL,
    extensions BLOB, data BLOB
) STRICT;
CREATE UNIQUE INDEX events_key ON events (id, source, tenant);

CREATE TABLE deliveries (
    seq INTEGER PRIMARY KEY,
    event INTEGER NOT NULL, webhook INTEGER NOT NULL,
    state INTEGER NOT NULL DEFAULT 0,
    due_at INTEGER,                        -- NULL: it waits for the head of its key, or is held (held_at)
    attempts INTEGER NOT NULL DEFAULT 0,
    born INTEGER NOT NULL,                 -- the webhook's clock when its age began; while held: minus its age
    once INTEGER NOT NULL DEFAULT 0,
    order_key TEXT, cause TEXT, held_at INTEGER, ended_at INTEGER
) STRICT;
CREATE INDEX deliveries_event ON deliveries (event);
CREATE INDEX deliveries_due ON deliveries (webhook, due_at) WHERE state = 0;
CREATE INDEX deliveries_order ON deliveries (webhook, order_key) WHERE state = 0 AND order_key IS NOT NULL;
CREATE INDEX deliveries_held ON deliveries (webhook, held_at) WHERE state = 0 AND held_at IS NOT NULL;
CREATE INDEX deliveries_dead ON deliveries (webhook, ended_at) WHERE state = 2;

CREATE TABLE attempts (
    seq INTEGER PRIMARY KEY,
    delivery INTEGER NOT NULL, webhook INTEGER NOT NULL,
    number INTEGER NOT NULL, started_at INTEGER NOT NULL, duration_ms REAL NOT NULL,
    outcome TEXT NOT NULL, cause TEXT, detail TEXT, status INTEGER,
    url TEXT NOT NULL, revision TEXT NOT NULL, next_at INTEGER, excerpt BLOB NOT NULL
) STRICT;
CREATE INDEX attempts_webhook ON attempts (webhook);
CREATE INDEX attempts_delivery ON attempts (delivery);
CREATE INDEX attempts_started ON attempts (started_at);

CREATE TABLE exchanges (slot INTEGER PRIMARY KEY, attempt INTEGER NOT NULL, content BLOB NOT NULL) STRICT;
"""

#: The columns of an event, in the order in which `read_event` takes them.
EVENT_COLUMNS = (
    "e.id, e.source, e.tenant, e.type, e.subject, e.time, e.partitionkey, e.traceparent,"
    " e.accepted_at, e.digest, e.extensions, e.data"
)
EVENT_WIDTH = 12
#: The same where only texts and numbers can stand. What was accepted as data and extensions is JSON, so it is Unicode.
EVENT_TEXTS = (
    "e.id, e.source, e.tenant, e.type, e.subject, e.time, e.partitionkey, e.traceparent,"
    " e.accepted_at, hex(e.digest), CAST(e.extensions AS TEXT), CAST(e.data AS TEXT)"
)
_Text: TypeAlias = str | None
_Texts: TypeAlias = tuple[str, str, str, str, _Text, _Text, _Text, _Text, int, str, _Text, _Text, int]
_read_texts = msgspec.json.Decoder(list[_Texts]).decode


#: Says of a file that it is a copy of a store (see `copying`).
MARK_COPY = "INSERT OR REPLACE INTO meta VALUES ('copy', '1')"
#: A copy's numbers go on where nobody has been: with the milliseconds of now, times 64. A store would have to make
#: 64,000 deliveries a second, day and night, to get there by itself; the 12 hex digits of a delivery's id hold it.
_LEAP = (
    "UPDATE counters SET delivery = max(delivery, CAST(unixepoch('subsec') * 1000 AS INTEGER) * 64),"
    " attempt = max(attempt, CAST(unixepoch('subsec') * 1000 AS INTEGER) * 64)"
)


def is_copy(connection: apsw.Connection) -> bool:
    """Whether a file says of itself that it is a copy of a store."""
    return bool(connection.execute("SELECT 1 FROM meta WHERE name = 'copy'").fetchall())


def read_event(row: tuple[Any, ...]) -> Event:
    """Give the event whose columns a row begins with."""
    (
        event_id,
        source,
        tenant,
        kind,
        subject,
        time,
        partitionkey,
        traceparent,
        accepted_at,
        digest,
        extensions,
        data,
    ) = row[:EVENT_WIDTH]
    return Event(
        id=event_id,
        type=kind,
        source=source or None,
        subject=subject,
        time=time,
        tenant=tenant or None,
        partitionkey=partitionkey,
        traceparent=traceparent,
        extensions=extensions,
        data=data,
        accepted_at=accepted_at,
        digest=digest,
    )


def read_events(text: str) -> dict[int, Event]:
    """Give events by a number of theirs, out of a JSON text: a list of rows of `EVENT_TEXTS` and the number."""
    events: dict[int, Event] = {}
    for *columns, digest, extensions, data, number in _read_texts(text):
        content = bytes.fromhex(digest or ""), _bytes_of(extensions), _bytes_of(data)
        events[number] = read_event((*columns, *content))
    return events


def _bytes_of(text: str | None) -> bytes | None:
    return None if text is None else text.encode()


def connect(path: Path, *, writable: bool) -> apsw.Connection:
    """Open a connection. Only one may be writable; it is used by one thread at a time."""
    flags = apsw.SQLITE_OPEN_READWRITE if writable else apsw.SQLITE_OPEN_READONLY
    connection = apsw.Connection(str(path), flags=flags | apsw.SQLITE_OPEN_NOMUTEX, statementcachesize=256)
    # Texts with pragmas are fetched to their end: APSW stops at the first one that answers with a row.
    # A person's sqlite3 shell may hold a lock for a moment; recovery after a crash does, too.
    connection.set_busy_timeout(5000)
    connection.execute("PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON; PRAGMA mmap_size=0").fetchall()
    connection.execute(
        "PRAGMA temp_store=MEMORY; PRAGMA cache_size=-32768" if writable else "PRAGMA cache_size=-4096"
    ).fetchall()
    return connection


def prepare_file(connection: apsw.Connection, uid: str) -> None:
    """Set up a new file, or an opened one, for writing; `uid` becomes part of the delivery ids of a new one."""
    if connection.pragma("page_count") == 0:  # both only have an effect before the first table
        connection.execute("PRAGMA page_size=4096; PRAGMA auto_vacuum=INCREMENTAL").fetchall()
    # The writer checkpoints by itself, between two batches, so that no commit pays for it unawares.
    connection.execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0").fetchall()
    connection.execute(f"PRAGMA journal_size_limit={64 << 20}").fetchall()
    connection.execute("BEGIN IMMEDIATE")
    if connection.pragma("user_version") == 0:
        connection.execute(SCHEMA)
        connection.execute("INSERT INTO meta VALUES ('uid', ?)", (uid,))
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}; PRAGMA user_version={SCHEMA_VERSION}").fetchall()
    if is_copy(connection):
        connection.execute(_LEAP)
        connection.execute("DELETE FROM meta WHERE name = 'copy'")
    connection.execute("COMMIT")
