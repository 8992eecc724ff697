"""The one writer: everything that waits is written in one transaction, with one fsync, by one thread.

Rules of this module:

1. Whoever wants something written leaves an `Op` and waits. The writer takes all that wait, does them in one
   `BEGIN IMMEDIATE … COMMIT` in a worker thread, and wakes them all. While it is at it, others gather.
2. A failure before the commit is a *no*: everything is rolled back, the batch is halved until the op that fails
   stands alone, and only that one fails.
3. A full disk is a *no*, at the commit too: SQLite writes the frame that commits last, in one piece with a checksum,
   so a frame that found no room commits nothing. Accepting is refused, the rest waits until there is room again.
4. Any other failure of a COMMIT, and any I/O error, is *unknown* (after a failed fsync the kernel forgets what was
   dirty, and a second one lies): every waiter gets `StoreUnavailable`, and nothing more is written by this process.
5. So is a commit into a file that is no longer in the state directory: its rows are gone with the last one who has it
   open. No call fails for that, so it is asked after each commit, before anybody hears of it.
6. Claims are read after the commit, by the same thread, so that they see it and the account agrees with the rows.
7. The writer alone checkpoints, between two batches or when idle, so that no commit pays for it unawares.
"""

from __future__ import annotations

import time
from functools import partial
from math import inf
from typing import TYPE_CHECKING, TypeVar, cast

import apsw
import trio

from hookd.core.model import RefusalCode
from hookd.store.base import StoreUnavailable
from hookd.store.ledger import Draft, Ledger
from hookd.store.ops import NO_ROOM, AcceptOp, Op
from hookd.store.thread import WritingThread
from hookd.store.vitals import Pace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hookd.store.lock import Footing
    from hookd.store.space import Space

T = TypeVar("T")

#: After how many pages in the WAL the writer checkpoints: 16 MiB, which a disk takes in its stride.
CHECKPOINT_PAGES = 4000
#: After how many seconds without work the WAL is folded into the database and cut, and how often a full disk is tried.
IDLE_S = 1.0
#: How many free pages an idle moment gives back to the filesystem, when more than a quarter of the file is free.
VACUUM_PAGES = 500

_FATAL = (
    apsw.IOError,
    apsw.CorruptError,
    apsw.NotADBError,
    apsw.CantOpenError,
    apsw.ReadOnlyError,
    apsw.ProtocolError,
    apsw.NoLFSError,
)
_NOT_NOW = (apsw.FullError, apsw.BusyError, apsw.LockedError)


class Unknown(Exception):  # noqa: N818  a fact
    """Whether the transaction happened cannot be told."""


