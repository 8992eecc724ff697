"""Listening sockets, and who is at the other end of one.

Rules of this module:

1. A listener opens whole or not at all, and what stands in the way is said for a person (`AddressUnusable`).
2. Only a socket that nobody answers on is ever removed: never a file, a directory, or the socket of a living process.
3. A Unix socket has its mode before anyone can connect: it is bound under a umask that gives it to nobody else,
   gets its mode, and only then listens. (A umask of 0177 for that moment can only make files of other threads
   more private, never less.)
4. The directory of a socket is made if only it is missing: what is in none of a new checkout, or in a /run that is
   new with each boot. The socket's own mode says who may connect, so anyone may look into it.
5. Who a peer is comes from the kernel (SO_PEERCRED, SO_PEERGROUPS), never from what the peer says. Root is a user
   like any other: it may pass if it is listed.
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import socket
import stat
import struct
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hookd.core.daemonconfig import Allow

#: `sun_path` holds 108 bytes, the last of which is the NUL (unix(7)).
MAX_PATH_BYTES = 107
#: Connections that the kernel keeps until we accept them; it cuts this to net.core.somaxconn.
BACKLOG = 1024
#: `SO_PEERGROUPS` of Linux 4.13 and later; the socket module has no name for it.
SO_PEERGROUPS = 59
_UCRED = struct.Struct("=iII")  # pid_t, uid_t, gid_t of `struct ucred` (unix(7))
#: How many supplementary groups to make room for; Python's getsockopt reads 1,024 bytes at most, which is 256.
_GROUP_ROOMS = (64, 256)
_PRIVILEGED_PORTS = 1024
_FOLDER_MODE = 0o755  # whatever the umask


class AddressUnusable(Exception):  # noqa: N818  a fact about an address, told to a person
    """Nothing can listen at this address; the message says why, and what to do about it if that is known.

    `taken`: somebody else has it, and may give it up.
    """

    def __init__(self, message: str, *, taken: bool = False) -> None:
        super().__init__(message)
        self.taken = taken


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """The process at the other end of a Unix socket, as it was when it connected."""

    pid: int
    uid: int
    gid: int
    groups: frozenset[int] = frozenset()  # the supplementary ones; `gid` need not be among them


# --------------------------------------------------------------------------- Unix


def open_unix_listener(path: str, mode: int) -> trio.SocketListener:
    """Listen at `path` with the file mode `mode`; a stale socket there is replaced.

    Raises `AddressUnusable` when the path is too long, its directory cannot be made or is closed to us, something
    other than a socket stands there, or a living process listens there.
    """
    encoded = os.fsencode(path)
    if len(encoded) > MAX_PATH_BYTES:
        raise AddressUnusable(f"{path}: a socket path may have {MAX_PATH_BYTES} bytes, this one has {len(encoded)}")
    _make_folder(path)
    _clear_stale(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    bound = False
    try:
        before = os.umask(0o177)
        try:
            sock.bind(encoded)
            bound = True
        finally:
            os.umask(before)
        os.chmod(path, mode)  # noqa: PTH101  one way of writing paths in this module: as the config has them
        sock.listen(BACKLOG)
        return trio.SocketListener(trio.socket.from_stdlib_socket(sock))
    except BaseException as error:
        if bound:
            with suppress(OSError):
                os.unlink(path)  # noqa: PTH108  see above
        sock.close()
        if isinstance(error, OSError):
            raise AddressUnusable(_explain_path(path, error)) from None
        raise


def inode_of(path: str) -> int:
    """Give the inode of a socket just opened, for `remove_unix_socket`; 0 if nothing is there."""
    try:
        return os.lstat(path).st_ino
    except OSError:
        return 0


def remove_unix_socket(path: str, inode: int) -> bool:
    """Remove the socket file if it is still the one with this inode; say whether it was.

    To be called before the listener is closed: until then the kernel keeps the inode, so that its number cannot have
    been given to the socket of a successor.
    """
    try:
        found = os.lstat(path)
        if not stat.S_ISSOCK(found.st_mode) or found.st_ino != inode:
            return False
        os.unlink(path)  # noqa: PTH108  one way of writing paths in this module
    except OSError:
        return False
    return True


def _make_folder(path: str) -> None:
    folder = os.path.dirname(path)  # noqa: PTH120  one way of writing paths in this module
    if not folder or os.path.lexists(folder):  # what else is wrong with it is said when the socket is bound
        return
    with suppress(OSError):
        os.mkdir(folder)  # noqa: PTH102  the same
        os.chmod(folder, _FOLDER_MODE)  # noqa: PTH101  the same


def _clear_stale(path: str) -> None:
    """Remove a socket that nobody answers on; raise `AddressUnusable` if anything else is in the way."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return  # or the directory is missing: bind will say so
    except OSError as error:
        raise AddressUnusable(_explain_path(path, error)) from None
    if not stat.S_ISSOCK(found.st_mode):
        raise AddressUnusable(f"{path}: this is not a socket, and it is not removed; name another path or move it away")
    try:
        _expect_nobody(path)
        os.unlink(path)  # noqa: PTH108  one way of writing paths in this module
    except FileNotFoundError:
        pass  # its owner removed it at this moment
    except OSError as error:
        raise AddressUnusable(_explain_path(path, error)) from None


