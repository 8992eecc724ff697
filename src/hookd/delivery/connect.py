"""Opens connections to receivers: look up, check the addresses, connect, shake hands.

Rules of this module:

1. What is checked is what is connected to: a name is looked up once, denied addresses are dropped, and the connection
   goes to an address that passed (DNS rebinding finds nothing to change). The peer's address is checked again.
2. The name stays the name for the certificate, SNI and the Host header.
3. This machine's own public addresses are denied like loopback: what listens there may be closed to the world.
4. Of several addresses the next is tried when one fails or has not answered within 250 ms (RFC 8305 in small).
5. No byte of a request is sent here: each failure is *not sent*.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
from typing import TYPE_CHECKING, Final

import trio

from hookd.core.addresses import denied, opened
from hookd.core.model import Cause
from hookd.delivery.connection import Connection
from hookd.delivery.lookup import Lookups, resolve_name
from hookd.delivery.sender import ConnectFailed
from hookd.delivery.trust import Contexts

if TYPE_CHECKING:
    from hookd.core.addresses import Target
    from hookd.core.config import Network, Tls
    from hookd.core.model import Secret
    from hookd.delivery.lookup import Resolve
    from hookd.delivery.sender import Progress

STAGGER_SECONDS: Final = 0.25
#: More addresses than this are not tried in one attempt.
ADDRESS_LIMIT: Final = 8

_CAUSES: Final = {
    errno.ECONNREFUSED: (Cause.CONNECT_REFUSED, "connection refused"),
    errno.ETIMEDOUT: (Cause.CONNECT_TIMEOUT, "no answer"),
}


class TcpConnector:
    """The connector of the daemon. `resolve` may be replaced by tests."""

    def __init__(self, resolve: Resolve = resolve_name) -> None:
        self._lookups = Lookups(resolve)
        self._contexts = Contexts()

    async def connect(
        self,
        target: Target,
        networks: tuple[Network, ...],
        tls: Tls | None,
        tls_key: Secret | None,
        progress: Progress,
    ) -> Connection:
        """Connect as `Connector` says."""
        addresses = await self._vetted(target, networks, progress)
        context = await self._contexts.context(tls, tls_key) if target.scheme == "https" else None
        connected = await _open(addresses, target, networks, progress)
        if context is None:
            return Connection(connected)
        progress.doing = f"the TLS handshake with {target.authority}"
        began = trio.current_time()
        secured = await _shake_hands(connected, context, target.host)
        progress.tls_ms = (trio.current_time() - began) * 1000
        return Connection(secured)

    async def reach(self, target: Target, networks: tuple[Network, ...], progress: Progress) -> socket.socket:
        """Give a socket that is connected to a vetted address of `target`, without TLS; raise `ConnectFailed`."""
        return await _open(await self._vetted(target, networks, progress), target, networks, progress)

    async def _vetted(self, target: Target, networks: tuple[Network, ...], progress: Progress) -> tuple[str, ...]:
        if target.literal:
            found: tuple[str, ...] = (target.host,)
        else:
            progress.cause, progress.doing = Cause.DNS, f"looking up {target.host}"
            began = trio.current_time()
            found = await self._lookups.addresses(target.host)
            progress.dns_ms = (trio.current_time() - began) * 1000
        refusals = {address: _refusal(address, networks) for address in found}
        vetted = tuple(address for address, refusal in refusals.items() if refusal is None)
        if not vetted:
            raise ConnectFailed(Cause.BLOCKED_ADDRESS, next(iter(refusals.values())) or "no address")
        return vetted[:ADDRESS_LIMIT]


async def _open(
    addresses: tuple[str, ...], target: Target, networks: tuple[Network, ...], progress: Progress
) -> socket.socket:
    """Connect to one of the vetted addresses, and check whom we reached."""
    progress.cause, progress.doing = Cause.CONNECT_TIMEOUT, f"connecting to {target.authority}"
    began = trio.current_time()
    connected = await _dial(addresses, target.port)
    progress.connect_ms = (trio.current_time() - began) * 1000
    try:
        _check_peer(connected, networks)
    except ConnectFailed:
        connected.close()
        raise
    return connected


def _refusal(address: str, networks: tuple[Network, ...]) -> str | None:
    refusal = denied(address, networks)
    if refusal is None and not opened(address, networks) and is_own(address):
        return f"{address} is this machine's own; allow_networks opens it"
    return refusal


def is_own(address: str) -> bool:
    """Tell whether the address is one of this machine: the kernel would talk to it from that same address.

    Connecting a datagram socket asks for the route and sends nothing.
    """
    with socket.socket(_family(address), socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((address, 9))
        except OSError:
            return False
        return bool(probe.getsockname()[0] == address)


def _check_peer(connected: socket.socket, networks: tuple[Network, ...]) -> None:
    try:
        peer = str(connected.getpeername()[0])
    except OSError as error:
        raise ConnectFailed(*_cause_of(error)) from None
    refusal = denied(peer, networks)
    if refusal is not None:
        raise ConnectFailed(Cause.BLOCKED_ADDRESS, refusal)


# --------------------------------------------------------------------------- TCP


async def _dial(addresses: tuple[str, ...], port: int) -> socket.socket:
    """Give a connected socket to the first address that takes one."""
    if len(addresses) == 1:
        try:
            return await _connect(addresses[0], port)
        except OSError as error:
            raise _failed([(addresses[0], error)], port) from None
    won: list[socket.socket] = []
    failures: list[tuple[str, OSError]] = []

    async def attempt(address: str, failed: trio.Event) -> None:
        try:
            connected = await _connect(address, port)
        except OSError as error:
            failures.append((address, error))
            failed.set()
        else:
            won.append(connected)
            nursery.cancel_scope.cancel()

    try:
        async with trio.open_nursery() as nursery:
            for address in addresses:
                failed = trio.Event()
                nursery.start_soon(attempt, address, failed)
                with trio.move_on_after(STAGGER_SECONDS):
                    await failed.wait()
    except BaseException:
        _close_all(won)
        raise
    if not won:
        raise _failed(failures, port)
    _close_all(won[1:])
    return won[0]


async def _connect(address: str, port: int) -> socket.socket:
    connected = socket.socket(_family(address), socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            connected.connect((address, port))
        except BlockingIOError:
            await trio.lowlevel.wait_writable(connected)
            code = connected.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                raise OSError(code, os.strerror(code)) from None
    except BaseException:
        connected.close()
        raise
    return connected


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _close_all(sockets: list[socket.socket]) -> None:
    for each in sockets:
        each.close()


def _failed(failures: list[tuple[str, OSError]], port: int) -> ConnectFailed:
    """Tell of the first address, which is the one that should have worked, and how many others failed too."""
    address, error = failures[0]
    cause, why = _cause_of(error)
    where = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    others = f" (and {len(failures) - 1} more addresses failed)" if len(failures) > 1 else ""
    return ConnectFailed(cause, f"{where}: {why}{others}")


def _cause_of(error: OSError) -> tuple[Cause, str]:
    why = error.strerror or "no connection"
    return _CAUSES.get(error.errno or 0, (Cause.CONNECT_FAILED, why[0].lower() + why[1:]))


# --------------------------------------------------------------------------- TLS


async def _shake_hands(connected: socket.socket, context: ssl.SSLContext, host: str) -> ssl.SSLSocket:
    """Give the socket with TLS on it; it owns the connection, also when this fails."""
    secured: ssl.SSLSocket | None = None
    try:
        secured = context.wrap_socket(connected, server_hostname=host, do_handshake_on_connect=False)
        while True:
            try:
                secured.do_handshake()
            except ssl.SSLWantReadError:
                await trio.lowlevel.wait_readable(secured)
            except ssl.SSLWantWriteError:
                await trio.lowlevel.wait_writable(secured)
            else:
                return secured
    except BaseException as error:
        (secured or connected).close()
        if isinstance(error, (OSError, ValueError)):
            raise ConnectFailed(Cause.TLS, explain_tls(error)) from None
        raise


def explain_tls(error: Exception) -> str:
    """Say what went wrong, for a person: OpenSSL's reason without its file names and line numbers."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate verify failed: {error.verify_message.rstrip('.')}"
    if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionError)):
        return "the connection was closed during the TLS handshake"
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.replace("_", " ").lower()
    return "the TLS handshake failed"
