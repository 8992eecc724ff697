"""Real processes: `hookd run` with a config of its own, and the receiver. Both end with their context, by pid.

The daemon logs to a file, as under a service manager that keeps one; its CPU time, memory and log are read from
outside, so that measuring costs it nothing. Status is asked only when nothing is being measured.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PATIENCE_S: Final = 120.0
POLL_S: Final = 0.002
#: CPU seconds in a second; an idle daemon takes less.
QUIET: Final = 0.03
ATTEMPTED: Final = b'"msg":"delivery.attempted"'
_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What a measurement is given: a folder on the disk to be measured, and whether to be quick."""

    folder: Path
    quick: bool

    def count(self, full: int, quick: int) -> int:
        """Give how many of something to do."""
        return quick if self.quick else full

    def new_folder(self) -> Path:
        """Give an empty folder. Its name is short: the path of a Unix socket has 107 bytes."""
        return Path(tempfile.mkdtemp(dir=self.folder, prefix=""))


@contextmanager
def open_bench(*, quick: bool) -> Iterator[Bench]:
    """Give a bench below the working directory, and remove all that it made."""
    folder = Path(tempfile.mkdtemp(dir=Path.cwd(), prefix=".bench-"))
    try:
        yield Bench(folder=folder, quick=quick)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def find_port() -> int:
    """Give a TCP port of the loopback that is free at the moment."""
    return free_port()


class Receiver:
    """The receiver process; `with` starts and ends it. `hang`: it never answers. `times`: it notes arrivals."""

    def __init__(self, *, hang: bool = False, times: bool = False) -> None:
        flags = ["--hang"] * hang + ["--times"] * times
        script = Path(__file__).with_name("receiver.py")
        self._process = subprocess.Popen(
            [sys.executable, str(script), *flags], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.port = int(self._read())

    def _read(self) -> bytes:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the receiver has ended"
        return line

    def _ask(self, command: bytes) -> bytes:
        assert self._process.stdin is not None
        self._process.stdin.write(command + b"\n")
        self._process.stdin.flush()
        return self._read()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def count(self) -> int:
        """Give how many requests came."""
        return int(self._ask(b"count"))

    def times(self) -> dict[str, int]:
        """Give when each event came, in nanoseconds of the monotonic clock, and forget it."""
        times: dict[str, int] = json.loads(self._ask(b"times"))
        return times

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()


class LogFile:
    """The daemon's log, read as it grows. State: how far it was read, and how many attempts were seen."""

    def __init__(self, path: Path) -> None:
        path.touch()
        self._file = path.open("rb")
        self._rest = b""
        self.attempted = 0

    def read(self) -> list[bytes]:
        """Give the lines that came, attempts left out: those are counted."""
        self._rest += self._file.read()
        end = self._rest.rfind(b"\n") + 1
        if not end:
            return []
        whole, self._rest = self._rest[:end], self._rest[end:]
        attempted = whole.count(ATTEMPTED)
        self.attempted += attempted
        if attempted == whole.count(b"\n"):
            return []
        return [line for line in whole.splitlines() if ATTEMPTED not in line]

    def close(self) -> None:
        self._file.close()


class Daemon:
    """`hookd run`, started and ended by `with`. `rest` is the config beside its daemon section, which is made here.

    Everything is in `folder`: sockets, log, state. `http` opens an HTTP inlet without tokens. Starting again in the
    same folder finds the same store.
    """

    def __init__(self, folder: Path, rest: str, *, http: bool = False) -> None:
        self.folder = folder
        self.http_port = find_port() if http else 0
        inlets = "{unix: e.sock}" + (f", {{http: '127.0.0.1:{self.http_port}', tokens: none}}" if http else "")
        (folder / "hookd.yaml").write_text(
            f"version: 1\ndaemon:\n  state_dir: state\n  inlets: [{inlets}]\n  control: {{unix: c.sock}}\n"
            f"  drain_timeout: 1s\n{rest}"
        )
        self._running: Running | None = None

    def __enter__(self) -> Running:
        self._running = start_daemon(self.folder, self.folder / "hookd.yaml", http_port=self.http_port)
        return self._running

    def __exit__(self, *_exception: object) -> None:
        assert self._running is not None
        self._running.stop()


def start_daemon(
    folder: Path, config: Path, *, http_port: int = 0, environ: Mapping[str, str] | None = None
) -> Running:
    """Start a daemon and wait until it is ready. It logs to `folder`, where its sockets `e.sock` and `c.sock` are."""
    with (folder / "log").open("wb") as log, (folder / "errors").open("wb") as errors:
        started = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "hookd", "run", "--config", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=errors,
            env={**os.environ, **(environ or {})},
        )
    running = Running(folder, process, http_port)
    try:
        running.wait_line("daemon.ready")
    except BaseException:
        running.stop()
        raise
    running.ready_s = time.perf_counter() - started
    return running


