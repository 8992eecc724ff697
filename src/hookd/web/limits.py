"""What one HTTP server bears: sizes, times and numbers, with the defaults of the house."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLimits:
    """What one server bears. Times are in seconds."""

    header_bytes: int = 16 * 1024
    headers: int = 100
    target_bytes: int = 8 * 1024
    body_bytes: int = 1024 * 1024  # where no `admit` says otherwise
    bodies_bytes: int = 64 * 1024 * 1024  # of all requests being read or answered
    header_deadline: float = 10.0  # from the first byte, or from the connection to the end of the first head
    body_deadline: float = 15.0  # and longer by what came in, at `body_rate`
    body_rate: float = 10_000.0  # bytes per second that a body must reach after that
    reply_deadline: float = 30.0
    keep_alive: float = 30.0
    connections: int = 1024


class BodyBudget:
    """How many bytes of bodies all connections of a server hold."""

    __slots__ = ("most", "used")

    def __init__(self, most: int) -> None:
        self.most = most
        self.used = 0
