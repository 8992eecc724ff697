"""The end of a daemon, asked for or not, what its next start makes of what was in flight, and a clock that jumps."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.hostile import STRANGE, Fleet, until
from tests.e2e.house import Daemon, write_config
from tests.stopwatch import withheld_s

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.faults

DAY_S = 86_400


WEBHOOKS = 4
EVENTS = 50


class Jump:
    """A daemon that waits for retries, and a clock that jumps meanwhile: once forward, once backward."""

    def __init__(self, folder: Path, days: int) -> None:
        self._good = threading.Event()
        self.fleet = Fleet(lambda *_: (200 if self._good.is_set() else 409, 0.02))
        # Forward: retries of an hour are due when the clock says so. Backward: one of 2 s may not wait for a day.
        schedule = "1h" if days > 0 else "2s, 2s, 2s, 2s"
        config = write_config(folder, yaml_of(self.fleet, "5s", count=WEBHOOKS, schedule=schedule))
        clock = folder / "clock"
        clock.write_text("0")
        self.daemon = Daemon(config, {"STRANGE_CLOCK": str(clock)}, program=STRANGE).start()
        self.daemon.send(*events(EVENTS))
        until(lambda: len(attempted(self.daemon)) >= EVENTS * WEBHOOKS, "not all were attempted")
        self._good.set()
        self.fleet.peak = 0
        fresh = clock.with_name("clock.new")
        fresh.write_text(str(days * DAY_S))
        fresh.rename(clock)
        self._deadline = time.monotonic() + 35
        self.daemon.send(*events(1, 1000))

    def wait(self) -> None:
        """Wait until all is delivered, what came after the jump too."""
        left = max(0.1, self._deadline - time.monotonic())
        wanted = (EVENTS + 1) * WEBHOOKS
        until(lambda: len(attempted(self.daemon, outcome="delivered")) == wanted, "some are stranded", timeout=left)

    def close(self) -> None:
        self.daemon.close()
        self.fleet.close()


@pytest.fixture(scope="module", autouse=True)
def jumped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Jump]]:
    """Let the clocks jump before the other tests of this module, since it may take half a minute to be noticed."""
    jumps = [Jump(tmp_path_factory.mktemp("jump"), days) for days in (1, -1)]
    yield jumps
    for jump in jumps:
        jump.close()


@pytest.fixture
def fleet_of() -> Iterator[Callable[..., Fleet]]:
    made: list[Fleet] = []

    def make(decide: Callable[[str, str, str, bytes], tuple[int, float]]) -> Fleet:
        made.append(Fleet(decide))
        return made[-1]

    yield make
    for fleet in made:
        fleet.close()


def yaml_of(
    fleet: Fleet, drain: str, *, schedule: str = "100ms", count: int = 1, timeout: str = "20s", jitter: float = 0
) -> str:
    webhooks = "".join(
        f"""
  w{number}:
    url: http://127.0.0.1:{fleet.port}/{number}
    allow_networks: [127.0.0.0/8]
    events: [x]
    timeout: {timeout}
    concurrency: 8
    retry: {{schedule: [{schedule}], jitter: {jitter}}}"""
        for number in range(count)
    )
    return f"  drain_timeout: {drain}\nwebhooks:{webhooks}\n"


def events(count: int, first: int = 0) -> list[dict[str, Any]]:
    return [{"type": "x", "id": f"e{number}", "data": {"n": number}} for number in range(first, first + count)]


def warm(daemon: Daemon, fleet: Fleet) -> None:
    """Let every webhook have its slots: one that has not succeeded yet starts with a single one."""
    daemon.send(*events(1, 1_000_000))
    until(lambda: attempted(daemon), "the first one was not delivered")
    daemon.send(*events(20, 1_000_001))
    until(lambda: len(attempted(daemon)) >= 21, "the first ones were not delivered")
    fleet.seen.clear()


def attempted(daemon: Daemon, **fields: object) -> list[dict[str, Any]]:
    return [
        line
        for line in list(daemon.lines)
        if line["msg"] == "delivery.attempted" and all(line[key] == value for key, value in fields.items())
    ]


def test_sigterm_cuts_nothing_before_its_time_and_loses_nothing(
    daemon_of: Callable[..., Daemon], fleet_of: Callable[..., Fleet]
) -> None:
    slow = threading.Event()
    fleet = fleet_of(lambda *_: (200, 1.5 if slow.is_set() else 0.0))
    daemon = daemon_of(yaml_of(fleet, "10s")).start()
    warm(daemon, fleet)
    slow.set()
    mark = len(daemon.lines)
    daemon.send(*events(60))
    fleet.wait_count(8)
    began, withheld = time.monotonic(), withheld_s()
    assert daemon.stop() == 0
    ended = time.monotonic()
    # What was in flight got its answer, nothing new was begun, and the end came with the last answer.
    assert len(fleet.seen) == 8
    done = [line for line in daemon.lines[mark:] if line["msg"] == "delivery.attempted"]
    assert [line["outcome"] for line in done] == ["delivered"] * 8
    answered = max(seen.at for seen in fleet.seen) + 1.5
    assert answered <= ended
    assert ended - began < 3.0 + withheld_s() - withheld
    assert daemon.lines[-1]["msg"] == "daemon.stopped"
    assert daemon.lines[-1]["good"] is True
    slow.clear()
    daemon.start()
    fleet.wait_count(60)
    until(lambda: len(attempted(daemon)) == 81, "not all was recorded")
    # Each exactly once, over both lives.
    assert set(Counter(json.loads(seen.body)["data"]["n"] for seen in fleet.seen).values()) == {1}
    assert daemon.stop() == 0


def test_sigterm_under_load_loses_nothing(daemon_of: Callable[..., Daemon], fleet_of: Callable[..., Fleet]) -> None:
    fleet = fleet_of(lambda *_: (200, 0.01))
    daemon = daemon_of(yaml_of(fleet, "5s", count=8)).start()
    for life in range(3):
        replies = daemon.send(*events(100, life * 100))
        assert [reply["status"] for reply in replies] == ["accepted"] * 100
        assert daemon.stop() == 0
        assert daemon.lines[-1]["good"] is True
        daemon.start()
    fleet.wait_count(8 * 300)
    until(lambda: len(attempted(daemon)) >= 8 * 300, "not all was recorded")
    seen = Counter((each.path, json.loads(each.body)["data"]["n"]) for each in fleet.seen)
    assert len(seen) == 8 * 300
    assert set(seen.values()) == {1}
    assert daemon.stop() == 0


def test_what_outlasts_the_drain_is_cut_and_comes_again(
    daemon_of: Callable[..., Daemon], fleet_of: Callable[..., Fleet]
) -> None:
    slow = threading.Event()
    fleet = fleet_of(lambda *_: (200, 15.0 if slow.is_set() else 0.0))
    daemon = daemon_of(yaml_of(fleet, "1s", schedule="1h")).start()
    warm(daemon, fleet)
    slow.set()
    daemon.send(*events(8))
    fleet.wait_count(8)
    cut = {seen.delivery for seen in fleet.seen}
    began, withheld = time.monotonic(), withheld_s()
    assert daemon.stop() == 0
    assert 0.95 < time.monotonic() - began < 2.5 + withheld_s() - withheld
    slow.clear()
    fleet.seen.clear()
    # Being cut by us is no failure of theirs: it costs no step of the schedule, which is an hour here.
    daemon.start()
    fleet.wait_count(8, timeout=15)
    assert {seen.delivery for seen in fleet.seen} == cut
    until(lambda: len(attempted(daemon, outcome="delivered")) == 29, "they were not recorded")
    assert daemon.stop() == 0


def test_a_second_signal_stops_at_once(daemon_of: Callable[..., Daemon], fleet_of: Callable[..., Fleet]) -> None:
    slow = threading.Event()
    fleet = fleet_of(lambda *_: (200, 15.0 if slow.is_set() else 0.0))
    daemon = daemon_of(yaml_of(fleet, "20s", schedule="1h")).start()
    warm(daemon, fleet)
    slow.set()
    daemon.send(*events(30))
    fleet.wait_count(8)
    cut = {seen.delivery for seen in fleet.seen}
    assert daemon.process is not None
    daemon.process.send_signal(signal.SIGTERM)
    daemon.wait_line("daemon.stopping")
    began, withheld = time.monotonic(), withheld_s()
    daemon.process.send_signal(signal.SIGTERM)
    daemon.wait()
    assert time.monotonic() - began < 1.0 + withheld_s() - withheld
    daemon.wait_line("daemon.cut")
    slow.clear()
    fleet.seen.clear()
    daemon.start()
    fleet.wait_count(30, timeout=15)
    assert {seen.delivery for seen in fleet.seen} > cut
    until(lambda: len(attempted(daemon, outcome="delivered")) == 51, "they were not recorded")
    assert daemon.stop() == 0


def test_look_ups_that_never_end_hold_up_no_end(
    daemon_of: Callable[..., Daemon], fleet_of: Callable[..., Fleet]
) -> None:
    count = 80  # more than may be asked at once
    text = yaml_of(fleet_of(lambda *_: (200, 0.0)), "1s", count=count)
    names = [f"w{number}.example" for number in range(count)]
    for name in names:
        text = text.replace("http://127.0.0.1:", f"http://{name}:", 1)
    daemon = daemon_of(text)
    table = daemon.config.parent / "names.json"
    table.write_text(json.dumps({name: [None] for name in names}))
    daemon.program = STRANGE
    daemon.environ["STRANGE_NAMES"] = str(table)
    daemon.start()
    assert daemon.send(*events(1))[0]["deliveries"] == count
    began, withheld = time.monotonic(), withheld_s()
    assert daemon.stop() == 0
    assert time.monotonic() - began < 2.5 + withheld_s() - withheld


def test_after_a_kill_what_was_in_flight_comes_again_and_not_in_one_burst(
    daemon_of: Callable[..., Daemon], fleet_of: Callable[..., Fleet]
) -> None:
    slow = threading.Event()
    count = 12
    fleet = fleet_of(lambda *_: (200, 15.0 if slow.is_set() else 0.3))
    daemon = daemon_of(yaml_of(fleet, "1s", count=count, schedule="1h")).start()
    for first in (1_000_000, 1_000_001, 1_000_003, 1_000_007):
        daemon.send(*events(first - 999_999, first))  # 1, 2, 4, 8: as many slots as slow start has come to
        wanted = (2 * (first - 999_999) - 1) * count
        until(lambda wanted=wanted: len(attempted(daemon)) == wanted, "not all are in")  # type: ignore[misc]
    until(lambda: len(attempted(daemon)) == 15 * count, "not warm yet")
    fleet.seen.clear()
    slow.set()
    daemon.send(*events(8))
    fleet.wait_count(8 * count)
    in_flight = {seen.delivery for seen in fleet.seen}
    assert len(in_flight) == 8 * count
    daemon.kill()
    slow.clear()
    fleet.seen.clear()
    daemon.start()
    fleet.wait_count(8 * count, timeout=20)
    assert {seen.delivery for seen in fleet.seen} == in_flight
    until(lambda: len(attempted(daemon, outcome="delivered")) == 23 * count, "they were not recorded")
    assert daemon.stop() == 0
    # Each receiver is asked carefully first: not all of its eight at once.
    began = fleet.seen[0].at
    early = Counter(seen.path for seen in fleet.seen if seen.at < began + 0.25)
    assert max(early.values()) < 8, early


def check_jump(jump: Jump) -> None:
    """Nothing is looked at on a beat, but for a clock that jumped: within half a minute."""
    jump.wait()
    assert max(Counter(seen.delivery for seen in jump.fleet.seen).values()) <= 5
    assert jump.fleet.peak <= WEBHOOKS * 8
    assert jump.daemon.stop() == 0


def test_a_wall_clock_that_jumps_a_day_ahead_causes_no_storm(jumped: list[Jump]) -> None:
    check_jump(jumped[0])


def test_a_wall_clock_that_jumps_a_day_back_strands_nothing(jumped: list[Jump]) -> None:
    check_jump(jumped[1])
