"""What every sender promises, and the values that go in and come out.

Rules of this seam:

1. A send never raises for what the network does: that is an `Outcome`. It raises for bugs, and when it is cancelled.
2. The deadline is one for the whole attempt: look-up, connection, TLS, request and response.
3. What is the same for every request of a webhook under one config is encoded once, in `Head`.
4. Headers, bodies and queries are left out of every repr: they may hold secrets and payloads.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from hookd import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from hookd.core.addresses import Target
    from hookd.core.config import Network, Tls
    from hookd.core.model import Cause, Outcome, Phases, Secret
    from hookd.core.proxies import Proxy
    from hookd.delivery.connection import Connection

#: RFC 9110 §12.5.3: we ask for plain bytes and never decompress, so 64 KiB received is 64 KiB kept.
_DEFAULTS = (("user-agent", f"hookd/{__version__}"), ("accept-encoding", "identity"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The part of a request that a webhook's config decides. `lines` are all its headers, `prefix` is it, encoded.

    `headers` are checked by `core.addresses.header_problem` before; a line break, which would be another header,
    and a character outside Latin-1 raise ValueError here all the same.
    """

    method: str
    target: Target
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    lines: tuple[tuple[str, str], ...] = field(init=False, repr=False, compare=False)
    prefix: bytes = field(init=False, repr=False, compare=False)
    notes: dict[Hashable, Any] = field(init=False, repr=False, compare=False, default_factory=dict)  # the senders' own

    def __post_init__(self) -> None:
        given = {name.lower() for name, _ in self.headers}
        lines = (
            ("host", self.target.authority),
            *(pair for pair in _DEFAULTS if pair[0] not in given),
            *self.headers,
        )
        encoded = encode_headers(lines)
        if encoded is None:
            raise ValueError("a header holds a line break, or a character outside Latin-1")
        prefix = f"{self.method} {self.target.path} HTTP/1.1\r\n".encode("ascii") + encoded
        object.__setattr__(self, "lines", lines)
        object.__setattr__(self, "prefix", prefix)


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt: `headers` are those that differ from attempt to attempt (webhook-id, -timestamp, -signature, …).

    `networks` are opened for the connection though the deny table holds them. `tls_key` is the text of the client
    certificate's key, if it does not stand in the certificate's file. With `proxy` the connection goes to it, and
    it decides about the receiver's address. `http2`: HTTP/2 may be spoken if the receiver offers it over TLS.
    """

    head: Head
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes
    networks: tuple[Network, ...] = ()
    tls: Tls | None = None
    tls_key: Secret | None = None
    proxy: Proxy | None = None
    http2: bool = False

    def __repr__(self) -> str:
        return f"Request({self.head.method} {self.head.target.origin})"


class Sent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What came of one attempt, and how long it took."""

    outcome: Outcome
    duration_ms: float
    phases: Phases


class Flight(Protocol):
    """A request that was started and that nobody waits for."""

    @property
    def outcome(self) -> Outcome | None:
        """What came of it; None until it has landed."""

    @property
    def duration_ms(self) -> float:
        """How long it took, once it has landed."""

    def abandon(self) -> None:
        """End it: nobody is told of it any more, and nothing more of it is sent."""


class Sender(Protocol):
    """Makes HTTP requests, one per call, any number at once."""

    def start(self, request: Request, timeout: float, landed: Callable[[Flight], None]) -> Flight | None:
        """Begin a request at once, without waiting; None: that cannot be, nothing was done, and `send` is to make it.

        `landed` is called once, later and never from within this call, when it has an outcome.
        """

    async def send(self, request: Request, timeout: float) -> Sent:  # noqa: ASYNC109  part of the attempt's outcome
        """Make one request and give its outcome after at most `timeout` seconds (a 2xx body may use what is left)."""


class ConnectFailed(Exception):  # noqa: N818  how a connector says no; the sender makes an Outcome of it
    """No connection came about and nothing was sent. `detail` is for a person and holds no secret."""

    def __init__(self, cause: Cause, detail: str) -> None:
        super().__init__(detail)
        self.cause = cause
        self.detail = detail


class Progress:
    """How far a connector has come, for the sender to tell when the deadline ends its work.

    `cause` and `doing` say what it is at; the lengths are milliseconds, None for what did not end.
    """

    __slots__ = ("cause", "connect_ms", "dns_ms", "doing", "tls_ms")

    def __init__(self) -> None:
        self.cause: Cause | None = None
        self.doing = ""
        self.dns_ms: float | None = None
        self.connect_ms: float | None = None
        self.tls_ms: float | None = None


class Connector(Protocol):
    """Opens connections. It decides about addresses and trust; the sender decides about time."""

    async def connect(
        self,
        target: Target,
        networks: tuple[Network, ...],
        tls: Tls | None,
        tls_key: Secret | None,
        progress: Progress,
    ) -> Connection:
        """Give a connection over which requests to `target` can be sent at once; raise `ConnectFailed` if none is."""


def encode_headers(lines: tuple[tuple[str, str], ...]) -> bytes | None:
    """Encode header lines, each with its line end; None if a line would break out of its place."""
    text = "".join([f"{name}: {value}\r\n" for name, value in lines])
    try:
        encoded = text.encode("latin-1")
    except UnicodeEncodeError:
        return None
    count = len(lines)
    if encoded.count(b"\n") != count or encoded.count(b"\r") != count or b"\0" in encoded:
        return None
    return encoded
