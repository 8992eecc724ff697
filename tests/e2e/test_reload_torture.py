"""Reloads under load: checkouts of thousands of files, edits without end, a dead endpoint with a long backlog.

Nothing is lost, nothing half is ever applied, and a fixed URL gets its backlog at once. What is measured is printed
(`-s` shows it); the deadlines are for a machine that does other things as well.
"""

from __future__ import annotations

import json
import shutil
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from hookd.config.load import load_config
from tests.e2e.house import PATIENCE_S, Daemon, Receiver
from tests.stopwatch import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.faults]

LOOPBACK = "defaults: {allow_networks: [127.0.0.0/8]}\n"
FILES = 3000
CHECKOUTS = 8
RATE = 200  # events/s
LONG_S = 60.0
#: From the end of a checkout until it is applied, without what the machine had no core for: 1 s is promised where
#: nobody else computes.
APPLIED_S = 2.0


class Stream:
    """Sends events over one connection, at a rate, until stopped; `accepted` are the numbers of those that were."""

    def __init__(self, path: str, make: Callable[[int], dict[str, Any]]) -> None:
        self.accepted: set[int] = set()
        self.refused: list[dict[str, Any]] = []
        self._make = make
        self._stop = threading.Event()
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(LONG_S)
        self._socket.connect(path)
        self._sent = 0
        self._threads = [threading.Thread(target=self._send), threading.Thread(target=self._read)]
        for thread in self._threads:
            thread.start()

    def _send(self) -> None:
        began = time.monotonic()
        while not self._stop.wait(max(0.0, began + self._sent / RATE - time.monotonic())):
            event = {**self._make(self._sent), "id": f"n{self._sent}"}
            self._socket.sendall(json.dumps(event).encode() + b"\n")
            self._sent += 1
        self._socket.shutdown(socket.SHUT_WR)

    def _read(self) -> None:
        with self._socket.makefile("rb") as replies:
            for line in replies:
                reply = json.loads(line)
                if reply["status"] == "accepted":
                    self.accepted.add(int(reply["id"][1:]))
                else:
                    self.refused.append(reply)

    def stop(self) -> int:
        """End it; give how many events were sent. Every one of them has its reply."""
        self._stop.set()
        for thread in self._threads:
            thread.join(LONG_S)
            assert not thread.is_alive()
        self._socket.close()
        assert self.refused == []
        assert len(self.accepted) == self._sent
        return self._sent


def numbers(receiver: Receiver) -> Counter[int]:
    """Give how often each event came."""
    return Counter(taken.json()["data"]["n"] for taken in list(receiver.taken))


def reloads(daemon: Daemon, since: int = 0) -> list[dict[str, Any]]:
    return [line for line in daemon.lines[since:] if line["msg"] == "config.reloaded"]


def tell(figures: str) -> None:
    """Show what was measured (`pytest -s`)."""
    sys.stdout.write(f"\n{figures}\n")


def spare(daemon: Daemon) -> None:
    """Leave most of the lines that are all alike out of what is held to the schema at the end."""
    alike = [line for line in daemon.lines if line["msg"] == "delivery.attempted"]
    daemon.lines[:] = [line for line in daemon.lines if line["msg"] != "delivery.attempted"] + alike[:500]


