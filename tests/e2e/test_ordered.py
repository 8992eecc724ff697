"""`ordered: true` from outside: failures, reloads and kills change when a delivery comes, and never its turn."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.hostile import Fleet, chance_of, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.house import Daemon

pytestmark = pytest.mark.faults

KEYS = 8
EVENTS = 1600
KILLS = 4

YAML = """
webhooks:
  one:
    url: http://127.0.0.1:{port}/in
    allow_networks: [127.0.0.0/8]
    events: [x]
    ordered: true
    concurrency: 16
    timeout: {timeout}s
    retry: {{schedule: [{steps}], jitter: 0.5}}
"""
STEPS = ", ".join(["10ms"] * 10 + ["30ms"] * 30)


def yaml_of(fleet: Fleet, timeout: int = 5) -> str:
    return YAML.format(port=fleet.port, timeout=timeout, steps=STEPS)


@pytest.fixture
def fleet_of() -> Iterator[Callable[..., Fleet]]:
    made: list[Fleet] = []

    def make(decide: Callable[[str, str, str, bytes], tuple[int, float]]) -> Fleet:
        made.append(Fleet(decide))
        return made[-1]

    yield make
    for fleet in made:
        fleet.close()


def event(key: str, number: int) -> bytes:
    return json.dumps(
        {"type": "x", "id": f"{key}-{number}", "partitionkey": key, "data": {"key": key, "n": number}}
    ).encode()


def told(body: bytes) -> tuple[str, int]:
    data: dict[str, Any] = json.loads(body)["data"]
    return data["key"], data["n"]


def wait_all_delivered(daemon: Daemon, timeout: float = 120) -> None:
    def settled() -> bool:
        status = json.loads(daemon.verb("status", "one", "--output", "json")[1])
        return bool(status["pending"] == 0)

    deadline = time.monotonic() + timeout
    while not settled():
        assert time.monotonic() < deadline, daemon.lines[-5:]
        time.sleep(0.2)


class Producer:
    """Sends the events of all keys in turn, ten at a time, and again after a reconnect what got no reply."""

    def __init__(self, path: str, lines: list[bytes]) -> None:
        self._path = path
        self._left = lines
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while self._left:
            try:
                self._talk()
            except (OSError, ValueError):
                time.sleep(0.02)

    def _talk(self) -> None:
        with socket.socket(socket.AF_UNIX) as client, client.makefile("rb") as replies:
            client.settimeout(30)
            client.connect(self._path)
            while self._left:
                batch = self._left[:10]
                client.sendall(b"".join(line + b"\n" for line in batch))
                for _ in batch:
                    assert json.loads(replies.readline())["status"] in {"accepted", "duplicate"}
                del self._left[:10]
                time.sleep(0.03)

    def wait(self) -> None:
        self._thread.join(120)
        assert not self._left


def test_the_order_of_a_key_outlives_failures_reloads_and_kills(
    daemon_of: Callable[..., Daemon], fleet_of: Callable[..., Fleet]
) -> None:
    dice = chance_of(20261121)

    def decide(_host: str, _path: str, _delivery: str, _body: bytes) -> tuple[int, float]:
        # Mostly 4xx, which say nothing about the endpoint's health; some silence, and some slow answers.
        roll = dice.random()
        if roll < 0.25:
            return 409, 0.0
        if roll < 0.27:
            return 0, 0.0
        return 200, 0.02 if roll < 0.5 else 0.0

    fleet = fleet_of(decide)
    daemon = daemon_of(yaml_of(fleet)).start()
    plain = daemon.config.read_text()
    producer = Producer(daemon.socket, [event(f"k{n % KEYS}", n // KEYS) for n in range(EVENTS)])
    for round_ in range(KILLS):
        for edit in range(2):
            mark = len(daemon.lines)
            daemon.config.write_text(plain.replace("timeout: 5s", f"timeout: {6 + 2 * round_ + edit}s"))
            daemon.wait_line("config.reloaded", since=mark)
        target = len(fleet.seen) + dice.randrange(5, 60)
        # A fast machine may have delivered all by now: then there is nothing more to wait for.
        fleet.wait(lambda seen, target=target: len(seen) >= target or sum(s.status == 200 for s in seen) >= EVENTS)  # type: ignore[misc]
        daemon.kill()
        daemon.start()
    producer.wait()
    wait_all_delivered(daemon)
    assert daemon.stop() == 0

    done: dict[str, list[int]] = defaultdict(list)
    for seen in fleet.seen:
        key, number = told(seen.body)
        # Whoever comes has all before it behind it: not even a failing attempt is out of turn.
        assert number <= len(done[key]), (key, number, done[key][-3:])
        if seen.status == 200 and number == len(done[key]):
            done[key].append(number)
    assert done == {f"k{key}": list(range(EVENTS // KEYS)) for key in range(KEYS)}
    failures = sum(seen.status != 200 for seen in fleet.seen)
    assert failures > EVENTS / 10
    # Twice only what was in flight when it was killed: at most one of each key.
    again = sum(seen.status == 200 for seen in fleet.seen) - EVENTS
    assert again <= KILLS * KEYS


def test_a_key_that_is_stuck_holds_up_nobody_else_and_fills_no_window(
    daemon_of: Callable[..., Daemon], fleet_of: Callable[..., Fleet]
) -> None:
    released = threading.Event()

    def decide(_host: str, _path: str, _delivery: str, body: bytes) -> tuple[int, float]:
        return (409 if told(body)[0] == "stuck" and not released.is_set() else 200), 0.0

    fleet = fleet_of(decide)
    text = yaml_of(fleet).replace(STEPS, ", ".join(["200ms"] * 400))
    daemon = daemon_of(text).start()
    # More of the stuck key than the window holds (64), before and among the others.
    daemon.send(*(event("stuck", n) for n in range(200)))
    daemon.send(*(event(f"free{n % 5}", n // 5) for n in range(300)))
    fleet.wait(lambda seen: sum(each.status == 200 for each in seen) >= 300)
    assert {told(each.body) for each in fleet.seen if told(each.body)[0] == "stuck"} == {("stuck", 0)}
    daemon.kill()
    daemon.start()
    daemon.send(*(event("later", n) for n in range(50)))
    fleet.wait(lambda seen: sum(told(each.body)[0] == "later" for each in seen) >= 50)
    released.set()
    wait_all_delivered(daemon)
    stuck = [told(each.body)[1] for each in fleet.seen if told(each.body)[0] == "stuck" and each.status == 200]
    assert stuck == list(range(200))


def test_a_dead_head_lets_the_next_one_go(daemon_of: Callable[..., Daemon], fleet_of: Callable[..., Fleet]) -> None:
    fleet = fleet_of(lambda _host, _path, _delivery, body: (409 if told(body)[1] % 3 == 0 else 200, 0.0))
    daemon = daemon_of(yaml_of(fleet).replace(STEPS, "10ms")).start()
    daemon.send(*(event("k", n) for n in range(12)))
    fleet.wait_count(16)
    until(lambda: sum(line["msg"] == "delivery.dead" for line in list(daemon.lines)) == 4, "four are dead")
    numbers = [told(each.body)[1] for each in fleet.seen]
    assert numbers == [0, 0, 1, 2, 3, 3, 4, 5, 6, 6, 7, 8, 9, 9, 10, 11]
