"""A lost disk and a backup: what customers defined is there again, owed what it was owed, and signs as before."""

from __future__ import annotations

import json
import os
import pty
import select
import shutil
import signal
import socket
import subprocess
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.e2e.house import HOOKD, ROOT, Daemon, Receiver, hookd, write_config
from tests.e2e.tenants import House

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    one = House(tmp_path)
    one.daemon.start()
    yield one
    one.daemon.close()


def test_a_webhook_of_the_api_survives_the_loss_of_the_disk(house: House, receiver: Receiver, tmp_path: Path) -> None:
    definition = {"name": "Orders", "url": receiver.url, "events": ["run.finish"], "paused": True}
    made = house.curl("PUT", "/v1/webhooks/orders", definition)
    assert made.status == 201, made
    house.daemon.send({"type": "run.finish", "id": "owed", "tenant": "4711"})
    copy = tmp_path / "copies.db"
    code, out, err = hookd("backup", copy, "--config", house.config)
    assert (code, err) == (0, "")
    assert out.endswith("1 webhook of the API, 1 signing secret\n")

    house.daemon.kill()
    for lost in ("state", "managed"):
        shutil.rmtree(tmp_path / lost)
    code, out, err = hookd("restore", copy, "--config", house.config)
    assert (code, err) == (0, "")
    assert "put back: 1 webhook of the API, 1 signing secret\n" in out
    house.daemon.start()
    assert house.curl("GET", "/v1/webhooks/orders").json()["definition"] == definition
    code, out, err = hookd("status", "4711/orders", "--config", house.config, "--output", "json")
    assert (code, json.loads(out)["held"]) == (0, 1), err
    resumed = house.curl("PUT", "/v1/webhooks/orders", {**definition, "paused": False})
    assert "secret" not in resumed.json()  # it has the one that its owner knows
    [taken] = receiver.wait(1)
    assert taken.headers["webhook-signature"].startswith("v1,")

    # What is there stays: nothing that a customer removed comes back.
    house.daemon.kill()
    (tmp_path / "managed" / "4711+orders.yaml").rename(tmp_path / "managed" / "4711+others.yaml")
    code, out, _ = hookd("restore", copy, "--config", house.config)
    assert f"not put back: 1 webhook of the API: {tmp_path / 'managed'} has webhooks, which stand\n" in out
    code, out, _ = hookd("restore", copy, "--state-dir", tmp_path / "elsewhere", "--config", house.config)
    assert "not put back: 1 webhook of the API: the config names no managed_dir for them\n" in out


def test_a_secret_that_stands_elsewhere_now_is_told(house: House, tmp_path: Path) -> None:
    definition = {"name": "Orders", "url": "https://example.com/hooks", "events": ["run.finish"]}
    assert house.curl("PUT", "/v1/webhooks/orders", definition).status == 201
    copy = tmp_path / "copies.db"
    assert hookd("backup", copy, "--config", house.config)[0] == 0
    assert house.daemon.stop() == 0
    assert "mended" not in hookd("restore", copy, "--config", house.config)[1]  # it is where it was

    house.config.write_text(house.config.read_text().replace("state_dir: state\n", "state_dir: other\n"))
    (tmp_path / "other").mkdir()
    code, out, err = hookd("restore", copy, "--config", house.config)
    assert (code, err) == (0, "")
    file, named = tmp_path / "managed" / "4711+orders.yaml", tmp_path / "state" / "secrets" / "4711+orders.1"
    head = f"to be mended by you: secrets are in {tmp_path / 'other' / 'secrets'} now, and are looked for elsewhere:\n"
    assert out.endswith(f"{head}  {file}: {named}\n"), out
    (told,) = json.loads(hookd("restore", copy, "--config", house.config, "--output", "json")[1])["secrets_elsewhere"]
    assert told == {"file": str(file), "names": str(named)}
    file.write_text(file.read_text().replace(str(named), str(tmp_path / "other" / "secrets" / named.name)))
    assert "mended" not in hookd("restore", copy, "--config", house.config)[1]


def test_a_demo_beside_a_daemon_that_has_the_ports_of_the_example(tmp_path: Path) -> None:
    example = yaml.safe_load((ROOT / "config.example.yaml").read_text())["daemon"]
    host, _, port = example["metrics"]["http"].rpartition(":")
    with ExitStack() as opened:
        with suppress(OSError):  # somebody has it already
            opened.enter_context(socket.create_server((host, int(port))))
        code, out, err = hookd("demo", cwd=tmp_path, timeout=120)
    assert code == 0, out + err
    assert "all is well" in out


def test_the_screen_of_many_webhooks_is_as_high_as_the_terminal(tmp_path: Path) -> None:
    webhooks = "".join(f"  w{number}: {{url: 'https://example.com/', events: [x]}}\n" for number in range(60))
    daemon = Daemon(write_config(tmp_path, f"webhooks:\n{webhooks}")).start()
    try:
        terminal, inside = pty.openpty()
        shown = subprocess.Popen(
            [*HOOKD, "status", "--watch", "--config", daemon.config],
            stdin=inside,
            stdout=inside,
            stderr=inside,
            env={**os.environ, "LINES": "24", "COLUMNS": "120", "TERM": "xterm"},
        )
        os.close(inside)
        screens = b""
        until = time.monotonic() + 60
        while screens.count(b"\x1b[H") < 2 and time.monotonic() < until:
            if select.select([terminal], [], [], 1)[0]:
                screens += os.read(terminal, 65536)
        shown.send_signal(signal.SIGINT)
        code = shown.wait(30)
        os.close(terminal)
        first = screens.split(b"\x1b[H")[1].decode()
        assert first.count("\n") <= 24 - 1, first
        assert "more: `hookd status WEBHOOK`" in first
        assert code == 130
    finally:
        daemon.close()
