"""What is known of an attempt while it runs, and the outcome that it makes of it.

Rules of this module:

1. A deadline strikes anywhere, so what has happened so far is noted here and not in local variables.
2. `sent` is False only when certainly no byte of the request left, over any connection of the attempt.
3. Details are for people: the phase and the reason, never a URL, a header or a body.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from hookd.core.model import Cause, NoResponse, Phases
from hookd.delivery.connect import explain_tls

if TYPE_CHECKING:
    from hookd.core.model import Outcome
    from hookd.delivery.connection import Connection
    from hookd.delivery.sender import Progress, Request


class Attempt:
    """One attempt. `connection` is the one in use; `progress` is there once a fresh one was asked for."""

    __slots__ = (
        "_limit",
        "_wrote",
        "connection",
        "deadline",
        "hurried",
        "outcome",
        "progress",
        "request",
        "waited_from",
        "waited_to",
    )

    def __init__(self, request: Request, limit: float, deadline: float) -> None:
        self.request = request
        self.deadline = deadline  # a perf_counter time
        self.hurried = False  # a 2xx is there and its body got its own deadline
        self._limit = limit  # in seconds, for the telling
        self.connection: Connection | None = None
        self.progress: Progress | None = None
        self.outcome: Outcome | None = None
        self.waited_from = 0.0  # the last byte was written; perf_counter
        self.waited_to = 0.0  # the first byte of a response came
        self._wrote = False  # over a connection that died

    @property
    def sent(self) -> bool:
        """Whether a byte of the request may have reached the receiver."""
        return self._wrote or (self.connection is not None and self.connection.wrote)

    def fail(self, cause: Cause, detail: str) -> None:
        """End without a response."""
        self.outcome = NoResponse(cause=cause, detail=detail, sent=self.sent)

    def conclude(self, connection: Connection, error: OSError | None = None) -> None:
        """End an exchange: what was read decides, and `error` only if no status was."""
        reader = connection.reader
        if reader.status:
            self.outcome = reader.response()
        elif reader.fault is not None:
            self.fail(Cause.RESPONSE_MALFORMED, reader.fault)
        elif isinstance(error, ssl.SSLError):
            # An alert that comes late: with TLS 1.3 the receiver judges our certificate after we have begun to send.
            self.fail(Cause.TLS, explain_tls(error))
        else:
            why = (error and error.strerror) or "the connection was closed"
            where = "inside the head of the response" if connection.began else "before a response"
            self.fail(Cause.RESET, f"{why[0].lower()}{why[1:]} {where}")

    def died_idle(self, connection: Connection) -> bool:
        """Whether a reused connection was gone before it could be used: forget it, all but what was written."""
        outcome = self.outcome
        if connection.began or not isinstance(outcome, NoResponse) or outcome.cause not in {Cause.RESET, Cause.TLS}:
            return False
        self._wrote = connection.wrote
        self.outcome = self.connection = None
        self.waited_from = self.waited_to = 0.0
        return True

    def time_out(self) -> None:
        """End because the deadline has struck, wherever that was."""
        connection = self.connection
        cause = Cause.TIMEOUT
        if connection is None:
            cause, what = Cause.CONNECT_TIMEOUT, "no connection"
            if self.progress is not None and self.progress.cause is not None:
                cause, what = self.progress.cause, f"{self.progress.doing} did not end"
        elif connection.reader.status:
            self.outcome = connection.reader.response()
            return
        elif connection.began:
            what = "the head of the response did not end"
        elif connection.whole:
            what = "no response"
        else:
            what = "the request was not taken"
        self.fail(cause, f"{what} within {self._limit:g} s")

    def phases(self) -> Phases:
        """Give the lengths of what was done."""
        progress = self.progress
        answered = self.connection is not None and self.connection.began
        wait_ms = (self.waited_to - self.waited_from) * 1000 if answered else None
        if progress is None:
            return Phases(wait_ms=wait_ms)
        return Phases(dns_ms=progress.dns_ms, connect_ms=progress.connect_ms, tls_ms=progress.tls_ms, wait_ms=wait_ms)
