"""What a service manager hears, on a real socket."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import TYPE_CHECKING

from hookd.systemd import Notifier

if TYPE_CHECKING:
    from pathlib import Path


def heard(receiver: socket.socket) -> dict[str, str]:
    text = receiver.recv(4096).decode()
    return dict(line.split("=", 1) for line in text.splitlines())


def open_receiver(address: str) -> socket.socket:
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiver.settimeout(5)
    receiver.bind(address)
    return receiver


def test_readiness_status_and_end_are_said(tmp_path: Path) -> None:
    with open_receiver(str(tmp_path / "notify")) as receiver:
        notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")})
        notifier.ready("3 webhooks,\nrevision abc")
        notifier.status("reload refused")
        notifier.stopping()
        assert heard(receiver) == {"READY": "1", "STATUS": "3 webhooks, revision abc"}
        assert heard(receiver) == {"STATUS": "reload refused"}
        assert heard(receiver)["STOPPING"] == "1"


def test_ready_follows_reloading_however_it_ends(tmp_path: Path) -> None:
    with open_receiver("\0" + str(tmp_path)) as receiver:
        notifier = Notifier({"NOTIFY_SOCKET": f"@{tmp_path}"})
        with suppress(RuntimeError), notifier.reloading():
            raise RuntimeError
        begun = heard(receiver)
        assert begun["RELOADING"] == "1"
        assert int(begun["MONOTONIC_USEC"]) > 0
        assert heard(receiver) == {"READY": "1"}


def test_without_a_service_manager_nothing_is_said() -> None:
    Notifier({}).ready("x")
    Notifier({"NOTIFY_SOCKET": "/nonexistent/socket"}).ready("x")
