"""Config: one frozen snapshot of the whole YAML tree, compiled and ready to use.

Rules of this module:

1. A Config is never changed. A reload builds another one and swaps one reference.
2. Defaults of the contract stand in the dataclasses, here and in `daemonconfig`, and nowhere else.
3. After `config.load` has built a Config nobody looks into a mapping for a key that may be missing.
4. A field that may hold a secret has the type `Text`: the text itself, or a `Reference` read at use.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from hookd.core.daemonconfig import DaemonConfig
from hookd.core.units import DAY

if TYPE_CHECKING:
    from collections.abc import Mapping
    from ipaddress import IPv4Network, IPv6Network

    from hookd.core.filters import Filter
    from hookd.core.routing import Index
    from hookd.core.template import Template

#: Standard Webhooks 1.0.0, "Deliverability and reliability": what its reference schedule says.
STANDARD_SCHEDULE = (5.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 50400.0, 72000.0, 86400.0)


class ReferenceKind(StrEnum):
    """Where a referenced text is read from."""

    CREDENTIAL = "credential"  # a file in $CREDENTIALS_DIRECTORY
    FILE = "file"  # an absolute path here; relative ones were resolved against their YAML file
    ENV = "env"


@dataclass(frozen=True, slots=True)
class Reference:
    """A text that stands outside the config and is read when it is used."""

    kind: ReferenceKind
    name: str

    def __str__(self) -> str:
        return f"{{{self.kind}: {self.name}}}"


Text: TypeAlias = "str | Reference"
Network: TypeAlias = "IPv4Network | IPv6Network"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where something stands in the files: lines and columns count from 1."""

    file: str
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What a schema says against a value: where (a JSON Pointer into the value) and the rule, never the value.

    `named` is the message with names that stand in the value and not in the schema: for whoever wrote it, and no log.
    """

    path: str
    message: str
    named: str = ""

    @property
    def told(self) -> str:
        """What is told to whoever wrote the value."""
        return self.named or self.message


class Validator(Protocol):
    """A compiled JSON Schema."""

    def fault(self, value: object) -> Fault | None:
        """Give the first fault of a parsed JSON value, or None if it is valid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventType:
    """An entry of the catalogue."""

    name: str
    description: str = ""
    validator: Validator | None = None
    require: tuple[str, ...] = ()  # attributes that an event of this type must carry


# --------------------------------------------------------------------------- webhooks


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """An entry of `events:`: an exact type, or a prefix if `pattern` ends in `*`."""

    pattern: str
    active: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """What a request carries. `template` renders it, `validator` checks what leaves."""

    format: Literal["json", "form"] = "json"
    template: Template
    validator: Validator | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BearerAuth:
    """`Authorization: Bearer TOKEN`."""

    token: Text


@dataclass(frozen=True, slots=True, kw_only=True)
class BasicAuth:
    """`Authorization: Basic …`."""

    username: Text
    password: Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """Standard Webhooks v1, with a signature for each secret, the newest first."""

    scheme: Literal["standard"] = "standard"
    secrets: tuple[Text, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """When to try again: the delays after the first attempt, in seconds, each ± `jitter` of itself."""

    schedule: tuple[float, ...] = STANDARD_SCHEDULE
    jitter: float = 0.2
    max_age: float | None = None  # seconds, counted from acceptance, held time left out
    permanent: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """Files for TLS; absolute paths. `key` may be a reference to a file's content."""

    ca: str | None = None
    certificate: str | None = None
    key: Text | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookTest:
    """An entry of `tests:`: an event as a producer would write it, and what must become of it.

    With `expects_body`, `body` is what must leave: an equal JSON value, or for a form its parameters.
    """

    place: Place
    name: str | None = None
    event: Mapping[str, object]
    expect: Literal["delivered", "ignored", "refused"]
    expects_body: bool = False
    body: object = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """One definition, merged from built-in, defaults, profile and its own keys.

    `fingerprint` hashes what decides the request (`url auth sign headers body secrets tls proxy allow_networks`
    and what they name): when it changes, a webhook's breaker, pause and suspension are lifted.
    """

    id: str
    place: Place
    name: str = ""
    profile: str | None = None
    active: bool = True
    paused: bool = False
    tenant: str | None = None  # "*": all
    url: Text
    require_https: bool = False
    triggers: tuple[Trigger, ...]
    filter: Filter | None = None
    secrets: Mapping[str, Text] = field(default_factory=lambda: MappingProxyType({}))
    body: Body
    headers: tuple[tuple[str, Text], ...] = ()
    auth: BearerAuth | BasicAuth | None = None
    sign: Sign | None = None
    method: Literal["POST", "PUT", "PATCH"] = "POST"
    timeout: float = 15.0
    retry: RetryPolicy = RetryPolicy()
    rate: float | None = None  # requests per second
    concurrency: int = 8
    ordered: bool = False
    max_pending: int = 100_000
    suspend_after: float | None = 5 * DAY  # None: never
    allow_networks: tuple[Network, ...] = ()
    proxy: Text | None = None
    http2: bool = False
    tls: Tls | None = None
    test_event: Mapping[str, object] | None = None
    tests: tuple[WebhookTest, ...] = ()
    fingerprint: str = ""
    digest: str = ""  # of the whole definition and what it names: tells whether anything of it changed

    @property
    def held(self) -> bool:
        """Whether the definition itself holds the backlog."""
        return self.paused or not self.active


# --------------------------------------------------------------------------- the whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """Which config it is: the hash of its content, and the git commit it was read at, if any."""

    hash: str  # 12 hexadecimal digits
    commit: str | None = None
    dirty: bool = False

    def __str__(self) -> str:
        if self.commit is None:
            return self.hash
        return f"{self.hash}@{self.commit[:12]}{'+' if self.dirty else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """`moved:`: the backlog and state of one webhook id go over to another."""

    source: str
    target: str
    place: Place | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class NotMoved:
    """A move that was refused; `reason` tells a person why, and what to do."""

    move: Move
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """One frozen snapshot."""

    revision: Revision
    daemon: DaemonConfig = field(default_factory=DaemonConfig)
    event_types: Mapping[str, EventType] = field(default_factory=lambda: MappingProxyType({}))
    webhooks: Mapping[str, Webhook] = field(default_factory=lambda: MappingProxyType({}))
    moved: tuple[Move, ...] = ()
    managed_dir: str | None = None  # as a snapshot of the files names it; None: the control API writes nothing
    managed_git: bool = False
    index: Index  # of the webhooks, by event type
