"""Who may go next, and how often: turns among tenants and webhooks, and the token bucket of a rate.

Rules of this module:

1. Turns go round among the groups first, and among the members of a group then: a tenant with 1,000 busy webhooks
   gets as much as a tenant with one. Taking a turn costs the same whatever the number of groups and members.
2. A member stands in the ring at most once. It leaves when its turn comes and is put back, at the end, by who took it.
3. A bucket holds at most one second's worth of requests, at least one: a burst is no longer than the rate's own unit,
   and a rate below one per second still lets single requests pass. A new one holds what has gathered since the last
   request, as far as one is known: a restart is no reason to send more.
4. The clock is an argument, in seconds, monotonic.
"""

from __future__ import annotations

from collections import deque
from math import inf
from typing import Generic, TypeVar

Member = TypeVar("Member")


class Turns(Generic[Member]):
    """A ring of groups, each a ring of members. State: who waits for a turn."""

    __slots__ = ("_groups", "_ring")

    def __init__(self) -> None:
        self._groups: dict[str | None, deque[Member]] = {}
        self._ring: deque[str | None] = deque()

    def __bool__(self) -> bool:
        return bool(self._ring)

    def add(self, group: str | None, member: Member) -> None:
        """Put a member, that must not wait already, at the end of its group."""
        members = self._groups.get(group)
        if members is None:
            self._groups[group] = deque((member,))
            self._ring.append(group)
        else:
            members.append(member)

    def pop(self) -> Member | None:
        """Take the member whose turn it is; None: nobody waits."""
        if not self._ring:
            return None
        group = self._ring.popleft()
        members = self._groups[group]
        member = members.popleft()
        if members:
            self._ring.append(group)
        else:
            del self._groups[group]
        return member


class Bucket:
    """A token bucket. State: how many requests may go at once, and since when it fills."""

    __slots__ = ("_filled_at", "_tokens", "burst", "rate")

    def __init__(self, rate: float, now: float, *, idle: float = inf) -> None:
        """`rate` is in requests per second, above 0; for `idle` seconds there was no request (inf: none is known)."""
        self.rate = rate
        self.burst = max(1.0, rate)
        self._tokens = min(self.burst, idle * rate)
        self._filled_at = now

    def wait(self, now: float) -> float:
        """Give the seconds until a request may go; 0: now. Nothing is taken."""
        self._fill(now)
        # The small allowance is for rounding: a wait that was slept in full must end the waiting.
        return 0.0 if self._tokens >= 1.0 - 1e-9 else (1.0 - self._tokens) / self.rate

    def take(self) -> None:
        """Count one request."""
        self._tokens = max(0.0, self._tokens - 1.0)

    def full(self, now: float) -> bool:
        """Whether it is as good as new, so that it may be forgotten."""
        self._fill(now)
        return self._tokens >= self.burst

    def change(self, rate: float, now: float) -> None:
        """Go on with another rate; what was saved is kept, up to the new burst."""
        self._fill(now)
        self.rate = rate
        self.burst = max(1.0, rate)
        self._tokens = min(self._tokens, self.burst)

    def _fill(self, now: float) -> None:
        if now > self._filled_at:
            self._tokens = min(self.burst, self._tokens + (now - self._filled_at) * self.rate)
            self._filled_at = now
