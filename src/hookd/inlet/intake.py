"""The one door: whatever the way in, an event is judged here, routed, stored, and only then answered.

Rules of this module:

1. Nothing is answered as accepted before `Store.accept` has returned: then it is on disk.
2. All that waits is stored at once: while one `accept` runs, the next batch gathers. Batches are bounded in events
   and bytes, so that a flood delays nobody by more than a batch, and there is one `accept` at a time: the store
   commits in order anyhow, and the room that the dispatcher has is spent by one batch before the next asks for it.
3. What waits is bounded. Beyond it `offer` waits, and who cannot wait gives up (it may be cancelled: then nothing
   was offered). Reading stops, memory does not grow.
4. Judging and routing run with one snapshot of the config, when the event is offered; what it is owed is frozen then.
5. When the store is gone, everybody who waits, and everybody after, is told `store_failed` with the event's id (also
   with one made here): whether it was stored is unknown, and the id makes it safe to send again.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Final

import structlog
import trio

from hookd.core.catalogue import judge
from hookd.core.lines import TooLong
from hookd.core.model import Accepted, Duplicate, Refusal, RefusalCode
from hookd.core.routing import route
from hookd.core.tracing import trace_ids
from hookd.core.wire import Incoming, event_from_headers, parse_batch, parse_event, refuse_too_large
from hookd.inlet.counts import EventCounts
from hookd.inlet.overflows import OverflowLog
from hookd.inlet.refusals import RefusalLog
from hookd.store.base import Conflict, Entry, Failed, New, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from hookd.core.config import Config
    from hookd.core.model import Claim, Event, Owed, Reply
    from hookd.store.base import EntryResult, Store

log = structlog.get_logger()

#: One batch: longer than this and its commit would be felt by those who wait for the next one.
BATCH_EVENTS: Final = 2_000
BATCH_BYTES: Final = 8 * 1024 * 1024
#: What may wait for its batch: a few batches, so that the committer never starves and memory stays small.
QUEUED_EVENTS: Final = 4 * BATCH_EVENTS
QUEUED_BYTES: Final = 4 * BATCH_BYTES
#: An offer is cut into pieces of this size, so that one of 16 MiB does not make one batch.
PIECE_EVENTS: Final = 500
PIECE_BYTES: Final = 2 * 1024 * 1024
#: What an event costs beside its data.
_EVENT_BYTES: Final = 512

_UNKNOWN: Final = "the store failed, and whether it has this event is unknown: send it again with this id"


class Ticket:
    """The promise of a reply for each event of an offer."""

    __slots__ = ("_left", "_replies", "_resolved", "inlet", "uid")

    def __init__(self, replies: list[Reply | None], left: int, inlet: str, uid: int | None) -> None:
        self._replies = replies
        self._left = left
        self._resolved: trio.Event | None = None
        self.inlet = inlet
        self.uid = uid

    @property
    def done(self) -> bool:
        """Whether every reply is there."""
        return self._left == 0

    async def replies(self) -> tuple[Reply, ...]:
        """Wait until all is decided; give one reply for each event offered, in order."""
        if self._left:
            if self._resolved is None:
                self._resolved = trio.Event()
            await self._resolved.wait()
        return tuple([reply for reply in self._replies if reply is not None])

    def resolve(self, places: Sequence[int], replies: Sequence[Reply]) -> None:
        """Fill in a piece of the replies."""
        for place, reply in zip(places, replies, strict=True):
            self._replies[place] = reply
        self._left -= len(places)
        if not self._left and self._resolved is not None:
            self._resolved.set()


class _Piece:
    """A part of an offer that is stored whole in one batch. `results` is there if the claims are the offerer's."""

    __slots__ = ("entries", "places", "results", "size", "ticket")

    def __init__(self, ticket: Ticket, results: list[EntryResult] | None = None) -> None:
        self.ticket = ticket
        self.entries: list[Entry] = []
        self.places: list[int] = []
        self.size = 0
        self.results = results

    def add(self, place: int, entry: Entry) -> None:
        self.places.append(place)
        self.entries.append(entry)
        data = entry.event.data
        self.size += _EVENT_BYTES if data is None else _EVENT_BYTES + len(data)

    @property
    def is_full(self) -> bool:
        return len(self.entries) >= PIECE_EVENTS or self.size >= PIECE_BYTES


