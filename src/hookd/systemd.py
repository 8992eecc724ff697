"""What a service manager asks of us: readiness, reload, state in words, the end.

The protocol is sd_notify(3): datagrams to `$NOTIFY_SOCKET`, a leading `@` meaning an abstract name. Without that
variable every call does nothing. A datagram that cannot be sent is no reason to stop delivering.

Rules: `READY=1` is said once everything really is; after every `RELOADING=1`, which carries `MONOTONIC_USEC`
(without it `Type=notify-reload` hangs), comes `READY=1` again, also when the config was refused.
"""

from __future__ import annotations

import os
import socket
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class Notifier:
    """Tells the service manager, if there is one."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._address = environ.get("NOTIFY_SOCKET")

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.connect(address)
            sender.send("\n".join(lines).encode())

    def ready(self, status: str) -> None:
        """Everything is open and listening."""
        self._send("READY=1", f"STATUS={_one_line(status)}")

    def status(self, status: str) -> None:
        """One line in words, for `systemctl status`."""
        self._send(f"STATUS={_one_line(status)}")

    def stopping(self) -> None:
        """Say that the end has begun."""
        self._send("STOPPING=1", "STATUS=draining")

    @contextmanager
    def reloading(self) -> Iterator[None]:
        """Say that a reload is under way for as long as the block lasts, however it ends."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            yield
        finally:
            self._send("READY=1")


def _one_line(text: str) -> str:
    return " ".join(text.split())


def credentials_directory(environ: Mapping[str, str] = os.environ) -> str | None:
    """Where systemd put the credentials of this service (systemd.exec(5), `LoadCredential=`)."""
    return environ.get("CREDENTIALS_DIRECTORY") or None
