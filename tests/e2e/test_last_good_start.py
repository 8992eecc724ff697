"""What a broken tree does to a start: the last good config runs, loudly, until the files are mended."""

from __future__ import annotations

import json
import shutil
import socket
import tarfile
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.house import PATIENCE_S, Daemon, Receiver, hookd

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LOOPBACK = "defaults: {allow_networks: [127.0.0.0/8]}\n"


def save(path: Path, text: str) -> None:
    """Write a file as an editor does."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(text)
    fresh.replace(path)


def status(daemon: Daemon) -> dict[str, Any]:
    _, out, _ = daemon.verb("status", "--output", "json")
    answer: dict[str, Any] = json.loads(out)
    return answer


def start_and_stop(daemon: Daemon) -> None:
    """Run it once, until its copy is kept."""
    daemon.start()
    archive = daemon.config.parent / "state" / "last-good" / "config.tar"
    deadline = time.monotonic() + PATIENCE_S
    while not archive.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert daemon.stop() == 0


def test_a_broken_tree_starts_with_the_last_good_config_loudly_and_follows_the_disk(
    daemon_of: Callable[..., Daemon], receiver: Receiver, tmp_path: Path
) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "a.json").write_text('{"type": "object", "required": ["n"]}')
    (tmp_path / "token").write_text("hunter2")
    daemon = daemon_of(
        f"{LOOPBACK}include: [hooks/*.yaml]\nevent_types: {{a: {{schema: s/a.json}}}}\nwebhooks:\n"
        f"  one: {{url: '{receiver.url}', events: [a], auth: {{bearer: {{file: token}}}}}}\n"
    )
    start_and_stop(daemon)
    with tarfile.open(tmp_path / "state" / "last-good" / "config.tar") as copy:
        assert not [name for name in copy.getnames() if "token" in name]
    good = daemon.config.read_text()
    daemon.config.write_text(good + "  two: {url: 5}\n  three: [\n")
    shutil.rmtree(tmp_path / "s")
    mark = len(daemon.lines)
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(PATIENCE_S)
        manager.bind(address)
        daemon.environ["NOTIFY_SOCKET"] = address
        daemon.start()
        told = manager.recv(4096).decode()
        while "READY=1" not in told:
            told = manager.recv(4096).decode()
        assert "last good config" in told
        assert "config refused" in told
    line = daemon.wait_line("config.last_good", since=mark)
    assert line["level"] == "error"
    assert (line["file"], line["line"]) == (str(daemon.config), len(good.splitlines()) + 2)  # where the bracket opens
    # It is the whole of it: the schema judges, the reference is read where it always was.
    assert daemon.send({"type": "a", "data": {}})[0]["code"] == "schema_invalid"
    assert daemon.send({"type": "a", "data": {"n": 1}})[0]["status"] == "accepted"
    assert receiver.wait(1)[0].headers["authorization"] == "Bearer hunter2"
    code, out, _ = daemon.verb("status")
    assert code == 1
    assert "last good config" in out
    assert str(daemon.config) in out
    now = status(daemon)
    assert (now["last_good"], now["healthy"]) == (True, False)
    code, _, err = daemon.verb("reload")
    assert code == 78
    assert "the last good config keeps running" in err
    # Mended, and changed as well: applied as a reload.
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "a.json").write_text("{}")
    save(daemon.config, good.replace("[a]", "[a, b]").replace("a: {schema", "b: {}, a: {schema"))
    daemon.wait_line("config.reloaded", since=mark, changed_webhooks=["one"])
    code, out, _ = daemon.verb("status")
    assert code == 0
    assert "last good" not in out
    assert daemon.stop() == 0


def test_a_tree_that_vanished_starts_with_the_last_good_config(
    daemon_of: Callable[..., Daemon], tmp_path: Path
) -> None:
    daemon = daemon_of("webhooks:\n  one: {url: http://example.com/, events: [a]}\n")
    start_and_stop(daemon)
    away = daemon.config.rename(tmp_path / "away")
    code, _, err = hookd("run", "--config", daemon.config, timeout=PATIENCE_S)
    assert code == 78  # nothing says where the state is
    assert "there is no last good config at /var/lib/hookd" in err
    daemon.environ["STATE_DIRECTORY"] = str(tmp_path / "state")  # what systemd says
    mark = len(daemon.lines)
    daemon.start()
    assert daemon.wait_line("config.last_good", since=mark)["code"] == "missing_file"
    away.rename(daemon.config)
    daemon.wait_line("config.restored", since=mark)
    assert daemon.verb("status")[0] == 0
    assert daemon.stop() == 0


def test_webhooks_whose_files_have_vanished_run_as_they_were(daemon_of: Callable[..., Daemon], tmp_path: Path) -> None:
    """As when a disk is not mounted yet: what is sent meanwhile would be accepted, and go nowhere."""
    daemon = daemon_of("include: [hooks/*.yaml]\n")
    hooks = daemon.config.parent / "hooks"
    hooks.mkdir()
    (hooks / "one.yaml").write_text("webhooks: {one: {url: http://example.com/, events: [a]}}\n")
    start_and_stop(daemon)
    hooks.rename(tmp_path / "away")
    mark = len(daemon.lines)
    daemon.start()
    line = daemon.wait_line("config.last_good", since=mark)
    assert (line["code"], "every file in which webhooks stood is gone" in line["message"]) == ("mass_removal", True)
    code, out, _ = daemon.verb("status")
    assert (code, "1 webhook," in out, "last good" in out) == (1, True, True)
    code, _, err = daemon.verb("reload")
    assert (code, "--allow-removals" in err) == (78, True)
    (tmp_path / "away").rename(hooks)
    daemon.wait_line("config.restored", since=mark)
    assert daemon.verb("status")[0] == 0
    assert daemon.stop() == 0
    hooks.rename(tmp_path / "away")
    mark = len(daemon.lines)
    daemon.start()
    assert daemon.verb("reload", "--allow-removals")[0] == 0
    daemon.wait_line("config.reloaded", since=mark, webhooks=0)
    assert daemon.stop() == 0
    mark = len(daemon.lines)
    start_and_stop(daemon)
    assert "config.last_good" not in json.dumps(daemon.lines[mark:])  # that was meant, and is the last good one now


@pytest.mark.slow
def test_without_a_copy_or_with_a_word_a_broken_tree_does_not_start(daemon_of: Callable[..., Daemon]) -> None:
    daemon = daemon_of("webhooks:\n  one: {url: http://example.com/, events: [a]}\n")
    good = daemon.config.read_text()
    daemon.config.write_text(good + "broken\n")
    code, out, err = hookd("run", "--config", daemon.config, timeout=PATIENCE_S)
    assert (code, out) == (78, "")
    assert f"{daemon.config}:{len(good.splitlines()) + 1}:" in err
    assert "there is no last good config at" in err
    daemon.config.write_text(good)
    start_and_stop(daemon)
    daemon.config.write_text(good + "broken\n")
    code, out, err = hookd("run", "--config", daemon.config, "--no-last-good", timeout=PATIENCE_S)
    assert (code, out) == (78, "")
    assert "nothing was started" in err
    copy = daemon.config.parent / "state" / "last-good" / "config.tar"
    copy.write_bytes(copy.read_bytes()[:700])
    code, out, err = hookd("run", "--config", daemon.config, timeout=PATIENCE_S)
    assert (code, out) == (78, "")
    assert "damaged" in err
    # A config that is not this one's copy is of no use either.
    daemon.config.write_text(good)
    start_and_stop(daemon)
    other = daemon.config.with_name("other.yaml")
    other.write_text(good + "broken\n")
    code, out, err = hookd("run", "--config", other, timeout=PATIENCE_S)
    assert (code, out) == (78, "")
    assert "of another main file" in err
