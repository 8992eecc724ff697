"""Who has something to read: one epoll for all connections of a sender, beside trio's own.

Rules of this module:

1. A connection is registered once, edge-triggered, for as long as it lives. trio arms and disarms a descriptor for
   every wait, which costs a system call and as much again in Python; an exchange waits once, so it is paid for each.
2. One task waits for this epoll in trio's, and wakes those whose connections have something: many of them at a time
   when there is much to do.
3. An edge is told once. So whoever waits has read before until there was nothing left, or has just begun an exchange on
   a connection that was quiet. A wake-up may find nothing: then it waits again.
4. The descriptor is forgotten before it is closed, since its number is soon somebody else's.
"""

from __future__ import annotations

import select
from typing import TYPE_CHECKING, Final, Protocol

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

#: How many connections are looked at before the other tasks have their turn.
_AT_ONCE: Final = 256
_EVENTS: Final = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET


class _HasDescriptor(Protocol):
    def fileno(self) -> int: ...


class Readiness:
    """The epoll. State: whom to call when a descriptor has something to read."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._calls: dict[int, Callable[[], None]] = {}

    def add(self, source: _HasDescriptor, call: Callable[[], None]) -> None:
        """Call `call` whenever there may be something new to read."""
        descriptor = source.fileno()
        self._calls[descriptor] = call
        self._epoll.register(descriptor, _EVENTS)

    def forget(self, source: _HasDescriptor) -> None:
        """Call nobody any more; closing the descriptor takes it out of the epoll."""
        self._calls.pop(source.fileno(), None)

    async def serve(self) -> None:
        """Call, until cancelled."""
        calls = self._calls
        descriptor = self._epoll.fileno()
        try:
            while True:
                await trio.lowlevel.wait_readable(descriptor)
                for ready, _ in self._epoll.poll(0, _AT_ONCE):
                    call = calls.get(ready)
                    if call is not None:
                        call()
        finally:
            self._epoll.close()
