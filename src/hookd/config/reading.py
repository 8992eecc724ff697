"""Reading one file whole, and telling whether it is still the one that was read.

Rules of this module:

1. A file that changes while it is read is nobody's: `Moved`.
2. Only regular files: a named pipe would block for ever, and a device never end.
3. It is read with as few system calls as that takes. There are thousands of files, and at each call another thread may
   take the interpreter.
"""

from __future__ import annotations

import os
import stat
from typing import Final, TypeAlias

from hookd.config.text.syntax import MAX_FILE_BYTES

#: A byte more than a file may have, which is enough to refuse it.
_MOST: Final = MAX_FILE_BYTES + 1

#: What tells whether a file is still the one that was read: device, inode, size, time of change.
Stamp: TypeAlias = "tuple[int, int, int, int]"


class Moved(Exception):  # noqa: N818  a fact, for the flow of control
    """A file changed while it was read."""


def read_file(name: str) -> tuple[bytes, Stamp]:
    """Give the content of a regular file, or a byte more than it may have, and its stamp. Raises OSError, `Moved`."""
    descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            raise IsADirectoryError if stat.S_ISDIR(before.st_mode) else OSError("it is not a regular file")
        content = _read_whole(descriptor, before.st_size)
        if _stamp(before) != _stamp(os.fstat(descriptor)):
            raise Moved
    finally:
        os.close(descriptor)
    return content, _stamp(before)


def _read_whole(descriptor: int, size: int) -> bytes:
    """Read to the end, which comes where the size says unless somebody writes, or at the most."""
    content = os.read(descriptor, min(size + 1, _MOST))
    while len(content) not in {0, size, _MOST} and (more := os.read(descriptor, _MOST - len(content))):
        content += more
    return content


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def stamp_of(name: str) -> Stamp | None:
    """Give the stamp of what has this name now, or None."""
    try:
        return _stamp(os.stat(name))  # noqa: PTH116  thousands of them, at every look
    except OSError:
        return None
