"""Listening sockets that were opened for us, as systemd's socket units do.

Rules of this module:

1. A socket belongs to whatever the config says listens at its address: a path (links resolved), or a host and port.
   The name that a unit gives it is for people. An inlet that no socket was opened for is opened by the daemon.
2. An address must be the same, not merely cover it: the config may say `tokens: none` of 127.0.0.1, and a socket at
   every address would let the world in.
3. What was opened for us is not ours to remove, nor to give another mode: the unit says who may connect.
4. A socket that nothing in the config listens at is told, loudly: whoever connects to it waits in vain.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

from hookd.web.sockets import AddressUnusable, listener_from_fd

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Unclaimed:
    """A socket that nothing in the config wants: the name that it came with, where it listens, and why not."""

    name: str
    address: str
    reason: str


class Inherited:
    """The sockets that came with the process. Each is taken once; `end` closes the rest and gives their names.

    `descriptors` are pairs of a file descriptor and its name.
    """

    def __init__(self, descriptors: Sequence[tuple[int, str]] = ()) -> None:
        self._unusable: list[Unclaimed] = []
        self._left: list[tuple[str, trio.SocketListener]] = []
        for fd, name in descriptors:
            try:
                self._left.append((name, listener_from_fd(fd)))
            except AddressUnusable as unusable:
                self._unusable.append(Unclaimed(name=name, address=f"fd {fd}", reason=str(unusable)))

    def take_unix(self, path: str) -> trio.SocketListener | None:
        """Give the socket that listens at a path, if there is one."""
        wanted = os.path.realpath(path)
        found = self._take(lambda sock: sock.family == socket.AF_UNIX and _path_of(sock) == wanted)
        return found[0] if found else None

    async def take_tcp(self, host: str, port: int) -> list[trio.SocketListener]:
        """Give the sockets that listen at the addresses of a host, as far as there are any."""
        if not self._left:
            return []
        try:
            known = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        except OSError:  # whoever opens it will say so
            return []
        wanted = {(family, address[:2]) for family, _, _, _, address in known}
        return self._take(lambda sock: (sock.family, sock.getsockname()[:2]) in wanted)

    def _take(self, fits: _Fits) -> list[trio.SocketListener]:
        taken = [(name, listener) for name, listener in self._left if fits(listener.socket)]
        self._left = [each for each in self._left if each not in taken]
        return [listener for _, listener in taken]

    def end(self) -> list[Unclaimed]:
        """Close what nobody took, and tell what it was."""
        unclaimed = list(self._unusable)
        for name, listener in self._left:
            reason = "nothing in the config listens there"
            unclaimed.append(Unclaimed(name=name, address=describe_address(listener), reason=reason))
            listener.socket.close()
        self._left, self._unusable = [], []
        return unclaimed


if TYPE_CHECKING:
    from collections.abc import Callable

    _Fits = Callable[[trio.socket.SocketType], bool]


def describe_address(listener: trio.SocketListener) -> str:
    """Give where a socket listens, as the config would say it."""
    sock = listener.socket
    if sock.family == socket.AF_UNIX:
        return _path_of(sock)
    host, port = sock.getsockname()[:2]
    return f"[{host}]:{port}" if sock.family == socket.AF_INET6 else f"{host}:{port}"


def _path_of(sock: trio.socket.SocketType) -> str:
    name = sock.getsockname()
    if isinstance(name, bytes):  # an abstract name
        return "@" + name[1:].decode("utf-8", "replace")
    return str(os.path.realpath(name))
