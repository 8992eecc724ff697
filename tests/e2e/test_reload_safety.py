"""What a reload must not do to what is under way, and what it must not be able to take away. Seen from outside."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.house import HOOKD, PATIENCE_S, Daemon, Receiver, Taken

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LOOPBACK = "defaults: {allow_networks: [127.0.0.0/8]}\n"


def save(path: Path, text: str) -> None:
    """Write a file as an editor does."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(text)
    fresh.replace(path)


def replaced(daemon: Daemon, old: str, new: str) -> None:
    text = daemon.config.read_text()
    assert old in text
    save(daemon.config, text.replace(old, new))


def status(daemon: Daemon) -> dict[str, Any]:
    _, out, _ = daemon.verb("status", "--output", "json")
    answer: dict[str, Any] = json.loads(out)
    return answer


def test_a_reload_says_what_runs_and_since_when(daemon_of: Callable[..., Daemon]) -> None:
    daemon = daemon_of("webhooks:\n  one: {url: http://example.com/, events: [a]}\n").start()
    replaced(daemon, "one:", "two:")
    daemon.wait_line("config.reloaded", added_webhooks=["two"])
    for flags in ((), ("--wait",)):
        code, out, err = daemon.verb("reload", *flags)
        assert (code, err) == (0, "")
        assert out.startswith("in force already: ")
        assert out.rstrip().endswith(" s ago")
    save(daemon.config, daemon.config.read_text().replace("url:", "ulr:"))
    code, out, err = daemon.verb("reload", "--wait")
    assert (code, out) == (78, "")
    assert f"{daemon.config}:" in err
    assert "what ran before keeps running" in err
    code, out, _ = daemon.verb("reload", "--output", "json")
    answer = json.loads(out)
    assert code == 78
    assert (answer["changed"], answer["last_good"]) == (False, False)
    assert {problem["code"] for problem in answer["problems"]} >= {"unknown_key"}
    assert answer["applied_at"] == status(daemon)["applied_at"]
    assert daemon.stop() == 0


def test_the_provenance_is_in_the_reload_each_attempt_and_the_status(
    daemon_of: Callable[..., Daemon], receiver: Receiver, tmp_path: Path
) -> None:
    def git(*words: str) -> str:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
        done = subprocess.run(["git", *identity, *words], cwd=tmp_path, check=True, capture_output=True)
        return done.stdout.decode().strip()

    daemon = daemon_of(f"{LOOPBACK}webhooks:\n  one: {{url: '{receiver.url}', events: [a]}}\n")
    git("init", "-q")
    git("add", "hookd.yaml")
    git("commit", "-q", "-m", "one")
    first = git("rev-parse", "HEAD")
    if os.geteuid() == 0:
        # A tree that belongs to somebody else is one that git refuses, unless it is told that it may be read.
        for path in (tmp_path / ".git", *(tmp_path / ".git").rglob("*"), tmp_path / "hookd.yaml"):
            os.chown(path, 65534, 65534)
    daemon.start()
    assert daemon.send({"type": "a"})[0]["status"] == "accepted"
    revision = daemon.wait_line("delivery.attempted")["revision"]
    assert revision.endswith(f"@{first[:12]}")
    now = status(daemon)
    assert (now["revision"], now["commit"], now["dirty"]) == (revision, first, False)
    mark = len(daemon.lines)
    replaced(daemon, "events: [a]", "events: [a, b]")
    line = daemon.wait_line("config.reloaded", since=mark)
    assert (line["commit"], line["dirty"]) == (first, True)
    assert line["revision"].endswith(f"@{first[:12]}+")
    assert line["revision"][:12] != revision[:12]
    if os.geteuid() == 0:
        for path in (tmp_path / ".git", *(tmp_path / ".git").rglob("*"), tmp_path / "hookd.yaml"):
            os.chown(path, 0, 0)
    git("commit", "-q", "-am", "two")
    second = git("rev-parse", "HEAD")
    line = daemon.wait_line("config.committed", since=mark)
    assert (line["commit"], line["dirty"]) == (second, False)
    assert daemon.send({"type": "b"})[0]["status"] == "accepted"
    assert daemon.wait_line("delivery.attempted", event_type="b")["revision"].endswith(f"@{second[:12]}")
    assert daemon.stop() == 0


