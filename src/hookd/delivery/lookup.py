"""Name look-ups: what a host name stands for, asked of the system's resolver.

Rules of this module:

1. A look-up runs in a thread of its own, because getaddrinfo blocks and cannot be told to stop.
2. Everyone who asks for the same host meanwhile shares one look-up: a host that hangs costs one thread, however many
   deliveries wait for it. Who stops waiting (a deadline) leaves the look-up running for the next one who asks.
3. At most 64 run at once; the others wait in line, and those that nobody waits for any more are not started.
4. Nothing is cached: kept-alive connections make look-ups rare, and how long an answer holds is the resolver's to know.
"""

from __future__ import annotations

import socket
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias

import trio

from hookd.core.model import Cause
from hookd.delivery.sender import ConnectFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    import outcome

    #: From a host name to the addresses it stands for, best first; blocks; raises OSError.
    Resolve: TypeAlias = Callable[[str], tuple[str, ...]]

CAPACITY: Final = 64


def resolve_name(host: str) -> tuple[str, ...]:
    """Ask the system (RFC 6724 order); an IPv6 address that needs a scope has it, after a %."""
    # As bytes: a host is ASCII already, and text would be put through the IDNA codec again.
    found = socket.getaddrinfo(host.encode("ascii"), None, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))


class _Lookup:
    __slots__ = ("addresses", "done", "failure", "host", "waiting")

    def __init__(self, host: str) -> None:
        self.host = host
        self.done = trio.Event()
        self.waiting = 0
        self.addresses: tuple[str, ...] = ()
        self.failure: str | None = None


class Lookups:
    """The look-ups of one event loop. `resolve` may be replaced, which is how tests make a resolver lie or hang."""

    def __init__(self, resolve: Resolve = resolve_name, *, capacity: int = CAPACITY) -> None:
        self._resolve = resolve
        self._free = capacity
        self._by_host: dict[str, _Lookup] = {}
        self._line: deque[_Lookup] = deque()

    async def addresses(self, host: str) -> tuple[str, ...]:
        """Give the addresses of a host, at least one; raise `ConnectFailed` (dns) when there is none."""
        lookup = self._by_host.get(host)
        if lookup is None:
            lookup = self._by_host[host] = _Lookup(host)
            self._line.append(lookup)
        lookup.waiting += 1
        try:
            self._start()
            await lookup.done.wait()
        finally:
            lookup.waiting -= 1
        if lookup.failure is not None:
            raise ConnectFailed(Cause.DNS, lookup.failure)
        return lookup.addresses

    def _start(self) -> None:
        while self._line and self._free:
            lookup = self._line.popleft()
            if not lookup.waiting:
                self._by_host.pop(lookup.host)
                continue
            self._free -= 1
            trio.lowlevel.start_thread_soon(
                partial(self._resolve, lookup.host),
                partial(_hand_back, trio.lowlevel.current_trio_token(), self._finish, lookup),
                name=f"look-up of {lookup.host}",
            )

    def _finish(self, lookup: _Lookup, result: outcome.Outcome[tuple[str, ...]]) -> None:
        self._free += 1
        del self._by_host[lookup.host]
        try:
            lookup.addresses = result.unwrap()
        except (OSError, UnicodeError) as error:
            lookup.failure = f"{lookup.host}: {_why(error)}"
        else:
            if not lookup.addresses:
                lookup.failure = f"{lookup.host}: the name has no address"
        lookup.done.set()
        self._start()


def _hand_back(
    token: trio.lowlevel.TrioToken,
    finish: Callable[[_Lookup, outcome.Outcome[tuple[str, ...]]], None],
    lookup: _Lookup,
    result: outcome.Outcome[tuple[str, ...]],
) -> None:
    """Run in the look-up's thread, which may outlive the loop that asked."""
    try:
        token.run_sync_soon(finish, lookup, result)
    except trio.RunFinishedError:
        return


def _why(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[0].lower() + error.strerror[1:]
    return "the name cannot be looked up"
