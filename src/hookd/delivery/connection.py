"""One connection to a receiver: bytes over a non-blocking socket, with or without TLS.

Rules of this module:

1. Half-duplex: write a request, read a response. So the socket itself is used, tried first and waited for only when it
   blocks; a trio stream yields to the scheduler at each call, also when there is nothing to wait for. `ssl.SSLSocket`
   fits in, its "wants" included.
2. Only a write that blocks is waited for by a task. For an answer a `Listener` is called when something has come: it
   is told of what is new (`readiness`), and not again of what was left, so it reads until there is nothing.
3. `close` is synchronous: it works in every `finally`, cancelled or not. There is no polite TLS goodbye; the length
   of an HTTP message does not depend on one.
4. A receiver may answer before it has read everything (413) and then not read on. So a write that blocks looks for
   an answer, and one that fails takes what had come in.
"""

from __future__ import annotations

import select
import ssl
from time import perf_counter
from typing import TYPE_CHECKING, Final, Protocol

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


class Listener(Protocol):
    """Who waits for an answer."""

    def read_on(self) -> None:
        """Take what has come, until `take` gives None."""


class Connection:
    """A socket that is connected (and has its TLS), with the reader of its responses.

    `wrote` tells whether any byte of the current request left, `whole` whether all of it did, `began` whether any
    byte of a response came. `listener` is who waits for an answer. `born` and `idle_since` are `perf_counter` times.
    """

    __slots__ = (
        "_early",
        "_poll",
        "_readiness",
        "_socket",
        "_stirred",
        "_tls",
        "began",
        "born",
        "idle_since",
        "listener",
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
        self._readiness: Readiness | None = None
        self.listener: Listener | None = None
        self.reader = ResponseReader()
        self.born = self.idle_since = perf_counter()
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

    def listen(self, listener: Listener) -> None:
        """Have a request's answer read; what has come already is read at once."""
        self.listener = listener
        if self._stirred or self._early is not None or (self._tls is not None and self._tls.pending()):
            listener.read_on()

    def interrupt(self) -> None:
        """Wake the task that writes to this connection, if one does: it gets trio.ClosedResourceError."""
        trio.lowlevel.notify_closing(self._socket)

    def close(self) -> None:
        """Close at once."""
        self.reader.close()
        self.listener = None
        if self._readiness is not None:
            self._readiness.forget(self._socket)
            self._readiness = None
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
                await trio.lowlevel.wait_readable(self._socket)
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

    def take(self) -> bytes | None:
        """Give the next bytes, b"" at the end of the stream, None: nothing is there now.

        Raises OSError when the connection is gone.
        """
        if self._early is not None:
            data, self._early = self._early, None
        else:
            try:
                data = self._socket.recv(RECEIVE_SIZE)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return None
        if data:
            self.began = True
        return data

    def _stir(self) -> None:
        listener = self.listener
        if listener is None:
            self._stirred = True
        else:
            listener.read_on()
