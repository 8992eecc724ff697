"""What people get wrong: each ends with one message and its exit code, and never with a traceback."""

from __future__ import annotations

import signal
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.house import Daemon, hookd, write_config

if TYPE_CHECKING:
    from collections.abc import Callable


def run(config: Path) -> tuple[int, str, str]:
    return hookd("run", "--config", config, timeout=30)


def test_a_missing_config(tmp_path: Path) -> None:
    code, _, err = run(tmp_path / "none.yaml")
    assert code == 78
    assert "none.yaml" in err


def test_no_config_at_all(tmp_path: Path) -> None:
    code, _, err = hookd("run", cwd=tmp_path)
    assert code == 78
    assert "hookd init" in err


def test_a_broken_config_is_told_with_file_line_and_column(tmp_path: Path) -> None:
    config = write_config(tmp_path, "webhooks:\n  one:\n    ulr: http://example.com/\n    events: [x]\n")
    code, _, err = run(config)
    assert code == 78
    assert f"{config}:8:5: " in err
    assert "did you mean `url`?" in err
    assert hookd("check", "--config", config)[0] == 1


def test_an_unreadable_secret_is_a_delivery_not_sent(daemon_of: Callable[..., Daemon]) -> None:
    yaml = """
webhooks:
  one:
    url: http://127.0.0.1:9/
    allow_networks: [127.0.0.0/8]
    events: [x]
    auth: {bearer: {file: missing}}
"""
    daemon = daemon_of(yaml).start()
    daemon.send({"type": "x"})
    line = daemon.wait_line("delivery.attempted")
    assert (line["outcome"], line["cause"]) == ("not_sent", "secret_unreadable")
    assert "missing" in line["detail"]
    assert line["url"] == "http://127.0.0.1:9/"
    # No retry mends that: it needs a person, who is told so at once.
    code, out, _ = daemon.verb("status")
    assert code == 1
    assert "1 webhook fails for a reason on our side: one (secret_unreadable)" in out.splitlines()
    assert daemon.verb("status", "one")[0] == 1
    # Mended and tried again, it fails at its receiver, which is retried and needs nobody.
    (daemon.config.parent / "missing").write_text("a token")
    mark = len(daemon.lines)
    assert daemon.verb("resume", "one")[0] == 0
    assert daemon.wait_line("delivery.attempted", since=mark)["cause"] == "connect_refused"
    assert daemon.verb("status")[0] == 0
    assert daemon.stop() == 0


def test_a_property_too_many_is_named_to_its_producer_and_to_no_log(
    daemon_of: Callable[..., Daemon], tmp_path: Path
) -> None:
    (tmp_path / "user.yaml").write_text("{type: object, properties: {email: {}}, additionalProperties: false}")
    (tmp_path / "out.yaml").write_text(
        "{type: object, properties: {data: {properties: {x: {}}, additionalProperties: false}}}"
    )
    daemon = daemon_of(
        "event_types: {x: {schema: user.yaml}}\n"
        "webhooks: {one: {url: 'http://127.0.0.1:9/', allow_networks: [127.0.0.0/8], events: [x],"
        " body: {schema: out.yaml}}}\n"
    ).start()
    (reply,) = daemon.send({"type": "x", "data": {"emial": 1}})
    assert reply["message"] == "has the property `emial`, which the schema does not allow"
    assert daemon.wait_line("event.refused")["message"] == "has a property that the schema does not allow"
    daemon.send({"type": "x", "data": {"email": 1}})
    line = daemon.wait_line("delivery.attempted")
    assert (line["cause"], line["detail"]) == (
        "body_schema",
        "body/data: has a property that the schema does not allow",
    )
    _, out, _ = daemon.verb("route", "--type", "x", "--data", '{"emial": 1}', "--running")
    assert "`emial`" in out
    assert daemon.stop() == 0
    assert "emial" not in str(daemon.lines)


def test_a_socket_path_that_is_taken(tmp_path: Path) -> None:
    config = write_config(tmp_path, "webhooks: {}\n")
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(tmp_path / "events.sock"))
        other.listen()
        code, _, err = run(config)
    assert code == 75
    assert "events.sock" in err


def test_a_path_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    config = write_config(tmp_path, "webhooks: {}\n")
    (tmp_path / "events.sock").write_text("mine")
    code, _, err = run(config)
    assert code != 0
    assert "events.sock" in err
    assert (tmp_path / "events.sock").read_text() == "mine"


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        config = write_config(tmp_path, "webhooks: {}\n")
        text = config.read_text().replace("[{unix: events.sock}]", f'[{{http: "127.0.0.1:{port}", tokens: none}}]')
        config.write_text(text)
        code, _, err = run(config)
    assert code == 75
    assert str(port) in err


@pytest.mark.parametrize("kind", ["file", "under a file"])
def test_a_state_directory_that_cannot_be(tmp_path: Path, kind: str) -> None:
    (tmp_path / "taken").write_text("x")
    config = write_config(tmp_path, "webhooks: {}\n")
    where = "taken" if kind == "file" else "taken/state"
    config.write_text(config.read_text().replace("state_dir: state", f"state_dir: {where}"))
    code, _, err = run(config)
    assert code in {75, 77, 78}
    assert "taken" in err


def test_a_state_directory_that_is_not_writable(tmp_path: Path) -> None:
    config = write_config(tmp_path, "webhooks: {}\n")
    config.write_text(
        config.read_text().replace("state_dir: state", "state_dir: /sys/hookd-state")
    )  # not for root either
    code, _, err = run(config)
    assert code == 77
    assert "/sys/hookd-state" in err


def test_no_daemon_is_running(tmp_path: Path) -> None:
    config = write_config(tmp_path, "webhooks: {}\n")
    for arguments in (
        ["status"],
        ["list"],
        ["attempts"],
        ["test", "x"],
        ["reload"],
        ["show", "x"],
        ["redrive", "--all"],
    ):
        code, _, err = hookd(*arguments, "--config", config)
        assert code == 69, arguments
        assert "no daemon is running" in err
    code, _, err = hookd("send", "--type", "x", "--config", config)
    assert code == 69
    assert "no daemon is running" in err


def test_a_second_daemon_on_the_same_state_says_who_holds_it(daemon_of: Callable[..., Daemon], tmp_path: Path) -> None:
    first = daemon_of("webhooks: {}\n").start()
    assert first.process is not None
    other = tmp_path / "other.yaml"
    other.write_text(first.config.read_text().replace("events.sock", "e2.sock").replace("control.sock", "c2.sock"))
    code, _, err = run(other)
    assert code == 75
    assert str(first.process.pid) in err
    assert first.stop() == 0


def _ignores(pid: int, number: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    mask = next(line.split()[1] for line in status.splitlines() if line.startswith("SigIgn"))
    return bool(int(mask, 16) >> (number - 1) & 1)


def test_a_reload_that_is_asked_for_too_early_ends_nothing(daemon_of: Callable[..., Daemon]) -> None:
    daemon = daemon_of("webhooks: {}\n")
    process = daemon.spawn()
    while not _ignores(process.pid, signal.SIGHUP):  # the interpreter's own start is not ours to cover
        assert process.poll() is None
    while not any(line["msg"] == "daemon.ready" for line in daemon.lines):
        process.send_signal(signal.SIGHUP)
        time.sleep(0.01)
    assert daemon.stop() == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["snd"],
        ["send"],
        ["send", "x", "--type", "y"],
        ["attempts", "--since", "yesterday-ish"],
        ["redrive"],
        ["check", "--nope"],
    ],
)
def test_usage(arguments: list[str]) -> None:
    assert hookd(*arguments)[0] == 2