def _expect_nobody(path: str) -> None:
    """Return if nobody has this socket open, as when its process was killed; raise `AddressUnusable` if somebody has.

    Raises `FileNotFoundError` and `PermissionError` as connect(2) does.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return
        except (FileNotFoundError, PermissionError):
            raise
        except OSError:
            # EAGAIN: somebody listens, and the backlog is full. EPROTOTYPE: somebody has a datagram socket there.
            raise AddressUnusable(f"{path}: another process uses this socket", taken=True) from None
    message = f"{path}: another process listens on this socket; is hookd already running?"
    raise AddressUnusable(message, taken=True)


def _explain_path(path: str, error: OSError) -> str:
    folder = os.path.dirname(path) or "."  # noqa: PTH120  one way of writing paths in this module
    match error.errno:
        case errno.ENOENT:
            return f"{path}: the directory {folder} does not exist, and cannot be made: make it, or name another path"
        case errno.ENOTDIR:
            return f"{path}: {folder} is not a directory"
        case errno.EACCES | errno.EPERM:
            return f"{path}: permission denied; may user {os.geteuid()} write in {folder}?"
        case errno.EROFS:
            return f"{path}: {folder} is on a read-only file system"
        case errno.EADDRINUSE:
            return f"{path}: another process made this socket at the same moment"
        case _:
            return f"{path}: {os.strerror(error.errno or 0)}"


# --------------------------------------------------------------------------- TCP


async def open_tcp_listeners(host: str, port: int) -> list[trio.SocketListener]:
    """Listen at every address that `host` has; port 0 is one that the kernel picks.

    Raises `AddressUnusable` when the port is taken or privileged, or the host is unknown or not this machine.
    """
    try:
        return list(await trio.open_tcp_listeners(port, host=host, backlog=BACKLOG))
    except socket.gaierror as error:
        raise AddressUnusable(f"{host}: this host name is not known ({error.strerror})") from None
    except (OSError, OverflowError, UnicodeError) as error:
        taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        raise AddressUnusable(_explain_port(host, port, error), taken=taken) from None


def listener_from_fd(fd: int) -> trio.SocketListener:
    """Take over a listening stream socket that was opened for us, as a service manager does.

    Raises `AddressUnusable` when the descriptor is not such a socket; it is left open then.
    """
    try:
        sock = socket.socket(fileno=fd)
    except OSError as error:
        raise AddressUnusable(f"file descriptor {fd}: {os.strerror(error.errno or 0)}") from None
    listening = False
    with suppress(OSError):
        listening = sock.type == socket.SOCK_STREAM and bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    if not listening:
        sock.detach()
        raise AddressUnusable(f"file descriptor {fd}: this is not a listening stream socket")
    sock.set_inheritable(False)
    return trio.SocketListener(trio.socket.from_stdlib_socket(sock))


def _explain_port(host: str, port: int, error: Exception) -> str:
    match error.errno if isinstance(error, OSError) else None:
        case errno.EADDRINUSE:
            return f"{host}:{port}: this port is taken by another process"
        case errno.EADDRNOTAVAIL:
            return f"{host}:{port}: this machine does not have that address"
        case errno.EACCES if port < _PRIVILEGED_PORTS:
            return f"{host}:{port}: permission denied; ports below {_PRIVILEGED_PORTS} are for root"
        case int(code):
            return f"{host}:{port}: {os.strerror(code)}"
        case _:
            return f"{host}:{port}: this is not an address and port"


# --------------------------------------------------------------------------- peers


def peer_of(stream: trio.SocketStream) -> Peer:
    """Give the process that connected to a Unix socket. Raises `OSError` for a socket that has no such peer."""
    return peer_of_socket(stream.socket)


def peer_of_socket(sock: socket.socket | trio.socket.SocketType) -> Peer:
    """As `peer_of`, of a bare socket."""
    if sock.family != socket.AF_UNIX:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
    pid, uid, gid = _UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return Peer(pid=pid, uid=uid, gid=gid, groups=_groups_of(sock))


def _groups_of(sock: socket.socket | trio.socket.SocketType) -> frozenset[int]:
    for room in _GROUP_ROOMS:
        try:
            packed = sock.getsockopt(socket.SOL_SOCKET, SO_PEERGROUPS, room * 4)
        except OSError as error:
            if error.errno == errno.ERANGE:
                continue  # it has more groups
            break  # a kernel without it
        return frozenset(struct.unpack(f"={len(packed) // 4}I", packed))
    return frozenset()  # the user and the primary group still count


def allowed(peer: Peer, allow: Sequence[Allow]) -> Allow | None:
    """Give the first entry that names the peer's user, its primary group or one of its other groups; None: no entry.

    A name that this machine does not know matches nobody.
    """
    for entry in allow:
        if any(_id_of_user(name) == peer.uid for name in entry.users):
            return entry
        for name in entry.groups:
            gid = _id_of_group(name)
            if gid is not None and (gid == peer.gid or gid in peer.groups):
                return entry
    return None


def _id_of_user(name: str) -> int | None:
    try:
        return _known_user(name)
    except KeyError:
        return None


def _id_of_group(name: str) -> int | None:
    try:
        return _known_group(name)
    except KeyError:
        return None


# The cache holds what was found, and not what was not: a user made later is known at its next connection, and a slow
# directory service is asked once.
@lru_cache(maxsize=256)
def _known_user(name: str) -> int:
    return int(name) if _is_number(name) else pwd.getpwnam(name).pw_uid


@lru_cache(maxsize=256)
def _known_group(name: str) -> int:
    return int(name) if _is_number(name) else grp.getgrnam(name).gr_gid


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit()
