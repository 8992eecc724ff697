"""What waits to be written: work for one transaction, who waits for it, and how it is parted when it fails.

Rule of this module: an op that fails is told alone. So one that carries several events can be parted down to one of
them, and nobody who only shared a transaction with a bad one is refused for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

import apsw
import trio

from hookd.core.model import RefusalCode
from hookd.store.accepting import accept_entries
from hookd.store.base import Failed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from hookd.store.base import Entry, EntryResult
    from hookd.store.ledger import Draft

T = TypeVar("T")

NO_ROOM = "the disk is short of room"


class Op(Generic[T]):
    """Something to do in a transaction, and who waits for it."""

    __slots__ = ("done", "error", "reads", "result", "work")

    def __init__(self, work: Callable[[apsw.Connection, Draft], T], *, reads: bool = False) -> None:
        self.work = work
        self.reads = reads  # it writes nothing, and is done after the commit
        self.result: T | None = None
        self.error: Exception | None = None
        self.done = trio.Event()

    def halves(self) -> Sequence[Op[T]]:
        """Give parts that can be done one by one; none if it cannot be parted."""
        return ()

    def join(self, parts: Sequence[Op[T]]) -> None:
        """Put the results of parts together."""

    def fail(self, error: Exception) -> None:
        """Take note that it alone failed, and nothing was written."""
        self.error = error


class AcceptOp(Op["list[EntryResult]"]):
    """Events to accept: it can be parted down to one event, which then fails alone."""

    __slots__ = ("_entries", "_now", "_room")

    def __init__(self, entries: Sequence[Entry], room: Mapping[str, int], now: int) -> None:
        super().__init__(lambda connection, draft: accept_entries(connection, draft, entries, room, now))
        self._entries = entries
        self._room = room
        self._now = now

    def halves(self) -> Sequence[AcceptOp]:
        """Part the events in two."""
        if len(self._entries) < 2:  # noqa: PLR2004  two halves
            return ()
        middle = len(self._entries) // 2
        first = AcceptOp(self._entries[:middle], self._room, self._now)
        # What is accepted in parts is rare, and broken: its deliveries stay stored rather than being counted again.
        return (first, AcceptOp(self._entries[middle:], {}, self._now))

    def join(self, parts: Sequence[Op[list[EntryResult]]]) -> None:
        """Put the results of both halves together."""
        self.result = [result for part in parts for result in part.result or ()]

    def fail(self, error: Exception) -> None:
        """Refuse every event of it."""
        if isinstance(error, apsw.FullError):
            self.refuse(RefusalCode.DISK_LOW, NO_ROOM)
        else:  # the name of the error only: its text may quote what it could not store
            self.refuse(RefusalCode.STORE_FAILED, f"the event cannot be stored ({type(error).__name__})")

    def refuse(self, code: RefusalCode, message: str) -> None:
        """Refuse every event of it."""
        self.result = [Failed(code=code, message=message)] * len(self._entries)
