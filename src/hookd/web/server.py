"""One small HTTP/1.1 server on trio and httptools: it reads requests whole, has them answered, writes whole responses.

Rules of this module:

1. Every wait has an end: for a head, for a body (and a rate it must keep), for the answer to be made, and to be read.
   One cancel scope per connection has its deadline moved; a scope per request would cost more than the parsing.
2. Pipelined requests are answered one after another, in order; nothing more is read meanwhile.
3. A fault of the client is answered and ends the connection. After an answer that the client may still be writing
   against, we read on for a moment, since closing a socket with unread bytes resets it and the answer is lost.
4. An answer that cannot be made, for whatever is raised, is a 500 without detail; the log has its type and place.
5. When `stopping` is set nothing new is read: what was read is answered with `connection: close`, and the rest
   ends.
6. The socket is used bare. A `trio.SocketStream` costs two rounds of the scheduler for each request, this one.
"""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from enum import Enum
from typing import TYPE_CHECKING

import structlog
import trio

from hookd.web.accepting import Acceptor
from hookd.web.http1 import RequestReader
from hookd.web.limits import BodyBudget, HttpLimits
from hookd.web.messages import Request, Response, render_response
from hookd.web.problem import problem
from hookd.web.sockets import peer_of_socket

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hookd.web.messages import Admit, Answerer

CHUNK = 64 * 1024
#: How long a client may take to read our last answer, and we read what it still writes.
LINGER_S = 2.0
#: Connections over the limit that are told so; more than these are closed without a word.
TURNED_AWAY = 32
#: Of a path in a log line.
PATH_SHOWN = 200
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

log = structlog.get_logger()


class _Phase(Enum):
    """What a connection waits for; it says what to answer when its time is over."""

    IDLE = "idle"
    READING = "reading"
    ANSWERING = "answering"
    WRITING = "writing"


