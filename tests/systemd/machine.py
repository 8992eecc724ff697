"""A machine of its own for the tests: systemd as PID 1, hookd from its wheel, a network with nothing but a loopback.

What it stands on: `boot.sh`. A machine is entered with nsenter; nothing of the one below is changed. It ends with its
PID 1, which ends with us, however we end.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")

HERE = Path(__file__).parent
PATIENCE_S = 60.0
NEEDED = ("unshare", "nsenter", "pivot_root", "systemctl", "setpriv", "runuser", "ip", "git", "curl")
#: All namespaces but that of users; what is in them dies with it.
UNSHARE = ["unshare", "--kill-child", "--fork", "-m", "-p", "-C", "-i", "-u", "-n", "--propagation", "private"]
CLONE_NEWNET = 0x40000000


def why_not() -> str | None:
    """Give why there can be no such machine here; None if there can."""
    if os.geteuid() != 0:
        return "needs root"
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if missing or not Path("/lib/systemd/systemd").exists():
        return f"needs systemd and {', '.join(missing)}"
    if find_cgroups() is None:
        return "needs cgroup v2"
    tried = subprocess.run([*UNSHARE, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, check=False)
    return None if tried.returncode == 0 else f"may not make namespaces: {tried.stderr.decode().strip()}"


def find_cgroups() -> Path | None:
    """Give where the second version of control groups is mounted."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        if " - cgroup2 " in line:
            return Path(fields[4])
    return None


class Machine:
    """A booted machine: `run` things in it, `listen` in its network, `end` it."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        base = folder / "base"
        base.mkdir()
        cgroups = find_cgroups()
        assert cgroups is not None
        self._cgroup = cgroups / f"hookd-test-{os.getpid()}-{folder.name}"
        self._cgroup.mkdir()
        self._log = (folder / "boot.log").open("w+b")
        deps = next(path for path in sys.path if path.endswith("site-packages"))
        boot = [str(HERE / "boot.sh"), str(base), sys.base_prefix, deps, str(wheel)]
        command = ["setpriv", "--pdeathsig", "KILL", *UNSHARE, "bash", *boot]
        enter = f'echo $$ > {self._cgroup}/cgroup.procs && exec "$@"'
        self._unshare = subprocess.Popen(
            ["sh", "-c", enter, "sh", *command], stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log
        )
        try:
            self.pid = self._wait_booted()
        except BaseException:
            self.end()
            raise

    def _wait_booted(self) -> int:
        children = Path(f"/proc/{self._unshare.pid}/task/{self._unshare.pid}/children")
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            if self._unshare.poll() is not None:
                break
            for child in children.read_text().split():
                if Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
                    self.pid = int(child)
                    if self.run("systemctl", "is-active", "test.target", check=False).stdout.strip() == "active":
                        return self.pid
            time.sleep(0.1)  # nobody tells when a PID 1 is up
        self._log.seek(0)
        raise AssertionError(f"the machine did not boot: {self._log.read().decode(errors='replace')}")

    def end(self) -> None:
        """End it, and leave nothing behind."""
        self._unshare.kill()  # and its child with it, and all that this one is PID 1 of
        self._unshare.wait()
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            folders = [Path(folder) for folder, _, _ in os.walk(self._cgroup, topdown=False)]
            try:
                for folder in folders:
                    folder.rmdir()
                break
            except OSError:  # its last processes are still going
                time.sleep(0.1)
        self._log.close()

    # ----------------------------------------------------------------- in it

    def enter(self, *arguments: str | Path, user: str | None = None) -> list[str]:
        """Give the command line that runs another one in the machine."""
        inside = [*map(str, arguments)] if user is None else ["runuser", "-u", user, "--", *map(str, arguments)]
        return ["nsenter", "-t", str(self.pid), "-m", "-u", "-i", "-n", "-p", "-C", "--wd=/", *inside]

    def run(
        self,
        *arguments: str | Path,
        user: str | None = None,
        stdin: str = "",
        check: bool = True,
        timeout: float = PATIENCE_S,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the machine to its end."""
        done = subprocess.run(
            self.enter(*arguments, user=user),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin:/opt/hookd/bin", "LANG": "C.UTF-8", "SYSTEMD_PAGER": "cat"},
        )
        said = f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert not check or done.returncode == 0, said
        assert "Traceback" not in said, said
        return done

    def path(self, inside: str) -> Path:
        """Give the way to a file of the machine, from outside."""
        return Path(f"/proc/{self.pid}/root") / inside.lstrip("/")

    def show(self, prop: str, unit: str = "hookd.service") -> str:
        """Give a property of a unit."""
        return self.run("systemctl", "show", "--value", "-p", prop, unit).stdout.strip()

    def wait_show(self, prop: str, fits: Callable[[str], bool], unit: str = "hookd.service") -> str:
        """Wait until a property of a unit is as wanted."""
        until = time.monotonic() + PATIENCE_S
        while not fits(value := self.show(prop, unit)):
            assert time.monotonic() < until, f"{prop} of {unit} is still {value!r}\n{self.journal_text()}"
            time.sleep(0.05)  # systemctl has no way to wait for a property
        return value

    def journal(self, *options: str) -> list[dict[str, Any]]:
        """Give the entries of the journal."""
        out = self.run("journalctl", "--no-pager", "--all", "-o", "json", *options).stdout
        return [json.loads(line) for line in out.splitlines()]

    def journal_text(self, *options: str) -> str:
        """Give the journal for people: what a failing test shows."""
        return self.run("journalctl", "--no-pager", "-n", "60", *options).stdout

    def listen(self, make: Callable[[], T]) -> T:
        """Give what `make` opens, in the network of the machine: sockets stay in the one they were made in."""
        made: list[T] = []
        failed: list[BaseException] = []

        def inside() -> None:
            try:
                with Path(f"/proc/{self.pid}/ns/net").open("rb") as network:
                    libc = ctypes.CDLL(None, use_errno=True)
                    assert libc.setns(network.fileno(), CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
                made.append(make())
            except BaseException as error:  # noqa: BLE001  it is raised where it was asked for
                failed.append(error)

        thread = threading.Thread(target=inside)  # the network is the thread's, not the process's
        thread.start()
        thread.join()
        if failed:
            raise failed[0]
        return made[0]


def build_wheel(folder: Path, root: Path) -> Path:
    """Build the wheel of a checkout, without any network."""
    pip: Sequence[str] = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", folder, root], check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel
