"""The durable outbox in SQLite: the eight verbs, over one writer and a few readers.

Rules of this module:

1. `accept`, `record`, `release`, `revise` and `prune` are ops of the writer, which commits once for all that wait;
   `claim` is read by the writer after that commit. `read` and `backup` have connections and threads of their own.
2. What hands out claims is not cut off between being done and being told: a claim that nobody heard of would be
   stuck until the next start.
3. SQLite is one process's: the state directory is locked before the file is opened (see `lock`).
"""

from __future__ import annotations

import os
import secrets
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar, cast

import apsw
import trio

from hookd.store.base import Bind, Row, StoreUnavailable, StoreUnusable
from hookd.store.claiming import claim_due
from hookd.store.copying import DATABASE, copy_database
from hookd.store.lock import Footing, own_directory, sync_directory
from hookd.store.opening import load_ledger
from hookd.store.ops import AcceptOp, Op
from hookd.store.pruning import prune_rows
from hookd.store.reading import read_page
from hookd.store.recording import record_results, release_claims
from hookd.store.revising import revise_rows
from hookd.store.space import Space
from hookd.store.tables import APPLICATION_ID, SCHEMA_VERSION, connect, prepare_file
from hookd.store.vitals import read_vitals
from hookd.store.writing import Writer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path

    from hookd.core.model import Cause, Claim, Page, Result, WebhookState
    from hookd.store.base import (
        Change,
        Claimed,
        Entry,
        EntryResult,
        Policy,
        Pruned,
        Query,
        Revised,
        Wants,
    )
    from hookd.store.vitals import Vitals

T = TypeVar("T")

#: How many questions are answered at a time.
READERS = 2
#: For how many seconds a reload, which nobody waits for, lets its bindings wait for events to be committed with.
PATIENCE = 0.01
#: What is reserved for recording what is in flight when the disk is full.
BALLAST = 16 << 20


class SqliteStore:
    """A `Store` on a local disk."""

    def __init__(self, path: Path, uid: str, writer: Writer, space: Space) -> None:
        self._path = path
        self._uid = uid
        self._writer = writer
        self._space = space
        self._readers: list[apsw.Connection] = []  # those at rest
        self._reading = trio.CapacityLimiter(READERS)
        self._copying = trio.CapacityLimiter(1)

    async def accept(self, entries: Sequence[Entry], room: Mapping[str, int], now: int) -> Sequence[EntryResult]:
        """Write events and their deliveries: see `Store.accept`."""
        return await self._undisturbed(AcceptOp(entries, room, now))

    async def claim(self, wants: Wants, max_bytes: int, now: int) -> Claimed:
        """Claim due deliveries: see `Store.claim`."""
        return await self._undisturbed(Op(lambda c, draft: claim_due(c, draft, wants, max_bytes, now), reads=True))

    async def _undisturbed(self, op: Op[T]) -> T:
        result: T
        with trio.CancelScope(shield=True):
            result = await self._writer.do(op)
        return result

    async def record(self, results: Sequence[Result], states: Sequence[WebhookState], now: int) -> Sequence[Claim]:
        """Write what became of claims: see `Store.record`."""
        return await self._writer.do(Op(lambda c, draft: record_results(c, draft, results, states, now)))

    async def release(self, claims: Sequence[Claim], now: int, hold: Cause | None = None) -> None:
        """Give claims back unattempted: see `Store.release`."""
        await self._writer.do(Op(lambda c, draft: release_claims(c, draft, claims, now, hold)))

    async def revise(self, change: Change, limit: int, now: int) -> Revised:
        """Do a part of a change: see `Store.revise`."""
        patience = PATIENCE if isinstance(change, Bind) and change.gone is not None else 0.0
        return await self._writer.do(Op(lambda c, draft: revise_rows(c, draft, change, limit, now)), patience)

    async def prune(self, policy: Policy, limit: int, now: int) -> Pruned:
        """Remove what may go: see `Store.prune`."""
        return await self._writer.do(Op(lambda c, draft: prune_rows(c, draft, policy, limit, now)))

    async def read(self, query: Query[Row], page: Page) -> Sequence[Row]:
        """Read a page: see `Store.read`."""
        if self._writer.reason():
            raise StoreUnavailable(self._writer.reason())
        rows = await trio.to_thread.run_sync(lambda: self._read(query, page), limiter=self._reading)
        return cast("Sequence[Row]", rows)

    def _read(self, query: Query[Row], page: Page) -> list[Row]:
        connection = self._readers.pop() if self._readers else connect(self._path, writable=False)
        try:
            return read_page(connection, self._uid, query, page)
        finally:
            self._readers.append(connection)

    async def backup(self, path: str) -> None:
        """Write a consistent, fsynced copy while running, with mode 0600; it appears whole or not at all."""
        await trio.to_thread.run_sync(lambda: copy_database(self._path, type(self._path)(path)), limiter=self._copying)

    def busy_s(self) -> float:
        """Give how long the writer has been at its batch: see `Store.busy_s`."""
        return self._writer.pace.busy_s()

    def trouble(self) -> str:
        """Give what keeps the store from taking events: see `Store.trouble`."""
        return self._space.trouble

    async def vitals(self) -> Vitals:
        """Give how the store itself does: see `Store.vitals`."""
        return await trio.to_thread.run_sync(read_vitals, self._writer.pace, self._path, limiter=self._reading)

    async def wait_failed(self) -> str:
        """Wait until the store is unavailable: see `Store.wait_failed`."""
        return await self._writer.wait_failed()

    def close(self) -> None:
        """Close the readers."""
        while self._readers:
            self._readers.pop().close()


