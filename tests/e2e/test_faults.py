"""What guards data: kill -9 under load, and what must be true of every acknowledged event afterwards."""

from __future__ import annotations

import json
import random
import socket
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.e2e.hostile import until
from tests.e2e.house import PATIENCE_S, Daemon, Receiver

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.faults

KILLS = 20


class Producer:
    """Sends numbered events for as long as it is let, again after a reconnect what got no reply."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.acknowledged: set[str] = set()
        self._stop = threading.Event()
        self._next = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        waiting: list[str] = []
        while not self._stop.is_set() or waiting:
            try:
                with socket.socket(socket.AF_UNIX) as client, client.makefile("rb") as replies:
                    client.settimeout(PATIENCE_S)
                    client.connect(self._path)
                    waiting = self._talk(client, replies, waiting)
            except OSError:
                time.sleep(0.02)

    def _talk(self, client: socket.socket, replies: object, waiting: list[str]) -> list[str]:
        while not self._stop.is_set() or waiting:
            while len(waiting) < 50 and not self._stop.is_set():
                waiting.append(f"e{self._next}")
                self._next += 1
            lines = [json.dumps({"type": "x", "id": each, "data": {"id": each, "pad": "p" * 400}}) for each in waiting]
            try:
                client.sendall(("\n".join(lines) + "\n").encode())
                for each in list(waiting):
                    line = replies.readline()  # type: ignore[attr-defined]
                    if not line.endswith(b"\n"):
                        return waiting
                    reply = json.loads(line)
                    assert reply["status"] in {"accepted", "duplicate"}, reply
                    assert reply["id"] == each
                    self.acknowledged.add(each)
                    waiting.remove(each)
            except OSError:
                return waiting
        return waiting


def test_no_acknowledged_event_is_lost_by_kill_9(daemon_of: Callable[..., Daemon]) -> None:
    chance = random.Random(20261121)
    flaky = random.Random(7)
    receiver = Receiver(lambda _taken: 500 if flaky.random() < 0.1 else 200)
    yaml = f"""
webhooks:
  one:
    url: {receiver.url}
    allow_networks: [127.0.0.0/8]
    events: [x]
    concurrency: 16
    retry: {{schedule: [10ms, 50ms, 200ms, 500ms, 1s, 1s, 1s, 1s, 1s, 1s, 1s, 1s], jitter: 0.2}}
"""
    daemon = daemon_of(yaml).start()
    producer = Producer(daemon.socket)
    for _ in range(KILLS):
        time.sleep(chance.uniform(0.02, 0.4))
        daemon.kill()
        daemon.start()
    until(lambda: len(producer.acknowledged) > 500, "hardly anything was acknowledged")
    time.sleep(0.3)
    producer.stop()

    deadline = time.monotonic() + 120
    while True:
        status = json.loads(daemon.verb("status", "one", "--output", "json")[1])
        if status["pending"] == 0:
            break
        assert time.monotonic() < deadline, status
        time.sleep(0.1)
    daemon.stop()
    receiver.close()

    arrived = Counter(taken.json()["data"]["id"] for taken in receiver.taken)
    lost = producer.acknowledged - set(arrived)
    assert not lost
    for taken in receiver.taken:
        body = taken.json()
        assert body["data"]["pad"] == "p" * 400
    # One delivery, one id: whatever came twice came under the same webhook-id.
    ids: dict[str, set[str]] = {}
    for taken in receiver.taken:
        ids.setdefault(taken.json()["data"]["id"], set()).add(taken.headers["webhook-id"])
    assert all(len(each) == 1 for each in ids.values())
    # Twice only where an attempt's outcome was not recorded: those in flight or unrecorded at a kill.
    attempts = Counter(
        line["event_id"]
        for line in daemon.lines
        if line["msg"] == "delivery.attempted" and line["outcome"] == "delivered"
    )
    assert all(count == 1 for count in attempts.values())
    assert dict(Counter(attempts)).keys() <= set(arrived)
