"""What a service manager hears of a real daemon, and what a daemon makes of sockets that were opened for it."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.hostile import STRANGE
from tests.e2e.house import ROOT, Daemon, Receiver, write_config

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE_S = 30.0
ONE = "webhooks:\n  one: {url: http://example.com/, events: [x]}\n"
ACTIVATED = (sys.executable, str(Path(__file__).with_name("activated.py")))
#: Signs of life come three times in this time.
WATCHDOG_S = 0.6


class Manager:
    """A service manager that listens; `heard` is every datagram, as lines."""

    def __init__(self, address: str) -> None:
        self.heard: list[list[str]] = []
        self._news = threading.Condition()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while said := self._socket.recv(8192).decode():
            with self._news:
                self.heard.append(said.splitlines())
                self._news.notify_all()

    def wait(self, *starts: str, since: int = 0) -> int:
        """Wait until each of these was heard, as the beginning of a line, in this order; give where it ended."""

        def found() -> int | None:
            left = list(starts)
            for number, lines in enumerate(self.heard[since:], since):
                if left and any(line.startswith(left[0]) for line in lines):
                    del left[0]
                if not left:
                    return number + 1
            return None

        with self._news:
            assert self._news.wait_for(lambda: found() is not None, PATIENCE_S), (starts, self.heard[since:])
            end = found()
        assert end is not None
        return end

    def catch_up(self) -> int:
        """Wait until all is heard that was said so far; give how much that is."""
        mark = f"MARK={time.monotonic_ns()}"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ours:
            ours.sendto(mark.encode(), self._socket.getsockname())
        return self.wait(mark)

    def close(self) -> None:
        """Listen no more."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    one = Manager(str(tmp_path / "notify"))
    yield one
    one.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    one = Receiver()
    yield one
    one.close()


def rewrite(daemon: Daemon, text: str) -> None:
    """Put a config in the place of the old one, in one step."""
    write_config(daemon.config.parent, text, "next.yaml").rename(daemon.config)


def test_ready_reloading_ready_stopping(daemon_of: Callable[..., Daemon], tmp_path: Path, manager: Manager) -> None:
    daemon = daemon_of("webhooks: {}\n", NOTIFY_SOCKET=str(tmp_path / "notify")).start()
    at = manager.wait("READY=1", "STATUS=0 webhooks")
    manager.wait("STATUS=0 webhooks", "STATUS=0 webhooks, revision")
    rewrite(daemon, ONE)
    at = manager.wait("MONOTONIC_USEC=", "READY=1", "STATUS=1 webhook,", since=at)
    rewrite(daemon, ONE.replace("url", "ulr"))
    at = manager.wait("STATUS=1 webhook,", since=at)
    assert daemon.stop() == 0
    at = manager.wait("STOPPING=1", since=at)
    assert any(line.startswith("EXTEND_TIMEOUT_USEC=") for line in manager.heard[at - 1])


@pytest.mark.parametrize("text", [ONE, "webhooks: {}\n", "webhoks: {}\n"], ids=["changed", "unchanged", "bad"])
def test_a_hangup_is_answered_whatever_it_comes_to(
    daemon_of: Callable[..., Daemon], tmp_path: Path, manager: Manager, text: str
) -> None:
    daemon = daemon_of("webhooks: {}\n", NOTIFY_SOCKET=str(tmp_path / "notify")).start()
    at = manager.wait("READY=1")
    asked = time.monotonic_ns() // 1000
    rewrite(daemon, text)
    assert daemon.process is not None
    daemon.process.send_signal(signal.SIGHUP)
    while True:  # the watch may have been quicker; then that is not the answer yet
        at = manager.wait("RELOADING=1", since=at)
        (stamp,) = [line for line in manager.heard[at - 1] if line.startswith("MONOTONIC_USEC=")]
        if int(stamp.partition("=")[2]) >= asked:
            break
    at = manager.wait("READY=1", since=at)
    if text == "webhoks: {}\n":
        at = manager.wait("STATUS=0 webhooks", since=at)
        assert "config refused" in manager.heard[at - 1][0]


