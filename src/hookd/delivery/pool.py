"""Connections that wait for their next request.

Rules of this module:

1. The last one back is the first one out: a few are kept warm and the rest grow old and go.
2. A connection waits at most 4 s (receivers close idle ones; Node's default is 5 s) and lives at most 60 s, so that
   a moved name, a rotated certificate or a closed network is seen under constant load too.
3. At most 256 wait in a bay, which is as many as may be in flight at all (a lower bound made two requests in five
   of a webhook with 64 slots connect anew), and 1,024 in all; the one that waited longest goes first.
4. A bay is looked up once per request at most (its key may hold networks, which are slow to hash): the head of a
   webhook's requests keeps the one that was found last. It is known once a connection waits in it, and an empty one is
   forgotten at the next sweep.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Hashable

    from hookd.delivery.connection import Connection
    from hookd.delivery.sender import Request

IDLE_SECONDS: Final = 4.0
LIFE_SECONDS: Final = 60.0
BAY_LIMIT: Final = 256
TOTAL_LIMIT: Final = 1024


class Bay:
    """Idle connections that are interchangeable, the latest last."""

    __slots__ = ("key", "known", "waiting")

    def __init__(self, key: Hashable) -> None:
        self.key = key
        self.known = False
        self.waiting: list[Connection] = []


class Pool:
    """The bays of a sender. `now` is a `perf_counter` time."""

    def __init__(self) -> None:
        self._bays: dict[Hashable, Bay] = {}
        self._by_age: dict[Connection, Bay] = {}  # in the order of their idle_since
        self._closed = False

    def __len__(self) -> int:
        return len(self._by_age)

    @property
    def bays(self) -> int:
        """How many bays are known."""
        return len(self._bays)

    def bay(self, key: Hashable) -> Bay:
        """Give the bay of a key."""
        return self._bays.get(key) or Bay(key)

    def bay_of(self, request: Request) -> Bay:
        """Give the bay of a request: of those that go to the same place on the same terms."""
        head = request.head
        found: tuple[Bay, object, object, object] | None = head.notes.get(self)
        if found is not None:
            bay, networks, tls, tls_key = found
            if bay.known and networks is request.networks and tls is request.tls and tls_key is request.tls_key:
                return bay
        target = head.target
        bay = self.bay((target.scheme, target.host, target.port, request.networks, request.tls, request.tls_key))
        head.notes[self] = bay, request.networks, request.tls, request.tls_key
        return bay

    def take(self, bay: Bay, now: float) -> Connection | None:
        """Give a connection that is fit for a request, or None."""
        while bay.waiting:
            connection = bay.waiting.pop()
            del self._by_age[connection]
            if now - connection.idle_since <= IDLE_SECONDS and connection.is_quiet(now):
                return connection
            connection.close()
        return None

    def put(self, bay: Bay, connection: Connection, now: float) -> None:
        """Keep a connection whose exchange is over, or close it when it is old."""
        if self._closed or now - connection.born > LIFE_SECONDS:
            connection.close()
            return
        if not bay.known:
            bay = self._bays.setdefault(bay.key, bay)
            bay.known = True
        if len(bay.waiting) >= BAY_LIMIT:
            self._drop(bay.waiting[0], bay)
        elif len(self._by_age) >= TOTAL_LIMIT:
            self._drop(*next(iter(self._by_age.items())))
        connection.idle_since = now
        bay.waiting.append(connection)
        self._by_age[connection] = bay

    def sweep(self, now: float) -> None:
        """Close what waited too long, and forget empty bays."""
        while self._by_age:
            connection, bay = next(iter(self._by_age.items()))
            if now - connection.idle_since <= IDLE_SECONDS:
                break
            self._drop(connection, bay)
        for key in [key for key, bay in self._bays.items() if not bay.waiting]:
            self._bays.pop(key).known = False

    def close(self) -> None:
        """Close all of them, and take none back."""
        for connection in self._by_age:
            connection.close()
        for bay in self._bays.values():
            bay.waiting.clear()
        self._by_age.clear()
        self._bays.clear()
        self._closed = True

    def _drop(self, connection: Connection, bay: Bay) -> None:
        bay.waiting.remove(connection)
        del self._by_age[connection]
        connection.close()
