"""Name look-ups: what a host name stands for, asked of the system's resolver.

Rules of this module:

1. A look-up runs in a thread of its own, because getaddrinfo blocks and cannot be told to stop.
2. Everyone who asks for the same host meanwhile shares one look-up: a host that hangs costs one thread, however many
   deliveries wait for it. Who stops waiting (a deadline) leaves the look-up running for the next one who asks.
3. At most 128 run at once; the others wait in line, and those that nobody waits for any more are not started.
4. A host whose last look-up took longer than `PROMPT` seconds, or that is new, is doubted: look-ups of such hosts have
   half of the threads, so that any number of names that hang leaves the other half to those that are quick.
5. A webhook names one host, so it costs one look-up, and a second one when its URL has just changed.
6. Nothing is cached: kept-alive connections make look-ups rare, and how long an answer holds is the resolver's to know.
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

CAPACITY: Final = 128
#: A look-up that took at most this many seconds shows that a name does not hang, whatever the answer was.
PROMPT: Final = 1.0
#: How many prompt hosts are remembered.
REMEMBERED: Final = 10_000


def resolve_name(host: str) -> tuple[str, ...]:
    """Ask the system (RFC 6724 order); an IPv6 address that needs a scope has it, after a %."""
    # As bytes: a host is ASCII already, and text would be put through the IDNA codec again.
    found = socket.getaddrinfo(host.encode("ascii"), None, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))


class _Lookup:
    __slots__ = ("addresses", "began", "done", "doubted", "failure", "host", "waiting")

    def __init__(self, host: str, *, doubted: bool) -> None:
        self.host = host
        self.doubted = doubted
        self.began = 0.0
        self.done = trio.Event()
        self.waiting = 0
        self.addresses: tuple[str, ...] = ()
        self.failure: str | None = None


class Lookups:
    """The look-ups of one event loop. `resolve` may be replaced, which is how tests make a resolver lie or hang."""

    def __init__(self, resolve: Resolve = resolve_name, *, capacity: int = CAPACITY) -> None:
        self._resolve = resolve
        self._free = capacity
        self._free_for_doubted = max(1, capacity // 2)
        self._by_host: dict[str, _Lookup] = {}
        self._line: deque[_Lookup] = deque()
        self._doubted: deque[_Lookup] = deque()
        self._prompt: dict[str, None] = {}  # hosts, the one that was looked up longest ago first

    async def addresses(self, host: str) -> tuple[str, ...]:
        """Give the addresses of a host, at least one; raise `ConnectFailed` (dns) when there is none."""
        lookup = self._by_host.get(host)
        if lookup is None:
            lookup = self._by_host[host] = _Lookup(host, doubted=host not in self._prompt)
            (self._doubted if lookup.doubted else self._line).append(lookup)
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
        while (lookup := self._next()) is not None:
            if not lookup.waiting:
                self._by_host.pop(lookup.host)
                continue
            self._free -= 1
            self._free_for_doubted -= lookup.doubted
            lookup.began = trio.current_time()
            trio.lowlevel.start_thread_soon(
                partial(self._resolve, lookup.host),
                partial(_hand_back, trio.lowlevel.current_trio_token(), self._finish, lookup),
                name=f"look-up of {lookup.host}",
            )

    def _next(self) -> _Lookup | None:
        if self._free and self._line:
            return self._line.popleft()
        if self._free and self._free_for_doubted and self._doubted:
            return self._doubted.popleft()
        return None

    def _finish(self, lookup: _Lookup, result: outcome.Outcome[tuple[str, ...]]) -> None:
        self._free += 1
        self._free_for_doubted += lookup.doubted
        del self._by_host[lookup.host]
        self._prompt.pop(lookup.host, None)
        if trio.current_time() - lookup.began <= PROMPT:
            self._prompt[lookup.host] = None
            if len(self._prompt) > REMEMBERED:
                del self._prompt[next(iter(self._prompt))]
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