def at(line: dict[str, Any]) -> float:
    """Give the instant of a log line, in seconds since the epoch."""
    return datetime.fromisoformat(line["time"]).timestamp()


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_checkouts_back_and_forth_are_never_half_applied_and_lose_nothing(
    daemon_of: Callable[..., Daemon], receiver: Receiver, tmp_path: Path
) -> None:
    """3,000 files, 8 checkouts, 200 events/s: each config that is applied is one commit, byte for byte."""

    def git(*words: str) -> str:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "gc.auto=0"]
        done = subprocess.run(["git", *identity, *words], cwd=tmp_path, check=True, capture_output=True)
        return done.stdout.decode().strip()

    daemon = daemon_of(f"{LOOPBACK}include: [hooks/**/*.yaml]\n")
    for number in range(FILES):
        (tmp_path / "hooks" / str(number % 10)).mkdir(parents=True, exist_ok=True)
    (tmp_path / ".gitignore").write_text("/*\n!/hookd.yaml\n!/hooks\n")
    git("init", "-q", "-b", "one")
    commits: dict[str, tuple[str, str]] = {}
    for branch in ("one", "two"):
        if branch == "two":
            git("checkout", "-q", "-b", "two")
        for number in range(FILES):
            (tmp_path / "hooks" / str(number % 10) / f"h{number}.yaml").write_text(
                f"webhooks:\n  h{number}:\n    url: {receiver.url}{branch}\n    events: [e.{number}]\n"
                f"    headers: {{X-Branch: {branch}}}\n"
            )
        git("add", ".")
        git("commit", "-q", "-m", branch)
        commits[load_config(daemon.config).revision.hash] = branch, git("rev-parse", "HEAD")
    assert len(commits) == 2
    daemon.spawn()
    daemon.wait_line("daemon.ready", timeout=LONG_S)
    assert daemon.process is not None
    stream = Stream(daemon.socket, lambda n: {"type": f"e.{n * 7 % FILES}", "data": {"n": n}})
    took: list[float] = []
    for number in range(CHECKOUTS):
        branch = ("one", "two")[number % 2]
        mark = len(daemon.lines)
        git("checkout", "-q", branch)
        done, stopwatch = time.time(), Stopwatch(daemon.process.pid)
        line = daemon.wait_line("config.reloaded", since=mark, timeout=LONG_S)
        took.append(at(line) - done - stopwatch.held_up())
        assert commits[line["revision"][:12]] == (branch, line["commit"])
    sent = stream.stop()
    receiver.wait(sent, timeout=LONG_S)
    applied = reloads(daemon)
    assert [commits[line["revision"][:12]][0] for line in applied] == ["one", "two"] * (CHECKOUTS // 2)
    assert {line["dirty"] for line in applied} == {False}
    assert {line["changed"] for line in applied} == {FILES}
    assert not [line for line in daemon.lines if line["msg"] in {"config.rejected", "config.restored"}]
    assert numbers(receiver) == Counter(stream.accepted)  # each once
    for taken in receiver.taken:  # and no request is made of two configs
        assert taken.path == f"/{taken.headers['x-branch']}"
    attempts = [line for line in daemon.lines if line["msg"] == "delivery.attempted"]
    assert {line["revision"] for line in attempts} <= {f"{each}@{commits[each][1][:12]}" for each in commits}
    tell(
        f"{FILES} files, {CHECKOUTS} checkouts, {sent} events: applied {statistics.median(took):.2f} s after the"
        f" checkout (median; {min(took):.2f} to {max(took):.2f})"
    )
    assert max(took) < APPLIED_S
    assert daemon.stop() == 0
    spare(daemon)


def test_a_fixed_url_gets_its_backlog_at_once(daemon_of: Callable[..., Daemon], receiver: Receiver) -> None:
    """10,000 pending, the breaker open, the next attempts hours away: they flow when the URL is right."""
    count = 10_000
    dead = Receiver(lambda _taken: 404)
    daemon = daemon_of(
        f"{LOOPBACK}webhooks:\n"
        f"  one: {{url: '{dead.url}', events: [a], concurrency: 32, retry: {{schedule: [6h, 6h], jitter: 0}}}}\n"
    )
    daemon.start()
    try:
        for first in range(0, count, 1000):
            replies = daemon.send(*({"type": "a", "data": {"n": n}} for n in range(first, first + 1000)))
            assert {reply["status"] for reply in replies} == {"accepted"}
        dead.wait(count, timeout=LONG_S)
    finally:
        dead.close()
    daemon.send(*({"type": "a", "data": {"n": count + n}} for n in range(20)))
    daemon.wait_line("webhook.failing")

    def row() -> dict[str, Any]:
        _, out, _ = daemon.verb("status", "one", "--output", "json")
        answer: dict[str, Any] = json.loads(out)
        return answer

    deadline = time.monotonic() + PATIENCE_S
    while row()["in_flight"]:
        assert time.monotonic() < deadline
    before = row()
    assert (before["state"], before["pending"], before["delivered"]) == ("failing", count + 20, 0)
    text = daemon.config.read_text()
    mark = len(daemon.lines)
    saved = time.time()
    daemon.config.write_text(text.replace(dead.url, receiver.url))
    receiver.wait(count + 20, timeout=LONG_S)
    applied = at(daemon.wait_line("config.reloaded", since=mark)) - saved
    flowing = receiver.taken[0].at - saved
    whole = max(taken.at for taken in receiver.taken) - saved
    tell(f"applied {applied:.2f} s after the save, first delivery {flowing:.2f} s, all {count + 20} {whole:.1f} s")
    assert flowing < 10
    assert numbers(receiver) == Counter(range(count + 20))
    deadline = time.monotonic() + PATIENCE_S
    while (after := row())["pending"]:
        assert time.monotonic() < deadline
    assert (after["state"], after["delivered"]) == ("ok", count + 20)
    assert daemon.stop() == 0
    spare(daemon)


def test_edits_under_load_lose_nothing(daemon_of: Callable[..., Daemon], receiver: Receiver, tmp_path: Path) -> None:
    """Good edits, broken ones, a removal that is taken back, a restart: each event that was accepted arrives once."""
    other = Receiver()
    hooks = tmp_path / "hooks"
    hooks.mkdir()

    def write(number: int, url: str, note: int) -> None:
        (hooks / f"w{number}.yaml").write_text(
            f"webhooks:\n  w{number}: {{url: '{url}', events: [e.{number}], headers: {{X-Note: '{note}'}}}}\n"
        )

    for number in range(20):
        write(number, receiver.url, 0)
    daemon = daemon_of(f"{LOOPBACK}include: [hooks/*.yaml]\n")
    daemon.start()
    stream = Stream(daemon.socket, lambda n: {"type": f"e.{n % 19}", "data": {"n": n}})
    try:
        for step in range(1, 16):
            mark = len(daemon.lines)
            write(step % 19, (receiver, other)[step % 2].url, step)
            daemon.wait_line("config.reloaded", since=mark, timeout=LONG_S)
            if step % 3 == 0:
                (hooks / "w19.yaml").write_text("webhooks: {w19: {url: [\n")
                daemon.wait_line("config.rejected", since=mark, timeout=LONG_S)
                write(19, receiver.url, step)
                daemon.wait_line("config.reloaded", since=mark, added=0, timeout=LONG_S)
            if step % 5 == 0:
                paused = f"webhooks:\n  w3: {{url: '{other.url}', events: [e.3], paused: true}}\n"
                (hooks / "w3.yaml").write_text(paused)
                assert daemon.verb("reload")[0] == 0
                write(3, other.url, step)
                assert daemon.verb("reload")[0] == 0
        sent = stream.stop()
        deadline = time.monotonic() + LONG_S
        while len(receiver.taken) + len(other.taken) < sent:
            assert time.monotonic() < deadline, f"{sent - len(receiver.taken) - len(other.taken)} of {sent} are missing"
            time.sleep(0.05)
        assert numbers(receiver) + numbers(other) == Counter(stream.accepted)
        assert other.taken
        attempts = [line for line in daemon.lines if line["msg"] == "delivery.attempted"]
        assert {line["outcome"] for line in attempts} == {"delivered"}
        tell(f"{len(reloads(daemon))} reloads, {sent} events")
        assert daemon.stop() == 0
        spare(daemon)
    finally:
        other.close()