def test_what_is_in_flight_is_not_cancelled_by_a_reload(daemon_of: Callable[..., Daemon]) -> None:
    """Not when its webhook changes, nor when it is removed: the attempt ends, by the rules that it began with."""
    release = threading.Event()

    def slowly(_taken: Taken) -> int:
        release.wait(PATIENCE_S)
        return 200

    receiver = Receiver(slowly)
    try:
        daemon = daemon_of(
            f"{LOOPBACK}webhooks:\n  slow: {{url: '{receiver.url}', events: [a], timeout: 60s}}\n"
            "  other: {url: http://example.com/, events: [z]}\n"
        ).start()
        assert daemon.send({"type": "a", "id": "one"})[0]["status"] == "accepted"
        deadline = time.monotonic() + PATIENCE_S
        while status(daemon)["in_flight"] != 1:
            assert time.monotonic() < deadline
        revision = status(daemon)["revision"]
        replaced(daemon, "timeout: 60s", "timeout: 1s, headers: {X-New: '1'}")
        daemon.wait_line("config.reloaded", changed_webhooks=["slow"])
        replaced(daemon, "  slow:", "  x-gone:")
        code, out, err = daemon.verb("reload", "--allow-removals")
        assert (code, err) == (0, ""), out
        assert status(daemon)["in_flight"] == 1
        release.set()
        line = daemon.wait_line("delivery.attempted", event_id="one")
        assert (line["outcome"], line["attempt"], line["revision"]) == ("delivered", 1, revision)
        assert len(receiver.taken) == 1
        assert daemon.stop() == 0
    finally:
        release.set()
        receiver.close()


def test_a_secret_that_is_rotated_is_used_without_a_reload(
    daemon_of: Callable[..., Daemon], receiver: Receiver, tmp_path: Path
) -> None:
    secret = tmp_path / "token"
    secret.write_text("first\n")
    daemon = daemon_of(
        f"{LOOPBACK}webhooks:\n  one: {{url: '{receiver.url}', events: [a], auth: {{bearer: {{file: token}}}}}}\n"
    ).start()
    for number, text in enumerate(("first", "second", "third"), 1):
        save(secret, f"{text}\n") if number < 3 else secret.write_text(f"{text}\n")
        assert daemon.send({"type": "a"})[0]["status"] == "accepted"
        assert receiver.wait(number)[-1].headers["authorization"] == f"Bearer {text}"
    code, out, _ = daemon.verb("reload")
    assert code == 0
    assert out.startswith("in force already")
    assert not [line for line in daemon.lines if line["msg"] == "config.reloaded"]
    assert daemon.stop() == 0


def test_moved_carries_the_backlog_once_and_not_onto_another_one(
    daemon_of: Callable[..., Daemon], receiver: Receiver
) -> None:
    daemon = daemon_of(
        f"{LOOPBACK}webhooks:\n  old: {{url: '{receiver.url}', events: [a], paused: true}}\n"
        f"  busy: {{url: '{receiver.url}busy', events: [b], paused: true}}\n"
    ).start()
    assert [reply["status"] for reply in daemon.send(*[{"type": "a"}] * 5, *[{"type": "b"}] * 3)] == ["accepted"] * 8
    before = daemon.config.read_text()
    # Onto one that has a backlog of its own: the config is good, the move is refused and nothing is lost.
    save(daemon.config, before.replace("  old:", "  x-old:") + "moved: [{from: old, to: busy}]\n")
    refused = daemon.wait_line("webhook.not_moved")
    assert refused["webhook"] == "old"
    rows = {row["webhook"]: (row["state"], row["pending"]) for row in status(daemon)["backlog"]}
    assert rows == {"old": ("missing", 5), "busy": ("paused", 3)}
    mark = len(daemon.lines)
    save(
        daemon.config,
        before.replace("  old:", "  new:").replace("paused: true", "paused: false", 1)
        + "moved: [{from: old, to: new}]\n",
    )
    daemon.wait_line("config.reloaded", since=mark)
    assert {taken.path for taken in receiver.wait(5)} == {"/"}
    assert {row["webhook"]: row["delivered"] for row in status(daemon)["backlog"]} == {"new": 5, "busy": 0}
    # The line stays in the files; it has done its work, at further reloads and over a restart.
    replaced(daemon, "events: [b]", "events: [b, c]")
    assert daemon.verb("reload")[0] == 0
    assert daemon.stop() == 0
    daemon.start()
    assert {row["webhook"]: row["pending"] for row in status(daemon)["backlog"]} == {"new": 0, "busy": 3}
    assert not [line for line in daemon.lines[mark:] if line["msg"] == "webhook.not_moved"]
    assert daemon.stop() == 0