class Running:
    """A daemon that is ready. `ready_s`: how long that took from the start of its process."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes], http_port: int) -> None:
        self._folder = folder
        self._process = process
        self.log = LogFile(folder / "log")
        self.http_port = http_port
        self.ready_s = 0.0

    @property
    def socket(self) -> str:
        return str(self._folder / "e.sock")

    @property
    def pid(self) -> int:
        return self._process.pid

    def stop(self) -> None:
        """End it: by asking, then by force."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self.log.close()

    def cpu_s(self) -> float:
        """Give the CPU seconds of all its threads, user and system, in steps of 10 ms: proc_pid_stat(5)."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def memory_mib(self, name: str = "VmRSS") -> float:
        """Give its resident memory; with `VmHWM` what it was at most: proc_pid_status(5)."""
        found = re.search(rf"^{name}:\s+(\d+) kB", Path(f"/proc/{self.pid}/status").read_text(), re.MULTILINE)
        assert found is not None
        return int(found[1]) / 1024

    def status(self) -> dict[str, Any]:
        """Ask for its status over the control socket."""
        command = [sys.executable, "-m", "hookd", "status", "--output", "json", "--control"]
        done = subprocess.run([*command, str(self._folder / "c.sock")], capture_output=True, check=False, timeout=60)
        if done.returncode not in {0, 1}:  # 1: a webhook needs a person
            raise RuntimeError(f"no status: {(done.stdout + done.stderr).decode()}")
        status: dict[str, Any] = json.loads(done.stdout)
        return status

    def _check(self, end: float, what: str) -> None:
        if self._process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"{what} did not come; {(self._folder / 'errors').read_text()[-2000:]}")

    def wait_attempted(self, count: int, patience: float = PATIENCE_S) -> None:
        """Wait until so many attempts are in the log since it started: they are logged when they are on disk."""
        end = time.monotonic() + patience
        while self.log.attempted < count:
            self._check(end, f"attempt {count} (seen: {self.log.attempted})")
            time.sleep(POLL_S)
            self.log.read()

    def wait_quiet(self) -> None:
        """Wait until it does nothing: what it still does after it is ready is not to be measured with the rest."""
        end = time.monotonic() + PATIENCE_S
        before = self.cpu_s()
        while True:
            time.sleep(1.0)  # longer than the half second after which it looks at its files again
            self._check(end, "a quiet moment")
            after = self.cpu_s()
            if after - before < QUIET:
                return
            before = after

    def wait_line(self, msg: str, patience: float = PATIENCE_S) -> None:
        """Wait for a line of this `msg` among those not yet read."""
        end = time.monotonic() + patience
        while not self.saw(msg):
            self._check(end, msg)
            time.sleep(POLL_S)

    def saw(self, msg: str) -> bool:
        """Tell whether a line of this `msg` is among those not yet read."""
        wanted = f'"msg":"{msg}"'.encode()
        return any(wanted in line for line in self.log.read())
