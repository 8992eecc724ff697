"""The values that travel the road of an event, from the inlet to the log line.

Rules of this module:

1. Every value is frozen. What changes is a new value; who holds state (store, dispatcher) says so in its head.
2. Instants are integers, milliseconds since the epoch (UTC, wall clock), and end in `_at`. Lengths of time are
   floats in seconds unless the name says `_ms`. Deadlines, which are monotonic, never stand in these values.
3. `data` is the producer's own bytes (DESIGN decision 6). It is parsed for judging, never re-encoded.
4. A failure of the network is an `Outcome`, a value. Exceptions are for bugs and for the world ending.
5. What is made for every event is a msgspec Struct: a frozen dataclass of Event's size takes 1.4 µs to make, a Struct
   0.1. It is equal, hashed and matched alike; `msgspec.structs.replace` changes one. None can be part of a cycle, so
   the collector need not look at them (`gc=False`).
6. A repr shows no payload, no header and no body.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal, TypeAlias

import msgspec

JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"


class Secret:
    """A text that must not be seen: its repr and str are masked, `reveal()` gives it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Give the text itself, for the one place that needs it."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


# --------------------------------------------------------------------------- events


class Event(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a producer sent, as it is stored.

    `(tenant, source, id)` is the idempotency key. `digest` covers what the producer wrote (not `traceparent`,
    which a sender makes anew when it sends again): the same key with another digest may be a conflict.
    """

    id: str
    type: str
    source: str | None = None
    subject: str | None = None
    time: str | None = None  # RFC 3339, as the producer wrote it; None: `accepted_at` stands for it
    tenant: str | None = None
    partitionkey: str | None = None
    traceparent: str | None = None
    extensions: bytes | None = None  # a JSON object, of a CloudEvent's further attributes
    data: bytes | None = None  # the producer's own bytes; None: the event has no data
    accepted_at: int = 0
    digest: bytes = b""

    def __repr__(self) -> str:
        return f"Event({self.id!r}, type={self.type!r}, source={self.source!r}, tenant={self.tenant!r})"


class RefusalCode(StrEnum):
    """Why an event was not taken. The values are the `code` of DESIGN 2.2."""

    MALFORMED_JSON = "malformed_json"
    INVALID_EVENT = "invalid_event"
    UNKNOWN_TYPE = "unknown_type"
    SCHEMA_INVALID = "schema_invalid"
    ATTRIBUTE_REQUIRED = "attribute_required"
    ID_CONFLICT = "id_conflict"
    TOO_LARGE = "too_large"
    TOO_DEEP = "too_deep"
    NOT_ALLOWED = "not_allowed"
    OVERLOADED = "overloaded"
    DISK_LOW = "disk_low"
    STORE_FAILED = "store_failed"


RETRYABLE = frozenset({RefusalCode.OVERLOADED, RefusalCode.DISK_LOW, RefusalCode.STORE_FAILED})


class Refusal(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An event that was not taken: the code, what is wrong, and where (a JSON Pointer). Never a value of the event."""

    code: RefusalCode
    message: str
    path: str | None = None
    id: str | None = None
    type: str | None = None  # of the event, where it could be read: for the log line, not for the reply
    named: str = ""  # the message with names that the producer chose: for the producer, and for no log

    @property
    def told(self) -> str:
        """What is told to the producer."""
        return self.named or self.message

    @property
    def retry(self) -> bool:
        """Whether the same line may succeed later."""
        return self.code in RETRYABLE


class Accepted(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The event is on disk, and owed to `deliveries` webhooks."""

    id: str
    deliveries: int


class Duplicate(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The same event was accepted before; nothing was done."""

    id: str


Reply: TypeAlias = Accepted | Duplicate | Refusal


# --------------------------------------------------------------------------- deliveries


class State(StrEnum):
    """The states of a delivery. A retry is `pending` with a later `due_at`."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"


class Cause(StrEnum):
    """Why an attempt failed or a delivery is dead or held: one vocabulary for log, store and screen."""

    # the receiver said no
    STATUS = "status"  # a complete response that is not 2xx; the status says the rest
    GONE = "gone"  # 410
    REDIRECT = "redirect"  # 3xx is never followed
    # no response; nothing was sent
    DNS = "dns"
    CONNECT_REFUSED = "connect_refused"
    CONNECT_TIMEOUT = "connect_timeout"
    CONNECT_FAILED = "connect_failed"
    TLS = "tls"
    BLOCKED_ADDRESS = "blocked_address"
    RENDER_FAILED = "render_failed"
    BODY_SCHEMA = "body_schema"
    SECRET_UNREADABLE = "secret_unreadable"  # noqa: S105  the name of a failure
    REQUEST_INVALID = "request_invalid"  # a header or URL that came out of a secret and cannot be sent
    # no response; the receiver may have got it
    TIMEOUT = "timeout"
    RESET = "reset"
    RESPONSE_MALFORMED = "response_malformed"
    INTERNAL = "internal"
    # why a delivery ended
    EXHAUSTED = "exhausted"  # the schedule has no further step
    EXPIRED = "expired"  # max_age
    PERMANENT = "permanent"  # a status that the webhook lists as permanent
    OVERFLOW = "overflow"  # max_pending
    ABORTED = "aborted"  # the receiver said `webhook-delivery: abort-message`
    TEST = "test"  # a test event is attempted once
    WEBHOOK_DELETED = "webhook_deleted"
    HELD_TOO_LONG = "held_too_long"
    # why a single delivery is held (a webhook's own reasons are in its definition and state)
    TENANT_CHANGED = "tenant_changed"
    TRIGGER_OFF = "trigger_off"


class Owed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """That an event is owed to a webhook, as routing decided it. Frozen when the event is accepted."""

    webhook: str
    order_key: str | None = None  # deliveries of one webhook and one key go out one after another
    max_pending: int = 0  # 0: no bound
    once: bool = False  # a test: attempted at once, whatever holds the webhook, and never again


class Claim(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A delivery that is this process's to attempt, until it is recorded or released.

    `lease` is the store's own and opaque. `aging_since` is when its age began to count, held time left out.
    """

    lease: int
    delivery_id: str
    webhook: str
    event: Event
    attempts: int  # made so far
    aging_since: int
    order_key: str | None = None
    once: bool = False


# --------------------------------------------------------------------------- attempts


class Phases(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How long each part of an attempt took, in milliseconds; None: it did not happen."""

    dns_ms: float | None = None
    connect_ms: float | None = None
    tls_ms: float | None = None
    wait_ms: float | None = None  # from the last byte sent to the status line


class Response(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A status line and headers came back: this decides, whatever the body does."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()  # names in lower case, values as latin-1 text
    body: bytes = b""  # the first 64 KiB at most
    truncated: bool = False  # there was more, or it was cut

    def __repr__(self) -> str:
        return f"Response({self.status})"


class NoResponse(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """No status came back.

    `sent` is False when certainly no byte of the request left: the delivery was *not sent*. Else it is *unknown*
    whether the receiver has it.
    """

    cause: Cause
    detail: str  # for a person; holds no secret, no query string, no payload
    sent: bool


Outcome: TypeAlias = Response | NoResponse


class Delivered(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The receiver has it."""


class RetryAt(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Try again at `due_at`, which is the schedule's word; its webhook may attempt nothing before `opens_at`.

    `opens_at` None: the webhook is suspended, and nobody knows until when. It is for those who read of the attempt: a
    webhook that is resumed or mended sooner is not kept waiting by it.
    """

    due_at: int
    opens_at: int | None = 0

    @property
    def planned_at(self) -> int | None:
        """When the next attempt may be expected, if that is known."""
        return None if self.opens_at is None else max(self.due_at, self.opens_at)


class Dead(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """No further attempt, because of `cause`; it can be redriven while its event is kept."""

    cause: Cause


Verdict: TypeAlias = Delivered | RetryAt | Dead

AttemptOutcome: TypeAlias = Literal["delivered", "rejected", "not_sent", "unknown"]


class Attempt(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One HTTP request for a delivery, as it is stored and logged. Nothing in it is secret."""

    number: int  # 1 is the first
    started_at: int
    duration_ms: float
    outcome: AttemptOutcome
    cause: Cause | None = None
    detail: str | None = None
    status: int | None = None
    url: str = ""  # masked: no user info, no query
    revision: str = ""
    excerpt: bytes = b""  # the first 2,000 bytes of the response, on failure


#: How many whole exchanges are kept of each webhook, the last ones (DESIGN 2.3).
EXCHANGES_KEPT: Final = 10


class Exchange(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A whole request and response with its secrets masked."""

    method: str
    url: str
    request_headers: tuple[tuple[str, str], ...]
    request_body: bytes  # at most 64 KiB
    response_status: int | None
    response_headers: tuple[tuple[str, str], ...]
    response_body: bytes  # at most 64 KiB

    def __repr__(self) -> str:
        return f"Exchange({self.method} {self.url}, {self.response_status})"


class Result(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What became of a claim: for the store to record in one transaction, and for the log to tell."""

    claim: Claim
    attempt: Attempt
    verdict: Verdict
    exchange: Exchange | None = None
    phases: Phases | None = None  # for whoever waits for a test; neither stored nor logged


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookState:
    """What the world taught us about a webhook; it survives a restart and stands in no file.

    A suspended webhook is held until it is resumed or its definition heals it. `paused_until` is a receiver's
    Retry-After. `failing_since` is the first of the failures that no success has followed, `failing_cause` is what the
    last of them was.
    """

    webhook: str
    suspended_at: int | None = None
    suspended_cause: str | None = None
    paused_until: int | None = None
    failing_since: int | None = None
    failing_cause: Cause | None = None
    failures: int = 0  # in a row
    open_until: int | None = None  # the breaker
    opened: int = 0  # how often the breaker opened in a row
    last_error: str | None = None
    last_success_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A part of a listing: at most `limit` rows, after the row that `after` names."""

    limit: int = 100
    after: int | None = None
