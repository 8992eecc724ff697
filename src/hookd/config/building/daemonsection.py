"""The `daemon:` section: what is read at start.

Rules of this module:

1. Every default stands in `core.config`; here is only what was written.
2. Going without tokens must be said, and works on loopback only: whoever reaches the port can send events.
3. A Unix socket's path must fit into the kernel's address, and two inlets cannot be the same one.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, Literal

from hookd.config.building.values import parse_duration, parse_mode, parse_size
from hookd.core.config import Reference
from hookd.core.daemonconfig import (
    Allow,
    Control,
    ControlToken,
    DaemonConfig,
    HttpInlet,
    Limits,
    Metrics,
    Retention,
    Token,
    UnixInlet,
)
from hookd.core.ids import TENANT_RULE, is_tenant

if TYPE_CHECKING:
    from hookd.config.building.reader import Reader

_LEVELS: Final[tuple[Literal["debug", "info", "warning", "error"], ...]] = ("debug", "info", "warning", "error")

#: sun_path holds 108 bytes with its NUL (unix(7)).
_LONGEST_SOCKET_PATH: Final = 107
_MOST_PORT: Final = 65535


def build_daemon(reader: Reader) -> DaemonConfig:
    """Build the section; `reader` stands at `daemon:`. Problems go to its findings."""
    built_in = DaemonConfig()
    limits, retention = built_in.limits, built_in.retention
    daemon = DaemonConfig(
        state_dir=reader.file_path("state_dir") or built_in.state_dir,
        inlets=built_in.inlets if reader.find("inlets") is None else _build_inlets(reader),
        control=_build_control(reader, built_in.control),
        metrics=_build_metrics(reader),
        limits=Limits(
            event_bytes=reader.quantity(parse_size, "limits", "event_bytes", default=limits.event_bytes),
            batch_bytes=reader.quantity(parse_size, "limits", "batch_bytes", default=limits.batch_bytes),
            concurrency=reader.integer("limits", "concurrency", default=limits.concurrency, least=1),
            memory_window=reader.integer("limits", "memory_window", default=limits.memory_window, least=1),
            disk_free=reader.quantity(parse_size, "limits", "disk_free", default=limits.disk_free),
        ),
        retention=Retention(
            events=reader.quantity(parse_duration, "retention", "events", default=retention.events),
            attempts=reader.quantity(parse_duration, "retention", "attempts", default=retention.attempts),
            held=reader.quantity(parse_duration, "retention", "held", default=retention.held),
            bytes=reader.quantity(parse_size, "retention", "bytes", default=retention.bytes),
        ),
        drain_timeout=reader.quantity(parse_duration, "drain_timeout", default=built_in.drain_timeout),
        log_level=reader.choice(_LEVELS, "log", "level", default=built_in.log_level),
    )
    _refuse_shared_doors(reader, daemon)
    return daemon


def _refuse_shared_doors(reader: Reader, daemon: DaemonConfig) -> None:
    """Report what would listen where something else does. Port 0 is a free one each time."""
    doors: list[tuple[tuple[str | int, ...], tuple[str, int] | None]] = [
        (("inlets", index, "unix" if isinstance(inlet, UnixInlet) else "http"), _address_of(inlet))
        for index, inlet in enumerate(daemon.inlets)
        if reader.find("inlets") is not None and len(daemon.inlets) == len(reader.items("inlets") or ())
    ]
    metrics = daemon.metrics
    doors += [
        (("control", "unix"), (daemon.control.unix, -1)),
        (("control", "http"), daemon.control.http),
        (("metrics", "http"), None if metrics is None else (metrics.host, metrics.port)),
    ]
    seen: dict[tuple[str, int], tuple[str | int, ...]] = {}
    for at, address in doors:
        if address is None or address[1] == 0:
            continue
        first = seen.setdefault(address, at)
        if first != at:
            name = f"daemon.{first[0]}" + "".join(f"[{it}]" if isinstance(it, int) else f".{it}" for it in first[1:])
            also = reader.places.place(first)
            written = (
                at if reader.find(*at) is not None else first
            )  # the control socket has a place without being named
            message = f"`{name}` has the same address" if written == at else "the control socket has the same address"
            reader.findings.report(reader.places.place(written), message, "duplicate_id", also=also)


def _address_of(inlet: UnixInlet | HttpInlet) -> tuple[str, int]:
    return (inlet.path, -1) if isinstance(inlet, UnixInlet) else (inlet.host, inlet.port)


def _build_inlets(reader: Reader) -> tuple[UnixInlet | HttpInlet, ...]:
    inlets: list[UnixInlet | HttpInlet] = []
    for index in range(len(reader.items("inlets") or ())):
        kind = "unix" if reader.find("inlets", index, "unix") is not None else "http"
        inlet = _build_unix(reader, index) if kind == "unix" else _build_http(reader, index)
        if inlet is not None:
            inlets.append(inlet)
    return tuple(inlets)


def _build_control(reader: Reader, built_in: Control) -> Control:
    text = reader.string("control", "http")
    address = None if text is None else parse_address(text)
    if text is not None and address is None:
        reader.refuse(("control", "http"), "`http` must be HOST:PORT, like 127.0.0.1:8481 or [::1]:8481")
    written = range(len(reader.items("control", "tokens") or ()))
    tokens = tuple(token for number in written if (token := _build_control_token(reader, number)) is not None)
    if text is not None and not written:
        message = "over HTTP the control API needs `tokens`, each bound to a tenant and a profile"
        reader.refuse(("control", "http"), message, "missing_key")
    elif text is None and written:
        message = "`tokens` are for the control API over HTTP: they need `http: HOST:PORT` beside them"
        reader.refuse(("control", "tokens"), message, "missing_key")
    return Control(
        unix=_socket_path(reader, "control", "unix") or built_in.unix,
        mode=reader.quantity(parse_mode, "control", "mode", default=built_in.mode),
        http=address,
        tokens=tokens,
    )


def _build_control_token(reader: Reader, number: int) -> ControlToken | None:
    at = ("control", "tokens", number)
    tenant, profile = reader.string(*at, "tenant"), reader.string(*at, "profile")
    secret = reader.text(*at)
    if tenant is None or profile is None or not isinstance(secret, Reference):
        if not reader.has_spoken_inside(*at):
            reader.refuse(at, "a token is a reference with a `tenant` and a `profile` beside it", "missing_key")
        return None
    if not is_tenant(tenant):
        reader.refuse((*at, "tenant"), f"a tenant of the control API is {TENANT_RULE}")
    return ControlToken(secret=secret, tenant=tenant, profile=profile, place=reader.places.place(at))


def _build_metrics(reader: Reader) -> Metrics | None:
    text = reader.string("metrics", "http")
    if text is None:
        return None
    address = parse_address(text)
    if address is None:
        reader.refuse(("metrics", "http"), "`http` must be HOST:PORT, like 127.0.0.1:9480 or [::1]:9480")
        return None
    return Metrics(host=address[0], port=address[1])


def _build_unix(reader: Reader, index: int) -> UnixInlet | None:
    path = _socket_path(reader, "inlets", index, "unix")
    if path is None:
        return None
    written = reader.find("inlets", index, "allow")
    allow: tuple[Allow, ...] | None = None
    if isinstance(written, list):
        allow = tuple(_build_allow(reader, "inlets", index, "allow", number) for number in range(len(written)))
    elif written is not None:
        allow = (_build_allow(reader, "inlets", index, "allow"),)
    mode = reader.quantity(parse_mode, "inlets", index, "mode", default=UnixInlet(path=path).mode)
    return UnixInlet(path=path, mode=mode, allow=allow)


def _build_allow(reader: Reader, *at: str | int) -> Allow:
    return Allow(
        users=reader.strings(*at, "users"),
        groups=reader.strings(*at, "groups"),
        tenant=reader.string(*at, "tenant"),
    )


def _build_http(reader: Reader, index: int) -> HttpInlet | None:
    at = ("inlets", index, "http")
    text = reader.string(*at)
    address = None if text is None else parse_address(text)
    if address is None:
        reader.refuse(at, "`http` must be HOST:PORT, like 127.0.0.1:8480 or [::1]:8480")
        return None
    host, port = address
    written = reader.find("inlets", index, "tokens")
    if written == "none":
        if not is_loopback(host):
            message = "`tokens: none` is for loopback addresses only: anyone who reaches this one could send events"
            reader.refuse(("inlets", index, "tokens"), message)
        return HttpInlet(host=host, port=port, tokens=None)
    tokens: list[Token] = []
    for number in range(len(reader.items("inlets", index, "tokens") or ())):
        secret = reader.text("inlets", index, "tokens", number)
        if secret is not None:
            bound = reader.find("inlets", index, "tokens", number)
            tenant = reader.string("inlets", index, "tokens", number, "tenant") if isinstance(bound, dict) else None
            tokens.append(Token(secret=secret, tenant=tenant))
    if not tokens:
        message = "this inlet needs `tokens`: a list of tokens, or `none` to go without on loopback"
        reader.refuse(("inlets", index), message, "missing_key")
    return HttpInlet(host=host, port=port, tokens=tuple(tokens))


def parse_address(text: str) -> tuple[str, int] | None:
    """Give host and port of `HOST:PORT` or `[IPv6]:PORT`; None if it is neither."""
    host, colon, port = text.rpartition(":")
    if not colon or not (port.isascii() and port.isdecimal()) or int(port) > _MOST_PORT:
        return None
    if host.startswith("[") and host.endswith("]"):
        try:
            return str(ip_address(host[1:-1])), int(port)
        except ValueError:
            return None
    return None if not host or ":" in host or any(character.isspace() for character in host) else (host, int(port))


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a host that is listened on."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _socket_path(reader: Reader, *at: str | int) -> str | None:
    path = reader.file_path(*at)
    if path is not None and len(path.encode("utf-8", "surrogateescape")) > _LONGEST_SOCKET_PATH:
        reader.refuse(at, f"the path of a socket has at most {_LONGEST_SOCKET_PATH} bytes, made absolute")
    return path
