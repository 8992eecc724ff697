"""Texts that stand outside the config: read when they are used, never when the config is loaded.

Rules of this module:

1. A file is looked at (one `stat`) at every use and read again when it is another one, so a rotated secret needs no
   reload. A file that changed a moment ago is not remembered, because a second write may fall into the same tick
   of the file system's clock.
2. One newline at the end is not part of the text: editors and `echo` write it.
3. An empty text is unreadable: a file that is being rewritten is empty for a moment, and an empty token must not
   go out.
4. A message names the kind and the name or path, never a byte of the content.
5. Only regular files are read, at most 64 KiB, so that a pipe or a device cannot hang the daemon.
"""

from __future__ import annotations

import os
import stat
import time
from typing import TYPE_CHECKING, Final, Protocol

from hookd.core.config import Reference, ReferenceKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hookd.core.config import Text

_LIMIT: Final = 64 * 1024

#: How long a file must have been left alone before its content is remembered. Well above the tick of any kernel
#: (10 ms at 100 Hz) and of the file systems with coarse time stamps (2 s on FAT).
_SETTLED_NS: Final = 2_500_000_000

_Signature = tuple[int, int, int, int, int]


class SecretUnreadable(Exception):  # noqa: N818  a fact that becomes the cause `secret_unreadable`
    """A reference cannot be read now; the message says which and why, and holds nothing of the content."""


class Secrets(Protocol):
    """Who can turn a `Text` into the text itself."""

    def read(self, text: Text) -> str:
        """Give the text. Raises `SecretUnreadable`."""


class SecretReader:
    """Reads references from systemd's credentials, files and the environment.

    `credentials_directory` is `$CREDENTIALS_DIRECTORY`, None when there is none. It is not safe for several threads
    at once; each thread takes its own.
    """

    def __init__(self, credentials_directory: str | None, environ: Mapping[str, str]) -> None:
        self._credentials_directory = credentials_directory
        self._environ = environ
        self._remembered: dict[str, tuple[_Signature, str]] = {}

    def read(self, text: Text) -> str:
        """Give the text itself: a literal as it stands, a reference as it is now. Raises `SecretUnreadable`."""
        if isinstance(text, str):
            return text
        if text.kind is ReferenceKind.ENV:
            return self._read_variable(text)
        return self._read_file(text)

    def _read_variable(self, reference: Reference) -> str:
        value = self._environ.get(reference.name)
        if value is None:
            raise SecretUnreadable(f"environment variable {reference.name} is not set")
        # The environment holds bytes that are not UTF-8 as lone surrogates.
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise SecretUnreadable(f"environment variable {reference.name} is not UTF-8")
        value = _without_newline(value)
        if not value:
            raise SecretUnreadable(f"environment variable {reference.name} is empty")
        return value

    def _read_file(self, reference: Reference) -> str:
        path = self._path(reference)
        try:
            signature = _signature(os.stat(path))  # noqa: PTH116  per attempt: pathlib costs five times as much
            remembered = self._remembered.get(path)
            if remembered is not None and remembered[0] == signature:
                return remembered[1]
            signature, content = _read_regular(path, _name(reference))
        except OSError as error:
            self._remembered.pop(path, None)
            raise SecretUnreadable(f"{_name(reference)} cannot be read: {error.strerror}") from None
        text = _decode(content, reference)
        if time.time_ns() - max(signature[1], signature[2]) > _SETTLED_NS:
            self._remembered[path] = (signature, text)
        else:
            self._remembered.pop(path, None)
        return text

    def _path(self, reference: Reference) -> str:
        if "\0" in reference.name:
            raise SecretUnreadable(f"the name of a {reference.kind} reference holds a NUL character")
        if reference.kind is ReferenceKind.FILE:
            return reference.name
        if not is_credential_name(reference.name):
            raise SecretUnreadable(f"{_name(reference)}: a credential is a plain name, without `/`")
        if not self._credentials_directory:
            raise SecretUnreadable(
                f"{_name(reference)} cannot be read: $CREDENTIALS_DIRECTORY is not set"
                " (systemd sets it for a unit with LoadCredential=)"
            )
        return os.path.join(self._credentials_directory, reference.name)  # noqa: PTH118  as above


def is_credential_name(name: str) -> bool:
    """Whether a name can be a systemd credential: one part of a path (systemd.exec(5), LoadCredential=)."""
    return name not in ("", ".", "..") and "/" not in name and "\0" not in name


def _name(reference: Reference) -> str:
    return f"{reference.kind} {reference.name}"


def _signature(found: os.stat_result) -> _Signature:
    return found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_dev


def _read_regular(path: str, shown: str) -> tuple[_Signature, bytes]:
    """Read a regular file whole, with the signature of exactly what was opened."""
    # Not blocking: opening a pipe without a writer would wait for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise SecretUnreadable(f"{shown} is not a regular file")
        content = b""
        while len(content) <= _LIMIT:
            chunk = os.read(descriptor, _LIMIT + 1 - len(content))
            if not chunk:
                return _signature(found), content
            content += chunk
    finally:
        os.close(descriptor)
    raise SecretUnreadable(f"{shown} is larger than {_LIMIT // 1024} KiB")


def _decode(content: bytes, reference: Reference) -> str:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise SecretUnreadable(f"{_name(reference)} is not UTF-8 text") from None
    if "\0" in text:
        raise SecretUnreadable(f"{_name(reference)} holds a NUL character")
    text = _without_newline(text)
    if not text:
        raise SecretUnreadable(f"{_name(reference)} is empty")
    return text


def _without_newline(text: str) -> str:
    return text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text
