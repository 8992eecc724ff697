"""Whom we trust over TLS, and who we say we are: SSL contexts, made once and shared.

Rules of this module:

1. TLS 1.2 at least, the certificate and its name always verified; there is no way to switch that off.
2. `tls.ca` replaces the system's trust store; without it the system's is used.
3. A context is made anew when a file it came from changed (looked at once a second at most, at a new connection), so
   a renewed certificate or trust store needs no reload.
4. A client key that came as a text never touches a disk: OpenSSL reads it from anonymous memory.
"""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import trio

from hookd.core.model import Cause
from hookd.delivery.sender import ConnectFailed

if TYPE_CHECKING:
    from hookd.core.config import Tls
    from hookd.core.model import Secret

    _Stamp: TypeAlias = tuple[tuple[int, int, int] | None, ...]

CHECK_SECONDS: Final = 1.0
#: A context with the system's store takes about a megabyte.
KEPT: Final = 128


class _Entry(NamedTuple):
    context: ssl.SSLContext
    stamp: _Stamp
    checked: float


class Contexts:
    """The SSL contexts of a connector, by what made them."""

    def __init__(self) -> None:
        self._entries: dict[tuple[Tls | None, Secret | None], _Entry] = {}
        self._system = ssl.get_default_verify_paths().cafile

    async def context(self, tls: Tls | None, tls_key: Secret | None) -> ssl.SSLContext:
        """Give the context for a webhook's `tls:`; raise `ConnectFailed` (tls) when its files do not make one."""
        key = (tls, tls_key)
        entry = self._entries.get(key)
        now = trio.current_time()
        if entry is not None and now - entry.checked < CHECK_SECONDS:
            return entry.context
        stamp = tuple(_stamp(path) for path in self._files(tls))
        if entry is None or entry.stamp != stamp:
            # A thread, since reading the system's store takes some 20 ms.
            context = await trio.to_thread.run_sync(_build, tls, tls_key)
        else:
            context = entry.context
        self._entries.pop(key, None)
        self._entries[key] = _Entry(context, stamp, now)
        if len(self._entries) > KEPT:
            del self._entries[next(iter(self._entries))]
        return context

    def _files(self, tls: Tls | None) -> tuple[str, ...]:
        ca = self._system if tls is None or tls.ca is None else tls.ca
        certificate = None if tls is None else tls.certificate
        return tuple(path for path in (ca, certificate) if path is not None)


def _stamp(path: str) -> tuple[int, int, int] | None:
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _build(tls: Tls | None, tls_key: Secret | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=None if tls is None else tls.ca)
    except (OSError, ValueError) as error:
        raise ConnectFailed(Cause.TLS, f"the trusted certificates cannot be read: {_why(error)}") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if tls is not None and tls.certificate is not None:
        try:
            _load_certificate(context, tls.certificate, tls_key)
        except (OSError, ValueError) as error:
            raise ConnectFailed(Cause.TLS, f"the client certificate cannot be used: {_why(error)}") from None
    return context


def _load_certificate(context: ssl.SSLContext, certificate: str, key: Secret | None) -> None:
    if key is None:
        context.load_cert_chain(certificate, password=_no_password)
        return
    memory = os.memfd_create("hookd", os.MFD_CLOEXEC)
    with os.fdopen(memory, "wb") as file:
        file.write(key.reveal().encode())
        file.flush()
        context.load_cert_chain(certificate, f"/proc/self/fd/{memory}", password=_no_password)


def _no_password() -> str:
    """Answer for OpenSSL, which would ask at the terminal for the password of an encrypted key."""
    return ""


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "not valid").replace("_", " ").lower()
    return (error.strerror or "not readable") if isinstance(error, OSError) else "not valid"
