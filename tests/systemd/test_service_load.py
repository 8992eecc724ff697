"""The service under load: nobody is refused, nothing is lost, and the journal has every line."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.systemd.service import CONFIG, Steady

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.house import Receiver
    from tests.systemd.service import Service

pytestmark = pytest.mark.systemd

RATE = 500
RESTARTS = 10
BURST = 5_000
LONGEST_LINE = 32 * 1024


def yaml_of(receiver: Receiver, more: str = "") -> str:
    """Give a config with one webhook that wants everything."""
    webhook = f'one: {{url: "{receiver.url}", events: ["*"], allow_networks: [127.0.0.0/8], concurrency: 16}}'
    return f"version: 1\n{more}\nwebhooks:\n  {webhook}\n"


def wait_for_all(receiver: Receiver, sent: set[str]) -> Counter[str]:
    """Wait until every event has come; give how often each came."""
    came: Counter[str] = Counter()
    seen = 0
    deadline = time.monotonic() + 60
    while True:
        taken = receiver.taken[seen:]
        seen += len(taken)
        came.update(each.json()["data"]["id"] for each in taken)
        if sent <= came.keys():
            return came
        assert time.monotonic() < deadline, f"{len(sent - came.keys())} of {len(sent)} events never came"
        receiver.wait(seen + 1)


def test_restarts_under_load_refuse_nobody_and_lose_nothing(
    service: Service, receiver_of: Callable[..., Receiver], capsys: pytest.CaptureFixture[str]
) -> None:
    receiver = receiver_of()
    service.start(yaml_of(receiver))
    steady = Steady(service.socket, RATE)
    for _ in range(RESTARTS):
        receiver.wait(len(receiver.taken) + RATE // 2)
        service.machine.run("systemctl", "restart", "hookd.service")
    receiver.wait(len(receiver.taken) + 1)
    sent = steady.finish()  # which tells what a producer should never see: a connection refused, or reset
    assert steady.acknowledged == sent
    assert steady.connects >= RESTARTS
    came = wait_for_all(receiver, sent)
    again = sum(count - 1 for count in came.values())
    assert service.machine.show("NRestarts") == "0"  # each ended well
    with capsys.disabled():
        sys.stdout.write(
            f"\n  {RESTARTS} restarts at {RATE}/s: {len(sent)} sent, {steady.connects} connects, 0 refused, "
            f"{steady.resent} sent again, {again} delivered twice, 0 lost\n"
        )


def test_what_is_sent_while_it_is_down_waits_and_starts_it(
    service: Service, receiver_of: Callable[..., Receiver]
) -> None:
    receiver = receiver_of()
    service.configure(yaml_of(receiver))
    service.machine.run("systemctl", "start", "hookd.socket")
    assert service.machine.show("ActiveState") == "inactive"
    service.send({"type": "x", "data": {"id": "knock"}})
    wait_for_all(receiver, {"knock"})
    assert service.machine.show("ActiveState") == "active"


def test_the_journal_has_every_line_of_a_burst(service: Service, receiver_of: Callable[..., Receiver]) -> None:
    receiver = receiver_of(lambda taken: 500 if taken.json()["data"]["id"] == "bad" else 200)
    # However long it takes to stop, what failed is not tried again meanwhile.
    service.start(yaml_of(receiver, "defaults: {retry: {schedule: [1h]}}"))
    machine = service.machine
    service.send(*({"type": "x", "data": {"id": str(number)}} for number in range(BURST)))
    wait_for_all(receiver, {str(number) for number in range(BURST)})
    service.send({"type": "x", "data": {"id": "bad"}})
    wait_for_all(receiver, {"bad"})
    machine.run("systemctl", "stop", "hookd.socket", "hookd.service")

    # What the README says: by the identifier it is hookd's own lines, each of them JSON.
    lines = [
        json.loads(line) for line in machine.run("journalctl", "-q", "-t", "hookd", "-o", "cat").stdout.splitlines()
    ]
    counted = Counter(line["msg"] for line in lines)
    tried = Counter(line["delivery_id"] for line in lines if line["msg"] == "delivery.attempted")
    again = [line for line in lines if tried[line.get("delivery_id")] > 1]
    assert counted["delivery.attempted"] == BURST + 1, again
    assert counted["log.dropped"] == 0
    # The fields that journald makes of a line: its priority is gone from the text, and right.
    entries = machine.journal("-t", "hookd")
    assert all(entry["MESSAGE"].startswith("{") and len(entry["MESSAGE"]) <= LONGEST_LINE for entry in entries)
    by_level = {"info": "6", "warning": "4", "error": "3"}
    assert all(entry["PRIORITY"] == by_level[json.loads(entry["MESSAGE"])["level"]] for entry in entries)
    assert {entry["_SYSTEMD_UNIT"] for entry in entries} == {"hookd.service"}
    warnings = machine.run("journalctl", "-q", "-t", "hookd", "-p", "warning", "-o", "cat").stdout.splitlines()
    assert [json.loads(line)["outcome"] for line in warnings] == ["rejected"]


def test_a_line_that_is_too_long_comes_whole_as_json(service: Service) -> None:
    wrong = "\n".join(f"  w{number}: {{url: https://example.com/, events: [x], tpyo: 1}}" for number in range(2_000))
    service.start("version: 1\nwebhooks: {}\n")
    service.configure(f"version: 1\nwebhooks:\n{wrong}\n")
    assert service.machine.run("systemctl", "reload", "hookd", check=False).returncode != 0
    entries = service.machine.journal("-t", "hookd", "-p", "err")
    (line,) = [json.loads(entry["MESSAGE"]) for entry in entries]
    assert line["msg"] == "config.rejected"
    assert line["truncated"] is True
    assert CONFIG in line["file"]
