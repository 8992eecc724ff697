"""Events over a Unix socket: one JSON object per line in, one reply per line out, in order, pipelining allowed.

Rules of this module:

1. Who may come in is the kernel's word about the peer, held against the `allow` of the config; the entry that lets
   it in may bind its events to a tenant. Who may not gets one refused line, and the end.
2. Connections are bounded, and a fault of one is its own: it ends that connection and no other.
3. On stopping nobody else is let in, and each connection ends as `connection` says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog
import trio

from hookd.core.lines import render_reply
from hookd.core.model import Refusal, RefusalCode
from hookd.inlet.connection import Connection, end_stream
from hookd.web.accepting import Acceptor
from hookd.web.sockets import allowed, peer_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hookd.core.daemonconfig import Allow, Limits
    from hookd.inlet.intake import Intake

log = structlog.get_logger()

#: What the log calls this way in.
INLET: Final = "unix"
#: Connections of one listener; each may own a chunk, a line and a backlog of replies.
MAX_CONNECTIONS: Final = 1_024
_REFUSAL_S: Final = 1.0


async def serve_unix(
    intake: Intake,
    listener: trio.SocketListener,
    *,
    allow: tuple[Allow, ...] | None,
    limits: Limits,
    stopping: trio.Event,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Take events from everybody who connects, until `stopping`; return when the last reply is out.

    `allow` None lets in whoever could open the file. The listener is closed at the end; its file is its owner's.
    """
    connections: set[Connection] = set()

    async def serve_one(stream: trio.SocketStream) -> None:
        try:
            async with stream:
                connection = _admit(stream, allow, limits, is_full=len(connections) >= MAX_CONNECTIONS)
                if isinstance(connection, Refusal):
                    intake.tell_refusal(connection, inlet=INLET, uid=peer_of(stream).uid)
                    with trio.move_on_after(_REFUSAL_S):
                        await stream.send_all(render_reply(connection))
                        await end_stream(stream)
                    return
                if stopping.is_set():  # it was let in at the last moment, when the others were told
                    connection.stop()
                connections.add(connection)
                try:
                    await connection.serve(intake)
                finally:
                    connections.discard(connection)
        except (OSError, trio.BrokenResourceError) as error:
            log.debug("connection.broken", inlet=INLET, cause=type(error).__name__)
        except Exception:
            log.exception("connection.failed", inlet=INLET)

    async with listener, trio.open_nursery() as nursery, trio.open_nursery() as accepting:
        accepting.start_soon(_accept, listener, serve_one, nursery)
        task_status.started()
        await stopping.wait()
        accepting.cancel_scope.cancel()
        for connection in connections:
            connection.stop()


async def _accept(
    listener: trio.SocketListener, serve_one: Callable[[trio.SocketStream], Awaitable[None]], nursery: trio.Nursery
) -> None:
    acceptor = Acceptor(inlet=INLET)
    while True:
        nursery.start_soon(serve_one, await acceptor.accept(listener))


def _admit(
    stream: trio.SocketStream, allow: tuple[Allow, ...] | None, limits: Limits, *, is_full: bool
) -> Connection | Refusal:
    if is_full:
        return Refusal(code=RefusalCode.OVERLOADED, message="too many connections")
    peer = peer_of(stream)
    tenant = None
    if allow is not None:
        entry = allowed(peer, allow)
        if entry is None:
            return Refusal(code=RefusalCode.NOT_ALLOWED, message="this user may not send events here")
        tenant = entry.tenant
    return Connection(stream, inlet=INLET, uid=peer.uid, tenant=tenant, limit=limits.event_bytes)