class Intake:
    """Judges events and has them stored by the batch.

    `now` gives milliseconds since the epoch, `new_id` an id for an event without one, `room` how many deliveries of
    each webhook may be attempted at once, and `hand_over` takes the claims that the store made for these.
    """

    def __init__(
        self,
        store: Store,
        *,
        current_config: Callable[[], Config],
        now: Callable[[], int],
        new_id: Callable[[], str],
        room: Callable[[Iterable[str]], Mapping[str, int]],
        hand_over: Callable[[Sequence[Claim]], None],
    ) -> None:
        self._store = store
        self._current_config = current_config
        self._now = now
        self._new_id = new_id
        self._room = room
        self._hand_over = hand_over
        self._limit = current_config().daemon.limits.event_bytes  # as all of `daemon:`, read at start
        self._queue: deque[_Piece] = deque()
        self._queued_events = 0
        self._queued_bytes = 0
        self._work = trio.Event()
        self._offering = trio.lowlevel.ParkingLot()
        self._closed: str | None = None  # why nothing is taken any more
        self._refusals = RefusalLog()
        self.counts = EventCounts()
        self.overflows = OverflowLog()

    # ----------------------------------------------------------------------- judging

    def judge_line(self, line: bytes | TooLong, tenant: str | None = None) -> Incoming | Refusal:
        """Judge an event, in JSON format; `tenant` is what its sender is bound to."""
        if isinstance(line, TooLong):
            return refuse_too_large(self._limit)
        read = parse_event(line, limit=self._limit, now=self._now(), new_id=self._new_id, tenant=tenant)
        return read if isinstance(read, Refusal) else judge(self._current_config(), read) or read

    def judge_batch(self, text: bytes, tenant: str | None = None) -> list[Incoming | Refusal] | Refusal:
        """Judge a JSON array of events; a text that is not one is refused as a whole."""
        batch = parse_batch(text, limit=self._limit, now=self._now(), new_id=self._new_id, tenant=tenant)
        if isinstance(batch, Refusal):
            return batch
        config = self._current_config()
        return [read if isinstance(read, Refusal) else judge(config, read) or read for read in batch]

    def judge_headers(
        self, headers: Iterable[tuple[bytes, bytes]], body: bytes, tenant: str | None = None
    ) -> Incoming | Refusal:
        """Judge a CloudEvent in binary mode; header names are in lower case."""
        read = event_from_headers(headers, body, limit=self._limit, now=self._now(), new_id=self._new_id, tenant=tenant)
        return read if isinstance(read, Refusal) else judge(self._current_config(), read) or read

    # ----------------------------------------------------------------------- offering

    async def offer(self, items: Sequence[Incoming | Refusal], *, inlet: str, uid: int | None = None) -> Ticket:
        """Offer events that were judged, and those refused already; gives the ticket to wait for their replies.

        Waits while too much is queued; when cancelled there, nothing was offered. `inlet` and `uid` are for the log.
        """
        index = self._current_config().index
        ticket = Ticket([item if isinstance(item, Refusal) else None for item in items], 0, inlet, uid)
        pieces: list[_Piece] = []
        for place, item in enumerate(items):
            if isinstance(item, Refusal):
                continue
            if not pieces or pieces[-1].is_full:
                pieces.append(_Piece(ticket))
            pieces[-1].add(place, Entry(event=item.event, owed=route(index, item.event, item.data)))
        await self._enqueue(ticket, pieces)
        for item in items:
            if isinstance(item, Refusal):
                self.tell_refusal(item, inlet=inlet, uid=uid)
        return ticket

    def tell_refusal(self, refusal: Refusal, *, inlet: str, uid: int | None = None) -> None:
        """Count and log a refusal, also one that an inlet makes by itself, before there is an event."""
        self.counts.refuse(refusal, self._current_config().event_types)
        self._refusals.write(refusal, inlet=inlet, uid=uid)

    async def submit(self, event: Event, owed: tuple[Owed, ...]) -> EntryResult:
        """Store an event that hookd makes itself; whom it is owed to is given, and its claims are the caller's."""
        results: list[EntryResult] = []
        ticket = Ticket([None], 0, "own", None)
        piece = _Piece(ticket, results)
        piece.add(0, Entry(event=event, owed=owed))
        await self._enqueue(ticket, [piece])
        await ticket.replies()
        return results[0] if results else Failed(code=RefusalCode.STORE_FAILED, message=self._closed or _UNKNOWN)

    async def _enqueue(self, ticket: Ticket, pieces: list[_Piece]) -> None:
        while self._closed is None and (self._queued_events >= QUEUED_EVENTS or self._queued_bytes >= QUEUED_BYTES):
            await self._offering.park()
        for piece in pieces:
            ticket._left += len(piece.entries)  # noqa: SLF001  a ticket is this module's own
            self._queued_events += len(piece.entries)
            self._queued_bytes += piece.size
        self._queue.extend(pieces)
        if self._closed is not None:
            self._refuse_queued()
        elif pieces:
            self._work.set()

    # ----------------------------------------------------------------------- committing

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Store what is offered, until cancelled; return if the store became unavailable."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._refusals.serve)
                nursery.start_soon(self.overflows.serve)
                task_status.started()
                await self._commit_all()
                nursery.cancel_scope.cancel()
        finally:
            self._close("hookd is stopping: send it again with this id")

    async def _commit_all(self) -> None:
        while True:
            await self._work.wait()
            self._work = trio.Event()
            while self._queue:
                if not await self._commit(self._take_batch()):
                    return

    def _take_batch(self) -> list[_Piece]:
        batch: list[_Piece] = []
        events = size = 0
        while self._queue and events < BATCH_EVENTS and size < BATCH_BYTES:
            piece = self._queue.popleft()
            events += len(piece.entries)
            size += piece.size
            batch.append(piece)
        self._queued_events -= events
        self._queued_bytes -= size
        self._offering.unpark_all()
        return batch

    async def _commit(self, batch: list[_Piece]) -> bool:
        """Store a batch and answer it; say whether the store is still there."""
        entries = [entry for piece in batch for entry in piece.entries]
        room = self._room({owed.webhook for entry in entries for owed in entry.owed})
        results: Sequence[EntryResult] | None = None
        try:
            results = await self._store.accept(entries, room, self._now())
        except StoreUnavailable:
            return False
        finally:
            if results is None:  # it failed, or we are cancelled: nobody may wait for ever
                self._close(_UNKNOWN, batch)
        claims: list[Claim] = []
        start = 0
        for piece in batch:
            end = start + len(piece.entries)
            self._answer(piece, results[start:end], claims)
            start = end
        self.counts.store(entries, results)
        if claims:
            self._hand_over(claims)
        if log.is_enabled_for(logging.DEBUG):
            _tell_accepted(entries, results)
        return True

    def _answer(self, piece: _Piece, results: Sequence[EntryResult], claims: list[Claim]) -> None:
        replies: list[Reply] = []
        for entry, result in zip(piece.entries, results, strict=True):
            if isinstance(result, New):
                replies.append(Accepted(id=entry.event.id, deliveries=len(entry.owed)))
                if result.claims and piece.results is None:
                    claims.extend(result.claims)
                if result.overflowed:
                    self.overflows.write(result.overflowed)
                continue
            reply = _reply_to(entry.event, result)
            if isinstance(reply, Refusal):
                self.tell_refusal(reply, inlet=piece.ticket.inlet, uid=piece.ticket.uid)
            replies.append(reply)
        if piece.results is not None:
            piece.results.extend(results)
        piece.ticket.resolve(piece.places, replies)

    # ----------------------------------------------------------------------- the end

    def _close(self, why: str, batch: Sequence[_Piece] = ()) -> None:
        """Take nothing more, and tell everybody who waits."""
        self._closed = self._closed or why
        self._queue.extendleft(reversed(batch))
        for piece in batch:
            self._queued_events += len(piece.entries)
            self._queued_bytes += piece.size
        self._refuse_queued()
        self._offering.unpark_all()

    def _refuse_queued(self) -> None:
        for piece in self._queue:
            why = self._closed or _UNKNOWN
            replies = [_refuse(entry.event, RefusalCode.STORE_FAILED, why) for entry in piece.entries]
            piece.ticket.resolve(piece.places, replies)
        self._queue.clear()
        self._queued_events = self._queued_bytes = 0


def _reply_to(event: Event, result: EntryResult) -> Reply:
    if isinstance(result, Failed):
        return _refuse(event, result.code, result.message)
    if isinstance(result, Conflict):
        message = "an event with this id, of the same source and tenant, has other content"
        return _refuse(event, RefusalCode.ID_CONFLICT, message, path="/id")
    return Duplicate(id=event.id)


def _refuse(event: Event, code: RefusalCode, message: str, *, path: str | None = None) -> Refusal:
    return Refusal(code=code, message=message, path=path, id=event.id, type=event.type)


def _tell_accepted(entries: Sequence[Entry], results: Sequence[EntryResult]) -> None:
    for entry, result in zip(entries, results, strict=True):
        if isinstance(result, New):
            event = entry.event
            fields: dict[str, object] = {"event_id": event.id, "event_type": event.type, **trace_ids(event.traceparent)}
            fields |= {} if event.tenant is None else {"tenant": event.tenant}
            log.debug("event.accepted", **fields, deliveries=len(entry.owed))
