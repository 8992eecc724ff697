"""The state directory: made, judged, and owned by one process.

Rules of this module:

1. One process owns a state directory, by flock on its `lock` file: a lock of the kernel's goes with its process,
   so that nothing stale is left after a crash. The file says who holds it, for people.
2. SQLite's WAL needs shared memory and honest locks, which network filesystems do not give
   (sqlite.org/wal.html, "WAL does not work over a network filesystem"): they are refused.
3. Only we may read it: 0700, and 0600 within. Payloads are in there.
4. The lock does not keep anybody from removing files. What was opened is told from what bears its name by the inode.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from hookd.store.base import StoreLocked, StoreUnusable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

#: `f_type` of statfs(2), for filesystems that have no locks and no shared memory that we could trust.
NETWORK_FILESYSTEMS = {
    0x6969: "NFS",
    0x517B: "SMB",
    0xFF534D42: "CIFS",
    0xFE534D42: "SMB2",
    0x01021997: "9p",
    0x00C36400: "Ceph",
    0x5346414F: "AFS",
    0x73757245: "Coda",
    0x564C: "NCP",
    0x47504653: "GPFS",
    0x0BD00BD0: "Lustre",
}


@contextmanager
def own_directory(directory: Path) -> Iterator[None]:
    """Make the state directory if only it is missing, and own it until the block ends.

    Raises StoreUnusable if it cannot be used, StoreLocked if another process owns it; messages are for people.
    """
    _make(directory)
    kind = NETWORK_FILESYSTEMS.get(filesystem_type(directory))
    if kind is not None:
        raise StoreUnusable(f"{directory} is on a network filesystem ({kind}); SQLite needs a local disk")
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        raise StoreUnusable(f"{directory} is not writable for this user (uid {os.geteuid()})")
    try:
        lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreUnusable(f"{directory / 'lock'} cannot be opened: {error.strerror}") from None
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreLocked(f"{directory} is in use by {_read_holder(lock)}") from None
        except OSError as error:
            raise StoreUnusable(f"{directory / 'lock'} cannot be locked: {error.strerror}") from None
        if os.geteuid() == 0:  # what root has done here (a restore) must not keep out who runs it
            owner = directory.stat()
            os.fchown(lock, owner.st_uid, owner.st_gid)
        since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"pid {os.getpid()} since {since}\n".encode(), 0)
        yield
    finally:
        os.close(lock)


class Footing:
    """Whether files that were opened still bear their names. State: the device and inode of each, once it was there."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._found = {path: _identify(path) for path in paths}

    def lost(self) -> Path | None:
        """Give a file that is gone, or is another one now; None: they are what they were, or have come since."""
        for path, before in self._found.items():
            now = _identify(path)
            if before is None:
                self._found[path] = now
            elif now != before:
                return path
        return None


def _identify(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116  twice in every commit
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _make(directory: Path) -> None:
    try:
        directory.mkdir(mode=0o700)
    except FileExistsError:
        if not directory.is_dir():
            raise StoreUnusable(f"{directory} is not a directory") from None
    except FileNotFoundError:
        raise StoreUnusable(f"{directory.parent} does not exist; make it, or choose another state_dir") from None
    except NotADirectoryError:
        raise StoreUnusable(f"{directory.parent} is not a directory") from None
    except OSError as error:
        raise StoreUnusable(f"{directory} cannot be made: {error.strerror}") from None


def _read_holder(lock: int) -> str:
    text = os.pread(lock, 100, 0).decode("ascii", "replace").strip()
    return f"another hookd ({text})" if text else "another process"


def filesystem_type(path: Path) -> int:
    """Give `f_type` of statfs(2), which Python's os.statvfs leaves out; 0 if it cannot be told."""
    buffer = (ctypes.c_long * 32)()
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.statfs(os.fsencode(path), ctypes.byref(buffer)) == 0:
            return int(buffer[0]) & 0xFFFFFFFF
    return 0


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable. SQLite does this for its journals, not for a new database file."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