def test_a_mass_removal_is_refused_unless_it_is_meant(daemon_of: Callable[..., Daemon], tmp_path: Path) -> None:
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for number in range(15):
        text = f"webhooks: {{w{number}: {{url: 'http://127.0.0.1:1/', events: [a], paused: true}}}}\n"
        (hooks / f"w{number}.yaml").write_text(text)
    daemon = daemon_of("include: [hooks/*.yaml]\nwebhooks:\n  one: {url: http://example.com/, events: [z]}\n").start()
    assert daemon.send({"type": "a"})[0]["deliveries"] == 15
    hooks.rename(tmp_path / "away")  # a volume that is not mounted
    line = daemon.wait_line("config.rejected", code="mass_removal")
    assert "15 of the 15 webhooks" in line["message"]
    code, out, err = daemon.verb("reload")
    assert (code, out) == (78, "")
    assert "hookd reload --allow-removals" in err
    code, out, _ = daemon.verb("status")
    assert code == 1
    assert "--allow-removals" in out
    assert status(daemon)["webhooks"] == 16
    code, out, err = daemon.verb("reload", "--allow-removals")
    assert (code, err) == (0, "")
    assert "now running" in out
    assert "removed: w" in out
    after = status(daemon)
    assert (after["webhooks"], after["pending"], after["held"]) == (1, 15, 15)
    (tmp_path / "away").rename(hooks)
    daemon.wait_line("config.reloaded", added=15)
    assert status(daemon)["webhooks"] == 16
    assert daemon.stop() == 0


def test_a_file_name_that_is_no_utf8_ends_nothing(daemon_of: Callable[..., Daemon], tmp_path: Path) -> None:
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    tells = "webhooks:\n  one: {url: http://127.0.0.1:1/, events: [a, hookd.config.rejected], paused: true}\n"
    daemon = daemon_of(f"include: [hooks/*.yaml]\n{tells}").start()
    odd = hooks / os.fsdecode(b"\xff.yaml")
    odd.write_text("webhooks: {two: {ulr: 'https://example.com/', events: [b]}}\n")
    line = daemon.wait_line("config.rejected", code="unknown_key")
    assert line["file"].endswith("\\udcff.yaml")
    assert daemon.verb("reload")[0] == 78
    assert daemon.verb("status")[0] == 1
    assert daemon.send({"type": "a"})[0]["status"] == "accepted"
    odd.write_text("webhooks: {two: {url: 'https://example.com/', events: [b]}}\n")
    assert daemon.verb("reload")[0] == 0
    for words in (["list"], ["show", "two", "--origins"], ["route", "--type", "b", "--running", "--explain"]):
        code, out, err = daemon.verb(*words)
        assert (code, err) == (0, "")
        assert "two" in out
    assert daemon.stop() == 0


@pytest.mark.parametrize("limit", ["max_inotify_watches", "max_inotify_instances"])
def test_without_watches_the_files_are_polled_and_that_is_said(daemon_of: Callable[..., Daemon], limit: str) -> None:
    """The limits are of a user namespace of its own, so nobody else's."""
    script = 'echo 0 > "/proc/sys/user/$0" && exec "$@"'
    trial = subprocess.run(["unshare", "-Ur", "sh", "-c", script, limit, "true"], capture_output=True, check=False)
    if trial.returncode:
        pytest.skip("this machine gives no user namespaces")
    daemon = daemon_of("webhooks:\n  one: {url: http://example.com/, events: [a]}\n")
    daemon.program = ("unshare", "-Ur", "sh", "-c", script, limit, *daemon.program)
    daemon.start()
    line = daemon.wait_line("config.polling")
    assert line["reason"].startswith("the files cannot be watched: ")
    assert daemon.wait_line("watch.failed")["polling"] is True
    replaced(daemon, "one:", "two:")
    daemon.wait_line("config.reloaded", added_webhooks=["two"])
    began = time.monotonic()
    assert daemon.stop() == 0
    assert time.monotonic() - began < 10
    assert len([each for each in daemon.lines if each["msg"] == "config.polling"]) == 1


@pytest.mark.parametrize("name", ["live", "current"])
def test_a_relative_name_is_that_of_the_tree_which_stands_there(
    daemon_of: Callable[..., Daemon], tmp_path: Path, name: str
) -> None:
    """The directory that it was started in is replaced by another, or the symlink is that leads to it."""
    daemon = daemon_of("")
    daemon.config.unlink()
    for tree, webhook in (("live", "one"), ("next", "two")):
        (tmp_path / tree).mkdir()
        (tmp_path / tree / "hookd.yaml").write_text(
            "version: 1\ndaemon:\n  state_dir: ../state\n  inlets: [{unix: ../events.sock}]\n"
            "  control: {unix: ../control.sock}\n"
            f"webhooks: {{{webhook}: {{url: 'http://example.com/', events: [a]}}}}\n"
        )
    (tmp_path / "current").symlink_to("live")
    daemon.program = ("sh", "-c", f'cd "$0" && exec {shlex.join(HOOKD)} run --config hookd.yaml', str(tmp_path / name))
    daemon.start()
    if name == "live":
        (tmp_path / "live").rename(tmp_path / "before")
        (tmp_path / "next").rename(tmp_path / "live")
    else:
        (tmp_path / "new").symlink_to("next")
        (tmp_path / "new").rename(tmp_path / "current")
    daemon.wait_line("config.reloaded", added_webhooks=["two"], removed_webhooks=["one"])
    assert daemon.stop() == 0
