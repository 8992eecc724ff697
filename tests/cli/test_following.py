"""Following the request log: nothing twice, nothing left out, whatever the daemon does, and at a steady cost."""

from __future__ import annotations

import json
import subprocess
import threading
from typing import TYPE_CHECKING, Any

import pytest

from hookd.cli.errors import CliError, ExitCode
from hookd.cli.following import ROWS, follow_attempts
from tests.e2e.house import HOOKD, Daemon, Receiver, write_config

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Log:
    """A request log that can be asked as the daemon's."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.asked: list[dict[str, object]] = []
        self.wrong: CliError | None = None

    def add(self, count: int, kind: str = "a") -> None:
        last = self.rows[-1]["seq"] if self.rows else 0
        self.rows += [{"seq": last + number, "type": kind} for number in range(1, count + 1)]

    def get(self, path: str, **asked: Any) -> list[dict[str, Any]]:
        assert path == "/v1/attempts"
        if self.wrong is not None:
            raise self.wrong
        self.asked.append(asked)
        if "order" not in asked:
            return self.rows[::-1][: asked["limit"]]
        wanted = [row for row in self.rows if row["seq"] > asked["after"] and asked.get("type") in {None, row["type"]}]
        return wanted[: asked["limit"]]


@pytest.fixture
def log() -> Log:
    return Log()


def follow(log: Log, after: int = 0, **asked: object) -> Iterator[list[int]]:
    rows = follow_attempts(log, asked, after, sleep=lambda _: None)  # type: ignore[arg-type]  # it is asked like one
    return ([row["seq"] for row in some] for some in rows)


def test_what_comes_is_given_once(log: Log) -> None:
    log.add(3)
    followed = follow(log, 2)
    assert next(followed) == [3]
    assert next(followed) == []
    log.add(2)
    assert next(followed) == [4, 5]


def test_a_filter_that_nothing_passes_looks_at_each_row_once(log: Log) -> None:
    log.add(100)
    followed = follow(log, 0, type="rare")
    for _ in range(3):
        assert next(followed) == []
        log.add(10)
    afters = [asked["after"] for asked in log.asked if "order" in asked]
    assert afters == [0, 100, 110]
    log.add(1, "rare")
    assert next(followed) == [131]


def test_a_flood_is_given_in_parts_and_whole(log: Log) -> None:
    log.add(ROWS * 2 + 5)
    followed = follow(log)
    assert [len(next(followed)) for _ in range(4)] == [ROWS, ROWS, 5, 0]


def test_a_daemon_that_is_away_is_waited_for(log: Log, capsys: pytest.CaptureFixture[str]) -> None:
    followed = follow(log)
    log.wrong = CliError("no daemon is running", ExitCode.NO_DAEMON)
    assert [next(followed) for _ in range(3)] == [[], [], []]
    log.wrong = None
    log.add(1)
    assert next(followed) == [1]
    assert capsys.readouterr() == ("", "")


def test_what_will_never_be_answered_ends_it(log: Log) -> None:
    log.wrong = CliError("there is no webhook `x`", ExitCode.NOT_SO)
    with pytest.raises(CliError):
        next(follow(log))


def test_a_log_that_was_replaced_is_followed_from_its_end(log: Log) -> None:
    log.add(2)
    followed = follow(log, 50)
    assert next(followed) == []
    log.add(1)
    assert next(followed) == [3]


class Follower:
    """A `hookd attempts --follow` in a process of its own."""

    def __init__(self, daemon: Daemon, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [*HOOKD, "attempts", "--follow", "--output", "json", "--control", daemon.control, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.rows: list[dict[str, Any]] = []
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._news:
                self.rows.append(json.loads(line))
                self._news.notify_all()

    def wait(self, count: int) -> list[str]:
        with self._news:
            assert self._news.wait_for(lambda: len(self.rows) >= count, 60), (count, self.rows)
            return [row["event_id"] for row in self.rows]

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
        self._thread.join()


def test_over_reloads_and_restarts_nothing_is_shown_twice_or_left_out(tmp_path: Path) -> None:
    receiver = Receiver()
    webhook = f"{{url: '{receiver.url}', events: ['*'], allow_networks: [127.0.0.0/8]}}"
    config = write_config(tmp_path, f"webhooks:\n  crm: {webhook}\n")
    daemon = Daemon(config).start()
    all_of_it = narrowed = None
    try:
        daemon.send({"type": "a", "id": "0"})
        daemon.wait_line("delivery.attempted", event_id="0")
        all_of_it, narrowed = Follower(daemon), Follower(daemon, "crm", "--type", "b")
        assert all_of_it.wait(1) == ["0"]
        config.write_text(f"{config.read_text()}  shop: {{url: '{receiver.url}', events: [none]}}\n")
        daemon.wait_line("config.reloaded")
        daemon.send({"type": "a", "id": "1"}, {"type": "b", "id": "2"})
        assert set(all_of_it.wait(3)) == {"0", "1", "2"}
        daemon.stop()
        daemon.start()
        daemon.send({"type": "b", "id": "3"})
        daemon.kill()
        daemon.start()
        daemon.send({"type": "b", "id": "4"}, {"type": "a", "id": "5"})
        # What was in flight at the kill is attempted again, and is a row of its own then.
        assert set(all_of_it.wait(6)) == {"0", "1", "2", "3", "4", "5"}
        assert set(narrowed.wait(3)) == {"2", "3", "4"}
        seqs = [row["seq"] for row in all_of_it.rows]
        assert seqs == sorted(set(seqs))
    finally:
        for follower in (all_of_it, narrowed):
            if follower is not None:
                follower.close()
        daemon.close()
        receiver.close()
