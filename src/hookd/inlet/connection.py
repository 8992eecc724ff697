"""One client that sends lines: what it sends is offered to the intake, what it is owed is written back in order.

Rules of this module:

1. It never deadlocks: a client may write 10,000 lines before it reads one reply. So reader and replier are separate
   tasks; what is owed to a client that does not read is bounded (`BACKLOG_BYTES`), and then its lines are not read.
2. Bad input gets its reply and the connection lives on. Only the end of the stream ends it. A line without its end
   is not an event.
3. One client cannot keep the others waiting: after `LINES_PER_TURN` lines it is the others' turn.
4. On stopping, reading ends at a line boundary: whole lines that were read are stored and answered, then comes the
   end of the stream. Who does not read its replies has `STOP_GRACE_S` for them.
"""

from __future__ import annotations

import socket
from collections import deque
from math import inf
from typing import TYPE_CHECKING, Final

import trio

from hookd.core.lines import LineFramer, render_reply
from hookd.core.model import Refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hookd.core.lines import Line
    from hookd.core.wire import Incoming
    from hookd.inlet.intake import Intake, Ticket

#: About a hundred lines: larger reads would only make turns longer.
CHUNK_BYTES: Final = 64 * 1024
#: Judging 64 lines takes about a millisecond.
LINES_PER_TURN: Final = 64
#: A longer line is judged in a thread, since 1 MiB takes 20 ms. Only the first one of a chunk can be that long.
LONG_LINE_BYTES: Final = 256 * 1024
#: Replies owed to one client: with ids of 20 letters, it may be 50,000 lines ahead of its reading.
BACKLOG_BYTES: Final = 4 * 1024 * 1024
#: Replies that go out with one write.
REPLY_CHUNK_BYTES: Final = 128 * 1024
#: How long a client may take to read its last replies.
STOP_GRACE_S: Final = 5.0

#: What a reply has beside the id and the message.
_REPLY_BYTES: Final = 64


class Connection:
    """A client of a line protocol; `serve` runs it, `stop` ends it in good order.

    `tenant` is what its events are bound to, `limit` the bytes that a line may have; `inlet` and `uid` are for the
    log.
    """

    def __init__(
        self, stream: trio.SocketStream, *, inlet: str, uid: int | None, tenant: str | None, limit: int
    ) -> None:
        self._stream = stream
        self._inlet = inlet
        self._uid = uid
        self._tenant = tenant
        self._framer = LineFramer(limit)
        self._tickets: deque[tuple[Ticket, int]] = deque()  # with the bytes that their replies may take
        self._owed_bytes = 0
        self._read_all = False  # no further ticket will come
        self._ticket_came = trio.Event()
        self._replies_left = trio.Event()
        self._stopping = False
        self._cut = False  # the stream did not come to its end: it was reset, or we stop
        self._receiving = trio.CancelScope()
        self._sending = trio.CancelScope()
        self._send_until = inf

    async def serve(self, intake: Intake) -> None:
        """Read, offer and reply until the client ends its stream, or `stop`; then end ours."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._read, intake)
            await self._reply()
            nursery.cancel_scope.cancel()  # a client that is gone, or that does not read, is not read either
        await end_stream(self._stream)

    def stop(self) -> None:
        """Read nothing more; what was read is still answered."""
        self._stopping = True
        self._send_until = trio.current_time() + STOP_GRACE_S
        self._sending.deadline = self._send_until
        self._receiving.cancel()
        self._replies_left.set()

    # ----------------------------------------------------------------------- the reader

    async def _read(self, intake: Intake) -> None:
        while not self._stopping:
            chunk = await self._receive()
            # A JSON object says itself where it ends: a last line without a newline is judged like any other, and
            # half of one is no JSON.
            lines = self._framer.feed(chunk) if chunk else [] if self._cut else self._framer.finish()
            for start in range(0, len(lines), LINES_PER_TURN):
                await self._take_turn(intake, lines[start : start + LINES_PER_TURN])
            if not chunk:
                break
        self._read_all = True
        self._ticket_came.set()

    async def _receive(self) -> bytes:
        """Give the next bytes, or none at the end of the stream, whichever way it came."""
        with trio.CancelScope() as self._receiving:
            try:
                return bytes(await self._stream.receive_some(CHUNK_BYTES))
            except trio.BrokenResourceError:
                pass  # reset by the peer: what it sent before is stored, nobody waits for the replies
        self._cut = True
        return b""

    async def _take_turn(self, intake: Intake, lines: Sequence[Line]) -> None:
        while self._owed_bytes >= BACKLOG_BYTES and not self._stopping:
            self._replies_left = trio.Event()
            await self._replies_left.wait()
        first = lines[0]
        if isinstance(first, bytes) and len(first) > LONG_LINE_BYTES:
            judged = await trio.to_thread.run_sync(self._judge, intake, lines)
        else:
            judged = self._judge(intake, lines)
        ticket = await intake.offer(judged, inlet=self._inlet, uid=self._uid)
        size = sum(map(_size_of_reply, judged))
        self._owed_bytes += size
        self._tickets.append((ticket, size))
        self._ticket_came.set()
        await trio.lowlevel.checkpoint()

    def _judge(self, intake: Intake, lines: Sequence[Line]) -> list[Incoming | Refusal]:
        return [intake.judge_line(line, self._tenant) for line in lines]

    # ----------------------------------------------------------------------- the replier

    async def _reply(self) -> None:
        while True:
            if not self._tickets:
                if self._read_all:
                    return
                self._ticket_came = trio.Event()
                await self._ticket_came.wait()
                continue
            chunk, size = await self._next_replies()
            try:
                with trio.CancelScope(deadline=self._send_until) as self._sending:
                    await self._stream.send_all(chunk)
            except trio.BrokenResourceError:
                return
            if self._sending.cancelled_caught:
                return
            self._owed_bytes -= size
            self._replies_left.set()

    async def _next_replies(self) -> tuple[bytes, int]:
        """Wait for the oldest ticket; give its replies, and those of the following ones that are ready too."""
        written: list[bytes] = []
        size = 0
        while not size or (self._tickets and self._tickets[0][0].done and size < REPLY_CHUNK_BYTES):
            ticket, ticket_size = self._tickets.popleft()
            written += map(render_reply, await ticket.replies())
            size += ticket_size
        return b"".join(written), size


async def end_stream(stream: trio.SocketStream) -> None:
    """End a Unix stream so that the peer reads what we sent and then its end.

    To close while bytes of the peer lie unread would make its next read fail (ECONNRESET, unix(7)), so they are
    dropped first; after the shutdown no more can come.
    """
    try:
        stream.socket.shutdown(socket.SHUT_RDWR)
        while await stream.socket.recv(CHUNK_BYTES):
            pass
    except OSError:
        pass  # the peer is gone already


def _size_of_reply(item: Incoming | Refusal) -> int:
    """Give about how many bytes the reply to a line will have: never 0."""
    if isinstance(item, Refusal):
        return _REPLY_BYTES + len(item.told) + (0 if item.id is None else len(item.id))
    return _REPLY_BYTES + len(item.event.id)
