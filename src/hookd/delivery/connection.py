"""One connection to a receiver: bytes over a non-blocking socket, with or without TLS.

Rules of this module:

1. Half-duplex and one task: write a request, read a response. So the socket itself is used, tried first and waited
   for only when it blocks; a trio stream yields to the scheduler at each call, also when there is nothing to wait
   for. `ssl.SSLSocket` fits the same loop, its "wants" included.
2. Every exchange waits for the socket at least once, so it is cancelled and gives way to others like any trio call.
   It waits before its first read, since nothing can be there yet, and after that only when a read found nothing: who
   wakes it (`readiness`) tells of what is new, and not again of what was left.
3. `close` is synchronous: it works in every `finally`, cancelled or not. There is no polite TLS goodbye; the length
   of an HTTP message does not depend on one.
4. A receiver may answer before it has read everything (413) and then not read on. So a write that blocks looks for
   an answer, and one that fails takes what had come in.
"""

from __future__ import annotations

import select
import ssl
from time import perf_counter
from typing import TYPE_CHECKING, Final

import outcome
import trio

from hookd.delivery.response import ResponseReader

if TYPE_CHECKING:
    import socket

    from hookd.delivery.readiness import Readiness

RECEIVE_SIZE: Final = 16 * 1024
#: For how many seconds a connection that waits has hardly waited: a few turns of a busy loop.
FRESH: Final = 0.005
#: How often a write that is stuck looks for an answer, in seconds.
ANSWER_CHECK: Final = 0.25


class Connection:
    """A socket that is connected (and has its TLS), with the reader of its responses.

    `wrote` tells whether any byte of the current request left, `whole` whether all of it did, `began` whether any
    byte of a response came. `deadline`, when the exchange is to be interrupted, `born` and `idle_since` are
    `perf_counter` times.
    """

    __slots__ = (
        "_abort",
        "_early",
        "_first",
        "_poll",
        "_readiness",
        "_socket",
        "_stirred",
        "_task",
        "_tls",
        "began",
        "born",
        "deadline",
        "idle_since",
        "reader",
        "whole",
        "wrote",
    )

    def __init__(self, connected: socket.socket | ssl.SSLSocket) -> None:
        self._socket = connected
        self._tls = connected if isinstance(connected, ssl.SSLSocket) else None
        self._poll = select.poll()
        self._poll.register(connected, select.POLLIN)
        self._early: bytes | None = None
        self._stirred = False  # something came, and nobody waited for it
        self._first = True  # nothing was read yet in this exchange
        self._readiness: Readiness | None = None
        self._task: trio.lowlevel.Task | None = None  # waits for `_readiness`
        self._abort = self._give_up  # made once: a bound method is an object
        self.reader = ResponseReader()
        self.born = self.idle_since = perf_counter()
        self.deadline = 0.0
        self.wrote = False
        self.whole = False
        self.began = False

    def attach(self, readiness: Readiness) -> None:
        """Have somebody else find out when there is something to read."""
        self._readiness = readiness
        readiness.add(self._socket, self._stir)

    def begin(self, data: bytes) -> int:
        """Begin an exchange: write what the socket takes at once, and give how many bytes that was.

        Raises OSError when the connection is gone.
        """
        self.reader.begin()
        self._early = None
        self._first = True
        self._stirred = False
        self.began = self.wrote = self.whole = False
        try:
            taken = self._socket.send(data)
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            return 0
        self.wrote = True
        self.whole = taken == len(data)
        return taken

    def is_quiet(self, now: float) -> bool:
        """Whether nothing came since the last exchange, its end included: what did come is no answer of ours.

        What came by itself was told to `_stir` (it may have been the last piece of what was read), but for what came in
        this moment, and that nobody can tell from what comes in the next: so a connection that has hardly waited, and
        was not stirred, is not asked.
        """
        if self._readiness is not None and not self._stirred and now - self.idle_since < FRESH:
            return True
        return not self._poll.poll(0)

    @property
    def reusable(self) -> bool:
        """Whether the exchange ended so that the next one can begin."""
        return self.whole and self.reader.reusable and (self._tls is None or not self._tls.pending())

    def interrupt(self) -> None:
        """Wake the task that waits for this connection, if one does: it gets trio.ClosedResourceError."""
        task, self._task = self._task, None
        if task is not None:
            trio.lowlevel.reschedule(task, outcome.Error(trio.ClosedResourceError()))
        else:
            trio.lowlevel.notify_closing(self._socket)

    def close(self) -> None:
        """Close at once."""
        self.reader.close()
        if self._readiness is not None:
            self._readiness.forget(self._socket)
            self._readiness = None
        self._abort = _not_waiting  # it held this connection
        self._socket.close()

    async def send(self, data: bytes, start: int = 0) -> None:
        """Write the rest of a request, or as much as the receiver takes before it answers: then `whole` is False.

        Raises OSError (ssl.SSLError among them) when the connection is gone and no answer is there.
        """
        self.whole = False
        view = memoryview(data)[start:]
        while view:
            try:
                taken = self._socket.send(view)
            except (BlockingIOError, ssl.SSLWantWriteError):
                if self._answered():
                    return
                with trio.move_on_after(ANSWER_CHECK):
                    await trio.lowlevel.wait_writable(self._socket)
            except ssl.SSLWantReadError:
                await self._wait_readable()
            except (BrokenPipeError, ConnectionResetError):
                if self._answered() and self._early:
                    return
                raise
            else:
                self.wrote = True
                view = view[taken:]
        self.whole = True

    def _answered(self) -> bool:
        try:
            self._early = self._socket.recv(RECEIVE_SIZE)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        return True

    async def receive(self) -> bytes:
        """Give the next bytes, b"" at the end of the stream; raise OSError when the connection is gone."""
        if self._early is not None:
            data, self._early = self._early, None
            self.began = self.began or bool(data)
            return data
        if self._first:
            self._first = False
            if self._tls is None or not self._tls.pending():
                await self._wait_readable()
        while True:
            try:
                data = self._socket.recv(RECEIVE_SIZE)
            except (BlockingIOError, ssl.SSLWantReadError):
                await self._wait_readable()
            except ssl.SSLWantWriteError:
                await trio.lowlevel.wait_writable(self._socket)
            else:
                if data:
                    self.began = True
                return data

    # ------------------------------------------------------------------ waiting

    async def _wait_readable(self) -> None:
        if self._readiness is None:
            await trio.lowlevel.wait_readable(self._socket)
            return
        self._task = trio.lowlevel.current_task()
        await trio.lowlevel.wait_task_rescheduled(self._abort)

    def _stir(self) -> None:
        task = self._task
        if task is not None:
            self._task = None
            trio.lowlevel.reschedule(task)
        else:
            self._stirred = True

    def _give_up(self, _cancel: object) -> trio.lowlevel.Abort:
        self._task = None
        return trio.lowlevel.Abort.SUCCEEDED


def _not_waiting(_cancel: object) -> trio.lowlevel.Abort:
    return trio.lowlevel.Abort.SUCCEEDED
