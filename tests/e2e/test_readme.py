"""The README's five minutes, command by command, as a new user types them."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.house import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.house import Daemon, Receiver

README = (ROOT / "README.md").read_text()


def block(name: str) -> str:
    """Give the block of code that stands under `<!-- ci: NAME -->`."""
    found = re.search(rf"<!-- ci: {name} -->\n```[a-z]+\n(.*?)```", README, re.DOTALL)
    assert found is not None, name
    return found[1]


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.mark.skipif(shutil.which("jq") is None, reason="needs jq")
def test_the_first_five_minutes(tmp_path: Path) -> None:
    port = str(free_port())
    first = block("first").replace("8000", port)
    lines = first.splitlines()
    # The port of the first config is another one here, so that the test can run beside anything.
    lines.insert(1, f"sed -i s/8000/{port}/g hookd.yaml")
    script = "\n".join(
        [
            "trap 'kill $(jobs -p); wait' EXIT",
            *lines,
            "until grep -qs daemon.ready log.jsonl; do sleep 0.05; done",
            block("second"),
        ]
    )
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        capture_output=True,
        timeout=90,
        check=False,
    )
    out = done.stdout.decode()
    assert done.returncode == 0, out + done.stderr.decode()
    assert "accepted" in out
    assert '"greeting": "hello"' in out
    assert '"event_type":"user.updated","status":200' in out
    assert "healthy" in out


def test_the_two_commands_are_one_line_each() -> None:
    for name in ("demo", "tests"):
        assert len(block(name).strip().splitlines()) == 1


def test_every_verb_is_named() -> None:
    from hookd.cli.main import _VERBS

    for verb in _VERBS:
        assert re.search(rf"\b{verb}\b", README), verb


@pytest.mark.parametrize(
    ("name", "program"), [("python", [sys.executable, "-"]), ("php", ["php"]), ("shell", ["bash", "-eu"])]
)
def test_how_to_send_an_event(
    name: str, program: list[str], daemon_of: Callable[..., Daemon], tmp_path: Path, receiver: Receiver
) -> None:
    if shutil.which(program[0]) is None or (name == "shell" and shutil.which("socat") is None):
        pytest.skip(f"needs {program[0]} and socat")
    schema = "{type: object, required: [id], properties: {id: {type: integer}}}"
    daemon = daemon_of(
        f"event_types: {{user.updated: {{schema: user.yaml}}}}\n"
        f"webhooks: {{one: {{url: '{receiver.url}', events: [user.updated], allow_networks: [127.0.0.0/8]}}}}\n"
    )
    (tmp_path / "user.yaml").write_text(schema)
    daemon.start()
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    text = block(name).replace("/run/hookd/events.sock", daemon.socket)
    text = text.replace("hookd send", f"hookd send --socket {daemon.socket}")

    def send(text: str) -> subprocess.CompletedProcess[bytes]:
        environ = {**os.environ, "PATH": path}
        return subprocess.run(program, input=text.encode(), capture_output=True, timeout=60, check=False, env=environ)

    good = send(text)
    assert good.returncode == 0, good.stderr.decode() + good.stdout.decode()
    assert receiver.wait(1)[0].json()["data"] == {"id": 1}
    bad = send(text.replace('"id": 1', '"id": "one"').replace('"id" => 1', '"id" => "one"').replace('"42"', '"43"'))
    assert b"schema_invalid" in bad.stdout + bad.stderr
    assert b"/data/id" in bad.stdout + bad.stderr
