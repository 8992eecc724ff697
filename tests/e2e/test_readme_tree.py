"""The README's own config in a work tree, and what the README says to type there, as it is written."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hookd.core.signing import generate_secret
from tests.e2e.house import PATIENCE_S, Daemon, Receiver, Taken, write_config
from tests.e2e.readme import block, lines_of, told

if TYPE_CHECKING:
    from collections.abc import Iterator

EVENT = {"type": "user.updated", "tenant": "acme", "data": {"id": 1, "country": "NL", "amount": 150, "tags": ["new"]}}
#: What keeps the README's webhook from reaching a receiver of ours, and what makes it reach one.
OURS = {
    "https://crm.example.com/hooks": (
        "URL\n    allow_networks: [127.0.0.0/8]\n    test_event: {type: user.updated, data: {id: 1}}"
    ),
    "require_https: true": "require_https: false",
}

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")


class Tree:
    """A work tree with the README's config and a schema, on the branch `main`; and a shell that stands in it."""

    def __init__(self, top: Path, receiver: Receiver) -> None:
        self.here = top / "here"
        (self.here / "schemas").mkdir(parents=True)
        (self.here / "schemas" / "user.json").write_text('{"type": "object", "required": ["id"]}')
        (self.here / "event.json").write_text(json.dumps(EVENT))
        text = block("config") + block("config-tests")
        for written, ours in OURS.items():
            assert written in text
            text = text.replace(written, ours.replace("URL", receiver.url))
        self.config = write_config(self.here, text.removeprefix("version: 1\n"))
        # Its sockets are the same for a copy of the tree that stands elsewhere, as those in /run/hookd are.
        (top / "run").mkdir()
        whole = self.config.read_text().replace("events.sock", str(top / "run" / "events.sock"))
        self.config.write_text(whole.replace("control.sock", str(top / "run" / "control.sock")))
        (self.here / ".gitignore").write_text("state\n")
        secrets = top / "credentials"
        secrets.mkdir()
        for name in ("crm-new", "crm-old"):
            (secrets / name).write_text(generate_secret(os.urandom(32)))
        self.environ = {"CREDENTIALS_DIRECTORY": str(secrets), "CRM_KEY": "k", "NO_COLOR": "1"}
        self.daemon = Daemon(self.config, self.environ)
        self.sh("git init -q -b main && git add -A && git -c user.name=x -c user.email=x@x commit -qm first")

    def sh(self, command: str, code: int = 0) -> str:
        """Run a line as it is written; give what it printed."""
        environ = {**os.environ, **self.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=self.here,
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        out = done.stdout + done.stderr
        assert (done.returncode, "Traceback" in out) == (code, False), f"{command}: {done.returncode}\n{out}"
        return out

    def crm(self, command: str, code: int = 0) -> str:
        """Run a command that the README has for any webhook."""
        return self.sh(command.replace("WEBHOOK", "crm"), code)


class Moody:
    """How the receiver answers: well, until told otherwise."""

    status = 200

    def __call__(self, _taken: Taken) -> int:
        return self.status


@pytest.fixture
def mood() -> Moody:
    return Moody()


@pytest.fixture
def receiver(mood: Moody) -> Iterator[Receiver]:
    one = Receiver(mood)
    yield one
    one.close()


@pytest.fixture
def tree(tmp_path: Path, receiver: Receiver) -> Iterator[Tree]:
    one = Tree(tmp_path, receiver)
    yield one
    one.daemon.close()


def test_before_and_after_a_change(tree: Tree, mood: Moody) -> None:
    assert "1 of 1 test passed" in tree.sh(told("hookd check"))
    assert "1 of 1 test passed" in tree.sh(told("hookd check --run 'a large*'"))
    tree.sh(told("hookd check --output github --junit hookd-tests.xml"))
    assert (tree.here / "hookd-tests.xml").is_file()
    tree.daemon.start()
    mood.status = 500
    tree.sh("hookd send event.json")
    tree.daemon.wait_line("delivery.attempted", outcome="rejected")

    explain, running, from_main, other, _ = [*lines_of("before"), ""]
    said = tree.sh(explain)
    assert "✓ hookd.yaml:" in said
    assert "POST http://127.0.0.1:" in said
    assert "user.updated of tenant acme: no webhook gets it" in tree.sh(running)  # its filter wants a country

    tree.sh("git checkout -q -b change")
    tree.config.write_text(tree.config.read_text().replace("max_age: 72h", "max_age: 48h"))
    changed = tree.sh(from_main)
    assert "~ crm\n      retry.max_age: 3d → 2d\n" in changed
    tree.sh("git checkout -q main -- . && git checkout -q main && git status --short")
    shutil.copytree(tree.here, tree.here.parent / "next", ignore=shutil.ignore_patterns("state"))
    elsewhere = tree.here.parent / "next" / "hookd.yaml"
    elsewhere.write_text(elsewhere.read_text().replace("url: http://127.0.0.1:", "url: http://127.0.0.2:"))
    tree.sh(told("hookd reload"))
    changed = tree.sh(other)
    assert "1 pending will go to the new URL, due now" in changed
    # What stands in the remark below is what it says.
    assert "pending will go to the new URL, due now" in block("before").splitlines()[-1]


def test_what_is_asked_of_one_that_runs(tree: Tree, receiver: Receiver) -> None:
    tree.daemon.start()
    tree.sh("hookd send event.json")
    receiver.wait(1)
    tree.daemon.wait_line("delivery.attempted", outcome="delivered")
    assert "hookd.yaml:" in tree.crm(told("hookd show WEBHOOK --origins"))
    assert "delivered" in tree.sh(told("hookd test crm"))
    assert "delivered" in tree.crm(told("hookd test WEBHOOK"))
    assert "webhook-signature" in tree.sh(told("hookd attempts crm --full"))
    assert "delivered" in tree.crm(told("hookd attempts WEBHOOK"))
    overview = told("hookd attempts --all --tenant 4711 --since … --until … --output csv")
    overview = (
        overview.replace("4711", "acme").replace("--since …", "--since 2h").replace("--until …", "--until 2100-01-01")
    )
    assert len(tree.sh(overview).splitlines()) == 4  # a head, the event, the two tests
    assert "healthy" in tree.sh(told("hookd status"))
    assert "crm" in tree.crm(told("hookd status WEBHOOK"))
    watch = told("hookd status --watch")
    assert "healthy" in tree.sh(f"timeout -s INT 2 {watch}", code=124)
    tree.crm("hookd suspend WEBHOOK")
    assert "is resumed" in tree.crm(told("hookd resume WEBHOOK"))
    assert "there is no such dead delivery" in tree.crm(told("hookd redrive WEBHOOK"))
    tree.sh(told("hookd reload --allow-removals"))


def test_what_is_followed_is_shown_as_it_comes(tree: Tree) -> None:
    tree.daemon.start()
    program = [sys.executable, "-m", *told("hookd attempts --follow --type user.updated").split()]
    with subprocess.Popen(program, cwd=tree.here, stdout=subprocess.PIPE, text=True) as following:
        assert following.stdout is not None
        found = threading.Event()

        def look(lines: Iterator[str]) -> None:
            if any("user.updated" in line for line in lines):
                found.set()

        reader = threading.Thread(target=look, args=(following.stdout,), daemon=True)
        reader.start()
        tree.sh("hookd send event.json")
        assert found.wait(PATIENCE_S)
        following.terminate()
        reader.join()


def test_what_needs_no_daemon(tree: Tree) -> None:
    for command, key in ((told("hookd schema"), "webhooks"), (told("hookd schema included"), "event_types")):
        schema = json.loads(tree.sh(command))
        assert f'"{key}"' in json.dumps(schema), command
    assert json.loads(tree.sh(told("hookd schema log")))["$schema"]
    assert "unknown_key" in tree.sh(told("hookd explain CODE").replace("CODE", "unknown_key"))
    assert "timeout" in tree.sh(told("hookd explain CAUSE").replace("CAUSE", "timeout"))
    tree.sh(told("hookd secret --file PATH").replace("PATH", "one.secret"))
    assert (tree.here / "one.secret").read_text().startswith("whsec_")
    tree.config.write_text("version: 1\nwebhoks: {}\n")
    assert "webhoks" in tree.sh(told("hookd run --no-last-good"), code=78)
