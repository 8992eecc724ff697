"""`hookd status` as a whole: the screen, and the exit code that scripts go by. The daemon is played."""

from __future__ import annotations

from typing import Any

import pytest
from click.testing import CliRunner

from hookd.cli.client import ControlClient
from hookd.cli.status import status_command
from tests.cli.test_standing import FAILING, QUIET

WHOLE: dict[str, Any] = {
    "version": "1",
    "pid": 1,
    "started_at": "2026-11-21T16:00:00Z",
    "revision": "abc",
    "applied_at": "2026-11-21T16:00:00Z",
    "webhooks": 2,
    "healthy": True,
    "last_good": False,
    "config_rejected": None,
    "restart_required": [],
    "store_silent": None,
    "store_full": None,
    "needs": [],
    "pending": 0,
    "held": 0,
    "dead": 0,
    "delivered": 0,
    "in_flight": 0,
    "backlog": [],
}


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Give what the daemon answers, by the path that is asked for, to be filled in."""
    answers: dict[str, Any] = {}
    monkeypatch.setattr(ControlClient, "get", lambda _self, path: answers[path])
    return answers


def status(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(
        status_command, [*arguments, "--control", "/nonexistent/control.sock"], standalone_mode=False
    )
    assert done.exception is None, done.exception
    return int(done.return_value), done.output


def test_an_error_that_is_over_is_not_shown_beside_what_is_well(played: dict[str, Any]) -> None:
    well = {**QUIET, "webhook": "well", "last_error": "status 500"}
    held = {**QUIET, "webhook": "held", "state": "suspended", "suspended_at": "2026-11-21T16:00:00Z"}
    played["/v1/status"] = {
        **WHOLE,
        "backlog": [well, {**QUIET, **FAILING, "webhook": "ill"}, {**held, "suspended_cause": "gone"}],
    }
    code, out = status()
    assert code == 0
    rows = {line.split()[0]: line for line in out.splitlines() if line.split()[:1] in (["well"], ["ill"], ["held"])}
    assert "status 500" not in rows["well"]
    assert rows["ill"].endswith("status 500")
    assert rows["held"].endswith("gone")


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ({}, 0),
        (FAILING, 0),
        ({**FAILING, "needs_person": "render_failed"}, 1),
        ({"state": "missing", "pending": 1, "held": 1, "needs_person": "missing"}, 1),
        ({"state": "missing", "dead": 1}, 0),
        (
            {"state": "suspended", "suspended_at": "2026-11-21T16:00:00Z", "suspended_cause": "x"},
            1,
        ),  # of an older daemon
    ],
)
def test_the_exit_code_of_one_says_whether_it_needs_a_person(
    played: dict[str, Any], row: dict[str, object], code: int
) -> None:
    played["/v1/status/crm"] = {**QUIET, **row}
    assert status("crm")[0] == code
    assert status("crm", "--output", "json")[0] == code


def test_what_needs_a_person_is_told_above_the_table_and_ends_with_1(played: dict[str, Any]) -> None:
    need = {"reason": "missing", "webhooks": ["crm"], "message": "2 deliveries are held", "advice": "put it back"}
    played["/v1/status"] = {**WHOLE, "healthy": False, "needs": [need]}
    code, out = status()
    assert code == 1
    lines = out.splitlines()
    assert lines[0].endswith(": needs a person")
    assert lines[3:5] == ["2 deliveries are held", "  put it back"]
    assert status("--output", "json")[0] == 1
