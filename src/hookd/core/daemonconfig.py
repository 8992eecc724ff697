"""The `daemon:` section as values: what is read at start and never changed by a reload.

Rule: the defaults of the contract stand here, in the dataclasses, and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from hookd.core.units import DAY, GIB, MIB

if TYPE_CHECKING:
    from hookd.core.config import Place, Reference, Text


#: Where a state directory has the signing secrets that hookd makes.
SECRETS_FOLDER: Final = "secrets"


@dataclass(frozen=True, slots=True, kw_only=True)
class Allow:
    """Who may use a Unix socket: names or numbers of users and groups, and the tenant their events get."""

    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    tenant: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A bearer token of an HTTP inlet, and the tenant that its events get."""

    secret: Text
    tenant: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnixInlet:
    """Newline-delimited JSON on a Unix socket. `allow` None: whoever can open the file."""

    path: str
    mode: int = 0o660
    allow: tuple[Allow, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpInlet:
    """`POST /v1/events`. `tokens` None: none are asked for, which is for loopback only and must be said."""

    host: str
    port: int
    tokens: tuple[Token, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlToken:
    """A bearer token of the control API over HTTP: it manages the webhooks of one tenant, built on one profile."""

    secret: Reference
    tenant: str
    profile: str
    place: Place = field(compare=False)  # a line more above it needs no restart


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """The socket of the CLI, and where tenants manage their own webhooks. `http` None: nowhere."""

    unix: str
    mode: int = 0o600
    http: tuple[str, int] | None = None  # host and port
    tokens: tuple[ControlToken, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """Where /metrics, /healthz and /readyz are served, over HTTP and without tokens."""

    host: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What bounds memory and disk."""

    event_bytes: int = MIB
    batch_bytes: int = 16 * MIB
    concurrency: int = 256
    memory_window: int = 512
    disk_free: int = 256 * MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long things are kept, in seconds, and how many bytes events may take."""

    events: float = 30 * DAY
    attempts: float = 30 * DAY
    held: float = 30 * DAY
    bytes: int = 20 * GIB


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonConfig:
    """Read at start; a change is reported as "needs a restart"."""

    state_dir: str = "/var/lib/hookd"
    inlets: tuple[UnixInlet | HttpInlet, ...] = (UnixInlet(path="/run/hookd/events.sock"),)
    control: Control = Control(unix="/run/hookd/control.sock")
    metrics: Metrics | None = None  # None: nowhere
    limits: Limits = Limits()
    retention: Retention = Retention()
    drain_timeout: float = 25.0
    log_level: Literal["debug", "info", "warning", "error"] = "info"