def test_signs_of_life_end_when_the_writer_is_stuck(tmp_path: Path, manager: Manager) -> None:
    stuck = tmp_path / "stuck"
    environ = {
        "NOTIFY_SOCKET": str(tmp_path / "notify"),
        "WATCHDOG_USEC": str(int(WATCHDOG_S * 1e6)),
        "STRANGE_DISK": str(stuck),
    }
    daemon = Daemon(write_config(tmp_path, "webhooks: {}\n"), environ, program=STRANGE)
    try:
        daemon.start()
        at = manager.wait("READY=1", *["WATCHDOG=1"] * 5)
        stuck.touch()
        deadline = time.monotonic() + PATIENCE_S
        while True:  # it has some last words: the writer asks the disk once a second
            at = manager.catch_up()
            code, out, _ = daemon.verb("list")  # the event loop turns: the daemon is asked, and answers
            assert (code, out.strip()) == (0, "no webhooks")
            time.sleep(4 * WATCHDOG_S)
            if manager.catch_up() and not [lines for lines in manager.heard[at:] if "WATCHDOG=1" in lines]:
                break
            assert time.monotonic() < deadline, manager.heard[at:]
        stuck.unlink()
        manager.wait(*["WATCHDOG=1"] * 3, since=at)
        assert daemon.stop() == 0
    finally:
        stuck.unlink(missing_ok=True)
        daemon.close()


def test_it_asks_for_time_while_its_store_is_not_open_yet(tmp_path: Path, manager: Manager) -> None:
    stuck = tmp_path / "stuck"
    stuck.touch()
    environ = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "STRANGE_DISK": str(stuck)}
    daemon = Daemon(write_config(tmp_path, "webhooks: {}\n"), environ, program=STRANGE)
    try:
        daemon.spawn()
        manager.wait("EXTEND_TIMEOUT_USEC=30000000")
        assert not [lines for lines in manager.heard if "READY=1" in lines]
        stuck.unlink()
        manager.wait("READY=1")
        assert daemon.stop() == 0
    finally:
        stuck.unlink(missing_ok=True)
        daemon.close()


def test_signs_of_life_end_when_the_event_loop_stands_still(
    daemon_of: Callable[..., Daemon], tmp_path: Path, manager: Manager
) -> None:
    environ = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": str(int(WATCHDOG_S * 1e6))}
    daemon = daemon_of("webhooks: {}\n", **environ).start()
    manager.wait("READY=1", *["WATCHDOG=1"] * 3)
    assert daemon.process is not None
    daemon.process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, daemon.process.pid, os.WSTOPPED | os.WNOWAIT)
    at = manager.catch_up()
    time.sleep(2 * WATCHDOG_S)
    assert manager.catch_up() == at + 1, manager.heard[at:]
    daemon.process.send_signal(signal.SIGCONT)
    manager.wait("WATCHDOG=1", since=at)


def test_sockets_that_were_opened_for_it_are_served_and_left_where_they_are(
    tmp_path: Path, receiver: Receiver, manager: Manager
) -> None:
    text = f"webhooks:\n  one: {{url: {receiver.url}, events: [x], allow_networks: [127.0.0.0/8]}}\n"
    sockets = {"events": tmp_path / "events.sock", "control": tmp_path / "control.sock", "other": tmp_path / "o.sock"}
    environ = {
        "ACTIVATED": " ".join(f"{name}={path}" for name, path in sockets.items()),
        "NOTIFY_SOCKET": str(tmp_path / "notify"),
        "PYTHONPATH": str(ROOT / "src"),
    }
    daemon = Daemon(write_config(tmp_path, text), environ, program=ACTIVATED)
    try:
        daemon.start()
        inodes = {path: path.stat().st_ino for path in sockets.values()}
        assert daemon.send({"type": "x", "id": "1"})[0]["status"] == "accepted"
        receiver.wait(1)
        code, out, err = daemon.verb("status")
        assert code == 0, out + err
        told = daemon.wait_line("socket.unclaimed", name="other")
        assert told["address"] == str(tmp_path / "o.sock")
        told_words = f"socket {tmp_path / 'o.sock'} is nobody's"
        assert any(told_words in line for lines in manager.heard for line in lines)
        assert daemon.stop() == 0
        assert {path: path.stat().st_ino for path in sockets.values()} == inodes
    finally:
        daemon.close()
