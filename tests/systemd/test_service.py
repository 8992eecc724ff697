"""The service on a real systemd: its life from the first boot on, as an operator sees it."""

from __future__ import annotations

import json
import socket
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.house import LOG_SCHEMA
from tests.systemd.service import CONFIG, HOOKD, Steady

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.house import Receiver, Taken
    from tests.systemd.service import Service

pytestmark = pytest.mark.systemd

MOST_EXPOSED = 1.5
MOST_STARTS = 5


def yaml_of(receiver: Receiver | None, daemon: str = "", more: str = "") -> str:
    """Give a config with one webhook, which wants everything."""
    url = "http://127.0.0.1:9/" if receiver is None else receiver.url
    head = f"version: 1\ndaemon: {{{daemon}}}\n"
    webhook = f'  one:\n    url: {url}\n    events: ["*"]\n    allow_networks: [127.0.0.0/8]\n'
    return f"{head}webhooks:\n{webhook}    retry: {{schedule: [1s, 1s, 1s, 1s]}}\n{more}"


def ids_of(taken: list[Taken]) -> list[str]:
    """Give the ids of the events that a receiver got: the body has them in its data."""
    return [str(each.json()["data"]["id"]) for each in taken]


def test_the_units_are_hardly_exposed(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    machine = service.machine
    machine.run("systemd-analyze", "verify", "/etc/systemd/system/hookd.service", "/etc/systemd/system/hookd.socket")
    said = machine.run(
        "systemd-analyze", "security", "--no-pager", f"--threshold={MOST_EXPOSED * 10:.0f}", "hookd.service"
    )
    overall = said.stdout.strip().splitlines()[-1]
    with capsys.disabled():
        sys.stdout.write(f"\n  {overall}\n")
    assert float(overall.split(":")[1].split()[0]) <= MOST_EXPOSED


def test_it_starts_is_ready_and_says_how_it_is(service: Service, receiver_of: Callable[..., Receiver]) -> None:
    service.start(yaml_of(receiver_of()))
    machine = service.machine
    assert machine.show("ActiveState") == "active"
    assert machine.show("SubState") == "running"
    status = service.wait_status("0 pending")
    assert status.startswith("1 webhook, revision ")
    process = machine.path(f"/proc/{service.pid}/status").read_text()
    assert f"Uid:\t{machine.run('id', '-u', 'hookd').stdout.strip()}" in process
    assert "CapEff:\t0000000000000000" in process
    assert "NoNewPrivs:\t1" in process


def test_a_reload_is_waited_for_and_one_that_is_refused_fails(service: Service) -> None:
    machine = service.start(yaml_of(None)).machine
    service.configure(yaml_of(None, more="  two: {url: https://example.com/, events: [x]}\n"))
    machine.run("systemctl", "reload", "hookd")
    assert service.wait_status("2 webhooks").startswith("2 webhooks")
    service.configure(yaml_of(None, more="  two: {url: https://example.com/, events: [x], tpyo: 1}\n"))
    refused = machine.run("systemctl", "reload", "hookd", check=False)
    assert refused.returncode != 0
    shown = machine.run("systemctl", "status", "--no-pager", "-l", "hookd", check=False).stdout
    assert f"{CONFIG}:" in shown
    assert "tpyo" in shown
    assert "config refused" in service.wait_status("config refused")
    assert service.wait_status("2 webhooks")
    machine.wait_show("SubState", lambda state: state == "running")
    # By a signal, as `Type=notify-reload` and old habits do it: it ends the same, and ends.
    service.signal("HUP")
    machine.wait_show("SubState", lambda state: state == "running")
    service.configure(yaml_of(None))
    service.signal("HUP")
    assert "refused" not in service.wait_status("1 webhook,")


def test_a_hangup_kills_at_no_moment_of_the_start(service: Service) -> None:
    service.configure(yaml_of(None))
    machine = service.machine
    machine.run("systemctl", "start", "--no-block", "hookd.service")
    pid = machine.wait_show("MainPID", lambda value: value != "0")
    sent = 0
    while machine.show("ActiveState") == "activating":  # then it is `active`, or `reloading`, as it was asked to
        assert machine.show("MainPID") == pid, machine.journal_text()
        machine.run("kill", "-HUP", pid)
        sent += 1
    assert sent > 0
    assert (machine.show("MainPID"), machine.show("NRestarts")) == (pid, "0")
    service.wait_status("0 pending")


def test_a_killed_service_comes_back_and_nothing_is_lost(
    service: Service, receiver_of: Callable[..., Receiver]
) -> None:
    receiver = receiver_of()
    service.start(yaml_of(receiver, more=""))
    steady = Steady(service.socket, rate=200)
    for kills in range(1, 3):
        receiver.wait(len(receiver.taken) + 50)
        service.signal("KILL")
        service.machine.wait_show("NRestarts", lambda value, kills=kills: int(value) >= kills)  # type: ignore[misc]
        service.machine.wait_show("ActiveState", lambda state: state == "active")
    sent = finish_killed(steady)
    wait_for_all(receiver, sent)


def finish_killed(steady: Steady) -> set[str]:
    """End a producer that saw its connection reset: a killed process says no good-bye, and that is all it may see."""
    steady.wrong = [each for each in steady.wrong if "reset" not in each]
    return steady.finish()


def wait_for_all(receiver: Receiver, sent: set[str]) -> None:
    """Wait until every event of a producer has come at least once."""
    deadline = time.monotonic() + 60
    while not sent <= (got := set(ids_of(taken := list(receiver.taken)))):
        assert time.monotonic() < deadline, f"{len(sent - got)} of {len(sent)} events never came"
        receiver.wait(len(taken) + 1)  # one more than was looked at: others may have come meanwhile


def test_a_service_that_stands_still_is_killed_and_comes_back(service: Service) -> None:
    service.drop_in("[Service]\nWatchdogSec=2s\n")
    service.start(yaml_of(None))
    machine = service.machine
    first = service.pid
    time.sleep(5)  # more than two of its times: it is not killed for nothing
    assert service.pid == first
    service.signal("STOP")
    machine.wait_show("NRestarts", lambda value: value == "1")
    machine.wait_show("ActiveState", lambda state: state == "active")
    assert service.pid != first
    assert any("watchdog" in entry["MESSAGE"].lower() for entry in machine.journal("-u", "hookd", "_PID=1"))


def test_a_stop_drains_for_longer_than_the_unit_allows(service: Service, receiver_of: Callable[..., Receiver]) -> None:
    receiver = receiver_of(take_time)
    service.drop_in("[Service]\nTimeoutStopSec=1s\n")
    service.start(yaml_of(receiver, daemon="drain_timeout: 20s"))
    service.send({"type": "x", "id": "slow", "data": {"id": "slow"}})
    wait_in_flight(service)
    began = time.monotonic()
    service.machine.run("systemctl", "stop", "hookd.socket", "hookd.service")
    assert time.monotonic() - began > 1
    assert ids_of(receiver.wait(1)) == ["slow"]
    assert service.machine.show("Result") == "success"
    lines = hookd_lines(service)
    (attempt,) = [line for line in lines if line["msg"] == "delivery.attempted"]
    assert attempt["outcome"] == "delivered"
    assert lines[-1]["msg"] == "daemon.stopped"


def take_time(_taken: Taken) -> int:
    """Answer late."""
    time.sleep(4)
    return 200


def wait_in_flight(service: Service) -> None:
    """Wait until an attempt is under way."""
    deadline = time.monotonic() + 20
    while True:
        _, out, _ = service.hookd("status", "--output", "json", "--config", CONFIG)
        if json.loads(out)["in_flight"]:
            return
        assert time.monotonic() < deadline, out


def test_a_first_boot_with_a_bad_config_fails_once(service: Service) -> None:
    service.configure("version: 1\nwebhoks: {}\n")
    machine = service.machine
    assert machine.run("systemctl", "start", "hookd.service", check=False).returncode != 0
    assert machine.show("ActiveState") == "failed"
    assert machine.show("ExecMainStatus") == "78"
    time.sleep(4)  # RestartSec=2s: it would have been started again by now
    assert machine.show("NRestarts") == "0"
    assert machine.show("ActiveState") == "failed"
    (line,) = hookd_lines(service)  # JSON too, and an error: it is found where everything else is
    assert (line["msg"], line["exit_code"], line["level"]) == ("start.failed", 78, "error")
    assert "webhoks" in line["problems"][0]["message"]
    assert machine.journal("-t", "hookd", "-p", "err")
    service.configure("version: 1\nwebhooks: {}\n")
    service.start()


def hookd_lines(service: Service) -> list[dict[str, Any]]:
    """Give the lines of hookd in the journal; every one is JSON."""
    lines = [json.loads(entry["MESSAGE"]) for entry in service.machine.journal("-t", "hookd")]
    for line in lines:
        assert not [fault.message for fault in LOG_SCHEMA.iter_errors(line)], line
    return lines


def test_a_bad_config_is_given_up_although_events_knock(service: Service) -> None:
    service.configure("version: 1\nwebhoks: {}\n")
    machine = service.machine
    service.drop_in(f"[Unit]\nStartLimitIntervalSec=10min\nStartLimitBurst={MOST_STARTS}\n")  # however slow we are
    machine.run("systemctl", "start", "hookd.socket")
    with socket.socket(socket.AF_UNIX) as producer:
        producer.connect(str(service.socket))
        machine.wait_show("ActiveState", lambda state: state == "failed", "hookd.socket")
    assert 1 < len(hookd_lines(service)) <= MOST_STARTS
    # What the unit says: mend it, forget the failures, start it. Then it is as if nothing had been.
    service.configure("version: 1\nwebhooks: {}\n")
    machine.run("systemctl", "reset-failed", "hookd.service", "hookd.socket")
    service.start()
    service.send({"type": "x"})


def test_a_later_boot_with_a_bad_config_runs_the_last_good_one(
    service: Service, receiver_of: Callable[..., Receiver]
) -> None:
    receiver = receiver_of()
    service.start(yaml_of(receiver)).machine.run("systemctl", "stop", "hookd.service")
    service.configure("version: 1\nwebhoks: {}\n")
    service.start()
    machine = service.machine
    assert "last good" in service.wait_status("last good")
    service.send({"type": "x", "data": {"id": "old"}})
    assert ids_of(receiver.wait(1)) == ["old"]
    (line,) = [line for line in hookd_lines(service) if line["level"] == "error"]
    assert line["msg"] == "config.last_good"
    assert "webhoks" in line["message"]
    assert machine.run(HOOKD, "status", "--config", CONFIG, check=False).returncode == 1
    service.configure(yaml_of(receiver))
    machine.run("systemctl", "reload", "hookd")
    machine.wait_show("StatusText", lambda status: "1 webhook" in status and "last good" not in status)


@pytest.mark.parametrize("how", ["group", "allow"])
def test_who_may_send_is_known_by_the_kernel(service: Service, how: str) -> None:
    if how == "allow":  # the file is everybody's: hookd asks who they are
        service.drop_in_socket("[Socket]\nSocketMode=0666\n")
    inlet = "inlets: [{unix: /run/hookd/events.sock, allow: {groups: [hookd-events]}}]" if how == "allow" else ""
    service.start(yaml_of(None, daemon=inlet))
    event = ("send", "--type", "x", "--config", CONFIG)
    code, out, err = service.hookd(*event, user="app")
    assert code == 0, err
    assert "accepted" in out
    code, out, err = service.hookd(*event, user="stranger")
    assert code == 77, out + err
    code, _, err = service.hookd("status", "--config", CONFIG, user="app")
    assert code == 77, err  # who may send may not ask
