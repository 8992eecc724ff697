"""The verbs that step in, where no daemon is needed to see what they do: usage, and how a replay adds up its slices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from hookd.cli import ask, replay
from hookd.cli.ask import redrive_command, resume_command, suspend_command
from hookd.cli.client import ControlClient
from hookd.cli.errors import CliError, ExitCode
from hookd.cli.replay import replay_command
from tests.e2e.house import hookd

if TYPE_CHECKING:
    import click

COUNTS = {"new": 1, "again": 2, "pending": 3, "unwanted": 4, "replayed": 3}


class Slices:
    """A control API that needs three slices."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, object]]] = []

    def post(self, path: str, body: dict[str, object]) -> dict[str, Any]:
        self.asked.append((path, body))
        after = len(self.asked) * 10
        return {"seen": 10, **COUNTS, "after": after if after < 30 else None, "until": 99}


@pytest.mark.parametrize(("body", "first"), [({"since": 1}, {"since": 1}), ({}, {"all": True})])
def test_a_replay_goes_on_where_the_last_slice_ended(body: dict[str, object], first: dict[str, object]) -> None:
    client: Any = Slices()
    totals = replay._replay(client, "a b", body, dry_run=True)
    assert totals == {"seen": 30, **{name: 3 * count for name, count in COUNTS.items()}}
    assert [path for path, _ in client.asked] == ["/v1/webhooks/a%20b/replay"] * 3
    assert [asked for _, asked in client.asked] == [
        {**first, "dry_run": True},
        {**body, "dry_run": True, "after": 10, "until": 99},
        {**body, "dry_run": True, "after": 20, "until": 99},
    ]


class Dead:
    """A control API that needs two slices for its dead."""

    def __init__(self) -> None:
        self.asked: list[dict[str, object]] = []

    def post(self, path: str, body: dict[str, object]) -> dict[str, Any]:
        assert path == "/v1/redrive"
        self.asked.append(body)
        return {"redriven": 5, "more": len(self.asked) < 2, "until": 99}


@pytest.mark.parametrize(("body", "second"), [({"all": True}, {}), ({"webhook": "a"}, {"webhook": "a"})])
def test_a_redrive_goes_on_and_means_nothing_that_died_since(body: dict[str, object], second: dict[str, str]) -> None:
    client: Any = Dead()
    assert ask._redrive_in_slices(client, body) == {"redriven": 10}
    assert client.asked == [{**body, "limit": ask.SLICE}, {**second, "until": 99, "limit": ask.SLICE}]


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        (replay_command, ["--webhook", "crm"]),
        (replay_command, ["--webhook", "crm", "--dry-run"]),
        (replay_command, ["--webhook", "crm", "--all", "--since", "1h"]),
        (replay_command, ["--webhook", "crm", "--since", "yesterday"]),
        (replay_command, ["--all"]),
        (replay_command, ["crm"]),
        (replay_command, ["crm", "--webhook", "sales", "--all"]),
        (replay_command, ["crm", "--since", "1h", "--until", "2h"]),
        (redrive_command, ["crm", "--since", "1h", "--until", "2h"]),
        (redrive_command, ["--dry-run"]),
        (redrive_command, ["crm", "--all", "--dry-run"]),
        (suspend_command, []),
        (resume_command, []),
    ],
)
def test_what_is_not_clear_is_a_mistake_of_usage(command: click.Command, arguments: list[str]) -> None:
    done = CliRunner().invoke(command, arguments)
    code = done.exception.code if isinstance(done.exception, CliError) else done.exit_code
    assert code == ExitCode.USAGE


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"held": 0, "pending": 1, "state": "ok"}, "1 pending delivery is due now"),
        ({"held": 0, "pending": 0, "state": "failing"}, "0 pending deliveries are due now"),
        ({"held": 7, "pending": 7, "state": "paused"}, "7 pending deliveries are held, since it is paused"),
        (
            {"held": 5, "pending": 7, "state": "ok"},
            "7 pending deliveries are there, 5 of them held (their tenant or event type is no longer its own)",
        ),
    ],
)
def test_a_resume_says_what_becomes_of_what_is_pending(
    monkeypatch: pytest.MonkeyPatch, row: dict[str, object], said: str
) -> None:
    monkeypatch.setattr(ControlClient, "post", lambda *_: {"changed": True, "lifted": ["suspension"], **row})
    done = CliRunner().invoke(resume_command, ["crm", "--control", "/nonexistent/control.sock"])
    assert (done.exit_code, done.output) == (0, f"crm is resumed; {said}\n")


@pytest.mark.parametrize(
    ("lifted", "said"),
    [
        ([], "was not suspended"),
        (["suspension"], "is resumed"),
        (["suspension", "pause", "breaker"], "is resumed"),
        (["breaker"], "was not suspended; its breaker is closed"),
        (["pause"], "was not suspended; the wait that its receiver asked for is over"),
        (
            ["pause", "breaker"],
            "was not suspended; the wait that its receiver asked for is over and its breaker is closed",
        ),
    ],
)
def test_a_resume_says_what_it_ended(monkeypatch: pytest.MonkeyPatch, lifted: list[str], said: str) -> None:
    row = {"changed": bool(lifted), "lifted": lifted, "held": 0, "pending": 3, "state": "ok"}
    monkeypatch.setattr(ControlClient, "post", lambda *_: row)
    done = CliRunner().invoke(resume_command, ["crm", "--control", "/nonexistent/control.sock"])
    assert (done.exit_code, done.output) == (0, f"crm {said}; 3 pending deliveries are due now\n")


@pytest.mark.parametrize(
    "arguments",
    [
        "replay --webhook crm --all",
        "replay crm --all",
        "replay crm --webhook crm --since 2h --until 1h",
        "redrive --all --dry-run",
        "suspend crm",
        "resume crm",
    ],
)
def test_without_a_daemon_they_say_so(arguments: str) -> None:
    code, out, err = hookd(*arguments.split(), "--control", "/nonexistent/control.sock")
    assert (code, out) == (ExitCode.NO_DAEMON, "")
    assert err.startswith("hookd: no daemon is running")
