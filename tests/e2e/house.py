"""What the end-to-end tests stand on: a real daemon process, a receiver of the standard library, a plain socket."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import jsonschema_rs

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Sequence

HOOKD = [sys.executable, "-m", "hookd"]
ROOT = Path(__file__).parents[2]
PATIENCE_S = 30.0
_LOG_LINES = json.loads((ROOT / "schemas/log.schema.json").read_text())
LOG_SCHEMA = jsonschema.Draft202012Validator(_LOG_LINES)
#: The same, in microseconds: some tests log tens of thousands of lines.
_QUICKLY = jsonschema_rs.Draft202012Validator(_LOG_LINES)


def hookd(
    *arguments: str | Path, cwd: Path | None = None, stdin: bytes = b"", timeout: float = 60.0
) -> tuple[int, str, str]:
    """Run a verb to its end: exit code, standard output, standard error. No traceback may ever show."""
    done = subprocess.run(
        [*HOOKD, *map(str, arguments)], cwd=cwd, input=stdin, capture_output=True, timeout=timeout, check=False
    )
    out, err = done.stdout.decode(), done.stderr.decode()
    assert "Traceback" not in out + err, out + err
    return done.returncode, out, err


@dataclass
class Taken:
    """A request as the receiver got it."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    at: float

    def json(self) -> Any:
        return json.loads(self.body)


class Receiver:
    """An HTTP server of the standard library, in threads of its own. `status` decides what it answers."""

    def __init__(
        self, status: Callable[[Taken], int] = lambda _taken: 200, *, tls: ssl.SSLContext | None = None
    ) -> None:
        self.taken: list[Taken] = []
        self._news = threading.Condition()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def _take(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", "0")))
                headers = {name.lower(): value for name, value in self.headers.items()}
                taken = Taken(self.command, self.path, headers, body, time.time())
                code = status(taken)
                with outer._news:
                    outer.taken.append(taken)
                    outer._news.notify_all()
                self.send_response(code)
                self.send_header("content-length", "3")
                self.end_headers()
                self.wfile.write(b"ok\n")

            do_POST = do_PUT = do_PATCH = _take  # noqa: N815  names that http.server looks for

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  its signature
                del format, args

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 512

            def handle_error(self, request: object, client_address: object) -> None:
                del request, client_address  # a daemon that was killed resets its connections

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self.url = f"{'http://127.0.0.1' if tls is None else 'https://localhost'}:{self.port}/"
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def wait(self, count: int, timeout: float = PATIENCE_S) -> list[Taken]:
        """Wait until at least so many requests came; give them all."""
        with self._news:
            arrived = self._news.wait_for(lambda: len(self.taken) >= count, timeout)
            assert arrived, f"{len(self.taken)} of {count} requests came within {timeout} s"
            return list(self.taken)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@dataclass
class Daemon:
    """A `hookd run` of its own. Every line that it logs is held to the published schema when it ends."""

    config: Path
    environ: dict[str, str] = field(default_factory=dict)
    lines: list[dict[str, Any]] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None
    stderr: bytes = b""
    program: Sequence[str] = tuple(HOOKD)  # what is run: hookd, or hookd under strange circumstances

    def __post_init__(self) -> None:
        self._news = threading.Condition()
        self._readers: list[threading.Thread] = []

    @property
    def socket(self) -> str:
        return str(self.config.parent / "events.sock")

    @property
    def control(self) -> str:
        return str(self.config.parent / "control.sock")

    def spawn(self) -> subprocess.Popen[bytes]:
        """Start the process and do not wait."""
        self.process = subprocess.Popen(
            [*self.program, "run", "--config", str(self.config)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **self.environ},
        )
        self._readers = [
            threading.Thread(target=self._read_log, args=(self.process,), daemon=True),
            threading.Thread(target=self._read_stderr, args=(self.process,), daemon=True),
        ]
        for reader in self._readers:
            reader.start()
        return self.process

    def start(self) -> Daemon:
        """Start the process and wait until it is ready."""
        mark = len(self.lines)
        self.spawn()
        self.wait_line("daemon.ready", since=mark)
        return self

    def _read_log(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        for raw in process.stdout:
            if not raw.endswith(b"\n"):
                continue  # cut by a kill
            line = json.loads(raw)
            with self._news:
                self.lines.append(line)
                self._news.notify_all()

    def _read_stderr(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stderr is not None
        self.stderr += process.stderr.read()

    def wait_line(self, msg: str, *, since: int = 0, timeout: float = PATIENCE_S, **fields: object) -> dict[str, Any]:
        """Wait for a log line with this `msg` and these fields, among those after the first `since`."""

        def found() -> dict[str, Any] | None:
            for line in self.lines[since:]:
                if line["msg"] == msg and all(line.get(key) == value for key, value in fields.items()):
                    return line
            return None

        with self._news:
            self._news.wait_for(lambda: found() is not None or not self.running, timeout)
            line = found()
        assert line is not None, f"no line {msg} {fields} in {self.lines[-20:]}; stderr: {self.stderr.decode()}"
        return line

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """`kill -9`."""
        assert self.process is not None
        self.process.kill()
        self._end()

    def stop(self, timeout: float = PATIENCE_S) -> int:
        """SIGTERM, and wait for the end; give the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.wait(timeout)

    def wait(self, timeout: float = PATIENCE_S) -> int:
        """Wait for the end; give the exit code."""
        assert self.process is not None
        code = self.process.wait(timeout)
        self._end()
        return code

    def _end(self) -> None:
        assert self.process is not None
        self.process.wait()
        for reader in self._readers:
            reader.join()
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.process.stdout.close()
        self.process.stderr.close()

    def close(self) -> None:
        """End what still runs, and hold what was logged to the schema."""
        if self.running:
            self.kill()
        assert b"Traceback" not in self.stderr, self.stderr.decode()
        for line in self.lines:
            if _QUICKLY.is_valid(line):
                continue
            faults = [f"{fault.json_path}: {fault.message}" for fault in LOG_SCHEMA.iter_errors(line)]
            raise AssertionError(line, faults)

    def send(self, *events: dict[str, Any] | bytes) -> list[dict[str, Any]]:
        """Send events over one connection, pipelined; give the replies."""
        lines = [event if isinstance(event, bytes) else json.dumps(event).encode() for event in events]
        return send_lines(self.socket, lines)

    def verb(self, *arguments: str | Path, **how: Any) -> tuple[int, str, str]:
        """Run a verb against this daemon."""
        return hookd(*arguments, "--control", self.control, **how)


def send_lines(path: str, lines: Sequence[bytes]) -> list[dict[str, Any]]:
    """Write lines and read as many replies."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE_S)
        client.connect(path)
        writer = threading.Thread(target=client.sendall, args=(b"".join(line + b"\n" for line in lines),), daemon=True)
        writer.start()
        with client.makefile("rb") as replies:
            got = [json.loads(replies.readline()) for _ in lines]
        writer.join()
    return got


def write_config(folder: Path, text: str, name: str = "hookd.yaml") -> Path:
    """Write a config whose daemon section has everything in `folder`; `text` is the rest."""
    path = folder / name
    head = "version: 1\ndaemon:\n  state_dir: state\n  inlets: [{unix: events.sock}]\n  control: {unix: control.sock}\n"
    path.write_text(head + text)
    return path
