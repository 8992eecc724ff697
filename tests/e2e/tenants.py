"""A daemon whose tenants manage their webhooks over HTTP, and the tools of a tenant's developer: curl and a token."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.e2e.house import Daemon
from tests.ports import free_port

if TYPE_CHECKING:
    from pathlib import Path

CANARY = "canary-7f3a"
REST = """
managed_dir: managed
managed_git: true
event_types:
  run.finish: {require: [tenant]}
  run.start: {require: [tenant]}
profiles:
  leaky: {auth: {bearer: {env: OPERATOR_HEADER}}}
  payroll:
    allow_networks: [127.0.0.0/8]
    headers: {X-Operator: plain}
    retry: {schedule: [1h]}
webhooks:
  ops: {url: "https://ops.example.com/", events: [run.finish], tenant: "4713"}
"""


@dataclass
class Answer:
    """What curl got."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of a problem document."""
        assert self.headers["content-type"] == "application/problem+json", self
        document = self.json()
        assert document["status"] == self.status
        return str(document["code"])

    @property
    def pointers(self) -> list[str]:
        return [error["pointer"] for error in self.json()["errors"]]


class House:
    """A daemon with the tenants 4711 and 4712, each with a token."""

    def __init__(self, top: Path, rest: str = REST) -> None:
        self.top = top
        self.port = free_port()
        (top / "acme-api").write_text(f"{CANARY}-token-a\n")
        (top / "other-api").write_text(f"{CANARY}-token-b\n")
        self.head = (
            "version: 1\ndaemon:\n  state_dir: state\n  inlets: [{unix: events.sock}]\n  control:\n"
            f"    unix: control.sock\n    http: 127.0.0.1:{self.port}\n    tokens:\n"
            '      - {file: acme-api, tenant: "4711", profile: payroll}\n'
            '      - {file: other-api, tenant: "4712", profile: payroll}\n'
        )
        self.config = top / "hookd.yaml"
        self.config.write_text(self.head + rest)
        self.daemon = Daemon(self.config, {"OPERATOR_HEADER": f"{CANARY}-operator"})

    def curl(self, method: str, path: str, body: object = None, *headers: str, token: str | None = "a") -> Answer:
        """Ask as a developer would; `body` is JSON, or bytes as they are."""
        given: list[str] = [f"-H{header}" for header in headers]
        if token is not None:
            given.append(f"-HAuthorization: Bearer {CANARY}-token-{token}")
        stdin = b""
        if body is not None:
            stdin = body if isinstance(body, bytes) else json.dumps(body).encode()
            given += ["-HContent-Type: application/json", "--data-binary", "@-"]
        url = f"http://127.0.0.1:{self.port}{path}"
        # --path-as-is: what a tenant could try must come as it is written.
        command = ["curl", "-sS", "-i", "--path-as-is", "--max-time", "60", "-X", method, *given, url]
        done = subprocess.run(command, input=stdin, capture_output=True, check=True, timeout=70)
        return _read_answer(done.stdout)

    def git(self, *command: str) -> str:
        """Ask the managed directory's own repository."""
        done = subprocess.run(
            ["git", "-C", str(self.top / "managed"), *command], capture_output=True, text=True, check=True, timeout=60
        )
        return done.stdout

    def file(self, name: str) -> Path:
        return self.top / "managed" / f"{name.replace('/', '+')}.yaml"

    def everything_logged(self) -> str:
        return json.dumps(self.daemon.lines)


def _read_answer(text: bytes) -> Answer:
    head, _, body = text.partition(b"\r\n\r\n")
    while head.startswith(b"HTTP/1.1 100"):
        head, _, body = body.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = dict(_split(line) for line in lines[1:])
    return Answer(int(lines[0].split(" ")[1]), headers, body)


def _split(line: str) -> tuple[str, str]:
    name, _, value = line.partition(": ")
    return name.lower(), value
