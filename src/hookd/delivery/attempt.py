"""What is known of an attempt while it runs, how its answer is read, and the outcome that comes of it.

Rules of this module:

1. A deadline strikes anywhere, so what has happened so far is noted here and not in local variables.
2. An answer is read when something has come, without waiting: `read_on` takes what is there and returns. No task is
   woken for it, which would cost as much as the reading.
3. The head decides: once a status is there, the outcome is that response, whatever the rest does. For a 2xx the rest
   gets at most `BODY_GRACE` more, so a receiver that drips does not hold a slot.
4. `sent` is False only when certainly no byte of the request left, over any connection of the attempt.
5. Details are for people: the phase and the reason, never a URL, a header or a body.
"""

from __future__ import annotations

import ssl
from time import perf_counter
from typing import TYPE_CHECKING, Final

import msgspec

from hookd.core.model import Cause, NoResponse, Phases
from hookd.delivery.connect import explain_tls
from hookd.delivery.sender import Sent

if TYPE_CHECKING:
    from collections.abc import Callable

    import trio

    from hookd.core.model import Outcome
    from hookd.delivery.connection import Connection
    from hookd.delivery.pool import Bay
    from hookd.delivery.sender import Flight, Progress, Request

#: How long the body of a 2xx may take after its head, in seconds.
BODY_GRACE: Final = 2.0


class Attempt(msgspec.Struct, eq=False):
    """One attempt. `connection` is the one in use; `progress` is there once a fresh one was asked for.

    `limit` is in seconds; `started`, `deadline`, `ended` and the instants of waiting are `perf_counter` times. `over`
    is called when an exchange is: when the answer is there, or none will come; `drop` closes its connection and forgets
    it. `landed` is whom to tell of the outcome, for an attempt that nobody waits for; `task` waits for it, `scope` ends
    its connecting.
    """

    request: Request
    limit: float
    started: float
    deadline: float
    over: Callable[[Attempt], None]
    drop: Callable[[Attempt], None]
    landed: Callable[[Flight], None] | None = None
    ended: float = 0.0
    hurried: bool = False  # a 2xx is there and its body got its own deadline
    wrote: bool = False  # over a connection that died
    bay: Bay | None = None
    connection: Connection | None = None
    progress: Progress | None = None
    outcome: Outcome | None = None
    task: trio.lowlevel.Task | None = None
    scope: trio.CancelScope | None = None
    waited_from: float = 0.0  # the last byte was written
    waited_to: float = 0.0  # the first byte of a response came

    @property
    def sent(self) -> bool:
        """Whether a byte of the request may have reached the receiver."""
        return self.wrote or (self.connection is not None and self.connection.wrote)

    @property
    def duration_ms(self) -> float:
        """How long it took, once it is over."""
        return (self.ended - self.started) * 1000

    def result(self) -> Sent:
        """Give what came of it."""
        if self.outcome is None:
            raise AssertionError("an attempt ended without an outcome")
        return Sent(outcome=self.outcome, duration_ms=self.duration_ms, phases=self._phases())

    def abandon(self) -> None:
        """End it, and tell nobody."""
        self.landed = None
        if self.scope is not None:
            self.scope.cancel()
        else:
            self.drop(self)

    # ------------------------------------------------------------------ reading

    def read_on(self) -> None:
        """Read what has come; `over` is called if that was the end of the exchange."""
        connection = self.connection
        if connection is None:
            return
        reader = connection.reader
        failure = None
        try:
            while True:
                data = connection.take()
                if data is None:
                    return
                if not self.waited_to:
                    self.waited_to = perf_counter()
                if reader.feed(data):
                    break
                if reader.succeeded and not self.hurried:
                    self.hurried = True
                    self.deadline = min(self.deadline, perf_counter() + BODY_GRACE)
        except OSError as error:
            failure = error
        self.conclude(connection, failure)
        self.over(self)

    def strike(self) -> None:
        """See that the deadline has come."""
        connection = self.connection
        if connection is not None and connection.listener is not self:
            connection.interrupt()  # it is being written to: who does that is woken
        else:
            self.time_out()
            self.over(self)

    # ------------------------------------------------------------------ the outcome

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
        self.wrote = connection.wrote
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
        self.fail(cause, f"{what} within {self.limit:g} s")

    def _phases(self) -> Phases:
        """Give the lengths of what was done."""
        progress = self.progress
        answered = self.connection is not None and self.connection.began
        wait_ms = (self.waited_to - self.waited_from) * 1000 if answered else None
        if progress is None:
            return Phases(wait_ms=wait_ms)
        return Phases(dns_ms=progress.dns_ms, connect_ms=progress.connect_ms, tls_ms=progress.tls_ms, wait_ms=wait_ms)
