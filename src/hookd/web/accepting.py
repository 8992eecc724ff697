"""Taking connections off listeners, through a shortage of descriptors or memory.

Rules of this module:

1. A shortage ends no listener: another connection's end may mend it, so the next try comes after a pause.
2. That connections are refused is told once a minute, whatever their number: who opens many must not fill the log.
"""

from __future__ import annotations

import errno
import os
from typing import Final

import structlog
import trio

#: Why a connection cannot be taken that another one's end may mend: no descriptors, no memory.
_SHORTAGES: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
#: Seconds to wait then, before the next try.
_PAUSE_S: Final = 0.1
#: A crowd or a shortage is told once in this time.
TELL_AGAIN_S: Final = 60.0

log = structlog.get_logger()


class Acceptor:
    """Takes connections for one server; `named` stands in its log lines. State: when it last told of refusals."""

    def __init__(self, **named: str) -> None:
        self._named = named
        self._told_at = -TELL_AGAIN_S

    async def accept(self, listener: trio.SocketListener) -> trio.SocketStream:
        """Wait for the next connection. Raises `trio.ClosedResourceError`, and `OSError` of a broken listener."""
        while True:
            try:
                return await listener.accept()
            except OSError as error:
                if error.errno not in _SHORTAGES:
                    raise
                self.tell_refused(os.strerror(error.errno))
            await trio.sleep(_PAUSE_S)

    def tell_refused(self, reason: str) -> None:
        """Tell the log that connections are refused, unless it was told a moment ago."""
        now = trio.current_time()
        if now - self._told_at >= TELL_AGAIN_S:
            self._told_at = now
            log.warning("connection.refused", **self._named, reason=reason)