@asynccontextmanager
async def open_sqlite_store(
    state_dir: Path, *, disk_free: int = 256 << 20, ballast: int = BALLAST
) -> AsyncIterator[SqliteStore]:
    """Open the store of a state directory, and own it for as long as the block runs.

    `disk_free` is how many bytes must stay free for events to be accepted. Raises StoreLocked if another process
    owns the directory, StoreUnusable if it cannot be used.
    """
    with own_directory(state_dir):
        space = Space(state_dir, disk_free, ballast)
        connection = await trio.to_thread.run_sync(_open, state_dir, space)
        try:
            ledger = await trio.to_thread.run_sync(load_ledger, connection)
            path = state_dir / DATABASE
            writer = Writer(connection, ledger, space, Footing([path, path.with_name(f"{DATABASE}-wal")]))
            store = SqliteStore(path, ledger.uid, writer, space)
            try:
                async with _serving(writer):
                    yield store
            finally:
                store.close()
        finally:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(_close, connection)


@asynccontextmanager
async def _serving(writer: Writer) -> AsyncIterator[None]:
    """Run the writer beside the block; what the block raises comes out as it is, not in a group."""
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(writer.serve)
            try:
                yield
            finally:
                writer.stop()
    except BaseExceptionGroup as group:
        if len(group.exceptions) == 1:
            raise group.exceptions[0] from None
        raise


def _open(directory: Path, space: Space) -> apsw.Connection:
    path = directory / DATABASE
    try:
        new = not path.exists()
        if new:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        connection = connect(path, writable=True)
        try:
            _check(connection, path)
            prepare_file(connection, secrets.token_hex(4))
        except BaseException:
            connection.close()
            raise
        if new:
            sync_directory(directory)
        space.take_ballast()
    except apsw.NotADBError:
        raise StoreUnusable(f"{path} is not a database") from None
    except apsw.Error as error:
        raise StoreUnusable(f"{path} cannot be opened: {type(error).__name__}") from None
    except OSError as error:
        raise StoreUnusable(f"{path} cannot be opened: {error.strerror}") from None
    return connection


def _check(connection: apsw.Connection, path: Path) -> None:
    version, application = connection.pragma("user_version"), connection.pragma("application_id")
    if version > SCHEMA_VERSION and application == APPLICATION_ID:
        raise StoreUnusable(f"{path} was made by a newer hookd (schema {version})")
    if connection.pragma("page_count") and application != APPLICATION_ID:
        raise StoreUnusable(f"{path} is a database of another program")


def _close(connection: apsw.Connection) -> None:
    try:
        connection.close()
    except apsw.Error:  # after an I/O error SQLite may not be able to tidy up; recovery does it at the next start
        return
