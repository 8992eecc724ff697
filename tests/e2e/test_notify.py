"""What a service manager hears of a real daemon: ready, a reload and ready again, the end."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.house import Daemon


def test_ready_reloading_ready_stopping(daemon_of: Callable[..., Daemon], tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(20)
        manager.bind(address)
        daemon = daemon_of("webhooks: {}\n", NOTIFY_SOCKET=address).start()
        assert manager.recv(4096).startswith(b"READY=1\nSTATUS=0 webhooks")
        daemon.config.write_text(
            daemon.config.read_text().replace(
                "webhooks: {}", "webhooks:\n  one: {url: http://example.com/, events: [x]}"
            )
        )
        assert manager.recv(4096).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
        assert manager.recv(4096) == b"READY=1"
        assert manager.recv(4096).startswith(b"STATUS=1 webhooks")
        assert daemon.stop() == 0
        assert manager.recv(4096).startswith(b"STOPPING=1")
