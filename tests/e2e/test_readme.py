"""The README's five minutes, command by command, as a new user types them; and that every command of it is run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from hookd.cli.main import _VERBS, cli
from hookd.core.signing import generate_secret
from tests.e2e.house import ROOT
from tests.e2e.readme import BLOCKS, README, block, commands, told
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.house import Daemon, Receiver

#: What cannot be run, and why.
NOT_RUN = {
    "dmesg": "it is the kernel's",
    "systemctl edit hookd": "it opens an editor",
    "pip install ./hookd": "the first block of all does it, from within",
}


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
            f"until (exec 3<>/dev/tcp/127.0.0.1/{port}) 2>/dev/null; do sleep 0.05; done",
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
    for mark in ("demo", "tests"):  # .ci/run runs them
        assert len(block(mark).strip().splitlines()) == 1


def test_every_command_of_the_readme_is_run() -> None:
    """What a test runs it has asked for by its words: `block("…")`, `lines_of("…")`, `told("…")`."""
    sources = "".join(each.read_text() for each in (ROOT / "tests").rglob("test_*.py"))
    if not (ROOT / ".ci/run").is_file():
        pytest.skip("this is no checkout: .ci is missing")
    run = (ROOT / ".ci/run").read_text()
    for each in BLOCKS:
        if each.language == "yaml" and each.mark is None:
            continue  # files of others: what is to be run in them is among the commands
        assert each.mark is not None, f"no test knows this block, it has no `<!-- ci: … -->`:\n{each.text}"
        asked = (f'block("{each.mark}")', f'lines_of("{each.mark}")')
        assert any(words in sources for words in asked) or f'"$(readme {each.mark})"' in run, each.mark
    for command in commands():
        verb = command.removeprefix("hookd ")
        named = verb in _VERBS  # a verb that is spoken of: `hookd VERB --help` is run of each
        assert named or command in NOT_RUN or f'told("{command}")' in sources, f"nobody runs `{command}`"
    assert set(NOT_RUN) <= commands()


def test_every_verb_tells_all_of_itself() -> None:
    for verb in _VERBS:
        words = told("hookd VERB --help").replace("VERB", verb).split()
        shown = CliRunner().invoke(cli, words[1:], prog_name="hookd")
        assert (shown.exit_code, f"Usage: hookd {verb} " in shown.output) == (0, True), shown.output


def test_every_verb_is_named() -> None:
    for verb in _VERBS:
        assert re.search(rf"\b{verb}\b", README), verb


@pytest.mark.parametrize(
    ("text", "program"),
    [
        pytest.param(block("python"), [sys.executable, "-"], id="python"),
        pytest.param(block("php"), ["php"], id="php"),
        pytest.param(block("shell"), ["bash", "-eu"], id="shell"),
        pytest.param(block("send"), ["bash", "-eu"], id="send"),
    ],
)
def test_how_to_send_an_event(
    text: str, program: list[str], daemon_of: Callable[..., Daemon], tmp_path: Path, receiver: Receiver
) -> None:
    if shutil.which(program[0]) is None or ("socat" in text and shutil.which("socat") is None):
        pytest.skip(f"needs {program[0]} and socat")
    schema = "{type: object, required: [id], properties: {id: {type: integer}}}"
    daemon = daemon_of(
        f"event_types: {{user.updated: {{schema: user.yaml}}}}\n"
        f"webhooks: {{one: {{url: '{receiver.url}', events: [user.updated], tenant: '*',"
        " allow_networks: [127.0.0.0/8]}}\n"
    )
    (tmp_path / "user.yaml").write_text(schema)
    daemon.start()
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    text = text.replace("/run/hookd/events.sock", daemon.socket)

    def send(text: str) -> subprocess.CompletedProcess[bytes]:
        environ = {**os.environ, "PATH": path, "HOOKD_SOCKET": daemon.socket}
        return subprocess.run(program, input=text.encode(), capture_output=True, timeout=60, check=False, env=environ)

    good = send(text)
    assert good.returncode == 0, good.stderr.decode() + good.stdout.decode()
    assert receiver.wait(1)[0].json()["data"] == {"id": 1}
    if "--output json" in text:  # the reply is what the README says
        assert f"`{good.stdout.decode().strip()}`" in README
    bad = send(text.replace('"id": 1', '"id": "one"').replace('"id" => 1', '"id" => "one"').replace('"42"', '"43"'))
    assert b"schema_invalid" in bad.stdout + bad.stderr
    assert b"/data/id" in bad.stdout + bad.stderr
    # Not every refusal has a path. (PHP makes no JSON of such a number, and the shell's is no JSON either.)
    endless = send(text.replace('"id": 1', '"id": float("nan")').replace('["id" => 1]', '"id"'))
    assert re.search(rb"malformed_json|schema_invalid", endless.stdout + endless.stderr), endless.stderr
    assert b"KeyError" not in endless.stderr
    assert b"Undefined" not in endless.stdout + endless.stderr


def test_how_to_verify_a_delivery(daemon_of: Callable[..., Daemon], tmp_path: Path, receiver: Receiver) -> None:
    old, new = generate_secret(bytes(range(32))), generate_secret(bytes(range(1, 33)))
    for name, secret in (("old", old), ("new", new)):
        (tmp_path / name).write_text(secret)
        (tmp_path / name).chmod(0o600)
    daemon = daemon_of(
        f"webhooks: {{one: {{url: '{receiver.url}', events: [user.updated], allow_networks: [127.0.0.0/8],"
        " sign: {scheme: standard, secrets: [{file: new}, {file: old}]}}}\n"
    )
    daemon.start()
    daemon.send({"type": "user.updated", "data": {"name": "Zoë"}})
    (taken,) = receiver.wait(1)
    made: dict[str, Callable[[str, object, bytes], bool]] = {}
    exec(block("verify"), made)
    is_genuine = made["is_genuine"]
    assert is_genuine(old, taken.headers, taken.body)
    assert is_genuine(new, taken.headers, taken.body)
    assert not is_genuine(generate_secret(bytes(32)), taken.headers, taken.body)
    assert not is_genuine(new, taken.headers, taken.body + b" ")
    assert not is_genuine(new, {**taken.headers, "webhook-id": "another"}, taken.body)
    assert not is_genuine(new, {**taken.headers, "webhook-timestamp": "1700000000"}, taken.body)
