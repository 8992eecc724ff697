"""hookd as a service of a machine: install it, set it up as a test wants it, and send to it."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from tests.e2e.house import PATIENCE_S

if TYPE_CHECKING:
    from pathlib import Path

    from tests.systemd.machine import Machine

HOOKD = "/opt/hookd/bin/hookd"
CONFIG = "/etc/hookd/hookd.yaml"
EVENTS = "/run/hookd/events.sock"
DROP_INS = "/etc/systemd/system/hookd.service.d"
UNITS = ("hookd.socket", "hookd-http.socket", "hookd-control.socket", "hookd.service")


class Service:
    """The service, and what can be done to it."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def install(self) -> Service:
        """Install it as its own words say, and make users: `app` may send events, `stranger` may not."""
        told = self.machine.run(HOOKD, "systemd", "install").stdout
        steps = [line.partition("#")[0].strip() for line in told.partition("Next:\n")[2].splitlines()]
        assert steps[:2] == ["systemd-sysusers", "systemd-tmpfiles --create /etc/tmpfiles.d/hookd.conf"], told
        for step in steps:
            if "usermod" not in step and "--now" not in step:
                self.machine.run(*step.split())
        users = ["u app -", "u stranger -", "u deploy -"]
        self.machine.run("systemd-sysusers", "--inline", *users)
        self.machine.run("usermod", "--append", "--groups", "hookd-events", "app")
        return self

    def stop_all(self) -> None:
        """Stop all of it."""
        self.machine.run("systemctl", "stop", *UNITS, check=False)
        self.machine.run("systemctl", "reset-failed", check=False)

    def reset(self) -> None:
        """Make it as it was after its installation, with an empty journal."""
        self.stop_all()
        self.machine.run(
            "sh", "-c", "rm -rf /var/lib/hookd /etc/hookd /etc/systemd/system/hookd.*.d/*.conf && mkdir -p /etc/hookd"
        )
        self.machine.run("systemctl", "daemon-reload")
        # By size: what is younger than a second goes as well, once all that was said has come.
        self.machine.run("journalctl", "--sync")
        self.machine.run("journalctl", "--rotate", "--vacuum-size=1", "-q", check=False)
        assert self.machine.journal("-t", "hookd") == []

    def configure(self, text: str, path: str = CONFIG) -> None:
        """Write the config, in one step."""
        target = self.machine.path(path)
        part = target.with_name(target.name + ".part")
        part.write_text(text)
        part.chmod(0o644)
        part.rename(target)

    def drop_in(self, text: str, name: str = "test.conf") -> None:
        """Change the unit, as a drop-in does."""
        folder = self.machine.path(DROP_INS)
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(text)
        self.machine.run("systemctl", "daemon-reload")

    def drop_in_socket(self, text: str) -> None:
        """Change the unit of the event socket."""
        folder = self.machine.path(DROP_INS.replace(".service", ".socket"))
        folder.mkdir(exist_ok=True)
        (folder / "test.conf").write_text(text)
        self.machine.run("systemctl", "daemon-reload")

    def start(self, text: str | None = None) -> Service:
        """Start it, with this config if one is given, and wait until it is ready."""
        if text is not None:
            self.configure(text)
        done = self.machine.run("systemctl", "start", "hookd.service", check=False)
        assert done.returncode == 0, done.stderr + self.machine.journal_text()
        return self

    @property
    def pid(self) -> int:
        """The main process, by its number in the machine."""
        return int(self.machine.show("MainPID"))

    def signal(self, name: str) -> None:
        """Send the main process a signal."""
        self.machine.run("kill", f"-{name}", str(self.pid))

    @property
    def socket(self) -> Path:
        """The event socket, as it is reached from outside."""
        return self.machine.path(EVENTS)

    def hookd(self, *arguments: str, user: str | None = None, stdin: str = "") -> tuple[int, str, str]:
        """Run a verb in the machine."""
        done = self.machine.run(HOOKD, *arguments, user=user, stdin=stdin, check=False)
        return done.returncode, done.stdout, done.stderr

    def send(self, *events: dict[str, Any]) -> None:
        """Send events, each of which must be accepted."""
        code, out, err = self.hookd("send", "-", stdin="".join(json.dumps(event) + "\n" for event in events))
        assert code == 0, out + err

    def wait_status(self, text: str) -> str:
        """Wait until the state in words has this text."""
        return self.machine.wait_show("StatusText", lambda status: text in status)


class Steady(threading.Thread):
    """A producer that sends so many events a second, and sends again what got no reply. `finish` ends it."""

    def __init__(self, path: Path, rate: int) -> None:
        super().__init__(daemon=True)
        self.acknowledged: set[str] = set()
        self.connects = 0
        self.resent = 0
        self.wrong: list[str] = []  # what a producer should never see
        self._path = str(path)
        self._rate = rate
        self._made = 0
        self._waiting: deque[str] = deque()  # ids, oldest first
        self._ending = threading.Event()
        self._began = time.monotonic()
        self.start()

    def finish(self) -> set[str]:
        """Send no more; wait for every reply; give the ids of all that were sent."""
        self._ending.set()
        self.join(PATIENCE_S)
        assert not self.is_alive(), f"{len(self._waiting)} events have no reply; {self.wrong}"
        assert not self.wrong, self.wrong[:5]
        return {f"e{number}" for number in range(self._made)}

    def run(self) -> None:
        """Connect, and connect again, until everything is answered."""
        while not self._ending.is_set() or self._waiting:
            with socket.socket(socket.AF_UNIX) as client:
                try:
                    client.connect(self._path)
                except OSError as error:
                    self.wrong.append(f"connect: {error}")
                    time.sleep(0.05)
                    continue
                self.connects += 1
                self.resent += len(self._waiting)
                try:
                    client.sendall(b"".join(map(_line, self._waiting)))
                    self._talk(client)
                except OSError as error:  # a reset would lose replies that were written
                    self.wrong.append(f"talk: {error}")

    def _talk(self, client: socket.socket) -> None:
        rest = b""
        while not self._ending.is_set() or self._waiting:
            if not self._ending.is_set():
                due = int((time.monotonic() - self._began) * self._rate)
                fresh = [f"e{number}" for number in range(self._made, due)]
                self._made = max(self._made, due)
                self._waiting.extend(fresh)
                try:
                    client.settimeout(PATIENCE_S)
                    client.sendall(b"".join(map(_line, fresh)))
                except BrokenPipeError:
                    pass  # the daemon ends; its last replies may still be there
            client.settimeout(0.02)
            try:
                chunk = client.recv(65536)
            except TimeoutError:
                continue
            if not chunk:
                return
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                reply = json.loads(line)
                if reply["status"] not in {"accepted", "duplicate"} or reply["id"] != self._waiting[0]:
                    self.wrong.append(f"{reply} for {self._waiting[0]}")
                self.acknowledged.add(self._waiting.popleft())


def _line(event_id: str) -> bytes:
    return b'{"type":"load","id":"%s","data":{"id":"%s"}}\n' % (event_id.encode(), event_id.encode())