async def serve_http(
    answer: Answerer,
    listeners: Sequence[trio.SocketListener],
    limits: HttpLimits | None = None,
    *,
    stopping: trio.Event,
    admit: Admit | None = None,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until `stopping` is set and what was read is answered.

    The listeners are this function's from here on; they are closed when it stops, and when it is cancelled. The socket
    file of a Unix listener is its opener's: `remove_unix_socket`, before `stopping` is set.
    """
    server = _Server(answer, limits or HttpLimits(), admit)
    try:
        async with trio.open_nursery() as nursery:
            with trio.CancelScope() as accepting:
                async with trio.open_nursery() as acceptors:
                    for listener in listeners:
                        acceptors.start_soon(server.accept, listener, nursery)
                    task_status.started()
                    await stopping.wait()
                    accepting.cancel()
            _close(listeners)
            server.stop()
    finally:
        _close(listeners)


def _close(listeners: Sequence[trio.SocketListener]) -> None:
    for listener in listeners:
        listener.socket.close()


class _Server:
    """What the connections of one `serve_http` share."""

    def __init__(self, answer: Answerer, limits: HttpLimits, admit: Admit | None) -> None:
        self.answer = answer
        self.limits = limits
        self.admit = admit
        self.budget = BodyBudget(limits.bodies_bytes)
        self.connections: set[_Connection] = set()
        self.stopping = False
        self._turned_away = 0
        self._acceptor = Acceptor()
        self._date = b""
        self._date_second = 0

    async def accept(self, listener: trio.SocketListener, nursery: trio.Nursery) -> None:
        """Take connections as they come, for ever."""
        while True:
            try:
                stream = await self._acceptor.accept(listener)
            except trio.ClosedResourceError:
                return
            sock = socket.socket(fileno=stream.socket.detach())
            sock.settimeout(0)  # never blocks
            if len(self.connections) >= self.limits.connections:
                self._acceptor.tell_refused("too many connections")
                if self._turned_away >= TURNED_AWAY:
                    sock.close()
                else:
                    nursery.start_soon(self._turn_away, sock)
                continue
            connection = _Connection(self, sock)
            self.connections.add(connection)
            nursery.start_soon(connection.run)

    def stop(self) -> None:
        """End what waits for a client; what is being answered ends by itself."""
        self.stopping = True
        for connection in self.connections:
            connection.stop()

    def date(self) -> bytes:
        """Give the Date header, made once a second."""
        second = int(time.time())
        if second != self._date_second:
            self._date_second = second
            self._date = formatdate(second, usegmt=True).encode()
        return self._date

    async def _turn_away(self, sock: socket.socket) -> None:
        self._turned_away += 1
        try:
            busy = problem(503, "there are too many connections; try again", headers=((b"retry-after", b"1"),))
            await _say_and_close(sock, render_response(busy, date=self.date(), keep_alive=False))
        finally:
            self._turned_away -= 1


@dataclass(eq=False, slots=True)
class _Connection:
    """One client. `run` is its task; `stop` is called from another."""

    server: _Server
    sock: socket.socket
    phase: _Phase = _Phase.IDLE
    reader: RequestReader = field(init=False)
    scope: trio.CancelScope = field(init=False, default_factory=trio.CancelScope)
    began_at: float = 0.0  # of the body that is being read

    def __post_init__(self) -> None:
        server = self.server
        peer, client = None, ""
        with suppress(OSError):
            if self.sock.family == socket.AF_UNIX:
                peer = peer_of_socket(self.sock)
                client = f"uid {peer.uid}"
            else:
                host, port = self.sock.getpeername()[:2]
                client = f"{host}:{port}"
        self.reader = RequestReader(server.limits, server.budget, admit=server.admit, peer=peer, client=client)

    def stop(self) -> None:
        if self.phase in {_Phase.IDLE, _Phase.READING}:
            self.scope.cancel()

    async def run(self) -> None:
        server = self.server
        last: Response | None = None
        try:
            self.scope.deadline = trio.current_time() + server.limits.header_deadline
            with suppress(OSError):  # the client went away, and nothing is lost by it
                with self.scope:
                    last = await self._serve()
                if self.scope.cancelled_caught:
                    last = self._explain_end()
                if last is not None:
                    await _say_and_close(self.sock, render_response(last, date=server.date(), keep_alive=False))
        finally:
            self.reader.release()
            server.connections.discard(self)
            self.sock.close()

    async def _serve(self) -> Response | None:
        """Answer request after request; give the last word if the connection ends by the client's fault."""
        server, reader, sock = self.server, self.reader, self.sock
        requests = reader.requests
        while not server.stopping:
            await trio.lowlevel.wait_readable(sock)
            try:
                data = sock.recv(CHUNK)
            except BlockingIOError:
                continue
            if not data:
                return None  # what was read by half is not a request
            was_reading_body = reader.in_body
            reader.feed(data)
            while requests:
                if not await self._answer(requests.popleft()):
                    return None
            if reader.fault is not None:
                return reader.fault
            self._set_deadline(was_reading_body=was_reading_body)
            if reader.expects_continue:
                reader.expects_continue = False
                await self._send(_CONTINUE)
        return None

    def _set_deadline(self, *, was_reading_body: bool) -> None:
        """Say until when the next bytes are waited for; called after each piece that came in."""
        limits, reader = self.server.limits, self.reader
        before = self.phase
        if reader.in_body:
            now = trio.current_time()
            if not was_reading_body or before is _Phase.ANSWERING:
                self.began_at = now
            self.phase = _Phase.READING
            self.scope.deadline = self.began_at + limits.body_deadline + reader.body_received / limits.body_rate
        elif reader.in_head:
            self.phase = _Phase.READING
            if before is not _Phase.READING:
                self.scope.deadline = trio.current_time() + limits.header_deadline
        elif before is _Phase.ANSWERING:
            self.phase = _Phase.IDLE
            self.scope.deadline = trio.current_time() + limits.keep_alive

    async def _answer(self, request: Request) -> bool:
        """Answer one request; tell whether the connection goes on."""
        server = self.server
        self.phase = _Phase.ANSWERING
        self.scope.deadline = trio.current_time() + server.limits.reply_deadline
        try:
            response = await server.answer(request)
            close = response.close
            keep_alive = request.keep_alive and not close and not server.stopping
            data = render_response(
                response,
                date=server.date(),
                keep_alive=keep_alive,
                head=request.method == "HEAD",
                old=request.version == "1.0",
            )
        except Exception:  # whatever it is, it is this request's alone
            log.exception("http.failed", method=request.method, path=request.path[:PATH_SHOWN])
            keep_alive = False
            failed = problem(500, "something went wrong here; the log of hookd has more")
            data = render_response(failed, date=server.date(), keep_alive=False, head=request.method == "HEAD")
        self.reader.settle(request)
        await self._send(data)
        if keep_alive:
            return not server.stopping
        self.phase = _Phase.WRITING
        await _end(self.sock)
        return False

    async def _send(self, data: bytes) -> None:
        """Write it all; mostly the kernel takes it at once. Else the client has `reply_deadline` to read it."""
        try:
            sent = self.sock.send(data)
        except BlockingIOError:
            sent = 0
        if sent == len(data):
            return
        before = self.phase, self.scope.deadline
        self.phase = _Phase.WRITING
        self.scope.deadline = trio.current_time() + self.server.limits.reply_deadline
        await _send_all(self.sock, memoryview(data)[sent:])
        self.phase, self.scope.deadline = before

    def _explain_end(self) -> Response | None:
        """Say why the time was over, if the client has begun something."""
        if self.phase is _Phase.ANSWERING:
            # It may have been done. Events carry ids, so that asking again is safe.
            return problem(503, "there was no answer in time; try again", headers=((b"retry-after", b"5"),))
        if self.phase is _Phase.READING:
            if self.server.stopping:
                return problem(503, "this server is stopping; try again", headers=((b"retry-after", b"5"),))
            return problem(408, "the request did not come in time")
        return None


async def _send_all(sock: socket.socket, data: bytes | memoryview) -> None:
    view = memoryview(data)
    while view:
        await trio.lowlevel.wait_writable(sock)
        with suppress(BlockingIOError):
            view = view[sock.send(view) :]


async def _say_and_close(sock: socket.socket, data: bytes) -> None:
    """Write a short last word."""
    with suppress(OSError):
        with trio.move_on_after(LINGER_S):
            await _send_all(sock, data)
        await _end(sock)


async def _end(sock: socket.socket) -> None:
    """Close, after the client had a chance to read what was written (RFC 9112, 9.6)."""
    with suppress(OSError), trio.move_on_after(LINGER_S):
        sock.shutdown(socket.SHUT_WR)
        while True:
            await trio.lowlevel.wait_readable(sock)
            with suppress(BlockingIOError):
                if not sock.recv(CHUNK):
                    break
    sock.close()