class Writer:
    """The owner of the writable connection and of the ledger."""

    def __init__(self, connection: apsw.Connection, ledger: Ledger, space: Space, footing: Footing) -> None:
        self._connection = connection
        self._footing = footing
        self._ledger = ledger
        self._space = space
        self._waiting: list[Op[object]] = []
        self._patient: list[Op[object]] = []  # that go with the next batch
        self._stalled: list[Op[object]] = []  # for want of room on the disk
        self._wake = trio.Event()
        self._stopping = False
        self._failed = trio.Event()
        self._reason = ""
        self._wal_pages = 0
        self.pace = Pace()
        connection.set_wal_hook(self._count_pages)

    def _count_pages(self, _connection: apsw.Connection, _schema: str, pages: int) -> int:
        self._wal_pages = pages
        return apsw.SQLITE_OK

    async def do(self, op: Op[T], patience: float = 0.0) -> T:
        """Have something done; its result comes when it is on disk.

        For `patience` seconds it waits for others to go with, so that it costs nobody a commit more.
        """
        if self._reason or self._stopping:
            await trio.lowlevel.checkpoint()
            raise StoreUnavailable(self._reason or "the store is closed")
        (self._patient if patience else self._waiting).append(cast("Op[object]", op))
        if patience:
            with trio.move_on_after(patience):
                await op.done.wait()
            self._lose_patience()
        self._wake.set()
        await op.done.wait()
        if op.error is not None:
            raise op.error
        return cast("T", op.result)

    async def wait_failed(self) -> str:
        """Wait until the store is unavailable; give the reason."""
        await self._failed.wait()
        return self._reason

    def stop(self) -> None:
        """Let `serve` end when what waits is done."""
        self._stopping = True
        self._lose_patience()
        self._wake.set()

    def _lose_patience(self) -> None:
        self._waiting += self._patient
        self._patient = []

    async def serve(self) -> None:
        """Write until stopped. It is shielded: what was begun is ended, and whoever waits is woken."""
        thread = WritingThread()
        try:
            await self._serve(thread)
        finally:
            thread.stop()

    async def _serve(self, thread: WritingThread) -> None:
        with trio.CancelScope(shield=True):
            while not (self._stopping and not self._waiting):
                idle = not self._waiting
                if idle:
                    something = self._wal_pages or self._stalled
                    with trio.move_on_after(IDLE_S if something else inf) as timeout:
                        await self._wake.wait()
                    idle = timeout.cancelled_caught
                self._wake = trio.Event()
                batch, self._waiting = self._stalled + self._waiting + self._patient, []
                self._stalled, self._patient = [], []
                if batch:
                    await self._do(thread, partial(self._run, batch))
                    self._wake_up(batch)
                    self._space.tell()
                if not self._reason and self._wal_pages >= (1 if idle else CHECKPOINT_PAGES):
                    await self._do(thread, partial(self._tidy, idle=idle))
            self._fail(StoreUnavailable("the store is closed"), self._stalled)
            if not self._reason:
                await self._do(thread, partial(self._tidy, idle=True))

    async def _do(self, thread: WritingThread, work: Callable[[], None]) -> None:
        self.pace.began = time.monotonic()
        try:
            await thread.run(work)
        except Exception as error:  # noqa: BLE001  a writer that dies of a bug must not leave anyone waiting
            self._reason = str(error) if isinstance(error, Unknown) else f"a bug in the store: {type(error).__name__}"
            self._failed.set()
        finally:
            self.pace.began = None

    def _wake_up(self, batch: list[Op[object]]) -> None:
        if self._reason:
            self._fail(StoreUnavailable(self._reason), [*batch, *self._waiting, *self._patient])
            self._stalled, self._waiting, self._patient = [], [], []
            return
        stalled = set(self._stalled)
        for op in batch:
            if op not in stalled:
                op.done.set()

    def _fail(self, error: Exception, ops: list[Op[object]]) -> None:
        for op in ops:
            op.error = error
            op.done.set()

    # ---------------------------------------------------------------- in the thread

    def _run(self, batch: list[Op[object]]) -> None:
        writes = [op for op in batch if not op.reads]
        if self._space.short():
            for op in writes:
                if isinstance(op, AcceptOp):
                    op.refuse(RefusalCode.DISK_LOW, NO_ROOM)
            writes = [op for op in writes if not isinstance(op, AcceptOp)]
        if writes:
            self._settle(writes)
        for op in batch:
            if op.reads:
                try:
                    op.result = op.work(self._connection, Draft(self._ledger))
                except _FATAL as error:
                    raise Unknown(f"reading failed: {type(error).__name__}") from error
                except Exception as error:  # noqa: BLE001  whoever asked for it gets it
                    op.fail(error)

    def _settle(self, ops: Sequence[Op[object]]) -> None:
        error = self._try(ops)
        if error is None:
            return
        if isinstance(error, _NOT_NOW):
            self._settle_later(ops, error)
            return
        parts = (ops[: len(ops) // 2], ops[len(ops) // 2 :]) if len(ops) > 1 else ()
        for part in parts:
            self._settle(part)
        if not parts:
            halves = ops[0].halves()
            for half in halves:
                self._settle([half])
            if halves:
                ops[0].join(halves)
            else:
                ops[0].fail(error)

    def _settle_later(self, ops: Sequence[Op[object]], error: Exception) -> None:
        """Refuse what can be refused, and keep the rest until there is room."""
        if isinstance(error, apsw.FullError):
            self._space.ran_out()
        for op in ops:
            if isinstance(op, AcceptOp):
                op.fail(error)
        rest = [op for op in ops if not isinstance(op, AcceptOp)]
        if not rest:
            return
        again = self._try(rest) if len(rest) < len(ops) else error
        if isinstance(again, apsw.FullError) and self._space.drop_ballast():
            again = self._try(rest)
        if again is not None:
            self._stalled += rest

    def _try(self, ops: Sequence[Op[object]]) -> Exception | None:
        """Do ops in one transaction; give the error if nothing was written. Raises Unknown."""
        connection, draft = self._connection, Draft(self._ledger)
        results = []
        try:
            connection.execute("BEGIN IMMEDIATE")
            for op in ops:
                results.append(op.work(connection, draft))  # noqa: PERF401  it must be seen how far it came
            draft.flush(connection)
        except Exception as error:  # noqa: BLE001  whatever it is, it is rolled back, and its op fails with it
            self._roll_back(error)
            return error
        began = time.monotonic()
        try:
            connection.execute("COMMIT")
        except apsw.FullError as error:
            self._roll_back(error)
            return error
        except apsw.Error as error:
            raise Unknown(f"a commit failed: {type(error).__name__}") from error
        if lost := self._footing.lost():
            raise Unknown(f"{lost} is no longer what was opened: it was removed, moved or replaced meanwhile")
        self.pace.commits.add(time.monotonic() - began)
        self.pace.batches.add(len(ops))
        draft.apply()
        for op, result in zip(ops, results, strict=True):
            op.result = result
        return None

    def _roll_back(self, error: Exception) -> None:
        if isinstance(error, _FATAL):
            raise Unknown(f"the disk or the database failed: {type(error).__name__}") from error
        try:
            if not self._connection.get_autocommit():  # some errors have rolled back already
                self._connection.execute("ROLLBACK")
        except apsw.Error as further:
            raise Unknown(f"a rollback failed: {type(further).__name__}") from further

    def _tidy(self, *, idle: bool) -> None:
        """Checkpoint; when idle also cut the WAL and give free pages back. No room or a reader: another time."""
        connection = self._connection
        try:
            if idle and self._wal_pages:
                free, pages = connection.pragma("freelist_count"), connection.pragma("page_count")
                if free * 4 > pages and free > VACUUM_PAGES:
                    connection.execute(f"PRAGMA incremental_vacuum({VACUUM_PAGES})").fetchall()
                _, _ = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
                self._wal_pages = 0
            elif not idle:
                connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
                self._wal_pages = 0
        except _NOT_NOW:
            return
        except apsw.Error as error:
            raise Unknown(f"a checkpoint failed: {type(error).__name__}") from error

    def reason(self) -> str:
        """Give why the store is unavailable; empty if it is not."""
        return self._reason
